/*
 * SYN cookies: RFC 4987: what travels comes back, nothing is kept meanwhile, nothing else is taken
 * for a cookie.
 */
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"
#include "tests/support/tcp_script.h"

#include <string.h>

#define FLOOD 100000u

static struct tcp_script script;
static struct script_segment got;
static struct tcp_cookie_settings settings;

static const struct tcp_options all_options = {
    .present =
        TCP_OPTION_MSS | TCP_OPTION_SACK_PERMITTED | TCP_OPTION_TIMESTAMP | TCP_OPTION_WINDOW_SCALE,
    .mss = 1460,
    .window_scale = 7,
};
static const struct tcp_options only_mss = {.present = TCP_OPTION_MSS, .mss = 1400};

static struct tcp *tcp(void)
{
    return script.host.tcp;
}

static const struct tcp_counters *counters(void)
{
    return tcp_counters(script.host.tcp);
}

static void set_ends(uint16_t peer_port)
{
    assert_true(ip_address_parse(script.v6 ? "fd00::2" : "10.0.0.2", &script.tuple.local));
    assert_true(ip_address_parse(script.v6 ? "fd00::1" : "10.0.0.1", &script.tuple.remote));
    script.tuple.local_port = peer_port;
    script.tuple.remote_port = SCRIPT_PORT;
}

static void open_script(enum tcp_cookie_mode mode, uint32_t backlog)
{
    script_prepare(&script);
    net_host_set_gateway(&script.host.base, "10.0.0.2");
    script_open(&script);
    settings = (struct tcp_cookie_settings){
        .mode = mode, .backlog = backlog, .secrets = {{1, 2}}, .clock_ahead_ns = 1000 * CLOCK_S};
    tcp_set_cookies(tcp(), &settings);
    set_ends(SCRIPT_PEER_PORT);
}

/* Nothing is held but WANTED connections. */
static void assert_held(uint32_t wanted)
{
    assert_int_equal(tcp_connection_count(tcp()), wanted);
    assert_int_equal(tcp()->table.count, wanted);
}

static void send_syn(const struct tcp_options *options)
{
    script.timestamps = false;
    struct script_segment syn = script_make(&script, TCP_SYN);
    syn.options = *options;
    syn.options.ts_value = script.ts_value;
    script_send(&script, &syn);
}

/* SYN and its answer; the numbers move on as the peer's would. */
static void ask(const struct tcp_options *options)
{
    uint32_t held = tcp_connection_count(tcp());
    uint64_t sent = counters()->cookies_sent;
    send_syn(options);
    assert_true(script_take(&script, &got));
    assert_int_equal(got.flags, TCP_SYN | TCP_ACK);
    assert_int_equal(got.ack, script.seq + 1);
    assert_int_equal(counters()->cookies_sent, sent + 1);
    assert_held(held);
    script.seq++;
    script.peer_first = script.seq;
    script.timestamps = (got.options.present & TCP_OPTION_TIMESTAMP) != 0;
}

/* The peer's ACK. True: a connection has come of it. */
static bool answer(uint32_t data)
{
    uint64_t before = counters()->connections_accepted;
    struct script_segment ack = script_make(&script, TCP_ACK);
    script_fill(&ack, 0, data);
    script_send(&script, &ack);
    script_step(&script);
    return counters()->connections_accepted == before + 1;
}

/* Everything on the way is gone. */
static void settle(void)
{
    while (script_take(&script, &got))
        ;
}

/* Let go of the connection just made, with RST. */
static void let_go(void)
{
    struct tcp_stream *stream = &script.streams[script.acceptor.count - 1];
    tcp_abort(stream->conn);
    tcp_stream_init(stream, &script.host, 7);
    script.acceptor.count = 0;
    settle();
    assert_held(0);
}

/* ---- what travels ---- */

static uint16_t mss_expected(bool v6, uint16_t mss)
{
    static const uint16_t values[2][8] = {{216, 536, 1220, 1340, 1380, 1412, 1452, 1460},
                                          {216, 1220, 1280, 1340, 1380, 1412, 1432, 1440}};
    int i = 7;
    while (i > 0 && values[v6][i] > mss)
        i--;
    return values[v6][i];
}

