/* Two stacks back to back over a wire that does nothing wrong: transfers, closing, windows. */
#include "dataplane/base/clock.h"
#include "dataplane/tcp/tcp_internal.h"
#include "tests/support/cmocka.h"
#include "tests/support/tcp_pair.h"

static struct tcp_pair pair;

static bool run_until(bool (*condition)(void), uint64_t for_ns)
{
    uint64_t end = pair.now + for_ns;
    while (!condition() && pair.now < end)
        tcp_pair_turn(&pair);
    return condition();
}

static bool both_let_go(void)
{
    return pair.client.conn == NULL && pair.servers[0].conn == NULL;
}

static bool server_reads_all(void)
{
    return pair.servers[0].received == pair.client.to_send;
}

static bool client_reads_all(void)
{
    return pair.client.received == pair.servers[0].to_send;
}

static void open_pair(uint64_t seed)
{
    tcp_pair_prepare(&pair, seed);
    tcp_pair_open(&pair);
}

/* Client sends THERE and closes; the server sends BACK and closes after EOF. */
static void transfer(const char *address, uint64_t there, uint64_t back)
{
    open_pair(1);
    pair.client.to_send = there;
    pair.client.use_segments = true;
    pair.servers[0].to_send = back;
    tcp_pair_connect(&pair, address);
    assert_true(run_until(client_reads_all, 60 * CLOCK_S));
    tcp_stream_pump(&pair.client);
    assert_true(run_until(server_reads_all, 60 * CLOCK_S));
    tcp_close(pair.client.conn);
    pair.client.conn = NULL;
    assert_true(run_until(both_let_go, 10 * CLOCK_S));
    assert_true(tcp_stream_is_done(&pair.servers[0], there));
    assert_true(tcp_stream_is_done(&pair.client, back));
    assert_int_equal(tcp_counters(pair.a.tcp)->segments_retransmitted, 0);
    assert_int_equal(tcp_counters(pair.b.tcp)->segments_retransmitted, 0);
    tcp_pair_close(&pair);
}

static void bytes_go_there_and_back(void **state)
{
    static const uint64_t sizes[] = {0, 1, 1448, 1449, 65536, 1 << 20};
    for (size_t i = 0; i < array_count(sizes); i++) {
        transfer("10.0.0.2", sizes[i], sizes[array_count(sizes) - 1 - i]);
        transfer("fd00::2", sizes[i], sizes[i]);
    }
}

static void small_writes_are_not_held_back(void **state)
{
    open_pair(1);
    pair.client.to_send = 1;
    tcp_pair_connect(&pair, "10.0.0.2");
    for (uint32_t i = 0; i < 50; i++) {
        assert_true(run_until(server_reads_all, 10 * CLOCK_MS));
        pair.client.to_send++;
        tcp_stream_pump(&pair.client);
    }
    tcp_abort(pair.client.conn);
    tcp_pair_close(&pair);
}

static bool server_window_is_shut(void)
{
    return pair.client.conn->snd_wnd == 0;
}

static void a_reader_that_stops_shuts_the_window_and_reopens_it(void **state)
{
    open_pair(1);
    pair.client.to_send = 4 << 20;
    pair.servers[0].read_max = 0;
    tcp_pair_connect(&pair, "10.0.0.2");
    assert_true(run_until(server_window_is_shut, 10 * CLOCK_S));
    uint32_t unread = pair.servers[0].conn->rx.bytes;
    assert_true(unread <= pair.b.config.receive_window_bytes + 2 * 1448);
    assert_true(unread + 2 * 1448 >= pair.b.config.receive_window_bytes);

    /* Longer than the user timeout: a peer that answers probes may take its time. */
    tcp_pair_run_for(&pair, 200 * CLOCK_S);
    assert_false(pair.client.failed);
    assert_true(tcp_counters(pair.a.tcp)->zero_window_probes >= 5);
    assert_int_equal(pair.servers[0].conn->rx.bytes, unread);

    pair.servers[0].read_max = UINT32_MAX;
    tcp_stream_pump(&pair.servers[0]);
    assert_true(run_until(server_reads_all, 10 * CLOCK_S));
    assert_int_equal(tcp_counters(pair.a.tcp)->retransmit_timeouts, 0);
    tcp_close(pair.client.conn);
    pair.client.conn = NULL;
    tcp_pair_close(&pair);
}

