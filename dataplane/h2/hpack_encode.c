#include "dataplane/h2/hpack.h"
#include "dataplane/h2/hpack_huffman.h"
#include "dataplane/h2/hpack_static.h"
#include "dataplane/h2/hpack_table.h"

/* The representations of RFC 7541 6: their first bits, and the bits left for an integer. */
#define INDEXED_FLAG     0x80
#define INDEXED_BITS     7
#define ENTER_FLAG       0x40
#define ENTER_BITS       6
#define SIZE_UPDATE_FLAG 0x20
#define SIZE_UPDATE_BITS 5
#define NEVER_FLAG       0x10
#define PLAIN_FLAG       0x00
#define LITERAL_BITS     4
#define HUFFMAN_FLAG     0x80
#define STRING_BITS      7

enum table_rule {
    TABLE_ENTER, /* may become an entry */
    TABLE_SKIP,  /* the value is not likely to come again: only when it has */
    TABLE_NEVER, /* a secret: RFC 7541 7.1.3 */
};

static const uint8_t table_rules[FIELD_TOKENS] = {
    [FIELD_API_KEY] = TABLE_NEVER,
    [FIELD_AUTHORIZATION] = TABLE_NEVER,
    [FIELD_COOKIE] = TABLE_NEVER,
    [FIELD_PROXY_AUTHORIZATION] = TABLE_NEVER,
    [FIELD_SET_COOKIE] = TABLE_NEVER,
    [FIELD_X_API_KEY] = TABLE_NEVER,
    [FIELD_AGE] = TABLE_SKIP,
    [FIELD_CACHE_STATUS] = TABLE_SKIP,
    [FIELD_CONTENT_LENGTH] = TABLE_SKIP,
    [FIELD_CONTENT_LOCATION] = TABLE_SKIP,
    [FIELD_CONTENT_RANGE] = TABLE_SKIP,
    [FIELD_DATE] = TABLE_SKIP,
    [FIELD_ETAG] = TABLE_SKIP,
    [FIELD_EXPIRES] = TABLE_SKIP,
    [FIELD_FORWARDED] = TABLE_SKIP,
    [FIELD_GRPC_MESSAGE] = TABLE_SKIP,
    [FIELD_GRPC_TIMEOUT] = TABLE_SKIP,
    [FIELD_IDEMPOTENCY_KEY] = TABLE_SKIP,
    [FIELD_IF_MATCH] = TABLE_SKIP,
    [FIELD_IF_MODIFIED_SINCE] = TABLE_SKIP,
    [FIELD_IF_NONE_MATCH] = TABLE_SKIP,
    [FIELD_IF_RANGE] = TABLE_SKIP,
    [FIELD_IF_UNMODIFIED_SINCE] = TABLE_SKIP,
    [FIELD_LAST_MODIFIED] = TABLE_SKIP,
    [FIELD_LOCATION] = TABLE_SKIP,
    [FIELD_PATH] = TABLE_SKIP,
    [FIELD_PROXY_AUTHENTICATE] = TABLE_SKIP,
    [FIELD_RANGE] = TABLE_SKIP,
    [FIELD_RETRY_AFTER] = TABLE_SKIP,
    [FIELD_TRACEPARENT] = TABLE_SKIP,
    [FIELD_TRACESTATE] = TABLE_SKIP,
    [FIELD_WWW_AUTHENTICATE] = TABLE_SKIP,
    [FIELD_X_FORWARDED_CLIENT_CERT] = TABLE_SKIP,
    [FIELD_X_FORWARDED_FOR] = TABLE_SKIP,
    [FIELD_X_REQUEST_ID] = TABLE_SKIP,
};

void hpack_encoder_init(struct hpack_encoder *encoder, struct hpack_tables *tables)
{
    *encoder = (struct hpack_encoder){
        .tables = tables,
        .limit_bytes = HPACK_TABLE_BYTES,
        .lowest_bytes = HPACK_TABLE_BYTES,
        .state = hpack_state_new(tables),
    };
    list_init(&encoder->link);
}

static void changed(struct hpack_encoder *encoder)
{
    encoder->state = hpack_state_new(encoder->tables);
}

