/*
 * Segments that no honest peer sends, or that arrive at the worst moment: RFC 9293 3.10.7, RFC
 * 5961, RFC 7323 PAWS, RFC 2018, RFC 2883.
 */
#include "dataplane/base/clock.h"
#include "dataplane/tcp/tcp_recovery.h"
#include "tests/support/cmocka.h"
#include "tests/support/tcp_script.h"

static struct tcp_script script;
static struct script_segment got;

static const struct tcp_options all_options = {
    .present =
        TCP_OPTION_MSS | TCP_OPTION_WINDOW_SCALE | TCP_OPTION_SACK_PERMITTED | TCP_OPTION_TIMESTAMP,
    .mss = 1460,
    .window_scale = 0,
};
static const struct tcp_options no_options = {.present = 0};

static struct tcp_counters *counters(void)
{
    return tcp_counters(script.host.tcp);
}

static void open_accepted(const struct tcp_options *options)
{
    script_prepare(&script);
    script_open(&script);
    script_accept(&script, options);
}

static void open_connected(const struct tcp_options *options)
{
    script_prepare(&script);
    script_open(&script);
    script_connect(&script, options);
}

static void finish(void)
{
    struct tcp_conn *conn = script_conn(&script);
    if (conn != NULL)
        tcp_abort(conn);
    script_close(&script);
}

static struct tcp_stream *stream(void)
{
    return &script.streams[0];
}

static void assert_nothing_comes(void)
{
    assert_false(script_take(&script, &got));
}

static void assert_ack(uint32_t ack)
{
    assert_true(script_take(&script, &got));
    assert_int_equal(got.flags & (uint8_t)~TCP_PSH, TCP_ACK);
    assert_int_equal(got.ack, ack);
}

static void a_syn_ack_offers_what_the_syn_offered(void **state)
{
    struct tcp_options options = all_options;
    options.present = TCP_OPTION_MSS | TCP_OPTION_SACK_PERMITTED;
    open_accepted(&options);
    struct tcp_conn *conn = script_conn(&script);
    assert_int_equal(conn->flags & (TCP_CONN_SACK | TCP_CONN_TIMESTAMPS | TCP_CONN_SCALES),
                     TCP_CONN_SACK);
    assert_int_equal(conn->mss, 1460);
    finish();

    open_accepted(&no_options);
    assert_int_equal(
        script_conn(&script)->flags & (TCP_CONN_SACK | TCP_CONN_TIMESTAMPS | TCP_CONN_SCALES), 0);
    assert_int_equal(script_conn(&script)->mss, 536);
    finish();

    script_prepare(&script);
    script.v6 = true;
    script_open(&script);
    script_accept(&script, &no_options);
    assert_int_equal(script_conn(&script)->mss, 1220);
    finish();
}

static void a_tiny_mss_is_not_obeyed(void **state)
{
    struct tcp_options options = {.present = TCP_OPTION_MSS, .mss = 1};
    open_accepted(&options);
    assert_int_equal(script_conn(&script)->mss, 216);
    finish();
}

static void a_reset_must_hit_the_next_number(void **state)
{
    open_accepted(&all_options);
    struct script_segment reset = script_make(&script, TCP_RST);
    reset.seq += 1;
    script_send(&script, &reset);
    assert_ack(script.seq); /* the challenge */
    assert_int_equal(counters()->challenge_acks, 1);
    assert_false(stream()->failed);

    script_send(&script, &reset);
    assert_nothing_comes(); /* limited */
    assert_int_equal(counters()->challenge_acks_limited, 1);

    reset.seq = script.seq - 1;
    script_send(&script, &reset);
    assert_nothing_comes(); /* out of the window: silence */
    reset.seq = script.seq + script.host.config.receive_window_bytes + 100;
    script_send(&script, &reset);
    assert_nothing_comes();
    assert_false(stream()->failed);

    reset.seq = script.seq;
    script_send(&script, &reset);
    assert_nothing_comes();
    assert_true(stream()->failed);
    assert_int_equal(stream()->failure, TCP_FAILURE_RESET);
    script_close(&script);
}

static void a_syn_on_a_connection_is_challenged(void **state)
{
    open_accepted(&all_options);
    struct script_segment syn = script_make(&script, TCP_SYN);
    syn.seq = script.seq + 77;
    script_send(&script, &syn);
    assert_ack(script.seq);
    assert_int_equal(counters()->segment_syn_established, 1);
    assert_false(stream()->failed);
    finish();
}

