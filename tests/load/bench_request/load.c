#include "tests/load/bench_request/load.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <stdio.h>

static _Thread_local uint64_t spent_cycles;

/* The linker puts this in the place of worker_turn() (--wrap). */
bool __real_worker_turn(struct worker *worker, uint64_t clock_ns);
bool __wrap_worker_turn(struct worker *worker, uint64_t clock_ns);

bool __wrap_worker_turn(struct worker *worker, uint64_t clock_ns)
{
    uint64_t begin = clock_cycles();
    bool busy = __real_worker_turn(worker, clock_ns);
    if (busy)
        spent_cycles += clock_cycles() - begin;
    return busy;
}

uint64_t load_take_spent(void)
{
    uint64_t spent = spent_cycles;
    spent_cycles = 0;
    return spent;
}

struct world *load_prepare_world(const struct world_config *config)
{
    struct world_config all = *config;
    all.seed = 1;
    all.lag_permille = 1000;
    all.limits = world_limits;
    all.limits.client_connections = 1024;
    return world_prepare(&all);
}

static void path_of(const struct load *load, uint32_t round, uint32_t index, char out[64])
{
    uint32_t number = load->each_its_own ? round * LOAD_REQUESTS_MAX + index : round;
    const char *at = strstr(load->path, "%u");
    if (at == NULL)
        snprintf(out, 64, "%s", load->path);
    else
        snprintf(out, 64, "%.*s%08u%s", (int)(at - load->path), load->path, number, at + 2);
}

void load_begin(struct world *world, const struct load *load, struct client_conn *const *conns,
                uint32_t round, struct load_round *out)
{
    check(load->count <= LOAD_REQUESTS_MAX);
    for (uint32_t i = 0; i < load->count; i++) {
        char path[64];
        path_of(load, round, i, path);
        struct client_conn *conn =
            load->new_connections ? world_connect(world, 0, false) : conns[i % LOAD_CONNECTIONS];
        out->requests[i] = world_get(world, conn, path);
    }
}

void load_check(const struct load *load, const struct load_round *round)
{
    for (uint32_t i = 0; i < load->count; i++)
        check(round->requests[i]->outcome == CLIENT_FINISHED && round->requests[i]->status == 200);
}
