/*
 * Workers that are not run for a while: what they missed is no evidence against anybody. Packets
 * that arrived meanwhile are looked at before timers; silence counts while somebody listens.
 */
#include "dataplane/base/clock.h"
#include "tests/support/checks.h"
#include "tests/support/cmocka.h"

#include <stdio.h>

#define REQUESTS 90u /* more than a burst of packets, less than a client's streams */

static struct world *open_world(uint16_t workers, uint64_t seed)
{
    struct world_config config = {.seed = seed, .workers = workers, .lag_permille = 1000};
    return world_open(&config);
}

/* Each with an answer of several packets. */
static void ask(struct world *world, struct client_conn *conn)
{
    char path[64];
    for (uint32_t i = 0; i < REQUESTS; i++) {
        snprintf(path, sizeof(path), "/own/%u?size=3000", i);
        world_get(world, conn, path);
    }
}

static bool all_arrived(struct world *world, void *context)
{
    return world->log.count >= *(const uint32_t *)context;
}

/* Connections to backends are there, and known to work. */
static uint32_t warm_up(struct world *world, struct client_conn *conn)
{
    for (int round = 0; round < 4; round++) {
        ask(world, conn);
        assert_true(world_run(world));
    }
    return world->log.count;
}

/* Ask, and stop the worker when all requests are at the backends and no answer is here. */
static void ask_and_freeze(struct world *world, struct client_conn *conn, uint64_t length_ns)
{
    uint32_t expected = world->log.count + REQUESTS;
    world_plan(world, &(struct backend_plan){.head_after_ns = 2 * CLOCK_MS});
    ask(world, conn);
    assert_true(world_run_until(world, all_arrived, &expected, 10 * CLOCK_S));
    world_freeze(world, 0, length_ns);
}

static uint64_t count(struct world *world, const char *layer, const char *name)
{
    return world_counter(world, layer, name);
}

/* All were answered, each by one attempt. */
static void assert_asked_once(struct world *world, uint32_t requests)
{
    assert_int_equal(world->log.count, requests);
    assert_int_equal(count(world, "coalesce", "completed"), requests);
}

static void assert_nobody_suspected(struct world *world)
{
    assert_int_equal(count(world, "upstream", "suspicions"), 0);
    assert_int_equal(count(world, "coalesce", "retries_suspected"), 0);
    assert_int_equal(count(world, "coalesce", "retries_silent"), 0);
    assert_int_equal(count(world, "tcp", "retransmit_timeouts"), 0);
    assert_int_equal(count(world, "upstream", "connections_lost"), 0);
}

static void a_worker_that_was_not_run_suspects_nobody(void **state)
{
    static const uint64_t lengths_ns[] = {
        100 * CLOCK_MS, 200 * CLOCK_MS, 300 * CLOCK_MS, 600 * CLOCK_MS,
        1 * CLOCK_S,    3 * CLOCK_S,    5 * CLOCK_S,
    };
    for (uint64_t i = 0; i < array_count(lengths_ns); i++) {
        struct world *world = open_world(1, 1 + i);
        struct client_conn *conn = world_connect(world, 0, i % 2 == 0);
        uint32_t before = warm_up(world, conn);
        ask_and_freeze(world, conn, lengths_ns[i]);
        assert_true(world_run(world));
        assert_asked_once(world, before + REQUESTS);
        assert_nobody_suspected(world);
        assert_int_equal(count(world, "worker", "gaps"), 1);
        assert_true(count(world, "worker", "timers_put_off") > 0);
        assert_true(check_and_close(world));
    }
}

static void many_short_gaps_are_no_evidence_either(void **state)
{
    struct world *world = open_world(1, 20);
    struct client_conn *conn = world_connect(world, 0, false);
    uint32_t before = warm_up(world, conn);
    world_plan(world, &(struct backend_plan){.head_after_ns = CLOCK_S});
    ask(world, conn);
    for (int i = 0; i < 20; i++) {
        world_freeze(world, 0, 70 * CLOCK_MS);
        world_run_for(world, 72 * CLOCK_MS);
    }
    assert_true(world_run(world));
    assert_asked_once(world, before + REQUESTS);
    assert_nobody_suspected(world);
    assert_true(check_and_close(world));
}

/* Every packet arrives at the second worker, who hands the first one's over. */
static uint16_t to_the_second(void *context, uint16_t end, const uint8_t *frame, uint16_t length)
{
    return end == 0 ? 1 : 0;
}

