/*
 * bench_request: cycles of time stamp counter that whole requests cost a worker: from the packet of
 * the client to the backend, and back, on wires in memory. Clients and backends are hosts beside
 * it, in the same thread; what they cost is not counted: only the worker's turns that did something
 * are. The median of many rounds, and the best one. No system call and no other core is in it, but
 * the caches are shared with the hosts.
 *
 *     bench_request [ROUNDS [BEGINNING OF A LOAD'S NAME]]
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/load/bench_request/load.h"
#include "tests/load/samples.h"

#define ROUNDS_MAX 60
#define WARM_UP    4

static const struct load loads[] = {
    {"alone, 64 bytes", "/own?size=64", 1, false, false},
    {"32 at a time, 64 bytes", "/own?size=64", 32, false, false},
    {"32 at a time, 16 KiB", "/own?size=16384", 32, false, false},
    {"32 that are the same, 64 bytes", "/share/%u?size=64", 32, false, false},
    {"16 at a time, each on a new connection, 64 bytes", "/own?size=64", 16, false, true},
};

static uint64_t samples[ROUNDS_MAX];
static uint32_t rounds = ROUNDS_MAX;

static void run_round(struct world *world, const struct load *load, struct client_conn **conns,
                      uint32_t number)
{
    struct load_round round;
    load_begin(world, load, conns, number, &round);
    check(world_run(world));
    load_check(load, &round);
    for (uint32_t i = 0; i < load->count && load->new_connections; i++)
        client_conn_close(round.requests[i]->conn, world->now);
}

/* Time for what is acknowledged late; connections that are over are forgotten. */
static void settle(struct world *world, const struct load *load)
{
    world_run_for(world, CLOCK_S);
    if (load->new_connections)
        client_forget(&world->clients[0]);
}

static void bench(const struct load *load)
{
    struct world *world = load_prepare_world(&(struct world_config){0});
    struct client_conn *conns[LOAD_CONNECTIONS];
    world_start(world);
    for (uint32_t i = 0; i < LOAD_CONNECTIONS && !load->new_connections; i++)
        conns[i] = world_connect_to(world, 0, i % 2 != 0);
    for (uint32_t round = 0; round < WARM_UP + rounds; round++) {
        load_take_spent();
        run_round(world, load, conns, round);
        settle(world, load);
        if (round >= WARM_UP)
            samples[round - WARM_UP] = load_take_spent();
    }
    samples_print(load->name, "a request", samples, rounds, load->count);
    world_close(world);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = (uint32_t)atoi(argv[1]);
    check(rounds >= 1 && rounds <= ROUNDS_MAX);
    const char *only = argc > 2 ? argv[2] : "";
    for (size_t i = 0; i < array_count(loads); i++)
        if (strncmp(loads[i].name, only, strlen(only)) == 0)
            bench(&loads[i]);
    return 0;
}
