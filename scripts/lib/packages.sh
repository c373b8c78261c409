# shellcheck shell=bash
# shellcheck disable=SC2034
# Debian packages, installed when missing. With everything there apt is never called, so a rerun
# is instant and needs no network.

packages_build=(
    meson ninja-build pkg-config
    gcc libc6-dev
    clang                # the XDP program
    libdpdk-dev libbpf-dev libhiredis-dev libjansson-dev libmicrohttpd-dev libssl-dev libcmocka-dev
    libnghttp2-dev       # the second opinion in tests
    python3
)
packages_net=(
    iproute2 ethtool procps util-linux
    python3 python3-h2
    curl nghttp2-client openssl
    redis-server redis-tools
)
packages_cases=(         # what only network tests want
    dpdk-dev             # dpdk-testpmd
    python3-grpcio
    nginx-light          # a real backend of HTTP/1.1
    lua5.4               # the scripts for Pktgen are checked by it
)
command -v npm >/dev/null || packages_cases+=(nodejs npm) # whoever has another Node.js keeps it
packages_bench=(
    nghttp2-server nghttp2-proxy
    liburcu-dev          # what the table of coalescing is compared with
)
packages_peers=(
    haproxy nginx-light h2o varnish nghttp2-proxy # what Weir is compared with
)

packages_missing() {
    local name
    for name in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] ||
            printf '%s\n' "$name"
    done
}

# Installs what is missing of the named packages. Services that come with them are neither
# started nor left to start at the next boot.
packages_install() {
    local missing
    mapfile -t missing < <(packages_missing "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || die "needs root to install: ${missing[*]}"
    command -v apt-get >/dev/null || die "no apt-get here; please install: ${missing[*]}"
    say "Installing ${missing[*]} ..."
    (
        local policy=/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            trap 'rm -f "$policy"' EXIT
            printf '#!/bin/sh\nexit 101\n' >"$policy"
            chmod 755 "$policy"
        fi
        export DEBIAN_FRONTEND=noninteractive
        apt-get -q=2 update </dev/null
        apt-get -q=2 install --no-install-recommends "${missing[@]}" </dev/null >/dev/null
    ) || die "apt could not install: ${missing[*]}"
    packages_disable_services "${missing[@]}"
}

packages_disable_services() {
    local name service
    command -v systemctl >/dev/null || return 0
    for name in "$@"; do
        case "$name" in
        redis-server | haproxy | h2o | varnish) service=$name ;;
        nginx-light) service=nginx ;;
        nghttp2-proxy) service=nghttpx ;;
        *) continue ;;
        esac
        systemctl -q disable "$service" >/dev/null 2>&1 || true
    done
}
