/*
 * panic_gate: how many requests are taken while every active region looks sick (snapshot.panic).
 * Private to dataplane/request; one worker.
 *
 * Health is not believed then, and nobody knows what the backends can still do: what can be seen is
 * how many requests succeed. Twice that part of them is taken, so that success may grow, and one in
 * twenty at least, so that it is seen when it does; each priority has its part of that, so those
 * who matter less are turned away first, and nobody is while success is enough for all. The rest
 * gets 503 at once and costs the backends nothing.
 */
#pragma once

#include "dataplane/region/priority.h"

#include <stdbool.h>
#include <stdint.h>

struct random;

struct panic_gate {
    bool on;
    uint64_t looked_at_ns;     /* 0: not since panic began */
    uint32_t good;             /* answers since then, of requests that a backend was asked ... */
    uint32_t bad;              /* ... for: what was refused here says nothing about them */
    uint32_t success_permille; /* of late */
};

/* Of the snapshot; once a step. */
void panic_gate_set(struct panic_gate *gate, bool panic);

/* An answer begins, or will not come, for which a backend was asked. O(1). */
void panic_gate_saw(struct panic_gate *gate, bool good);

/* Whether a request goes on. What was seen is looked at once a second. O(1). */
bool panic_gate_admits(struct panic_gate *gate, enum priority priority, struct random *random,
                       uint64_t now);
