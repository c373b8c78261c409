/* probe: each outcome, told exactly once, and nothing left behind. */
#include "tests/unit/upstream/upstream_world.h"

#include <stdlib.h>

static struct {
    struct prober *prober;
    struct h1 *h1;
    struct snapshot_service service;
    uint32_t results;
    struct probe_result last;
} rig;

static void remember(void *context, const struct probe_result *result)
{
    assert_ptr_equal(context, &rig);
    rig.results++;
    rig.last = *result;
}

static int rig_setup(void **state)
{
    world_config();
    memset(&rig, 0, sizeof(rig));
    world.backends[1].name = bytes_text("backend-1");
    world.snapshot.services = &rig.service;
    world.snapshot.service_count = 1;
    struct h1_config h1 = {.connections_max = 2,
                           .blocks_max = 2,
                           .header_list_bytes = 1024,
                           .first_window_bytes = 4096,
                           .socket_id = -1};
    rig.h1 = h1_create(&h1);
    assert_non_null(rig.h1);
    struct prober_config config = {.tcp = &fake_tcp.tcp,
                                   .tls = (struct tls *)&fake_tcp, /* which nobody looks at */
                                   .h2 = &fake_h2.h2,
                                   .h1 = rig.h1,
                                   .wheel = &world.wheel,
                                   .probes_max = 2,
                                   .result = remember,
                                   .context = &rig,
                                   .socket_id = -1};
    rig.prober = prober_create(&config);
    assert_non_null(rig.prober);
    return 0;
}

static int rig_teardown(void **state)
{
    assert_int_equal(prober_count(rig.prober), 0);
    assert_int_equal(fake_h2.live_streams, 0);
    assert_int_equal(fake_h2.live_conns, 0);
    assert_int_equal(h1_objects_used(rig.h1), 0);
    assert_int_equal(fake_tcp.held, 0);
    assert_int_equal(world.wheel.armed_count, 0);
    memory_reset();
    return 0;
}

static void probe(enum probe_kind kind)
{
    struct probe_order order = {.slot = world.backends[1].slot,
                                .generation = 1,
                                .timeout_ns = SECOND,
                                .kind = (uint8_t)kind,
                                .path = "/health"};
    prober_start(rig.prober, &world.snapshot, &order, world.now);
}

static void pass(uint64_t for_ns)
{
    world.now += for_ns;
    timer_wheel_advance(&world.wheel, world.now, 1000);
}

static void expect(enum probe_outcome outcome, uint32_t status, uint64_t took_ns)
{
    assert_int_equal(rig.results, 1);
    assert_int_equal(rig.last.slot, world.backends[1].slot);
    assert_int_equal(rig.last.generation, 1);
    assert_int_equal(rig.last.outcome, outcome);
    assert_int_equal(rig.last.status, status);
    assert_true(rig.last.took_ns >= took_ns && rig.last.took_ns <= took_ns + MS);
    pass(MS); /* connections end in the next turn */
}

/* The stream of an HTTP/2 probe whose request has been sent. */
static struct h2_stream *ask(void)
{
    probe(PROBE_HTTP2);
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    fake_h2_settings(world_h2(0), 100, world.now);
    assert_int_equal(fake_h2.stream_count, 1);
    fake_h2_pull(&fake_h2.streams[0], world.now);
    assert_true(fake_h2.streams[0].request_sent);
    return &fake_h2.streams[0];
}

static void a_tcp_probe_is_good_when_connected(void **state)
{
    probe(PROBE_TCP);
    assert_int_equal(world_tcp(0)->port, 81);
    pass(20 * MS);
    assert_int_equal(rig.results, 0);
    fake_tcp_tell(world_tcp(0), TCP_OPENED | TCP_READABLE | TCP_EOF, world.now);
    expect(PROBE_OK, 0, 20 * MS);
}

static void a_connect_that_fails_is_told(void **state)
{
    probe(PROBE_HTTP2);
    fake_tcp_fail(world_tcp(0), TCP_FAILURE_REFUSED, world.now);
    expect(PROBE_CONNECT_FAILED, 0, 0);
}

/* Backend 1 speaks TLS. */
static void secure(void)
{
    world.backends[1].tls = true;
}

static void a_tcp_probe_of_a_backend_with_tls_wants_its_handshake(void **state)
{
    secure();
    probe(PROBE_TCP);
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    assert_int_equal(rig.results, 0);
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    expect(PROBE_OK, 0, 0);
}

static void a_handshake_that_fails_is_told_by_name(void **state)
{
    secure();
    probe(PROBE_HTTP2);
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    fake_tcp_tell(world_tcp(0), TCP_FAILED, world.now);
    expect(PROBE_TLS_FAILED, 0, 0);
}

static void a_handshake_that_hangs_is_a_timeout(void **state)
{
    secure();
    probe(PROBE_HTTP2);
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    pass(1001 * MS);
    expect(PROBE_TIMEOUT, 0, 1001 * MS);
}

