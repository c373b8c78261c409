/* Windows, slow subscribers and memory (C15, C16). */
#include "tests/unit/coalesce/flight_case.h"

static void the_window_stays_shut_while_too_much_is_held(void **state)
{
    struct client client;
    client_ask(&client, worker, ROUTE_OFF, "GET", "/");
    head("200", NULL, NULL);
    data(WORLD_FLIGHT, false);
    assert_int_equal(last_try()->consumed, WORLD_FLIGHT);
    data(1000, false);
    assert_int_equal(last_try()->consumed, WORLD_FLIGHT);
    client_read(&client, 900);
    client_release_all(&client);
    assert_int_equal(last_try()->consumed, WORLD_FLIGHT); /* within the first segment */
    client_read(&client, 200);
    client_release_all(&client);
    assert_int_equal(last_try()->consumed, WORLD_FLIGHT + 1000);
    client_drink(&client);
    assert_true(pool_used(&worker->coalesce->payload.segments) <= 1);
    data(10, true);
    assert_whole(&client, WORLD_FLIGHT + 1010);
    client_leave(&client);
}

static void what_everybody_has_read_is_let_go_of(void **state)
{
    struct client clients[3];
    for (int i = 0; i < 3; i++)
        client_get(&clients[i], worker, "/");
    head("200", NULL, NULL);
    for (int round = 0; round < 100; round++) {
        data(1500, false);
        for (int i = 0; i < 3; i++)
            client_drink(&clients[i]);
        assert_true(pool_used(&worker->coalesce->payload.segments) <= WORLD_FLIGHT / 1024 + 2);
    }
    data(1, true);
    for (int i = 0; i < 3; i++) {
        assert_whole(&clients[i], 150001);
        client_leave(&clients[i]);
    }
}

static void memory_moves_on_when_the_slowest_leaves(void **state)
{
    struct client fast, slow;
    client_get(&fast, worker, "/");
    client_get(&slow, worker, "/");
    head("200", NULL, NULL);
    data(WORLD_FLIGHT, false);
    data(WORLD_FLIGHT, false);
    client_drink(&fast);
    assert_int_equal(last_try()->consumed, WORLD_FLIGHT);
    client_leave(&slow);
    assert_int_equal(last_try()->consumed, 2 * WORLD_FLIGHT);
    data(1, true);
    assert_whole(&fast, 2 * WORLD_FLIGHT + 1);
    client_leave(&fast);
}

static void c15_who_holds_the_others_back_is_cut_off(void **state)
{
    struct client fast, slow, slower;
    client_get(&fast, worker, "/");
    client_get(&slow, worker, "/");
    client_get(&slower, worker, "/");
    head("200", NULL, NULL);
    data(WORLD_FLIGHT + 1, false);
    client_drink(&fast);
    client_read(&slow, 10);
    world_pass(world, 249 * CLOCK_MS);
    assert_int_equal(slow.subscriber.role, SUBSCRIBER_JOINED);
    assert_ptr_equal(slow.subscriber.feed, fast.subscriber.feed);
    world_pass(world, 2 * CLOCK_MS);
    assert_int_equal(counters_of(worker)->detached_slow, 2);
    assert_int_equal(last_try()->consumed, WORLD_FLIGHT + 1);
    assert_failed(&slow, FLIGHT_TOO_SLOW);
    assert_failed(&slower, FLIGHT_TOO_SLOW);
    client_leave(&slow);
    client_leave(&slower);
    data(1, true);
    assert_whole(&fast, WORLD_FLIGHT + 2);
    client_leave(&fast);
}

/* A worker with more to do than it can: not all have had a turn when the time is over. */
static void c15_who_waits_for_its_turn_is_not_slow(void **state)
{
    struct client fast, waiting, slow;
    client_get(&fast, worker, "/");
    client_get(&waiting, worker, "/");
    client_get(&slow, worker, "/");
    waiting.waits_its_turn = true;
    head("200", NULL, NULL);
    data(WORLD_FLIGHT + 1, false);
    client_drink(&fast);
    world_pass(world, 251 * CLOCK_MS);
    assert_int_equal(counters_of(worker)->detached_slow, 1);
    assert_failed(&slow, FLIGHT_TOO_SLOW);
    client_leave(&slow);
    data(1, true);
    assert_whole(&waiting, WORLD_FLIGHT + 2);
    assert_whole(&fast, WORLD_FLIGHT + 2);
    client_leave(&waiting);
    client_leave(&fast);
}

