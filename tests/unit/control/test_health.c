/* health: the table of states, the probe schedule, failed connects, ejection and its bounds. */
#include "control/health.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"
#include "tests/support/failover_lab.h"

#include <stdio.h>
#include <string.h>

#define ORDERS_MAX 4096

struct world {
    struct lab_config lab;
    struct failover_host host;
    struct health *health;
    struct backend_loads sums;
    uint64_t now;
    bool refuse_orders;
    uint32_t order_count;
    struct probe_order orders[ORDERS_MAX];
    uint64_t ordered_at[ORDERS_MAX];
    char last_event[512];
};

static bool take_order(void *context, const struct probe_order *order)
{
    struct world *world = context;
    if (world->refuse_orders)
        return false;
    assert_true(world->order_count < ORDERS_MAX);
    world->ordered_at[world->order_count] = world->now;
    world->orders[world->order_count++] = *order;
    return true;
}

static void take_event(void *context, const char *text)
{
    struct world *world = context;
    snprintf(world->last_event, sizeof(world->last_event), "%s", text);
}

static struct world *world_make(uint32_t regions, uint32_t backends)
{
    static struct world world;
    health_destroy(world.health);
    memset(&world, 0, sizeof(world));
    lab_config_make(&world.lab, regions, backends);
    world.host =
        (struct failover_host){.probe = take_order, .event = take_event, .context = &world};
    world.now = CLOCK_S;
    world.health = health_create(&world.host, 42);
    assert_non_null(world.health);
    for (uint32_t i = 0; i < regions * backends; i++)
        world.sums.slots[i].generation = 1;
    health_apply(world.health, &world.lab.config, world.now);
    return &world;
}

static int destroy_world(void **state)
{
    struct world *world = world_make(1, 1);
    health_destroy(world->health);
    world->health = NULL;
    return 0;
}

static void probed(struct world *world, uint32_t slot, enum probe_outcome outcome)
{
    struct probe_result result = {.slot = slot,
                                  .generation = 1,
                                  .outcome = (uint8_t)outcome,
                                  .status = outcome == PROBE_BAD_STATUS ? 503 : 200,
                                  .took_ns = 1000};
    health_probed(world->health, &result, world->now);
}

static void all_up(struct world *world)
{
    for (uint32_t i = 0; i < world->lab.config.backend_count; i++)
        probed(world, i, PROBE_OK);
    (void)health_take_changed(world->health);
}

/* Let traffic happen, then a look at the sums. */
static void traffic(struct world *world, uint32_t slot, enum backend_outcome outcome,
                    uint32_t count)
{
    struct backend_load *load = &world->sums.slots[slot];
    load->outcomes[outcome] += count;
    if (outcome == BACKEND_CONNECT_FAILED)
        load->connect_failed_row += count;
    if (outcome == BACKEND_SUCCESS)
        load->connect_failed_row = 0;
    world->now += 100 * CLOCK_MS;
    health_observe(world->health, &world->sums, world->now);
}

static const char *state_of(struct world *world, uint32_t slot)
{
    struct failover_backend_view view;
    health_view(world->health, slot, world->now, 0, &view);
    return view.state;
}

static bool usable(struct world *world, uint32_t slot)
{
    return health_is_usable(world->health, slot);
}

