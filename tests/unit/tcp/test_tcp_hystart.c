/* HyStart++: the rounds, and into conservative slow start and out of it (RFC 9406 4.2, 4.3). */
#include "dataplane/tcp/tcp_hystart.h"

#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"

#define ROUND 10000u /* bytes */

static struct tcp_hystart hystart;
static uint32_t snd_una;

static void begin_at(uint32_t seq)
{
    snd_una = seq;
    tcp_hystart_begin(&hystart, seq + ROUND);
}

/* COUNT samples of RTT_US within the round, the next ACK ends it. Returns the last answer. */
static uint32_t samples(uint32_t count, uint32_t rtt_us)
{
    uint32_t part = 0;
    for (uint32_t i = 0; i < count; i++)
        part = tcp_hystart_acked(&hystart, ++snd_una, hystart.window_end + ROUND, rtt_us);
    return part;
}

/* Its first ACK ends the round before it, and is its first sample. */
static uint32_t round_of(uint32_t rtt_us)
{
    snd_una = hystart.window_end - 1;
    return samples(8, rtt_us);
}

static void steady_round_trips_change_nothing(void **state)
{
    begin_at(0xfffff000); /* over the wrap */
    for (int i = 0; i < 50; i++)
        assert_int_equal(round_of(50000), 1);
}

/* RttThresh = max(4 ms, min(lastRoundMinRTT / 8, 16 ms)). */
static void the_threshold_is_an_eighth_between_4_and_16_ms(void **state)
{
    static const struct {
        uint32_t before_us;
        uint32_t threshold_us;
    } rows[] = {{100, 4000},     {20000, 4000},   {32000, 4000},  {64000, 8000},
                {100000, 12500}, {128000, 16000}, {400000, 16000}};
    for (size_t i = 0; i < array_count(rows); i++) {
        begin_at(1);
        round_of(rows[i].before_us);
        assert_int_equal(round_of(rows[i].before_us + rows[i].threshold_us - 1), 1);
        begin_at(1);
        round_of(rows[i].before_us);
        assert_int_equal(round_of(rows[i].before_us + rows[i].threshold_us), 4);
    }
}

static void fewer_than_eight_samples_decide_nothing(void **state)
{
    begin_at(1);
    round_of(20000);
    snd_una = hystart.window_end - 1;
    assert_int_equal(samples(7, 50000), 1);
    assert_int_equal(samples(1, 50000), 4);
}

static void one_short_round_trip_decides_against_it(void **state)
{
    begin_at(1);
    round_of(20000);
    snd_una = hystart.window_end - 1;
    samples(1, 20500); /* the round's minimum counts */
    assert_int_equal(samples(20, 90000), 1);
}

static void acks_without_a_sample_decide_nothing(void **state)
{
    begin_at(1);
    round_of(20000);
    snd_una = hystart.window_end - 1;
    assert_int_equal(samples(30, 0), 1);
}

static void the_first_round_has_nothing_to_compare_with(void **state)
{
    begin_at(1);
    assert_int_equal(round_of(900000), 1);
}

/* The round in which it begins is one of the five. */
static void conservative_slow_start_lasts_five_rounds(void **state)
{
    begin_at(1);
    round_of(20000);
    assert_int_equal(round_of(30000), 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(round_of(30000), 4);
    assert_int_equal(round_of(30000), 0);
}

static void it_was_jitter_and_slow_start_resumes(void **state)
{
    begin_at(1);
    round_of(20000);
    assert_int_equal(round_of(30000), 4);
    assert_int_equal(round_of(29999), 1); /* below the round in which it began */
    assert_int_equal(round_of(29999), 1);
    assert_int_equal(round_of(40000), 4); /* again, from there */
}

static void every_stay_has_its_own_five_rounds(void **state)
{
    begin_at(1);
    round_of(20000);
    round_of(30000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(round_of(30000), 4);
    assert_int_equal(round_of(20000), 1);
    assert_int_equal(round_of(30000), 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(round_of(30000), 4);
    assert_int_equal(round_of(30000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steady_round_trips_change_nothing),
        cmocka_unit_test(the_threshold_is_an_eighth_between_4_and_16_ms),
        cmocka_unit_test(fewer_than_eight_samples_decide_nothing),
        cmocka_unit_test(one_short_round_trip_decides_against_it),
        cmocka_unit_test(acks_without_a_sample_decide_nothing),
        cmocka_unit_test(the_first_round_has_nothing_to_compare_with),
        cmocka_unit_test(conservative_slow_start_lasts_five_rounds),
        cmocka_unit_test(it_was_jitter_and_slow_start_resumes),
        cmocka_unit_test(every_stay_has_its_own_five_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
