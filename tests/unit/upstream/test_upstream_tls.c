/* Connections to backends with TLS: the handshake between TCP and HTTP/2, and how it may end. */
#include "tests/unit/upstream/upstream_world.h"

static int setup(void **state)
{
    world_config();
    world_secure(0);
    world_create();
    return 0;
}

/* A try whose connection has TCP, and waits for the handshake. */
static void try_secure(struct try *try)
{
    uint32_t connects = fake_tcp.count;
    try_init(try);
    assert_true(try_start(try, 0));
    world_tick();
    assert_int_equal(fake_tcp.count, connects + 1);
    fake_tcp_tell(world_tcp(connects), TCP_OPENED, world.now);
    world_tick();
    assert_non_null(world_tcp(connects)->tls);
}

static void http2_begins_when_the_handshake_is_done(void **state)
{
    struct try try;
    try_secure(&try);
    assert_int_equal(fake_h2.conn_count, 0);
    assert_ptr_equal(world_tcp(0)->tls->target, &fake_tcp.targets[0]);
    world_open(0, 100);
    world_flush();
    assert_int_equal(try.attempt.state, ATTEMPT_OPEN);
    assert_int_equal(world_load(0)->connected, 1);
    world_answer(&try, "200");
    assert_int_equal(try.done, 1);
}

static void a_handshake_that_fails_is_a_failed_connect(void **state)
{
    struct try try;
    for (uint32_t i = 0; i < 3; i++) {
        try_secure(&try);
        fake_tcp_tell(world_tcp(i), TCP_FAILED, world.now);
        assert_int_equal(try.failed, 0);
        world_tick();
        assert_int_equal(try.failed, 1);
        assert_int_equal(try.why, ATTEMPT_TLS_FAILED);
        assert_false(try.attempt.began);
        assert_int_equal(world.counters->connects_tls_failed, i + 1);
        assert_int_equal(world.counters->attempts_tls_failed, i + 1);
        assert_int_equal(world_load(0)->outcomes[BACKEND_CONNECT_FAILED], i + 1);
        assert_int_equal(world_load(0)->connect_failed_row, i + 1);
    }
}

static void a_handshake_that_does_not_end_is_given_up(void **state)
{
    struct try try;
    try_secure(&try);
    world_pass(600 * MS); /* nobody goes on waiting for it alone */
    assert_int_equal(try.why, ATTEMPT_CONNECT_TIMEOUT);
    assert_int_equal(fake_tcp.held, 1);
    world_pass(1600 * MS);
    assert_int_equal(fake_tcp.held, 0);
    assert_int_equal(world.counters->connects_timeout, 1);
    assert_int_equal(world_load(0)->connect_failed_row, 1);
}

static void a_backend_that_leaves_in_mid_handshake_leaves_nothing(void **state)
{
    struct try try;
    try_secure(&try);
    world.snapshot.backends = &world.backends[1];
    world.snapshot.backend_count = 2;
    upstream_apply(world.upstream, &world.snapshot, world.now);
    world_tick();
    assert_int_equal(fake_tcp.held, 0);
    assert_int_equal(try.why, ATTEMPT_UNREACHABLE);
    assert_int_equal(fake_tcp.targets[0].holders, 0);
}

static void no_room_for_tls_is_not_the_backends_failure(void **state)
{
    struct try try;
    fake_tcp.tls_full = true;
    try_init(&try);
    assert_true(try_start(&try, 0));
    world_tick();
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    world_tick();
    assert_int_equal(try.why, ATTEMPT_NO_ROOM);
    assert_int_equal(world_load(0)->connect_failed_row, 0);
    assert_int_equal(world.counters->connects_no_room, 1);
}

static void without_tls_nothing_goes_in_clear_text(void **state)
{
    struct try try;
    world.config.tls = NULL;
    world_create();
    try_init(&try);
    assert_true(try_start(&try, 0));
    world_tick();
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    world_tick();
    assert_int_equal(try.why, ATTEMPT_NO_ROOM);
    assert_int_equal(fake_h2.conn_count, 0);
    assert_int_equal(fake_tcp.held, 0);
}

static void files_read_again_are_for_the_next_connect(void **state)
{
    struct try first, second;
    try_secure(&first);
    world_open(0, 1);
    world_flush();
    assert_int_equal(fake_tcp.targets[0].holders, 1);
    world.backends[0].tls_target = 1;
    upstream_apply(world.upstream, &world.snapshot, world.now);
    world_tick();
    assert_int_equal(first.attempt.state, ATTEMPT_OPEN);
    assert_int_equal(fake_tcp.targets[0].holders, 0);
    assert_int_equal(fake_tcp.targets[1].holders, 1);
    try_secure(&second);
    assert_ptr_equal(world_tcp(1)->tls->target, &fake_tcp.targets[1]);
    world_open(1, 1);
    world_flush();
    world_answer(&first, "200");
    world_answer(&second, "200");
    assert_int_equal(first.done + second.done, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
        TEST(http2_begins_when_the_handshake_is_done),
        TEST(a_handshake_that_fails_is_a_failed_connect),
        TEST(a_handshake_that_does_not_end_is_given_up),
        TEST(a_backend_that_leaves_in_mid_handshake_leaves_nothing),
        TEST(no_room_for_tls_is_not_the_backends_failure),
        TEST(without_tls_nothing_goes_in_clear_text),
        TEST(files_read_again_are_for_the_next_connect),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