static bool drop_everything_to_a(void *context, uint16_t from, uint16_t to, uint8_t *frame,
                                 uint16_t length, uint64_t now)
{
    return to != 0;
}

static void a_lost_window_update_is_made_good_by_a_probe(void **state)
{
    open_pair(1);
    pair.client.to_send = 1 << 20;
    pair.servers[0].read_max = 0;
    tcp_pair_connect(&pair, "10.0.0.2");
    assert_true(run_until(server_window_is_shut, 10 * CLOCK_S));
    tcp_pair_run_for(&pair, CLOCK_S);

    wire_set_filter(pair.wire, drop_everything_to_a, NULL);
    pair.servers[0].read_max = UINT32_MAX;
    tcp_stream_pump(&pair.servers[0]);
    tcp_pair_run_for(&pair, 10 * CLOCK_MS);
    wire_set_filter(pair.wire, NULL, NULL);
    assert_int_equal(pair.client.conn->snd_wnd, 0);

    assert_true(run_until(server_reads_all, 10 * CLOCK_S));
    tcp_close(pair.client.conn);
    pair.client.conn = NULL;
    tcp_pair_close(&pair);
}

static void a_slow_reader_gets_everything_in_whole_segments(void **state)
{
    open_pair(1);
    pair.a.config.send_queue_bytes = 64 * 1024;
    pair.client.to_send = 600000;
    pair.servers[0].read_max = 0;
    tcp_pair_connect(&pair, "fd00::2");
    while (!server_reads_all()) {
        pair.servers[0].read_max = 100;
        tcp_stream_pump(&pair.servers[0]);
        pair.servers[0].read_max = 0;
        tcp_pair_turn(&pair);
    }
    /* Silly windows would make thousands of 100-byte segments. */
    assert_true(tcp_counters(pair.a.tcp)->segments_out < 1500);
    tcp_close(pair.client.conn);
    pair.client.conn = NULL;
    tcp_pair_close(&pair);
}

static bool server_saw_eof(void)
{
    return pair.servers[0].eof;
}

static void after_the_peers_fin_we_still_send(void **state)
{
    open_pair(1);
    pair.client.to_send = 1000;
    pair.client.close_after_sending = true;
    pair.servers[0].close_after_eof = false;
    tcp_pair_connect(&pair, "10.0.0.2");
    assert_true(run_until(server_saw_eof, CLOCK_S));
    assert_int_equal(pair.servers[0].conn->state, TCP_STATE_CLOSE_WAIT);
    assert_true(server_reads_all());

    /* Nobody reads it there, but it is taken, and our FIN gets through. */
    pair.servers[0].to_send = 300000;
    pair.servers[0].close_after_sending = true;
    tcp_stream_pump(&pair.servers[0]);
    assert_true(run_until(both_let_go, 5 * CLOCK_S));
    tcp_pair_run_for(&pair, CLOCK_S);
    assert_int_equal(tcp_connection_count(pair.b.tcp), 0);
    assert_int_equal(tcp_counters(pair.b.tcp)->connections_closed, 1);
    assert_int_equal(tcp_counters(pair.b.tcp)->connections_reset, 0);
    assert_int_equal(tcp_time_wait_count(pair.a.tcp), 1);
    tcp_pair_close(&pair);
}

