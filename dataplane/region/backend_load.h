/*
 * backend_load: what one worker knows and reports about each backend slot. Written by its worker
 * (relaxed, counter.h), read by the control thread, which sums the workers and looks at
 * differences.
 */
#pragma once

#include "dataplane/base/histogram.h"
#include "dataplane/region/snapshot.h"

#include <stdalign.h>

/* Outcomes that passive health counts (failover.md, "Backend health"). */
enum backend_outcome {
    BACKEND_SUCCESS,        /* a complete answer that is not in the list below */
    BACKEND_CONNECT_FAILED, /* refused, unanswered, unreachable */
    BACKEND_LOST_EARLY,     /* connection or stream reset before response headers */
    BACKEND_LATE,           /* first byte later than allowed */
    BACKEND_BAD_STATUS,     /* 502, 503, 504 */
    BACKEND_LOST_MID_BODY,  /* reset, silence or a missing end in mid-stream */
    BACKEND_OUTCOMES
};

struct backend_load {
    uint64_t outcomes[BACKEND_OUTCOMES]; /* counts since the slot's generation began here */
    uint64_t connected;                  /* connects that succeeded */
    uint64_t connect_failed_row;         /* failed connects in a row; 0 after a success */
    uint64_t in_flight;                  /* attempts now */
    uint64_t connections;                /* upstream connections now */
    uint64_t suspected;                  /* times a path fell silent (failover.md, "Suspicion") */
    struct histogram first_bytes;        /* us from an attempt's start to its final headers */
    uint64_t generation;                 /* of the slot that the above is about */
};

struct backend_loads {
    struct backend_load slots[SNAPSHOT_BACKENDS_MAX];
    /* Attempts in flight at the snapshot's backends, by region (region_load.h). */
    alignas(64) uint64_t regions[SNAPSHOT_REGIONS_MAX];
    /* The worker's own, nobody else reads it: the sum of others' `regions` at the last look, ... */
    alignas(64) uint32_t others[SNAPSHOT_REGIONS_MAX];
    /* ... and the slots whose path is silent now, a bit each. */
    uint64_t silent[SNAPSHOT_BACKENDS_MAX / 64];
    uint32_t silent_count;
};

static inline bool backend_is_silent(const struct backend_loads *loads, uint32_t slot)
{
    return (loads->silent[slot / 64] >> slot % 64 & 1) != 0;
}

static inline void backend_set_silent(struct backend_loads *loads, uint32_t slot, bool silent)
{
    if (backend_is_silent(loads, slot) == silent)
        return;
    loads->silent[slot / 64] ^= (uint64_t)1 << slot % 64;
    loads->silent_count += silent ? 1 : UINT32_MAX;
}
