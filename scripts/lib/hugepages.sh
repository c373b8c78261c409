# shellcheck shell=bash
# Huge pages of 2 MiB: reserved if the machine has room. What was there before is in
# hugepages_before (empty: nothing was changed), for whoever gives them back at the end.

hugepages_file=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
hugepages_before=

# hugepages_reserve MIB: succeeds if that much is free now. Reserves at most a quarter of what
# memory is available, so that nothing else on the machine suffers.
hugepages_reserve() {
    local wanted=$(($1 / 2)) available total free
    [ -w "$hugepages_file" ] || return 1
    total=$(cat "$hugepages_file")
    free=$(cat "${hugepages_file%/*}/free_hugepages")
    [ "$free" -lt "$wanted" ] || return 0
    available=$(awk '/^MemAvailable:/ {print int($2 / 2048)}' /proc/meminfo)
    [ $((wanted - free)) -le $((available / 4)) ] || return 1
    hugepages_before=$total
    echo $((total + wanted - free)) 2>/dev/null >"$hugepages_file" || true
    [ "$(cat "${hugepages_file%/*}/free_hugepages")" -ge "$wanted" ] && return 0
    echo "$hugepages_before" 2>/dev/null >"$hugepages_file" || true
    hugepages_before=
    return 1
}