static void assert_negotiated(const struct tcp_options *options)
{
    const struct tcp_conn *conn = script_conn(&script);
    bool timestamps = (options->present & TCP_OPTION_TIMESTAMP) != 0;
    bool scales = timestamps && options->present & TCP_OPTION_WINDOW_SCALE;
    bool sack = timestamps && options->present & TCP_OPTION_SACK_PERMITTED;
    assert_int_equal(conn->peer_mss, mss_expected(script.v6, options->mss));
    assert_int_equal((conn->flags & TCP_CONN_TIMESTAMPS) != 0, timestamps);
    assert_int_equal((conn->flags & TCP_CONN_SCALES) != 0, scales);
    assert_int_equal((conn->flags & TCP_CONN_SACK) != 0, sack);
    assert_int_equal((got.options.present & TCP_OPTION_WINDOW_SCALE) != 0, scales);
    assert_int_equal((got.options.present & TCP_OPTION_SACK_PERMITTED) != 0, sack);
    uint8_t scale = options->window_scale < 14 ? options->window_scale : 14;
    assert_int_equal(conn->snd_wscale, scales ? scale : 0);
    assert_int_equal(conn->rcv_wscale, scales ? tcp()->window_scale : 0);
    assert_int_equal(conn->snd_wnd, scales ? 65535u << scale : 65535);
}

static void open_with(const struct tcp_options *options)
{
    ask(options);
    struct script_segment syn_ack = got;
    assert_true(answer(10));
    got = syn_ack;
    assert_negotiated(options);
    assert_int_equal(script.streams[0].received, 10);
    assert_false(script.streams[0].corrupt);
    let_go();
    script.tuple.local_port++;
    script.seq += 77777;
    script.ts_value += 3;
}

static void every_mss_comes_back(void **state)
{
    static const uint16_t offered[] = {1,    216,  535,  536,  1219, 1220, 1280, 1339, 1340, 1380,
                                       1400, 1411, 1412, 1432, 1440, 1452, 1459, 1460, 8960, 65535};
    for (int v6 = 0; v6 < 2; v6++) {
        open_script(TCP_COOKIES_ALWAYS, 1);
        script.v6 = v6 == 1;
        set_ends(5000);
        for (size_t i = 0; i < array_count(offered); i++)
            for (uint32_t more = 0; more <= TCP_OPTION_TIMESTAMP; more += TCP_OPTION_TIMESTAMP) {
                struct tcp_options options = {.present = (uint8_t)(TCP_OPTION_MSS | more),
                                              .mss = offered[i]};
                open_with(&options);
            }
        script_close(&script);
    }
}

static void every_mix_of_options_comes_back(void **state)
{
    static const uint8_t scales[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255};
    open_script(TCP_COOKIES_ALWAYS, 1);
    for (uint32_t mix = 0; mix < 8; mix++)
        for (size_t i = 0; i < array_count(scales); i++) {
            struct tcp_options options = {.mss = 1460, .window_scale = scales[i]};
            options.present = TCP_OPTION_MSS | (mix & 1 ? TCP_OPTION_SACK_PERMITTED : 0) |
                              (mix & 2 ? TCP_OPTION_TIMESTAMP : 0) |
                              (mix & 4 ? TCP_OPTION_WINDOW_SCALE : 0);
            open_with(&options);
        }
    script_close(&script);
}

/* Whether the SYN asks, we may agree, and the cookie can carry it. */
static void ask_for_ecn(bool asked, bool allowed, bool timestamps)
{
    script_prepare(&script);
    script.host.config.ecn = allowed;
    script_open(&script);
    settings =
        (struct tcp_cookie_settings){.mode = TCP_COOKIES_ALWAYS, .backlog = 1, .secrets = {{1, 2}}};
    tcp_set_cookies(tcp(), &settings);
    set_ends(SCRIPT_PEER_PORT);
    struct script_segment syn = script_make(&script, TCP_SYN);
    syn.flags |= asked ? TCP_ECE | TCP_CWR : TCP_ECE;
    syn.options = timestamps ? all_options : only_mss;
    syn.options.ts_value = script.ts_value;
    script_send(&script, &syn);
    assert_true(script_take(&script, &got));
    bool agreed = asked && allowed && timestamps;
    assert_int_equal(got.flags, TCP_SYN | TCP_ACK | (agreed ? TCP_ECE : 0));
    script.seq++;
    script.peer_first = script.seq;
    script.timestamps = timestamps;
    assert_true(answer(10));
    assert_int_equal((script_conn(&script)->flags & TCP_CONN_ECN) != 0, agreed);
    let_go();
    script_close(&script);
}

