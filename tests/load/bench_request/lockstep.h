/*
 * lockstep: one or two worlds, each in a thread of its own on a core of its own, whose clocks
 * agree: turn number N of both is at the same time and, as their seeds are the same, goes through
 * workers and hosts in the same order, so that the two workers turn together. Between turns each
 * waits for the other; that is not in a worker's turn, and so in no figure.
 */
#pragma once

#include "tests/load/bench_request/load.h"

#include <stdalign.h>
#include <stdatomic.h>

#define LOCKSTEP_SIDES 2

/*
 * What a side says before turn `turn`. It is written before `turn` (release), which the other side
 * waits for (acquire). There are two: the next but one is said when the other has read this one,
 * or it would not have said its next.
 */
struct lockstep_word {
    alignas(64) _Atomic uint64_t turn;
    uint64_t next_ns; /* what this side would go on to */
    bool done;
};

struct lockstep_side {
    struct lockstep *lockstep;
    uint32_t index;
    struct world *world;
    struct client_conn *conns[LOAD_CONNECTIONS];
    uint64_t turn;
    bool all_done; /* both sides were, before this turn */
    struct lockstep_word words[2];
};

struct lockstep {
    uint32_t count; /* of sides */
    struct lockstep_side sides[LOCKSTEP_SIDES];
};

/* COUNT worlds whose workers share a data plane, or not. All connections are open. */
struct lockstep *lockstep_open(uint32_t count, bool one_plane);
void lockstep_close(struct lockstep *lockstep);

/* WORK for each side in its thread; returns when all have. */
typedef void lockstep_work(struct lockstep_side *side, void *context);
void lockstep_run(struct lockstep *lockstep, lockstep_work *work, void *context);

/* Of the side's thread: turns until no request of any side is open, and then for LENGTH_NS. */
void lockstep_finish(struct lockstep_side *side, uint64_t length_ns);
