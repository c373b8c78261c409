/* TIME_WAIT: RFC 9293 3.6.1, RFC 6191, RFC 1337. */
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"
#include "tests/support/tcp_pair.h"
#include "tests/support/tcp_script.h"

static struct tcp_script script;
static struct script_segment got;

static const struct tcp_options with_time = {
    .present = TCP_OPTION_MSS | TCP_OPTION_TIMESTAMP,
    .mss = 1460,
};
static const struct tcp_options without_time = {.present = TCP_OPTION_MSS, .mss = 1460};

/* The peer connects, our side closes first: the entry is ours. */
static void enter(const struct tcp_options *options)
{
    script_prepare(&script);
    script_open(&script);
    script_accept(&script, options);
    tcp_close(script.streams[0].conn);
    script.streams[0].conn = NULL;
    assert_true(script_take(&script, &got));
    assert_int_equal(got.flags & (uint8_t)~TCP_PSH, TCP_FIN | TCP_ACK);
    struct script_segment fin = script_make(&script, TCP_FIN | TCP_ACK);
    script_send(&script, &fin);
    assert_true(script_take(&script, &got));
    assert_int_equal(got.flags, TCP_ACK);
    assert_int_equal(got.ack, script.seq + 1);
    script.seq++;
    assert_int_equal(tcp_time_wait_count(script.host.tcp), 1);
    assert_int_equal(tcp_connection_count(script.host.tcp), 0);
}

static void the_last_fin_is_acknowledged_again(void **state)
{
    enter(&with_time);
    script_run_for(&script, 6 * CLOCK_S);
    struct script_segment fin = script_make(&script, TCP_FIN | TCP_ACK);
    fin.seq--;
    script_send(&script, &fin);
    assert_true(script_take(&script, &got));
    assert_int_equal(got.flags, TCP_ACK);
    assert_int_equal(got.ack, script.seq);
    assert_true(got.options.present & TCP_OPTION_TIMESTAMP);
    script_run_for(&script, 6 * CLOCK_S); /* it begins anew */
    assert_int_equal(tcp_time_wait_count(script.host.tcp), 1);
    script_run_for(&script, 5 * CLOCK_S);
    assert_int_equal(tcp_time_wait_count(script.host.tcp), 0);
    script_close(&script);
}

static void resets_and_plain_acks_change_nothing(void **state)
{
    enter(&with_time);
    struct script_segment segment = script_make(&script, TCP_RST | TCP_ACK);
    script_send(&script, &segment);
    segment = script_make(&script, TCP_ACK);
    script_send(&script, &segment);
    assert_false(script_take(&script, &got));
    assert_int_equal(tcp_time_wait_count(script.host.tcp), 1);

    segment.seq += 100; /* out of place: answered */
    script_fill(&segment, 0, 10);
    script_send(&script, &segment);
    assert_true(script_take(&script, &got));
    assert_int_equal(got.ack, script.seq);
    script_close(&script);
}

static void assert_reopened(uint32_t old_nxt)
{
    assert_true(script_take(&script, &got));
    assert_int_equal(got.flags, TCP_SYN | TCP_ACK);
    assert_true(seq_gt(got.seq, old_nxt)); /* RFC 9293 3.6.1: larger than before */
    assert_int_equal(tcp_time_wait_count(script.host.tcp), 0);
    assert_int_equal(tcp_counters(script.host.tcp)->time_wait_reused, 1);
}

static void a_syn_with_a_newer_timestamp_opens_anew(void **state)
{
    enter(&with_time);
    uint32_t old_nxt = script.ack;
    script.ts_value++;
    struct script_segment syn = script_make(&script, TCP_SYN);
    syn.seq -= 50000; /* the timestamp alone decides */
    syn.options.present |= TCP_OPTION_MSS;
    script_send(&script, &syn);
    assert_reopened(old_nxt);
    script_close(&script);
}

static void a_syn_with_an_old_timestamp_does_not(void **state)
{
    enter(&with_time);
    script.ts_value--;
    struct script_segment syn = script_make(&script, TCP_SYN);
    syn.seq += 50000;
    script_send(&script, &syn);
    assert_true(script_take(&script, &got));
    assert_int_equal(got.flags, TCP_ACK);
    assert_int_equal(tcp_time_wait_count(script.host.tcp), 1);
    script_close(&script);
}