static void ecn_comes_back(void **state)
{
    for (int mix = 0; mix < 8; mix++)
        ask_for_ecn(mix & 1, mix & 2, mix & 4);
}

static void a_syn_without_options_is_answered(void **state)
{
    static const struct tcp_options nothing = {0};
    for (int v6 = 0; v6 < 2; v6++) {
        open_script(TCP_COOKIES_ALWAYS, 1);
        script.v6 = v6 == 1;
        set_ends(5000);
        ask(&nothing);
        assert_int_equal(got.options.present, TCP_OPTION_MSS);
        assert_int_equal(got.options.mss, script.v6 ? 1440 : 1460);
        assert_true(answer(0));
        assert_int_equal(script_conn(&script)->peer_mss, script.v6 ? 1220 : 536);
        let_go();
        script_close(&script);
    }
}

/* ---- what is not taken ---- */

static void refuse(struct script_segment ack)
{
    uint64_t before = counters()->cookies_rejected + counters()->cookies_expired;
    script_send(&script, &ack);
    script_run_for(&script, CLOCK_MS);
    assert_int_equal(counters()->cookies_accepted, 0);
    assert_int_equal(counters()->cookies_rejected + counters()->cookies_expired, before + 1);
    assert_true(script_take(&script, &got));
    assert_int_equal(got.flags, TCP_RST);
    assert_int_equal(got.seq, ack.ack);
    assert_held(0);
}

static void flip_all(const struct tcp_options *options)
{
    open_script(TCP_COOKIES_ALWAYS, 1);
    ask(options);
    struct script_segment ack = script_make(&script, TCP_ACK);
    for (int bit = 0; bit < 32; bit++) {
        struct script_segment bad = ack;
        bad.ack ^= 1u << bit;
        refuse(bad);
        bad = ack;
        bad.seq ^= 1u << bit;
        refuse(bad);
        bad = ack;
        bad.options.ts_echo ^= 1u << bit;
        if (script.timestamps && bit < 6)
            refuse(bad);
    }
    for (int bit = 0; bit < 16; bit++) {
        script.tuple.local_port ^= (uint16_t)(1u << bit);
        refuse(ack);
        script.tuple.local_port ^= (uint16_t)(1u << bit);
    }
    struct script_segment other = ack;
    other.options.present ^= TCP_OPTION_TIMESTAMP;
    refuse(other);
    script.ack = ack.ack;
    assert_int_equal(counters()->cookies_expired, 0);
    assert_true(answer(0)); /* while the true one is taken */
    let_go();
    script_close(&script);
}

static void each_bit_counts(void **state)
{
    flip_all(&all_options);
    flip_all(&only_mss);
}

static void a_syn_or_a_reset_brings_nothing_back(void **state)
{
    open_script(TCP_COOKIES_ALWAYS, 1);
    ask(&all_options);
    struct script_segment segment = script_make(&script, TCP_SYN | TCP_ACK);
    script_send(&script, &segment);
    assert_true(script_take(&script, &got));
    assert_int_equal(got.flags, TCP_RST);
    segment = script_make(&script, TCP_RST | TCP_ACK);
    script_send(&script, &segment);
    assert_false(script_take(&script, &got));
    assert_held(0);
    script_close(&script);
}

/* ---- time and secrets ---- */

