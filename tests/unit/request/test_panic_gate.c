/* panic_gate: how many requests are taken when every region looks sick. */
#include "dataplane/request/panic_gate.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/random.h"
#include "tests/support/cmocka.h"

#define ASKED 1000u

static struct panic_gate gate;
static struct random dice;
static uint64_t now;

static int set_up(void **state)
{
    gate = (struct panic_gate){0};
    random_seed(&dice, 3);
    now = CLOCK_S;
    panic_gate_set(&gate, true);
    return 0;
}

/* How many of a thousand are taken. */
static uint32_t taken(enum priority priority)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < ASKED; i++)
        count += panic_gate_admits(&gate, priority, &dice, now);
    return count;
}

static void see(uint32_t count, bool good)
{
    for (uint32_t i = 0; i < count; i++)
        panic_gate_saw(&gate, good);
}

/* So many of a hundred answers of each second succeed, for long. */
static void succeed(uint32_t percent)
{
    for (uint32_t i = 0; i < 20; i++) {
        (void)panic_gate_admits(&gate, PRIORITY_NORMAL, &dice, now);
        see(percent, true);
        see(100 - percent, false);
        now += CLOCK_S;
    }
}

static void twice_the_part_that_succeeds_is_taken(void **state)
{
    static const struct {
        uint32_t percent;
        enum priority priority;
        uint32_t expected;
    } cases[] = {
        {100, PRIORITY_CRITICAL, 1000},  {50, PRIORITY_CRITICAL, 1000},
        {30, PRIORITY_CRITICAL, 600},    {0, PRIORITY_CRITICAL, 50},
        {100, PRIORITY_NORMAL, 1000},    {60, PRIORITY_NORMAL, 1000},
        {50, PRIORITY_NORMAL, 900},      {30, PRIORITY_NORMAL, 540},
        {100, PRIORITY_SHEDDABLE, 1000}, {50, PRIORITY_SHEDDABLE, 700},
        {30, PRIORITY_SHEDDABLE, 420},   {0, PRIORITY_SHEDDABLE, 35},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        set_up(NULL);
        succeed(cases[i].percent);
        uint32_t expected = cases[i].expected;
        assert_in_range(taken(cases[i].priority), expected > 60 ? expected - 60 : 1, expected + 60);
    }
}

/* Nobody is turned away as long as all goes well. */
static void when_everything_succeeds_everybody_goes_on(void **state)
{
    succeed(100);
    assert_int_equal(taken(PRIORITY_NORMAL), ASKED);
    assert_int_equal(taken(PRIORITY_SHEDDABLE), ASKED);
}

static void a_few_answers_are_no_measure(void **state)
{
    (void)taken(PRIORITY_CRITICAL);
    see(9, false);
    now += 5 * CLOCK_S;
    assert_int_equal(taken(PRIORITY_CRITICAL), ASKED);
    see(100, false); /* now they are */
    for (int i = 0; i < 3; i++) {
        now += CLOCK_S;
        (void)taken(PRIORITY_CRITICAL);
        see(100, false);
    }
    assert_true(taken(PRIORITY_CRITICAL) < ASKED / 2);
}

static void without_panic_everybody_goes_on(void **state)
{
    succeed(0);
    panic_gate_set(&gate, false);
    assert_int_equal(taken(PRIORITY_SHEDDABLE), ASKED);
    panic_gate_set(&gate, true); /* what was seen in another panic is forgotten */
    assert_int_equal(taken(PRIORITY_CRITICAL), ASKED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(twice_the_part_that_succeeds_is_taken, set_up),
        cmocka_unit_test_setup(when_everything_succeeds_everybody_goes_on, set_up),
        cmocka_unit_test_setup(a_few_answers_are_no_measure, set_up),
        cmocka_unit_test_setup(without_panic_everybody_goes_on, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