static void acks_of_the_future_and_of_long_ago_are_challenged(void **state)
{
    open_accepted(&all_options);
    struct script_segment segment = script_make(&script, TCP_ACK);
    segment.ack += 1;
    script_fill(&segment, 0, 10);
    script_send(&script, &segment);
    assert_ack(script.seq);
    assert_int_equal(counters()->segment_bad_ack, 1);
    assert_int_equal(stream()->received, 0); /* its payload is not believed either */

    script_run_for(&script, CLOCK_S);
    segment.ack = script.ack - 70000;
    script_send(&script, &segment);
    assert_ack(script.seq);
    assert_int_equal(counters()->segment_bad_ack, 2);
    assert_int_equal(stream()->received, 0);
    finish();
}

static void data_without_ack_is_dropped(void **state)
{
    open_accepted(&no_options);
    struct script_segment segment = script_make(&script, 0);
    script_fill(&segment, 0, 10);
    script_send(&script, &segment);
    script_step(&script);
    assert_int_equal(counters()->segment_bad_flags, 1);
    segment.flags = TCP_SYN | TCP_FIN;
    script_send(&script, &segment);
    script_step(&script);
    assert_int_equal(counters()->segment_bad_flags, 2);
    assert_int_equal(stream()->received, 0);
    finish();
}

static void old_timestamps_are_not_accepted(void **state)
{
    open_accepted(&all_options);
    script.ts_value += 10;
    script_send_data(&script, 0, 100);
    script_step(&script);
    assert_int_equal(stream()->received, 100);
    script.seq += 100;
    assert_ack(script.seq);
    assert_int_equal(got.options.ts_echo, script.ts_value);

    script.ts_value -= 1;
    script_send_data(&script, 0, 100);
    assert_ack(script.seq);
    assert_int_equal(counters()->segment_paws, 1);
    assert_int_equal(stream()->received, 100);

    /* RST is exempt (RFC 7323 5.3) */
    struct script_segment reset = script_make(&script, TCP_RST | TCP_ACK);
    script_send(&script, &reset);
    script_step(&script);
    assert_true(stream()->failed);
    script_close(&script);
}

static void the_echo_is_of_the_segment_that_the_ack_covers_first(void **state)
{
    open_accepted(&all_options);
    script_send_data(&script, 0, 10);
    script.seq += 10;
    assert_ack(script.seq);
    script_conn(&script)->quick_acks = 0;
    uint32_t first = script.ts_value + 5;
    script.ts_value = first;
    script_send_data(&script, 0, 10);
    script_step(&script);
    script.ts_value += 5;
    script.seq += 10;
    script_send_data(&script, 0, 10);
    script_step(&script);
    script.seq += 10;
    script_run_for(&script, 50 * CLOCK_MS); /* the delayed ACK */
    assert_ack(script.seq);
    assert_int_equal(got.options.ts_echo, first);
    assert_int_equal(counters()->acks_delayed, 1);
    finish();
}

static void a_hole_is_reported_by_sack_latest_first(void **state)
{
    open_accepted(&all_options);
    script_send_data(&script, 1000, 100);
    assert_ack(script.seq);
    assert_int_equal(got.options.sack_count, 1);
    assert_int_equal(got.options.sack[0].start, script.seq + 1000);
    assert_int_equal(got.options.sack[0].end, script.seq + 1100);

    script_send_data(&script, 2000, 100);
    assert_ack(script.seq);
    script_send_data(&script, 3000, 100);
    assert_ack(script.seq);
    assert_int_equal(got.options.sack_count, 3);
    assert_int_equal(got.options.sack[0].start, script.seq + 3000);
    assert_int_equal(got.options.sack[1].start, script.seq + 2000);
    assert_int_equal(got.options.sack[2].start, script.seq + 1000);

    script_send_data(&script, 1100, 900); /* joins two */
    assert_ack(script.seq);
    assert_int_equal(got.options.sack_count, 2);
    assert_int_equal(got.options.sack[0].start, script.seq + 1000);
    assert_int_equal(got.options.sack[0].end, script.seq + 2100);

    script_send_data(&script, 0, 1000); /* fills the first hole */
    assert_ack(script.seq + 2100);
    assert_int_equal(got.options.sack_count, 1);
    assert_int_equal(got.options.sack[0].start, script.seq + 3000);
    script_send_data(&script, 2100, 900);
    assert_ack(script.seq + 3100);
    assert_int_equal(got.options.sack_count, 0);
    assert_int_equal(stream()->received, 3100);
    assert_false(stream()->corrupt);
    finish();
}

