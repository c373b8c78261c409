/*
 * tcp_dispatch() and callbacks that do everything a layer above may do, to any connection, in any
 * order: close, abort, connect, send, read. What must hold: no event for a connection that was let
 * go of, nothing after TCP_FAILED, OPENED first and once, and all is given back.
 */
#include "dataplane/base/clock.h"
#include "dataplane/tcp/tcp_internal.h"
#include "tests/support/cmocka.h"
#include "tests/support/tcp_pair.h"

#define ENDS 200u

struct any_end {
    struct tcp_conn *conn; /* NULL: not in use */
    struct tcp_host *host;
    bool opened;
    bool failed;
    bool eof;
};

static struct tcp_pair pair;
static struct any_end ends[ENDS];
static struct random dice;
static uint32_t opened_count, failed_count, eof_count, events_count;

static void act(void);

static struct any_end *unused_end(void)
{
    for (uint32_t i = 0; i < ENDS; i++) {
        if (ends[i].conn == NULL)
            return &ends[i];
    }
    return NULL;
}

static void end_event(void *context, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct any_end *end = context;
    assert_ptr_equal(end->conn, conn);
    assert_false(end->failed);
    assert_true(events != 0);
    events_count++;
    if (events & TCP_FAILED) {
        assert_int_equal(events, TCP_FAILED);
        end->failed = true;
        failed_count++;
    } else {
        assert_int_equal(end->opened, (events & TCP_OPENED) == 0);
        end->opened = true;
        opened_count += (events & TCP_OPENED) != 0;
    }
    if (events & TCP_EOF) {
        assert_false(end->eof);
        end->eof = true;
        eof_count++;
    }
    act();
}

static const struct tcp_app end_app = {.event = end_event};

static void accepted(void *context, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct any_end *end = unused_end();
    assert_true(events & TCP_OPENED);
    if (end == NULL) {
        tcp_abort(conn);
        return;
    }
    *end = (struct any_end){.conn = conn, .host = &pair.b};
    tcp_set_app(conn, &end_app, end);
    end_event(end, conn, events, now);
}

static const struct tcp_app accepting_app = {.event = accepted};

static void let_go(struct any_end *end, bool politely)
{
    struct tcp_conn *conn = end->conn;
    end->conn = NULL;
    if (politely)
        tcp_close(conn);
    else
        tcp_abort(conn);
}

static void begin(void)
{
    struct any_end *end = unused_end();
    struct ip_address address;
    if (end == NULL)
        return;
    assert_true(ip_address_parse(random_below(&dice, 2) == 0 ? "10.0.0.2" : "fd00::2", &address));
    *end = (struct any_end){.host = &pair.a};
    uint16_t port = random_below(&dice, 8) == 0 ? 81 : TCP_PAIR_PORT + 1;
    end->conn = tcp_connect(pair.a.tcp, &address, port, &end_app, end, pair.now);
}

static void read_some(struct any_end *end)
{
    struct bytes got = tcp_read(end->conn);
    if (got.length > 0)
        tcp_read_done(end->conn, 1 + random_below(&dice, (uint32_t)got.length));
}

static void write_some(struct any_end *end)
{
    static const uint8_t zeros[5000];
    uint32_t room = tcp_send_room(end->conn);
    uint32_t length = random_below(&dice, sizeof(zeros));
    (void)tcp_send_copy(end->conn, bytes_of(zeros, length < room ? length : room));
}

/* One random thing to a random end, not only to the one that had an event. */
static void act(void)
{
    uint32_t choice = random_below(&dice, 20);
    struct any_end *end = &ends[random_below(&dice, ENDS)];
    if (choice < 3) {
        begin();
        return;
    }
    if (end->conn == NULL)
        return;
    if (end->failed || choice == 3)
        let_go(end, end->failed && choice < 10);
    else if (choice == 4)
        let_go(end, true);
    else if (choice < 12)
        read_some(end);
    else
        write_some(end);
}

static void run_seed(uint64_t seed)
{
    struct wire_faults faults = {
        .drop_ppm = 20000, .duplicate_ppm = 20000, .reorder_ppm = 20000, .reorder_ns = 200000};
    struct ip_address v4, v6;
    memset(ends, 0, sizeof(ends));
    random_seed(&dice, seed);
    tcp_pair_prepare(&pair, seed);
    pair.a.config.connections_max = 100 + random_below(&dice, 100);
    pair.b.config.connections_max = 100 + random_below(&dice, 100);
    pair.a.config.blocks_max = 10 + random_below(&dice, 300);
    pair.b.config.reassembly_max = 10 + random_below(&dice, 300);
    pair.b.config.spans_max = 10 + random_below(&dice, 300);
    pair.a.config.time_wait_max = 5;
    pair.a.config.user_timeout_ns = 5 * CLOCK_S;
    pair.b.config.user_timeout_ns = 5 * CLOCK_S;
    pair.a.config.connect_timeout_ns = 2 * CLOCK_S;
    pair.b.config.keepalive_idle_ns = 3 * CLOCK_S;
    tcp_pair_open(&pair);
    assert_true(ip_address_parse("10.0.0.2", &v4) && ip_address_parse("fd00::2", &v6));
    assert_true(tcp_listen(pair.b.tcp, &v4, TCP_PAIR_PORT + 1, &accepting_app, NULL));
    assert_true(tcp_listen(pair.b.tcp, &v6, TCP_PAIR_PORT + 1, &accepting_app, NULL));
    wire_set_faults_everywhere(pair.wire, &faults);
    for (int i = 0; i < 4000; i++) {
        act();
        tcp_pair_turn(&pair);
        if (random_below(&dice, 1000) == 0) {
            tcp_unlisten(pair.b.tcp, &v4, TCP_PAIR_PORT + 1);
            assert_true(tcp_listen(pair.b.tcp, &v4, TCP_PAIR_PORT + 1, &accepting_app, NULL));
        }
    }
    tcp_unlisten(pair.b.tcp, &v4, TCP_PAIR_PORT + 1);
    tcp_unlisten(pair.b.tcp, &v6, TCP_PAIR_PORT + 1);
    for (uint32_t i = 0; i < ENDS; i++) {
        if (ends[i].conn != NULL)
            let_go(&ends[i], !ends[i].failed && random_below(&dice, 2) == 0);
    }
    tcp_pair_close(&pair);
}

