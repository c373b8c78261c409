#include "dataplane/base/check.h"
#include "dataplane/base/copy.h"
#include "dataplane/h2/field_form.h"
#include "dataplane/h2/hpack.h"
#include "dataplane/h2/hpack_huffman.h"
#include "dataplane/h2/hpack_static.h"
#include "dataplane/h2/hpack_table.h"

#define UPDATES_MAX    2 /* RFC 7541 4.2: the lowest size since the last block, then the new one */
#define INTEGER_OCTETS 5 /* behind the prefix: 35 bits */

void hpack_decoder_init(struct hpack_decoder *decoder, struct hpack_tables *tables)
{
    *decoder = (struct hpack_decoder){
        .tables = tables,
        .limit_bytes = HPACK_TABLE_BYTES,
        .size_bytes = HPACK_TABLE_BYTES,
        .state = hpack_state_new(tables),
    };
}

void hpack_decoder_close(struct hpack_decoder *decoder)
{
    if (decoder->table != NULL)
        hpack_table_give(decoder->tables, decoder->table);
    decoder->table = NULL;
}

static void changed(struct hpack_decoder *decoder)
{
    decoder->state = hpack_state_new(decoder->tables);
}

void hpack_decoder_limit(struct hpack_decoder *decoder, uint32_t limit_bytes)
{
    check(limit_bytes <= HPACK_TABLE_BYTES);
    decoder->limit_bytes = limit_bytes;
    decoder->must_shrink = decoder->must_shrink || decoder->size_bytes > limit_bytes;
    changed(decoder);
}

/* What follows a prefix that is VALUE, its largest. */
static enum hpack_result read_long_integer(struct reader *in, uint64_t value, uint32_t *out)
{
    for (uint32_t i = 0; i < INTEGER_OCTETS; i++) {
        if (reader_left(in) == 0)
            return HPACK_TRUNCATED;
        uint8_t octet = reader_u8(in);
        value += (uint64_t)(octet & 0x7f) << (7 * i);
        if (value > UINT32_MAX)
            return HPACK_BAD_INTEGER;
        *out = (uint32_t)value;
        if ((octet & 0x80) == 0)
            return HPACK_OK;
    }
    return HPACK_BAD_INTEGER;
}

/* RFC 7541 5.1, for a prefix that ends its octet. The octet with the prefix is there. */
static inline enum hpack_result read_integer(struct reader *in, uint32_t prefix_bits, uint32_t *out)
{
    uint32_t prefix_max = (1U << prefix_bits) - 1;
    *out = *in->at++ & prefix_max;
    return *out < prefix_max ? HPACK_OK : read_long_integer(in, prefix_max, out);
}

/* RFC 7541 5.2 */
static inline enum hpack_result read_coded(struct reader *in, struct hpack_string *string)
{
    if (reader_left(in) == 0)
        return HPACK_TRUNCATED;
    string->huffman = (*in->at & 0x80) != 0;
    uint32_t length;
    enum hpack_result result = read_integer(in, 7, &length);
    if (result != HPACK_OK)
        return result;
    string->coded = reader_bytes(in, length);
    return in->failed ? HPACK_TRUNCATED : HPACK_OK;
}

/* The text is made in ROOM, or ROOM fails. */
static enum hpack_result read_string(struct reader *in, struct writer *room, struct bytes *text)
{
    struct hpack_string string;
    enum hpack_result result = read_coded(in, &string);
    if (result != HPACK_OK)
        return result;
    const uint8_t *start = room->at;
    if (!string.huffman)
        writer_bytes(room, string.coded);
    else if (!hpack_huffman_decode(string.coded, room))
        return HPACK_BAD_HUFFMAN;
    *text = bytes_of(start, (size_t)(room->at - start));
    return HPACK_OK;
}

/* A name in full. That of a listed field is not kept in ROOM. */
static enum hpack_result read_name(struct reader *in, struct writer *room, struct field *field)
{
    uint8_t *start = room->at;
    enum hpack_result result = read_string(in, room, &field->name);
    if (result != HPACK_OK || room->failed)
        return result;
    field->token = field_token_of(field->name);
    if (field->token == FIELD_OTHER)
        return HPACK_OK;
    field->name = field_name(field->token);
    room->at = start;
    return HPACK_OK;
}

/* RFC 7541 2.3.3. False: no entry has this index. */
static bool name_at_index(const struct hpack_decoder *decoder, uint32_t index, struct writer *room,
                          struct field *field)
{
    if (index <= HPACK_STATIC_ENTRIES) {
        field->token = (enum field_token)hpack_static_table[index].head.token;
        field->name = field_name(field->token);
        return true;
    }
    index -= HPACK_STATIC_ENTRIES + 1;
    if (decoder->table == NULL || index >= decoder->table->count)
        return false;
    hpack_table_name(decoder->table, index, room, field);
    return true;
}

