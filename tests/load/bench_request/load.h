/*
 * load: rounds of requests to a world's service, and what they cost its worker: cycles of time
 * stamp counter of its turns that did something. What the hosts beside it do is not counted. A
 * world and its rounds belong to one thread; programs are linked with --wrap=worker_turn.
 */
#pragma once

#include "tests/support/world.h"

#define LOAD_CONNECTIONS  4
#define LOAD_REQUESTS_MAX 32

/* COUNT requests a round, over LOAD_CONNECTIONS or a new connection for each. */
struct load {
    const char *name;
    const char *path; /* %u: another one each round, the same for all of it, unless each_its_own */
    uint32_t count;
    bool each_its_own;
    bool new_connections;
};

struct load_round {
    struct client_request *requests[LOAD_REQUESTS_MAX];
};

/* One worker with room for connections that come and go; more of it in CONFIG. Prepared only. */
struct world *load_prepare_world(const struct world_config *config);

/* All requests of round number ROUND, over CONNS or new connections. They go while turns pass. */
void load_begin(struct world *world, const struct load *load, struct client_conn *const *conns,
                uint32_t round, struct load_round *out);

/* All have been answered well. */
void load_check(const struct load *load, const struct load_round *round);

/* Cycles since the last time, of this thread. */
uint64_t load_take_spent(void);