/* Ask at the given offset in a slot of 64 s, answer so much later. */
static bool good_after(uint64_t at_ns, uint64_t later_ns)
{
    uint64_t wall = script.now + settings.clock_ahead_ns;
    script_run_for(&script, 64 * CLOCK_S - wall % (64 * CLOCK_S) + at_ns);
    ask(&all_options);
    script_run_for(&script, later_ns);
    bool good = answer(0);
    if (good)
        let_go();
    settle();
    script.tuple.local_port++;
    script.seq += 1000;
    return good;
}

static void a_cookie_is_good_for_a_minute_and_not_for_three(void **state)
{
    open_script(TCP_COOKIES_ALWAYS, 1);
    for (uint64_t at = 0; at < 64; at += 7) {
        assert_true(good_after(at * CLOCK_S, 0));
        assert_true(good_after(at * CLOCK_S, 30 * CLOCK_S));
        assert_true(good_after(at * CLOCK_S, 59 * CLOCK_S));
        assert_false(good_after(at * CLOCK_S, 129 * CLOCK_S));
    }
    assert_true(good_after(63990 * CLOCK_MS, 100 * CLOCK_MS)); /* over the border */
    assert_true(good_after(63990 * CLOCK_MS, 60 * CLOCK_S));
    assert_int_equal(counters()->cookies_expired, 10);
    assert_int_equal(counters()->cookies_rejected, 0);
    assert_false(good_after(0, 300 * CLOCK_S)); /* nobody even knows its slot any more */
    assert_int_equal(counters()->cookies_expired, 10);
    script_close(&script);
}

static void a_second_secret_is_taken_and_a_third_is_not(void **state)
{
    open_script(TCP_COOKIES_ALWAYS, 1);
    struct siphash_key first = settings.secrets[0];
    ask(&all_options);
    settings.secrets[0] = (struct siphash_key){3, 4};
    settings.secrets[1] = first;
    tcp_set_cookies(tcp(), &settings);
    assert_true(answer(5));
    let_go();

    script.tuple.local_port++;
    ask(&all_options);
    settings.secrets[1] = settings.secrets[0];
    settings.secrets[0] = (struct siphash_key){5, 6};
    tcp_set_cookies(tcp(), &settings);
    settings.secrets[1] = settings.secrets[0];
    settings.secrets[0] = (struct siphash_key){7, 8};
    tcp_set_cookies(tcp(), &settings);
    assert_false(answer(5));
    settle();
    script_close(&script);
}

/* The same secret, other keys of its own, another uptime, a wall clock that differs a little. */
static void become_another_node(int64_t skew_ns)
{
    tcp()->isn_key.k0 ^= 0x123456789abcdefu;
    tcp()->isn_key.k1 ^= 0xfedcba987654321u;
    tcp()->cookies.sent_at_ns = 0;
    settings.clock_ahead_ns += (uint64_t)skew_ns;
    tcp_set_cookies(tcp(), &settings);
}

static void another_node_takes_it(int64_t skew_ns)
{
    for (uint64_t at = 0; at < 64; at += 3) {
        open_script(TCP_COOKIES_ALWAYS, 1);
        settings.shared = true;
        tcp_set_cookies(tcp(), &settings);
        uint64_t wall = script.now + settings.clock_ahead_ns;
        script_run_for(&script, 64 * CLOCK_S - wall % (64 * CLOCK_S) + at * CLOCK_S);
        ask(&all_options);
        uint32_t cookie_time = got.options.ts_value;
        become_another_node(skew_ns);
        assert_true(answer(3));
        assert_negotiated(&all_options);
        assert_true(script_take(&script, &got)); /* the ACK of the data */
        assert_true(got.options.present & TCP_OPTION_TIMESTAMP);
        assert_true(seq_geq(got.options.ts_value, cookie_time)); /* RFC 7323 5.3 */
        assert_true(got.options.ts_value - cookie_time < 200);
        let_go();
        script_close(&script);
    }
}

static void another_node_with_the_same_secret_takes_it(void **state)
{
    another_node_takes_it(0);
    another_node_takes_it(3 * (int64_t)CLOCK_S);
    another_node_takes_it(-3 * (int64_t)CLOCK_S);
}

