/*
 * Blocks that come again: with the memo and without, the same traffic gives the same sections and
 * the same blocks, and nghttp2 reads them.
 */
#include "dataplane/h2/h2_memo.h"
#include "tests/support/hpack_oracle.h"
#include "tests/unit/h2/h2_case.h"

#define SEEDS    80
#define BLOCKS   300
#define SECTIONS 12
#define NAMES    65536

static uint8_t section_texts[SECTIONS][FIXTURE_BYTES];
static struct fields sections[SECTIONS];
static uint8_t with_text[FIXTURE_BYTES], without_text[FIXTURE_BYTES];
static uint8_t with_room[FIXTURE_BYTES], without_room[FIXTURE_BYTES];

/* A direction of a connection, twice; what goes out comes in at the other end. */
struct twice {
    struct random random;
    struct h2_memo memo; /* of all connections, one after the other */
    struct hpack_encoder with_out, without_out;
    struct hpack_decoder with_in, without_in;
    nghttp2_hd_inflater *inflater;
    uint64_t names[NAMES]; /* hash of the section that has the name */
    uint64_t given;        /* names that others than the memo gave */
};

static struct twice twice;

/* Parts of some of the fields, of all, or nothing said about them. */
static void part(struct fields *fields)
{
    uint32_t at = 0;
    struct field field;
    for (int i = 0; i < FIELDS_PARTS; i++) {
        for (uint32_t n = random_below(&twice.random, fields->count + 1U); n > 0; n--)
            (void)fields_next(fields, &at, &field);
        fields->part_ends[i] = at;
    }
}

/* Some of the first fields are known by a name, as far as they are not said to be each time others.
 */
static void name(struct fields *fields)
{
    uint32_t at = 0;
    struct field field;
    for (uint32_t n = random_below(&twice.random, fields->count + 1U); n > 0; n--)
        (void)fields_next(fields, &at, &field);
    fields->name = 1ULL << 63 | ++twice.given;
    fields->named_bytes = at;
}

static void deal_sections(void)
{
    for (int i = 0; i < SECTIONS; i++) {
        fields_init(&sections[i], section_texts[i], sizeof(section_texts[i]));
        for (uint32_t k = random_below(&twice.random, 12); k > 0; k--)
            fixture_add_random(&twice.random, &sections[i]);
        part(&sections[i]);
        if (random_below(&twice.random, 2) == 0)
            name(&sections[i]);
        assert_false(sections[i].overflow);
    }
}

static void open_twice(uint32_t seed)
{
    random_seed(&twice.random, seed);
    hpack_encoder_init(&twice.with_out, &fixture_tables);
    hpack_encoder_init(&twice.without_out, &fixture_tables);
    twice.with_out.plain = twice.without_out.plain = random_below(&twice.random, 2) == 0;
    hpack_decoder_init(&twice.with_in, &fixture_tables);
    hpack_decoder_init(&twice.without_in, &fixture_tables);
    assert_int_equal(nghttp2_hd_inflate_new(&twice.inflater), 0);
    deal_sections();
}

static void close_twice(void)
{
    hpack_encoder_close(&twice.with_out);
    hpack_encoder_close(&twice.without_out);
    hpack_decoder_close(&twice.with_in);
    hpack_decoder_close(&twice.without_in);
    nghttp2_hd_inflate_del(twice.inflater);
}

/* SETTINGS_HEADER_TABLE_SIZE, or the table goes to somebody else: now and then. */
static void something_happens(void)
{
    uint32_t what = random_below(&twice.random, 60);
    if (what == 0 && !twice.with_in.must_shrink) {
        uint32_t limit = random_below(&twice.random, HPACK_TABLE_BYTES + 1);
        limit = random_below(&twice.random, 3) == 0 ? 0 : limit;
        hpack_encoder_limit(&twice.with_out, limit);
        hpack_encoder_limit(&twice.without_out, limit);
        hpack_decoder_limit(&twice.with_in, limit);
        hpack_decoder_limit(&twice.without_in, limit);
        assert_int_equal(nghttp2_hd_inflate_change_table_size(twice.inflater, limit), 0);
    } else if (what == 1) {
        hpack_encoder_yield(&twice.with_out);
        hpack_encoder_yield(&twice.without_out);
    } else if (what == 2) {
        deal_sections();
    }
}

static bool same_section(const struct fields *a, const struct fields *b)
{
    return a->count == b->count && a->used == b->used && a->overflow == b->overflow &&
           memcmp(a->present, b->present, sizeof(a->present)) == 0 &&
           memcmp(a->data, b->data, a->used) == 0;
}

