/* upstream: backends that fall silent, and when that is believed (failover.md, "Suspicion"). */
#include "tests/unit/upstream/upstream_world.h"

static void nobody_waits_for_an_unanswered_syn(void **state)
{
    struct try first, second;
    try_init(&first);
    try_init(&second);
    try_start(&first, 0);
    world_pass(249 * MS);
    assert_int_equal(first.failed, 0);
    world_pass(3 * MS);
    assert_int_equal(first.why, ATTEMPT_CONNECT_TIMEOUT);
    assert_int_equal(world_load(0)->suspected, 1);
    assert_int_equal(world_load(0)->outcomes[BACKEND_CONNECT_FAILED], 0); /* not yet */
    try_start(&second, 0);
    world_tick();
    assert_int_equal(fake_tcp.count, 2); /* by a way of its own */
    world_open(0, 100);                  /* but the first may still come */
    assert_int_equal(second.attempt.state, ATTEMPT_OPEN);
    fake_tcp_fail(world_tcp(1), TCP_FAILURE_TIMEOUT, world.now);
    world_flush();
    world_answer(&second, "200");
}

static void at_the_bound_only_silent_connections_mean_moving_on(void **state)
{
    struct try try;
    world.config.backend_connections = 1;
    world_create();
    try_init(&try);
    try_start(&try, 0);
    world_pass(260 * MS);
    assert_int_equal(try.failed, 1);
    try_start(&try, 0);
    world_tick();
    assert_int_equal(try.failed, 2);
    assert_int_equal(try.why, ATTEMPT_CONNECT_TIMEOUT);
    assert_int_equal(fake_tcp.count, 1);
    fake_tcp_fail(world_tcp(0), TCP_FAILURE_TIMEOUT, world.now);
}

static void a_backend_without_settings_has_failed_to_connect(void **state)
{
    struct try try;
    try_init(&try);
    try_start(&try, 0);
    world_tick();
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    world_pass(510 * MS);
    assert_int_equal(try.why, ATTEMPT_CONNECT_TIMEOUT);
    assert_int_equal(world_load(0)->connect_failed_row, 0);
    world_pass(1600 * MS);
    assert_int_equal(world_load(0)->connect_failed_row, 1);
    assert_int_equal(fake_h2.conns[0].close_code, H2_SETTINGS_TIMEOUT);
    assert_int_equal(upstream_connection_count(world.upstream), 0);
}

static void pings_are_few_and_rarer_each_time(void **state)
{
    struct try try;
    try_open(&try, 0);
    struct h2_conn *conn = world_h2(0);
    static const uint64_t at_ms[] = {1000, 4000, 16000};
    for (uint32_t i = 0; i < 3; i++) {
        world_pass((at_ms[i] - 200) * MS);
        assert_int_equal(conn->pings, i);
        world_pass(400 * MS);
        assert_int_equal(conn->pings, i + 1);
        fake_tcp_tell(world_tcp(0), TCP_READABLE, world.now); /* the PING's acknowledgement */
    }
    world_pass(100 * SECOND);
    assert_int_equal(conn->pings, 3);
    assert_int_equal(try.suspected, 0);
    fake_tcp_tell(world_tcp(0), TCP_READABLE, world.now);
    fake_h2_status(try.attempt.stream, "200", false, world.now);
    world_pass(1200 * MS);
    assert_int_equal(conn->pings, 4); /* a response frame begins the count anew */
    try_cancel(&try);
}

static void an_idle_connection_is_not_pinged(void **state)
{
    struct try try;
    try_open(&try, 0);
    world_answer(&try, "200");
    world_pass(30 * SECOND);
    assert_int_equal(world_h2(0)->pings, 0);
    try_open(&try, 0);
    world_pass(900 * MS); /* silence begins with the attempt */
    assert_int_equal(world_h2(0)->pings, 0);
    try_cancel(&try);
}

static void an_unanswered_ping_is_told_once_and_new_attempts_go_elsewhere(void **state)
{
    struct try first, second;
    try_open(&first, 0);
    world_pass(1200 * MS);
    assert_int_equal(first.suspected, 0);
    world_pass(600 * MS);
    assert_int_equal(first.suspected, 1);
    assert_int_equal(world_load(0)->suspected, 1);
    world_pass(500 * MS);
    assert_int_equal(first.suspected, 1);
    assert_int_equal(first.attempt.state, ATTEMPT_OPEN);
    try_open(&second, 0);
    assert_int_equal(fake_tcp.count, 2);
    fake_tcp_tell(world_tcp(0), TCP_READABLE, world.now); /* it lives */
    world_answer(&first, "200");
    try_open(&first, 0); /* and has the fewest attempts */
    assert_ptr_equal(first.attempt.stream->conn, world_h2(0));
    world_answer(&second, "200");
    world_answer(&first, "200");
    assert_int_equal(first.done, 1);
}

