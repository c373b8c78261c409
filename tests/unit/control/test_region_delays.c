/* region_delays: what is surely later than twice the 99th percentile of before. */
#include "control/region_delays.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"

static const struct config_failover limits = {.worse_percent = 200, .worse_samples = 200};

static void count(struct region_delays *delays, uint64_t at_s, enum region_automatic automatic,
                  uint32_t bucket, uint64_t samples)
{
    uint64_t buckets[HISTOGRAM_BUCKETS] = {0};
    buckets[bucket] = samples;
    region_delays_count(delays, at_s * CLOCK_S, automatic, buckets);
}

/* A minute UP in which first bytes came within 2^10 us, then it failed, and now it recovers. */
static struct region_delays after_a_failure(void)
{
    struct region_delays delays;
    region_delays_init(&delays, 0);
    for (uint64_t s = 0; s < 60; s++)
        count(&delays, s, REGION_UP, 10, 100);
    count(&delays, 60, REGION_SUSPECT, 25, 1000);
    count(&delays, 66, REGION_DOWN, 25, 1000);
    count(&delays, 200, REGION_RECOVERING, 10, 0);
    return delays;
}

static void only_what_is_surely_above_twice_the_baseline_is_longer(void **state)
{
    static const struct {
        uint32_t bucket;
        uint64_t samples;
        bool longer;
    } cases[] = {{9, 1000, false}, {10, 1000, false}, {11, 1000, false},
                 {12, 199, false}, {12, 200, true},   {31, 200, true}};
    for (size_t i = 0; i < array_count(cases); i++) {
        struct region_delays delays = after_a_failure();
        count(&delays, 201, REGION_RECOVERING, cases[i].bucket, cases[i].samples);
        assert_int_equal(region_delays_are_longer(&delays, &limits), cases[i].longer);
    }
}

static void one_in_a_hundred_may_be_late(void **state)
{
    struct region_delays delays = after_a_failure();
    count(&delays, 201, REGION_RECOVERING, 10, 990);
    count(&delays, 202, REGION_RECOVERING, 20, 10);
    assert_false(region_delays_are_longer(&delays, &limits));
    count(&delays, 203, REGION_RECOVERING, 20, 1);
    assert_true(region_delays_are_longer(&delays, &limits));
}

static void only_a_region_that_recovers_is_judged(void **state)
{
    for (unsigned a = 0; a < REGION_AUTOMATICS; a++) {
        struct region_delays delays = after_a_failure();
        count(&delays, 201, (enum region_automatic)a, 20, 1000);
        assert_int_equal(region_delays_are_longer(&delays, &limits), a == REGION_RECOVERING);
    }
}

static void without_a_baseline_nothing_is_said(void **state)
{
    struct region_delays delays;
    region_delays_init(&delays, 0);
    count(&delays, 1, REGION_RECOVERING, 30, 10000);
    assert_false(region_delays_are_longer(&delays, &limits));
}

static void a_window_may_be_forgotten_without_its_baseline(void **state)
{
    struct region_delays delays = after_a_failure();
    count(&delays, 201, REGION_RECOVERING, 20, 1000);
    region_delays_forget(&delays, 202 * CLOCK_S);
    assert_false(region_delays_are_longer(&delays, &limits));
    count(&delays, 203, REGION_RECOVERING, 20, 1000);
    assert_true(region_delays_are_longer(&delays, &limits));
}

/* The region was slow, and was not taken out; then it is quick. */
static void what_is_long_over_fades(void **state)
{
    struct region_delays delays = after_a_failure();
    count(&delays, 201, REGION_RECOVERING, 20, 2000);
    for (uint64_t s = 202; s < 302; s++) {
        count(&delays, s, REGION_RECOVERING, 10, 100);
        region_delays_fade(&delays, s * CLOCK_S, &limits);
        if (s < 230)
            assert_true(region_delays_are_longer(&delays, &limits));
    }
    assert_false(region_delays_are_longer(&delays, &limits));
}

static void what_stays_of_a_window_is_enough(void **state)
{
    struct region_delays delays = after_a_failure();
    for (uint32_t bucket = 16; bucket < HISTOGRAM_BUCKETS; bucket++)
        count(&delays, 201, REGION_RECOVERING, bucket, 25); /* odd: each loses one by rounding */
    for (uint64_t s = 202; s < 500; s++) {
        region_delays_fade(&delays, s * CLOCK_S, &limits);
        assert_true(region_delays_are_longer(&delays, &limits));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_surely_above_twice_the_baseline_is_longer),
        cmocka_unit_test(one_in_a_hundred_may_be_late),
        cmocka_unit_test(only_a_region_that_recovers_is_judged),
        cmocka_unit_test(without_a_baseline_nothing_is_said),
        cmocka_unit_test(a_window_may_be_forgotten_without_its_baseline),
        cmocka_unit_test(what_is_long_over_fades),
        cmocka_unit_test(what_stays_of_a_window_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
