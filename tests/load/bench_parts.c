/*
 * bench_parts: cycles of time stamp counter of the small parts that each request or packet passes:
 * timers, objects of pools, the choice of a backend, the look-up of a connection, checksums. A
 * burst a round; the median of many rounds, and the best one. What they work on lies in the cache,
 * but for the connections, of which there are a million.
 *
 *     bench_parts [ROUNDS]
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "dataplane/base/pool.h"
#include "dataplane/base/timer_wheel.h"
#include "dataplane/net/checksum.h"
#include "dataplane/region/pick.h"
#include "dataplane/tcp/tcp_table.h"
#include "tests/load/samples.h"

#define ROUNDS_MAX    100000
#define BURST         32
#define CONNECTIONS   (1u << 20)
#define REGIONS       2
#define BACKENDS_EACH 4
#define MTU_BYTES     1460

static uint64_t samples[ROUNDS_MAX];
static uint32_t rounds = 20000;
static uint64_t sink; /* results go here, so that they are made */

/* A round of BURST operations. */
typedef void part(uint32_t round);

static void measure(const char *name, part *run)
{
    for (uint32_t round = 0; round < rounds; round++) {
        uint64_t begin = clock_cycles();
        run(round);
        samples[round] = clock_cycles() - begin;
    }
    samples_print(name, "each", samples, rounds, BURST);
}

/* --- timers --- */

static struct timer_wheel wheel;
static struct timer timers[BURST];
static uint64_t now = CLOCK_S;

static void fire(struct timer *timer, void *context, uint64_t at)
{
    sink++;
}

static void arm_and_cancel(uint32_t round)
{
    for (uint32_t i = 0; i < BURST; i++)
        timer_arm(&wheel, &timers[i], now + 30 * CLOCK_S + i);
    for (uint32_t i = 0; i < BURST; i++)
        timer_cancel(&wheel, &timers[i]);
}

static void arm_and_fire(uint32_t round)
{
    for (uint32_t i = 0; i < BURST; i++)
        timer_arm(&wheel, &timers[i], now + CLOCK_MS);
    now += 2 * CLOCK_MS;
    check(timer_wheel_advance(&wheel, now, BURST) == BURST);
}

static void bench_timers(void)
{
    timer_wheel_init(&wheel, now);
    for (uint32_t i = 0; i < BURST; i++)
        timer_init(&timers[i], fire, NULL);
    measure("timer: arm, cancel", arm_and_cancel);
    measure("timer: arm, fire", arm_and_fire);
}

/* --- objects --- */

static struct pool objects;

static void take_and_give(uint32_t round)
{
    void *taken[BURST];
    for (uint32_t i = 0; i < BURST; i++)
        taken[i] = pool_take(&objects);
    for (uint32_t i = 0; i < BURST; i++)
        pool_give(&objects, taken[i]);
}

static void bench_pool(void)
{
    check(pool_init(&objects, "objects", POOL_RESTING, 1024, 1200, -1));
    measure("pool: take, give", take_and_give);
    memory_reset();
}

/* --- the choice of a backend --- */

static struct snapshot_region regions[REGIONS];
static struct snapshot_group groups[REGIONS];
static struct snapshot_backend backends[REGIONS * BACKENDS_EACH];
static struct snapshot_service service = {.groups = groups};
static struct backend_loads backend_loads;
static struct random dice;
static struct snapshot snapshot = {.services = &service,
                                   .service_count = 1,
                                   .regions = regions,
                                   .region_count = REGIONS,
                                   .backends = backends,
                                   .backend_count = REGIONS * BACKENDS_EACH};

static void pick(uint32_t round)
{
    struct pick_request request = {.avoid_region = -1};
    for (uint32_t i = 0; i < BURST; i++) {
        uint32_t index;
        check(pick_backend(&snapshot, &backend_loads, &request, &dice, &index) == PICK_OK);
        sink += index;
    }
}

static void bench_pick(void)
{
    random_seed(&dice, 1);
    for (uint16_t i = 0; i < REGIONS; i++) {
        regions[i] = (struct snapshot_region){.active = true, .share_permille = 1000};
        groups[i] = (struct snapshot_group){(uint16_t)(i * BACKENDS_EACH), BACKENDS_EACH};
    }
    for (uint16_t i = 0; i < REGIONS * BACKENDS_EACH; i++)
        backends[i] = (struct snapshot_backend){
            .slot = i, .region = i / BACKENDS_EACH, .weight = 1, .usable = true};
    measure("pick: one of 4 backends, 2 regions", pick);
}

/* --- connections --- */

static struct tcp_table table;
static struct flow_tuple *tuples;

static struct flow_tuple tuple_of(uint32_t i)
{
    struct flow_tuple tuple = {.local_port = 443, .remote_port = (uint16_t)(1024 + i % 60000)};
    tuple.local.bytes[15] = 1;
    memcpy(tuple.remote.bytes + 8, &i, sizeof(i));
    return tuple;
}

/* As tcp_in() does: the slots of a burst are asked for, then the objects, then it looks. */
static void find(uint32_t round)
{
    struct flow_tuple asked[BURST];
    uint32_t hashes[BURST];
    for (uint32_t i = 0; i < BURST; i++) {
        asked[i] = tuple_of((round * BURST + i) * 2654435761u % CONNECTIONS);
        hashes[i] = tcp_table_hash(&table, &asked[i]);
        tcp_table_prefetch_slot(&table, hashes[i]);
    }
    for (uint32_t i = 0; i < BURST; i++)
        tcp_table_prefetch_object(&table, hashes[i]);
    for (uint32_t i = 0; i < BURST; i++)
        sink += tcp_table_find(&table, hashes[i], &asked[i]);
}

static void bench_connections(void)
{
    static const struct siphash_key key = {1, 2};
    tuples = memory_take("tuples", CONNECTIONS * sizeof(*tuples), -1);
    check(tuples != NULL && tcp_table_init(&table, CONNECTIONS, &key, -1));
    tcp_table_objects(&table, 0, tuples, sizeof(*tuples));
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        tuples[i] = tuple_of(i);
        check(tcp_table_add(&table, tcp_table_hash(&table, &tuples[i]), tcp_reference_conn(i)));
    }
    measure("connection: find one of a million, bursts", find);
    memory_reset();
}

/* --- checksums --- */

static uint8_t payload[BURST * MTU_BYTES];

static void sum_up(uint32_t round)
{
    for (uint32_t i = 0; i < BURST; i++)
        sink += checksum_bytes(payload + i * MTU_BYTES, MTU_BYTES);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = (uint32_t)atoi(argv[1]);
    check(rounds >= 1 && rounds <= ROUNDS_MAX);
    bench_timers();
    bench_pool();
    bench_pick();
    bench_connections();
    measure("checksum: 1460 bytes", sum_up);
    return sink == 0;
}