static void an_answer_over_tls_is_good(void **state)
{
    secure();
    probe(PROBE_HTTP2);
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    fake_h2_settings(world_h2(0), 100, world.now);
    fake_h2_pull(&fake_h2.streams[0], world.now);
    fake_h2_status(&fake_h2.streams[0], "200", true, world.now);
    expect(PROBE_OK, 200, 0);
    pass(MS);
    assert_int_equal(fake_tcp.targets[0].holders, 0);
}

static void time_runs_out_while_connecting(void **state)
{
    probe(PROBE_TCP);
    pass(999 * MS);
    assert_int_equal(rig.results, 0);
    pass(MS);
    pass(MS);
    expect(PROBE_TIMEOUT, 0, 1001 * MS);
}

static void time_runs_out_before_settings(void **state)
{
    probe(PROBE_HTTP2);
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    pass(1001 * MS);
    expect(PROBE_TIMEOUT, 0, 1001 * MS);
}

static void time_runs_out_before_an_answer(void **state)
{
    struct h2_stream *stream = ask();
    fake_h2_answer(stream, H2_SECTION_INTERIM, "100", FIELD_SERVER, NULL, false, world.now);
    pass(1001 * MS);
    expect(PROBE_TIMEOUT, 0, 1001 * MS);
}

static void a_status_decides(void **state)
{
    static const struct {
        const char *status;
        enum probe_outcome outcome;
    } cases[] = {{"200", PROBE_OK},         {"204", PROBE_OK},         {"299", PROBE_OK},
                 {"301", PROBE_BAD_STATUS}, {"404", PROBE_BAD_STATUS}, {"503", PROBE_BAD_STATUS}};
    for (uint32_t i = 0; i < array_count(cases); i++) {
        fake_tcp_init();
        fake_h2_init();
        rig.results = 0;
        fake_h2_status(ask(), cases[i].status, i % 2 == 0, world.now);
        expect(cases[i].outcome, (uint32_t)strtoul(cases[i].status, NULL, 10), 0);
        assert_int_equal(fake_tcp.conns[0].state, FAKE_TCP_CLOSED);
    }
}

/* --- HTTP/1.1 --- */

/* A probe whose request has been sent, and what came for it. */
static void ask_in_http1(const char *answer)
{
    fake_tcp_init();
    rig.results = 0;
    probe(PROBE_HTTP1);
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    h1_flush(rig.h1, world.now);
    assert_int_equal(rig.results, 0);
    fake_tcp_feed(world_tcp(0), answer, world.now);
}

static void a_status_decides_in_http1_too(void **state)
{
    static const struct {
        const char *answer;
        uint32_t status;
        enum probe_outcome outcome;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, PROBE_OK},
        {"HTTP/1.1 204 No Content\r\n\r\n", 204, PROBE_OK},
        {"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", 200, PROBE_OK},
        {"HTTP/1.0 200 OK\r\n\r\n", 200, PROBE_OK},
        {"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nmore", 200, PROBE_OK},
        {"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, PROBE_OK},
        {"HTTP/1.1 301 Moved\r\ncontent-length: 0\r\n\r\n", 301, PROBE_BAD_STATUS},
        {"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", 503, PROBE_BAD_STATUS},
        {"HTTP/1.1 101 Other\r\n\r\n", 0, PROBE_RESET},
        {"HTTP/1.1 200 OK\ncontent-length: 0\n\n", 0, PROBE_RESET},
        {"SSH-2.0-OpenSSH_9.2\r\n", 0, PROBE_RESET},
    };
    for (uint32_t i = 0; i < array_count(cases); i++) {
        ask_in_http1(cases[i].answer);
        expect(cases[i].outcome, cases[i].status, 0);
        assert_int_equal(h1_objects_used(rig.h1), 0);
    }
}

static void a_lost_connection_is_told_in_http1_too(void **state)
{
    ask_in_http1("HTTP/1.1 200");
    fake_tcp_tell(world_tcp(0), TCP_EOF, world.now);
    expect(PROBE_RESET, 0, 0);
    ask_in_http1("");
    fake_tcp_fail(world_tcp(0), TCP_FAILURE_RESET, world.now);
    expect(PROBE_RESET, 0, 0);
}

static void who_speaks_first_speaks_no_http1(void **state)
{
    probe(PROBE_HTTP1);
    world_tcp(0)->unread = bytes_text("220 mail at your service\r\n");
    fake_tcp_tell(world_tcp(0), TCP_OPENED | TCP_READABLE, world.now);
    expect(PROBE_RESET, 0, 0);
}

static void time_runs_out_before_an_answer_in_http1(void **state)
{
    ask_in_http1("HTTP/1.1 100 C\r\n\r\n");
    pass(1001 * MS);
    expect(PROBE_TIMEOUT, 0, 1001 * MS);
}

