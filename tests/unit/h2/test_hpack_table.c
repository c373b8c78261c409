#include "tests/support/cmocka.h"
#include "tests/support/hpack_fixture.h"

#include <stdlib.h>

/* What a table must hold: the newest first, in plain copies. */
#define MODEL_ENTRIES 128

struct model_entry {
    enum field_token token;
    uint8_t name[HPACK_TABLE_BYTES];
    uint8_t value[HPACK_TABLE_BYTES];
    size_t name_length, value_length;
};

static struct model_entry model[MODEL_ENTRIES + 1];
static uint32_t model_count;

static size_t model_bytes(void)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < model_count; i++)
        bytes += model[i].name_length + model[i].value_length + 32;
    return bytes;
}

static void model_evict(size_t limit_bytes)
{
    while (model_bytes() > limit_bytes)
        model_count--;
}

static void model_add(const struct field *field, size_t limit_bytes)
{
    model_evict(limit_bytes - field->name.length - field->value.length - 32);
    memmove(&model[1], &model[0], model_count * sizeof(model[0]));
    model[0] = (struct model_entry){.token = field->token,
                                    .name_length = field->name.length,
                                    .value_length = field->value.length};
    if (field->name.length > 0)
        memcpy(model[0].name, field->name.data, field->name.length);
    if (field->value.length > 0)
        memcpy(model[0].value, field->value.data, field->value.length);
    model_count++;
}

static void check_model(const struct hpack_table *table)
{
    static uint8_t text[HPACK_TABLE_BYTES];
    assert_int_equal(table->count, model_count);
    assert_int_equal(table->used_bytes, model_bytes());
    for (uint32_t i = 0; i < model_count; i++) {
        struct field field = fixture_entry(table, i, text);
        assert_int_equal(field.token, model[i].token);
        assert_true(bytes_equal(field.name, bytes_of(model[i].name, model[i].name_length)));
        assert_true(bytes_equal(field.value, bytes_of(model[i].value, model[i].value_length)));
    }
}

/* The newest entry with the name is found, and the newest with name and value, or none. */
static void check_find(const struct hpack_table *table, const struct field *field)
{
    int32_t name = -1, both = -1;
    for (uint32_t i = 0; i < model_count && both < 0; i++) {
        if (!bytes_equal(field->name, bytes_of(model[i].name, model[i].name_length)))
            continue;
        name = name < 0 ? (int32_t)i : name;
        if (bytes_equal(field->value, bytes_of(model[i].value, model[i].value_length)))
            both = (int32_t)i;
    }
    assert_int_equal(hpack_table_find(table, field, hpack_hash_of(field)), both);
    assert_int_equal(hpack_table_find_name(table, field), name);
}

/* Names and values that come again, and now and then large ones that evict much. */
static struct field random_field(struct random *random)
{
    static uint8_t name[4000], value[2000];
    struct field field = {0};
    uint32_t kind = random_below(random, 20);
    if (kind < 8) {
        field.token = (enum field_token)(1 + random_below(random, 8));
        field.name = field_name(field.token);
    } else if (kind < 19) {
        field.name = fixture_text(random, name, kind < 16 ? 2 : 20);
    } else {
        field.name = fixture_text(random, name, sizeof(name) - 4);
    }
    field.token = field_token_of(field.name);
    if (kind != 19)
        field.value = fixture_text(random, value, kind == 18 ? sizeof(value) : kind % 4);
    return field;
}

static void a_table_holds_what_a_plain_list_holds(void **state)
{
    struct random random;
    struct hpack_table *table = hpack_table_take(&fixture_tables);
    uint32_t limit_bytes = HPACK_TABLE_BYTES;
    random_seed(&random, 44);
    model_count = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        struct field field = random_field(&random);
        check_find(table, &field);
        if (random_below(&random, 200) == 0) {
            limit_bytes = random_below(&random, HPACK_TABLE_BYTES + 1);
            hpack_table_evict(table, limit_bytes);
            model_evict(limit_bytes);
        }
        if (limit_bytes < 500 && random_below(&random, 20) == 0)
            limit_bytes = HPACK_TABLE_BYTES;
        if (hpack_entry_bytes(&field) <= limit_bytes) {
            hpack_table_add(table, limit_bytes, &field);
            model_add(&field, limit_bytes);
        }
        if (i % 16 == 0)
            check_model(table);
    }
    hpack_table_give(&fixture_tables, table);
}