static void what_arrives_twice_is_reported(void **state)
{
    open_accepted(&all_options);
    script_send_data(&script, 0, 500);
    assert_ack(script.seq + 500);
    script_send_data(&script, 0, 300); /* wholly old */
    assert_ack(script.seq + 500);
    assert_int_equal(got.options.sack_count, 1);
    assert_int_equal(got.options.sack[0].start, script.seq);
    assert_int_equal(got.options.sack[0].end, script.seq + 300);

    script_send_data(&script, 1000, 100);
    assert_ack(script.seq + 500);
    script_send_data(&script, 1000, 100); /* old, ahead of the hole */
    assert_ack(script.seq + 500);
    assert_int_equal(got.options.sack_count, 2);
    assert_int_equal(got.options.sack[0].start, script.seq + 1000);
    assert_int_equal(got.options.sack[1].start, script.seq + 1000);

    script_send_data(&script, 400, 200); /* half old */
    assert_ack(script.seq + 600);
    assert_int_equal(got.options.sack[0].start, script.seq + 400);
    assert_int_equal(got.options.sack[0].end, script.seq + 500);
    assert_int_equal(counters()->segment_duplicate, 3);
    assert_false(stream()->corrupt);
    finish();
}

static void a_fin_ahead_of_a_hole_waits(void **state)
{
    open_accepted(&all_options);
    stream()->close_after_eof = false;
    struct script_segment fin = script_make(&script, TCP_ACK | TCP_FIN);
    fin.seq += 200;
    script_fill(&fin, 200, 100);
    script_send(&script, &fin);
    assert_ack(script.seq);
    assert_false(stream()->eof);
    script_send_data(&script, 0, 200);
    assert_ack(script.seq + 301);
    assert_true(stream()->eof);
    assert_int_equal(stream()->received, 300);
    assert_int_equal(script_conn(&script)->state, TCP_STATE_CLOSE_WAIT);

    script_send(&script, &fin); /* again: acknowledged again */
    assert_ack(script.seq + 301);
    finish();
}

/* Both come in one burst: nothing of the connection is left when the turn ends. */
static void a_fin_and_the_ack_of_ours_together_are_acknowledged(void **state)
{
    open_connected(&no_options);
    tcp_close(script.client.conn);
    script.client.conn = NULL;
    assert_true(script_take(&script, &got));
    assert_int_equal(got.flags & TCP_FIN, TCP_FIN);

    struct script_segment fin = script_make(&script, TCP_FIN | TCP_ACK);
    fin.ack--; /* it crossed ours */
    struct script_segment ack = script_make(&script, TCP_ACK);
    ack.seq++;
    script_send(&script, &fin);
    script_send(&script, &ack);
    assert_ack(script.seq + 1);
    assert_nothing_comes();
    assert_int_equal(tcp_time_wait_count(script.host.tcp), 1);
    script_close(&script);
}

static void data_behind_the_fin_is_nobodys(void **state)
{
    open_accepted(&all_options);
    stream()->close_after_eof = false;
    struct script_segment fin = script_make(&script, TCP_ACK | TCP_FIN);
    fin.seq += 100;
    script_send(&script, &fin);
    script_step(&script);
    script_send_data(&script, 50, 100);
    script_step(&script);
    assert_int_equal(counters()->segment_after_fin, 1);
    script_send_data(&script, 0, 50);
    script_step(&script);
    assert_int_equal(stream()->received, 100);
    assert_true(stream()->eof);
    finish();
}

