/*
 * chaos: what may happen in a world, all of it drawn from the world's seed: connections and
 * requests of every kind come and go, backends and regions fail in every way and come back,
 * snapshots change. In the end it is quiet, and everything must work again.
 */
#pragma once

#include "tests/support/world.h"

/* How often something happens, per million turns; all zero: nothing. */
struct chaos_rates {
    uint32_t connect;
    uint32_t request;
    uint32_t leave;              /* a request is reset by its client */
    uint32_t abort;              /* a client's connection is reset */
    uint32_t resume;             /* those who hold back credit read on */
    uint32_t backend;            /* a backend fails, or comes back */
    uint32_t region;             /* likewise, a whole region */
    uint32_t publish;            /* another snapshot */
    uint32_t freeze;             /* somebody stands still for up to two seconds */
    uint32_t misbehave_permille; /* how many answers are not well-behaved */
};

struct chaos {
    struct world *world;
    struct chaos_rates rates;
    uint32_t requests; /* sent */
};

/* The usual mixture. */
extern const struct chaos_rates chaos_rates;

/* WORLD's backends behave as chaos draws from now on. */
void chaos_begin(struct chaos *chaos, struct world *world, const struct chaos_rates *rates);

void chaos_turns(struct chaos *chaos, uint32_t turns);

/*
 * Wires are good again, everything comes back, all requests end, all clients leave. Then fresh
 * connections ask one each: true: all were answered whole.
 */
bool chaos_end(struct chaos *chaos);
