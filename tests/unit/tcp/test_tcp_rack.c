/*
 * RACK-TLP in numbers: RFC 8985 5.2 and 6.2 (what an arrival tells, the reordering window, the time
 * to a loss), 7.2 (the probe timeout). One connection that nothing is really sent for.
 */
#include "dataplane/base/memory.h"
#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"
#include "tests/support/cmocka.h"

#define MSS     1000u
#define RECORDS 64u
#define START   (5000 * CLOCK_S)
#define RTT_MS  40u

static struct tcp tcp;
static struct timer_wheel wheel;
static struct tcp_conn *conn;
static uint64_t now;

static void open_conn(void)
{
    memset(&tcp, 0, sizeof(tcp));
    now = START;
    timer_wheel_init(&wheel, now);
    tcp.config.wheel = &wheel;
    tcp.now = now;
    tcp.cc = &tcp_cc_newreno;
    tcp.sent_limit = RECORDS;
    assert_true(pool_init(&tcp.conns, "conns", POOL_RESTING, 1, sizeof(struct tcp_conn), -1));
    assert_true(pool_init(&tcp.sent, "sent", POOL_LIFO, RECORDS, sizeof(struct tcp_sent), -1));
    tcp_lists_init(&tcp.lists, tcp.conns.objects + offsetof(struct tcp_conn, links), 1);
    conn = pool_take(&tcp.conns);
    memset(conn, 0, sizeof(*conn));
    conn->tcp = &tcp;
    conn->flags = TCP_CONN_SACK;
    conn->mss = MSS;
    conn->snd_una = conn->snd_nxt = 0xfffffc00; /* numbers wrap soon */
    conn->cwnd = RECORDS * MSS;
    conn->ssthresh = TCP_SSTHRESH_NONE;
    conn->rack_xmit_us = tcp_us(now - RTT_MS * CLOCK_MS);
    tcp_timers_init(conn);
    tcp_rto_init(conn);
    tcp_rto_sample(conn, RTT_MS * CLOCK_MS);
    tcp_rack_open(conn, now);
}

static void close_conn(void)
{
    tcp_timers_stop(conn);
    tcp_sent_clear(conn);
    assert_int_equal(pool_used(&tcp.sent), 0);
    memory_reset();
}

static void pass(uint64_t for_ns)
{
    now += for_ns;
    tcp.now = now;
}

static void send_segments(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct tcp_sent *sent = tcp_sent_new(conn, MSS, false, now);
        assert_non_null(sent);
        if (tcp_flight(conn) == 0)
            tcp_rack_restart(conn, now);
        tcp_sent_append(conn, sent);
        conn->snd_nxt += MSS;
    }
    if (!tcp_timer_is_set(conn, TCP_DEADLINE_RETRANSMIT))
        tcp_timer_set(conn, TCP_DEADLINE_RETRANSMIT, now + tcp_rto_ns(conn));
}

static struct tcp_sent *record(uint32_t number)
{
    struct tcp_sent *sent = tcp_sent_at(conn, conn->sent_first);
    while (number-- > 0)
        sent = tcp_sent_at(conn, sent->next);
    return sent;
}

/* The NUMBERth in flight is SACKed now. */
static void sack(uint32_t number)
{
    struct tcp_segment seg = {.ack = conn->snd_una};
    struct tcp_ack ack = {.seg = &seg, .now = now};
    tcp_rack_delivered(conn, record(number), &ack);
    tcp_sent_mark_sacked(conn, record(number));
}

static uint32_t left_us(void)
{
    assert_true(tcp_timer_is_set(conn, TCP_DEADLINE_LOSS));
    return (uint32_t)(tcp_timer_left_ns(conn, TCP_DEADLINE_LOSS, now) / CLOCK_US);
}

/* What is given to a segment that one behind it has overtaken; 0: it counts as lost at once. */
static uint32_t window_us(void)
{
    if (tcp_rack_detect(conn, now))
        return 0;
    assert_true(conn->flags & TCP_CONN_REO_TIMER);
    return left_us();
}

/* ---- the reordering window: 6.2 step 4 ---- */

