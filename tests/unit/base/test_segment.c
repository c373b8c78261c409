#include "dataplane/base/segment.h"

#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"
#include "dataplane/base/sanitizer.h"
#include "tests/support/cmocka.h"

#define COUNT         5
#define SEGMENT_BYTES 256

static int reset(void **state)
{
    memory_reset();
    return 0;
}

static void segments_have_memory_of_their_own(void **state)
{
    struct segment_pool pool;
    struct segment *segments[COUNT];
    assert_true(segment_pool_init(&pool, "payload", COUNT, SEGMENT_BYTES, -1));
    for (int i = 0; i < COUNT; i++) {
        segments[i] = segment_take(&pool);
        assert_non_null(segments[i]);
        assert_int_equal(segments[i]->length, 0);
        assert_int_equal(segments[i]->capacity, SEGMENT_BYTES);
        assert_int_equal(segments[i]->references, 1);
        assert_null(segments[i]->next);
        memset(segments[i]->data, i, SEGMENT_BYTES);
    }
    assert_null(segment_take(&pool));
    for (int i = 0; i < COUNT; i++)
        for (int b = 0; b < SEGMENT_BYTES; b++)
            assert_int_equal(segments[i]->data[b], i);
    for (int i = 0; i < COUNT; i++)
        segment_drop(segments[i]);
    assert_int_equal(pool_used(&pool.segments), 0);
}

static void last_reference_gives_the_segment_back(void **state)
{
    struct segment_pool pool;
    assert_true(segment_pool_init(&pool, "payload", 1, SEGMENT_BYTES, -1));
    struct segment *segment = segment_take(&pool);
    assert_ptr_equal(segment_hold(segment), segment);
    segment_hold(segment);
    segment->length = 7;
    segment->next = segment;
    segment_drop(segment);
    segment_drop(segment);
    assert_null(segment_take(&pool));
    segment_drop(segment);
    struct segment *again = segment_take(&pool);
    assert_non_null(again);
    assert_int_equal(again->length, 0);
    assert_int_equal(again->references, 1);
    assert_null(again->next);
}

struct lender {
    struct segment_source source;
    struct segment *released;
};

static void note_release(struct segment_source *source, struct segment *segment)
{
    struct lender *lender = container_of(source, struct lender, source);
    lender->released = segment;
}

static void foreign_source_hears_of_the_last_reference(void **state)
{
    struct lender lender = {.source = {.released = note_release}};
    uint8_t data[4];
    struct segment segment = {
        .data = data, .length = 4, .capacity = 4, .references = 1, .source = &lender.source};
    segment_hold(&segment);
    segment_drop(&segment);
    assert_null(lender.released);
    segment_drop(&segment);
    assert_ptr_equal(lender.released, &segment);
}

static void init_fails_when_memory_runs_out(void **state)
{
    struct segment_pool pool;
    for (uint32_t n = 0; n < 4; n++) {
        memory_fail_after(n);
        assert_false(segment_pool_init(&pool, "payload", COUNT, SEGMENT_BYTES, -1));
        memory_reset();
    }
    memory_fail_after(4);
    assert_true(segment_pool_init(&pool, "payload", COUNT, SEGMENT_BYTES, -1));
}

static void free_payload_is_poisoned_for_the_sanitizer(void **state)
{
    if (!SANITIZER_ADDRESS) {
        print_message("built without AddressSanitizer: nothing is poisoned\n");
        skip();
    }
    struct segment_pool pool;
    assert_true(segment_pool_init(&pool, "payload", COUNT, SEGMENT_BYTES, -1));
    assert_true(sanitizer_is_poisoned(pool.data));
    struct segment *segment = segment_take(&pool);
    uint8_t *data = segment->data;
    assert_false(sanitizer_is_poisoned(data));
    assert_false(sanitizer_is_poisoned(data + SEGMENT_BYTES - 1));
    segment_drop(segment);
    assert_true(sanitizer_is_poisoned(data));
    assert_true(sanitizer_is_poisoned(data + SEGMENT_BYTES - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(segments_have_memory_of_their_own, reset),
        cmocka_unit_test_teardown(last_reference_gives_the_segment_back, reset),
        cmocka_unit_test_teardown(foreign_source_hears_of_the_last_reference, reset),
        cmocka_unit_test_teardown(init_fails_when_memory_runs_out, reset),
        cmocka_unit_test_teardown(free_payload_is_poisoned_for_the_sanitizer, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