static void without_timestamps_the_sequence_number_decides(void **state)
{
    enter(&without_time);
    uint32_t old_nxt = script.ack;
    struct script_segment syn = script_make(&script, TCP_SYN);
    syn.seq -= 5;
    script_send(&script, &syn);
    assert_true(script_take(&script, &got));
    assert_int_equal(got.flags, TCP_ACK);
    syn.seq += 10;
    script_send(&script, &syn);
    assert_reopened(old_nxt);
    script_close(&script);
}

static struct tcp_pair pair;

static void open_and_close(struct tcp_stream *client, uint32_t server)
{
    tcp_stream_init(client, &pair.a, 7);
    assert_true(tcp_stream_connect(client, "10.0.0.2", TCP_PAIR_PORT, pair.now));
    for (int i = 0; i < 1000 && pair.acceptor.count <= server; i++)
        tcp_pair_turn(&pair);
    assert_true(client->opened);
    tcp_close(client->conn);
    client->conn = NULL;
    for (int i = 0; i < 1000 && pair.servers[server].conn != NULL; i++)
        tcp_pair_turn(&pair);
    tcp_pair_run_for(&pair, CLOCK_MS);
}

static void the_oldest_entry_makes_place(void **state)
{
    tcp_pair_prepare(&pair, 1);
    pair.a.config.time_wait_max = 3;
    tcp_pair_open(&pair);
    struct tcp_stream client;
    for (uint32_t i = 0; i < 5; i++) {
        open_and_close(&client, i);
        assert_int_equal(tcp_time_wait_count(pair.a.tcp), i < 3 ? i + 1 : 3);
    }
    assert_int_equal(tcp_counters(pair.a.tcp)->time_wait_evicted, 2);
    tcp_pair_close(&pair);
}

/* All ports of the slice wait: after a second the timestamps let them be used again. */
static void our_ports_are_used_again_after_a_second(void **state)
{
    tcp_pair_prepare(&pair, 1);
    pair.a.config.workers = 16384; /* two ports are left to this worker */
    pair.a.config.self = 5;
    tcp_pair_open(&pair);
    assert_int_equal(pair.a.tcp->port_count, 2);
    struct tcp_stream client;
    open_and_close(&client, 0);
    open_and_close(&client, 1);
    assert_int_equal(tcp_time_wait_count(pair.a.tcp), 2);
    tcp_stream_init(&client, &pair.a, 7);
    assert_false(tcp_stream_connect(&client, "10.0.0.2", TCP_PAIR_PORT, pair.now));
    assert_int_equal(tcp_counters(pair.a.tcp)->connect_no_port, 1);

    tcp_pair_run_for(&pair, 1100 * CLOCK_MS);
    open_and_close(&client, 2);
    assert_int_equal(tcp_counters(pair.a.tcp)->time_wait_reused, 1);
    assert_int_equal(tcp_counters(pair.b.tcp)->connections_accepted, 3);
    tcp_pair_close(&pair);
}

static void source_ports_are_of_this_workers_slice(void **state)
{
    for (uint16_t workers = 1; workers <= 7; workers++) {
        uint32_t all = 0;
        for (uint16_t self = 0; self < workers; self++) {
            tcp_pair_prepare(&pair, 1);
            pair.a.config.workers = workers;
            pair.a.config.self = self;
            tcp_pair_open(&pair);
            all += pair.a.tcp->port_count;
            for (uint32_t i = 0; i < 20; i++) {
                struct tcp_stream client;
                tcp_stream_init(&client, &pair.a, 7);
                assert_true(tcp_stream_connect(&client, "10.0.0.2", 1, pair.now));
                struct tcp_info info;
                tcp_info(client.conn, pair.now, &info);
                assert_true(info.tuple.local_port >= FLOW_SOURCE_PORT_FIRST);
                assert_int_equal(flow_port_owner(info.tuple.local_port, workers), self);
                tcp_abort(client.conn);
            }
            tcp_pair_close(&pair);
        }
        assert_int_equal(all, FLOW_SOURCE_PORTS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_fin_is_acknowledged_again),
        cmocka_unit_test(resets_and_plain_acks_change_nothing),
        cmocka_unit_test(a_syn_with_a_newer_timestamp_opens_anew),
        cmocka_unit_test(a_syn_with_an_old_timestamp_does_not),
        cmocka_unit_test(without_timestamps_the_sequence_number_decides),
        cmocka_unit_test(the_oldest_entry_makes_place),
        cmocka_unit_test(our_ports_are_used_again_after_a_second),
        cmocka_unit_test(source_ports_are_of_this_workers_slice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
