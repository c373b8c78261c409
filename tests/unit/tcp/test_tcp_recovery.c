/*
 * Loss, reordering, duplication and marks on a wire between two stacks: what is sent again, when,
 * and what becomes of cwnd (RFC 8985, RFC 6937, RFC 3522, RFC 3708, RFC 5682, RFC 3168).
 */
#include "dataplane/base/clock.h"
#include "dataplane/tcp/tcp_ecn.h"
#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"
#include "tests/support/cmocka.h"
#include "tests/support/tcp_pair.h"

#include <rte_ip.h>

#define IP_AT  14
#define TCP_AT 34
#define DELAY  (10 * CLOCK_MS)

static struct tcp_pair pair;

/* What the filter does to the data segments of A, the client. */
static struct {
    uint32_t drop[8]; /* numbers of those to drop, counted from 1 */
    uint32_t seen;    /* data segments so far */
    uint32_t mark;    /* number of the one to be marked CE */
    bool drop_acks;   /* nothing of B gets through */
    uint32_t ect;     /* data segments with ECT(0) */
    uint32_t not_ect; /* segments of A without */
    uint32_t cwr;     /* segments of A with CWR */
    uint32_t ece;     /* segments of B with ECE */
} line;

static struct tcp_counters *counters(void)
{
    return tcp_counters(pair.a.tcp);
}

static struct tcp_conn *sender(void)
{
    return pair.client.conn;
}

static bool is_tcp(const uint8_t *frame, uint16_t length)
{
    return length >= TCP_AT + 20 && frame[12] == 0x08 && frame[13] == 0 && frame[23] == IPPROTO_TCP;
}

static uint32_t payload_bytes(const uint8_t *frame)
{
    const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(frame + IP_AT);
    return rte_be_to_cpu_16(ip->total_length) - 20u - (frame[TCP_AT + 12] >> 4) * 4u;
}

static void mark_ce(uint8_t *frame)
{
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + IP_AT);
    ip->type_of_service |= TCP_ECN_CE;
    ip->hdr_checksum = 0;
    ip->hdr_checksum = rte_ipv4_cksum(ip);
}

static bool from_a(uint8_t *frame)
{
    if ((frame[IP_AT + 1] & TCP_ECN_MASK) == TCP_ECN_ECT_0)
        line.ect++;
    else
        line.not_ect++;
    line.cwr += (frame[TCP_AT + 13] & (TCP_CWR | TCP_SYN)) == TCP_CWR;
    if (payload_bytes(frame) == 0)
        return true;
    line.seen++;
    if (line.seen == line.mark)
        mark_ce(frame);
    for (uint32_t i = 0; i < array_count(line.drop); i++)
        if (line.drop[i] == line.seen)
            return false;
    return true;
}

static bool filter(void *context, uint16_t from, uint16_t to, uint8_t *frame, uint16_t length,
                   uint64_t now)
{
    if (!is_tcp(frame, length))
        return true;
    if (from == 0)
        return from_a(frame);
    line.ece += (frame[TCP_AT + 13] & (TCP_ECE | TCP_SYN)) == TCP_ECE;
    return !line.drop_acks;
}

static void set_delay(uint64_t delay_ns)
{
    struct wire_faults faults = {.delay_ns = delay_ns};
    wire_set_faults_everywhere(pair.wire, &faults);
}

static void send_segments(uint32_t count)
{
    pair.client.to_send += count * 1448u;
    tcp_stream_pump(&pair.client);
}

static bool is_all_read(void)
{
    return pair.servers[0].received == pair.client.to_send && sender()->sent_first == 0;
}

static void run_to_the_end(uint64_t for_ns)
{
    uint64_t end = pair.now + for_ns;
    while (!is_all_read() && pair.now < end)
        tcp_pair_turn(&pair);
    assert_true(is_all_read());
    assert_false(pair.servers[0].corrupt);
}

/* The first round trip had ARP in it. */
static void learn_the_round_trip(void)
{
    for (int i = 0; i < 30; i++) {
        send_segments(2);
        run_to_the_end(CLOCK_S);
    }
}

/* Connected over a path of 20 ms; the filter counts from here on. */
static void open_with(enum tcp_congestion congestion, bool ecn_a, bool ecn_b)
{
    memset(&line, 0, sizeof(line));
    tcp_pair_prepare(&pair, 1);
    pair.a.config.congestion = congestion;
    pair.a.config.ecn = ecn_a;
    pair.b.config.ecn = ecn_b;
    tcp_pair_open(&pair);
    set_delay(DELAY);
    tcp_pair_connect(&pair, "10.0.0.2");
    tcp_pair_run_for(&pair, CLOCK_S);
    learn_the_round_trip();
    wire_set_filter(pair.wire, filter, NULL);
}