static uint64_t hash_of(const struct fields *fields)
{
    uint64_t hash = 14695981039346656037ull;
    for (uint32_t i = 0; i < fields->used; i++)
        hash = (hash ^ fields->data[i]) * 1099511628211ull;
    return hash | 1;
}

/* Two sections with one name are equal; test_h2_shape looks at those that are but for a field. */
static void check_name(const struct fields *fields)
{
    assert_true(fields->name < NAMES);
    uint64_t *known = &twice.names[fields->name];
    if (fields->name == 0 || fields->own_unnamed)
        return;
    assert_true(*known == 0 || *known == hash_of(fields));
    *known = hash_of(fields);
}

static void one_block(const struct fields *sent)
{
    struct fields with, without, theirs;
    struct h2_memo_in *kept;
    struct writer with_out = writer_over(with_room, sizeof(with_room));
    struct writer without_out = writer_over(without_room, sizeof(without_room));
    assert_true(h2_memo_encode(&twice.memo, &twice.with_out, sent, &with_out));
    assert_true(hpack_encode(&twice.without_out, sent, &without_out));
    struct bytes block = writer_written(&with_out);
    assert_true(bytes_equal(block, writer_written(&without_out)));
    assert_true(fixture_tables_equal(twice.with_out.table, twice.without_out.table));

    fields_init(&with, with_text, sizeof(with_text));
    fields_init(&without, without_text, sizeof(without_text));
    assert_int_equal(h2_memo_decode(&twice.memo, &twice.with_in, block, &with, &kept), HPACK_OK);
    assert_int_equal(hpack_decode(&twice.without_in, block, &without), HPACK_OK);
    assert_true(same_section(&with, &without));
    assert_true(fixture_tables_equal(twice.with_in.table, twice.without_in.table));
    assert_true(fixture_tables_equal(twice.with_in.table, twice.with_out.table));
    check_name(&with);

    fields_init(&theirs, without_text, sizeof(without_text));
    assert_true(oracle_inflate(twice.inflater, block, &theirs));
    assert_true(fixture_fields_equal(&with, &theirs));
    assert_true(oracle_table_equal(twice.inflater, twice.with_in.table));
}

static void play(uint32_t seeds, uint32_t places, uint64_t *found_in, uint64_t *found_out)
{
    memset(&twice, 0, sizeof(twice));
    assert_true(h2_memo_init(&twice.memo, places, -1));
    for (uint32_t seed = 1; seed <= seeds; seed++) {
        open_twice(seed);
        for (int i = 0; i < BLOCKS; i++) {
            something_happens();
            one_block(&sections[random_below(&twice.random, SECTIONS)]);
        }
        close_twice();
    }
    *found_in = twice.memo.found_in;
    *found_out = twice.memo.found_out;
}

static void the_same_traffic_gives_the_same_blocks_and_sections(void **state)
{
    uint64_t in, out;
    play(SEEDS, 64, &in, &out);
    assert_true(in > SEEDS * BLOCKS / 20 && out > SEEDS * BLOCKS / 20);
}

static void places_that_many_want_give_nobody_what_is_not_his(void **state)
{
    uint64_t in, out;
    play(SEEDS, 1, &in, &out);
    assert_true(in > 0 && out > 0);
}

static void without_places_nothing_is_kept(void **state)
{
    uint64_t in, out;
    play(2, 0, &in, &out);
    assert_int_equal(in + out, 0);
}

/* Connections whose tables look alike are not each other's. */
static void what_one_connection_sent_is_nobody_elses(void **state)
{
    struct h2_memo memo = {0};
    struct hpack_decoder decoders[2];
    struct h2_memo_in *kept;
    struct fields fields;
    struct bytes block = bytes_text("\x82\x86\x84\x01\x01"
                                    "a");
    assert_true(h2_memo_init(&memo, 4, -1));
    for (int i = 0; i < 2; i++)
        hpack_decoder_init(&decoders[i], &fixture_tables);
    for (int i = 0; i < 6; i++) {
        fields_init(&fields, with_text, sizeof(with_text));
        (void)h2_memo_decode(&memo, &decoders[i / 3], block, &fields, &kept);
        assert_int_equal(fields.count, 4);
        assert_int_equal(memo.found_in, i < 2 ? 0 : i < 5 ? 1 : 2);
    }
}

