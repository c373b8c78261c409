/* Histograms of workers: their buckets, their table, and what gets into them. */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/worker/histograms.h"
#include "tests/support/checks.h"
#include "tests/support/cmocka.h"

static void a_bucket_holds_what_is_at_most_its_power_of_two(void **state)
{
    static const struct {
        uint64_t value;
        uint32_t bucket;
    } cases[] = {
        {0, 0}, {1, 0},  {2, 1},           {3, 2},
        {4, 2}, {5, 3},  {1ull << 30, 30}, {(1ull << 30) + 1, 31},
        {8, 3}, {9, 4},  {UINT64_MAX, 31}, {1ull << 40, 31},
    };
    for (size_t i = 0; i < array_count(cases); i++)
        assert_int_equal(histogram_bucket(cases[i].value), cases[i].bucket);
}

/* The values in a histogram of all workers. */
static uint64_t values_in(const struct world *world, const char *name, uint32_t bucket)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < histogram_description_count; i++) {
        if (strcmp(histogram_descriptions[i].name, name) != 0)
            continue;
        for (uint16_t w = 0; w < world->config.workers; w++)
            count += counter_read(
                &worker_histogram(worker_counters(world->shared.members[w]), i)->buckets[bucket]);
    }
    return count;
}

static uint64_t all_values_in(const struct world *world, const char *name)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += values_in(world, name, i);
    return count;
}

/* Eight ask at once on connections of all workers; then one alone, and one that shares nothing. */
static void flights_are_counted_by_whom_they_serve(uint16_t workers, uint64_t seed)
{
    struct world *world = world_open(&(struct world_config){.seed = seed, .workers = workers});
    struct client_conn *conns[8];
    world_plan(world, &(struct backend_plan){.head_after_ns = CLOCK_S});
    for (uint16_t i = 0; i < 8; i++)
        conns[i] = world_connect_to(world, i % workers, false);
    for (uint16_t i = 0; i < 8; i++)
        (void)world_get(world, conns[i], "/share?size=1000");
    assert_true(world_run(world));
    (void)world_get(world, conns[0], "/share?size=2000");
    (void)world_get(world, conns[0], "/own?size=2000");
    assert_true(world_run(world));
    world_run_for(world, CLOCK_S);
    assert_int_equal(values_in(world, "subscribers", 3), 1);
    assert_int_equal(values_in(world, "subscribers", 0), 1);
    assert_int_equal(all_values_in(world, "subscribers"), 2);
    assert_int_equal(all_values_in(world, "duration"), 10);
    assert_int_equal(all_values_in(world, "first_byte"), 10);
    assert_int_equal(all_values_in(world, "upstream"), 3);
    assert_int_equal(values_in(world, "upstream", 20), 3); /* above 524 ms, at most 1049 ms */
    assert_int_equal(world_counter(world, "coalesce", "joined_before_head"), 7);
    assert_int_equal(world_counter(world, "request", "saved_bytes"), 7000);
    assert_true(check_and_close(world));
}

static void flights_are_counted(void **state)
{
    flights_are_counted_by_whom_they_serve(1, 1);
    flights_are_counted_by_whom_they_serve(2, 2);
    flights_are_counted_by_whom_they_serve(4, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_holds_what_is_at_most_its_power_of_two),
        cmocka_unit_test(flights_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
