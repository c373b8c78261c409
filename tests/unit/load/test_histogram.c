#include "tests/load/weir_load/histogram.h"

#include "dataplane/base/random.h"
#include "tests/support/cmocka.h"

#include <stdlib.h>
#include <string.h>

static struct histogram histogram;

static int clear(void **state)
{
    memset(&histogram, 0, sizeof(histogram));
    return 0;
}

static void nothing_has_no_quantiles(void **state)
{
    assert_int_equal(histogram_quantile(&histogram, 5000), 0);
    assert_true(histogram_mean(&histogram) == 0);
}

static void one_value_is_all_quantiles(void **state)
{
    histogram_add(&histogram, 123456789);
    assert_int_equal(histogram_quantile(&histogram, 1), 123456789);
    assert_int_equal(histogram_quantile(&histogram, 10000), 123456789);
    assert_int_equal(histogram.min, 123456789);
    assert_int_equal(histogram.max, 123456789);
}

static void small_values_are_exact(void **state)
{
    for (uint64_t value = 0; value < 100; value++)
        histogram_add(&histogram, value);
    assert_int_equal(histogram_quantile(&histogram, 5000), 49);
    assert_int_equal(histogram_quantile(&histogram, 9900), 98);
    assert_int_equal(histogram_quantile(&histogram, 10000), 99);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void quantiles_are_never_low_and_at_most_2_percent_high(void **state)
{
    static uint64_t values[10000];
    struct random random;
    random_seed(&random, 7);
    for (int i = 0; i < 10000; i++) {
        values[i] = random_u64(&random) >> (24 + random_below(&random, 30));
        histogram_add(&histogram, values[i]);
    }
    qsort(values, 10000, sizeof(values[0]), by_value);
    for (uint32_t permyriad = 1; permyriad <= 10000; permyriad++) {
        uint64_t truth = values[permyriad - 1];
        uint64_t told = histogram_quantile(&histogram, permyriad);
        assert_true(told >= truth);
        assert_true((double)told <= (double)truth * 1.02);
    }
}

static void enormous_values_are_kept_in_the_last_bucket(void **state)
{
    histogram_add(&histogram, UINT64_MAX / 4);
    histogram_add(&histogram, 5);
    assert_int_equal(histogram.max, UINT64_MAX / 4);
    assert_int_equal(histogram_quantile(&histogram, 5000), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_has_no_quantiles, clear),
        cmocka_unit_test_setup(one_value_is_all_quantiles, clear),
        cmocka_unit_test_setup(small_values_are_exact, clear),
        cmocka_unit_test_setup(quantiles_are_never_low_and_at_most_2_percent_high, clear),
        cmocka_unit_test_setup(enormous_values_are_kept_in_the_last_bucket, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