static void time_stamps_never_go_back(void **state)
{
    open_script(TCP_COOKIES_ALWAYS, 1);
    for (int i = 0; i < 130; i++) { /* every phase of the 64 ms that the low bits span */
        ask(&all_options);
        uint32_t cookie_time = got.options.ts_value;
        uint32_t clock =
            tcp_ms(script.now) +
            tcp_timestamp_offset(
                tcp(), &(struct flow_tuple){script.tuple.remote, script.tuple.local,
                                            script.tuple.remote_port, script.tuple.local_port});
        assert_true(clock - cookie_time < 64);
        assert_true(answer(1));
        assert_true(script_take(&script, &got));
        assert_true(seq_geq(got.options.ts_value, cookie_time));
        let_go();
        script.tuple.local_port++;
        script_run_for(&script, CLOCK_MS);
    }
    script_close(&script);
}

/* ---- when ---- */

static void auto_begins_at_the_backlog(void **state)
{
    open_script(TCP_COOKIES_AUTO, 4);
    for (int i = 0; i < 4; i++) {
        send_syn(&all_options);
        assert_true(script_take(&script, &got));
        script.tuple.local_port++;
    }
    assert_int_equal(counters()->cookies_sent, 0);
    assert_held(4);
    ask(&all_options);
    assert_int_equal(counters()->cookies_sent, 1);
    assert_true(answer(4));
    assert_held(5);
    tcp_abort(script.streams[0].conn);
    script.streams[0].conn = NULL;
    script_close(&script);
}

static void without_cookies_about_nobody_looks_for_them(void **state)
{
    open_script(TCP_COOKIES_AUTO, 4);
    script.ack = 12345;
    assert_false(answer(0));
    assert_true(script_take(&script, &got));
    assert_int_equal(got.flags, TCP_RST);
    assert_int_equal(counters()->cookies_rejected, 0);

    settings.shared = true; /* then another node may have sent one at any time */
    tcp_set_cookies(tcp(), &settings);
    assert_false(answer(0));
    settle();
    assert_int_equal(counters()->cookies_rejected, 1);

    settings = (struct tcp_cookie_settings){.mode = TCP_COOKIES_ALWAYS, .backlog = 0};
    tcp_set_cookies(tcp(), &settings); /* off */
    send_syn(&all_options);
    assert_true(script_take(&script, &got));
    assert_int_equal(counters()->cookies_sent, 0);
    script_close(&script);
}

static void what_takes_over_time_wait_gets_a_connection(void **state)
{
    open_script(TCP_COOKIES_ALWAYS, 1);
    ask(&all_options);
    assert_true(answer(0));
    settle();
    tcp_close(script.streams[0].conn); /* our side closes first */
    script.streams[0].conn = NULL;
    assert_true(script_take(&script, &got));
    struct script_segment fin = script_make(&script, TCP_FIN | TCP_ACK);
    script_send(&script, &fin);
    assert_true(script_take(&script, &got));
    assert_int_equal(tcp_time_wait_count(tcp()), 1);

    uint32_t old_nxt = script.ack;
    script.seq += 5000;
    script.ts_value += 10;
    uint64_t sent = counters()->cookies_sent;
    send_syn(&all_options);
    assert_true(script_take(&script, &got));
    assert_int_equal(got.flags, TCP_SYN | TCP_ACK);
    assert_true(seq_gt(got.seq, old_nxt));
    assert_int_equal(counters()->cookies_sent, sent);
    assert_int_equal(counters()->time_wait_reused, 1);
    assert_int_equal(tcp()->half_open_count, 1);
    script_close(&script);
}

static void time_wait_stays_while_nothing_more_may_be_half_open(void **state)
{
    open_script(TCP_COOKIES_ALWAYS, 1);
    ask(&all_options);
    assert_true(answer(0));
    settle();
    tcp_close(script.streams[0].conn);
    script.streams[0].conn = NULL;
    assert_true(script_take(&script, &got));
    struct script_segment fin = script_make(&script, TCP_FIN | TCP_ACK);
    script_send(&script, &fin);
    assert_true(script_take(&script, &got));
    tcp()->half_open_max = 0;
    script.seq += 5000;
    script.ts_value += 10;
    send_syn(&all_options);
    assert_false(script_take(&script, &got));
    assert_int_equal(counters()->half_open_full, 1);
    assert_int_equal(tcp_time_wait_count(tcp()), 1);
    script_close(&script);
}