void hpack_encoder_close(struct hpack_encoder *encoder)
{
    if (encoder->table == NULL)
        return;
    hpack_table_give(encoder->tables, encoder->table);
    list_remove(&encoder->link);
    encoder->table = NULL;
}

void hpack_encoder_yield(struct hpack_encoder *encoder)
{
    if (encoder->table == NULL)
        return;
    hpack_encoder_close(encoder);
    encoder->lowest_bytes = 0;
    encoder->announce = true;
    changed(encoder);
}

static bool take_table(struct hpack_encoder *encoder)
{
    encoder->table = hpack_table_take(encoder->tables);
    if (encoder->table == NULL)
        return false;
    list_push_back(&encoder->tables->encoders, &encoder->link);
    changed(encoder);
    return true;
}

void hpack_encoder_limit(struct hpack_encoder *encoder, uint32_t limit_bytes)
{
    uint32_t limit = limit_bytes < HPACK_TABLE_BYTES ? limit_bytes : HPACK_TABLE_BYTES;
    if (limit == encoder->limit_bytes)
        return;
    encoder->limit_bytes = limit;
    encoder->announce = true;
    changed(encoder);
    if (limit < encoder->lowest_bytes)
        encoder->lowest_bytes = limit;
}

/* RFC 7541 5.1, when VALUE does not fit into the prefix. */
static void write_long_integer(struct writer *out, uint8_t flag, size_t prefix_max, size_t value)
{
    writer_u8(out, (uint8_t)(flag | prefix_max));
    for (value -= prefix_max; value >= 0x80; value >>= 7)
        writer_u8(out, (uint8_t)(0x80 | (value & 0x7f)));
    writer_u8(out, (uint8_t)value);
}

/* RFC 7541 5.1 */
static inline void write_integer(struct writer *out, uint8_t flag, uint32_t prefix_bits,
                                 size_t value)
{
    size_t prefix_max = (1U << prefix_bits) - 1;
    if (value < prefix_max)
        writer_u8(out, (uint8_t)(flag | value));
    else
        write_long_integer(out, flag, prefix_max, value);
}

static void write_plain(struct writer *out, struct bytes text)
{
    write_integer(out, 0, STRING_BITS, text.length);
    writer_bytes(out, text);
}

#define SHORT_STRING ((1 << STRING_BITS) - 1) /* below it a length is one octet */

/* In one pass: the code may turn out to be longer than the text, and is overwritten then. */
static void write_short(struct writer *out, struct bytes text)
{
    size_t coded_bytes = hpack_huffman_encode_wide(text, out->at + 1);
    if (coded_bytes >= text.length) {
        write_plain(out, text);
        return;
    }
    *out->at = (uint8_t)(HUFFMAN_FLAG | coded_bytes);
    out->at += 1 + coded_bytes;
}

/* RFC 7541 5.2: in the Huffman code when that is shorter, and wanted. */
static void write_string(const struct hpack_encoder *encoder, struct writer *out, struct bytes text)
{
    if (encoder->plain) {
        write_plain(out, text);
        return;
    }
    bool is_wide = writer_room(out) > HPACK_HUFFMAN_WIDE(text.length);
    if (text.length < SHORT_STRING && is_wide && !out->failed) {
        write_short(out, text);
        return;
    }
    size_t coded_bytes = hpack_huffman_length(text);
    if (coded_bytes >= text.length) {
        write_plain(out, text);
        return;
    }
    write_integer(out, HUFFMAN_FLAG, STRING_BITS, coded_bytes);
    uint8_t *room = writer_take(out, coded_bytes);
    if (room != NULL)
        hpack_huffman_encode(text, room);
}

/* RFC 7541 6.2; NAME_INDEX 0: the name in full. */
static void write_literal(const struct hpack_encoder *encoder, struct writer *out, uint8_t flag,
                          uint32_t prefix_bits, uint32_t name_index, const struct field *field)
{
    write_integer(out, flag, prefix_bits, name_index);
    if (name_index == 0)
        write_string(encoder, out, field->name);
    write_string(encoder, out, field->value);
}

static enum table_rule rule_of(const struct field *field)
{
    return field->never_index ? TABLE_NEVER : (enum table_rule)table_rules[field->token];
}

