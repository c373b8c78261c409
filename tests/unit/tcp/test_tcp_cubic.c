/* CUBIC against RFC 9438's formulas in floating point: segments and seconds here, bytes there. */
#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_internal.h"
#include "tests/support/cmocka.h"

#include <math.h>

#define MSS   1000u
#define C     0.4
#define BETA  0.7
#define START (100 * CLOCK_S)

static struct tcp_conn conn;
static uint64_t now;

static double segments(uint32_t bytes)
{
    return (double)bytes / MSS;
}

static void assert_near(double got, double expected, double tolerance)
{
    if (fabs(got - expected) > tolerance)
        print_message("%.3f, expected %.3f\n", got, expected);
    assert_true(fabs(got - expected) <= tolerance);
}

/* A connection with a window of CWND segments and a round trip of RTT_MS. */
static void open_at(uint32_t cwnd, uint32_t rtt_ms)
{
    memset(&conn, 0, sizeof(conn));
    now = START;
    conn.mss = MSS;
    conn.srtt_us = rtt_ms * 1000 * 8;
    conn.rack_rtt_us = rtt_ms * 1000;
    tcp_cc_cubic.open(&conn, now);
    conn.cwnd = cwnd * MSS;
}

static void lose(void)
{
    tcp_cc_cubic.lost(&conn, conn.cwnd, now);
    conn.cwnd = conn.ssthresh;
}

/* A round trip: a window is acknowledged in ten pieces. */
static void round_trip(uint32_t rtt_ms)
{
    uint32_t window = conn.cwnd;
    for (int i = 0; i < 10; i++) {
        now += rtt_ms * CLOCK_MS / 10;
        conn.snd_una += window / 10;
        tcp_cc_cubic.acked(&conn, window / 10, now);
    }
}

/* (1), (2) */
static double k_of(double w_max, double cwnd)
{
    return cbrt((w_max - cwnd) / C);
}

static double w_cubic(double t, double k, double w_max)
{
    return C * (t - k) * (t - k) * (t - k) + w_max;
}

/* ---- 4.6, 4.7 ---- */

static void a_loss_leaves_seven_tenths(void **state)
{
    static const uint32_t windows[] = {2, 3, 4, 10, 100, 1000, 100000};
    for (size_t i = 0; i < array_count(windows); i++) {
        open_at(windows[i], 50);
        lose();
        double expected = fmax(windows[i] * BETA, 2);
        assert_near(segments(conn.ssthresh), expected, 0.01);
    }
}

static void ssthresh_is_never_below_two_segments(void **state)
{
    open_at(100, 50);
    for (int i = 0; i < 40; i++) {
        lose();
        assert_true(conn.ssthresh >= 2 * MSS);
    }
    assert_int_equal(conn.ssthresh, 2 * MSS);
    tcp_cc_cubic.timed_out(&conn, true, now);
    assert_int_equal(conn.ssthresh, 2 * MSS);
    assert_int_equal(conn.cwnd, MSS);
}

/* Where the curve is flat: its W_max, as it comes out of K. */
static double time_to(uint32_t window, uint32_t rtt_ms)
{
    uint64_t begin = now;
    while (conn.cwnd < window && now < begin + 1000 * CLOCK_S)
        round_trip(rtt_ms);
    return (double)(now - begin) / CLOCK_S;
}

static void the_curve_is_back_at_w_max_after_k(void **state)
{
    static const uint32_t windows[] = {500, 2000, 10000};
    for (size_t i = 0; i < array_count(windows); i++) {
        open_at(windows[i], 100);
        lose();
        double k = k_of(windows[i], windows[i] * BETA);
        double took = time_to(windows[i] * MSS - windows[i] * MSS / 1000, 100);
        assert_near(took, k * (1 - cbrt(0.001 / 0.3)), 0.5); /* at 99.9 %, a little before K */
    }
}

static void fast_convergence_gives_room(void **state)
{
    open_at(2000, 100);
    lose();
    lose(); /* at 1400, below the W_max of before: W_max is 1400 (1 + beta) / 2 = 1190 */
    assert_near(segments(conn.cwnd), 980, 0.1);
    double k = k_of(1190, 980);
    double took = time_to(1189 * MSS, 100);
    assert_near(took, k * (1 - cbrt(1 / 210.0)), 0.5);
}

/* ---- 4.2, 4.4, 4.5 ---- */

static void the_window_follows_the_curve(void **state)
{
    enum { WINDOW = 4000, RTT_MS = 100 };
    open_at(WINDOW, RTT_MS);
    lose();
    double k = k_of(WINDOW, WINDOW * BETA);
    uint64_t begin = now;
    for (int i = 0; i < 400; i++) {
        round_trip(RTT_MS);
        double t = (double)(now - begin) / CLOCK_S;
        double target = w_cubic(t, k, WINDOW);
        assert_near(segments(conn.cwnd) / target, 1, 0.01);
    }
    assert_true(conn.cwnd > 2 * WINDOW * MSS); /* and on beyond it */
}