static void a_peer_that_never_closes_is_reset_after_fin_wait_2(void **state)
{
    open_pair(1);
    pair.client.close_after_sending = true;
    pair.client.to_send = 10;
    pair.servers[0].close_after_eof = false;
    tcp_pair_connect(&pair, "10.0.0.2");
    tcp_pair_run_for(&pair, 9 * CLOCK_S);
    assert_int_equal(tcp_connection_count(pair.a.tcp), 1);
    tcp_pair_run_for(&pair, 2 * CLOCK_S);
    assert_int_equal(tcp_connection_count(pair.a.tcp), 0);
    assert_int_equal(tcp_counters(pair.a.tcp)->orphan_expired, 1);
    assert_true(pair.servers[0].failed);
    assert_int_equal(pair.servers[0].failure, TCP_FAILURE_RESET);
    tcp_pair_close(&pair);
}

static void abort_resets_the_other_side(void **state)
{
    open_pair(1);
    tcp_pair_connect(&pair, "10.0.0.2");
    tcp_abort(pair.client.conn);
    pair.client.conn = NULL;
    tcp_pair_run_for(&pair, 10 * CLOCK_MS);
    assert_true(pair.servers[0].failed);
    assert_int_equal(pair.servers[0].failure, TCP_FAILURE_RESET);
    assert_int_equal(tcp_counters(pair.b.tcp)->connections_reset, 1);
    assert_int_equal(tcp_counters(pair.a.tcp)->connections_aborted, 1);
    tcp_pair_close(&pair);
}

static void abort_in_the_middle_of_data_is_believed(void **state)
{
    open_pair(1);
    pair.client.to_send = 4 << 20;
    pair.servers[0].read_max = 0; /* the window is shut when the RST comes */
    tcp_pair_connect(&pair, "10.0.0.2");
    assert_true(run_until(server_window_is_shut, 10 * CLOCK_S));
    tcp_abort(pair.client.conn);
    pair.client.conn = NULL;
    tcp_pair_run_for(&pair, 10 * CLOCK_MS);
    assert_true(pair.servers[0].failed);
    tcp_pair_close(&pair);
}

static void closed_ports_answer_with_rst(void **state)
{
    open_pair(1);
    assert_true(tcp_stream_connect(&pair.client, "10.0.0.2", 81, pair.now));
    tcp_pair_run_for(&pair, 10 * CLOCK_MS);
    assert_true(pair.client.failed);
    assert_int_equal(pair.client.failure, TCP_FAILURE_REFUSED);
    assert_int_equal(tcp_counters(pair.a.tcp)->connect_refused, 1);
    tcp_pair_close(&pair);
}

static void nobody_there_is_unreachable(void **state)
{
    open_pair(1);
    assert_true(tcp_stream_connect(&pair.client, "10.0.0.77", 81, pair.now));
    tcp_pair_run_for(&pair, 9 * CLOCK_S);
    assert_true(pair.client.failed);
    assert_int_equal(pair.client.failure, TCP_FAILURE_UNREACHABLE);
    assert_int_equal(tcp_counters(pair.a.tcp)->connect_unreachable, 1);
    tcp_pair_close(&pair);
}

static bool cut(void *context, uint16_t from, uint16_t to, uint8_t *frame, uint16_t length,
                uint64_t now)
{
    return false;
}

static void a_syn_that_is_not_answered_is_a_timeout(void **state)
{
    open_pair(1);
    tcp_pair_connect(&pair, "10.0.0.2");
    struct tcp_stream second;
    tcp_stream_init(&second, &pair.a, 1);
    wire_set_filter(pair.wire, cut, NULL);
    assert_true(tcp_stream_connect(&second, "10.0.0.2", TCP_PAIR_PORT, pair.now));
    tcp_pair_run_for(&pair, 9 * CLOCK_S);
    assert_false(second.failed);
    assert_int_equal(tcp_counters(pair.a.tcp)->syn_retransmitted, 3);
    tcp_pair_run_for(&pair, 2 * CLOCK_S);
    assert_true(second.failed);
    assert_int_equal(second.failure, TCP_FAILURE_TIMEOUT);
    tcp_abort(pair.client.conn);
    tcp_pair_close(&pair);
}