/* Enter the field if there is, or can be had, a table. */
static bool enter_table(struct hpack_encoder *encoder, const struct field *field)
{
    if (encoder->table == NULL && !take_table(encoder))
        return false;
    hpack_table_add(encoder->table, encoder->limit_bytes, field);
    changed(encoder);
    return true;
}

static uint32_t dynamic_index(int32_t position)
{
    return position < 0 ? 0 : HPACK_STATIC_ENTRIES + 1 + (uint32_t)position;
}

/* An index for the name alone, 0 when there is none. */
static uint32_t name_index_of(const struct hpack_encoder *encoder, const struct field *field)
{
    uint32_t index = hpack_static_name(field->token);
    if (index != 0 || encoder->table == NULL)
        return index;
    return dynamic_index(hpack_table_find_name(encoder->table, field));
}

/* Whether it is likely enough to come again, and does not take a table for itself alone. */
static bool is_worth_entering(struct hpack_encoder *encoder, const struct field *field,
                              enum table_rule rule)
{
    if (hpack_entry_bytes(field) > encoder->limit_bytes / 2)
        return false;
    if (rule == TABLE_SKIP && encoder->table == NULL)
        return false;
    encoder->same_again = false; /* now it is seen, or entered, or there was no table for it */
    return rule == TABLE_ENTER || hpack_table_seen(encoder->table, field->hash);
}

/*
 * A field that is in no table yet, and may become an entry. Its hash is known. One whose name stands
 * in the table with another value is likely to have another one next time, too: each entry would
 * change the table, and with it the blocks of all that comes again.
 */
static void encode_new(struct hpack_encoder *encoder, const struct field *field,
                       enum table_rule rule, struct writer *out)
{
    uint32_t name_index = name_index_of(encoder, field);
    if (name_index > HPACK_STATIC_ENTRIES)
        rule = TABLE_SKIP;
    if (is_worth_entering(encoder, field, rule) && enter_table(encoder, field))
        write_literal(encoder, out, ENTER_FLAG, ENTER_BITS, name_index, field);
    else
        write_literal(encoder, out, PLAIN_FLAG, LITERAL_BITS, name_index, field);
}

static void encode_field(struct hpack_encoder *encoder, struct field *field, struct writer *out)
{
    enum table_rule rule = rule_of(field);
    if (rule == TABLE_NEVER) {
        write_literal(encoder, out, NEVER_FLAG, LITERAL_BITS, name_index_of(encoder, field), field);
        return;
    }
    uint32_t index = field->static_index;
    if (index == 0 && field->hash == 0) /* with a hash it comes from another dynamic table */
        index = hpack_static_find(field->token, field->value);
    if (index != 0) {
        write_integer(out, INDEXED_FLAG, INDEXED_BITS, index);
        return;
    }
    if (field->hash == 0)
        field->hash = hpack_hash_of(field);
    int32_t position =
        encoder->table == NULL ? -1 : hpack_table_find(encoder->table, field, field->hash);
    if (position >= 0)
        write_integer(out, INDEXED_FLAG, INDEXED_BITS, dynamic_index(position));
    else
        encode_new(encoder, field, rule, out);
}

/* RFC 7541 4.2: the lowest limit since the last block, if the table had to become that small. */
static void write_size_updates(struct hpack_encoder *encoder, struct writer *out)
{
    if (!encoder->announce)
        return;
    if (encoder->lowest_bytes < encoder->limit_bytes)
        write_integer(out, SIZE_UPDATE_FLAG, SIZE_UPDATE_BITS, encoder->lowest_bytes);
    write_integer(out, SIZE_UPDATE_FLAG, SIZE_UPDATE_BITS, encoder->limit_bytes);
    if (encoder->table != NULL)
        hpack_table_evict(encoder->table, encoder->lowest_bytes);
    encoder->lowest_bytes = encoder->limit_bytes;
    encoder->announce = false;
    encoder->same_again = false;
}

bool hpack_encode(struct hpack_encoder *encoder, const struct fields *fields, struct writer *out)
{
    encoder->same_again = true;
    write_size_updates(encoder, out);
    encoder->used = true;
    struct field field;
    for (uint32_t at = 0; fields_next(fields, &at, &field);)
        encode_field(encoder, &field, out);
    return !out->failed;
}
