/* Proportional rate reduction against RFC 6937 3's formulas, computed here once more. */
#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"
#include "tests/support/cmocka.h"

#define MSS 1000u

static struct tcp_conn conn;

/* In recovery with FLIGHT segments in flight, the first of them lost, and this ssthresh. */
static void open_with(uint32_t flight, uint32_t ssthresh)
{
    memset(&conn, 0, sizeof(conn));
    conn.mss = MSS;
    conn.snd_una = 0xffffff00;
    conn.snd_nxt = conn.snd_una + flight * MSS;
    conn.ssthresh = ssthresh * MSS;
    conn.cwnd = flight * MSS;
    conn.recovery = TCP_RECOVERY_FAST;
    conn.lost_bytes = MSS;
    tcp_prr_begin(&conn, flight * MSS);
}

/* SACKED segments more arrived; ACKED bytes in sequence are among DELIVERED. Returns sndcnt. */
static uint32_t ack(uint32_t delivered, uint32_t acked, bool another_lost)
{
    struct tcp_ack in = {.delivered = delivered, .acked = acked};
    conn.snd_una += acked;
    conn.sacked_bytes += delivered - acked;
    tcp_prr_ack_in(&conn, &in, another_lost);
    return conn.cwnd - tcp_pipe(&conn);
}

/* What cwnd allows is sent: the lost one first, then new data. */
static uint32_t send_allowed(void)
{
    uint32_t sent = 0;
    while (tcp_pipe(&conn) + MSS <= conn.cwnd) {
        if (conn.lost_bytes > 0)
            conn.lost_bytes -= MSS;
        else
            conn.snd_nxt += MSS;
        tcp_prr_sent(&conn, MSS);
        sent++;
    }
    return sent;
}

static void the_first_ack_lets_the_lost_one_go(void **state)
{
    open_with(20, 10);
    assert_int_equal(ack(0, 0, true), MSS);
    open_with(20, 10);
    assert_int_equal(ack(MSS, 0, true), MSS); /* the formula says half of it */
}

/* sndcnt = CEIL(prr_delivered * ssthresh / RecoverFS) - prr_out, while pipe > ssthresh */
static void it_sends_in_proportion_to_what_arrives(void **state)
{
    static const uint32_t rows[][2] = {{20, 10}, {20, 14}, {100, 70}, {101, 50}, {7, 4}};
    for (size_t i = 0; i < array_count(rows); i++) {
        open_with(rows[i][0], rows[i][1]);
        uint64_t delivered = 0, out = 0;
        while (tcp_pipe(&conn) - MSS > conn.ssthresh) {
            delivered += MSS;
            uint32_t count = ack(MSS, 0, false);
            uint64_t allowed =
                (delivered * rows[i][1] + rows[i][0] - 1) / rows[i][0]; /* in bytes */
            uint64_t expected = allowed > out ? allowed - out : 0;
            if (out == 0 && expected < MSS)
                expected = MSS;
            assert_int_equal(count, expected);
            out += (uint64_t)send_allowed() * MSS;
        }
        assert_true(out >= MSS);
    }
}

static void a_whole_round_trip_ends_at_ssthresh(void **state)
{
    open_with(100, 70);
    uint32_t sent = 0;
    for (int i = 0; i < 99; i++) {
        ack(MSS, 0, false);
        sent += send_allowed();
    }
    assert_in_range(sent, 68, 71);
    assert_in_range(tcp_pipe(&conn), 69 * MSS, 71 * MSS);
}

/* MIN(ssthresh - pipe, MAX(prr_delivered - prr_out, DeliveredData) + MSS) */
static void below_ssthresh_it_grows_as_slow_start_does(void **state)
{
    open_with(20, 15);
    conn.lost_bytes = 12 * MSS; /* pipe is 8 */
    assert_int_equal(ack(MSS, MSS, false), 2 * MSS);
    assert_int_equal(send_allowed(), 2);
    assert_int_equal(ack(2 * MSS, 2 * MSS, false), 3 * MSS);
}

/* MIN(ssthresh - pipe, prr_delivered - prr_out) */
static void further_losses_make_it_careful(void **state)
{
    open_with(20, 15);
    conn.lost_bytes = 12 * MSS;
    assert_int_equal(ack(2 * MSS, 2 * MSS, true), 2 * MSS);
    assert_int_equal(send_allowed(), 2);
    assert_int_equal(ack(MSS, 0, false), MSS); /* nothing in sequence */
    assert_int_equal(send_allowed(), 1);
    assert_int_equal(ack(0, 0, false), 0);
}

static void it_never_goes_beyond_ssthresh(void **state)
{
    open_with(20, 10);
    conn.lost_bytes = 11 * MSS; /* pipe is 9 */
    ack(0, 0, true);
    assert_int_equal(send_allowed(), 1);
    assert_true(ack(8 * MSS, 8 * MSS, false) < 8 * MSS + MSS);
    assert_int_equal(conn.cwnd, conn.ssthresh);
}

static void a_small_flight_does_not_divide_by_nothing(void **state)
{
    open_with(1, 2);
    tcp_prr_begin(&conn, 0);
    assert_int_equal(conn.recover_fs, MSS);
    assert_int_equal(ack(0, 0, true), MSS);
}

static void large_windows_do_not_overflow(void **state)
{
    open_with(1, 1);
    conn.snd_nxt = conn.snd_una + 2000000000u;
    conn.ssthresh = 1400000000u;
    conn.lost_bytes = MSS;
    tcp_prr_begin(&conn, 2000000000u);
    assert_int_equal(ack(400000000u, 0, false), 280000000u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_ack_lets_the_lost_one_go),
        cmocka_unit_test(it_sends_in_proportion_to_what_arrives),
        cmocka_unit_test(a_whole_round_trip_ends_at_ssthresh),
        cmocka_unit_test(below_ssthresh_it_grows_as_slow_start_does),
        cmocka_unit_test(further_losses_make_it_careful),
        cmocka_unit_test(it_never_goes_beyond_ssthresh),
        cmocka_unit_test(a_small_flight_does_not_divide_by_nothing),
        cmocka_unit_test(large_windows_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
