/* markers: bounded, found by hash, the one not looked up for longest goes first. */
#include "dataplane/coalesce/markers.h"

#include "dataplane/base/memory.h"
#include "tests/support/cmocka.h"

#include <stdlib.h>
#include <string.h>

static struct markers markers;

static int set_up(void **state)
{
    assert_true(markers_init(&markers, 8, -1));
    return 0;
}

static int tear_down(void **state)
{
    memory_reset();
    return 0;
}

static void what_was_not_marked_is_not_found(void **state)
{
    assert_null(markers_find(&markers, 1));
    markers_take(&markers, 1)->alone_until_ns = 5;
    assert_int_equal(markers_find(&markers, 1)->alone_until_ns, 5);
    assert_ptr_equal(markers_take(&markers, 1), markers_find(&markers, 1));
    assert_null(markers_find(&markers, 1ull << 32 | 1));
}

static void c8_the_least_recently_used_goes(void **state)
{
    for (uint64_t hash = 0; hash < 8; hash++)
        markers_take(&markers, hash);
    assert_non_null(markers_find(&markers, 0)); /* used: now 1 is the oldest */
    markers_take(&markers, 100);
    assert_non_null(markers_find(&markers, 0));
    assert_null(markers_find(&markers, 1));
    for (uint64_t hash = 2; hash < 8; hash++)
        assert_non_null(markers_find(&markers, hash));
}

/* Against a model: a list by age. */
static void any_order_of_looking_up_and_marking(void **state)
{
    uint64_t model[8];
    uint32_t count = 0;
    srand(3);
    for (int step = 0; step < 20000; step++) {
        uint64_t hash = (uint64_t)(rand() % 16) << 32 | (uint64_t)(rand() % 2);
        uint32_t place = 0;
        while (place < count && model[place] != hash)
            place++;
        bool known = place < count;
        bool takes = rand() % 2 == 0;
        struct marker *found = takes ? markers_take(&markers, hash) : markers_find(&markers, hash);
        assert_true((found != NULL) == (known || takes));
        if (found == NULL)
            continue;
        assert_int_equal(found->hash, hash);
        assert_int_equal(found->alone_until_ns, known ? hash + 1 : 0);
        found->alone_until_ns = hash + 1;
        if (!known && count == 8)
            place = 0;
        if (known || count == 8)
            memmove(&model[place], &model[place + 1], (--count - place) * sizeof(model[0]));
        model[count++] = hash;
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_not_marked_is_not_found),
        CASE(c8_the_least_recently_used_goes),
        CASE(any_order_of_looking_up_and_marking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
