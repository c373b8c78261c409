/*
 * panic_gate: how many requests are taken while every active region looks sick (snapshot.panic).
 * Private to dataplane/request; one worker.
 *
 * Health is not believed then, and nobody knows what the backends can still do: what can be seen is
 * how many requests succeed. Twice that part of them is taken, so that success may grow, and one in
 * twenty at least, so that it is seen when it does; of that each priority its part. The rest gets
 * 503 at once and costs the backends nothing.
 */
#pragma once

#include "dataplane/region/priority.h"

#include <stdbool.h>
#include <stdint.h>

struct random;
struct request_counters;

struct panic_gate {
    bool on;
    uint64_t looked_at_ns;     /* 0: not since panic began */
    uint64_t good;             /* answers by then, good ones and others, ... */
    uint64_t bad;              /* ... without what we refused ourselves */
    uint32_t success_permille; /* of late */
};

/* Of the snapshot; once a step. */
void panic_gate_set(struct panic_gate *gate, bool panic);

/* Whether a request goes on. Counters are looked at once a second. O(1). */
bool panic_gate_admits(struct panic_gate *gate, const struct request_counters *counters,
                       enum priority priority, struct random *random, uint64_t now);