/* Every state with every event. */
static void the_table_of_transitions_is_what_the_manual_says(void **state)
{
    static const struct {
        enum health_state from;
        enum health_event event;
        enum health_state to;
    } cases[] = {
        {HEALTH_NEW, HEALTH_OK, HEALTH_UP},
        {HEALTH_NEW, HEALTH_OK_ENOUGH, HEALTH_UP},
        {HEALTH_NEW, HEALTH_FAILED, HEALTH_DOWN},
        {HEALTH_NEW, HEALTH_FAILED_ENOUGH, HEALTH_DOWN},
        {HEALTH_NEW, HEALTH_CONNECTS_FAILED, HEALTH_DOWN},
        {HEALTH_NEW, HEALTH_SILENT, HEALTH_NEW},
        {HEALTH_UP, HEALTH_OK, HEALTH_UP},
        {HEALTH_UP, HEALTH_OK_ENOUGH, HEALTH_UP},
        {HEALTH_UP, HEALTH_FAILED, HEALTH_DOUBT},
        {HEALTH_UP, HEALTH_FAILED_ENOUGH, HEALTH_DOWN},
        {HEALTH_UP, HEALTH_CONNECTS_FAILED, HEALTH_DOWN},
        {HEALTH_UP, HEALTH_SILENT, HEALTH_DOUBT},
        {HEALTH_DOUBT, HEALTH_OK, HEALTH_UP},
        {HEALTH_DOUBT, HEALTH_OK_ENOUGH, HEALTH_UP},
        {HEALTH_DOUBT, HEALTH_FAILED, HEALTH_DOUBT},
        {HEALTH_DOUBT, HEALTH_FAILED_ENOUGH, HEALTH_DOWN},
        {HEALTH_DOUBT, HEALTH_CONNECTS_FAILED, HEALTH_DOWN},
        {HEALTH_DOUBT, HEALTH_SILENT, HEALTH_DOUBT},
        {HEALTH_DOWN, HEALTH_OK, HEALTH_RISING},
        {HEALTH_DOWN, HEALTH_OK_ENOUGH, HEALTH_UP},
        {HEALTH_DOWN, HEALTH_FAILED, HEALTH_DOWN},
        {HEALTH_DOWN, HEALTH_FAILED_ENOUGH, HEALTH_DOWN},
        {HEALTH_DOWN, HEALTH_CONNECTS_FAILED, HEALTH_DOWN},
        {HEALTH_DOWN, HEALTH_SILENT, HEALTH_DOWN},
        {HEALTH_RISING, HEALTH_OK, HEALTH_RISING},
        {HEALTH_RISING, HEALTH_OK_ENOUGH, HEALTH_UP},
        {HEALTH_RISING, HEALTH_FAILED, HEALTH_DOWN},
        {HEALTH_RISING, HEALTH_FAILED_ENOUGH, HEALTH_DOWN},
        {HEALTH_RISING, HEALTH_CONNECTS_FAILED, HEALTH_DOWN},
        {HEALTH_RISING, HEALTH_SILENT, HEALTH_RISING},
    };
    assert_int_equal(array_count(cases), HEALTH_STATES * HEALTH_EVENTS);
    for (size_t i = 0; i < array_count(cases); i++)
        assert_int_equal(health_next(cases[i].from, cases[i].event), cases[i].to);
}

static void a_new_backend_is_usable_and_the_first_probe_decides_alone(void **state)
{
    struct world *world = world_make(1, 2);
    assert_true(usable(world, 0) && usable(world, 1));
    probed(world, 0, PROBE_OK);
    probed(world, 1, PROBE_CONNECT_FAILED);
    assert_string_equal(state_of(world, 0), "up");
    assert_string_equal(state_of(world, 1), "down");
    assert_true(usable(world, 0));
    assert_false(usable(world, 1));
}

static void three_failed_probes_take_it_out_and_three_good_ones_bring_it_back(void **state)
{
    struct world *world = world_make(1, 2);
    all_up(world);
    probed(world, 0, PROBE_TIMEOUT);
    assert_string_equal(state_of(world, 0), "doubt");
    probed(world, 0, PROBE_RESET);
    assert_true(usable(world, 0));
    probed(world, 0, PROBE_BAD_STATUS);
    assert_string_equal(state_of(world, 0), "down");
    assert_false(usable(world, 0));
    assert_true(health_take_changed(world->health));
    assert_false(health_take_changed(world->health));
    probed(world, 0, PROBE_OK);
    probed(world, 0, PROBE_OK);
    assert_false(usable(world, 0));
    probed(world, 0, PROBE_OK);
    assert_true(usable(world, 0));
    assert_string_equal(state_of(world, 0), "up");
    assert_non_null(strstr(world->last_event, "r0-0"));
}

static void rows_are_broken_by_the_other_result(void **state)
{
    struct world *world = world_make(1, 2);
    all_up(world);
    for (int i = 0; i < 10; i++) {
        probed(world, 0, PROBE_TIMEOUT);
        probed(world, 0, PROBE_TIMEOUT);
        probed(world, 0, PROBE_OK);
        assert_true(usable(world, 0));
    }
    for (int i = 0; i < 3; i++)
        probed(world, 0, PROBE_TIMEOUT);
    for (int i = 0; i < 10; i++) {
        probed(world, 0, PROBE_OK);
        probed(world, 0, PROBE_OK);
        probed(world, 0, PROBE_TIMEOUT);
        assert_false(usable(world, 0));
    }
}

