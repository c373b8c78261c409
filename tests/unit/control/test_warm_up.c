/*
 * warm_up: a backend that comes back is given its weight in steps: as counts of picks, as weight in
 * its region's availability, after a failure and after an ejection.
 */
#include "control/warm_up.h"

#include "control/health.h"
#include "dataplane/base/clock.h"
#include "dataplane/region/pick.h"
#include "tests/support/cmocka.h"
#include "tests/support/failover_lab.h"

#include <string.h>

#define BACKENDS 4
#define PICKS    8000u
#define WARM_NS  (10 * CLOCK_S)
#define STEP_NS  (WARM_NS / WARM_UP_STEPS)

static struct world {
    struct lab_config lab;
    struct failover_host host;
    struct health *health;
    struct backend_loads sums;
    struct random random;
    uint64_t now;
} world;

static bool take_order(void *context, const struct probe_order *order)
{
    return true;
}

static void take_event(void *context, const char *text)
{
}

static void probed(uint32_t slot, enum probe_outcome outcome)
{
    struct probe_result result = {.slot = slot, .generation = 1, .outcome = (uint8_t)outcome};
    health_probed(world.health, &result, world.now);
}

static int setup(void **state)
{
    memset(&world, 0, sizeof(world));
    lab_config_make(&world.lab, 1, BACKENDS);
    world.lab.service.health.warm_up_ns = WARM_NS;
    world.lab.service.health.warm_up_percent = 30;
    world.host = (struct failover_host){.probe = take_order, .event = take_event};
    world.now = CLOCK_S;
    random_seed(&world.random, 11);
    world.health = health_create(&world.host, 42);
    for (uint32_t i = 0; i < BACKENDS; i++)
        world.sums.slots[i].generation = 1;
    health_apply(world.health, &world.lab.config, world.now);
    for (uint32_t i = 0; i < BACKENDS; i++)
        probed(i, PROBE_OK);
    return 0;
}

static int teardown(void **state)
{
    health_destroy(world.health);
    return 0;
}

static void fall_and_rise(uint32_t slot)
{
    for (uint32_t i = 0; i < world.lab.service.health.fall; i++)
        probed(slot, PROBE_TIMEOUT);
    assert_false(health_is_usable(world.health, slot));
    for (uint32_t i = 0; i < world.lab.service.health.rise; i++)
        probed(slot, PROBE_OK);
    assert_true(health_is_usable(world.health, slot));
}

/* Go on to the next turn that health wishes for, or to END. */
static void go_on_until(uint64_t end)
{
    while (world.now < end) {
        uint64_t due = health_due_ns(world.health);
        world.now = due < end ? (due > world.now ? due : world.now + 1) : end;
        health_tick(world.health, world.now);
    }
}

/* How many of PICKS the first backend gets, with nothing in flight anywhere. */
static uint32_t picks_of_first(void)
{
    static const struct backend_loads idle;
    struct snapshot_backend backends[BACKENDS] = {{.slot = 0}};
    const struct snapshot_region region = {.active = true, .share_permille = 1000};
    const struct snapshot_group group = {0, BACKENDS};
    const struct snapshot_service service = {.groups = &group};
    const struct snapshot snapshot = {.services = &service,
                                      .service_count = 1,
                                      .regions = &region,
                                      .region_count = 1,
                                      .backends = backends,
                                      .backend_count = BACKENDS};
    const struct pick_request request = {.avoid_region = -1};
    uint32_t count = 0;
    for (uint32_t i = 0; i < BACKENDS; i++) {
        backends[i] = (struct snapshot_backend){.slot = i, .generation = 1};
        backends[i].weight = health_weight(world.health, i);
        backends[i].usable = health_is_usable(world.health, i);
    }
    for (uint32_t i = 0; i < PICKS; i++) {
        uint32_t index;
        assert_int_equal(pick_backend(&snapshot, &idle, &request, &world.random, &index), PICK_OK);
        count += index == 0;
    }
    return count;
}