static void finish(void)
{
    tcp_close(pair.client.conn);
    pair.client.conn = NULL;
    tcp_pair_close(&pair);
}

/* ---- RACK, TLP, PRR ---- */

static void a_loss_in_the_middle_is_sent_again_once(void **state)
{
    open_with(TCP_CONGESTION_CUBIC, false, false);
    line.drop[0] = 3;
    send_segments(10);
    run_to_the_end(CLOCK_S);
    assert_int_equal(counters()->segments_retransmitted, 1);
    assert_int_equal(counters()->recoveries, 1);
    assert_int_equal(counters()->retransmit_timeouts, 0);
    assert_int_equal(counters()->tail_loss_probes, 0);
    assert_int_equal(sender()->cwnd, sender()->ssthresh); /* RFC 6937 ends there */
    finish();
}

static void a_lost_tail_is_found_by_a_probe(void **state)
{
    open_with(TCP_CONGESTION_CUBIC, false, false);
    line.drop[0] = 8;
    line.drop[1] = 9;
    line.drop[2] = 10;
    send_segments(10);
    run_to_the_end(CLOCK_S);
    assert_int_equal(counters()->tail_loss_probes, 1);
    assert_int_equal(counters()->retransmit_timeouts, 0);
    assert_int_equal(counters()->recoveries, 1);
    assert_int_equal(counters()->segments_retransmitted, 3);
    finish();
}

static void a_probe_that_repairs_the_only_loss_reduces_cwnd(void **state)
{
    open_with(TCP_CONGESTION_CUBIC, false, false);
    uint32_t before = sender()->cwnd;
    line.drop[0] = 10;
    send_segments(10);
    run_to_the_end(CLOCK_S);
    send_segments(2); /* an ACK beyond the probe, without a D-SACK for it, is the proof */
    run_to_the_end(CLOCK_S);
    assert_int_equal(counters()->tail_losses_repaired, 1);
    assert_int_equal(counters()->retransmit_timeouts, 0);
    assert_int_equal(counters()->recoveries, 0);
    assert_true(sender()->cwnd < before);
    finish();
}

static void a_probe_for_nothing_costs_nothing(void **state)
{
    open_with(TCP_CONGESTION_CUBIC, false, false);
    uint32_t before = sender()->cwnd;
    struct wire_faults slow = {.delay_ns = 40 * CLOCK_MS};
    wire_set_faults(pair.wire, 1, 0, &slow);
    send_segments(2);
    tcp_pair_run_for(&pair, CLOCK_S);
    assert_true(is_all_read());
    assert_int_equal(counters()->tail_loss_probes, 1);
    assert_int_equal(counters()->dsacks_in, 1);
    assert_int_equal(counters()->tail_losses_repaired, 0);
    assert_true(sender()->cwnd >= before);
    assert_int_equal(sender()->rack_reo_wnd_mult, 1);
    finish();
}

static void a_lost_retransmission_is_found_without_a_timeout(void **state)
{
    open_with(TCP_CONGESTION_CUBIC, false, false);
    line.drop[0] = 3;
    line.drop[1] = 21; /* the retransmission: behind the 20 of the window */
    send_segments(20);
    pair.client.to_send += 100000;
    tcp_pair_run_for(&pair, 15 * CLOCK_MS);
    tcp_stream_pump(&pair.client);
    run_to_the_end(2 * CLOCK_S);
    assert_true(counters()->segments_retransmitted >= 1);
    assert_int_equal(counters()->retransmit_timeouts, 0);
    finish();
}

static void reordering_is_learned(void **state)
{
    open_with(TCP_CONGESTION_CUBIC, false, false);
    struct wire_faults faults = {
        .delay_ns = DELAY, .reorder_ppm = 100000, .reorder_ns = 3 * CLOCK_MS};
    wire_set_faults(pair.wire, 0, 1, &faults);
    for (int i = 0; i < 40; i++) {
        send_segments(100);
        run_to_the_end(20 * CLOCK_S);
    }
    assert_int_equal(counters()->reordering_seen, 1);
    uint64_t learned = counters()->segments_retransmitted;
    for (int i = 0; i < 40; i++) {
        send_segments(100);
        run_to_the_end(20 * CLOCK_S);
    }
    assert_int_equal(counters()->segments_retransmitted, learned);
    assert_int_equal(counters()->retransmit_timeouts, 0);
    finish();
}