static void a_probe_without_room_says_nothing(void **state)
{
    struct world *world = world_make(1, 1);
    for (int i = 0; i < 10; i++)
        probed(world, 0, PROBE_NO_ROOM);
    assert_string_equal(state_of(world, 0), "doubt");
    assert_true(usable(world, 0));
}

static void results_of_another_generation_or_slot_are_ignored(void **state)
{
    struct world *world = world_make(1, 1);
    struct probe_result result = {.slot = 0, .generation = 9, .outcome = PROBE_TIMEOUT};
    health_probed(world->health, &result, world->now);
    result = (struct probe_result){.slot = 77, .generation = 1, .outcome = PROBE_TIMEOUT};
    health_probed(world->health, &result, world->now);
    result = (struct probe_result){.slot = UINT32_MAX, .generation = 1};
    health_probed(world->health, &result, world->now);
    result = (struct probe_result){.slot = 0, .generation = 1, .outcome = 200};
    health_probed(world->health, &result, world->now);
    assert_true(usable(world, 0));
}

/* Run the schedule for a while; the distances between probes of slot 0. */
static void run_schedule(struct world *world, uint64_t for_ns)
{
    uint64_t end = world->now + for_ns;
    world->order_count = 0;
    while (health_due_ns(world->health) <= end) {
        if (health_due_ns(world->health) > world->now)
            world->now = health_due_ns(world->health);
        health_tick(world->health, world->now);
    }
    world->now = end;
}

static void assert_intervals(struct world *world, uint64_t low_ns, uint64_t high_ns)
{
    bool differ = false;
    assert_true(world->order_count >= 5);
    for (uint32_t i = 2; i < world->order_count; i++) {
        uint64_t distance = world->ordered_at[i] - world->ordered_at[i - 1];
        assert_in_range(distance, low_ns, high_ns);
        differ |= distance != world->ordered_at[1] - world->ordered_at[0];
    }
    assert_true(differ); /* jitter */
}

static void probes_come_at_the_intervals_of_the_states(void **state)
{
    struct world *world = world_make(1, 1);
    probed(world, 0, PROBE_OK);
    run_schedule(world, 60 * CLOCK_S);
    assert_intervals(world, 1600 * CLOCK_MS, 2400 * CLOCK_MS);
    probed(world, 0, PROBE_TIMEOUT);
    run_schedule(world, 60 * CLOCK_S);
    assert_intervals(world, 400 * CLOCK_MS, 600 * CLOCK_MS);
    probed(world, 0, PROBE_TIMEOUT);
    probed(world, 0, PROBE_TIMEOUT);
    run_schedule(world, 60 * CLOCK_S);
    assert_intervals(world, 4 * CLOCK_S, 6 * CLOCK_S);
    probed(world, 0, PROBE_OK);
    run_schedule(world, 60 * CLOCK_S);
    assert_intervals(world, 400 * CLOCK_MS, 600 * CLOCK_MS);
}

static void an_order_says_what_the_configuration_says(void **state)
{
    struct world *world = world_make(1, 1);
    run_schedule(world, CLOCK_S);
    assert_true(world->order_count > 0);
    assert_int_equal(world->orders[0].slot, 0);
    assert_int_equal(world->orders[0].generation, 1);
    assert_int_equal(world->orders[0].timeout_ns, CLOCK_S);
    assert_int_equal(world->orders[0].kind, PROBE_HTTP2);
    assert_string_equal(world->orders[0].path, "/healthz");
}

static void an_order_nobody_took_is_given_again_soon(void **state)
{
    struct world *world = world_make(1, 1);
    world->refuse_orders = true;
    run_schedule(world, CLOCK_S);
    world->refuse_orders = false;
    run_schedule(world, 60 * CLOCK_MS);
    assert_int_equal(world->order_count, 1);
}

