/* upstream: connections to a backend come, grow by need, drain and end. */
#include "tests/unit/upstream/upstream_world.h"

static void an_attempt_opens_a_connection_and_waits_for_settings(void **state)
{
    struct try try;
    try_init(&try);
    assert_true(try_start(&try, 1));
    assert_int_equal(fake_tcp.count, 0); /* only the tick connects */
    world_tick();
    assert_int_equal(fake_tcp.count, 1);
    assert_int_equal(world_tcp(0)->port, 81);
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    world_tick();
    assert_int_equal(try.attempt.state, ATTEMPT_WAITING);
    assert_int_equal(world_load(1)->connected, 0);
    fake_h2_settings(world_h2(0), 100, world.now);
    world_tick();
    assert_int_equal(try.attempt.state, ATTEMPT_OPEN);
    assert_int_equal(world_load(1)->connected, 1);
    assert_int_equal(world_load(1)->in_flight, 1);
    assert_int_equal(world_load(1)->connections, 1);
    world_flush();
    world_answer(&try, "200");
    assert_int_equal(try.done, 1);
    assert_int_equal(world_load(1)->outcomes[BACKEND_SUCCESS], 1);
}

static void a_failed_connect_is_told_to_all_who_wait(void **state)
{
    static const struct {
        enum tcp_failure failure;
        enum attempt_failure told;
    } cases[] = {
        {TCP_FAILURE_REFUSED, ATTEMPT_CONNECT_REFUSED},
        {TCP_FAILURE_RESET, ATTEMPT_CONNECT_REFUSED},
        {TCP_FAILURE_TIMEOUT, ATTEMPT_CONNECT_TIMEOUT},
        {TCP_FAILURE_UNREACHABLE, ATTEMPT_UNREACHABLE},
    };
    struct try tries[5];
    for (uint32_t i = 0; i < array_count(cases); i++) {
        for (uint32_t j = 0; j < array_count(tries); j++) {
            try_init(&tries[j]);
            assert_true(try_start(&tries[j], 0));
        }
        world_tick();
        assert_int_equal(fake_tcp.count, i + 1); /* one connect for all */
        fake_tcp_fail(world_tcp(i), cases[i].failure, world.now);
        for (uint32_t j = 0; j < array_count(tries); j++)
            assert_int_equal(tries[j].failed, 0);
        world_tick();
        for (uint32_t j = 0; j < array_count(tries); j++) {
            assert_int_equal(tries[j].failed, 1);
            assert_int_equal(tries[j].why, cases[i].told);
            assert_false(tries[j].attempt.began);
        }
        assert_int_equal(world_load(0)->outcomes[BACKEND_CONNECT_FAILED], i + 1);
        assert_int_equal(world_load(0)->connect_failed_row, i + 1);
    }
    struct try try;
    try_open(&try, 0);
    assert_int_equal(world_load(0)->connect_failed_row, 0);
    world_answer(&try, "200");
}

static void a_reset_before_settings_is_a_failed_connect(void **state)
{
    struct try try;
    try_init(&try);
    try_start(&try, 0);
    world_tick();
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    fake_tcp_fail(world_tcp(0), TCP_FAILURE_RESET, world.now);
    world_tick();
    assert_int_equal(try.why, ATTEMPT_CONNECT_REFUSED);
    assert_int_equal(world_load(0)->connect_failed_row, 1);
    assert_int_equal(world_load(0)->connected, 0);
}

static void open_and_failed_in_one_event_is_a_failed_connect(void **state)
{
    struct try try;
    try_init(&try);
    try_start(&try, 0);
    world_tick();
    world_tcp(0)->info.failure = TCP_FAILURE_RESET;
    fake_tcp_tell(world_tcp(0), TCP_OPENED | TCP_READABLE | TCP_EOF | TCP_FAILED, world.now);
    world_tick();
    assert_int_equal(try.why, ATTEMPT_CONNECT_REFUSED);
    assert_int_equal(fake_h2.conn_count, 0);
}