static void c15_who_had_its_turn_and_reads_nothing_is_cut_off_then(void **state)
{
    struct client fast, slow;
    client_get(&fast, worker, "/");
    client_get(&slow, worker, "/");
    slow.waits_its_turn = true;
    head("200", NULL, NULL);
    data(WORLD_FLIGHT + 1, false);
    client_drink(&fast);
    world_pass(world, CLOCK_S);
    assert_int_equal(counters_of(worker)->detached_slow, 0);
    slow.waits_its_turn = false;
    world_pass(world, 11 * CLOCK_MS);
    assert_failed(&slow, FLIGHT_TOO_SLOW);
    client_leave(&slow);
    client_leave(&fast);
    world_pass(world, CLOCK_S);
}

static void c15_who_keeps_up_does_not_pay_for_another(void **state)
{
    struct client fast, steady, slow;
    client_get(&fast, worker, "/");
    client_get(&steady, worker, "/");
    client_get(&slow, worker, "/");
    head("200", NULL, NULL);
    data(WORLD_FLIGHT + 1, false);
    client_drink(&fast);
    client_drink(&steady);
    world_pass(world, 251 * CLOCK_MS);
    assert_failed(&slow, FLIGHT_TOO_SLOW);
    client_leave(&slow);
    for (int round = 0; round < 3; round++) { /* the time of the flight is used up */
        data(WORLD_FLIGHT + WORLD_SEGMENT, false);
        client_drink(&fast);
        world_pass(world, CLOCK_MS);
        client_drink(&steady);
    }
    assert_int_equal(counters_of(worker)->detached_slow, 1);
    data(1, true);
    assert_whole(&fast, 4 * WORLD_FLIGHT + 3 * WORLD_SEGMENT + 2);
    assert_whole(&steady, 4 * WORLD_FLIGHT + 3 * WORLD_SEGMENT + 2);
    client_leave(&fast);
    client_leave(&steady);
}

static void c15_those_who_are_equally_slow_stay(void **state)
{
    struct client a, b;
    client_get(&a, worker, "/");
    client_get(&b, worker, "/");
    head("200", NULL, NULL);
    data(WORLD_FLIGHT + 1, false);
    world_pass(world, CLOCK_S);
    assert_int_equal(counters_of(worker)->detached_slow, 0);
    data(1, true);
    assert_whole(&a, WORLD_FLIGHT + 2);
    assert_whole(&b, WORLD_FLIGHT + 2);
    client_leave(&a);
    client_leave(&b);
}

static void alone_a_subscriber_may_be_as_slow_as_it_is(void **state)
{
    struct client a;
    client_get(&a, worker, "/");
    head("200", NULL, NULL);
    data(WORLD_FLIGHT + 1, false);
    world_pass(world, 40 * CLOCK_S); /* beyond the idle timeout: it is not the backend's fault */
    assert_false(a.failed);
    data(1, true);
    assert_whole(&a, WORLD_FLIGHT + 2);
    client_leave(&a);
}

static void an_answer_for_one_only_is_held_in_small_amounts(void **state)
{
    struct client own, shared;
    uint32_t most = 64 * 1024;
    use_sizes(8, 4 * most / WORLD_SEGMENT);
    client_ask(&own, worker, ROUTE_OFF, "GET", "/");
    flight_of_feed(own.subscriber.home)->flight_bytes = 1 << 20; /* the route's */
    head("200", NULL, NULL);
    data(most, false);
    assert_int_equal(last_try()->consumed, most);
    data(1, false);
    assert_int_equal(last_try()->consumed, most);
    client_drink(&own);
    assert_int_equal(last_try()->consumed, most + 1);
    client_leave(&own);

    client_get(&shared, worker, "/");
    flight_of_feed(shared.subscriber.home)->flight_bytes = 1 << 20;
    head("200", NULL, NULL);
    data(most, false);
    data(1, false);
    assert_int_equal(last_try()->consumed, most + 1); /* others may still join */
    data(1, true);
    client_leave(&shared);
}