/* ---- undo ---- */

static void a_delay_longer_than_the_timeout_is_undone(void **state)
{
    open_with(TCP_CONGESTION_CUBIC, false, false);
    send_segments(100);
    run_to_the_end(10 * CLOCK_S);
    uint32_t before = sender()->cwnd;
    set_delay(800 * CLOCK_MS);
    send_segments(8);
    tcp_pair_run_for(&pair, 600 * CLOCK_MS);
    assert_true(counters()->retransmit_timeouts >= 1);
    assert_int_equal(sender()->cwnd, sender()->mss);
    run_to_the_end(20 * CLOCK_S);
    tcp_pair_run_for(&pair, 5 * CLOCK_S);
    assert_int_equal(counters()->timeouts_undone, 1);
    assert_true(sender()->cwnd >= before);
    assert_int_equal(sender()->backoff, 0);
    finish();
}

static void acknowledgements_that_all_got_lost_are_not_congestion(void **state)
{
    open_with(TCP_CONGESTION_NEWRENO, false, false);
    send_segments(100);
    run_to_the_end(10 * CLOCK_S);
    uint32_t before = sender()->cwnd;
    line.drop_acks = true;
    send_segments(8);
    while (counters()->retransmit_timeouts == 0)
        tcp_pair_turn(&pair);
    line.drop_acks = false;
    run_to_the_end(10 * CLOCK_S);
    assert_int_equal(counters()->timeouts_undone, 1);
    assert_true(sender()->cwnd >= before);
    finish();
}

/* ---- ECN ---- */

static void a_mark_is_echoed_and_answered_once(void **state)
{
    open_with(TCP_CONGESTION_CUBIC, true, true);
    assert_true(sender()->flags & TCP_CONN_ECN);
    assert_true(pair.servers[0].conn->flags & TCP_CONN_ECN);
    uint32_t before = sender()->cwnd;
    line.mark = 5;
    send_segments(10);
    run_to_the_end(CLOCK_S);
    assert_int_equal(counters()->ecn_reductions, 1);
    assert_true(sender()->cwnd < before);
    assert_int_equal(tcp_counters(pair.b.tcp)->ecn_marks_in, 1);
    assert_int_equal(line.ect, 10);
    send_segments(5);
    run_to_the_end(CLOCK_S);
    assert_int_equal(line.cwr, 1);
    uint32_t echoes = line.ece;
    assert_true(echoes >= 1);
    send_segments(5);
    run_to_the_end(CLOCK_S);
    assert_int_equal(line.ece, echoes); /* CWR was heard */
    assert_int_equal(counters()->ecn_reductions, 1);
    assert_int_equal(counters()->segments_retransmitted, 0);
    finish();
}

static void what_is_sent_again_is_not_ect(void **state)
{
    open_with(TCP_CONGESTION_CUBIC, true, true);
    line.drop[0] = 3;
    send_segments(10);
    run_to_the_end(CLOCK_S);
    assert_int_equal(counters()->segments_retransmitted, 1);
    assert_int_equal(line.ect, 10);
    assert_int_equal(line.not_ect, 1);
    finish();
}

static void ecn_takes_both_sides(void **state)
{
    open_with(TCP_CONGESTION_CUBIC, true, false);
    assert_false(sender()->flags & TCP_CONN_ECN);
    finish();
    open_with(TCP_CONGESTION_CUBIC, false, true);
    assert_false(sender()->flags & TCP_CONN_ECN);
    assert_false(pair.servers[0].conn->flags & TCP_CONN_ECN);
    send_segments(3);
    run_to_the_end(CLOCK_S);
    assert_int_equal(line.ect, 0);
    finish();
}

static bool drop_syns_with_ecn(void *context, uint16_t from, uint16_t to, uint8_t *frame,
                               uint16_t length, uint64_t now)
{
    return !is_tcp(frame, length) ||
           (frame[TCP_AT + 13] & (TCP_SYN | TCP_ECE)) != (TCP_SYN | TCP_ECE);
}

static void a_path_that_drops_syns_with_ecn_gets_one_without(void **state)
{
    tcp_pair_prepare(&pair, 1);
    pair.a.config.ecn = true;
    pair.b.config.ecn = true;
    tcp_pair_open(&pair);
    wire_set_filter(pair.wire, drop_syns_with_ecn, NULL);
    tcp_pair_connect(&pair, "10.0.0.2");
    assert_int_equal(counters()->syn_retransmitted, 1);
    assert_false(sender()->flags & TCP_CONN_ECN);
    assert_int_equal(counters()->ecn_negotiated, 0);
    finish();
}