static void data_that_nobody_acknowledges_runs_into_the_user_timeout(void **state)
{
    open_pair(1);
    tcp_pair_connect(&pair, "10.0.0.2");
    wire_set_filter(pair.wire, cut, NULL);
    pair.client.to_send = 5000;
    tcp_stream_pump(&pair.client);
    tcp_pair_run_for(&pair, 50 * CLOCK_S);
    assert_false(pair.client.failed);
    struct tcp_info info;
    tcp_info(pair.client.conn, pair.now, &info);
    assert_true(info.unacked_for_ns > 49 * CLOCK_S);
    assert_int_equal(info.queued_bytes, 5000);
    tcp_pair_run_for(&pair, 11 * CLOCK_S);
    assert_true(pair.client.failed);
    assert_int_equal(pair.client.failure, TCP_FAILURE_TIMEOUT);
    tcp_abort(pair.servers[0].conn);
    tcp_pair_close(&pair);
}

static void a_shut_window_and_silence_run_into_the_user_timeout(void **state)
{
    open_pair(1);
    pair.client.to_send = 1 << 20;
    pair.servers[0].read_max = 0;
    tcp_pair_connect(&pair, "10.0.0.2");
    assert_true(run_until(server_window_is_shut, 10 * CLOCK_S));
    tcp_pair_run_for(&pair, CLOCK_S);
    wire_set_filter(pair.wire, cut, NULL);
    tcp_pair_run_for(&pair, 50 * CLOCK_S);
    assert_false(pair.client.failed);
    tcp_pair_run_for(&pair, 30 * CLOCK_S);
    assert_true(pair.client.failed);
    tcp_abort(pair.servers[0].conn);
    tcp_pair_close(&pair);
}

#define MANY 400 /* more than net takes for a port between two flushes */

static void many_connect(struct tcp_stream *clients)
{
    for (uint32_t i = 0; i < MANY; i++) {
        tcp_stream_init(&clients[i], &pair.a, i + 1);
        assert_true(tcp_stream_connect(&clients[i], "10.0.0.2", 9000, pair.now));
        if (i % 16 == 15)
            tcp_pair_turn(&pair);
    }
    tcp_pair_run_for(&pair, 5 * CLOCK_S);
}

static void keepalive_of_many_connections_waits_for_room(void **state)
{
    static struct tcp_stream clients[MANY];
    static struct tcp_stream servers[MANY];
    struct tcp_acceptor acceptor = {servers, MANY, 0};
    tcp_pair_prepare(&pair, 12);
    pair.a.config.connections_max = pair.b.config.connections_max = MANY;
    pair.b.config.keepalive_idle_ns = 60 * CLOCK_S;
    tcp_pair_open(&pair);
    for (uint32_t i = 0; i < MANY; i++)
        tcp_stream_init(&servers[i], &pair.b, i + 1);
    assert_true(tcp_stream_listen(&pair.b, "10.0.0.2", 9000, &acceptor));
    many_connect(clients);
    assert_int_equal(acceptor.count, MANY);
    pair.now += 70 * CLOCK_S; /* all are due in one turn */
    tcp_pair_run_for(&pair, 5 * CLOCK_S);
    assert_int_equal(tcp_counters(pair.b.tcp)->keepalive_probes, MANY);
    assert_int_equal(net_counters(pair.b.base.net)->out_queue_full, 0);
    assert_int_equal(tcp_counters(pair.b.tcp)->keepalive_expired, 0);
    for (uint32_t i = 0; i < MANY; i++) {
        tcp_close(clients[i].conn);
        clients[i].conn = NULL;
    }
    tcp_pair_close(&pair);
}