/* ---- what may go wrong on the way ---- */

static void data_does_when_the_first_ack_is_lost(void **state)
{
    open_script(TCP_COOKIES_ALWAYS, 1);
    ask(&all_options); /* its ACK never arrives */
    for (int i = 0; i < 3; i++)
        script_send_data(&script, 0, 1000); /* and the data comes several times */
    script_step(&script);
    assert_int_equal(counters()->cookies_accepted, 1);
    script_send_data(&script, 1000, 500);
    script_step(&script);
    struct script_segment ack = script_make(&script, TCP_ACK);
    script_send(&script, &ack); /* late */
    script_step(&script);
    assert_int_equal(script.streams[0].received, 1500);
    assert_false(script.streams[0].corrupt);
    assert_int_equal(counters()->cookies_accepted, 1);
    let_go();
    script_close(&script);
}

static void a_fin_may_come_with_it(void **state)
{
    open_script(TCP_COOKIES_ALWAYS, 1);
    ask(&all_options);
    struct script_segment last = script_make(&script, TCP_ACK | TCP_FIN | TCP_PSH);
    script_fill(&last, 0, 100);
    script_send(&script, &last);
    script_step(&script);
    assert_int_equal(script.streams[0].received, 100);
    assert_true(script.streams[0].eof);
    assert_null(script.streams[0].conn); /* it has closed, too */
    settle();
    script.seq += 101;
    struct script_segment ack = script_make(&script, TCP_ACK);
    script_send(&script, &ack);
    script_step(&script);
    assert_held(0);
    script_close(&script);
}

static void asked_twice_it_answers_twice_the_same(void **state)
{
    open_script(TCP_COOKIES_ALWAYS, 1);
    uint32_t first_seq = script.seq;
    ask(&all_options);
    uint32_t iss = got.seq;
    script.seq = first_seq;
    script_run_for(&script, CLOCK_S);
    ask(&all_options);
    assert_int_equal(got.seq, iss);
    assert_true(answer(0));
    let_go();
    script_close(&script);
}

static void take_all_connections(struct tcp_conn **taken)
{
    for (uint32_t i = 0; tcp()->conns.free_count > 0; i++)
        taken[i] = pool_take(&tcp()->conns);
}

static void give_all_connections(struct tcp_conn **taken, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        pool_give(&tcp()->conns, taken[i]);
}

static void an_empty_pool_sheds(void **state)
{
    static struct tcp_conn *taken[64];
    open_script(TCP_COOKIES_ALWAYS, 1);
    ask(&all_options);
    take_all_connections(taken);
    assert_false(answer(10));
    assert_true(script_take(&script, &got));
    assert_int_equal(got.flags, TCP_RST);
    assert_int_equal(counters()->cookies_shed, 1);
    script.tuple.local_port++;
    send_syn(&all_options); /* not even asked for its ACK */
    assert_false(script_take(&script, &got));
    assert_int_equal(counters()->cookies_sent, 1);
    assert_int_equal(counters()->connection_pool_empty, 2);
    give_all_connections(taken, 64);
    script_close(&script);
}

/* ---- the flood ---- */

static void spoof(uint32_t number)
{
    struct flow_tuple mine = script.tuple;
    uint32_t seq = script.seq;
    bool timestamps = script.timestamps;
    script.tuple.local = ip_address_from_v4(htonl(0x0b000000u + number)); /* 11.x.y.z */
    script.tuple.local_port = (uint16_t)(1024 + number % 60000);
    script.seq = number * 2654435761u;
    send_syn(&all_options);
    script.tuple = mine;
    script.seq = seq;
    script.timestamps = timestamps;
}