static void pools_grow_by_need_up_to_the_bound(void **state)
{
    struct try tries[20];
    for (uint32_t i = 0; i < 20; i++) {
        try_init(&tries[i]);
        try_start(&tries[i], 0);
    }
    world_tick();
    assert_int_equal(fake_tcp.count, 1); /* 100 streams expected */
    world_open(0, 2);
    assert_int_equal(fake_tcp.count, 8); /* 2 it is */
    for (uint32_t i = 1; i < 8; i++)
        world_open(i, 2);
    assert_int_equal(fake_tcp.count, 8);
    assert_int_equal(fake_h2.live_streams, 16);
    assert_int_equal(upstream_waiting_count(world.upstream), 4);
    world_flush();
    for (uint32_t i = 0; i < 20; i++) { /* first come, first served */
        assert_int_equal(tries[i].attempt.state, ATTEMPT_OPEN);
        world_answer(&tries[i], "200");
        world_flush();
        assert_int_equal(tries[i].done, 1);
    }
    assert_int_equal(fake_tcp.count, 8);
}

static void the_connection_with_fewest_attempts_is_taken(void **state)
{
    struct try tries[8];
    for (uint32_t i = 0; i < 4; i++) {
        try_init(&tries[i]);
        try_start(&tries[i], 0);
    }
    world_tick();
    world_open(0, 1);
    for (uint32_t i = 1; i < 4; i++)
        world_open(i, 3);
    for (uint32_t i = 4; i < 8; i++) {
        try_init(&tries[i]);
        try_start(&tries[i], 0);
    }
    world_tick();
    assert_int_equal(fake_tcp.count, 4);
    assert_int_equal(world_h2(0)->streams, 1);
    assert_in_range(world_h2(1)->streams, 2, 3);
    assert_in_range(world_h2(2)->streams, 2, 3);
    assert_in_range(world_h2(3)->streams, 2, 3);
    for (uint32_t i = 0; i < 8; i++)
        try_cancel(&tries[i]);
}

static void a_failed_connect_beside_a_working_one_fails_nobody(void **state)
{
    struct try first, second;
    try_init(&first);
    try_init(&second);
    try_start(&first, 0);
    world_tick();
    world_open(0, 1);
    try_start(&second, 0);
    world_tick();
    assert_int_equal(fake_tcp.count, 2);
    fake_tcp_fail(world_tcp(1), TCP_FAILURE_REFUSED, world.now);
    world_tick();
    assert_int_equal(second.attempt.state, ATTEMPT_WAITING);
    assert_int_equal(fake_tcp.count, 2); /* and is not repeated at once */
    world_flush();
    world_answer(&first, "200");
    assert_int_equal(second.attempt.state, ATTEMPT_OPEN);
    world_flush();
    world_answer(&second, "200");
}

static void goaway_tells_who_was_not_processed_and_keeps_the_rest(void **state)
{
    struct try tries[4];
    for (uint32_t i = 0; i < 4; i++)
        try_open(&tries[i], 0);
    fake_h2_goaway(world_h2(0), 1, world.now);
    world_tick();
    assert_int_equal(tries[0].attempt.state, ATTEMPT_OPEN);
    for (uint32_t i = 1; i < 4; i++) {
        assert_int_equal(tries[i].failed, 1);
        assert_int_equal(tries[i].why, ATTEMPT_UNPROCESSED);
        assert_true(tries[i].attempt.began);
    }
    assert_int_equal(world_load(0)->outcomes[BACKEND_LOST_EARLY], 0);
    struct try next;
    try_open(&next, 0); /* over a new connection */
    assert_int_equal(fake_tcp.count, 2);
    assert_ptr_equal(next.attempt.stream->conn, world_h2(1));
    world_answer(&tries[0], "200");
    assert_int_equal(tries[0].done, 1);
    world_answer(&next, "200");
    world_pass(10 * MS);
    assert_int_equal(upstream_connection_count(world.upstream), 1);
}