static void keepalive_finds_a_dead_peer_and_spares_a_living_one(void **state)
{
    tcp_pair_prepare(&pair, 1);
    pair.a.config.keepalive_idle_ns = 20 * CLOCK_S;
    tcp_pair_open(&pair);
    tcp_pair_connect(&pair, "10.0.0.2");
    tcp_pair_run_for(&pair, 200 * CLOCK_S);
    assert_false(pair.client.failed);
    assert_true(tcp_counters(pair.a.tcp)->keepalive_probes >= 9);
    wire_set_filter(pair.wire, cut, NULL);
    tcp_pair_run_for(&pair, 60 * CLOCK_S);
    assert_true(pair.client.failed);
    assert_int_equal(pair.client.failure, TCP_FAILURE_TIMEOUT);
    assert_int_equal(tcp_counters(pair.a.tcp)->keepalive_expired, 1);
    tcp_abort(pair.servers[0].conn);
    tcp_pair_close(&pair);
}

static uint64_t silent_for_ns(void)
{
    struct tcp_info info;
    tcp_info(pair.client.conn, pair.now, &info);
    return info.silent_for_ns;
}

static void who_is_asked_answers_each_time_until_the_path_is_cut(void **state)
{
    open_pair(1);
    tcp_pair_connect(&pair, "10.0.0.2");
    for (uint32_t i = 0; i < 10; i++) {
        tcp_pair_run_for(&pair, 100 * CLOCK_MS);
        assert_true(silent_for_ns() >= 95 * CLOCK_MS);
        uint64_t asked_at_ns = pair.now;
        tcp_ask(pair.client.conn, pair.now);
        tcp_pair_run_for(&pair, 100 * CLOCK_MS);
        assert_true(silent_for_ns() <= pair.now - asked_at_ns + CLOCK_MS);
    }
    assert_int_equal(tcp_counters(pair.a.tcp)->asked, 10);
    assert_int_equal(tcp_counters(pair.a.tcp)->segments_retransmitted, 0);
    assert_int_equal(pair.servers[0].received, 0);
    wire_set_filter(pair.wire, cut, NULL);
    tcp_ask(pair.client.conn, pair.now);
    tcp_pair_run_for(&pair, 200 * CLOCK_MS);
    assert_true(silent_for_ns() >= 200 * CLOCK_MS);
    wire_set_filter(pair.wire, NULL, NULL);
    tcp_close(pair.client.conn);
    pair.client.conn = NULL;
    tcp_pair_close(&pair);
}

static void both_closing_at_once_ends_in_time_wait_on_both_sides(void **state)
{
    open_pair(1);
    tcp_pair_connect(&pair, "10.0.0.2");
    tcp_pair_run_for(&pair, CLOCK_S);
    struct wire_faults slow = {.delay_ns = 5 * CLOCK_MS};
    wire_set_faults_everywhere(pair.wire, &slow);
    tcp_close(pair.client.conn);
    tcp_close(pair.servers[0].conn);
    pair.client.conn = NULL;
    pair.servers[0].conn = NULL;
    tcp_pair_run_for(&pair, CLOCK_S);
    assert_int_equal(tcp_connection_count(pair.a.tcp), 0);
    assert_int_equal(tcp_connection_count(pair.b.tcp), 0);
    assert_int_equal(tcp_time_wait_count(pair.a.tcp), 1);
    assert_int_equal(tcp_time_wait_count(pair.b.tcp), 1);
    tcp_pair_close(&pair);
}

static void a_listener_that_left_refuses(void **state)
{
    open_pair(1);
    struct ip_address address;
    assert_true(ip_address_parse("10.0.0.2", &address));
    assert_false(tcp_stream_listen(&pair.b, "10.0.0.2", TCP_PAIR_PORT, &pair.acceptor));
    tcp_unlisten(pair.b.tcp, &address, TCP_PAIR_PORT);
    assert_true(tcp_stream_connect(&pair.client, "10.0.0.2", TCP_PAIR_PORT, pair.now));
    tcp_pair_run_for(&pair, 10 * CLOCK_MS);
    assert_true(pair.client.failed);
    tcp_pair_close(&pair);
}

