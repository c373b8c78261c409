/*
 * h2_windows: an end of a connection that changes its mind about SETTINGS_INITIAL_WINDOW_SIZE in
 * mid-connection (RFC 9113 6.9.2), which ours never does: the SETTINGS is slipped in between two of
 * its frames. It may lower the window below what was configured, also below what is under way, and
 * has to give it back in the end: credit is counted by the configured one.
 */
#pragma once

#include "tests/sim/sim.h"

struct h2_conn;

struct h2_windows {
    uint32_t times;
    bool is_lowered;
};

/* Now and then, by PPM: lowered, or lowered further, or not so far. CONN may be NULL. */
void h2_windows_maybe_lower(struct h2_windows *windows, struct h2_conn *conn, struct sim *sim,
                            uint32_t ppm);

/* As it was configured, as soon as that can be said. */
void h2_windows_restore(struct h2_windows *windows, struct h2_conn *conn);