static void what_was_not_sent_before_goaway_waits_for_another_connection(void **state)
{
    struct try sent, late;
    try_open(&sent, 0);
    try_init(&late);
    try_start(&late, 0);
    assert_int_equal(late.attempt.state, ATTEMPT_OPEN);
    fake_h2_goaway(world_h2(0), 1, world.now);
    assert_int_equal(late.attempt.state, ATTEMPT_WAITING);
    assert_int_equal(late.failed, 0);
    world_tick();
    assert_int_equal(fake_tcp.count, 2);
    world_open(1, 100);
    world_flush();
    assert_ptr_equal(late.attempt.stream->conn, world_h2(1));
    world_answer(&late, "200");
    world_answer(&sent, "200");
    assert_int_equal(late.done, 1);
    assert_int_equal(sent.done, 1);
    assert_int_equal(world_load(0)->in_flight, 0);
}

static void what_was_not_sent_before_goaway_of_a_backend_that_left_is_unreachable(void **state)
{
    struct try sent, late;
    try_open(&sent, 0);
    try_init(&late);
    try_start(&late, 0);
    world.snapshot.backend_count = 0;
    upstream_apply(world.upstream, &world.snapshot, world.now);
    fake_h2_goaway(world_h2(0), 1, world.now);
    world_tick();
    assert_int_equal(late.failed, 1);
    assert_int_equal(late.why, ATTEMPT_UNREACHABLE);
    world_answer(&sent, "200");
}

static void what_was_not_sent_before_its_connection_was_lost_waits_for_another(void **state)
{
    struct try sent, late;
    try_open(&sent, 0);
    try_init(&late);
    try_start(&late, 0);
    assert_int_equal(late.attempt.state, ATTEMPT_OPEN);
    fake_tcp_tell(world_tcp(0), TCP_EOF, world.now);
    assert_int_equal(late.attempt.state, ATTEMPT_WAITING);
    world_tick();
    assert_int_equal(sent.why, ATTEMPT_CONNECTION_LOST);
    assert_int_equal(late.failed, 0);
    assert_int_equal(world_load(0)->outcomes[BACKEND_LOST_EARLY], 1);
    assert_int_equal(fake_tcp.count, 2);
    world_open(1, 100);
    world_flush();
    world_answer(&late, "200");
    assert_int_equal(late.done, 1);
    assert_int_equal(world_load(0)->in_flight, 0);
}

static void a_backend_that_only_says_goaway_is_not_connected_to_for_ever(void **state)
{
    struct try try;
    try_init(&try);
    try_start(&try, 0);
    world_tick();
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    world_h2(0)->goaway = true;
    fake_h2_settings(world_h2(0), 100, world.now);
    world_tick();
    assert_int_equal(try.failed, 1);
    assert_int_equal(try.why, ATTEMPT_CONNECT_REFUSED);
    assert_int_equal(fake_tcp.count, 1);
}

static void a_lost_connection_is_told_to_each_attempt_once(void **state)
{
    enum { COUNT = 100 };
    static struct try tries[COUNT];
    for (uint32_t i = 0; i < COUNT; i++)
        try_open(&tries[i], 0);
    assert_int_equal(fake_tcp.count, 1);
    for (uint32_t i = 0; i < 10; i++)
        fake_h2_status(tries[i].attempt.stream, "200", false, world.now);
    fake_tcp_fail(world_tcp(0), TCP_FAILURE_TIMEOUT, world.now);
    world_tick();
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(tries[i].failed, 1);
        assert_int_equal(tries[i].why, ATTEMPT_CONNECTION_LOST);
        assert_int_equal(tries[i].attempt.answered, i < 10);
    }
    assert_int_equal(world_load(0)->outcomes[BACKEND_LOST_MID_BODY], 10);
    assert_int_equal(world_load(0)->outcomes[BACKEND_LOST_EARLY], 90);
    assert_int_equal(world_load(0)->connect_failed_row, 0);
    assert_int_equal(world.counters->connections_lost, 1);
}

