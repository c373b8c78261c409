/* upstream_h1: connections of HTTP/1.1 as a pool: one attempt each, and none after doubt (C26). */
#include "tests/unit/upstream/upstream_world.h"

#define EMPTY "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"

static struct h1 *h1;

static int http1_setup(void **state)
{
    struct h1_config config = {.connections_max = 64,
                               .blocks_max = 4,
                               .header_list_bytes = 1024,
                               .first_window_bytes = 4096,
                               .socket_id = -1};
    world_config();
    h1 = h1_create(&config);
    assert_non_null(h1);
    world.config.h1 = h1;
    world.config.http1_connections = 2;
    for (uint32_t i = 0; i < WORLD_BACKENDS; i++)
        world.backends[i].protocol = UPSTREAM_HTTP1;
    world_create();
    return 0;
}

static int http1_teardown(void **state)
{
    upstream_drain(world.upstream, world.now);
    world_end_connects();
    world_tick();
    world_pass(12 * SECOND);
    assert_int_equal(upstream_connection_count(world.upstream), 0);
    assert_int_equal(upstream_waiting_count(world.upstream), 0);
    assert_int_equal(h1_objects_used(h1), 0);
    assert_int_equal(fake_tcp.held, 0);
    assert_int_equal(world.wheel.armed_count, 0);
    for (uint32_t i = 0; i < WORLD_BACKENDS; i++)
        assert_int_equal(world_load(i)->in_flight + world_load(i)->connections, 0);
    memory_reset();
    return 0;
}

#define http1_test(name) cmocka_unit_test_setup_teardown(name, http1_setup, http1_teardown)

static void flush(void)
{
    h1_flush(h1, world.now);
    world_tick();
}

static void established(uint32_t index)
{
    fake_tcp_tell(world_tcp(index), TCP_OPENED, world.now);
    world_tick();
    flush();
}

/* Start one that has to wait for no other. */
static void begin(struct try *try)
{
    uint32_t connects = fake_tcp.count;
    try_init(try);
    assert_true(try_start(try, 0));
    world_tick();
    world_tick();
    if (fake_tcp.count > connects)
        established(connects);
    flush();
    assert_int_equal(try->attempt.state, ATTEMPT_OPEN);
    assert_true(try->attempt.began);
}

static void answer(uint32_t index, const char *text)
{
    fake_tcp_feed(world_tcp(index), text, world.now);
    flush();
}

static void one_attempt_each_up_to_the_bound_and_the_rest_waits(void **state)
{
    struct try tries[3];
    for (uint32_t i = 0; i < 3; i++) {
        try_init(&tries[i]);
        assert_true(try_start(&tries[i], 0));
    }
    world_tick();
    assert_int_equal(fake_tcp.count, 2);
    established(0);
    established(1);
    assert_int_equal(tries[0].attempt.state, ATTEMPT_OPEN);
    assert_int_equal(tries[1].attempt.state, ATTEMPT_OPEN);
    assert_int_equal(tries[2].attempt.state, ATTEMPT_WAITING);
    answer(1, EMPTY);
    assert_int_equal(tries[1].done, 1);
    assert_int_equal(tries[2].attempt.state, ATTEMPT_OPEN);
    flush();
    answer(1, EMPTY);
    answer(0, EMPTY);
    assert_int_equal(tries[0].done + tries[2].done, 2);
    assert_int_equal(fake_tcp.count, 2);
    assert_int_equal(world_load(0)->outcomes[BACKEND_SUCCESS], 3);
}

static void after_doubt_a_connection_is_closed_and_not_pooled(void **state)
{
    static const struct {
        const char *answer;
        bool done;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", true},
        {"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", true},
        {EMPTY "x", true},
        {"HTTP/1.1 200 OK\r\ncontent-length : 0\r\n\r\n", false},
        {"HTTP/1.1 101 Switching\r\n\r\n", false},
    };
    for (uint32_t i = 0; i < array_count(cases); i++) {
        struct try try;
        begin(&try);
        answer(i, cases[i].answer);
        assert_int_equal(try.done, cases[i].done);
        assert_int_equal(try.failed, !cases[i].done);
        if (try.failed)
            assert_int_equal(try.why, ATTEMPT_MALFORMED);
        assert_int_not_equal(world_tcp(i)->state, FAKE_TCP_HELD);
        assert_int_equal(fake_tcp.count, i + 1);
    }
}

