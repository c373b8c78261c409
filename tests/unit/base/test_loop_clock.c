/* A loop's own time: what the loop has missed does not pass for it. */
#include "dataplane/base/loop_clock.h"
#include "tests/support/cmocka.h"

#define START   (5 * CLOCK_S)
#define LATE_NS LOOP_CLOCK_LATE_NS

static void time_passes_as_it_does_while_the_loop_is_run(void **state)
{
    struct loop_clock clock = {.turned_at_ns = START};
    for (uint64_t ns = START; ns < START + CLOCK_S; ns += CLOCK_MS)
        assert_int_equal(loop_clock_turn(&clock, ns, 1), ns);
    assert_int_equal(clock.missed_ns, 0);
}

static void a_gap_counts_only_until_a_little_after_the_first_timer(void **state)
{
    static const struct {
        uint64_t due_after_ns;
        uint64_t gap_ns;
        uint64_t missed_ns;
    } cases[] = {
        {0, LATE_NS, 0},
        {0, LATE_NS + 1, 1},
        {0, 3 * CLOCK_S, 3 * CLOCK_S - LATE_NS},
        {CLOCK_S, 3 * CLOCK_S, 2 * CLOCK_S - LATE_NS},
        {CLOCK_S, CLOCK_S + LATE_NS, 0},
        {4 * CLOCK_S, 3 * CLOCK_S, 0},
        {CLOCK_NEVER - START, 3 * CLOCK_S, 0},
    };
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct loop_clock clock = {.turned_at_ns = START};
        uint64_t now =
            loop_clock_turn(&clock, START + cases[i].gap_ns, START + cases[i].due_after_ns);
        assert_int_equal(clock.missed_ns, cases[i].missed_ns);
        assert_int_equal(now, START + cases[i].gap_ns - cases[i].missed_ns);
    }
}

static void a_timer_of_the_past_does_not_turn_the_clock_back(void **state)
{
    struct loop_clock clock = {.turned_at_ns = START};
    assert_int_equal(loop_clock_turn(&clock, START + CLOCK_S, 1), START + LATE_NS);
    assert_int_equal(loop_clock_turn(&clock, START + CLOCK_S + 1, 1), START + LATE_NS + 1);
}

static void gaps_add_up(void **state)
{
    struct loop_clock clock = {.turned_at_ns = START};
    uint64_t ns = START;
    for (uint64_t i = 1; i <= 5; i++) {
        ns += CLOCK_S;
        assert_int_equal(loop_clock_turn(&clock, ns, 0), START + i * LATE_NS);
        assert_int_equal(clock.missed_ns, i * (CLOCK_S - LATE_NS));
    }
}

static void times_go_to_the_process_and_back(void **state)
{
    assert_int_equal(loop_clock_shared(CLOCK_S, START), START + CLOCK_S);
    assert_int_equal(loop_clock_own(CLOCK_S, START + CLOCK_S), START);
    assert_int_equal(loop_clock_shared(CLOCK_S, CLOCK_NEVER), CLOCK_NEVER);
    assert_int_equal(loop_clock_shared(CLOCK_S, CLOCK_NEVER - 1), CLOCK_NEVER);
    assert_int_equal(loop_clock_own(CLOCK_S, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_passes_as_it_does_while_the_loop_is_run),
        cmocka_unit_test(a_gap_counts_only_until_a_little_after_the_first_timer),
        cmocka_unit_test(a_timer_of_the_past_does_not_turn_the_clock_back),
        cmocka_unit_test(gaps_add_up),
        cmocka_unit_test(times_go_to_the_process_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
