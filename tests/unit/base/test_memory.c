#include "dataplane/base/memory.h"

#include "tests/support/cmocka.h"
#include "tests/support/expect_stop.h"

#include <stdlib.h>
#include <string.h>

static int reset(void **state)
{
    memory_reset();
    return 0;
}

static void pieces_are_zeroed_and_start_on_cache_lines(void **state)
{
    for (size_t bytes = 1; bytes < 300; bytes += 7) {
        uint8_t *piece = memory_take("piece", bytes, -1);
        assert_non_null(piece);
        assert_int_equal((uintptr_t)piece % 64, 0);
        for (size_t i = 0; i < bytes; i++)
            assert_int_equal(piece[i], 0);
        memset(piece, 0xff, bytes);
    }
}

static void bytes_are_summed_in_whole_cache_lines(void **state)
{
    assert_int_equal(memory_taken_bytes(), 0);
    assert_non_null(memory_take("a", 1, -1));
    assert_int_equal(memory_taken_bytes(), 64);
    assert_non_null(memory_take("b", 64, 0));
    assert_non_null(memory_take("c", 65, -1));
    assert_int_equal(memory_taken_bytes(), 64 + 64 + 128);
    memory_reset();
    assert_int_equal(memory_taken_bytes(), 0);
}

static void more_than_there_is_is_refused_and_not_summed(void **state)
{
    assert_null(memory_take("huge", SIZE_MAX, -1));
    assert_null(memory_take("huge", SIZE_MAX - 256, -1));
    assert_null(memory_take("huge", SIZE_MAX / 2, -1));
    assert_int_equal(memory_taken_bytes(), 0);
}

static void table_has_one_line_a_name_in_order_of_first_take(void **state)
{
    memory_take("streams", 100, -1);
    memory_take("segments", 64, -1);
    memory_take("streams", 1, -1);
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    memory_print(out);
    fclose(out);
    char name[3][33];
    size_t pieces[2], bytes[3];
    int got = sscanf(text, "memory pieces bytes %32s %zu %zu %32s %zu %zu %32s %zu", name[0],
                     &pieces[0], &bytes[0], name[1], &pieces[1], &bytes[1], name[2], &bytes[2]);
    free(text);
    assert_int_equal(got, 8);
    assert_string_equal(name[0], "streams");
    assert_int_equal(pieces[0], 2);
    assert_int_equal(bytes[0], 192);
    assert_string_equal(name[1], "segments");
    assert_int_equal(pieces[1], 1);
    assert_int_equal(bytes[1], 64);
    assert_string_equal(name[2], "sum");
    assert_int_equal(bytes[2], 256);
}

static void nth_take_can_be_made_to_fail(void **state)
{
    memory_fail_after(2);
    assert_non_null(memory_take("first", 1, -1));
    assert_non_null(memory_take("second", 1, -1));
    assert_null(memory_take("third", 1, -1));
    assert_null(memory_take("fourth", 1, -1));
    memory_reset();
    assert_non_null(memory_take("again", 1, -1));
}

static void take_one(void *context)
{
    memory_take("late", 1, -1);
}

static void take_nothing(void *context)
{
    memory_take("nothing", 0, -1);
}

static void take_after_seal_stops_the_process(void **state)
{
    assert_false(stops_the_process(take_one, NULL));
    memory_seal();
    assert_true(stops_the_process(take_one, NULL));
    memory_reset();
    assert_false(stops_the_process(take_one, NULL));
}

static void empty_take_stops_the_process(void **state)
{
    assert_true(stops_the_process(take_nothing, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(pieces_are_zeroed_and_start_on_cache_lines, reset),
        cmocka_unit_test_teardown(bytes_are_summed_in_whole_cache_lines, reset),
        cmocka_unit_test_teardown(more_than_there_is_is_refused_and_not_summed, reset),
        cmocka_unit_test_teardown(table_has_one_line_a_name_in_order_of_first_take, reset),
        cmocka_unit_test_teardown(nth_take_can_be_made_to_fail, reset),
        cmocka_unit_test_teardown(take_after_seal_stops_the_process, reset),
        cmocka_unit_test_teardown(empty_take_stops_the_process, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