static void callbacks_may_do_anything_to_any_connection(void **state)
{
    for (uint64_t seed = 1; seed <= 15; seed++)
        run_seed(seed);
    assert_true(opened_count > 1000);
    assert_true(failed_count > 100);
    assert_true(eof_count > 100);
    assert_true(events_count > 10000);
}

static void dispatch_is_bounded_and_loses_nothing(void **state)
{
    struct tcp_stream clients[10];
    tcp_pair_prepare(&pair, 1);
    tcp_pair_open(&pair);
    for (uint32_t i = 0; i < 10; i++) {
        tcp_stream_init(&clients[i], &pair.a, 7);
        assert_true(tcp_stream_connect(&clients[i], "10.0.0.77", 1, pair.now));
    }
    for (int i = 0; i < 20000 && pair.a.tcp->counters.connect_unreachable < 10; i++) {
        pair.now += CLOCK_MS;
        wire_advance(pair.wire, pair.now);
        tcp_host_receive(&pair.a, pair.now);
        tcp_host_finish(&pair.a, pair.now);
    }
    assert_int_equal(tcp_dispatch(pair.a.tcp, 3, pair.now), 3);
    assert_int_equal(tcp_dispatch(pair.a.tcp, 4, pair.now), 4);
    assert_int_equal(tcp_dispatch(pair.a.tcp, 100, pair.now), 3);
    assert_int_equal(tcp_dispatch(pair.a.tcp, 100, pair.now), 0);
    for (uint32_t i = 0; i < 10; i++)
        assert_true(clients[i].failed);
    tcp_pair_close(&pair);
}

/* What a failed connection still has to bear before its owner has been told. */
static void a_failed_connection_bears_every_call(void **state)
{
    tcp_pair_prepare(&pair, 1);
    tcp_pair_open(&pair);
    pair.servers[0].read_max = 0;
    pair.client.to_send = 1000;
    tcp_pair_connect(&pair, "10.0.0.2");
    tcp_pair_run_for(&pair, 10 * CLOCK_MS);
    struct tcp_conn *conn = pair.servers[0].conn;
    struct bytes view = tcp_read(conn);
    assert_int_equal(view.length, 1000);

    tcp_abort(pair.client.conn);
    pair.client.conn = NULL;
    tcp_host_finish(&pair.a, pair.now);
    tcp_host_receive(&pair.b, pair.now); /* the RST came, nothing is dispatched yet */
    assert_int_equal(conn->state, TCP_STATE_CLOSED);
    assert_int_equal(tcp_send_room(conn), 0);
    assert_false(tcp_send_copy(conn, bytes_text("x")));
    struct segment *segment = segment_take(&pair.b.segments);
    segment->length = 10;
    assert_false(tcp_send_segment(conn, segment, 0, 10));
    segment_drop(segment);
    for (size_t i = 0; i < view.length; i++) /* the view is valid until read_done */
        assert_int_equal(view.data[i], tcp_stream_byte(7, i));
    tcp_read_done(conn, 1000);
    assert_int_equal(tcp_read(conn).length, 0);
    struct tcp_info info;
    tcp_info(conn, pair.now, &info);
    assert_int_equal(info.failure, TCP_FAILURE_RESET);
    tcp_dispatch(pair.b.tcp, 10, pair.now);
    assert_true(pair.servers[0].failed);
    tcp_pair_close(&pair);
}

static void a_farewell_tells_every_peer(void **state)
{
    struct tcp_stream clients[5];
    tcp_pair_prepare(&pair, 1);
    tcp_pair_open(&pair);
    for (uint32_t i = 0; i < 5; i++) {
        tcp_stream_init(&clients[i], &pair.a, 7);
        assert_true(tcp_stream_connect(&clients[i], "10.0.0.2", TCP_PAIR_PORT, pair.now));
    }
    tcp_pair_run_for(&pair, CLOCK_S);
    assert_int_equal(tcp_connection_count(pair.b.tcp), 5);
    uint32_t at = 0, rounds = 0;
    do {
        at = tcp_farewell(pair.b.tcp, at, 2, pair.now);
        tcp_host_finish(&pair.b, pair.now);
        rounds++;
    } while (at != 0);
    assert_int_equal(rounds, 3);
    tcp_pair_run_for(&pair, CLOCK_S);
    assert_int_equal(tcp_connection_count(pair.a.tcp), 0);
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(clients[i].failed);
        tcp_abort(pair.servers[i].conn);
        pair.servers[i].conn = NULL;
    }
    assert_int_equal(tcp_farewell(pair.b.tcp, 0, 2, pair.now), 0);
    tcp_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callbacks_may_do_anything_to_any_connection),
        cmocka_unit_test(dispatch_is_bounded_and_loses_nothing),
        cmocka_unit_test(a_failed_connection_bears_every_call),
        cmocka_unit_test(a_farewell_tells_every_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