static void unacknowledged_data_is_suspect_by_its_round_trip(void **state)
{
    static const struct {
        uint64_t rtt_ms, unacked_ms;
        bool suspect;
    } cases[] = {{0, 149, false}, {0, 150, true},    {20, 149, false},
                 {20, 151, true}, {100, 299, false}, {100, 300, true}};
    for (uint32_t i = 0; i < array_count(cases); i++) {
        struct try try;
        try_open(&try, 0);
        struct tcp_conn *tcp = try.attempt.stream->conn->transport.stream;
        tcp->info.smoothed_rtt_ns = cases[i].rtt_ms * MS;
        tcp->info.unacked_for_ns = cases[i].unacked_ms * MS;
        world_pass(110 * MS);
        assert_int_equal(try.suspected, cases[i].suspect);
        tcp->info.unacked_for_ns = 0;
        world_pass(510 * MS); /* and is trusted again */
        world_answer(&try, "200");
    }
    assert_int_equal(fake_tcp.count, 1);
}

/* The request was acknowledged, the answer is awaited: TCP is asked, more than once. */
static void a_quiet_path_is_asked_and_suspect_without_an_answer(void **state)
{
    static const struct {
        uint64_t rtt_ms, asked_for_ms;
        bool suspect;
    } cases[] = {{0, 100, false}, {0, 150, true}, {100, 250, false}, {100, 300, true}};
    for (uint32_t i = 0; i < array_count(cases); i++) {
        struct try try;
        try_open(&try, 0);
        struct tcp_conn *tcp = try.attempt.stream->conn->transport.stream;
        uint32_t asked = tcp->asked;
        tcp->info.smoothed_rtt_ns = cases[i].rtt_ms * MS;
        tcp->info.silent_for_ns = 149 * MS;
        world_pass(110 * MS);
        assert_int_equal(tcp->asked, asked);
        while (tcp->asked == asked) { /* it is silent for as long as the hand clock says */
            world_pass(1 * MS);
            tcp->info.silent_for_ns += 1 * MS;
        }
        uint64_t asked_at_ns = world.now;
        while (world.now < asked_at_ns + cases[i].asked_for_ms * MS) {
            world_pass(1 * MS);
            tcp->info.silent_for_ns += 1 * MS;
        }
        assert_true(tcp->asked >= asked + 2);
        world_pass(49 * MS); /* the next look */
        assert_int_equal(try.suspected, cases[i].suspect);
        assert_int_equal(try.suspicion, cases[i].suspect ? SUSPICION_PATH : SUSPICION_NONE);
        tcp->info.silent_for_ns = 0;
        world_pass(510 * MS);
        world_answer(&try, "200");
    }
    assert_int_equal(fake_tcp.count, 1);
}

static void who_answers_each_question_is_never_suspect(void **state)
{
    struct try try;
    try_open(&try, 0);
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t asked = world_tcp(0)->asked;
        world_tcp(0)->info.silent_for_ns = 200 * MS;
        world_pass(60 * MS);
        assert_in_range(world_tcp(0)->asked, asked + 1, asked + 2);
        world_tcp(0)->info.silent_for_ns = 1 * MS;
        world_pass(60 * MS);
        fake_tcp_tell(world_tcp(0), TCP_READABLE, world.now); /* PINGs are another matter */
    }
    assert_int_equal(try.suspected, 0);
    try_cancel(&try);
}

static void a_backend_is_silent_until_something_is_heard_of_it(void **state)
{
    struct try first, second;
    try_open(&first, 0);
    world_tcp(0)->info.unacked_for_ns = 400 * MS;
    world_pass(60 * MS);
    assert_true(backend_is_silent(&world.loads, world.backends[0].slot));
    assert_int_equal(world.loads.silent_count, 1);
    try_open(&second, 0); /* by a connection of its own */
    assert_int_equal(fake_tcp.count, 2);
    assert_false(backend_is_silent(&world.loads, world.backends[0].slot));
    world_pass(600 * MS); /* it is told once; the other one is well */
    assert_int_equal(world.loads.silent_count, 0);
    world_tcp(1)->info.unacked_for_ns = 400 * MS;
    world_pass(60 * MS);
    assert_int_equal(world.loads.silent_count, 1);
    fake_tcp_tell(world_tcp(0), TCP_READABLE, world.now);
    assert_int_equal(world.loads.silent_count, 0);
    try_cancel(&first);
    try_cancel(&second);
}