static void a_full_table_has_128_empty_fields(void **state)
{
    struct hpack_table *table = hpack_table_take(&fixture_tables);
    struct field empty = {.token = FIELD_OTHER};
    for (uint32_t i = 0; i < 1000; i++) {
        hpack_table_add(table, HPACK_TABLE_BYTES, &empty);
        assert_int_equal(table->count, i < 128 ? i + 1 : 128);
    }
    assert_int_equal(table->used_bytes, HPACK_TABLE_BYTES);
    hpack_table_give(&fixture_tables, table);
}

static void a_taken_table_is_empty_whatever_it_held(void **state)
{
    struct field field = fixture_field("x-a", "1");
    struct hpack_table *table = hpack_table_take(&fixture_tables);
    hpack_table_add(table, HPACK_TABLE_BYTES, &field);
    hpack_table_give(&fixture_tables, table);
    table = hpack_table_take(&fixture_tables);
    assert_int_equal(table->count, 0);
    assert_int_equal(hpack_table_find(table, &field, hpack_hash_of(&field)), -1);
    assert_int_equal(hpack_table_find_name(table, &field), -1);
    hpack_table_give(&fixture_tables, table);
}

static void a_room_too_small_fails(void **state)
{
    struct field field = fixture_field("x-name", "value");
    struct hpack_table *table = hpack_table_take(&fixture_tables);
    hpack_table_add(table, HPACK_TABLE_BYTES, &field);
    for (uint32_t bytes = 0; bytes <= FIELD_HEAD_BYTES + 11; bytes++) {
        struct fields fields;
        uint8_t *block = malloc(bytes + 1);
        fields_init(&fields, block + 1, bytes);
        hpack_table_append(table, 0, &fields);
        assert_int_equal(fields.overflow, bytes < FIELD_HEAD_BYTES + 11);
        free(block);
    }
    for (size_t bytes = 0; bytes <= 6; bytes++) {
        uint8_t *text = malloc(bytes + 1);
        struct writer room = writer_over(text + 1, bytes);
        struct field out = {0};
        hpack_table_name(table, 0, &room, &out);
        assert_int_equal(room.failed, bytes < 6);
        free(text);
    }
    hpack_table_give(&fixture_tables, table);
}

static void an_entry_keeps_what_is_known_of_it(void **state)
{
    static uint8_t text[HPACK_TABLE_BYTES];
    struct field field = fixture_field("x-name", "value"), entry;
    struct hpack_table *table = hpack_table_take(&fixture_tables);
    field.form = FORM_NAME_BAD;
    field.hash = 7;
    hpack_table_add(table, HPACK_TABLE_BYTES, &field);
    entry = fixture_entry(table, 0, text);
    assert_int_equal(entry.form, FORM_NAME_BAD);
    assert_int_equal(entry.hash, 7);
    field.hash = 0;
    hpack_table_add(table, HPACK_TABLE_BYTES, &field);
    entry = fixture_entry(table, 0, text);
    assert_int_equal(entry.hash, hpack_hash_of(&field));
    hpack_table_give(&fixture_tables, table);
}

static void what_was_seen_is_known_when_it_comes_again(void **state)
{
    struct hpack_table *table = hpack_table_take(&fixture_tables);
    assert_false(hpack_table_seen(table, 5));
    assert_true(hpack_table_seen(table, 5));
    for (uint32_t i = 1; i < HPACK_TABLE_SEEN; i++)
        assert_false(hpack_table_seen(table, 5 + i));
    assert_true(hpack_table_seen(table, 5));
    assert_false(
        hpack_table_seen(table, 5 + HPACK_TABLE_SEEN)); /* one too many: 5 was the oldest */
    assert_false(hpack_table_seen(table, 5));
    hpack_table_give(&fixture_tables, table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_holds_what_a_plain_list_holds),
        cmocka_unit_test(a_full_table_has_128_empty_fields),
        cmocka_unit_test(a_taken_table_is_empty_whatever_it_held),
        cmocka_unit_test(a_room_too_small_fails),
        cmocka_unit_test(an_entry_keeps_what_is_known_of_it),
        cmocka_unit_test(what_was_seen_is_known_when_it_comes_again),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