static void append_static(struct fields *out, uint32_t index)
{
    const struct hpack_static_entry *entry = &hpack_static_table[index];
    uint8_t *place = fields_append(out, &entry->head);
    if (place == NULL)
        return;
    if (fields_left(out) >= HPACK_STATIC_VALUE)
        memcpy(place, entry->value, HPACK_STATIC_VALUE); /* the padding is overwritten next */
    else
        memcpy(place, entry->value, entry->head.value_bytes);
}

/*
 * RFC 7541 6.1. A field that no longer fits is not even copied, so that a block of references to
 * one large entry costs no more than its own length and OUT.
 */
static inline enum hpack_result append_indexed(const struct hpack_decoder *decoder, uint32_t index,
                                               struct fields *out)
{
    if (index == 0)
        return HPACK_BAD_INDEX;
    if (index <= HPACK_STATIC_ENTRIES) {
        append_static(out, index);
        return HPACK_OK;
    }
    index -= HPACK_STATIC_ENTRIES + 1;
    if (decoder->table == NULL || index >= decoder->table->count)
        return HPACK_BAD_INDEX;
    hpack_table_append(decoder->table, index, out);
    return HPACK_OK;
}

static enum hpack_result decode_indexed(const struct hpack_decoder *decoder, struct reader *in,
                                        struct fields *out)
{
    uint32_t index;
    enum hpack_result result = read_integer(in, 7, &index);
    return result == HPACK_OK ? append_indexed(decoder, index, out) : result;
}

/* RFC 7541 6.2 after the choice of representation: an index or a name, and a value. */
static enum hpack_result read_literal(const struct hpack_decoder *decoder, struct reader *in,
                                      uint32_t prefix_bits, struct writer *room,
                                      struct field *field)
{
    uint32_t index;
    enum hpack_result result = read_integer(in, prefix_bits, &index);
    if (result != HPACK_OK)
        return result;
    if (index == 0)
        result = read_name(in, room, field);
    else if (!name_at_index(decoder, index, room, field))
        result = HPACK_BAD_INDEX;
    return result == HPACK_OK ? read_string(in, room, &field->value) : result;
}

static void clear_table(struct hpack_decoder *decoder)
{
    changed(decoder);
    if (decoder->table != NULL)
        hpack_table_evict(decoder->table, 0);
}

/* RFC 7541 4.4: an entry larger than the table leaves it empty, which is no error. */
static enum hpack_result enter_table(struct hpack_decoder *decoder, struct field *field)
{
    if (hpack_entry_bytes(field) > decoder->size_bytes) {
        clear_table(decoder);
        return HPACK_OK;
    }
    if (decoder->table == NULL)
        decoder->table = hpack_table_demand(decoder->tables);
    if (decoder->table == NULL)
        return HPACK_NO_MEMORY;
    field->form = (uint8_t)field_form_of(field->token, field->name, field->value);
    field->hash = hpack_hash_of(field);
    hpack_table_add(decoder->table, decoder->size_bytes, field);
    changed(decoder);
    return HPACK_OK;
}

/*
 * A literal that does not fit into the caller's fields: it is checked, and entered into the table
 * if it is to be. What does not fit into the largest table's bytes clears any table.
 */
static __attribute__((noinline)) enum hpack_result
decode_unwanted(struct hpack_decoder *decoder, struct reader *in, uint32_t prefix_bits, bool enter)
{
    uint8_t text[HPACK_TABLE_BYTES];
    struct writer room = writer_over(text, sizeof(text));
    struct field field = {.token = FIELD_OTHER};
    enum hpack_result result = read_literal(decoder, in, prefix_bits, &room, &field);
    if (result != HPACK_OK || !enter)
        return result;
    if (!room.failed)
        return enter_table(decoder, &field);
    clear_table(decoder);
    return HPACK_OK;
}

static enum hpack_result decode_literal(struct hpack_decoder *decoder, struct reader *in,
                                        struct fields *out)
{
    bool enter = (*in->at & 0x40) != 0;
    uint32_t prefix_bits = enter ? 6 : 4;
    struct writer room = fields_room(out);
    if (room.failed) {
        out->overflow = true;
        return decode_unwanted(decoder, in, prefix_bits, enter);
    }
    struct reader start = *in;
    struct field field = {
        .token = FIELD_OTHER,
        .never_index = !enter && (*in->at & 0x10) != 0,
    };
    enum hpack_result result = read_literal(decoder, in, prefix_bits, &room, &field);
    if (result != HPACK_OK)
        return result;
    if (room.failed) {
        *in = start;
        out->overflow = true;
        return decode_unwanted(decoder, in, prefix_bits, enter);
    }
    if (enter)
        result = enter_table(decoder, &field);
    fields_add(out, field);
    return result;
}

