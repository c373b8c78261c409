/*
 * region_snapshot: the last agreed state and the orders of this node alone on disk,
 * state_dir/regions.state, so that a node that starts without its store forgets neither.
 *
 * Text, one field a line, as in Redis. Written by a thread of its own (disks block), always a whole
 * file and a rename; of several states that wait only the newest is written. Control thread.
 */
#pragma once

#include "control/region_local.h"

struct region_snapshot;

/* Starts the thread; makes the directory if its parent exists. NULL: no memory or no thread. */
struct region_snapshot *region_snapshot_create(const char *directory);
/* Writes what still waits, then ends the thread. NULL is allowed. */
void region_snapshot_destroy(struct region_snapshot *snapshot);

/* Write both, as of NOW_MS (unix time), some time soon. Never waits for the disk. */
void region_snapshot_save(struct region_snapshot *snapshot, const struct region_state *state,
                          const struct region_local *local, uint64_t now_ms);

/* The errno of the last write, 0 when it went well. */
int region_snapshot_error(struct region_snapshot *snapshot);

/*
 * Read what was saved, for the regions of CONFIG. At start only: it reads a file. False: there is
 * none, it is older than MAX_AGE_MS, is not whole, or has no active region; nothing is touched.
 */
bool region_snapshot_load(const char *directory, const struct config *config, uint64_t now_ms,
                          uint64_t max_age_ms, struct region_state *state,
                          struct region_local *local);