static void what_does_not_fit_the_window_is_cut(void **state)
{
    script_prepare(&script);
    script.host.config.receive_window_bytes = 1000;
    script_open(&script);
    script_accept(&script, &no_options);
    stream()->read_max = 0;
    script_send_data(&script, 0, 1400);
    assert_ack(script.seq + 1000);
    assert_int_equal(got.window, 0);
    assert_int_equal(script_conn(&script)->rx.bytes, 1000);
    assert_int_equal(counters()->segment_out_of_window, 1);

    /* A probe of one byte is answered and not taken. */
    script.seq += 1000;
    script_send_data(&script, 0, 1);
    assert_ack(script.seq);
    assert_int_equal(got.window, 0);

    /* Reading a little does not open the window, half of it does. */
    stream()->read_max = 499;
    tcp_stream_pump(stream());
    assert_nothing_comes();
    stream()->read_max = 1;
    tcp_stream_pump(stream());
    assert_ack(script.seq);
    assert_int_equal(got.window, 500);
    finish();
}

static void the_window_is_never_taken_back(void **state)
{
    open_accepted(&all_options);
    struct tcp_conn *conn = script_conn(&script);
    stream()->read_max = 0;
    uint32_t edge = conn->rcv_adv;
    for (int i = 0; i < 300; i++) {
        script_send_data(&script, 0, 1000);
        script.seq += 1000;
        script_step(&script);
        while (script_take(&script, &got)) {
            uint32_t now_edge = got.ack + ((uint32_t)got.window << conn->rcv_wscale);
            assert_true(seq_geq(now_edge + (1u << conn->rcv_wscale), edge));
            edge = seq_max(edge, now_edge);
        }
    }
    assert_true(conn->rx.bytes <= script.host.config.receive_window_bytes);
    finish();
}

/*
 * What acknowledges something new says the window, even if it is data sent again with a sequence
 * number below an earlier segment's: else the old window would count from the new SND.UNA.
 */
static void data_sent_again_that_acknowledges_more_sets_the_window(void **state)
{
    open_connected(&no_options);
    script.client.to_send = 3000;
    struct script_segment window = script_make(&script, TCP_ACK);
    window.seq += 500; /* its data is still missing */
    window.window = 2 * 536;
    script_send(&script, &window);
    script_step(&script);
    tcp_stream_pump(&script.client);
    uint32_t sent = 0;
    while (script_take(&script, &got))
        sent += got.length;
    assert_int_equal(sent, 2 * 536);

    struct script_segment again = script_make(&script, TCP_ACK | TCP_PSH);
    script_fill(&again, 0, 500);
    again.window = 0;
    script_send(&script, &again);
    sent = 0;
    while (script_take(&script, &got))
        sent += got.length;
    assert_int_equal(sent, 0);
    assert_int_equal(script_conn(&script)->snd_wnd, 0);
    finish();
}

static void simultaneous_open_ends_in_one_connection(void **state)
{
    struct script_segment syn;
    script_prepare(&script);
    script_open(&script);
    assert_true(ip_address_parse("10.0.0.2", &script.tuple.local));
    assert_true(ip_address_parse("10.0.0.1", &script.tuple.remote));
    script.tuple.local_port = SCRIPT_PEER_PORT;
    assert_true(tcp_stream_connect(&script.client, "10.0.0.2", SCRIPT_PEER_PORT, script.now));
    while (!script_take(&script, &syn))
        ;
    struct script_segment ours = script_make(&script, TCP_SYN);
    ours.options = all_options;
    ours.options.ts_value = script.ts_value;
    script_send(&script, &ours);
    assert_true(script_take(&script, &got));
    assert_int_equal(got.flags, TCP_SYN | TCP_ACK);
    assert_int_equal(got.seq, syn.seq);
    assert_int_equal(got.ack, script.seq + 1);
    assert_false(script.client.opened);

    /* The peer's SYN-ACK repeats its SYN. */
    script.timestamps = true;
    struct script_segment answer = script_make(&script, TCP_SYN | TCP_ACK);
    answer.options = all_options;
    answer.options.ts_value = script.ts_value;
    script_send(&script, &answer);
    script_step(&script);
    script_step(&script);
    assert_true(script.client.opened);
    script.seq++;
    script.peer_first = script.seq;
    script_send_data(&script, 0, 10);
    script_step(&script);
    assert_int_equal(script.client.received, 10);
    finish();
}

