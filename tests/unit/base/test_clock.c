#include "dataplane/base/clock.h"

#include "tests/support/cmocka.h"

static void time_starts_near_zero_and_never_goes_back(void **state)
{
    uint64_t last = clock_now_ns();
    assert_int_equal(last, 1); /* the first reading of this process */
    for (int i = 0; i < 10000; i++) {
        uint64_t now = clock_now_ns();
        assert_true(now >= last);
        last = now;
    }
}

static void cycles_go_on_and_their_rate_stays(void **state)
{
    uint64_t start = clock_cycles();
    uint64_t rate = clock_cycles_per_second();
    assert_true(clock_cycles() > start);
    assert_true(rate > 1000000);
    assert_int_equal(clock_cycles_per_second(), rate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_starts_near_zero_and_never_goes_back),
        cmocka_unit_test(cycles_go_on_and_their_rate_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
