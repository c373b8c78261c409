#include "dataplane/base/random.h"

#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"
#include "tests/support/expect_stop.h"

#include <string.h>

static void generator_is_xoshiro256_star_star(void **state)
{
    struct random random = {{1, 2, 3, 4}};
    static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240u};
    for (size_t i = 0; i < array_count(expected); i++)
        assert_int_equal(random_u64(&random), expected[i]);
}

static void seed_is_spread_by_splitmix64(void **state)
{
    struct random random;
    random_seed(&random, 0);
    assert_int_equal(random.state[0], 0xe220a8397b1dcdafu);
    assert_int_equal(random.state[1], 0x6e789e6aa1b965f4u);
    assert_int_equal(random.state[2], 0x06c45d188009454fu);
    assert_int_equal(random.state[3], 0xf88bb8a8724c81ecu);
}

static void same_seed_gives_the_same_sequence(void **state)
{
    struct random a, b, c;
    random_seed(&a, 42);
    random_seed(&b, 42);
    random_seed(&c, 43);
    bool differs = false;
    for (int i = 0; i < 1000; i++) {
        uint64_t value = random_u64(&a);
        assert_int_equal(value, random_u64(&b));
        differs |= value != random_u64(&c);
    }
    assert_true(differs);
}

static void below_stays_below_and_reaches_all(void **state)
{
    struct random random;
    random_seed(&random, 7);
    static const uint32_t bounds[] = {1, 2, 3, 7, 100, 0x80000000u, 0x80000001u, UINT32_MAX};
    for (size_t i = 0; i < array_count(bounds); i++)
        for (int n = 0; n < 2000; n++)
            assert_true(random_below(&random, bounds[i]) < bounds[i]);
    bool seen[7] = {false};
    for (int n = 0; n < 2000; n++)
        seen[random_below(&random, 7)] = true;
    for (size_t i = 0; i < array_count(seen); i++)
        assert_true(seen[i]);
}

/* With this bound a plain multiplication would give the first half twice as often. */
static void below_favours_no_half(void **state)
{
    struct random random;
    random_seed(&random, 8);
    const uint32_t bound = 3u << 30;
    int thirds[3] = {0};
    for (int n = 0; n < 30000; n++)
        thirds[random_below(&random, bound) >> 30]++;
    for (size_t i = 0; i < array_count(thirds); i++)
        assert_in_range(thirds[i], 9500, 10500); /* more than 6 standard deviations */
}

static void below_nothing(void *context)
{
    (void)random_below(context, 0);
}

static void bound_zero_is_a_programmers_error(void **state)
{
    struct random random;
    random_seed(&random, 1);
    assert_true(stops_the_process(below_nothing, &random));
}

static void secret_fills_exactly_what_was_asked(void **state)
{
    uint8_t first[66] = {0};
    uint8_t second[66] = {0};
    random_secret(first + 1, 64);
    random_secret(second + 1, 64);
    assert_memory_not_equal(first + 1, second + 1, 64);
    assert_int_equal(first[0] | first[65] | second[0] | second[65], 0);
    random_secret(first, 0);
    assert_int_equal(first[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generator_is_xoshiro256_star_star),
        cmocka_unit_test(seed_is_spread_by_splitmix64),
        cmocka_unit_test(same_seed_gives_the_same_sequence),
        cmocka_unit_test(below_stays_below_and_reaches_all),
        cmocka_unit_test(below_favours_no_half),
        cmocka_unit_test(bound_zero_is_a_programmers_error),
        cmocka_unit_test(secret_fills_exactly_what_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