static void a_flood_moves_no_pool_and_hurts_nobody(void **state)
{
    open_script(TCP_COOKIES_AUTO, 16);
    script_accept(&script, &all_options);
    struct net_counters *net = net_counters(script.host.base.net);
    uint64_t received = 0;
    for (uint32_t i = 0; i < FLOOD; i++) {
        spoof(i);
        if (i % 16 != 15)
            continue;
        script_step(&script);
        if (i % 1024 == 1023) { /* the old connection goes on meanwhile */
            script_send_data(&script, 0, 100);
            script_step(&script);
            script.seq += 100;
            received += 100;
            assert_int_equal(script.streams[0].received, received);
        }
        script.got_count = 0;
        script.taken = 0;
        assert_int_equal(tcp_connection_count(tcp()), i < 16 ? i + 2 : 17);
        assert_int_equal(tcp()->table.count, tcp_connection_count(tcp()));
        assert_int_equal(pool_used(&tcp()->sent), 0);
    }
    script_step(&script);
    assert_int_equal(counters()->cookies_sent, FLOOD - 16);
    assert_int_equal(counters()->half_open_full, 0);
    assert_true(net->neighbour_asked <= 1); /* nobody was asked for the way to the sources */
    assert_int_equal(net->out_queue_full + net->out_no_mbuf + net->out_no_route, 0);

    settle();
    struct flow_tuple old = script.tuple;
    script.tuple.local_port++;
    ask(&all_options); /* an honest one in between */
    assert_true(answer(10));
    assert_int_equal(script.streams[1].received, 10);
    tcp_abort(script.streams[1].conn);
    script.streams[1].conn = NULL;
    script.tuple = old;
    tcp_abort(script.streams[0].conn);
    script.streams[0].conn = NULL;
    script_close(&script);
}

static void offloads_do_the_checksums(void **state)
{
    script_prepare(&script);
    struct wire_config config = {.ends = 2, .queues = 1, .seed = 1, .mbufs = 2047};
    config.features = (struct port_features){
        .rx_checksum = true, .tx_checksum_ip = true, .tx_checksum_tcp = true};
    wire_destroy(script.wire);
    script.wire = wire_create(&config);
    script.host.base.wire = script.wire;
    script.host.base.port = wire_queue(script.wire, 0, 0);
    script.host.base.config.queues[0] = script.host.base.port;
    script.peer.wire = script.wire;
    script.peer.port = wire_queue(script.wire, 1, 0);
    script.peer.config.queues[0] = script.peer.port;
    script_open(&script);
    settings =
        (struct tcp_cookie_settings){.mode = TCP_COOKIES_ALWAYS, .backlog = 1, .secrets = {{1, 2}}};
    tcp_set_cookies(tcp(), &settings);
    for (int v6 = 0; v6 < 2; v6++) {
        script.v6 = v6 == 1;
        set_ends(SCRIPT_PEER_PORT);
        ask(&all_options);
        assert_true(answer(10));
        let_go();
    }
    script_close(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mss_comes_back),
        cmocka_unit_test(every_mix_of_options_comes_back),
        cmocka_unit_test(ecn_comes_back),
        cmocka_unit_test(a_syn_without_options_is_answered),
        cmocka_unit_test(each_bit_counts),
        cmocka_unit_test(a_syn_or_a_reset_brings_nothing_back),
        cmocka_unit_test(a_cookie_is_good_for_a_minute_and_not_for_three),
        cmocka_unit_test(a_second_secret_is_taken_and_a_third_is_not),
        cmocka_unit_test(another_node_with_the_same_secret_takes_it),
        cmocka_unit_test(time_stamps_never_go_back),
        cmocka_unit_test(auto_begins_at_the_backlog),
        cmocka_unit_test(without_cookies_about_nobody_looks_for_them),
        cmocka_unit_test(what_takes_over_time_wait_gets_a_connection),
        cmocka_unit_test(time_wait_stays_while_nothing_more_may_be_half_open),
        cmocka_unit_test(data_does_when_the_first_ack_is_lost),
        cmocka_unit_test(a_fin_may_come_with_it),
        cmocka_unit_test(asked_twice_it_answers_twice_the_same),
        cmocka_unit_test(an_empty_pool_sheds),
        cmocka_unit_test(a_flood_moves_no_pool_and_hurts_nobody),
        cmocka_unit_test(offloads_do_the_checksums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