static void a_lost_syn_ack_is_sent_again_for_the_same_syn(void **state)
{
    script_prepare(&script);
    script_open(&script);
    assert_true(ip_address_parse("10.0.0.2", &script.tuple.local));
    assert_true(ip_address_parse("10.0.0.1", &script.tuple.remote));
    script.tuple.local_port = SCRIPT_PEER_PORT;
    script.tuple.remote_port = SCRIPT_PORT;
    struct script_segment syn = script_make(&script, TCP_SYN);
    for (int i = 0; i < 3; i++) {
        script_send(&script, &syn);
        while (!script_take(&script, &got))
            ;
        assert_int_equal(got.flags, TCP_SYN | TCP_ACK);
        assert_int_equal(got.ack, script.seq + 1);
    }
    assert_int_equal(script.host.tcp->half_open_count, 1);

    /* An ACK of something else is answered with RST and changes nothing. */
    struct script_segment wrong = script_make(&script, TCP_ACK);
    wrong.seq++;
    wrong.ack = script.ack + 5;
    script_send(&script, &wrong);
    assert_true(script_take(&script, &got));
    assert_int_equal(got.flags, TCP_RST);
    assert_int_equal(got.seq, wrong.ack);
    assert_int_equal(script.host.tcp->half_open_count, 1);

    struct script_segment reset = script_make(&script, TCP_RST);
    reset.seq++;
    script_send(&script, &reset);
    script_step(&script);
    assert_int_equal(script.host.tcp->half_open_count, 0);
    assert_int_equal(counters()->half_open_reset, 1);
    assert_int_equal(script.acceptor.count, 0);
    script_close(&script);
}

/* Both in one burst: what the peer of our connect said before is heard, what a client said is not.
 */
static void the_last_words_of_a_server_are_told_before_its_reset(void **state)
{
    static const struct {
        void (*open)(const struct tcp_options *options);
        struct tcp_stream *stream;
        uint64_t received;
    } cases[] = {{open_connected, &script.client, 500}, {open_accepted, &script.streams[0], 0}};
    for (size_t i = 0; i < 2; i++) {
        cases[i].open(&all_options);
        script_send_data(&script, 0, 500);
        struct script_segment reset = script_make(&script, TCP_RST);
        reset.seq = script.peer_first + 500;
        script_send(&script, &reset);
        script_step(&script);
        assert_true(cases[i].stream->failed);
        assert_int_equal(cases[i].stream->failure, TCP_FAILURE_RESET);
        assert_int_equal(cases[i].stream->received, cases[i].received);
        assert_false(cases[i].stream->corrupt);
        script_close(&script);
    }
}

static void a_syn_ack_of_the_wrong_number_is_reset(void **state)
{
    script_prepare(&script);
    script_open(&script);
    assert_true(ip_address_parse("10.0.0.2", &script.tuple.local));
    assert_true(ip_address_parse("10.0.0.1", &script.tuple.remote));
    script.tuple.local_port = SCRIPT_PEER_PORT;
    assert_true(tcp_stream_connect(&script.client, "10.0.0.2", SCRIPT_PEER_PORT, script.now));
    while (!script_take(&script, &got))
        ;
    struct script_segment answer = script_make(&script, TCP_SYN | TCP_ACK);
    answer.ack += 1;
    script_send(&script, &answer);
    assert_true(script_take(&script, &got));
    assert_int_equal(got.flags, TCP_RST);
    assert_int_equal(got.seq, answer.ack);

    struct script_segment reset = script_make(&script, TCP_RST);
    script_send(&script, &reset); /* without ACK it proves nothing */
    script_step(&script);
    assert_false(script.client.failed);
    reset.flags |= TCP_ACK;
    reset.ack = answer.ack - 1;
    script_send(&script, &reset);
    script_step(&script);
    assert_true(script.client.failed);
    assert_int_equal(script.client.failure, TCP_FAILURE_REFUSED);
    script_close(&script);
}

static void every_wrap_of_the_sequence_space_is_survived(void **state)
{
    for (uint32_t start = 0xfffff000u; start != 0x800; start += 0x100) {
        script_prepare(&script);
        script.seq = start;
        script_open(&script);
        script_accept(&script, &all_options);
        script_send_data(&script, 1400, 1000); /* ahead */
        script_step(&script);
        script_send_data(&script, 0, 1400);
        script_step(&script);
        script_send_data(&script, 2400, 1400);
        script_step(&script);
        assert_int_equal(stream()->received, 3800);
        assert_false(stream()->corrupt);
        script.seq += 3800;
        struct script_segment fin = script_make(&script, TCP_ACK | TCP_FIN);
        script_send(&script, &fin);
        script_step(&script);
        assert_true(stream()->eof);
        assert_null(stream()->conn); /* it closed, too */
        script.got_count = 0;
        script.taken = 0;
        script.seq++;
        struct script_segment ack = script_make(&script, TCP_ACK);
        ack.ack = script.ack + 1;
        script_send(&script, &ack);
        script_step(&script);
        assert_int_equal(tcp_connection_count(script.host.tcp), 0);
        script_close(&script);
    }
}