static void packets_that_lie_with_another_worker_are_waited_for(void **state)
{
    struct world *world = open_world(2, 30);
    struct client_conn *conn = world_connect_to(world, 0, false);
    uint32_t before = warm_up(world, conn);
    wire_set_steer(world->back, to_the_second, NULL);
    world_freeze(world, 1, 400 * CLOCK_MS);
    ask(world, conn);
    assert_true(world_run(world));
    assert_asked_once(world, before + REQUESTS);
    assert_int_equal(count(world, "upstream", "suspicions"), 0);
    assert_true(count(world, "upstream", "suspicions_put_off") > 0);
    assert_true(check_and_close(world));
}

/* What a gap excuses it does not excuse for ever. */
static void backends_that_are_silent_after_a_gap_are_found(void **state)
{
    struct world *world = open_world(1, 40);
    struct client_conn *conn = world_connect(world, 0, false);
    warm_up(world, conn);
    for (uint16_t region = 0; region < WORLD_REGIONS; region++)
        world_region_die(world, region);
    ask(world, conn);
    world_freeze(world, 0, 3 * CLOCK_S);
    world_run_for(world, 3 * CLOCK_S + 600 * CLOCK_MS);
    assert_true(count(world, "upstream", "suspicions") > 0);
    for (uint16_t region = 0; region < WORLD_REGIONS; region++)
        world_region_up(world, region);
    assert_true(world_run(world));
    assert_true(check_and_close(world));
}

#define FLOOD_BACKLOG 1024u /* more than a worker takes in the turns of a step */

/* Frames of nobody's protocol: the worker's queue is never empty. */
static void flood(struct world *world, uint16_t worker, uint64_t length_ns)
{
    static const uint8_t frame[64] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,
                                      0,    0,    0,    0,    9,    0x88, 0xb5};
    const struct wire_statistics *statistics = wire_statistics(world->back);
    uint64_t enough = statistics->delivered + FLOOD_BACKLOG;
    uint64_t sent = statistics->delivered;
    for (uint64_t end = world->now + length_ns; world->now < end;) {
        for (; sent < enough; sent++)
            wire_deliver(world->back, 0, worker, frame, sizeof(frame));
        world_run_for(world, CLOCK_MS);
        enough = statistics->delivered + FLOOD_BACKLOG;
    }
}

/* It looks all the time, and never sees the end of its queue. */
static void a_worker_that_is_flooded_does_not_stop_others_from_suspecting(void **state)
{
    struct world *world = open_world(2, 60);
    struct client_conn *conn = world_connect_to(world, 0, false);
    warm_up(world, conn);
    for (uint16_t region = 0; region < WORLD_REGIONS; region++)
        world_region_die(world, region);
    ask(world, conn);
    flood(world, 1, 600 * CLOCK_MS);
    assert_true(count(world, "upstream", "suspicions") > 0);
    for (uint16_t region = 0; region < WORLD_REGIONS; region++)
        world_region_up(world, region);
    assert_true(world_run(world));
    assert_true(check_and_close(world));
}

/* Clocks that differ by a third of a minute: deadlines that two workers see are neither early nor
 * late. */
static void workers_with_different_clocks_share_flights(void **state)
{
    struct world *world = open_world(2, 50);
    struct client_conn *owner = world_connect_to(world, 0, false);
    struct client_conn *other = world_connect_to(world, 1, false);
    for (uint32_t late = 0; late < 2; late++) {
        world_freeze(world, late, 20 * CLOCK_S);
        world_run_for(world, 21 * CLOCK_S);
        world_plan(world, &(struct backend_plan){.head_after_ns = 2 * CLOCK_S});
        uint32_t before = world->log.count;
        struct client_request *first = world_get(world, owner, "/share?size=5000");
        world_run_for(world, 100 * CLOCK_MS);
        struct client_request *second = world_get(world, other, "/share?size=5000");
        assert_true(world_run(world));
        assert_true(client_is_whole(first, 200, 5000));
        assert_true(client_is_whole(second, 200, 5000));
        assert_int_equal(world->log.count, before + 1);
        assert_int_equal(count(world, "coalesce", "joined_remote"), late + 1);
    }
    assert_true(check_and_close(world));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_that_was_not_run_suspects_nobody),
        cmocka_unit_test(many_short_gaps_are_no_evidence_either),
        cmocka_unit_test(packets_that_lie_with_another_worker_are_waited_for),
        cmocka_unit_test(backends_that_are_silent_after_a_gap_are_found),
        cmocka_unit_test(a_worker_that_is_flooded_does_not_stop_others_from_suspecting),
        cmocka_unit_test(workers_with_different_clocks_share_flights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