static void windows_stay_shut_while_memory_is_low(void **state)
{
    struct client clients[7];
    struct fake_try *tries = worker->upstream->tries;
    for (uint32_t i = 0; i < array_count(clients); i++)
        client_get_as(&clients[i], worker, 1 + i, ROUTE_OFF, "/");
    for (size_t i = 0; i < array_count(clients); i++) {
        answer_head(worker, &tries[i], "200", NULL, NULL, false);
        answer_data(worker, &tries[i], WORLD_FLIGHT, false);
    }
    assert_int_equal(tries[6].consumed, WORLD_FLIGHT); /* 8 of 64 segments are free */
    answer_data(worker, &tries[0], 1, false);
    client_drink(&clients[1]);
    answer_data(worker, &tries[1], 7 * 1024, false);
    answer_data(worker, &tries[1], 1000, false); /* and now 7 */
    assert_int_equal(tries[1].consumed, WORLD_FLIGHT + 7 * 1024);
    assert_int_equal(counters_of(worker)->windows_held_memory, 1);
    coalesce_tick(worker->coalesce, world->now);
    assert_int_equal(tries[1].consumed, WORLD_FLIGHT + 7 * 1024);
    client_drink(&clients[2]);
    coalesce_tick(worker->coalesce, world->now);
    assert_int_equal(tries[1].consumed, tries[1].sent);
    for (size_t i = 0; i < array_count(clients); i++)
        client_leave(&clients[i]);
}

static void without_payload_memory_the_flight_fails_and_new_ones_are_shed(void **state)
{
    static const size_t sizes[] = {32 * 1024, 20 * 1024, 9 * 1024};
    struct client clients[3], next;
    struct fake_try *tries = worker->upstream->tries;
    for (uint32_t i = 0; i < array_count(clients); i++) {
        client_get_as(&clients[i], worker, 1 + i, ROUTE_OFF, "/");
        answer_head(worker, &tries[i], "200", NULL, NULL, false);
        answer_data(worker, &tries[i], sizes[i], false);
    }
    client_get_as(&next, worker, 9, ROUTE_OFF, "/"); /* 3 of 64 segments are free */
    assert_int_equal(next.result, SUBSCRIBE_SHED);
    assert_int_equal(next.subscriber.limit, LIMIT_PAYLOAD);
    assert_int_equal(counters_of(worker)->shed_payload, 1);
    answer_data(worker, &tries[2], 4 * 1024, false);
    assert_failed(&clients[2], FLIGHT_NO_MEMORY);
    for (size_t i = 0; i < array_count(clients); i++)
        client_leave(&clients[i]);
}

static void without_flights_new_requests_are_shed_but_joining_goes_on(void **state)
{
    struct client clients[16], more;
    for (uint32_t i = 0; i < array_count(clients); i++)
        client_get_as(&clients[i], worker, 1 + i, i == 0 ? ROUTE_GET : ROUTE_OFF, "/");
    client_ask(&more, worker, ROUTE_OFF, "GET", "/");
    assert_int_equal(more.result, SUBSCRIBE_SHED);
    assert_int_equal(more.subscriber.limit, LIMIT_FLIGHTS);
    assert_int_equal(more.subscriber.role, SUBSCRIBER_NONE);
    client_get(&more, worker, "/");
    assert_int_equal(more.subscriber.role, SUBSCRIBER_JOINED);
    client_leave(&more);
    for (size_t i = 0; i < array_count(clients); i++)
        client_leave(&clients[i]);
    world_pass(world, CLOCK_S);
}

static void every_failed_allocation_is_reported(void **state)
{
    struct coalesce_config config = worker->coalesce->config;
    for (uint32_t n = 0; n < 100; n++) {
        memory_reset();
        config.table = coalesce_table_create(64, 1, 2, -1);
        memory_fail_after(n);
        if (coalesce_create(&config) != NULL) {
            assert_true(n > 10);
            free(worker->upstream);
            free(world);
            memory_reset();
            set_up(state);
            return;
        }
    }
    fail();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(the_window_stays_shut_while_too_much_is_held),
        CASE(what_everybody_has_read_is_let_go_of),
        CASE(memory_moves_on_when_the_slowest_leaves),
        CASE(c15_who_holds_the_others_back_is_cut_off),
        CASE(c15_who_waits_for_its_turn_is_not_slow),
        CASE(c15_who_had_its_turn_and_reads_nothing_is_cut_off_then),
        CASE(c15_who_keeps_up_does_not_pay_for_another),
        CASE(c15_those_who_are_equally_slow_stay),
        CASE(alone_a_subscriber_may_be_as_slow_as_it_is),
        CASE(an_answer_for_one_only_is_held_in_small_amounts),
        CASE(windows_stay_shut_while_memory_is_low),
        CASE(without_payload_memory_the_flight_fails_and_new_ones_are_shed),
        CASE(without_flights_new_requests_are_shed_but_joining_goes_on),
        CASE(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
