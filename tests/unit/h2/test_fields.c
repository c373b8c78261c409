#include "dataplane/base/check.h"
#include "dataplane/h2/fields.h"
#include "tests/support/cmocka.h"

#include <stdlib.h>

static const struct {
    enum field_token token;
    const char *name;
} listed[] = {
#define FIELD(token, name) {FIELD_##token, name},
#include "dataplane/h2/field_names.def"
#undef FIELD
};

/* Slow and obviously right. */
static enum field_token token_by_search(struct bytes name)
{
    for (size_t i = 0; i < array_count(listed); i++) {
        if (bytes_equal_text(name, listed[i].name))
            return listed[i].token;
    }
    return FIELD_OTHER;
}

static void every_listed_name_has_its_token(void **state)
{
    for (size_t i = 0; i < array_count(listed); i++) {
        assert_int_equal(field_token_of(bytes_text(listed[i].name)), listed[i].token);
        assert_true(bytes_equal_text(field_name(listed[i].token), listed[i].name));
    }
    assert_int_equal(array_count(listed), FIELD_TOKENS - 1);
}

static void names_that_are_nearly_listed_are_other(void **state)
{
    for (size_t i = 0; i < array_count(listed); i++) {
        char name[64] = "";
        size_t length = strlen(listed[i].name);
        memcpy(name, listed[i].name, length);
        for (size_t cut = 0; cut <= length + 1; cut++)
            assert_int_equal(field_token_of(bytes_of(name, cut)),
                             token_by_search(bytes_of(name, cut)));
        for (size_t bit = 0; bit < length * 8; bit++) {
            name[bit / 8] ^= (char)(1 << bit % 8);
            assert_int_equal(field_token_of(bytes_of(name, length)),
                             token_by_search(bytes_of(name, length)));
            name[bit / 8] ^= (char)(1 << bit % 8);
        }
    }
    assert_int_equal(field_token_of(BYTES_NONE), FIELD_OTHER);
    assert_int_equal(field_token_of(bytes_text("Host")), FIELD_OTHER);
}

static void add_three(struct fields *fields)
{
    fields_add_token(fields, FIELD_METHOD, bytes_text("GET"));
    fields_add(fields, (struct field){.token = FIELD_OTHER,
                                      .never_index = true,
                                      .name = bytes_text("x-secret"),
                                      .value = bytes_text("42")});
    fields_add_token(fields, FIELD_ACCEPT, bytes_text(""));
}

/* The first COUNT of the three. */
static void check_three(const struct fields *fields, uint32_t count)
{
    static const struct {
        enum field_token token;
        const char *name, *value;
        bool never_index;
    } want[] = {
        {FIELD_METHOD, ":method", "GET", false},
        {FIELD_OTHER, "x-secret", "42", true},
        {FIELD_ACCEPT, "accept", "", false},
    };
    struct field field = {0};
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        assert_true(fields_next(fields, &at, &field));
        assert_int_equal(field.token, want[i].token);
        assert_true(bytes_equal_text(field.name, want[i].name));
        assert_true(bytes_equal_text(field.value, want[i].value));
        assert_int_equal(field.never_index, want[i].never_index);
    }
    assert_false(fields_next(fields, &at, &field));
    assert_int_equal(fields->count, count);
}

static void fields_come_back_in_order(void **state)
{
    uint8_t block[256];
    struct fields fields;
    struct bytes value;
    fields_init(&fields, block, sizeof(block));
    check_three(&fields, 0);
    add_three(&fields);
    check_three(&fields, 3);
    assert_false(fields.overflow);
    assert_true(fields_find(&fields, FIELD_ACCEPT, &value));
    assert_int_equal(value.length, 0);
    assert_false(fields_find(&fields, FIELD_HOST, &value));
    fields_add_token(&fields, FIELD_METHOD, bytes_text("PUT"));
    assert_true(fields_find(&fields, FIELD_METHOD, &value));
    assert_true(bytes_equal_text(value, "GET"));
}

