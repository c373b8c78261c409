/* memory_take() from an EAL, on ordinary pages. */
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "tests/support/cmocka.h"

#include <rte_eal.h>
#include <string.h>

static int start_eal(void **state)
{
    static char arguments[][20] = {
        "test", "--no-huge", "--no-shconf", "--no-pci",       "-m",
        "64",   "--lcores",  "0@0",         "--no-telemetry", "--log-level=3"};
    char *argv[sizeof(arguments) / sizeof(arguments[0]) + 1] = {NULL};
    int argc = sizeof(arguments) / sizeof(arguments[0]);
    for (int i = 0; i < argc; i++)
        argv[i] = arguments[i];
    return rte_eal_init(argc, argv) < 0 ? -1 : 0;
}

static int stop_eal(void **state)
{
    return rte_eal_cleanup();
}

static void pieces_come_from_the_eal(void **state)
{
    memory_use(MEMORY_HUGEPAGES);
    uint8_t *piece = memory_take("piece", 100000, -1);
    assert_non_null(piece);
    assert_int_equal((uintptr_t)piece % 64, 0);
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(piece[i], 0);
    memset(piece, 0xff, 100000);
    assert_int_equal(memory_taken_bytes(), 100032);
    memory_reset();
}

static void more_than_the_eal_has_is_refused(void **state)
{
    memory_use(MEMORY_HUGEPAGES);
    assert_null(memory_take("huge", 1ull << 30, -1));
    assert_int_equal(memory_taken_bytes(), 0);
    memory_reset();
}

/* Given back in the way it was taken, although the kind has changed since. */
static void both_kinds_may_be_mixed(void **state)
{
    memory_use(MEMORY_HEAP);
    assert_non_null(memory_take("heap", 1, -1));
    memory_use(MEMORY_HUGEPAGES);
    assert_non_null(memory_take("hugepages", 1, -1));
    memory_use(MEMORY_HEAP);
    memory_reset();
    assert_int_equal(memory_taken_bytes(), 0);
}

static void cycles_have_a_rate(void **state)
{
    assert_true(clock_cycles_per_second() > 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_come_from_the_eal),
        cmocka_unit_test(more_than_the_eal_has_is_refused),
        cmocka_unit_test(both_kinds_may_be_mixed),
        cmocka_unit_test(cycles_have_a_rate),
    };
    return cmocka_run_group_tests(tests, start_eal, stop_eal);
}
