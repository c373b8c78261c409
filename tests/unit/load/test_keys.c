#include "tests/load/weir_load/keys.h"

#include "tests/support/cmocka.h"

#include <math.h>
#include <string.h>

static struct random dice;

static int seed(void **state)
{
    random_seed(&dice, 20);
    return 0;
}

static void without_a_number_all_are_different(void **state)
{
    struct keys keys;
    assert_true(keys_init(&keys, 0, 0));
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(keys_next(&keys, &dice), i);
    keys_close(&keys);
}

static void one_key_is_always_the_same(void **state)
{
    struct keys keys;
    assert_true(keys_init(&keys, 1, 0));
    for (int i = 0; i < 10; i++)
        assert_int_equal(keys_next(&keys, &dice), 0);
    keys_close(&keys);
}

static void keys_in_turn_begin_again(void **state)
{
    struct keys keys;
    assert_true(keys_init(&keys, 3, 0));
    for (uint64_t i = 0; i < 9; i++)
        assert_int_equal(keys_next(&keys, &dice), i % 3);
    keys_close(&keys);
}

#define RANKS 100
#define DRAWS 1000000

/* Each rank within five standard deviations of what the law says. */
static void expect_zipf(double exponent)
{
    static uint32_t seen[RANKS];
    struct keys keys;
    double sum = 0;
    memset(seen, 0, sizeof(seen));
    assert_true(keys_init(&keys, RANKS, exponent));
    for (int i = 0; i < DRAWS; i++) {
        uint64_t key = keys_next(&keys, &dice);
        assert_in_range(key, 0, RANKS - 1);
        seen[key]++;
    }
    for (int rank = 1; rank <= RANKS; rank++)
        sum += pow(rank, -exponent);
    for (int rank = 1; rank <= RANKS; rank++) {
        double share = pow(rank, -exponent) / sum;
        double expected = share * DRAWS;
        double deviation = sqrt(expected * (1 - share));
        if (fabs(seen[rank - 1] - expected) > 5 * deviation)
            fail_msg("rank %d: %u, expected %.0f", rank, seen[rank - 1], expected);
    }
    keys_close(&keys);
}

static void the_law_of_zipf_is_kept(void **state)
{
    expect_zipf(0.5);
    expect_zipf(0.99);
    expect_zipf(2);
}

static void a_single_rank_gets_all(void **state)
{
    struct keys keys;
    assert_true(keys_init(&keys, 1, 1));
    assert_int_equal(keys_next(&keys, &dice), 0);
    keys_close(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_a_number_all_are_different, seed),
        cmocka_unit_test_setup(one_key_is_always_the_same, seed),
        cmocka_unit_test_setup(keys_in_turn_begin_again, seed),
        cmocka_unit_test_setup(the_law_of_zipf_is_kept, seed),
        cmocka_unit_test_setup(a_single_rank_gets_all, seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
