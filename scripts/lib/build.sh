# shellcheck shell=bash
# shellcheck disable=SC2154  # tree: common.sh
# Building with meson; set up on first use.

# build_tree DIRECTORY TARGET [MESON OPTION ...]; "all" is all that is built by default.
build_tree() {
    local directory=$1 target=$2
    shift 2
    if [ ! -f "$directory/build.ninja" ]; then
        meson setup "$directory" "$tree" "$@" >"$directory.log" 2>&1 ||
            { cat "$directory.log"; die "meson setup failed"; }
        rm -f "$directory.log"
    fi
    ninja -C "$directory" "$target" >"$directory/build.log" || { cat "$directory/build.log"; die "the build failed"; }
}