static void what_follows_the_answer_changes_nothing(void **state)
{
    struct h2_stream *stream = ask();
    fake_h2_status(stream, "200", false, world.now);
    fake_h2_data(stream, "fine", false, world.now);
    fake_h2_refuse(stream, (struct h2_reset){.by_peer = true}, world.now);
    fake_tcp_fail(world_tcp(0), TCP_FAILURE_RESET, world.now);
    expect(PROBE_OK, 200, 0);
}

static void a_reset_stream_is_told(void **state)
{
    fake_h2_refuse(ask(), (struct h2_reset){.by_peer = true}, world.now);
    expect(PROBE_RESET, 0, 0);
}

static void a_lost_connection_is_told(void **state)
{
    ask();
    fake_tcp_tell(world_tcp(0), TCP_WRITABLE | TCP_READABLE | TCP_EOF, world.now);
    expect(PROBE_RESET, 0, 0);
}

static void a_connection_lost_before_settings_is_told(void **state)
{
    probe(PROBE_HTTP2);
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    fake_tcp_fail(world_tcp(0), TCP_FAILURE_RESET, world.now);
    expect(PROBE_RESET, 0, 0);
}

static void a_goaway_instead_of_settings_is_told(void **state)
{
    probe(PROBE_HTTP2);
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    fake_h2_goaway(world_h2(0), 0, world.now);
    expect(PROBE_RESET, 0, 0);
}

static void no_room_is_told_whatever_is_full(void **state)
{
    fake_tcp.full = true;
    probe(PROBE_TCP);
    expect(PROBE_NO_ROOM, 0, 0);
    fake_tcp.full = false;
    fake_h2.full = true;
    rig.results = 0;
    probe(PROBE_HTTP2);
    fake_tcp_tell(world_tcp(0), TCP_OPENED | TCP_READABLE, world.now);
    expect(PROBE_NO_ROOM, 0, 0);
    rig.results = 0;
    probe(PROBE_TCP);
    probe(PROBE_TCP);
    assert_int_equal(rig.results, 0);
    probe(PROBE_TCP);
    expect(PROBE_NO_ROOM, 0, 0);
    pass(2 * SECOND);
    assert_int_equal(rig.results, 3);
    rig.results = 0;
    world.backends[1].generation = 2; /* the order is about a backend that has left */
    probe(PROBE_TCP);
    expect(PROBE_NO_ROOM, 0, 0);
}

static void no_stream_is_no_room(void **state)
{
    probe(PROBE_HTTP2);
    fake_tcp_tell(world_tcp(0), TCP_OPENED, world.now);
    fake_h2_settings(world_h2(0), 0, world.now);
    expect(PROBE_NO_ROOM, 0, 0);
}

static void the_request_asks_for_the_path(void **state)
{
    static char long_name[1000];
    memset(long_name, 'n', sizeof(long_name));
    const struct bytes authorities[] = {BYTES_NONE, bytes_text("api.example"),
                                        bytes_of(long_name, sizeof(long_name))};
    const struct bytes expected[] = {bytes_text("backend-1"), bytes_text("api.example"),
                                     bytes_of(long_name, 255)};
    for (uint32_t i = 0; i < array_count(authorities); i++) {
        struct bytes value;
        fake_tcp_init();
        fake_h2_init();
        rig.results = 0;
        rig.service.authority = authorities[i];
        struct h2_stream *stream = ask();
        struct h2_supply supply = stream->conn->handler->supply(stream, 0, world.now);
        assert_int_equal(supply.kind, H2_SUPPLY_HEADERS);
        assert_true(supply.end);
        assert_true(fields_find(supply.fields, FIELD_PATH, &value));
        assert_true(bytes_equal_text(value, "/health"));
        assert_true(fields_find(supply.fields, FIELD_AUTHORITY, &value));
        assert_true(bytes_equal(value, expected[i]));
        fake_h2_status(stream, "200", true, world.now);
        expect(PROBE_OK, 200, 0);
    }
}

#define rig_test(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(a_tcp_probe_is_good_when_connected),
        rig_test(a_connect_that_fails_is_told),
        rig_test(a_tcp_probe_of_a_backend_with_tls_wants_its_handshake),
        rig_test(a_handshake_that_fails_is_told_by_name),
        rig_test(a_handshake_that_hangs_is_a_timeout),
        rig_test(an_answer_over_tls_is_good),
        rig_test(time_runs_out_while_connecting),
        rig_test(time_runs_out_before_settings),
        rig_test(time_runs_out_before_an_answer),
        rig_test(a_status_decides),
        rig_test(a_status_decides_in_http1_too),
        rig_test(a_lost_connection_is_told_in_http1_too),
        rig_test(who_speaks_first_speaks_no_http1),
        rig_test(time_runs_out_before_an_answer_in_http1),
        rig_test(what_follows_the_answer_changes_nothing),
        rig_test(a_reset_stream_is_told),
        rig_test(a_lost_connection_is_told),
        rig_test(a_connection_lost_before_settings_is_told),
        rig_test(a_goaway_instead_of_settings_is_told),
        rig_test(no_room_is_told_whatever_is_full),
        rig_test(no_stream_is_no_room),
        rig_test(the_request_asks_for_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
