#include "dataplane/base/check.h"
#include "dataplane/base/reader.h"
#include "dataplane/base/writer.h"
#include "tests/support/cmocka.h"

#include <stdlib.h>

/* u8, u16, u24, u32, u64, three bytes, two skipped: every kind of field once. */
static const uint8_t message[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
                                  0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10,
                                  0x11, 0x12, 'a',  'b',  'c',  0xee, 0xee};

struct fields {
    uint64_t numbers[5];
    struct bytes text;
};

static const uint64_t expected_numbers[] = {0x01, 0x0203, 0x040506, 0x0708090a,
                                            0x0b0c0d0e0f101112u};
static const size_t field_ends[] = {1, 3, 6, 10, 18, 21, 23};

static struct fields read_all(struct reader *r)
{
    struct fields fields;
    fields.numbers[0] = reader_u8(r);
    fields.numbers[1] = reader_u16(r);
    fields.numbers[2] = reader_u24(r);
    fields.numbers[3] = reader_u32(r);
    fields.numbers[4] = reader_u64(r);
    fields.text = reader_bytes(r, 3);
    reader_skip(r, 2);
    return fields;
}

static void write_all(struct writer *w)
{
    writer_u8(w, 0x01);
    writer_u16(w, 0x0203);
    writer_u24(w, 0x040506);
    writer_u32(w, 0x0708090a);
    writer_u64(w, 0x0b0c0d0e0f101112u);
    writer_bytes(w, bytes_text("abc"));
    uint8_t *room = writer_take(w, 2);
    if (room != NULL)
        memset(room, 0xee, 2);
}

/* Where whole fields end in the first LENGTH bytes. */
static size_t whole_fields_end(size_t length)
{
    size_t end = 0;
    for (size_t i = 0; i < array_count(field_ends) && field_ends[i] <= length; i++)
        end = field_ends[i];
    return end;
}

static void whole_message_is_read_and_nothing_left(void **state)
{
    struct reader r = reader_over(bytes_of(message, sizeof(message)));
    struct fields fields = read_all(&r);
    assert_false(r.failed);
    assert_int_equal(reader_left(&r), 0);
    for (size_t i = 0; i < array_count(expected_numbers); i++)
        assert_int_equal(fields.numbers[i], expected_numbers[i]);
    assert_true(bytes_equal_text(fields.text, "abc"));
    assert_ptr_equal(fields.text.data, message + 18);
}

/* Each cut is a heap block of exactly its size, so that a sanitizer sees a byte too far. */
static void message_cut_at_every_byte_fails_and_yields_zero(void **state)
{
    for (size_t length = 0; length < sizeof(message); length++) {
        uint8_t *cut = malloc(length + (length == 0));
        memcpy(cut, message, length);
        struct reader r = reader_over(bytes_of(cut, length));
        struct fields fields = read_all(&r);
        assert_true(r.failed);
        assert_int_equal(r.at - cut, whole_fields_end(length));
        for (size_t i = 0; i < array_count(expected_numbers); i++)
            assert_int_equal(fields.numbers[i], field_ends[i] <= length ? expected_numbers[i] : 0);
        assert_int_equal(fields.text.length, field_ends[5] <= length ? 3 : 0);
        free(cut);
    }
}

static void failure_is_sticky_although_bytes_are_left(void **state)
{
    struct reader r = reader_over(bytes_of(message, 3));
    assert_int_equal(reader_u32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(reader_left(&r), 3);
    assert_int_equal(reader_u8(&r), 0);
    assert_int_equal(reader_left(&r), 3);
    assert_int_equal(reader_bytes(&r, 0).length, 0);
}

static void absurd_counts_are_refused(void **state)
{
    struct reader r = reader_over(bytes_of(message, sizeof(message)));
    reader_skip(&r, SIZE_MAX);
    assert_true(r.failed);
    uint8_t room[4];
    struct writer w = writer_over(room, sizeof(room));
    assert_null(writer_take(&w, SIZE_MAX));
    assert_true(w.failed);
}

static void reader_over_nothing_is_at_its_end(void **state)
{
    struct reader r = reader_over(BYTES_NONE);
    assert_int_equal(reader_left(&r), 0);
    assert_int_equal(reader_bytes(&r, 0).length, 0);
    assert_false(r.failed);
    assert_int_equal(reader_u8(&r), 0);
    assert_true(r.failed);
}

static void whole_message_is_written(void **state)
{
    uint8_t room[sizeof(message)];
    struct writer w = writer_over(room, sizeof(room));
    write_all(&w);
    assert_false(w.failed);
    assert_int_equal(writer_room(&w), 0);
    assert_true(bytes_equal(writer_written(&w), bytes_of(message, sizeof(message))));
}

static void room_cut_at_every_byte_fails_and_keeps_whole_fields(void **state)
{
    for (size_t length = 0; length < sizeof(message); length++) {
        uint8_t *room = malloc(length + (length == 0));
        struct writer w = writer_over(room, length);
        write_all(&w);
        assert_true(w.failed);
        assert_int_equal(writer_length(&w), whole_fields_end(length));
        assert_memory_equal(room, message, writer_length(&w));
        free(room);
    }
}

static void bytes_know_prefixes_and_rests(void **state)
{
    struct bytes text = bytes_text("GET /");
    assert_true(bytes_start_with(text, bytes_text("GET ")));
    assert_true(bytes_start_with(text, BYTES_NONE));
    assert_false(bytes_start_with(text, bytes_text("GET /x")));
    assert_false(bytes_start_with(text, bytes_text("PUT")));
    assert_true(bytes_equal_text(bytes_after(text, 4), "/"));
    assert_true(bytes_equal_text(bytes_first(text, 3), "GET"));
    assert_true(bytes_equal(bytes_first(text, 99), text));
    assert_true(bytes_equal(BYTES_NONE, bytes_text("")));
    assert_false(bytes_equal(text, bytes_text("GET ?")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_message_is_read_and_nothing_left),
        cmocka_unit_test(message_cut_at_every_byte_fails_and_yields_zero),
        cmocka_unit_test(failure_is_sticky_although_bytes_are_left),
        cmocka_unit_test(absurd_counts_are_refused),
        cmocka_unit_test(reader_over_nothing_is_at_its_end),
        cmocka_unit_test(whole_message_is_written),
        cmocka_unit_test(room_cut_at_every_byte_fails_and_keeps_whole_fields),
        cmocka_unit_test(bytes_know_prefixes_and_rests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