/* One octet at least is there. Most often it is an index, whole. */
static inline enum hpack_result decode_field(struct hpack_decoder *decoder, struct reader *in,
                                             struct fields *out)
{
    uint8_t first = *in->at;
    if (first > 0x80 && first < 0xff) {
        in->at++;
        return append_indexed(decoder, first & 0x7f, out);
    }
    if ((first & 0x80) != 0)
        return decode_indexed(decoder, in, out);
    if ((first & 0xe0) == 0x20) /* a size update, but not at the start */
        return HPACK_BAD_TABLE_SIZE;
    return decode_literal(decoder, in, out);
}

/* RFC 7541 4.2, 6.3 */
static enum hpack_result read_size_updates(struct hpack_decoder *decoder, struct reader *in)
{
    for (uint32_t i = 0; i < UPDATES_MAX; i++) {
        if (reader_left(in) == 0 || (*in->at & 0xe0) != 0x20)
            break;
        uint32_t size_bytes;
        enum hpack_result result = read_integer(in, 5, &size_bytes);
        if (result != HPACK_OK)
            return result;
        if (size_bytes > decoder->limit_bytes)
            return HPACK_BAD_TABLE_SIZE;
        decoder->size_bytes = size_bytes;
        decoder->must_shrink = false;
        changed(decoder);
        if (size_bytes == 0)
            hpack_decoder_close(decoder); /* until there is something to enter again */
        else if (decoder->table != NULL)
            hpack_table_evict(decoder->table, size_bytes);
    }
    return decoder->must_shrink ? HPACK_BAD_TABLE_SIZE : HPACK_OK;
}

enum hpack_result hpack_decode(struct hpack_decoder *decoder, struct bytes block,
                               struct fields *out)
{
    check(decoder->limit_bytes <= HPACK_TABLE_BYTES);
    struct reader in = reader_over(block);
    enum hpack_result result = read_size_updates(decoder, &in);
    while (result == HPACK_OK && reader_left(&in) > 0)
        result = decode_field(decoder, &in, out);
    return result;
}

/* One that is entered into no table: whose name it has, where that is said by an index of the
 * static table; and where its value begins. False: it is wrong. */
static bool read_passing(struct reader *in, enum field_token *token, const uint8_t **value_at,
                         struct hpack_string *value)
{
    uint32_t index;
    if (read_integer(in, 4, &index) != HPACK_OK)
        return false;
    if (index == 0 && read_coded(in, value) != HPACK_OK)
        return false;
    *token = index <= HPACK_STATIC_ENTRIES ? (enum field_token)hpack_static_table[index].head.token
                                           : FIELD_OTHER;
    *value_at = in->at;
    return read_coded(in, value) == HPACK_OK;
}

/* How likely it is to be another one next time. */
static uint32_t likelihood(enum field_token token)
{
    if (token == FIELD_CONTENT_LENGTH || token == FIELD_PATH)
        return token == FIELD_PATH ? 2 : 3;
    return token == FIELD_OTHER || token > FIELD_PROTOCOL ? 1 : 0; /* other pseudo-header fields */
}

bool hpack_find_own(struct bytes block, struct hpack_own *out)
{
    struct reader in = reader_over(block);
    uint32_t best = 0;
    for (uint32_t position = 0; reader_left(&in) > 0; position++) {
        const uint8_t *at = in.at;
        struct hpack_string value;
        enum field_token token;
        const uint8_t *value_at;
        uint32_t index;
        if (*at >= 0x80) {
            if (read_integer(&in, 7, &index) != HPACK_OK)
                return false;
            continue;
        }
        if (*at >= 0x20 || !read_passing(&in, &token, &value_at, &value))
            return false;
        if (likelihood(token) <= best)
            continue;
        best = likelihood(token);
        *out = (struct hpack_own){
            .at = (uint32_t)((best > 1 ? at : value_at) - block.data),
            .end = (uint32_t)(in.at - block.data),
            .position = position,
            .token = best > 1 ? token : FIELD_OTHER,
            .never_index = *at >= 0x10,
            .value = value,
        };
    }
    return best > 0;
}

bool hpack_append_own(const struct hpack_own *own, enum field_token token, struct bytes name,
                      struct fields *out)
{
    struct field_head head = {
        .token = (uint8_t)token,
        .never_index = own->never_index,
        .name_bytes = (uint32_t)name.length,
        .value_bytes = (uint32_t)own->value.coded.length,
    };
    if (own->value.huffman) {
        struct writer room = fields_room(out);
        writer_bytes(&room, name);
        const uint8_t *start = room.at;
        if (!hpack_huffman_decode(own->value.coded, &room) || room.failed)
            return false;
        head.value_bytes = (uint32_t)(room.at - start);
        return fields_append(out, &head) != NULL; /* the texts are there already */
    }
    uint8_t *place = fields_append(out, &head);
    if (place == NULL)
        return false;
    copy_short(place, name.data, name.length);
    copy_short(place + name.length, own->value.coded.data, head.value_bytes);
    return true;
}