static void three_failed_connects_in_a_row_take_it_out(void **state)
{
    struct world *world = world_make(1, 2);
    all_up(world);
    traffic(world, 0, BACKEND_CONNECT_FAILED, 2);
    assert_true(usable(world, 0));
    traffic(world, 0, BACKEND_SUCCESS, 1);
    traffic(world, 0, BACKEND_CONNECT_FAILED, 2);
    assert_true(usable(world, 0));
    traffic(world, 0, BACKEND_CONNECT_FAILED, 1);
    assert_string_equal(state_of(world, 0), "down");
    assert_false(usable(world, 0));
}

/* The row in the counters stands until a connect succeeds; it must not count twice. */
static void a_backend_that_came_back_is_not_held_responsible_for_old_connects(void **state)
{
    struct world *world = world_make(1, 2);
    all_up(world);
    traffic(world, 0, BACKEND_CONNECT_FAILED, 3);
    assert_false(usable(world, 0));
    for (int i = 0; i < 3; i++)
        probed(world, 0, PROBE_OK);
    assert_true(usable(world, 0));
    for (int i = 0; i < 10; i++)
        traffic(world, 1, BACKEND_SUCCESS, 1);
    traffic(world, 0, BACKEND_CONNECT_FAILED, 2);
    assert_true(usable(world, 0));
    traffic(world, 0, BACKEND_CONNECT_FAILED, 1);
    assert_false(usable(world, 0));
}

static void a_silent_path_brings_a_probe_at_once(void **state)
{
    struct world *world = world_make(1, 1);
    all_up(world);
    run_schedule(world, CLOCK_S);
    world->order_count = 0;
    world->sums.slots[0].suspected++;
    health_observe(world->health, &world->sums, world->now);
    assert_string_equal(state_of(world, 0), "doubt");
    assert_true(usable(world, 0));
    assert_int_equal(health_due_ns(world->health), world->now);
    health_tick(world->health, world->now);
    assert_int_equal(world->order_count, 1);
    probed(world, 0, PROBE_OK);
    assert_string_equal(state_of(world, 0), "up");
}

static void five_failures_in_a_row_eject(void **state)
{
    static const enum backend_outcome outcomes[] = {BACKEND_LOST_EARLY, BACKEND_LATE,
                                                    BACKEND_BAD_STATUS, BACKEND_LOST_MID_BODY};
    for (size_t i = 0; i < array_count(outcomes); i++) {
        struct world *world = world_make(1, 2);
        all_up(world);
        traffic(world, 0, outcomes[i], 4);
        traffic(world, 0, BACKEND_SUCCESS, 1);
        traffic(world, 0, outcomes[i], 4);
        assert_true(usable(world, 0));
        traffic(world, 0, outcomes[i], 1);
        assert_false(usable(world, 0));
        assert_string_equal(state_of(world, 0), "up"); /* probes know nothing of it */
    }
}

static void half_of_twenty_requests_in_ten_seconds_eject(void **state)
{
    struct world *world = world_make(1, 2);
    all_up(world);
    for (int i = 0; i < 9; i++) {
        traffic(world, 0, BACKEND_BAD_STATUS, 1);
        traffic(world, 0, BACKEND_SUCCESS, 1);
    }
    assert_true(usable(world, 0)); /* 18 requests */
    traffic(world, 0, BACKEND_BAD_STATUS, 1);
    traffic(world, 0, BACKEND_SUCCESS, 1);
    assert_false(usable(world, 0));
}

static void failures_older_than_ten_seconds_are_forgotten(void **state)
{
    struct world *world = world_make(1, 2);
    all_up(world);
    for (int i = 0; i < 60; i++) { /* one in two seconds, each other one failed: 5 in 10 s */
        traffic(world, 0, i % 2 == 0 ? BACKEND_BAD_STATUS : BACKEND_SUCCESS, 1);
        world->now += 900 * CLOCK_MS;
        assert_true(usable(world, 0));
    }
}

