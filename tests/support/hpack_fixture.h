/*
 * hpack_fixture: what the HPACK tests share: a pool of tables, blocks written in hexadecimal,
 * random fields, and comparisons. Free of cmocka, for fuzz targets.
 */
#pragma once

#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"
#include "dataplane/base/random.h"
#include "dataplane/h2/hpack.h"
#include "dataplane/h2/hpack_table.h"

#include <stdio.h>

#define FIXTURE_TABLES 16
#define FIXTURE_BYTES  65536

static struct hpack_tables fixture_tables;

static inline int fixture_setup(void **state)
{
    (void)state;
    return hpack_tables_init(&fixture_tables, FIXTURE_TABLES, -1) ? 0 : -1;
}

/* Every table is back. */
static inline int fixture_teardown(void **state)
{
    (void)state;
    uint32_t used = pool_used(&fixture_tables.pool);
    memory_reset();
    return used == 0 ? 0 : -1;
}

static inline uint8_t fixture_nibble(char digit)
{
    return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

/* The bytes that TEXT says, at most CAPACITY of them, at INTO. Blanks are skipped. */
static inline struct bytes fixture_hex(const char *text, uint8_t *into, size_t capacity)
{
    size_t length = 0;
    for (; *text != '\0'; text++) {
        if (*text == ' ')
            continue;
        check(length < capacity);
        into[length++] = (uint8_t)(fixture_nibble(text[0]) << 4 | fixture_nibble(text[1]));
        text++;
    }
    return bytes_of(into, length);
}

static inline struct field fixture_field(const char *name, const char *value)
{
    return (struct field){
        .token = field_token_of(bytes_text(name)),
        .name = bytes_text(name),
        .value = bytes_text(value),
    };
}

static inline bool fixture_field_equal(const struct field *a, const struct field *b)
{
    return a->token == b->token && a->never_index == b->never_index &&
           bytes_equal(a->name, b->name) && bytes_equal(a->value, b->value);
}

static inline bool fixture_fields_equal(const struct fields *a, const struct fields *b)
{
    struct field one, other;
    uint32_t a_at = 0, b_at = 0;
    if (a->count != b->count || a->overflow != b->overflow)
        return false;
    while (fields_next(a, &a_at, &one)) {
        if (!fields_next(b, &b_at, &other) || !fixture_field_equal(&one, &other))
            return false;
    }
    return true;
}

/* A view of the entry at POSITION, its texts copied to TEXT. */
static inline struct field fixture_entry(const struct hpack_table *table, uint32_t position,
                                         uint8_t text[HPACK_TABLE_BYTES])
{
    struct fields fields;
    struct field field = {0};
    uint32_t at = 0;
    fields_init(&fields, text, HPACK_TABLE_BYTES);
    hpack_table_append(table, position, &fields);
    check(fields_next(&fields, &at, &field));
    return field;
}

/* Two tables, NULL being an empty one, have the same entries. */
static inline bool fixture_tables_equal(const struct hpack_table *a, const struct hpack_table *b)
{
    static uint8_t a_text[HPACK_TABLE_BYTES], b_text[HPACK_TABLE_BYTES];
    uint32_t a_count = a == NULL ? 0 : a->count;
    uint32_t b_count = b == NULL ? 0 : b->count;
    if (a_count != b_count)
        return false;
    for (uint32_t i = 0; i < a_count; i++) {
        struct field one = fixture_entry(a, i, a_text);
        struct field other = fixture_entry(b, i, b_text);
        if (!fixture_field_equal(&one, &other))
            return false;
    }
    return a_count == 0 || a->used_bytes == b->used_bytes;
}

/* A text of up to MAX bytes: of a few letters, of header-like ones, or of any bytes. */
static inline struct bytes fixture_text(struct random *random, uint8_t *into, uint32_t max)
{
    static const char likely[] = "0123456789abcdefghijklmnopqrstuvwxyz-/.=;, ";
    uint32_t length = random_below(random, max + 1);
    uint32_t kind = random_below(random, 4);
    for (uint32_t i = 0; i < length; i++) {
        if (kind == 0)
            into[i] = (uint8_t)('a' + random_below(random, 2));
        else if (kind == 1)
            into[i] = (uint8_t)random_below(random, 256);
        else
            into[i] = (uint8_t)likely[random_below(random, sizeof(likely) - 1)];
    }
    return bytes_of(into, length);
}

/* A field out of a limited set, so that names, and names with values, come again. */
static inline void fixture_add_random(struct random *random, struct fields *fields)
{
    static uint8_t name_text[64], value_text[3000];
    struct field field = {.never_index = random_below(random, 16) == 0};
    if (random_below(random, 2) == 0) {
        field.token = (enum field_token)(1 + random_below(random, FIELD_TOKENS - 1));
        field.name = field_name(field.token);
    } else {
        int length =
            snprintf((char *)name_text, sizeof(name_text), "x-%.*s%u",
                     (int)random_below(random, 12), "random-name-", random_below(random, 6));
        field.name = bytes_of(name_text, (size_t)length);
        field.token = field_token_of(field.name);
    }
    uint32_t kind = random_below(random, 40);
    if (kind == 0) {
        field.value = fixture_text(random, value_text, sizeof(value_text));
    } else if (kind < 10) {
        field.value = fixture_text(random, value_text, 40);
    } else {
        int length =
            snprintf((char *)value_text, sizeof(value_text), "value %u", random_below(random, 4));
        field.value = bytes_of(value_text, kind < 30 ? (size_t)length : 0);
    }
    fields_add(fields, field);
}
