/*
 * bench_request: cycles of time stamp counter that whole requests cost a worker: from the packet of
 * the client to the backend, and back, on wires in memory. Clients and backends are hosts beside
 * it, in the same thread; what they cost is not counted: only the worker's turns that did something
 * are. The median of many rounds, and the best one. No system call and no other core is in it, but
 * the caches are shared with the hosts.
 *
 *     bench_request [ROUNDS]
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/load/samples.h"
#include "tests/support/world.h"

#define ROUNDS_MAX  60
#define WARM_UP     4
#define CONNECTIONS 4

/* One kind of load: COUNT requests a round, over CONNECTIONS or a new connection for each. */
struct load {
    const char *name;
    const char *path; /* NULL: another one each round, the same for all of it */
    uint32_t count;
    bool new_connections;
};

static const struct load loads[] = {
    {"alone, 64 bytes", "/own?size=64", 1, false},
    {"32 at a time, 64 bytes", "/own?size=64", 32, false},
    {"32 at a time, 16 KiB", "/own?size=16384", 32, false},
    {"32 that are the same, 64 bytes", NULL, 32, false},
    {"16 at a time, each on a new connection, 64 bytes", "/own?size=64", 16, true},
};

static uint64_t samples[ROUNDS_MAX];
static uint32_t rounds = ROUNDS_MAX;
static uint64_t spent_cycles;

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

static struct world *open_world(void)
{
    struct world_config config = {.seed = 1, .lag_permille = 1000, .limits = world_limits};
    config.limits.client_connections = 1024;
    return world_open(&config);
}

static void run_round(struct world *world, const struct load *load, struct client_conn **conns,
                      uint32_t round)
{
    char path[32];
    struct client_request *requests[32];
    snprintf(path, sizeof(path), "/share/%u?size=64", round);
    for (uint32_t i = 0; i < load->count; i++) {
        struct client_conn *conn =
            load->new_connections ? world_connect(world, 0, false) : conns[i % CONNECTIONS];
        requests[i] = world_get(world, conn, load->path != NULL ? load->path : path);
    }
    check(world_run(world));
    for (uint32_t i = 0; i < load->count; i++)
        check(requests[i]->outcome == CLIENT_FINISHED && requests[i]->status == 200);
    if (!load->new_connections)
        return;
    for (uint32_t i = 0; i < load->count; i++)
        client_conn_close(requests[i]->conn, world->now);
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
    struct world *world = open_world();
    struct client_conn *conns[CONNECTIONS];
    for (uint32_t i = 0; i < CONNECTIONS && !load->new_connections; i++)
        conns[i] = world_connect_to(world, 0, i % 2 != 0);
    for (uint32_t round = 0; round < WARM_UP + rounds; round++) {
        spent_cycles = 0;
        run_round(world, load, conns, round);
        settle(world, load);
        if (round >= WARM_UP)
            samples[round - WARM_UP] = spent_cycles;
    }
    samples_print(load->name, "a request", samples, rounds, load->count);
    world_close(world);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = (uint32_t)atoi(argv[1]);
    check(rounds >= 1 && rounds <= ROUNDS_MAX);
    for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
        bench(&loads[i]);
    return 0;
}