/* ---- black holes, goodput ---- */

static bool drop_large(void *context, uint16_t from, uint16_t to, uint8_t *frame, uint16_t length,
                       uint64_t now)
{
    return length <= 1400;
}

static void a_path_that_swallows_full_segments_gets_smaller_ones(void **state)
{
    open_with(TCP_CONGESTION_CUBIC, false, false);
    wire_set_filter(pair.wire, drop_large, NULL);
    send_segments(20);
    run_to_the_end(20 * CLOCK_S);
    assert_int_equal(counters()->path_mtu_black_holes, 1);
    assert_true(sender()->mss < 1300);
    finish();
}

static void full_segments_come_back_when_the_path_takes_them(void **state)
{
    open_with(TCP_CONGESTION_CUBIC, false, false);
    wire_set_filter(pair.wire, drop_large, NULL);
    send_segments(20);
    run_to_the_end(20 * CLOCK_S);
    uint64_t timeouts = counters()->retransmit_timeouts;
    tcp_pair_run_for(&pair, 601 * CLOCK_S);
    send_segments(20);
    run_to_the_end(CLOCK_S);
    assert_int_equal(counters()->path_mtu_probes, 1);
    assert_true(sender()->mss < 1300); /* not yet, which cost no timeout */
    assert_int_equal(counters()->retransmit_timeouts, timeouts);
    wire_set_filter(pair.wire, NULL, NULL);
    tcp_pair_run_for(&pair, 601 * CLOCK_S);
    send_segments(20);
    run_to_the_end(CLOCK_S);
    assert_int_equal(counters()->path_mtu_raised, 1);
    assert_int_equal(sender()->mss, 1448);
    finish();
}

/* Milliseconds for 4 MB over 50 ms with 1 % loss. */
static uint64_t time_for_4_mb(enum tcp_congestion congestion)
{
    open_with(congestion, false, false);
    wire_set_filter(pair.wire, NULL, NULL);
    struct wire_faults faults = {.delay_ns = 25 * CLOCK_MS, .drop_ppm = 10000};
    wire_set_faults(pair.wire, 0, 1, &faults);
    faults.drop_ppm = 0;
    wire_set_faults(pair.wire, 1, 0, &faults);
    uint64_t begin = pair.now;
    send_segments(2900);
    run_to_the_end(200 * CLOCK_S);
    uint64_t took = (pair.now - begin) / CLOCK_MS;
    assert_true(counters()->retransmit_timeouts <= 3);
    finish();
    return took;
}

static void one_in_a_hundred_lost_is_bearable(void **state)
{
    uint64_t cubic = time_for_4_mb(TCP_CONGESTION_CUBIC);
    uint64_t newreno = time_for_4_mb(TCP_CONGESTION_NEWRENO);
    print_message("4 MB, 50 ms, 1 %% lost: CUBIC %llu ms, NewReno %llu ms\n",
                  (unsigned long long)cubic, (unsigned long long)newreno);
    /* Mathis: about 12 segments a round trip, 12 s. */
    assert_true(cubic < 20000 && newreno < 25000);
    assert_true(cubic < newreno + newreno / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loss_in_the_middle_is_sent_again_once),
        cmocka_unit_test(a_lost_tail_is_found_by_a_probe),
        cmocka_unit_test(a_probe_that_repairs_the_only_loss_reduces_cwnd),
        cmocka_unit_test(a_probe_for_nothing_costs_nothing),
        cmocka_unit_test(a_lost_retransmission_is_found_without_a_timeout),
        cmocka_unit_test(reordering_is_learned),
        cmocka_unit_test(a_delay_longer_than_the_timeout_is_undone),
        cmocka_unit_test(acknowledgements_that_all_got_lost_are_not_congestion),
        cmocka_unit_test(a_mark_is_echoed_and_answered_once),
        cmocka_unit_test(what_is_sent_again_is_not_ect),
        cmocka_unit_test(ecn_takes_both_sides),
        cmocka_unit_test(a_path_that_drops_syns_with_ecn_gets_one_without),
        cmocka_unit_test(a_path_that_swallows_full_segments_gets_smaller_ones),
        cmocka_unit_test(full_segments_come_back_when_the_path_takes_them),
        cmocka_unit_test(one_in_a_hundred_lost_is_bearable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