/* 30 s x times, 300 s at most, 0 to 5 s of jitter. */
static void ejection_grows_to_its_bound(void **state)
{
    struct world *world = world_make(1, 2);
    all_up(world);
    for (uint64_t times = 1; times <= 12; times++) {
        struct failover_backend_view view;
        traffic(world, 0, BACKEND_BAD_STATUS, 5);
        assert_false(usable(world, 0));
        health_view(world->health, 0, world->now, 0, &view);
        assert_true(view.ejected);
        uint64_t least_ms = times < 10 ? times * 30000 : 300000;
        assert_in_range(view.ejected_left_ms, least_ms, least_ms + 5000);
        world->now += view.ejected_left_ms * CLOCK_MS;
        health_tick(world->health, world->now - CLOCK_MS);
        assert_false(usable(world, 0));
        world->now += CLOCK_MS;
        health_tick(world->health, world->now);
        assert_true(usable(world, 0));
    }
    world->now += 301 * CLOCK_S; /* well for long enough: it begins anew */
    struct failover_backend_view view;
    traffic(world, 0, BACKEND_BAD_STATUS, 5);
    health_view(world->health, 0, world->now, 0, &view);
    assert_in_range(view.ejected_left_ms, 30000, 35000);
}

static void at_most_thirty_percent_of_a_region_are_ejected(void **state)
{
    struct world *world = world_make(2, 10);
    all_up(world);
    for (uint32_t slot = 0; slot < 10; slot++)
        traffic(world, slot, BACKEND_BAD_STATUS, 50);
    for (uint32_t slot = 0; slot < 10; slot++)
        assert_int_equal(usable(world, slot), slot >= 3);
    traffic(world, 10, BACKEND_BAD_STATUS, 50); /* the other region has its own */
    assert_false(usable(world, 10));
}

static void the_last_usable_backend_is_never_ejected(void **state)
{
    struct world *world = world_make(2, 2);
    all_up(world);
    for (int i = 0; i < 3; i++)
        probed(world, 1, PROBE_TIMEOUT);
    traffic(world, 0, BACKEND_BAD_STATUS, 500);
    assert_true(usable(world, 0));
    world = world_make(1, 1);
    all_up(world);
    traffic(world, 0, BACKEND_BAD_STATUS, 500);
    assert_true(usable(world, 0));
}

/* Another service's backends do not answer for it. */
static void the_last_usable_backend_of_a_service_is_never_ejected(void **state)
{
    struct world *world = world_make(1, 4);
    struct config *config = &world->lab.config;
    config->services[1] = config->services[0];
    config->service_count = 2;
    config->backends[3].service = 1;
    all_up(world);
    traffic(world, 3, BACKEND_BAD_STATUS, 500);
    assert_true(usable(world, 3));
    traffic(world, 0, BACKEND_BAD_STATUS, 500);
    assert_false(usable(world, 0));
}

static void probes_take_out_without_limit(void **state)
{
    struct world *world = world_make(1, 4);
    all_up(world);
    for (uint32_t slot = 0; slot < 4; slot++)
        for (int i = 0; i < 3; i++)
            probed(world, slot, PROBE_CONNECT_FAILED);
    for (uint32_t slot = 0; slot < 4; slot++)
        assert_false(usable(world, slot));
}

static void sums_of_another_generation_are_ignored(void **state)
{
    struct world *world = world_make(1, 2);
    all_up(world);
    world->sums.slots[0].generation = 2;
    traffic(world, 0, BACKEND_CONNECT_FAILED, 100);
    assert_true(usable(world, 0));
}

static void backends_that_stay_keep_their_health(void **state)
{
    struct world *world = world_make(1, 3);
    static struct lab_config next;
    all_up(world);
    for (int i = 0; i < 3; i++)
        probed(world, 0, PROBE_TIMEOUT);
    lab_config_make(&next, 1, 3);
    next.backends[1].generation = 2; /* another one took this slot */
    next.config.backend_count = 2;
    health_apply(world->health, &next.config, world->now);
    assert_false(usable(world, 0));
    assert_string_equal(state_of(world, 1), "doubt");
    assert_false(usable(world, 2));
    probed(world, 2, PROBE_OK); /* late, of one that is gone */
    assert_false(usable(world, 2));
    health_apply(world->health, &world->lab.config, world->now);
}

static void members_are_what_is_configured_and_was_probed(void **state)
{
    struct world *world = world_make(2, 3);
    struct verdict_members members[SNAPSHOT_REGIONS_MAX];
    health_members(world->health, members);
    assert_int_equal(members[0].backends, 3);
    assert_int_equal(members[0].weight, 0);
    assert_int_equal(members[0].usable, 3);
    probed(world, 0, PROBE_OK);
    probed(world, 1, PROBE_TIMEOUT);
    health_members(world->health, members);
    assert_int_equal(members[0].weight, 200);
    assert_int_equal(members[0].usable_weight, 100);
    assert_int_equal(members[0].usable, 2);
    assert_int_equal(members[1].weight, 0);
}

