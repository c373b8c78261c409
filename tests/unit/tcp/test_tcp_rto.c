#include "dataplane/tcp/tcp_internal.h"
#include "tests/support/cmocka.h"

static struct tcp_conn conn;

static void the_first_timeout_is_a_second(void **state)
{
    tcp_rto_init(&conn);
    assert_int_equal(tcp_rto_ns(&conn), CLOCK_S);
}

/* RFC 6298 2.2: SRTT = R, RTTVAR = R / 2, RTO = SRTT + max(200 ms, 4 RTTVAR). */
static void the_first_sample_sets_all(void **state)
{
    tcp_rto_init(&conn);
    tcp_rto_sample(&conn, 300 * CLOCK_MS);
    assert_int_equal(conn.srtt_us / 8, 300000);
    assert_int_equal(conn.rttvar_us / 4, 150000);
    assert_int_equal(tcp_rto_ns(&conn), 900 * CLOCK_MS);
}

/* RFC 6298 2.3 in floating point, beside the integers. */
static void later_samples_follow_the_formulas(void **state)
{
    static const uint64_t samples[] = {100, 120, 90, 400, 100, 100, 101, 30, 1000, 80};
    double srtt = 0;
    double rttvar = 0;
    tcp_rto_init(&conn);
    for (size_t i = 0; i < array_count(samples); i++) {
        double r = (double)samples[i];
        if (i == 0) {
            srtt = r;
            rttvar = r / 2;
        } else {
            rttvar = 0.75 * rttvar + 0.25 * (srtt > r ? srtt - r : r - srtt);
            srtt = 0.875 * srtt + 0.125 * r;
        }
        tcp_rto_sample(&conn, samples[i] * CLOCK_MS);
        assert_true(conn.srtt_us / 8000.0 - srtt < 0.1 && srtt - conn.srtt_us / 8000.0 < 0.1);
        assert_true(conn.rttvar_us / 4000.0 - rttvar < 0.1 &&
                    rttvar - conn.rttvar_us / 4000.0 < 0.1);
    }
}

static void a_steady_path_waits_200_ms_beyond_its_rtt(void **state)
{
    tcp_rto_init(&conn);
    for (int i = 0; i < 100; i++)
        tcp_rto_sample(&conn, 50 * CLOCK_US);
    assert_true(tcp_rto_ns(&conn) >= 200 * CLOCK_MS);
    assert_true(tcp_rto_ns(&conn) <= 201 * CLOCK_MS);
    tcp_rto_init(&conn);
    for (int i = 0; i < 100; i++)
        tcp_rto_sample(&conn, 300 * CLOCK_MS);
    assert_true(tcp_rto_ns(&conn) >= 500 * CLOCK_MS);
    assert_true(tcp_rto_ns(&conn) <= 502 * CLOCK_MS);
}

static void backing_off_doubles_up_to_a_minute(void **state)
{
    tcp_rto_init(&conn);
    uint64_t expected = CLOCK_S;
    for (int i = 0; i <= UINT8_MAX; i++) {
        conn.backoff = (uint8_t)i;
        assert_int_equal(tcp_rto_ns(&conn), expected);
        expected = 2 * expected < 60 * CLOCK_S ? 2 * expected : 60 * CLOCK_S;
    }
}

static void absurd_samples_stay_in_range(void **state)
{
    tcp_rto_init(&conn);
    tcp_rto_sample(&conn, 0);
    assert_true(conn.srtt_us > 0);
    for (int i = 0; i < 100; i++)
        tcp_rto_sample(&conn, UINT64_MAX);
    assert_int_equal(tcp_rto_ns(&conn), 60 * CLOCK_S);
    for (int i = 0; i < 1000; i++)
        tcp_rto_sample(&conn, 1);
    assert_true(tcp_rto_ns(&conn) < 201 * CLOCK_MS);
    assert_true(conn.srtt_us > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_timeout_is_a_second),
        cmocka_unit_test(the_first_sample_sets_all),
        cmocka_unit_test(later_samples_follow_the_formulas),
        cmocka_unit_test(a_steady_path_waits_200_ms_beyond_its_rtt),
        cmocka_unit_test(backing_off_doubles_up_to_a_minute),
        cmocka_unit_test(absurd_samples_stay_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