static void a_silent_connection_without_attempts_is_given_up(void **state)
{
    struct try try;
    try_open(&try, 0);
    try.then = NULL;
    world_tcp(0)->info.unacked_for_ns = 400 * MS;
    world_pass(60 * MS);
    try_cancel(&try);
    world_pass(4 * SECOND);
    assert_int_equal(world.counters->connections_silent, 0);
    assert_int_equal(world.loads.silent_count, 1);
    world_pass(2 * SECOND);
    assert_int_equal(world.counters->connections_silent, 1);
    assert_int_equal(world.loads.silent_count, 0); /* who comes next may try again */
    world_pass(6 * SECOND);
    assert_int_equal(upstream_connection_count(world.upstream), 0);
}

static void cancel_it(struct try *try, uint64_t now)
{
    try_cancel(try);
}

static void suspicion_lets_attempts_go(void **state)
{
    struct try tries[3];
    for (uint32_t i = 0; i < 3; i++) {
        try_open(&tries[i], 0);
        tries[i].then = cancel_it;
    }
    world_tcp(0)->info.unacked_for_ns = 400 * MS;
    world_pass(110 * MS);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(tries[i].suspected, 1);
        assert_int_equal(tries[i].attempt.state, ATTEMPT_IDLE);
    }
    world_tcp(0)->info.unacked_for_ns = 0;
    world_pass(61 * SECOND);
    assert_int_equal(upstream_connection_count(world.upstream), 0);
}

/* --- while somebody who receives is not run --- */

static bool all_look;

static bool do_all_look(const void *context)
{
    return all_look;
}

static void world_create_watched(void)
{
    world_config();
    world.config.all_look = do_all_look;
    world_create();
}

static void silence_that_not_all_would_have_heard_proves_nothing(void **state)
{
    struct try tries[2];
    world_create_watched();
    all_look = false;
    try_open(&tries[0], 0);
    world_tcp(0)->info.unacked_for_ns = SECOND;
    world_pass(SECOND);
    assert_int_equal(tries[0].suspected, 0);
    assert_true(world.counters->suspicions_put_off > 0);
    all_look = true;
    world_pass(10 * MS);
    assert_int_equal(tries[0].suspected, 1);
    all_look = false; /* what was found stands until something is heard */
    world_pass(SECOND);
    try_open(&tries[1], 0);
    assert_int_equal(fake_tcp.count, 2);
    try_cancel(&tries[0]);
    try_cancel(&tries[1]);
}

static void an_unanswered_syn_may_have_been_answered_elsewhere(void **state)
{
    struct try try;
    world_create_watched();
    all_look = false;
    try_init(&try);
    try_start(&try, 0);
    world_pass(SECOND);
    assert_int_equal(try.failed, 0);
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    world_pass(SECOND);
    assert_int_equal(try.failed, 0);
    all_look = true;
    world_pass(10 * MS);
    assert_int_equal(try.why, ATTEMPT_CONNECT_TIMEOUT);
    all_look = false; /* without SETTINGS there is an end to it whoever looks */
    world_pass(SECOND);
    assert_int_equal(upstream_connection_count(world.upstream), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(nobody_waits_for_an_unanswered_syn),
        world_test(at_the_bound_only_silent_connections_mean_moving_on),
        world_test(a_backend_without_settings_has_failed_to_connect),
        world_test(pings_are_few_and_rarer_each_time),
        world_test(an_idle_connection_is_not_pinged),
        world_test(an_unanswered_ping_is_told_once_and_new_attempts_go_elsewhere),
        world_test(unacknowledged_data_is_suspect_by_its_round_trip),
        world_test(a_quiet_path_is_asked_and_suspect_without_an_answer),
        world_test(who_answers_each_question_is_never_suspect),
        world_test(a_backend_is_silent_until_something_is_heard_of_it),
        world_test(a_silent_connection_without_attempts_is_given_up),
        world_test(suspicion_lets_attempts_go),
        world_test(silence_that_not_all_would_have_heard_proves_nothing),
        world_test(an_unanswered_syn_may_have_been_answered_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
