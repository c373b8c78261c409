/* Who may still join a flight (C10, C13, C17, C18). */
#include "tests/unit/coalesce/flight_case.h"

static void c10_a_5xx_goes_to_those_present_only(void **state)
{
    struct client a, b, late;
    client_get(&a, worker, "/");
    client_get(&b, worker, "/");
    head("503", NULL, NULL);
    client_get(&late, worker, "/");
    assert_int_equal(late.subscriber.role, SUBSCRIBER_LED);
    assert_int_equal(worker->upstream->started, 2);
    answer_data(worker, &worker->upstream->tries[0], 10, true);
    assert_whole(&a, 10);
    assert_whole(&b, 10);
    assert_int_equal(a.answer, b.answer);
    client_leave(&a);
    client_leave(&b);
    answer_whole(worker, 5);
    assert_whole(&late, 5);
    client_leave(&late);
}

static void c17_nobody_joins_when_the_prefix_is_gone(void **state)
{
    struct client a, late;
    client_get(&a, worker, "/");
    head("200", NULL, NULL);
    data(WORLD_FLIGHT + 1, false);
    assert_int_equal(counters_of(worker)->removed_prefix, 1);
    client_get(&late, worker, "/");
    assert_int_equal(late.subscriber.role, SUBSCRIBER_LED);
    answer_whole(worker, 1);
    client_leave(&late);
    answer_data(worker, &worker->upstream->tries[0], 1, true);
    assert_whole(&a, WORLD_FLIGHT + 2);
    client_leave(&a);
}

static void c17_a_post_stream_is_joined_early_only(void **state)
{
    struct client a, b, late, next;
    client_ask(&a, worker, ROUTE_POST, "POST", "/");
    head("200", NULL, NULL);
    worker->coalesce->snapshot = &world->snapshot;
    world->now += 11 * CLOCK_S;
    data(100, false);
    client_ask(&b, worker, ROUTE_POST, "POST", "/");
    assert_int_equal(b.subscriber.role, SUBSCRIBER_JOINED); /* late, but within the first 64 KiB */
    flight_of_feed(a.subscriber.home)->flight_bytes = 1 << 20;
    client_drink(&a);
    client_drink(&b);
    data(30000, false);
    client_ask(&late, worker, ROUTE_POST, "POST", "/");
    assert_int_equal(late.subscriber.role, SUBSCRIBER_JOINED);
    client_leave(&late);
    flight_of_feed(a.subscriber.home)->feed.body.written_bytes += POST_JOIN_BYTES;
    client_ask(&next, worker, ROUTE_POST, "POST", "/");
    flight_of_feed(a.subscriber.home)->feed.body.written_bytes -= POST_JOIN_BYTES;
    assert_int_equal(next.subscriber.role, SUBSCRIBER_LED);
    assert_int_equal(counters_of(worker)->removed_late, 1);
    client_leave(&a);
    client_leave(&b);
    client_leave(&next);
}

static void c17_a_get_is_joined_at_any_time(void **state)
{
    struct client a, late;
    client_get(&a, worker, "/");
    head("200", NULL, NULL);
    world->now += 11 * CLOCK_S;
    data(100, false);
    flight_of_feed(a.subscriber.home)->flight_bytes = 1 << 20;
    flight_of_feed(a.subscriber.home)->feed.body.written_bytes += POST_JOIN_BYTES;
    client_get(&late, worker, "/");
    flight_of_feed(a.subscriber.home)->feed.body.written_bytes -= POST_JOIN_BYTES;
    assert_int_equal(late.subscriber.role, SUBSCRIBER_JOINED);
    client_leave(&late);
    client_leave(&a);
    world_pass(world, CLOCK_S);
}

static void c18_nobody_joins_a_stalled_flight(void **state)
{
    struct client a, b, late;
    client_get(&a, worker, "/");
    world_pass(world, 20 * CLOCK_S); /* no headers yet: not stalled */
    client_get(&b, worker, "/");
    assert_int_equal(b.subscriber.role, SUBSCRIBER_JOINED);
    head("200", NULL, NULL);
    data(10, false);
    world_pass(world, 6 * CLOCK_S);
    client_get(&late, worker, "/");
    assert_int_equal(late.subscriber.role, SUBSCRIBER_LED);
    assert_int_equal(counters_of(worker)->removed_stalled, 1);
    assert_true(flight_of_feed(late.subscriber.home)->entry != NULL);
    client_leave(&a);
    client_leave(&b);
    client_leave(&late);
    world_pass(world, CLOCK_S);
}

static void c13_nobody_joins_who_could_not_get_the_full_time(void **state)
{
    struct client a, late;
    client_get(&a, worker, "/");
    client_prepare(&late, worker, ROUTE_GET, "GET", "/", NULL, false);
    late.asked.deadline_ns = world->now + FLIGHT_TIME_MAX_NS + 1;
    client_subscribe(&late);
    assert_int_equal(late.subscriber.role, SUBSCRIBER_LED);
    assert_int_equal(counters_of(worker)->refused_cap, 1);
    client_leave(&a);
    client_leave(&late);
    world_pass(world, CLOCK_S);
}

/* What tests reckon with stands in docs/coalescing.md: here it is held against the text. */
static void the_numbers_are_those_of_the_rules(void **state)
{
    assert_int_equal(FLIGHT_TIME_MAX_NS, 600 * CLOCK_S);
    assert_int_equal(STALLED_AFTER_NS, 5 * CLOCK_S);
    assert_int_equal(SLOW_FOR_NS, 250 * CLOCK_MS);
    assert_int_equal(POST_JOIN_FOR_NS, 10 * CLOCK_S);
    assert_int_equal(POST_JOIN_BYTES, 65536);
    assert_int_equal(SUBSCRIBERS_MAX, 65536);
    assert_int_equal(PRINCIPAL_KEYS_MAX, 1024);
    assert_int_equal(MARKERS_MAX, 65536);
    assert_int_equal(PICKS_MAX, 3);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(the_numbers_are_those_of_the_rules),
        CASE(c10_a_5xx_goes_to_those_present_only),
        CASE(c17_nobody_joins_when_the_prefix_is_gone),
        CASE(c17_a_post_stream_is_joined_early_only),
        CASE(c17_a_get_is_joined_at_any_time),
        CASE(c18_nobody_joins_a_stalled_flight),
        CASE(c13_nobody_joins_who_could_not_get_the_full_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
