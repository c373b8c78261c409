#include "dataplane/h2/fields.h"

#include "dataplane/base/check.h"
#include "dataplane/h2/field_hash.h"

/*
 * In the block a field is a head, then its name when it is not a listed one, then its value.
 * Heads are not aligned.
 */
struct field_head {
    uint8_t token;
    uint8_t never_index;
    uint16_t name_bytes; /* 0 when the token tells the name */
    uint32_t value_bytes;
};

_Static_assert(sizeof(struct field_head) == FIELD_HEAD_BYTES, "the head is what fields.h says");
_Static_assert(FIELD_TOKENS <= UINT8_MAX, "a token fits into a byte");
_Static_assert(FIELD_HASHED_NAMES == FIELD_TOKENS - 1,
               "field_names.def changed: run scripts/generate_h2_tables.py");

static const struct bytes field_names[FIELD_TOKENS] = {
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
static void put_text(struct writer *room, struct bytes text)
{
    uint8_t *place = writer_take(room, text.length);
    if (place != NULL && text.length > 0 && place != text.data)
        memmove(place, text.data, text.length);
}

void fields_add(struct fields *fields, struct field field)
{
    check(field.token < FIELD_TOKENS);
    struct bytes name = field.token == FIELD_OTHER ? field.name : BYTES_NONE;
    struct writer room = fields_room(fields);
    if (room.failed || name.length > UINT16_MAX || name.length > writer_room(&room) ||
        field.value.length > writer_room(&room) - name.length) {
        fields->overflow = true;
        return;
    }
    put_text(&room, name);
    put_text(&room, field.value);
    struct field_head head = {
        .token = (uint8_t)field.token,
        .never_index = field.never_index,
        .name_bytes = (uint16_t)name.length,
        .value_bytes = (uint32_t)field.value.length,
    };
    memcpy(fields->data + fields->used, &head, sizeof(head));
    fields->used += (uint32_t)(FIELD_HEAD_BYTES + writer_length(&room));
    fields->count++;
}

void fields_add_token(struct fields *fields, enum field_token token, struct bytes value)
{
    check(token != FIELD_OTHER);
    fields_add(fields, (struct field){.token = token, .value = value});
}

bool fields_copy(struct fields *into, const struct fields *from)
{
    bool fits = from->used <= into->capacity;
    into->used = fits ? from->used : 0;
    into->count = fits ? from->count : 0;
    into->overflow = !fits || from->overflow;
    if (into->used > 0)
        memcpy(into->data, from->data, into->used);
    return fits;
}

bool fields_next(const struct fields *fields, uint32_t *at, struct field *out)
{
    if (*at >= fields->used)
        return false;
    struct field_head head;
    const uint8_t *text = fields->data + *at + FIELD_HEAD_BYTES;
    memcpy(&head, fields->data + *at, sizeof(head));
    out->token = (enum field_token)head.token;
    out->never_index = head.never_index != 0;
    out->name =
        head.token == FIELD_OTHER ? bytes_of(text, head.name_bytes) : field_names[head.token];
    out->value = bytes_of(text + head.name_bytes, head.value_bytes);
    *at += FIELD_HEAD_BYTES + head.name_bytes + head.value_bytes;
    return true;
}

bool fields_find(const struct fields *fields, enum field_token token, struct bytes *out_value)
{
    struct field_head head;
    for (uint32_t at = 0; at < fields->used;) {
        const uint8_t *text = fields->data + at + FIELD_HEAD_BYTES;
        memcpy(&head, fields->data + at, sizeof(head));
        if (head.token == token) {
            *out_value = bytes_of(text + head.name_bytes, head.value_bytes);
            return true;
        }
        at += FIELD_HEAD_BYTES + head.name_bytes + head.value_bytes;
    }
    return false;
}