static void the_reordering_window_has_its_steps(void **state)
{
    static const struct {
        bool reordered;
        bool in_recovery;
        uint32_t sacked;
        uint8_t mult;
        uint32_t srtt_ms;
        uint32_t window_us;
    } rows[] = {
        {false, false, 1, 1, RTT_MS, 10000}, /* min_RTT / 4 */
        {false, false, 2, 1, RTT_MS, 10000},
        {false, false, 3, 1, RTT_MS, 0}, /* DupThresh */
        {false, true, 1, 1, RTT_MS, 0},
        {true, false, 3, 1, RTT_MS, 10000}, /* reordering was seen: time alone */
        {true, true, 5, 1, RTT_MS, 10000},
        {true, false, 1, 2, RTT_MS, 20000}, /* reo_wnd_mult */
        {true, false, 1, 3, RTT_MS, 30000},
        {true, false, 1, 4, RTT_MS, 40000},
        {true, false, 1, 5, RTT_MS, 40000}, /* SRTT at most */
        {true, false, 1, 255, RTT_MS, 40000},
        {true, false, 1, 255, 400, 400000},
        {true, false, 1, 20, 400, 200000},
    };
    for (size_t i = 0; i < array_count(rows); i++) {
        open_conn();
        send_segments(10);
        pass(RTT_MS * CLOCK_MS);
        for (uint32_t n = 1; n <= rows[i].sacked; n++)
            sack(n);
        conn->flags |= rows[i].reordered ? TCP_CONN_REORDERED : 0u;
        conn->recovery = rows[i].in_recovery ? TCP_RECOVERY_FAST : TCP_RECOVERY_OPEN;
        conn->rack_reo_wnd_mult = rows[i].mult;
        conn->srtt_us = rows[i].srtt_ms * 8000;
        assert_int_equal(window_us(), rows[i].window_us);
        close_conn();
    }
}

static void dsacks_widen_it_once_a_round_trip(void **state)
{
    open_conn();
    send_segments(4);
    tcp_rack_duplicate(conn);
    assert_int_equal(conn->rack_reo_wnd_mult, 2);
    tcp_rack_duplicate(conn); /* the same round */
    assert_int_equal(conn->rack_reo_wnd_mult, 2);
    conn->snd_una += 3 * MSS;
    tcp_rack_round(conn);
    tcp_rack_duplicate(conn);
    assert_int_equal(conn->rack_reo_wnd_mult, 2);
    conn->snd_una += MSS;
    tcp_rack_round(conn);
    tcp_rack_duplicate(conn);
    assert_int_equal(conn->rack_reo_wnd_mult, 3);
    conn->snd_una -= 4 * MSS;
    close_conn();
}

static void a_round_is_over_even_two_gigabytes_later(void **state)
{
    open_conn();
    tcp_rack_duplicate(conn);
    for (int i = 0; i < 5; i++) { /* what ACKs do */
        conn->snd_una += 0x20000000;
        conn->snd_nxt = conn->snd_una;
        if (conn->flags & TCP_CONN_DSACK_ROUND)
            tcp_rack_round(conn);
    }
    tcp_rack_duplicate(conn);
    assert_int_equal(conn->rack_reo_wnd_mult, 3);
    close_conn();
}

static void sixteen_recoveries_without_dsack_make_it_small_again(void **state)
{
    open_conn();
    tcp_rack_duplicate(conn);
    for (int i = 0; i < 15; i++)
        tcp_rack_recovered(conn);
    assert_int_equal(conn->rack_reo_wnd_mult, 2);
    tcp_rack_recovered(conn);
    assert_int_equal(conn->rack_reo_wnd_mult, 1);
    close_conn();
}

static void it_does_not_overflow(void **state)
{
    open_conn();
    for (int i = 0; i < 300; i++) {
        conn->flags &= ~(uint32_t)TCP_CONN_DSACK_ROUND;
        tcp_rack_duplicate(conn);
    }
    assert_int_equal(conn->rack_reo_wnd_mult, UINT8_MAX);
    close_conn();
}

/* ---- what an arrival tells: 5.2, 6.2 steps 1 to 3 ---- */

static void min_rtt_falls_at_once_and_rises_after_five_minutes(void **state)
{
    open_conn();
    send_segments(9);
    assert_int_equal(conn->min_rtt_us, RTT_MS * 1000);
    pass(30 * CLOCK_MS);
    sack(1);
    assert_int_equal(conn->min_rtt_us, 30000);
    pass(50 * CLOCK_MS);
    sack(2);
    assert_int_equal(conn->min_rtt_us, 30000);
    record(3)->sent_at_us = tcp_us(now + 300 * CLOCK_S - 90 * CLOCK_MS);
    pass(300 * CLOCK_S);
    sack(3);
    assert_int_equal(conn->min_rtt_us, 90000);
    close_conn();
}

