/*
 * Everything at the same time, on good and bad wires, with enough and too little of everything; a
 * run for each seed. WEIR_CHAOS_SEED and WEIR_CHAOS_RUNS choose other seeds.
 */
#include "dataplane/base/clock.h"
#include "tests/support/chaos.h"
#include "tests/support/checks.h"
#include "tests/support/cmocka.h"

#include <stdlib.h>

#define TURNS 4000

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static const struct wire_faults bad_wire = {
    .drop_ppm = 10000,
    .burst_ppm = 500,
    .burst_frames = 5,
    .duplicate_ppm = 5000,
    .corrupt_ppm = 2000,
    .reorder_ppm = 10000,
    .reorder_ns = CLOCK_MS,
    .delay_ns = CLOCK_MS,
    .jitter_ns = CLOCK_MS,
};

/* Small, but enough for the few requests at the end. */
static void draw_limits(struct random *random, struct worker_limits *limits)
{
    limits->client_connections = 8 + random_below(random, 30);
    limits->streams = 16 + random_below(random, 200);
    limits->upstream_connections = 2 + random_below(random, 16);
    limits->backend_connections = 1 + random_below(random, 3);
    limits->flights = 8 + random_below(random, 64);
    limits->exchanges = 8 + random_below(random, 128);
    limits->segments = 64 + random_below(random, 256);
    limits->time_wait = 1 + random_below(random, 32);
}

/* A number made of all that happened to every request. */
static uint64_t digest(const struct world *world)
{
    uint64_t sum = world->turns;
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++) {
        for (uint32_t j = 0; j < world->clients[i].request_count; j++) {
            const struct client_request *request = &world->clients[i].requests[j];
            sum = sum * 31 + request->ended_at_ns + request->outcome + request->status;
            sum = sum * 31 + request->serial + request->received;
        }
    }
    return sum;
}

static uint64_t run_chaos(uint64_t seed, bool is_bad_wire, bool is_small)
{
    struct random random;
    struct chaos chaos;
    random_seed(&random, seed);
    struct world_config config = {.seed = seed,
                                  .workers = (uint16_t)(1u << random_below(&random, 3)),
                                  .limits = world_limits};
    static const uint64_t paces[] = {100 * CLOCK_US, CLOCK_MS, 10 * CLOCK_MS};
    config.turn_spread_ns = paces[random_below(&random, array_count(paces))];
    if (is_bad_wire)
        config.front = config.back = bad_wire;
    if (is_small)
        draw_limits(&random, &config.limits);
    struct world *world = world_open(&config);
    chaos_begin(&chaos, world, &chaos_rates);
    chaos_turns(&chaos, TURNS);
    assert_true(chaos_end(&chaos));
    assert_true(chaos.requests > 0);
    assert_true(world->log.count <= world_counter(world, "coalesce", "attempts"));
    uint64_t trace = digest(world);
    assert_true(check_and_close(world));
    return trace;
}

static void run_seeds(uint64_t first, bool is_bad_wire, bool is_small)
{
    uint64_t from = number("WEIR_CHAOS_SEED", first);
    uint64_t runs = number("WEIR_CHAOS_RUNS", 4);
    for (uint64_t seed = from; seed < from + runs; seed++)
        run_chaos(seed, is_bad_wire, is_small);
}

static void on_a_good_wire(void **state)
{
    run_seeds(1000, false, false);
}

static void on_a_bad_wire(void **state)
{
    run_seeds(2000, true, false);
}

static void with_small_pools(void **state)
{
    run_seeds(3000, false, true);
}

static void with_small_pools_on_a_bad_wire(void **state)
{
    run_seeds(4000, true, true);
}

static void the_same_seed_gives_the_same_run(void **state)
{
    assert_int_equal(run_chaos(5000, true, false), run_chaos(5000, true, false));
    assert_int_not_equal(run_chaos(5001, true, false), run_chaos(5002, true, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_a_good_wire),
        cmocka_unit_test(on_a_bad_wire),
        cmocka_unit_test(with_small_pools),
        cmocka_unit_test(with_small_pools_on_a_bad_wire),
        cmocka_unit_test(the_same_seed_gives_the_same_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