static void those_who_wait_survive_the_loss_of_a_connection(void **state)
{
    struct try first, second;
    world.config.backend_connections = 1;
    world_create();
    try_init(&first);
    try_init(&second);
    try_start(&first, 0);
    try_start(&second, 0);
    world_tick();
    world_open(0, 1);
    world_flush();
    fake_tcp_tell(world_tcp(0), TCP_EOF, world.now);
    world_tick();
    assert_int_equal(first.why, ATTEMPT_CONNECTION_LOST);
    assert_int_equal(second.attempt.state, ATTEMPT_WAITING);
    assert_int_equal(fake_tcp.count, 2);
    world_open(1, 1);
    world_flush();
    world_answer(&second, "200");
    assert_int_equal(second.done, 1);
}

static void full_pools_refuse_or_fail_with_no_room(void **state)
{
    struct try tries[4];
    world.config.waiting_max = 2;
    world_create();
    for (uint32_t i = 0; i < 4; i++)
        try_init(&tries[i]);
    assert_true(try_start(&tries[0], 0));
    assert_true(try_start(&tries[1], 0));
    assert_false(try_start(&tries[2], 0));
    assert_int_equal(tries[2].attempt.state, ATTEMPT_IDLE);
    assert_int_equal(world.counters->attempts_waiting_full, 1);
    assert_true(try_start(&tries[2], 1)); /* the bound is a backend's */
    fake_tcp.full = true;
    assert_int_equal(tries[0].failed, 0);
    world_tick();
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(tries[i].failed, 1);
        assert_int_equal(tries[i].why, ATTEMPT_NO_ROOM);
    }
    assert_int_equal(world_load(0)->outcomes[BACKEND_CONNECT_FAILED], 0);
    fake_tcp.full = false;
    fake_h2.full = true;
    assert_true(try_start(&tries[3], 0));
    world_tick();
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    world_tick();
    assert_int_equal(tries[3].why, ATTEMPT_NO_ROOM);
    assert_int_equal(world_load(0)->outcomes[BACKEND_CONNECT_FAILED], 0);
    assert_int_equal(world.counters->attempts_no_room, 4);
}

static void without_streams_attempts_fail_unless_one_will_be_free(void **state)
{
    struct try tries[3], other;
    fake_h2.streams_max = 1;
    for (uint32_t i = 0; i < 3; i++) {
        try_init(&tries[i]);
        try_start(&tries[i], 0);
    }
    world_tick();
    world_open(0, 100);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(tries[i].attempt.state, ATTEMPT_OPEN);
        assert_int_equal(tries[i + 1].attempt.state, ATTEMPT_WAITING);
        try_init(&other);
        try_start(&other, 1); /* nothing of backend 1's own will free a stream */
        world_tick();
        if (i == 0)
            world_open(fake_tcp.count - 1, 100);
        assert_int_equal(other.why, ATTEMPT_NO_ROOM);
        assert_int_equal(other.failed, 1);
        try_cancel(&tries[i]);
        world_tick();
    }
    try_cancel(&tries[2]);
    fake_h2.streams_max = 0;
    fake_h2.no_streams = true;
    try_init(&other);
    try_start(&other, 0);
    world_tick();
    assert_int_equal(other.why, ATTEMPT_NO_ROOM);
}

