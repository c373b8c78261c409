/* region_errors: the baseline is of the time before the failure, and what is twice that is worse.
 */
#include "control/region_errors.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"

static const struct config_failover limits = {
    .worse_percent = 200, .worse_samples = 200, .worse_at_least = 5};

/* A minute UP in which PERMILLE of the requests fail, then the region fails and comes back. */
static struct region_errors after_a_failure(uint32_t permille)
{
    struct region_errors errors;
    region_errors_init(&errors, 0);
    for (uint64_t s = 0; s < 60; s++)
        region_errors_count(&errors, s * CLOCK_S, REGION_UP, 1000, permille);
    region_errors_count(&errors, 60 * CLOCK_S, REGION_SUSPECT, 1000, 1000);
    region_errors_count(&errors, 66 * CLOCK_S, REGION_DOWN, 1000, 1000);
    region_errors_count(&errors, 200 * CLOCK_S, REGION_RECOVERING, 0, 0);
    return errors;
}

static void more_than_twice_the_errors_is_worse(void **state)
{
    static const struct {
        uint32_t before_permille;
        uint64_t requests;
        uint64_t failed;
        bool worse;
    } cases[] = {
        {100, 1000, 200, false},   {100, 1000, 201, true}, {100, 199, 199, false},
        {100, 200, 41, true},      {100, 200, 40, false},  {0, 1000, 50, false},
        {0, 1000, 51, true},       {10, 1000, 50, false},  {10, 1000, 51, true},
        {1000, 1000, 1000, false},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct region_errors errors = after_a_failure(cases[i].before_permille);
        assert_int_equal(errors.baseline_permille, cases[i].before_permille);
        region_errors_count(&errors, 201 * CLOCK_S, REGION_RECOVERING, cases[i].requests,
                            cases[i].failed);
        assert_int_equal(region_errors_are_worse(&errors, &limits), cases[i].worse);
    }
}

static void only_a_region_that_recovers_is_judged(void **state)
{
    for (unsigned a = 0; a < REGION_AUTOMATICS; a++) {
        struct region_errors errors = after_a_failure(0);
        region_errors_count(&errors, 201 * CLOCK_S, (enum region_automatic)a, 1000, 1000);
        assert_int_equal(region_errors_are_worse(&errors, &limits), a == REGION_RECOVERING);
    }
}

static void a_window_may_be_forgotten_without_its_baseline(void **state)
{
    struct region_errors errors = after_a_failure(10);
    region_errors_count(&errors, 201 * CLOCK_S, REGION_RECOVERING, 1000, 1000);
    assert_true(region_errors_are_worse(&errors, &limits));
    region_errors_forget(&errors, 202 * CLOCK_S);
    assert_false(region_errors_are_worse(&errors, &limits));
    region_errors_count(&errors, 203 * CLOCK_S, REGION_RECOVERING, 1000, 1000);
    assert_true(region_errors_are_worse(&errors, &limits));
}

/* The region was worse, and was not taken out; then it is well. */
static void what_is_long_over_fades(void **state)
{
    struct region_errors errors = after_a_failure(10);
    region_errors_count(&errors, 201 * CLOCK_S, REGION_RECOVERING, 2000, 1000);
    for (uint64_t s = 202; s < 262; s++) {
        region_errors_count(&errors, s * CLOCK_S, REGION_RECOVERING, 100, 0);
        region_errors_fade(&errors, s * CLOCK_S, &limits);
        if (s < 230)
            assert_true(region_errors_are_worse(&errors, &limits));
    }
    assert_false(region_errors_are_worse(&errors, &limits));
}

static void what_stays_of_a_window_is_enough(void **state)
{
    struct region_errors errors = after_a_failure(10);
    region_errors_count(&errors, 201 * CLOCK_S, REGION_RECOVERING, 399, 399);
    for (uint64_t s = 202; s < 500; s++) {
        region_errors_fade(&errors, s * CLOCK_S, &limits);
        assert_true(region_errors_are_worse(&errors, &limits));
    }
    region_errors_count(&errors, 500 * CLOCK_S, REGION_RECOVERING, 1, 0);
    region_errors_fade(&errors, 500 * CLOCK_S, &limits);
    assert_int_equal(errors.requests, 200);
    assert_true(region_errors_are_worse(&errors, &limits));
}

static void a_baseline_does_not_fade(void **state)
{
    struct region_errors errors;
    region_errors_init(&errors, 0);
    region_errors_count(&errors, 0, REGION_UP, 1000, 10);
    region_errors_fade(&errors, 20 * CLOCK_S, &limits);
    assert_int_equal(errors.requests, 1000);
}

static void without_a_baseline_nothing_is_said(void **state)
{
    struct region_errors errors;
    region_errors_init(&errors, 0);
    region_errors_count(&errors, CLOCK_S, REGION_RECOVERING, 10000, 10000);
    assert_false(region_errors_are_worse(&errors, &limits));
}

static void the_window_in_which_it_failed_is_no_part_of_the_baseline(void **state)
{
    struct region_errors errors;
    region_errors_init(&errors, 0);
    region_errors_count(&errors, 0, REGION_UP, 1000, 0);
    region_errors_count(&errors, 10 * CLOCK_S, REGION_UP, 1000, 1000); /* closes the first one */
    region_errors_count(&errors, 11 * CLOCK_S, REGION_SUSPECT, 1000, 1000);
    assert_true(errors.known);
    assert_int_equal(errors.baseline_permille, 0);
}

static void the_baseline_follows_slowly(void **state)
{
    struct region_errors errors;
    region_errors_init(&errors, 0);
    region_errors_count(&errors, 0, REGION_UP, 1000, 0);
    region_errors_count(&errors, 10 * CLOCK_S, REGION_UP, 1000, 400);
    region_errors_count(&errors, 20 * CLOCK_S, REGION_UP, 0, 0);
    assert_int_equal(errors.baseline_permille, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_than_twice_the_errors_is_worse),
        cmocka_unit_test(only_a_region_that_recovers_is_judged),
        cmocka_unit_test(a_window_may_be_forgotten_without_its_baseline),
        cmocka_unit_test(what_is_long_over_fades),
        cmocka_unit_test(what_stays_of_a_window_is_enough),
        cmocka_unit_test(a_baseline_does_not_fade),
        cmocka_unit_test(without_a_baseline_nothing_is_said),
        cmocka_unit_test(the_window_in_which_it_failed_is_no_part_of_the_baseline),
        cmocka_unit_test(the_baseline_follows_slowly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