static void expect_weights(uint64_t usable, uint64_t expected)
{
    struct verdict_members members[SNAPSHOT_REGIONS_MAX];
    health_members(world.health, members);
    assert_int_equal(members[0].usable_weight, usable);
    assert_int_equal(members[0].weight, expected);
}

static void at_the_start_nobody_warms_up(void **state)
{
    for (uint32_t i = 0; i < BACKENDS; i++)
        assert_int_equal(health_weight(world.health, i), 100);
    expect_weights(400, 400);
}

static void picks_grow_step_by_step(void **state)
{
    uint64_t began = world.now;
    fall_and_rise(0);
    (void)health_take_changed(world.health);
    for (uint32_t step = 0; step <= WARM_UP_STEPS; step++) {
        uint32_t weight = 30 + 7 * step;
        uint32_t expected = PICKS * weight / (weight + 300);
        go_on_until(began + step * STEP_NS);
        assert_int_equal(health_weight(world.health, 0), weight);
        assert_int_equal(health_take_changed(world.health), step > 0); /* workers are told */
        assert_in_range(picks_of_first(), expected - PICKS / 40, expected + PICKS / 40);
        go_on_until(began + step * STEP_NS + STEP_NS / 2);
        assert_false(health_take_changed(world.health)); /* ... once a step */
    }
    assert_int_equal(health_weight(world.health, 1), 100);
}

static void availability_counts_the_ramped_weight(void **state)
{
    fall_and_rise(0);
    fall_and_rise(1);
    expect_weights(260, 260); /* nothing is missing of what they are expected to do */
    for (uint32_t i = 0; i < world.lab.service.health.fall; i++)
        probed(2, PROBE_TIMEOUT);
    expect_weights(160, 260); /* who is out counts whole */
    go_on_until(world.now + WARM_NS / 2);
    expect_weights(230, 330);
    go_on_until(world.now + WARM_NS);
    expect_weights(300, 400);
}

static void after_an_ejection_it_warms_up_as_well(void **state)
{
    world.sums.slots[0].outcomes[BACKEND_SUCCESS + 1] += 5; /* failures in a row */
    health_observe(world.health, &world.sums, world.now);
    assert_false(health_is_usable(world.health, 0));
    assert_int_equal(picks_of_first(), 0);
    while (!health_is_usable(world.health, 0))
        go_on_until(world.now + STEP_NS / 10);
    assert_int_equal(health_weight(world.health, 0), 30);
    assert_true(picks_of_first() < PICKS / 8);
}

static void who_falls_again_begins_anew(void **state)
{
    fall_and_rise(0);
    go_on_until(world.now + WARM_NS / 2);
    assert_int_equal(health_weight(world.health, 0), 65);
    fall_and_rise(0);
    assert_int_equal(health_weight(world.health, 0), 30);
}

static void it_can_be_switched_off(void **state)
{
    world.lab.service.health.warm_up_ns = 0;
    fall_and_rise(0);
    assert_int_equal(health_weight(world.health, 0), 100);
    expect_weights(400, 400);
}

static void small_weights_do_not_vanish(void **state)
{
    struct warm_up warm_up;
    warm_up_begin(&warm_up, 0, &world.lab.service.health);
    assert_int_equal(warm_up_weight(&warm_up, 1), 1);
    assert_int_equal(warm_up_weight(&warm_up, 1000), 300);
    warm_up_stop(&warm_up);
    assert_int_equal(warm_up_weight(&warm_up, 1000), 1000);
    assert_true(warm_up_due_ns(&warm_up, &world.lab.service.health) == CLOCK_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(at_the_start_nobody_warms_up),          CASE(picks_grow_step_by_step),
        CASE(availability_counts_the_ramped_weight), CASE(after_an_ejection_it_warms_up_as_well),
        CASE(who_falls_again_begins_anew),           CASE(it_can_be_switched_off),
        CASE(small_weights_do_not_vanish),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
