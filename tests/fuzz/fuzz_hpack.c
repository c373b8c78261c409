/*
 * fuzz_hpack: header blocks of one hostile peer.
 *
 * Every block goes to our decoder, to one with little room for fields, to one that remembers blocks
 * (h2_memo), and to nghttp2's: verdicts, fields and tables have to agree. What came out is encoded
 * by both encoders, and by one that remembers, and has to come back through the other side's
 * decoder, and through ours.
 *
 * The input is a sequence of: one octet, and
 *   0x00..0xdf  two octets of length, and a block of so many; it comes so often as the octet's last
 *               two bits say, and once; with 0x04, each time with another
 *               path, or content-length
 *   0xe0..0xef  two octets: SETTINGS_HEADER_TABLE_SIZE of the decoders
 *   0xf0..0xff  two octets: SETTINGS_HEADER_TABLE_SIZE towards the encoders
 * The first octet of all, times 8, is the room of the small decoder.
 */
#include "dataplane/h2/field_form.h"
#include "dataplane/h2/h2_memo.h"
#include "dataplane/h2/hpack_static.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/hpack_oracle.h"

struct peers {
    struct hpack_decoder decoder;
    struct hpack_decoder small;
    struct hpack_decoder remembering;
    nghttp2_hd_inflater *theirs;

    struct hpack_encoder encoder;       /* ours, for the two below */
    struct hpack_encoder same_encoder;  /* it remembers */
    struct hpack_decoder echo;          /* ours */
    nghttp2_hd_inflater *their_echo;    /* nghttp2's */
    nghttp2_hd_deflater *their_encoder; /* nghttp2's, for the one below */
    struct hpack_decoder answer;        /* ours */

    uint32_t small_bytes;
};

static struct h2_memo memo;

static uint8_t block_text[16 * FIXTURE_BYTES];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    check(hpack_tables_init(&fixture_tables, FIXTURE_TABLES, -1));
    check(h2_memo_init(&memo, 4, -1));
    return 0;
}

static void open_peers(struct peers *peers, uint32_t small_bytes)
{
    hpack_decoder_init(&peers->decoder, &fixture_tables);
    hpack_decoder_init(&peers->small, &fixture_tables);
    hpack_decoder_init(&peers->remembering, &fixture_tables);
    hpack_decoder_init(&peers->echo, &fixture_tables);
    hpack_decoder_init(&peers->answer, &fixture_tables);
    hpack_encoder_init(&peers->encoder, &fixture_tables);
    hpack_encoder_init(&peers->same_encoder, &fixture_tables);
    check(nghttp2_hd_inflate_new(&peers->theirs) == 0);
    check(nghttp2_hd_inflate_new(&peers->their_echo) == 0);
    check(nghttp2_hd_deflate_new(&peers->their_encoder, HPACK_TABLE_BYTES) == 0);
    peers->small_bytes = small_bytes;
}

static void close_peers(struct peers *peers)
{
    hpack_decoder_close(&peers->decoder);
    hpack_decoder_close(&peers->small);
    hpack_decoder_close(&peers->remembering);
    hpack_decoder_close(&peers->echo);
    hpack_decoder_close(&peers->answer);
    hpack_encoder_close(&peers->encoder);
    hpack_encoder_close(&peers->same_encoder);
    nghttp2_hd_inflate_del(peers->theirs);
    nghttp2_hd_inflate_del(peers->their_echo);
    nghttp2_hd_deflate_del(peers->their_encoder);
    check(pool_used(&fixture_tables.pool) == 0);
}

/* nghttp2 wants the lowest of several unanswered limits back; we only ever announce one. */
static void limit_decoders(struct peers *peers, uint32_t limit_bytes)
{
    if (peers->decoder.must_shrink && limit_bytes > peers->decoder.limit_bytes)
        return;
    hpack_decoder_limit(&peers->decoder, limit_bytes);
    hpack_decoder_limit(&peers->small, limit_bytes);
    hpack_decoder_limit(&peers->remembering, limit_bytes);
    check(nghttp2_hd_inflate_change_table_size(peers->theirs, limit_bytes) == 0);
}