static void it_grows_by_half_in_a_round_trip_at_most(void **state)
{
    open_at(100, 100);
    lose();
    round_trip(100);
    now += 60 * CLOCK_S; /* a curve that is far ahead */
    for (int i = 0; i < 5; i++) {
        uint32_t before = conn.cwnd;
        round_trip(100);
        assert_true(conn.cwnd <= before + before / 2 + before / 10);
    }
}

static void time_without_data_does_not_count(void **state)
{
    open_at(2000, 100);
    lose();
    for (int i = 0; i < 10; i++)
        round_trip(100);
    uint32_t before = conn.cwnd;
    tcp_cc_cubic.unlimited(&conn); /* the application has nothing to send ... */
    now += 20 * CLOCK_S;
    round_trip(100);
    assert_near(segments(conn.cwnd), segments(before), 60); /* ... 5.8 */
}

/* ---- 4.3 ---- */

static void short_paths_grow_as_reno_does(void **state)
{
    enum { WINDOW = 20, RTT_MS = 5 };
    const double alpha = 3 * (1 - BETA) / (1 + BETA);
    open_at(WINDOW, RTT_MS);
    lose();
    double w_est = WINDOW * BETA;
    for (int i = 0; i < 60; i++) {
        round_trip(RTT_MS);
        w_est += w_est < WINDOW ? alpha : 1; /* one window acknowledged a round trip */
        assert_near(segments(conn.cwnd), w_est, 1.5);
    }
}

/* ---- 4.8, 4.9, RFC 5681 4.1 ---- */

static void after_a_timeout_a_new_curve_begins(void **state)
{
    open_at(1000, 100);
    lose();
    tcp_cc_cubic.timed_out(&conn, true, now);
    assert_int_equal(conn.cwnd, MSS);
    assert_near(segments(conn.ssthresh), 490, 0.1);
    time_to(conn.ssthresh, 100); /* slow start */
    uint32_t before = conn.cwnd;
    round_trip(100); /* K is 0: the curve's flat part */
    assert_near(segments(conn.cwnd), segments(before), 3);
}

static void a_second_timeout_leaves_ssthresh(void **state)
{
    open_at(1000, 100);
    tcp_cc_cubic.timed_out(&conn, true, now);
    uint32_t before = conn.ssthresh;
    tcp_cc_cubic.timed_out(&conn, false, now);
    assert_int_equal(conn.ssthresh, before);
}

static void an_undone_reduction_leaves_no_trace(void **state)
{
    open_at(2000, 100);
    lose();
    for (int i = 0; i < 20; i++)
        round_trip(100);
    struct tcp_conn other = conn; /* the same without the reduction */
    uint32_t cwnd = conn.cwnd, ssthresh = conn.ssthresh;
    tcp_cc_cubic.lost(&conn, conn.cwnd, now);
    conn.cwnd = cwnd;
    conn.ssthresh = ssthresh;
    tcp_cc_cubic.undone(&conn, now);
    uint64_t then = now;
    for (int i = 0; i < 20; i++)
        round_trip(100);
    uint32_t after = conn.cwnd;
    conn = other;
    now = then;
    for (int i = 0; i < 20; i++)
        round_trip(100);
    assert_near(segments(after), segments(conn.cwnd), segments(conn.cwnd) / 100);
}

static void after_a_pause_it_does_not_jump_back(void **state)
{
    enum { RTT_MS = 5 };
    open_at(60, RTT_MS);
    lose();
    for (int i = 0; i < 10; i++)
        round_trip(RTT_MS);
    uint32_t before = conn.cwnd;
    tcp_cc_cubic.idle(&conn, now);
    assert_int_equal(conn.cwnd, 10 * MSS);
    while (conn.cwnd < conn.ssthresh)
        round_trip(RTT_MS);
    round_trip(RTT_MS);
    assert_true(conn.cwnd < before); /* three quarters of it, and a little */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loss_leaves_seven_tenths),
        cmocka_unit_test(ssthresh_is_never_below_two_segments),
        cmocka_unit_test(the_curve_is_back_at_w_max_after_k),
        cmocka_unit_test(fast_convergence_gives_room),
        cmocka_unit_test(the_window_follows_the_curve),
        cmocka_unit_test(it_grows_by_half_in_a_round_trip_at_most),
        cmocka_unit_test(time_without_data_does_not_count),
        cmocka_unit_test(short_paths_grow_as_reno_does),
        cmocka_unit_test(after_a_timeout_a_new_curve_begins),
        cmocka_unit_test(a_second_timeout_leaves_ssthresh),
        cmocka_unit_test(an_undone_reduction_leaves_no_trace),
        cmocka_unit_test(after_a_pause_it_does_not_jump_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