static void a_retransmission_too_fast_to_be_true_tells_nothing(void **state)
{
    open_conn();
    send_segments(3);
    pass(100 * CLOCK_MS);
    tcp_sent_mark_again(conn, record(1), now);
    uint32_t before = conn->rack_xmit_us;
    pass(39 * CLOCK_MS); /* below min_RTT: the original was late */
    sack(1);
    assert_int_equal(conn->rack_xmit_us, before);
    tcp_sent_mark_again(conn, record(2), now);
    pass(41 * CLOCK_MS);
    sack(2);
    assert_int_equal(conn->rack_xmit_us, tcp_us(now - 41 * CLOCK_MS));
    assert_int_equal(conn->rack_rtt_us, 41000);
    assert_int_equal(conn->min_rtt_us, RTT_MS * 1000); /* ambiguous: no sample of it */
    close_conn();
}

static void reordering_is_seen_in_what_was_sent_once(void **state)
{
    open_conn();
    send_segments(5);
    pass(RTT_MS * CLOCK_MS);
    sack(3);
    tcp_sent_mark_again(conn, record(1), now);
    pass(RTT_MS * CLOCK_MS);
    sack(1);
    assert_false(conn->flags & TCP_CONN_REORDERED);
    sack(2);
    assert_true(conn->flags & TCP_CONN_REORDERED);
    close_conn();
}

static void what_was_sent_after_a_silence_was_not_overtaken(void **state)
{
    static const uint32_t minutes[] = {1, 35, 36, 50, 71, 72, 110, 1000};
    for (size_t i = 0; i < array_count(minutes); i++) {
        open_conn();
        pass(minutes[i] * 60 * CLOCK_S);
        send_segments(3);
        pass(RTT_MS * CLOCK_MS);
        assert_false(tcp_rack_detect(conn, now));
        assert_false(conn->flags & TCP_CONN_REO_TIMER);
        sack(1);
        assert_int_equal(conn->rack_xmit_us, tcp_us(now - RTT_MS * CLOCK_MS));
        close_conn();
    }
}

/* ---- the time to a loss: 6.2 step 5 ---- */

static void each_segment_has_its_own_time(void **state)
{
    open_conn();
    conn->flags |= TCP_CONN_REORDERED;
    send_segments(1);
    pass(4 * CLOCK_MS);
    send_segments(1);
    pass(4 * CLOCK_MS);
    send_segments(2);
    pass(RTT_MS * CLOCK_MS);
    sack(3);
    /* RACK.rtt is 40 ms, the window 10 ms: the first was sent 48 ms ago. */
    assert_false(tcp_rack_detect(conn, now));
    assert_int_equal(left_us(), 2000);
    pass(2 * CLOCK_MS);
    assert_true(tcp_rack_detect(conn, now));
    assert_int_equal(conn->lost_bytes, MSS);
    assert_int_equal(left_us(), 4000);
    pass(4 * CLOCK_MS);
    assert_true(tcp_rack_detect(conn, now));
    assert_int_equal(conn->lost_bytes, 2 * MSS);
    assert_int_equal(left_us(), 4000); /* sent in the same turn, before the one that came */
    pass(4 * CLOCK_MS);
    assert_true(tcp_rack_detect(conn, now));
    assert_int_equal(conn->lost_bytes, 3 * MSS);
    assert_false(conn->flags & TCP_CONN_REO_TIMER);
    close_conn();
}

static void what_was_sent_later_is_left_alone(void **state)
{
    open_conn();
    send_segments(3);
    pass(CLOCK_MS);
    send_segments(3);
    pass(RTT_MS * CLOCK_MS);
    sack(2);
    pass(CLOCK_S);
    assert_true(tcp_rack_detect(conn, now));
    assert_int_equal(conn->lost_bytes, 2 * MSS);
    close_conn();
}

static void a_lost_retransmission_is_lost_again(void **state)
{
    open_conn();
    send_segments(5);
    pass(RTT_MS * CLOCK_MS);
    sack(1);
    pass(10 * CLOCK_MS);
    assert_true(tcp_rack_detect(conn, now));
    tcp_sent_mark_again(conn, record(0), now);
    pass(CLOCK_MS);
    send_segments(1);
    pass(RTT_MS * CLOCK_MS);
    sack(5);
    pass(10 * CLOCK_MS);
    assert_true(tcp_rack_detect(conn, now));
    assert_int_equal(tcp.counters.retransmissions_lost, 1);
    close_conn();
}