static void equal_sections_of_two_connections_have_one_name(void **state)
{
    struct h2_memo memo = {0};
    struct hpack_decoder decoders[2];
    struct h2_memo_in *kept;
    struct fields fields;
    uint64_t names[2][2];
    struct bytes blocks[] = {bytes_text("\x82\x86\x84"), bytes_text("\x82\x87\x84")};
    assert_true(h2_memo_init(&memo, 64, -1));
    for (int i = 0; i < 2; i++)
        hpack_decoder_init(&decoders[i], &fixture_tables);
    for (int i = 0; i < 12; i++) {
        fields_init(&fields, with_text, sizeof(with_text));
        (void)h2_memo_decode(&memo, &decoders[i / 6], blocks[i / 3 % 2], &fields, &kept);
        names[i / 6][i / 3 % 2] = fields.name;
    }
    assert_int_equal(names[0][0], names[1][0]);
    assert_int_equal(names[0][1], names[1][1]);
    assert_true(names[0][0] != 0 && names[0][1] != 0 && names[0][0] != names[0][1]);
}

/* --- on a connection --- */

/* POST, without any table: content-length 5. */
#define POST_5 "83 87 84 01 01 61 0f0d 01 35"

static void a_block_that_is_known_is_judged_by_its_stream(void **state)
{
    open_server();
    lab_script("HEADERS/4/1 " POST_5 "; HEADERS/4/3 " POST_5 "; HEADERS/4/5 " POST_5);
    assert_int_equal(COUNT(header_blocks_in_known), 1);
    assert_int_equal(lab.owner.headers, 3);
    lab_script("HEADERS/5/7 " POST_5); /* it ends, and the five bytes have not come */
    assert_int_equal(COUNT(header_blocks_in_known), 2);
    assert_int_equal(lab_seen(H2_FRAME_RST_STREAM, 7).numbers[0], H2_PROTOCOL_ERROR);
    assert_int_equal(COUNT(content_length_mismatch), 1);
    lab_script("HEADERS/5/1 " POST_5); /* no trailers */
    assert_int_equal(lab_seen(H2_FRAME_RST_STREAM, 1).numbers[0], H2_PROTOCOL_ERROR);
    assert_int_equal(lab.owner.headers, 3);
    lab_script("HEADERS/4/9 " POST_5 "; DATA/1/9 '12345");
    assert_int_equal(lab.owner.headers, 4);
    assert_int_equal(lab.owner.data_bytes, 5);
    lab_close();
}

static void a_known_block_counts_towards_every_bound(void **state)
{
    struct h2_config config = lab_config();
    config.server_concurrent_streams = 3;
    open_with(H2_SERVER, &config);
    lab_script("HEADERS/4/1 " POST_5 "; HEADERS/4/3 " POST_5 "; HEADERS/4/5 " POST_5
               "; HEADERS/4/7 " POST_5);
    assert_int_equal(COUNT(header_blocks_in), 4);
    assert_int_equal(COUNT(streams_exceeded), 1);
    assert_int_equal(lab.owner.conn->header_bytes, 3 * lab_stream(1)->header_bytes);
    assert_true(lab_stream(1)->header_bytes > 0);
    lab_close();
}

static void a_malformed_block_is_malformed_each_time(void **state)
{
    open_server();
    for (int i = 0; i < 4; i++) {
        char script[64];
        (void)snprintf(script, sizeof(script), "HEADERS/5/%d 82 87 84", 2 * i + 1);
        lab_script(script); /* no authority */
        assert_int_equal(COUNT(authority_bad), i + 1);
    }
    assert_int_equal(lab.owner.headers, 0);
    lab_close();
}

static void answers_that_are_alike_are_encoded_once(void **state)
{
    open_server();
    for (int i = 0; i < 5; i++) {
        char script[64];
        (void)snprintf(script, sizeof(script), "HEADERS/5/%d @get", 2 * i + 1);
        lab_script(script);
        lab_answer();
        assert_int_equal(lab_seen(H2_FRAME_HEADERS, 2 * (uint32_t)i + 1).count, 1);
    }
    assert_int_equal(COUNT(header_blocks_out), 5);
    assert_true(COUNT(header_parts_out_known) >= 2);
    lab_close();
}

int main(void)
{
    const struct CMUnitTest bare[] = {
        cmocka_unit_test(the_same_traffic_gives_the_same_blocks_and_sections),
        cmocka_unit_test(places_that_many_want_give_nobody_what_is_not_his),
        cmocka_unit_test(without_places_nothing_is_kept),
        cmocka_unit_test(what_one_connection_sent_is_nobody_elses),
        cmocka_unit_test(equal_sections_of_two_connections_have_one_name),
    };
    const struct CMUnitTest connected[] = {
        cmocka_unit_test(a_block_that_is_known_is_judged_by_its_stream),
        cmocka_unit_test(a_known_block_counts_towards_every_bound),
        cmocka_unit_test(a_malformed_block_is_malformed_each_time),
        cmocka_unit_test(answers_that_are_alike_are_encoded_once),
    };
    int failed = cmocka_run_group_tests(bare, fixture_setup, fixture_teardown);
    return failed + cmocka_run_group_tests(connected, NULL, NULL);
}
