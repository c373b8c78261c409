#include "dataplane/base/body.h"

#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"
#include "dataplane/base/random.h"
#include "tests/support/cmocka.h"
#include "tests/support/expect_stop.h"

#define SEGMENT_BYTES 16
#define SEGMENTS      8
#define READERS       4
#define LARGEST_BODY  4000

static struct segment_pool pool;

static int setup(void **state)
{
    return segment_pool_init(&pool, "payload", SEGMENTS, SEGMENT_BYTES, -1) ? 0 : -1;
}

static int reset(void **state)
{
    memory_reset();
    return 0;
}

/* The byte at a position: no two neighbouring segments look alike. */
static uint8_t byte_at(uint64_t position)
{
    return (uint8_t)(position * 7 + position / 251);
}

static size_t append(struct body *body, size_t length)
{
    uint8_t data[LARGEST_BODY];
    for (size_t i = 0; i < length; i++)
        data[i] = byte_at(body->written_bytes + i);
    return body_append(body, &pool, bytes_of(data, length));
}

/* Read at most MAX bytes of the next chunk; returns how many there were. */
static uint32_t read_some(const struct body *body, struct body_cursor *cursor, uint32_t max)
{
    struct chunk chunk = body_peek(body, cursor, max);
    assert_true(chunk.length <= max);
    for (uint32_t i = 0; i < chunk.length; i++)
        assert_int_equal(chunk.segment->data[chunk.offset + i], byte_at(cursor->position + i));
    body_cursor_advance(cursor, chunk.length);
    return chunk.length;
}

static void read_to_end(const struct body *body, struct body_cursor *cursor)
{
    while (read_some(body, cursor, UINT32_MAX) > 0) {
    }
    assert_int_equal(cursor->position, body->written_bytes);
}

static void bytes_come_out_as_they_went_in(void **state)
{
    for (size_t length = 0; length <= SEGMENTS * SEGMENT_BYTES; length++) {
        struct body body;
        struct body_cursor cursor;
        body_init(&body);
        assert_int_equal(append(&body, length), length);
        body_end(&body);
        body_cursor_init(&cursor);
        assert_int_equal(body_is_read(&body, &cursor), length == 0);
        read_to_end(&body, &cursor);
        assert_true(body_is_read(&body, &cursor));
        body_clear(&body);
        assert_int_equal(pool_used(&pool.segments), 0);
    }
}

static void append_takes_what_fits_and_says_how_much(void **state)
{
    struct body body;
    struct body_cursor cursor;
    body_init(&body);
    assert_int_equal(append(&body, 10), 10);
    assert_int_equal(append(&body, 1000), SEGMENTS * SEGMENT_BYTES - 10);
    assert_int_equal(append(&body, 1), 0);
    assert_int_equal(body.written_bytes, SEGMENTS * SEGMENT_BYTES);
    body_cursor_init(&cursor);
    read_to_end(&body, &cursor);
    body_discard(&body, 2 * SEGMENT_BYTES);
    assert_int_equal(append(&body, 1000), 2 * SEGMENT_BYTES);
    read_to_end(&body, &cursor);
    body_clear(&body);
}

static void discard_lets_go_of_whole_segments_only(void **state)
{
    struct body body;
    body_init(&body);
    append(&body, 3 * SEGMENT_BYTES + 5);
    body_discard(&body, 0);
    assert_int_equal(body.kept_from, 0);
    body_discard(&body, SEGMENT_BYTES - 1);
    assert_int_equal(body.kept_from, 0);
    body_discard(&body, SEGMENT_BYTES);
    assert_int_equal(body.kept_from, SEGMENT_BYTES);
    body_discard(&body, 3 * SEGMENT_BYTES);
    assert_int_equal(body.kept_from, 3 * SEGMENT_BYTES);
    assert_int_equal(pool_used(&pool.segments), 1);
    body_clear(&body);
}

/* The writer still fills it. */
static void partial_last_segment_stays_until_the_end(void **state)
{
    struct body body;
    struct body_cursor cursor;
    body_init(&body);
    body_cursor_init(&cursor);
    append(&body, 5);
    read_to_end(&body, &cursor);
    body_discard(&body, 5);
    assert_int_equal(pool_used(&pool.segments), 1);
    append(&body, 3);
    read_to_end(&body, &cursor);
    body_end(&body);
    body_discard(&body, 8);
    assert_int_equal(pool_used(&pool.segments), 0);
    assert_int_equal(body_peek(&body, &cursor, 1).length, 0);
    assert_true(body_is_read(&body, &cursor));
    body_clear(&body);
}

/* It stands at the end of a segment that the body lets go of. */
static void reader_that_caught_up_survives_discard_of_all(void **state)
{
    struct body body;
    struct body_cursor cursor;
    body_init(&body);
    body_cursor_init(&cursor);
    append(&body, 2 * SEGMENT_BYTES);
    read_to_end(&body, &cursor);
    body_discard(&body, 2 * SEGMENT_BYTES);
    assert_int_equal(pool_used(&pool.segments), 0);
    append(&body, SEGMENT_BYTES + 1);
    assert_int_equal(read_some(&body, &cursor, UINT32_MAX), SEGMENT_BYTES);
    assert_int_equal(read_some(&body, &cursor, UINT32_MAX), 1);
    body_clear(&body);
}

