#include "dataplane/h2/fields.h"

#include "dataplane/base/check.h"
#include "dataplane/h2/field_hash.h"

_Static_assert(FIELD_TOKENS <= 128, "a token fits into a byte, and has a bit in `present`");
_Static_assert(FIELD_HASHED_NAMES == FIELD_TOKENS - 1,
               "field_names.def changed: run scripts/generate_h2_tables.py");
_Static_assert(FIELD_LONGEST_NAME <= FIELD_NAME_MAX, "fields_list_bound() bounds");

const struct bytes field_names[FIELD_TOKENS] = {
    [FIELD_OTHER] = {NULL, 0},
#define FIELD(token, name) [FIELD_##token] = {(const uint8_t *)(name), sizeof(name) - 1},
#include "dataplane/h2/field_names.def"
#undef FIELD
};

static uint32_t hash_of(struct bytes name)
{
    uint32_t hash = (uint32_t)name.length * FIELD_HASH_LENGTH;
    hash += name.data[0] * FIELD_HASH_FIRST;
    hash += name.data[name.length / 2] * FIELD_HASH_MIDDLE;
    hash += name.data[name.length - 1] * FIELD_HASH_LAST;
    return hash % FIELD_HASH_SLOTS;
}

/* A perfect hash: each listed name is alone in its slot, so one comparison decides. */
enum field_token field_token_of(struct bytes name)
{
    if (name.length == 0 || name.length > FIELD_LONGEST_NAME)
        return FIELD_OTHER;
    enum field_token token = (enum field_token)field_hash_tokens[hash_of(name)];
    return bytes_equal(field_names[token], name) ? token : FIELD_OTHER;
}

struct bytes field_name(enum field_token token)
{
    check(token > FIELD_OTHER && token < FIELD_TOKENS);
    return field_names[token];
}

void fields_init(struct fields *fields, void *data, uint32_t capacity)
{
    *fields = (struct fields){.data = data, .capacity = capacity};
}

struct writer fields_room(const struct fields *fields)
{
    uint32_t left = fields->capacity - fields->used;
    if (fields->overflow || fields->count == UINT16_MAX || left < FIELD_HEAD_BYTES)
        return (struct writer){.failed = true};
    return writer_over(fields->data + fields->used + FIELD_HEAD_BYTES, left - FIELD_HEAD_BYTES);
}

/* A text that was made in fields_room() is at its place already. */
static void put_text(uint8_t *place, struct bytes text)
{
    if (text.length > 0 && place != text.data)
        memmove(place, text.data, text.length);
}

void fields_add(struct fields *fields, struct field field)
{
    check(field.token < FIELD_TOKENS);
    struct bytes name = field.token == FIELD_OTHER ? field.name : BYTES_NONE;
    struct field_head head = {
        .token = (uint8_t)field.token,
        .never_index = field.never_index,
        .static_index = field.static_index,
        .form = field.form,
        .hash = field.hash,
        .name_bytes = (uint32_t)name.length,
        .value_bytes = (uint32_t)field.value.length,
    };
    if (name.length > UINT16_MAX || field.value.length > fields->capacity) {
        fields->overflow = true;
        return;
    }
    uint8_t *place = fields_append(fields, &head);
    if (place == NULL)
        return;
    put_text(place, name);
    put_text(place + name.length, field.value);
}

void fields_add_token(struct fields *fields, enum field_token token, struct bytes value)
{
    check(token > FIELD_OTHER && token < FIELD_TOKENS);
    if (value.length > fields->capacity) {
        fields->overflow = true;
        return;
    }
    struct field_head head = {.token = (uint8_t)token, .value_bytes = (uint32_t)value.length};
    uint8_t *place = fields_append(fields, &head);
    if (place != NULL && place != value.data)
        copy_short(place, value.data, value.length);
}

bool fields_copy(struct fields *into, const struct fields *from)
{
    bool fits = from->used <= into->capacity;
    into->used = fits ? from->used : 0;
    into->count = fits ? from->count : 0;
    memcpy(into->present, from->present, sizeof(into->present));
    memcpy(into->part_ends, from->part_ends, sizeof(into->part_ends));
    into->name = fits ? from->name : 0;
    into->named_bytes = from->named_bytes;
    into->own_unnamed = from->own_unnamed;
    into->overflow = !fits || from->overflow;
    if (into->used > 0)
        memcpy(into->data, from->data, into->used);
    return fits;
}

bool fields_copy_shape(struct fields *into, const struct fields *from)
{
    uint32_t front = from->part_ends[PART_FRONT];
    uint32_t own_end = from->part_ends[PART_OWN];
    uint32_t rest = from->used - own_end;
    check(!from->overflow && from->count > 0 && front < own_end && own_end <= from->used);
    if (front + rest > into->capacity)
        return false;
    copy_short(into->data, from->data, front);
    copy_short(into->data + front, from->data + own_end, rest);
    into->used = front + rest;
    into->count = (uint16_t)(from->count - 1);
    memcpy(into->present, from->present, sizeof(into->present));
    into->part_ends[PART_FRONT] = front;
    into->part_ends[PART_OWN] = front;
    into->part_ends[PART_FIELDS] = from->part_ends[PART_FIELDS];
    if (from->part_ends[PART_FIELDS] > 0)
        into->part_ends[PART_FIELDS] -= own_end - front;
    return true;
}

bool fields_front_of(struct fields *into, const struct fields *shape)
{
    uint32_t front = shape->part_ends[PART_FRONT];
    if (front > into->capacity)
        return false;
    copy_short(into->data, shape->data, front);
    into->used = front;
    into->part_ends[PART_FRONT] = front;
    return true;
}

bool fields_rest_of(struct fields *into, const struct fields *shape)
{
    uint32_t front = shape->part_ends[PART_FRONT];
    uint32_t rest = shape->used - front;
    if (into->overflow || rest > fields_left(into))
        return false;
    copy_short(into->data + into->used, shape->data + front, rest);
    into->part_ends[PART_OWN] = into->used;
    into->part_ends[PART_FIELDS] = shape->part_ends[PART_FIELDS];
    if (shape->part_ends[PART_FIELDS] > 0)
        into->part_ends[PART_FIELDS] += into->used - front;
    into->used += rest;
    into->count = (uint16_t)(into->count + shape->count);
    into->present[0] |= shape->present[0];
    into->present[1] |= shape->present[1];
    fields_name_around(into, shape->name);
    return true;
}

static inline bool search(const struct fields *fields, enum field_token token, uint32_t *at,
                          struct bytes *out_value)
{
    struct field_head head;
    while (*at < fields->used) {
        const uint8_t *text = fields->data + *at + sizeof(head);
        memcpy(&head, fields->data + *at, sizeof(head));
        *at += (uint32_t)sizeof(head) + head.name_bytes + head.value_bytes;
        if (head.token == token) {
            *out_value = bytes_of(text + head.name_bytes, head.value_bytes);
            return true;
        }
    }
    return false;
}

bool fields_search(const struct fields *fields, enum field_token token, struct bytes *out_value)
{
    uint32_t at = 0;
    return search(fields, token, &at, out_value);
}

bool fields_search_on(const struct fields *fields, enum field_token token, uint32_t *at,
                      struct bytes *out_value)
{
    return search(fields, token, at, out_value);
}