static void three_duplicates_without_sack_start_a_fast_retransmit(void **state)
{
    open_connected(&no_options);
    script.client.to_send = 20 * 536;
    tcp_stream_pump(&script.client);
    uint32_t first = script.ack;
    uint32_t count = 0;
    while (script_take(&script, &got))
        count++;
    assert_int_equal(count, 10); /* the initial window */
    struct script_segment duplicate = script_make(&script, TCP_ACK);
    duplicate.ack = first;
    for (int i = 0; i < 2; i++) {
        script_send(&script, &duplicate);
        assert_true(script_take(&script, &got)); /* limited transmit: new data */
        assert_int_equal(got.seq, first + (10 + (uint32_t)i) * 536);
    }
    script_send(&script, &duplicate);
    assert_true(script_take(&script, &got));
    assert_int_equal(got.seq, first);
    assert_int_equal(counters()->recoveries, 1);

    /* A partial acknowledgement sends the next hole at once. */
    struct script_segment partial = script_make(&script, TCP_ACK);
    partial.ack = first + 3 * 536;
    script_send(&script, &partial);
    assert_true(script_take(&script, &got));
    assert_int_equal(got.seq, first + 3 * 536);
    assert_int_equal(counters()->retransmit_timeouts, 0);
    finish();
}

static void sacks_show_what_to_send_again(void **state)
{
    open_connected(&all_options);
    script.client.to_send = 10 * 1448;
    tcp_stream_pump(&script.client);
    uint32_t first = script.ack;
    while (script_take(&script, &got))
        ;
    assert_int_equal(script.ack, first + 10 * 1448);
    struct script_segment sack = script_make(&script, TCP_ACK);
    sack.ack = first;
    sack.options.present |= TCP_OPTION_SACK; /* 0 and 2 are missing, 1 and 3 to 5 arrived */
    sack.options.sack_count = 2;
    sack.options.sack[0] = (struct tcp_range){first + 3 * 1448, first + 6 * 1448};
    sack.options.sack[1] = (struct tcp_range){first + 1448, first + 2 * 1448};
    script_send(&script, &sack);
    assert_true(script_take(&script, &got));
    assert_int_equal(got.seq, first);
    assert_int_equal(got.length, 1448);
    for (uint32_t i = 0; i < got.length; i++)
        assert_int_equal(got.payload[i], tcp_stream_byte(7, i));

    sack.options.sack[0].end = first + 8 * 1448; /* more left the network: the next may go */
    script_send(&script, &sack);
    assert_true(script_take(&script, &got));
    assert_int_equal(got.seq, first + 2 * 1448);
    assert_nothing_comes();
    struct script_segment all = script_make(&script, TCP_ACK);
    all.ack = first + 10 * 1448;
    script_send(&script, &all);
    script_step(&script);
    assert_int_equal(script_conn(&script)->recovery, TCP_RECOVERY_OPEN);
    assert_int_equal(script_conn(&script)->sacked_bytes, 0);
    assert_int_equal(script_conn(&script)->lost_bytes, 0);
    finish();
}

static void absurd_sacks_are_counted_and_ignored(void **state)
{
    open_connected(&all_options);
    script.client.to_send = 5 * 1448;
    tcp_stream_pump(&script.client);
    uint32_t first = script.ack;
    while (script_take(&script, &got))
        ;
    struct script_segment sack = script_make(&script, TCP_ACK);
    sack.ack = first;
    sack.options.present |= TCP_OPTION_SACK;
    sack.options.sack_count = 3;
    sack.options.sack[0] = (struct tcp_range){first + 20 * 1448, first + 21 * 1448};
    sack.options.sack[1] = (struct tcp_range){first + 2000, first + 1000};
    sack.options.sack[2] = (struct tcp_range){first + 1448, first + 200 * 1448};
    script_send(&script, &sack);
    script_step(&script);
    assert_int_equal(counters()->sack_blocks_invalid, 3);
    assert_int_equal(script_conn(&script)->sacked_bytes, 0);
    finish();
}