static void a_timeout_takes_the_first_and_what_is_overdue(void **state)
{
    open_conn();
    send_segments(2);
    pass(100 * CLOCK_MS);
    send_segments(2);
    pass(20 * CLOCK_MS);
    tcp_rack_timeout(conn, now);
    assert_int_equal(conn->lost_bytes, 2 * MSS); /* those behind have their time still */
    close_conn();
}

/* ---- the probe timeout: 7.2 ---- */

static void the_probe_timeout_follows_the_formula(void **state)
{
    static const struct {
        uint32_t srtt_us;
        uint32_t segments;
        uint32_t pto_us;
    } rows[] = {
        {40000, 2, 80000},                    /* 2 SRTT */
        {40000, 1, 180000},                   /* and the most that an ACK may be kept back */
        {100000, 9, 200000}, {300, 5, 2000},  /* not below two milliseconds */
        {300, 1, 100600},    {0, 2, 1000000}, /* no sample yet */
        {0, 1, 1000000},
    };
    for (size_t i = 0; i < array_count(rows); i++) {
        open_conn();
        conn->srtt_us = rows[i].srtt_us * 8;
        conn->rto_us = 10000000;
        send_segments(rows[i].segments);
        tcp_tlp_schedule(conn, now);
        assert_int_equal(left_us(), rows[i].pto_us);
        close_conn();
    }
}

static void the_probe_is_not_later_than_the_timeout(void **state)
{
    open_conn();
    conn->srtt_us = 900000 * 8;
    conn->rto_us = 1100000;
    send_segments(3);
    tcp_tlp_schedule(conn, now);
    assert_int_equal(left_us(), 1100000);
    close_conn();
}

static void no_probe_where_others_are_at_work(void **state)
{
    static const struct {
        uint32_t off;
        uint32_t on;
        uint8_t recovery;
        uint8_t backoff;
        bool sacked;
    } rows[] = {
        {TCP_CONN_SACK, 0, TCP_RECOVERY_OPEN, 0, false},
        {0, TCP_CONN_TLP, TCP_RECOVERY_OPEN, 0, false},
        {0, TCP_CONN_PERSIST, TCP_RECOVERY_OPEN, 0, false},
        {0, 0, TCP_RECOVERY_FAST, 0, false},
        {0, 0, TCP_RECOVERY_RTO, 0, false},
        {0, 0, TCP_RECOVERY_OPEN, 1, false}, /* the round trip is not known (Karn) */
        {0, 0, TCP_RECOVERY_OPEN, 0, true},
    };
    for (size_t i = 0; i < array_count(rows); i++) {
        open_conn();
        send_segments(3);
        conn->flags = (conn->flags & ~rows[i].off) | rows[i].on;
        conn->recovery = rows[i].recovery;
        conn->backoff = rows[i].backoff;
        if (rows[i].sacked)
            sack(1);
        tcp_tlp_schedule(conn, now);
        assert_false(tcp_timer_is_set(conn, TCP_DEADLINE_LOSS));
        close_conn();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reordering_window_has_its_steps),
        cmocka_unit_test(dsacks_widen_it_once_a_round_trip),
        cmocka_unit_test(a_round_is_over_even_two_gigabytes_later),
        cmocka_unit_test(sixteen_recoveries_without_dsack_make_it_small_again),
        cmocka_unit_test(it_does_not_overflow),
        cmocka_unit_test(min_rtt_falls_at_once_and_rises_after_five_minutes),
        cmocka_unit_test(a_retransmission_too_fast_to_be_true_tells_nothing),
        cmocka_unit_test(reordering_is_seen_in_what_was_sent_once),
        cmocka_unit_test(what_was_sent_after_a_silence_was_not_overtaken),
        cmocka_unit_test(each_segment_has_its_own_time),
        cmocka_unit_test(what_was_sent_later_is_left_alone),
        cmocka_unit_test(a_lost_retransmission_is_lost_again),
        cmocka_unit_test(a_timeout_takes_the_first_and_what_is_overdue),
        cmocka_unit_test(the_probe_timeout_follows_the_formula),
        cmocka_unit_test(the_probe_is_not_later_than_the_timeout),
        cmocka_unit_test(no_probe_where_others_are_at_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
