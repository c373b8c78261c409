# shellcheck shell=bash
# What every script needs: where the tree is, how to speak, how to stop.

tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export tree

say() { printf '%s\n' "$*"; }

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

need_root() {
    [ "$(id -u)" -eq 0 ] || die "needs root: it makes network namespaces and loads an XDP program"
}