static void a_reneging_peer_gets_everything_again(void **state)
{
    open_connected(&all_options);
    script.client.to_send = 4 * 1448;
    tcp_stream_pump(&script.client);
    uint32_t first = script.ack;
    while (script_take(&script, &got))
        ;
    struct script_segment sack = script_make(&script, TCP_ACK);
    sack.ack = first;
    sack.options.present |= TCP_OPTION_SACK;
    sack.options.sack_count = 1;
    sack.options.sack[0] = (struct tcp_range){first + 1448, first + 3 * 1448};
    script_send(&script, &sack);
    script_step(&script);
    /* The first arrives, but what was SACKed is not acknowledged with it. */
    struct script_segment ack = script_make(&script, TCP_ACK);
    ack.ack = first + 1448;
    script_send(&script, &ack);
    script_run_for(&script, CLOCK_S);
    assert_int_equal(counters()->sack_reneged, 1);
    bool again[4] = {false};
    while (script_take(&script, &got))
        again[(got.seq - first) / 1448] = true;
    assert_true(again[1]);
    script_send(&script, &ack);
    finish();
}

static void the_timeout_comes_after_a_probe_and_backs_off(void **state)
{
    open_connected(&all_options);
    script.client.to_send = 100;
    tcp_stream_pump(&script.client);
    assert_true(script_take(&script, &got));
    uint64_t last = script.now;
    while (!script_take(&script, &got))
        script_run_for(&script, CLOCK_MS);
    assert_int_equal(counters()->tail_loss_probes, 1);
    assert_int_equal(got.length, 100);
    assert_true(script.now - last >= 100 * CLOCK_MS);
    last = script.now;
    uint64_t expected = 200 * CLOCK_MS;
    for (int i = 0; i < 6; i++) {
        while (!script_take(&script, &got))
            script_run_for(&script, CLOCK_MS);
        assert_int_equal(got.length, 100);
        assert_true(script.now - last >= expected);
        assert_true(script.now - last <= expected + 5 * CLOCK_MS);
        last = script.now;
        expected *= 2;
    }
    assert_int_equal(script_conn(&script)->cwnd, 1448);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_syn_ack_offers_what_the_syn_offered),
        cmocka_unit_test(a_tiny_mss_is_not_obeyed),
        cmocka_unit_test(a_reset_must_hit_the_next_number),
        cmocka_unit_test(a_syn_on_a_connection_is_challenged),
        cmocka_unit_test(acks_of_the_future_and_of_long_ago_are_challenged),
        cmocka_unit_test(data_without_ack_is_dropped),
        cmocka_unit_test(old_timestamps_are_not_accepted),
        cmocka_unit_test(the_echo_is_of_the_segment_that_the_ack_covers_first),
        cmocka_unit_test(a_hole_is_reported_by_sack_latest_first),
        cmocka_unit_test(what_arrives_twice_is_reported),
        cmocka_unit_test(a_fin_ahead_of_a_hole_waits),
        cmocka_unit_test(a_fin_and_the_ack_of_ours_together_are_acknowledged),
        cmocka_unit_test(data_behind_the_fin_is_nobodys),
        cmocka_unit_test(what_does_not_fit_the_window_is_cut),
        cmocka_unit_test(the_window_is_never_taken_back),
        cmocka_unit_test(data_sent_again_that_acknowledges_more_sets_the_window),
        cmocka_unit_test(simultaneous_open_ends_in_one_connection),
        cmocka_unit_test(a_lost_syn_ack_is_sent_again_for_the_same_syn),
        cmocka_unit_test(the_last_words_of_a_server_are_told_before_its_reset),
        cmocka_unit_test(a_syn_ack_of_the_wrong_number_is_reset),
        cmocka_unit_test(every_wrap_of_the_sequence_space_is_survived),
        cmocka_unit_test(three_duplicates_without_sack_start_a_fast_retransmit),
        cmocka_unit_test(sacks_show_what_to_send_again),
        cmocka_unit_test(absurd_sacks_are_counted_and_ignored),
        cmocka_unit_test(a_reneging_peer_gets_everything_again),
        cmocka_unit_test(the_timeout_comes_after_a_probe_and_backs_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