static void an_idle_connection_makes_room_for_another_backend(void **state)
{
    struct try tries[3];
    world.config.connections_max = 2;
    world_create();
    for (uint32_t i = 0; i < 2; i++) {
        try_open(&tries[i], i);
        world_answer(&tries[i], "200");
        world_pass(MS);
    }
    try_open(&tries[2], 2); /* backend 0's was idle for longest */
    assert_false(fake_h2.conns[0].live);
    assert_true(fake_h2.conns[1].live);
    assert_int_equal(world.counters->connections_reclaimed, 1);
    struct try busy, refused;
    try_open(&busy, 1);
    try_init(&refused);
    try_start(&refused, 0);
    world_tick();
    assert_int_equal(refused.why, ATTEMPT_NO_ROOM);
    assert_int_equal(world.counters->connections_full, 1);
    try_cancel(&busy);
    try_cancel(&tries[2]);
}

static void a_new_generation_begins_with_new_connections_and_counts(void **state)
{
    struct try open, waiting, fresh;
    try_open(&open, 0);
    world_h2(0)->max = 1;
    try_init(&waiting);
    try_start(&waiting, 0);
    world_tick();
    world.backends[0].generation = 2;
    world.backends[0].port = 8080;
    upstream_apply(world.upstream, &world.snapshot, world.now);
    assert_int_equal(waiting.failed, 0); /* nothing is told from inside apply */
    world_tick();
    assert_int_equal(waiting.why, ATTEMPT_UNREACHABLE);
    assert_int_equal(open.attempt.state, ATTEMPT_OPEN); /* goes on */
    assert_int_equal(world_load(0)->generation, 2);
    assert_int_equal(world_load(0)->in_flight, 0);
    assert_int_equal(world_load(0)->connected, 0);
    try_open(&fresh, 0);
    assert_int_equal(world_tcp(fake_tcp.count - 1)->port, 8080);
    assert_int_equal(world_load(0)->connections, 1);
    world_answer(&open, "200");
    assert_int_equal(open.done, 1);
    assert_int_equal(world_load(0)->outcomes[BACKEND_SUCCESS], 0); /* of the old one */
    assert_int_equal(world_load(0)->in_flight, 1);
    world_answer(&fresh, "200");
    assert_int_equal(world_load(0)->outcomes[BACKEND_SUCCESS], 1);
}

static void a_backend_that_leaves_and_returns_keeps_its_counts(void **state)
{
    struct try first, second;
    try_open(&first, 2);
    world.snapshot.backend_count = 2;
    upstream_apply(world.upstream, &world.snapshot, world.now);
    world_tick();
    assert_true(world_h2(0)->shut_down);
    world.snapshot.backend_count = 3;
    upstream_apply(world.upstream, &world.snapshot, world.now);
    world_tick();
    assert_int_equal(world_load(2)->in_flight, 1);
    try_open(&second, 2);
    assert_int_equal(fake_tcp.count, 2);
    world_answer(&first, "200");
    world_answer(&second, "200");
    assert_int_equal(world_load(2)->outcomes[BACKEND_SUCCESS], 2);
}

static void only_backends_of_the_applied_snapshot_are_tried(void **state)
{
    struct try try;
    world.backends[0].generation = 2; /* not applied */
    try_init(&try);
    assert_true(try_start(&try, 0));
    assert_int_equal(try.failed, 0);
    world_tick();
    assert_int_equal(try.why, ATTEMPT_UNREACHABLE);
    world.snapshot.backend_count = 2;
    upstream_apply(world.upstream, &world.snapshot, world.now);
    assert_true(try_start(&try, 2)); /* known, but gone */
    assert_int_equal(world_load(2)->in_flight, 1);
    world_tick();
    assert_int_equal(try.failed, 2);
    assert_int_equal(fake_tcp.count, 0);
    assert_true(try_start(&try, 2));
    try_cancel(&try);
}

static void an_unchanged_snapshot_disturbs_nothing(void **state)
{
    struct try try;
    try_open(&try, 0);
    for (uint32_t i = 0; i < 3; i++)
        upstream_apply(world.upstream, &world.snapshot, world.now);
    world_tick();
    assert_int_equal(try.attempt.state, ATTEMPT_OPEN);
    assert_false(world_h2(0)->shut_down);
    world_answer(&try, "200");
}