/* One reader keeps the front while the other waits at a boundary and several segments follow. */
static void reader_finds_its_segment_in_the_middle(void **state)
{
    struct body body;
    struct body_cursor fast;
    struct body_cursor slow;
    body_init(&body);
    body_cursor_init(&fast);
    body_cursor_init(&slow);
    append(&body, 2 * SEGMENT_BYTES);
    read_to_end(&body, &fast);
    append(&body, 4 * SEGMENT_BYTES);
    read_to_end(&body, &fast);
    read_to_end(&body, &slow);
    body_clear(&body);
}

static void spans_outlive_the_body(void **state)
{
    struct body body;
    struct body_cursor cursor;
    body_init(&body);
    body_cursor_init(&cursor);
    append(&body, SEGMENT_BYTES);
    struct chunk chunk = body_peek(&body, &cursor, 10);
    segment_hold(chunk.segment);
    body_clear(&body);
    assert_int_equal(pool_used(&pool.segments), 1);
    assert_int_equal(chunk.segment->data[3], byte_at(3));
    segment_drop(chunk.segment);
    assert_int_equal(pool_used(&pool.segments), 0);
}

static void adopted_segments_are_read_as_they_grow(void **state)
{
    struct body body;
    struct body_cursor cursor;
    body_init(&body);
    body_cursor_init(&cursor);
    for (int n = 0; n < 3; n++) {
        struct segment *segment = segment_take(&pool);
        for (uint32_t i = 0; i < SEGMENT_BYTES; i++)
            segment->data[i] = byte_at(body.written_bytes + i);
        segment->length = 4;
        body_adopt(&body, segment);
        read_to_end(&body, &cursor);
        body_grow(&body, 4);
        assert_int_equal(read_some(&body, &cursor, 100), 0);
        body_grow(&body, 9);
        assert_int_equal(read_some(&body, &cursor, 100), 5);
        body_grow(&body, SEGMENT_BYTES);
        assert_int_equal(read_some(&body, &cursor, 100), SEGMENT_BYTES - 9);
    }
    body_end(&body);
    assert_true(body_is_read(&body, &cursor));
    body_discard(&body, body.written_bytes);
    assert_int_equal(pool_used(&pool.segments), 0);
}

static void append_after_end(void *context)
{
    struct body body;
    body_init(&body);
    body_end(&body);
    append(&body, 1);
}

static void discard_unwritten(void *context)
{
    struct body body;
    body_init(&body);
    append(&body, 1);
    body_discard(&body, 2);
}

static void advance_unread(void *context)
{
    struct body body;
    struct body_cursor cursor;
    body_init(&body);
    body_cursor_init(&cursor);
    append(&body, 1);
    (void)body_peek(&body, &cursor, 1);
    body_cursor_advance(&cursor, 2);
}

static void adopt_behind_a_partial_segment(void *context)
{
    struct body body;
    body_init(&body);
    append(&body, 1);
    body_adopt(&body, segment_take(&pool));
}

static void misuse_stops_the_process(void **state)
{
    assert_true(stops_the_process(append_after_end, NULL));
    assert_true(stops_the_process(discard_unwritten, NULL));
    assert_true(stops_the_process(advance_unread, NULL));
    assert_true(stops_the_process(adopt_behind_a_partial_segment, NULL));
}

static uint64_t least_position(const struct body_cursor *cursors)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < READERS; i++)
        least = cursors[i].position < least ? cursors[i].position : least;
    return least;
}

/* Every reader sees every byte, whatever the order of writing, reading and discarding. */
static void random_readers_see_every_byte(void **state)
{
    struct random random;
    random_seed(&random, 11);
    for (int round = 0; round < 300; round++) {
        struct body body;
        struct body_cursor cursors[READERS];
        size_t total = random_below(&random, LARGEST_BODY);
        body_init(&body);
        for (int i = 0; i < READERS; i++)
            body_cursor_init(&cursors[i]);
        for (bool done = false; !done;) {
            size_t wanted =
                random_below(&random, 3) == 0 ? SEGMENT_BYTES : random_below(&random, 50);
            size_t left = total - body.written_bytes;
            if (!body.ended)
                append(&body, wanted < left ? wanted : left);
            if (body.written_bytes == total)
                body_end(&body);
            done = true;
            for (int i = 0; i < READERS; i++) {
                if (random_below(&random, 2) == 0)
                    read_some(&body, &cursors[i], 1 + random_below(&random, 40));
                done &= body_is_read(&body, &cursors[i]);
            }
            if (random_below(&random, 2) == 0)
                body_discard(&body, least_position(cursors));
        }
        body_discard(&body, total);
        assert_int_equal(pool_used(&pool.segments), 0);
        body_clear(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_come_out_as_they_went_in, setup, reset),
        cmocka_unit_test_setup_teardown(append_takes_what_fits_and_says_how_much, setup, reset),
        cmocka_unit_test_setup_teardown(discard_lets_go_of_whole_segments_only, setup, reset),
        cmocka_unit_test_setup_teardown(partial_last_segment_stays_until_the_end, setup, reset),
        cmocka_unit_test_setup_teardown(reader_that_caught_up_survives_discard_of_all, setup,
                                        reset),
        cmocka_unit_test_setup_teardown(reader_finds_its_segment_in_the_middle, setup, reset),
        cmocka_unit_test_setup_teardown(spans_outlive_the_body, setup, reset),
        cmocka_unit_test_setup_teardown(adopted_segments_are_read_as_they_grow, setup, reset),
        cmocka_unit_test_setup_teardown(misuse_stops_the_process, setup, reset),
        cmocka_unit_test_setup_teardown(random_readers_see_every_byte, setup, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