static void tries_are_counted_by_region_and_taken_once(void **state)
{
    struct world *world = world_make(2, 2);
    probed(world, 0, PROBE_OK);
    probed(world, 2, PROBE_TIMEOUT);
    traffic(world, 1, BACKEND_LOST_EARLY, 2);
    traffic(world, 1, BACKEND_SUCCESS, 3);
    struct health_tries tries = health_take_tries(world->health, 0);
    assert_int_equal(tries.successes, 4);
    assert_int_equal(tries.failures, 2);
    assert_int_equal(tries.requests, 5); /* without the probe */
    assert_int_equal(tries.errors, 2);
    tries = health_take_tries(world->health, 0);
    assert_int_equal(tries.successes + tries.failures + tries.requests + tries.errors, 0);
    assert_int_equal(health_take_tries(world->health, 1).failures, 1);
}

static void the_view_tells_the_last_probe(void **state)
{
    static const struct {
        enum probe_outcome outcome;
        const char *text;
    } cases[] = {{PROBE_OK, "ok"},
                 {PROBE_CONNECT_FAILED, "connect failed"},
                 {PROBE_TLS_FAILED, "TLS handshake failed"},
                 {PROBE_TIMEOUT, "timeout"},
                 {PROBE_RESET, "reset"},
                 {PROBE_BAD_STATUS, "status 503"},
                 {PROBE_NO_ROOM, "no room"}};
    struct world *world = world_make(1, 1);
    struct failover_backend_view view;
    health_view(world->health, 0, world->now, 5000, &view);
    assert_string_equal(view.last_probe, "none yet");
    assert_int_equal(view.since_ms, 6000);
    for (size_t i = 0; i < array_count(cases); i++) {
        probed(world, 0, cases[i].outcome);
        health_view(world->health, 0, world->now, 5000, &view);
        assert_string_equal(view.last_probe, cases[i].text);
        assert_int_equal(view.last_probe_took_ns, 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_transitions_is_what_the_manual_says),
        cmocka_unit_test(a_new_backend_is_usable_and_the_first_probe_decides_alone),
        cmocka_unit_test(three_failed_probes_take_it_out_and_three_good_ones_bring_it_back),
        cmocka_unit_test(rows_are_broken_by_the_other_result),
        cmocka_unit_test(a_probe_without_room_says_nothing),
        cmocka_unit_test(results_of_another_generation_or_slot_are_ignored),
        cmocka_unit_test(probes_come_at_the_intervals_of_the_states),
        cmocka_unit_test(an_order_says_what_the_configuration_says),
        cmocka_unit_test(an_order_nobody_took_is_given_again_soon),
        cmocka_unit_test(three_failed_connects_in_a_row_take_it_out),
        cmocka_unit_test(a_backend_that_came_back_is_not_held_responsible_for_old_connects),
        cmocka_unit_test(a_silent_path_brings_a_probe_at_once),
        cmocka_unit_test(five_failures_in_a_row_eject),
        cmocka_unit_test(half_of_twenty_requests_in_ten_seconds_eject),
        cmocka_unit_test(failures_older_than_ten_seconds_are_forgotten),
        cmocka_unit_test(ejection_grows_to_its_bound),
        cmocka_unit_test(at_most_thirty_percent_of_a_region_are_ejected),
        cmocka_unit_test(the_last_usable_backend_is_never_ejected),
        cmocka_unit_test(the_last_usable_backend_of_a_service_is_never_ejected),
        cmocka_unit_test(probes_take_out_without_limit),
        cmocka_unit_test(sums_of_another_generation_are_ignored),
        cmocka_unit_test(backends_that_stay_keep_their_health),
        cmocka_unit_test(members_are_what_is_configured_and_was_probed),
        cmocka_unit_test(tries_are_counted_by_region_and_taken_once),
        cmocka_unit_test(the_view_tells_the_last_probe),
    };
    return cmocka_run_group_tests(tests, NULL, destroy_world);
}