static void idle_connections_are_closed_after_a_while(void **state)
{
    struct try try;
    try_open(&try, 0);
    world_answer(&try, "200");
    world_pass(59 * SECOND);
    assert_int_equal(upstream_connection_count(world.upstream), 1);
    world_pass(2 * SECOND);
    assert_int_equal(upstream_connection_count(world.upstream), 0);
    assert_int_equal(world.counters->connections_idle, 1);
    assert_int_equal(fake_tcp.conns[0].state, FAKE_TCP_CLOSED);
}

static void old_connections_are_replaced(void **state)
{
    struct try first, second;
    try_open(&first, 0);
    world.now += 3600 * SECOND;
    world_pass(361 * SECOND);
    assert_int_equal(world.counters->connections_aged, 1);
    assert_int_equal(first.attempt.state, ATTEMPT_OPEN);
    try_open(&second, 0);
    assert_int_equal(fake_tcp.count, 2);
    world_answer(&first, "200");
    world_answer(&second, "200");
}

static void draining_ends_what_is_idle_and_lets_the_rest_finish(void **state)
{
    struct try busy, idle, late;
    try_open(&busy, 0);
    try_open(&idle, 1);
    world_answer(&idle, "200");
    upstream_drain(world.upstream, world.now);
    world_tick();
    assert_int_equal(upstream_connection_count(world.upstream), 1);
    try_open(&late, 1); /* a retry of something still under way */
    world_answer(&late, "200");
    world_answer(&busy, "200");
    assert_int_equal(upstream_connection_count(world.upstream), 0);
    assert_int_equal(world.counters->connections_drained, 3);
}

static void creation_fails_without_memory(void **state)
{
    world_config();
    for (uint32_t i = 0; i < 4; i++) {
        memory_reset();
        memory_fail_after(i);
        struct upstream *upstream = upstream_create(&world.config);
        if (upstream != NULL) {
            assert_true(i > 1);
            break;
        }
        assert_true(i < 4);
    }
    memory_reset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(an_attempt_opens_a_connection_and_waits_for_settings),
        world_test(a_failed_connect_is_told_to_all_who_wait),
        world_test(a_reset_before_settings_is_a_failed_connect),
        world_test(open_and_failed_in_one_event_is_a_failed_connect),
        world_test(pools_grow_by_need_up_to_the_bound),
        world_test(the_connection_with_fewest_attempts_is_taken),
        world_test(a_failed_connect_beside_a_working_one_fails_nobody),
        world_test(goaway_tells_who_was_not_processed_and_keeps_the_rest),
        world_test(what_was_not_sent_before_goaway_waits_for_another_connection),
        world_test(what_was_not_sent_before_goaway_of_a_backend_that_left_is_unreachable),
        world_test(what_was_not_sent_before_its_connection_was_lost_waits_for_another),
        world_test(a_backend_that_only_says_goaway_is_not_connected_to_for_ever),
        world_test(a_lost_connection_is_told_to_each_attempt_once),
        world_test(those_who_wait_survive_the_loss_of_a_connection),
        world_test(full_pools_refuse_or_fail_with_no_room),
        world_test(without_streams_attempts_fail_unless_one_will_be_free),
        world_test(an_idle_connection_makes_room_for_another_backend),
        world_test(a_new_generation_begins_with_new_connections_and_counts),
        world_test(a_backend_that_leaves_and_returns_keeps_its_counts),
        world_test(only_backends_of_the_applied_snapshot_are_tried),
        world_test(an_unchanged_snapshot_disturbs_nothing),
        world_test(idle_connections_are_closed_after_a_while),
        world_test(old_connections_are_replaced),
        world_test(draining_ends_what_is_idle_and_lets_the_rest_finish),
        cmocka_unit_test(creation_fails_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