static void a_cancelled_attempt_costs_its_connection(void **state)
{
    struct try try;
    begin(&try);
    answer(0, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    assert_int_equal(try.data_bytes, 4);
    try_cancel(&try);
    world_tick();
    assert_int_equal(world_tcp(0)->state, FAKE_TCP_ABORTED);
}

static void an_answer_until_close_is_said_to_be_one(void **state)
{
    struct try try;
    begin(&try);
    answer(0, "HTTP/1.1 200 OK\r\n\r\nsome");
    assert_true(try.attempt.until_close);
    fake_tcp_tell(world_tcp(0), TCP_EOF, world.now);
    world_tick();
    assert_int_equal(try.done, 1);
    assert_int_equal(try.ended, 1);
}

static void an_answer_that_is_cut_is_a_lost_connection(void **state)
{
    struct try try;
    begin(&try);
    answer(0, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    fake_tcp_tell(world_tcp(0), TCP_EOF, world.now);
    world_tick();
    assert_int_equal(try.failed, 1);
    assert_int_equal(try.why, ATTEMPT_CONNECTION_LOST);
    assert_int_equal(world_load(0)->outcomes[BACKEND_LOST_MID_BODY], 1);
}

/* Only a connection that had idled, and only at once: everything else is the backend's failure. */
static void meeting_the_end_of_an_idle_connection_blames_nobody(void **state)
{
    struct try try;
    begin(&try);
    answer(0, EMPTY);
    begin(&try);
    assert_int_equal(fake_tcp.count, 1);
    fake_tcp_fail(world_tcp(0), TCP_FAILURE_RESET, world.now);
    world_tick();
    assert_int_equal(try.why, ATTEMPT_STALE);
    assert_int_equal(world_load(0)->outcomes[BACKEND_LOST_EARLY], 0);

    begin(&try);
    fake_tcp_tell(world_tcp(1), TCP_EOF, world.now);
    world_tick();
    assert_int_equal(try.why, ATTEMPT_CONNECTION_LOST);
    assert_int_equal(world_load(0)->outcomes[BACKEND_LOST_EARLY], 1);

    begin(&try);
    answer(2, EMPTY);
    begin(&try);
    world_pass(100 * MS);
    fake_tcp_fail(world_tcp(2), TCP_FAILURE_RESET, world.now);
    world_tick();
    assert_int_equal(try.why, ATTEMPT_CONNECTION_LOST);
}

static void idle_connections_are_closed_before_the_backend_does(void **state)
{
    struct try try;
    begin(&try);
    answer(0, EMPTY);
    world_pass(3 * SECOND);
    assert_int_equal(world_tcp(0)->state, FAKE_TCP_HELD);
    world_pass(2 * SECOND);
    flush();
    assert_int_equal(world_tcp(0)->state, FAKE_TCP_CLOSED);

    begin(&try);
    answer(1, "HTTP/1.1 200 OK\r\nkeep-alive: timeout=10\r\ncontent-length: 0\r\n\r\n");
    world_pass(8 * SECOND);
    assert_int_equal(world_tcp(1)->state, FAKE_TCP_HELD);
    world_pass(2 * SECOND);
    assert_int_equal(world_tcp(1)->state, FAKE_TCP_CLOSED);
}

static void a_connection_closed_between_two_attempts_is_not_used(void **state)
{
    struct try try;
    begin(&try);
    answer(0, EMPTY);
    fake_tcp_tell(world_tcp(0), TCP_EOF, world.now);
    begin(&try);
    assert_int_equal(fake_tcp.count, 2);
    answer(1, EMPTY);
    assert_int_equal(try.done, 1);
}

/* A stream may last: who waits behind it does not wait for its end when a connect has failed. */
static void a_connect_that_failed_is_tried_again_for_those_who_wait(void **state)
{
    struct try stream, other;
    begin(&stream);
    answer(0, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    try_init(&other);
    assert_true(try_start(&other, 0));
    world_tick();
    assert_int_equal(fake_tcp.count, 2);
    fake_tcp_fail(world_tcp(1), TCP_FAILURE_REFUSED, world.now);
    world_tick();
    assert_int_equal(other.attempt.state, ATTEMPT_WAITING);
    world_pass(2 * SECOND);
    assert_int_equal(fake_tcp.count, 3);
    established(2);
    answer(2, EMPTY);
    assert_int_equal(other.done, 1);
    try_cancel(&stream);
    world_tick();
}

/* Bytes that nobody asked for, before anybody was told of them: one connection less, no failure. */
static void who_waits_is_not_given_to_a_connection_that_has_spoken(void **state)
{
    struct try try;
    begin(&try);
    answer(0, EMPTY);
    world_tcp(0)->unread = bytes_text("HTTP/1.1 408 Request Timeout\r\n\r\n");
    begin(&try);
    assert_int_equal(fake_tcp.count, 2);
    assert_int_equal(world_tcp(0)->state, FAKE_TCP_ABORTED);
    answer(1, EMPTY);
    assert_int_equal(try.done, 1);
    assert_int_equal(world.counters->attempts_no_room, 0);
}

static void what_http1_cannot_say_is_not_begun(void **state)
{
    struct try try;
    try_init(&try);
    try.asks_tunnel = true;
    assert_true(try_start(&try, 0));
    world_tick();
    established(0);
    assert_int_equal(try.why, ATTEMPT_NO_TUNNEL);
    assert_false(try.attempt.began);

    try_init(&try);
    try.path = "/ HTTP/1.1\r\nx: y";
    assert_true(try_start(&try, 0));
    world_tick();
    flush();
    assert_int_equal(try.why, ATTEMPT_UNTRANSLATABLE);
    assert_false(try.attempt.began);
    assert_int_equal(world_tcp(0)->state, FAKE_TCP_HELD); /* nothing was sent on it */
    begin(&try);
    assert_int_equal(fake_tcp.count, 1);
    answer(0, EMPTY);
    assert_int_equal(try.done, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        http1_test(one_attempt_each_up_to_the_bound_and_the_rest_waits),
        http1_test(after_doubt_a_connection_is_closed_and_not_pooled),
        http1_test(a_cancelled_attempt_costs_its_connection),
        http1_test(an_answer_until_close_is_said_to_be_one),
        http1_test(an_answer_that_is_cut_is_a_lost_connection),
        http1_test(meeting_the_end_of_an_idle_connection_blames_nobody),
        http1_test(idle_connections_are_closed_before_the_backend_does),
        http1_test(a_connection_closed_between_two_attempts_is_not_used),
        http1_test(a_connect_that_failed_is_tried_again_for_those_who_wait),
        http1_test(who_waits_is_not_given_to_a_connection_that_has_spoken),
        http1_test(what_http1_cannot_say_is_not_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