static void what_does_not_fit_is_left_out_with_all_that_follows(void **state)
{
    const uint32_t first = FIELD_HEAD_BYTES + 3;
    const uint32_t second = first + FIELD_HEAD_BYTES + 8 + 2;
    const uint32_t third = second + FIELD_HEAD_BYTES;
    for (uint32_t capacity = 0; capacity <= third; capacity++) {
        uint8_t *block = malloc(capacity + 1U); /* exact for the sanitizer, never of 0 bytes */
        struct fields fields;
        fields_init(&fields, block + 1, capacity);
        add_three(&fields);
        uint32_t fitting = capacity >= third    ? 3
                           : capacity >= second ? 2
                           : capacity >= first  ? 1
                                                : 0;
        check_three(&fields, fitting);
        assert_int_equal(fields.overflow, fitting < 3);
        assert_int_equal(fields_room(&fields).failed, fitting < 3 || capacity < third + 8);
        fields_add_token(&fields, FIELD_ACCEPT, bytes_text(""));
        check_three(&fields, fitting);
        free(block);
    }
}

static void a_name_is_at_most_65535_bytes_long(void **state)
{
    static uint8_t block[70000];
    static uint8_t name[65536];
    struct fields fields;
    memset(name, 'n', sizeof(name));
    fields_init(&fields, block, sizeof(block));
    fields_add(&fields, (struct field){.name = bytes_of(name, 65535)});
    assert_false(fields.overflow);
    assert_int_equal(fields.count, 1);
    fields_init(&fields, block, sizeof(block));
    fields_add(&fields, (struct field){.name = bytes_of(name, 65536)});
    assert_true(fields.overflow);
    assert_int_equal(fields.count, 0);
}

static void at_most_65535_fields_are_kept(void **state)
{
    uint32_t capacity = 65536 * FIELD_HEAD_BYTES;
    uint8_t *block = malloc(capacity);
    struct fields fields;
    fields_init(&fields, block, capacity);
    for (uint32_t i = 0; i < 65535; i++)
        fields_add_token(&fields, FIELD_VARY, BYTES_NONE);
    assert_false(fields.overflow);
    fields_add_token(&fields, FIELD_VARY, BYTES_NONE);
    assert_true(fields.overflow);
    assert_int_equal(fields.count, 65535);
    free(block);
}

static void texts_made_in_the_room_stay_where_they_are(void **state)
{
    uint8_t block[64];
    struct fields fields;
    struct field field = {0};
    uint32_t at = 0;
    fields_init(&fields, block, sizeof(block));
    struct writer room = fields_room(&fields);
    assert_int_equal(writer_room(&room), sizeof(block) - FIELD_HEAD_BYTES);
    writer_bytes(&room, bytes_text("namevalue"));
    fields_add(&fields, (struct field){.name = bytes_of(room.start, 4),
                                       .value = bytes_of(room.start + 4, 5)});
    assert_true(fields_next(&fields, &at, &field));
    assert_true(bytes_equal_text(field.name, "name"));
    assert_true(bytes_equal_text(field.value, "value"));
    assert_ptr_equal(field.name.data, room.start);
}

static void a_copy_replaces_what_was_there(void **state)
{
    uint8_t block[256], other[256];
    struct fields from, into;
    fields_init(&from, block, sizeof(block));
    add_three(&from);
    fields_init(&into, other, sizeof(other));
    fields_add_token(&into, FIELD_HOST, bytes_text("old"));
    assert_true(fields_copy(&into, &from));
    memset(block, 0, sizeof(block));
    check_three(&into, 3);
}

static void a_copy_without_room_is_empty(void **state)
{
    uint8_t block[256], other[256];
    struct fields from, into;
    fields_init(&from, block, sizeof(block));
    add_three(&from);
    fields_init(&into, other, from.used - 1);
    assert_false(fields_copy(&into, &from));
    check_three(&into, 0);
    assert_true(into.overflow);
    fields_init(&into, other, from.used);
    assert_true(fields_copy(&into, &from));
    check_three(&into, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_listed_name_has_its_token),
        cmocka_unit_test(names_that_are_nearly_listed_are_other),
        cmocka_unit_test(fields_come_back_in_order),
        cmocka_unit_test(what_does_not_fit_is_left_out_with_all_that_follows),
        cmocka_unit_test(a_name_is_at_most_65535_bytes_long),
        cmocka_unit_test(at_most_65535_fields_are_kept),
        cmocka_unit_test(texts_made_in_the_room_stay_where_they_are),
        cmocka_unit_test(a_copy_replaces_what_was_there),
        cmocka_unit_test(a_copy_without_room_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