static void limit_encoders(struct peers *peers, uint32_t limit_bytes)
{
    if (peers->echo.must_shrink && limit_bytes > peers->echo.limit_bytes)
        return;
    hpack_encoder_limit(&peers->encoder, limit_bytes);
    hpack_encoder_limit(&peers->same_encoder, limit_bytes);
    hpack_decoder_limit(&peers->echo, limit_bytes);
    hpack_decoder_limit(&peers->answer, limit_bytes);
    check(nghttp2_hd_inflate_change_table_size(peers->their_echo, limit_bytes) == 0);
    check(nghttp2_hd_deflate_change_table_size(peers->their_encoder, limit_bytes) == 0);
}

/* The same names and values; never_index of SENT is in GOT, where there may be more of it. */
static void check_came_back(const struct fields *sent, const struct fields *got)
{
    struct field one, other;
    uint32_t sent_at = 0, got_at = 0;
    check(sent->count == got->count && !got->overflow);
    while (fields_next(sent, &sent_at, &one)) {
        check(fields_next(got, &got_at, &other));
        check(other.never_index || !one.never_index);
        one.never_index = other.never_index;
        check(fixture_field_equal(&one, &other));
    }
}

/* What is remembered is what would be decoded. */
static void check_remembered(struct peers *peers, struct bytes block, const struct fields *fields,
                             enum hpack_result result)
{
    static uint8_t text[FIXTURE_BYTES];
    struct h2_memo_in *kept;
    struct fields same;
    fields_init(&same, text, sizeof(text));
    check(h2_memo_decode(&memo, &peers->remembering, block, &same, &kept) == result);
    check(fixture_tables_equal(peers->decoder.table, peers->remembering.table));
    check(same.used == fields->used && same.count == fields->count);
    check(same.overflow == fields->overflow);
    check(same.used == 0 || memcmp(same.data, fields->data, same.used) == 0);
}

static uint64_t hash_of(uint64_t hash, const uint8_t *data, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        hash = (hash ^ data[i]) * 1099511628211ull;
    return hash ^ hash >> 29;
}

/* The name of what stands around its path, if it has one. */
static void name_around_path(struct fields *fields)
{
    struct field field;
    for (uint32_t at = 0, end = 0; fields_next(fields, &end, &field); at = end) {
        if (field.token != FIELD_PATH)
            continue;
        fields->part_ends[PART_FRONT] = at;
        fields->part_ends[PART_OWN] = end;
        fields->part_ends[PART_FIELDS] = fields->used;
        uint64_t hash = hash_of(at + 1, fields->data, at);
        hash = hash_of(hash, fields->data + end, fields->used - end);
        fields_name_around(fields, hash | 1ULL << 63);
        return;
    }
}

/* And what would be encoded, also when its parts are. */
static void check_same_block(struct peers *peers, const struct fields *fields, struct bytes block)
{
    static uint8_t same_text[16 * FIXTURE_BYTES];
    struct fields in_parts = *fields;
    struct field field;
    struct writer out = writer_over(same_text, sizeof(same_text));
    for (uint32_t i = 0, at = 0; i < FIELDS_PARTS; i++) {
        (void)fields_next(fields, &at, &field);
        in_parts.part_ends[i] = at;
    }
    if (fields->used % 2 == 0)
        name_around_path(&in_parts);
    check(h2_memo_encode(&memo, &peers->same_encoder, &in_parts, &out));
    check(bytes_equal(writer_written(&out), block));
    check(fixture_tables_equal(peers->encoder.table, peers->same_encoder.table));
}

/* What a field brings along from the tables is what somebody who looks at it would find. */
static void check_known(const struct fields *fields)
{
    struct field field;
    for (uint32_t at = 0; fields_next(fields, &at, &field);) {
        check(fields_may_have(fields, field.token));
        check(field.form == FORM_UNKNOWN ||
              field.form == field_form_of(field.token, field.name, field.value));
        check(field.hash == 0 || field.hash == hpack_hash_of(&field));
        check(field.static_index == 0 ||
              field.static_index == hpack_static_find(field.token, field.value));
    }
}

