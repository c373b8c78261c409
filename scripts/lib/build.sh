# shellcheck shell=bash
# shellcheck disable=SC2154  # tree: common.sh
# Building with meson; set up on first use.

# build_tree DIRECTORY [MESON OPTION ...]
build_tree() {
    local directory=$1
    shift
    if [ ! -f "$directory/build.ninja" ]; then
        meson setup "$directory" "$tree" "$@" >"$directory.log" 2>&1 ||
            { cat "$directory.log"; die "meson setup failed"; }
        rm -f "$directory.log"
    fi
    ninja -C "$directory" >"$directory/build.log" || { cat "$directory/build.log"; die "the build failed"; }
}