static void half_open_connections_go_with_their_listener(void **state)
{
    open_pair(1);
    tcp_pair_connect(&pair, "10.0.0.2"); /* so that addresses are resolved */
    struct tcp_stream second;
    tcp_stream_init(&second, &pair.a, 1);
    assert_true(tcp_stream_connect(&second, "10.0.0.2", TCP_PAIR_PORT, pair.now));
    tcp_host_turn(&pair.a, pair.now);
    wire_set_filter(pair.wire, drop_everything_to_a, NULL);
    tcp_host_turn(&pair.b, pair.now);
    assert_int_equal(pair.b.tcp->half_open_count, 1);
    struct ip_address address;
    assert_true(ip_address_parse("10.0.0.2", &address));
    tcp_unlisten(pair.b.tcp, &address, TCP_PAIR_PORT);
    assert_int_equal(pair.b.tcp->half_open_count, 0);
    wire_set_filter(pair.wire, NULL, NULL);
    tcp_pair_run_for(&pair, 5 * CLOCK_S);
    assert_true(second.failed);
    assert_int_equal(pair.acceptor.count, 1);
    tcp_abort(pair.client.conn);
    tcp_pair_close(&pair);
}

static void half_open_connections_expire(void **state)
{
    open_pair(1);
    tcp_pair_connect(&pair, "10.0.0.2");
    struct tcp_stream second;
    tcp_stream_init(&second, &pair.a, 1);
    assert_true(tcp_stream_connect(&second, "10.0.0.2", TCP_PAIR_PORT, pair.now));
    tcp_host_turn(&pair.a, pair.now);
    wire_set_filter(pair.wire, cut, NULL);
    tcp_pair_run_for(&pair, 32 * CLOCK_S);
    assert_int_equal(pair.b.tcp->half_open_count, 0);
    assert_int_equal(tcp_counters(pair.b.tcp)->half_open_expired, 1);
    wire_set_filter(pair.wire, NULL, NULL);
    assert_true(second.failed);
    tcp_abort(pair.client.conn);
    tcp_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_there_and_back),
        cmocka_unit_test(small_writes_are_not_held_back),
        cmocka_unit_test(a_reader_that_stops_shuts_the_window_and_reopens_it),
        cmocka_unit_test(a_lost_window_update_is_made_good_by_a_probe),
        cmocka_unit_test(a_slow_reader_gets_everything_in_whole_segments),
        cmocka_unit_test(after_the_peers_fin_we_still_send),
        cmocka_unit_test(a_peer_that_never_closes_is_reset_after_fin_wait_2),
        cmocka_unit_test(abort_resets_the_other_side),
        cmocka_unit_test(abort_in_the_middle_of_data_is_believed),
        cmocka_unit_test(closed_ports_answer_with_rst),
        cmocka_unit_test(nobody_there_is_unreachable),
        cmocka_unit_test(a_syn_that_is_not_answered_is_a_timeout),
        cmocka_unit_test(data_that_nobody_acknowledges_runs_into_the_user_timeout),
        cmocka_unit_test(a_shut_window_and_silence_run_into_the_user_timeout),
        cmocka_unit_test(keepalive_finds_a_dead_peer_and_spares_a_living_one),
        cmocka_unit_test(who_is_asked_answers_each_time_until_the_path_is_cut),
        cmocka_unit_test(keepalive_of_many_connections_waits_for_room),
        cmocka_unit_test(both_closing_at_once_ends_in_time_wait_on_both_sides),
        cmocka_unit_test(a_listener_that_left_refuses),
        cmocka_unit_test(half_open_connections_go_with_their_listener),
        cmocka_unit_test(half_open_connections_expire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