static void check_echoes(struct peers *peers, const struct fields *fields)
{
    static uint8_t text[FIXTURE_BYTES];
    struct fields got;
    struct writer out = writer_over(block_text, sizeof(block_text));
    check(hpack_encode(&peers->encoder, fields, &out));
    check_same_block(peers, fields, writer_written(&out));
    fields_init(&got, text, sizeof(text));
    check(hpack_decode(&peers->echo, writer_written(&out), &got) == HPACK_OK);
    check_came_back(fields, &got);
    check(fixture_tables_equal(peers->encoder.table, peers->echo.table));
    fields_init(&got, text, sizeof(text));
    check(oracle_inflate(peers->their_echo, writer_written(&out), &got));
    check_came_back(fields, &got);
    check(oracle_table_equal(peers->their_echo, peers->encoder.table));

    if (fields->count > ORACLE_FIELDS)
        return;
    struct bytes block =
        oracle_deflate(peers->their_encoder, fields, block_text, sizeof(block_text));
    fields_init(&got, text, sizeof(text));
    check(hpack_decode(&peers->answer, block, &got) == HPACK_OK);
    check_came_back(fields, &got);
}

/* nghttp2 takes any number of size updates, we take two. */
static bool has_many_updates(struct bytes block)
{
    uint32_t updates = 0;
    for (size_t at = 0; at < block.length && (block.data[at] & 0xe0) == 0x20; updates++) {
        bool more = (block.data[at++] & 0x1f) == 0x1f;
        while (more && at < block.length)
            more = (block.data[at++] & 0x80) != 0;
    }
    return updates > 2;
}

/* False: the block ended the connection. */
static bool decode_block(struct peers *peers, struct bytes block)
{
    static uint8_t text[FIXTURE_BYTES], small_text[FIXTURE_BYTES], their_text[FIXTURE_BYTES];
    struct fields fields, few, theirs;
    fields_init(&fields, text, sizeof(text));
    fields_init(&few, small_text, peers->small_bytes);
    fields_init(&theirs, their_text, sizeof(their_text));
    enum hpack_result result = hpack_decode(&peers->decoder, block, &fields);
    check(result != HPACK_NO_MEMORY);
    check_remembered(peers, block, &fields, result);
    check_known(&fields);
    check(hpack_decode(&peers->small, block, &few) == result);
    check(fixture_tables_equal(peers->decoder.table, peers->small.table));
    check(few.used <= fields.used && (few.overflow || few.used == fields.used));
    check(few.used == 0 || memcmp(few.data, fields.data, few.used) == 0);
    if (has_many_updates(block)) {
        check(result == HPACK_BAD_TABLE_SIZE || result == HPACK_BAD_INTEGER);
        return false;
    }
    bool valid = oracle_inflate(peers->theirs, block, &theirs);
    check(valid == (result == HPACK_OK));
    if (!valid)
        return false;
    check(oracle_table_equal(peers->theirs, peers->decoder.table));
    if (fields.overflow || theirs.overflow)
        return true;
    check(fixture_fields_equal(&fields, &theirs));
    check_echoes(peers, &fields);
    return true;
}

static bool decode_blocks(struct peers *peers, struct bytes block, uint8_t what)
{
    static uint8_t text[UINT16_MAX];
    struct hpack_own own;
    bool varies = (what & 4) != 0 && hpack_find_own(block, &own) && own.value.coded.length > 0;
    if (block.length > 0)
        memcpy(text, block.data, block.length);
    for (uint32_t i = 0; i <= (what & 3); i++) {
        if (!decode_block(peers, bytes_of(text, block.length)))
            return false;
        if (varies)
            text[own.end - 1]++;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader in = reader_over(bytes_of(data, size));
    struct peers peers;
    bool open = true;
    open_peers(&peers, reader_u8(&in) * 8U);
    while (open && !in.failed && reader_left(&in) > 0) {
        uint8_t what = reader_u8(&in);
        uint32_t number = reader_u16(&in);
        if (what < 0xe0)
            open = decode_blocks(
                &peers, reader_bytes(&in, number < reader_left(&in) ? number : reader_left(&in)),
                what);
        else if (what < 0xf0)
            limit_decoders(&peers, number % (HPACK_TABLE_BYTES + 1));
        else
            limit_encoders(&peers, number % (HPACK_TABLE_BYTES + 1));
    }
    close_peers(&peers);
    return 0;
}
