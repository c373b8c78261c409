#include "tests/support/cmocka.h"
#include "tests/support/hpack_fixture.h"

#include <stdlib.h>

static uint8_t block_bytes[FIXTURE_BYTES];

/* One field, encoded alone. */
static struct bytes encode_one(struct hpack_encoder *encoder, struct field field)
{
    static uint8_t text[FIXTURE_BYTES];
    struct fields fields;
    struct writer out = writer_over(block_bytes, sizeof(block_bytes));
    fields_init(&fields, text, sizeof(text));
    fields_add(&fields, field);
    assert_true(hpack_encode(encoder, &fields, &out));
    return writer_written(&out);
}

static struct bytes encode_none(struct hpack_encoder *encoder)
{
    struct fields fields;
    struct writer out = writer_over(block_bytes, sizeof(block_bytes));
    fields_init(&fields, NULL, 0);
    assert_true(hpack_encode(encoder, &fields, &out));
    return writer_written(&out);
}

static void check_hex(struct bytes got, const char *want)
{
    static uint8_t bytes[FIXTURE_BYTES];
    if (!bytes_equal(got, fixture_hex(want, bytes, sizeof(bytes))))
        fail_msg("not %s", want);
}

enum seen {
    SEEN_INDEXED,
    SEEN_ENTERED,
    SEEN_PLAIN,
    SEEN_NEVER,
    SEEN_UPDATE,
};

static enum seen seen(struct bytes block)
{
    assert_true(block.length > 0);
    uint8_t first = block.data[0];
    if (first & 0x80)
        return SEEN_INDEXED;
    if (first & 0x40)
        return SEEN_ENTERED;
    if (first & 0x20)
        return SEEN_UPDATE;
    return first & 0x10 ? SEEN_NEVER : SEEN_PLAIN;
}

static void fields_get_their_representation(void **state)
{
    static const struct {
        const char *name, *value;
        enum seen first, again;
    } cases[] = {
        {":method", "GET", SEEN_INDEXED, SEEN_INDEXED},
        {":method", "PATCH", SEEN_ENTERED, SEEN_INDEXED},
        {":path", "/", SEEN_INDEXED, SEEN_INDEXED},
        {":path", "/v1/chat/completions", SEEN_PLAIN, SEEN_PLAIN},
        {":authority", "a.example", SEEN_ENTERED, SEEN_INDEXED},
        {":status", "404", SEEN_INDEXED, SEEN_INDEXED},
        {":status", "418", SEEN_ENTERED, SEEN_INDEXED},
        {"accept", "", SEEN_INDEXED, SEEN_INDEXED},
        {"accept-encoding", "gzip, deflate", SEEN_INDEXED, SEEN_INDEXED},
        {"x-anything", "value", SEEN_ENTERED, SEEN_INDEXED},
        {"", "", SEEN_ENTERED, SEEN_INDEXED},
        {"user-agent", "curl/7.88.1", SEEN_ENTERED, SEEN_INDEXED},
        {"content-length", "17", SEEN_PLAIN, SEEN_PLAIN},
        {"date", "Mon, 21 Oct 2013 20:13:22 GMT", SEEN_PLAIN, SEEN_PLAIN},
        {"etag", "\"1\"", SEEN_PLAIN, SEEN_PLAIN},
        {"x-request-id", "0af7", SEEN_PLAIN, SEEN_PLAIN},
        {"x-forwarded-for", "192.0.2.1", SEEN_PLAIN, SEEN_PLAIN},
        {"x-forwarded-client-cert", "Hash=1", SEEN_PLAIN, SEEN_PLAIN},
        {"traceparent", "00-1-1-1", SEEN_PLAIN, SEEN_PLAIN},
        {"grpc-timeout", "1S", SEEN_PLAIN, SEEN_PLAIN},
        {"if-match", "1", SEEN_PLAIN, SEEN_PLAIN},
        {"if-none-match", "1", SEEN_PLAIN, SEEN_PLAIN},
        {"if-modified-since", "1", SEEN_PLAIN, SEEN_PLAIN},
        {"if-unmodified-since", "1", SEEN_PLAIN, SEEN_PLAIN},
        {"if-range", "1", SEEN_PLAIN, SEEN_PLAIN},
        {"range", "bytes=0-1", SEEN_PLAIN, SEEN_PLAIN},
        {"location", "/a", SEEN_PLAIN, SEEN_PLAIN},
        {"last-modified", "1", SEEN_PLAIN, SEEN_PLAIN},
        {"cache-status", "1", SEEN_PLAIN, SEEN_PLAIN},
        {"retry-after", "1", SEEN_PLAIN, SEEN_PLAIN},
        {"authorization", "Bearer 1", SEEN_NEVER, SEEN_NEVER},
        {"authorization", "", SEEN_NEVER, SEEN_NEVER},
        {"proxy-authorization", "Basic 1", SEEN_NEVER, SEEN_NEVER},
        {"cookie", "a=b", SEEN_NEVER, SEEN_NEVER},
        {"set-cookie", "a=b", SEEN_NEVER, SEEN_NEVER},
        {"api-key", "secret", SEEN_NEVER, SEEN_NEVER},
        {"x-api-key", "secret", SEEN_NEVER, SEEN_NEVER},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct hpack_encoder encoder;
        struct field field = fixture_field(cases[i].name, cases[i].value);
        hpack_encoder_init(&encoder, &fixture_tables);
        enum seen first = seen(encode_one(&encoder, field));
        enum seen again = seen(encode_one(&encoder, field));
        if (first != cases[i].first || again != cases[i].again)
            fail_msg("%s: %s: %d, then %d", cases[i].name, cases[i].value, first, again);
        field.never_index = true;
        assert_int_equal(seen(encode_one(&encoder, field)), SEEN_NEVER);
        hpack_encoder_close(&encoder);
    }
}

/* They begin and end alike, as those of one site do. */
static void a_path_is_entered_when_it_comes_again_and_not_for_one_that_is_like_it(void **state)
{
    struct hpack_encoder encoder;
    char path[64];
    hpack_encoder_init(&encoder, &fixture_tables);
    (void)encode_one(&encoder, fixture_field("x-anything", "a table is there"));
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(path, sizeof(path), "/catalogue/items/%d/details?size=64", i);
        assert_int_equal(seen(encode_one(&encoder, fixture_field(":path", path))), SEEN_PLAIN);
    }
    assert_int_equal(seen(encode_one(&encoder, fixture_field(":path", path))), SEEN_ENTERED);
    assert_int_equal(seen(encode_one(&encoder, fixture_field(":path", path))), SEEN_INDEXED);
    hpack_encoder_close(&encoder);
}

/* A number of each message's own must not change the table each time. */
static void a_value_is_entered_beside_another_of_its_name_when_it_comes_again(void **state)
{
    struct hpack_encoder encoder;
    char value[16];
    hpack_encoder_init(&encoder, &fixture_tables);
    assert_int_equal(seen(encode_one(&encoder, fixture_field("x-number", "0"))), SEEN_ENTERED);
    uint64_t known = encoder.state;
    for (int i = 1; i < 100; i++) {
        (void)snprintf(value, sizeof(value), "%d", i);
        assert_int_equal(seen(encode_one(&encoder, fixture_field("x-number", value))), SEEN_PLAIN);
    }
    assert_true(encoder.state == known);
    assert_int_equal(seen(encode_one(&encoder, fixture_field("x-number", value))), SEEN_ENTERED);
    assert_int_equal(seen(encode_one(&encoder, fixture_field("x-number", value))), SEEN_INDEXED);
    assert_int_equal(seen(encode_one(&encoder, fixture_field("x-number", "0"))), SEEN_INDEXED);
    hpack_encoder_close(&encoder);
}

/* However their hashes fall. */
static void several_fields_that_come_again_are_all_entered(void **state)
{
    static const char *const names[] = {":path", "content-length", "x-request-id",
                                        "etag",  "if-none-match",  "traceparent"};
    for (int round = 0; round < 200; round++) {
        struct hpack_encoder encoder;
        char value[32];
        (void)snprintf(value, sizeof(value), "/%d", round);
        hpack_encoder_init(&encoder, &fixture_tables);
        (void)encode_one(&encoder, fixture_field("x-anything", "a table is there"));
        for (size_t i = 0; i < array_count(names); i++)
            assert_int_equal(seen(encode_one(&encoder, fixture_field(names[i], value))),
                             SEEN_PLAIN);
        for (size_t i = 0; i < array_count(names); i++)
            assert_int_equal(seen(encode_one(&encoder, fixture_field(names[i], value))),
                             SEEN_ENTERED);
        hpack_encoder_close(&encoder);
    }
}

static void a_known_name_is_sent_as_its_index(void **state)
{
    struct hpack_encoder encoder;
    hpack_encoder_init(&encoder, &fixture_tables);
    check_hex(encode_one(&encoder, fixture_field("server", "\\")), "76 015c");
    check_hex(encode_one(&encoder, fixture_field("~~", "\\")), "40 027e7e 015c");
    check_hex(encode_one(&encoder, fixture_field("~~", "^")), "0f2f 015e");
    struct field secret = fixture_field("~~", "^");
    secret.never_index = true;
    check_hex(encode_one(&encoder, secret), "1f2f 015e");
    check_hex(encode_one(&encoder, fixture_field("date", "\\")), "0f12 015c");
    hpack_encoder_close(&encoder);
}

/* RFC 7541 4.2, 6.3 */
/* Decision 17. */
static void a_plain_encoder_codes_no_string(void **state)
{
    struct hpack_encoder encoder;
    hpack_encoder_init(&encoder, &fixture_tables);
    check_hex(encode_one(&encoder, fixture_field("date", "aaaa")), "0f12 83 18c63f");
    check_hex(encode_one(&encoder, fixture_field("aaaa", "aaaa")), "40 83 18c63f 83 18c63f");
    encoder.plain = true;
    check_hex(encode_one(&encoder, fixture_field("date", "aaaa")), "0f12 04 61616161");
    check_hex(encode_one(&encoder, fixture_field("aaab", "aaaa")), "40 04 61616162 04 61616161");
    check_hex(encode_one(&encoder, fixture_field("aaab", "aaaa")), "be");
    hpack_encoder_close(&encoder);
}

static void limits_are_announced(void **state)
{
    static const struct {
        uint32_t limits[3];
        uint32_t count;
        const char *block;
    } cases[] = {
        {{4096}, 1, ""},
        {{65536}, 1, ""},
        {{0}, 1, "20"},
        {{100}, 1, "3f45"},
        {{0, 4096}, 2, "203fe11f"},
        {{100, 65536}, 2, "3f453fe11f"},
        {{100, 50, 70}, 3, "3f13 3f27"},
        {{100, 70, 50}, 3, "3f13"},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct hpack_encoder encoder;
        hpack_encoder_init(&encoder, &fixture_tables);
        for (uint32_t k = 0; k < cases[i].count; k++)
            hpack_encoder_limit(&encoder, cases[i].limits[k]);
        check_hex(encode_none(&encoder), cases[i].block);
        check_hex(encode_none(&encoder), "");
        hpack_encoder_close(&encoder);
    }
}

static void a_table_between_two_limits_is_emptied(void **state)
{
    struct hpack_encoder encoder;
    hpack_encoder_init(&encoder, &fixture_tables);
    assert_int_equal(seen(encode_one(&encoder, fixture_field("x-a", "1"))), SEEN_ENTERED);
    hpack_encoder_limit(&encoder, 0);
    hpack_encoder_limit(&encoder, 4096);
    assert_int_equal(seen(encode_none(&encoder)), SEEN_UPDATE);
    assert_int_equal(seen(encode_one(&encoder, fixture_field("x-a", "1"))), SEEN_ENTERED);
    hpack_encoder_close(&encoder);
}

static void a_limit_of_zero_takes_no_table(void **state)
{
    struct hpack_encoder encoder;
    hpack_encoder_init(&encoder, &fixture_tables);
    hpack_encoder_limit(&encoder, 0);
    (void)encode_none(&encoder);
    assert_int_equal(seen(encode_one(&encoder, fixture_field("x-a", "1"))), SEEN_PLAIN);
    assert_null(encoder.table);
    hpack_encoder_close(&encoder);
}

static void without_a_table_literals_are_sent(void **state)
{
    struct hpack_table *taken[FIXTURE_TABLES];
    struct hpack_encoder encoder;
    for (size_t i = 0; i < FIXTURE_TABLES; i++)
        taken[i] = hpack_table_take(&fixture_tables);
    hpack_encoder_init(&encoder, &fixture_tables);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(seen(encode_one(&encoder, fixture_field("x-a", "1"))), SEEN_PLAIN);
    for (size_t i = 0; i < FIXTURE_TABLES; i++)
        hpack_table_give(&fixture_tables, taken[i]);
    assert_int_equal(seen(encode_one(&encoder, fixture_field("x-a", "1"))), SEEN_ENTERED);
    hpack_encoder_close(&encoder);
}

/* BLOCK decodes to one field with NAME, in a peer that saw all blocks before. */
static void expect_decoded(struct hpack_decoder *peer, struct bytes block, const char *name)
{
    static uint8_t text[FIXTURE_BYTES];
    struct fields fields;
    struct field field = {0};
    uint32_t at = 0;
    fields_init(&fields, text, sizeof(text));
    assert_int_equal(hpack_decode(peer, block, &fields), HPACK_OK);
    assert_true(fields_next(&fields, &at, &field));
    assert_true(bytes_equal_text(field.name, name));
    assert_false(fields_next(&fields, &at, &field));
}

/* Two encoders, their peers, and no table left. */
struct scarcity {
    struct hpack_encoder encoders[2];
    struct hpack_decoder peers[2];
    struct hpack_table *others[FIXTURE_TABLES - 2];
    struct hpack_tables peers_tables;
};

static void scarcity_begin(struct scarcity *scarcity)
{
    assert_true(hpack_tables_init(&scarcity->peers_tables, 2, -1));
    for (int i = 0; i < 2; i++) {
        hpack_encoder_init(&scarcity->encoders[i], &fixture_tables);
        hpack_decoder_init(&scarcity->peers[i], &scarcity->peers_tables);
        expect_decoded(&scarcity->peers[i],
                       encode_one(&scarcity->encoders[i], fixture_field("x-a", "1")), "x-a");
    }
    for (int i = 0; i < FIXTURE_TABLES - 2; i++)
        scarcity->others[i] = hpack_table_take(&fixture_tables);
    assert_null(hpack_table_take(&fixture_tables));
}

static void scarcity_end(struct scarcity *scarcity)
{
    for (int i = 0; i < 2; i++) {
        hpack_encoder_close(&scarcity->encoders[i]);
        hpack_decoder_close(&scarcity->peers[i]);
    }
    for (int i = 0; i < FIXTURE_TABLES - 2; i++)
        hpack_table_give(&fixture_tables, scarcity->others[i]);
    assert_int_equal(pool_used(&scarcity->peers_tables.pool), 0);
}

static void what_is_demanded_comes_from_the_encoder_that_rests(void **state)
{
    struct scarcity s;
    scarcity_begin(&s);
    struct hpack_table *first = hpack_table_demand(&fixture_tables); /* both had been used */
    assert_non_null(first);
    assert_null(s.encoders[0].table);
    assert_non_null(s.encoders[1].table);
    assert_int_equal(fixture_tables.taken_back, 1);

    /* The loser empties its peer's table, and is understood with and without a new one. */
    struct bytes block = encode_one(&s.encoders[0], fixture_field("x-a", "1"));
    assert_int_equal(seen(block), SEEN_UPDATE);
    expect_decoded(&s.peers[0], block, "x-a");
    assert_int_equal(pool_used(&s.peers_tables.pool), 1);
    expect_decoded(&s.peers[0], encode_one(&s.encoders[0], fixture_field("x-b", "1")), "x-b");
    hpack_table_give(&fixture_tables, first);
    block = encode_one(&s.encoders[0], fixture_field("x-b", "1"));
    assert_int_equal(seen(block), SEEN_ENTERED);
    expect_decoded(&s.peers[0], block, "x-b");
    block = encode_one(&s.encoders[0], fixture_field("x-b", "1"));
    assert_int_equal(seen(block), SEEN_INDEXED);
    expect_decoded(&s.peers[0], block, "x-b");

    /* Now encoder 0 has encoded, and 1 was asked and has not: 1 loses. */
    first = hpack_table_demand(&fixture_tables);
    assert_non_null(first);
    assert_non_null(s.encoders[0].table);
    assert_null(s.encoders[1].table);
    hpack_table_give(&fixture_tables, first);
    scarcity_end(&s);
}

static void nothing_is_demanded_from_nobody(void **state)
{
    struct scarcity s;
    scarcity_begin(&s);
    struct hpack_table *taken[] = {hpack_table_demand(&fixture_tables),
                                   hpack_table_demand(&fixture_tables)};
    assert_non_null(taken[0]);
    assert_non_null(taken[1]);
    assert_null(hpack_table_demand(&fixture_tables));
    for (int i = 0; i < 2; i++)
        hpack_table_give(&fixture_tables, taken[i]);
    scarcity_end(&s);
}

static void a_field_of_more_than_half_the_table_is_not_entered(void **state)
{
    static uint8_t value[HPACK_TABLE_BYTES];
    struct hpack_encoder encoder;
    memset(value, 'v', sizeof(value));
    struct field field = fixture_field("x-large", "");
    hpack_encoder_init(&encoder, &fixture_tables);
    field.value = bytes_of(value, HPACK_TABLE_BYTES / 2 - 32 - 7 + 1);
    assert_int_equal(seen(encode_one(&encoder, field)), SEEN_PLAIN);
    field.value = bytes_of(value, HPACK_TABLE_BYTES / 2 - 32 - 7);
    assert_int_equal(seen(encode_one(&encoder, field)), SEEN_ENTERED);
    hpack_encoder_close(&encoder);
}

static void an_output_too_small_is_told(void **state)
{
    static uint8_t text[512];
    struct fields fields;
    fields_init(&fields, text, sizeof(text));
    fields_add(&fields, fixture_field(":method", "GET"));
    fields_add(&fields, fixture_field("x-name", "some value"));
    fields_add(&fields, fixture_field("cookie", "\\\\\\\\"));
    size_t whole = 0;
    for (size_t capacity = 0; whole == 0 && capacity < 200; capacity++) {
        struct hpack_encoder encoder;
        uint8_t *block = malloc(capacity + 1);
        struct writer out = writer_over(block + 1, capacity);
        hpack_encoder_init(&encoder, &fixture_tables);
        if (hpack_encode(&encoder, &fields, &out)) {
            assert_int_equal(writer_length(&out), capacity);
            whole = capacity;
        }
        hpack_encoder_close(&encoder);
        free(block);
    }
    assert_true(whole > 20);
}

/* What is encoded decodes to the same, the tables agree, and limits come and go. */
static void random_fields_come_back(void **state)
{
    static uint8_t text[FIXTURE_BYTES], decoded_text[FIXTURE_BYTES];
    for (uint32_t seed = 1; seed <= 40; seed++) {
        struct hpack_encoder encoder;
        struct hpack_decoder decoder;
        struct random random;
        random_seed(&random, seed);
        hpack_encoder_init(&encoder, &fixture_tables);
        hpack_decoder_init(&decoder, &fixture_tables);
        for (uint32_t i = 0; i < 100; i++) {
            struct fields fields, decoded;
            fields_init(&fields, text, sizeof(text));
            fields_init(&decoded, decoded_text, sizeof(decoded_text));
            uint32_t count = random_below(&random, 20);
            for (uint32_t k = 0; k < count; k++)
                fixture_add_random(&random, &fields);
            for (uint32_t k = random_below(&random, 24); k > 20; k--) {
                uint32_t limit = random_below(&random, HPACK_TABLE_BYTES + 1);
                hpack_encoder_limit(&encoder, limit);
                hpack_decoder_limit(&decoder, limit);
            }
            struct writer out = writer_over(block_bytes, sizeof(block_bytes));
            assert_true(hpack_encode(&encoder, &fields, &out));
            assert_int_equal(hpack_decode(&decoder, writer_written(&out), &decoded), HPACK_OK);
            assert_int_equal(decoded.count, fields.count);
            assert_true(fixture_tables_equal(encoder.table, decoder.table));
            struct field sent = {0}, got = {0};
            uint32_t sent_at = 0, got_at = 0;
            while (fields_next(&fields, &sent_at, &sent)) {
                assert_true(fields_next(&decoded, &got_at, &got));
                assert_true(got.never_index || !sent.never_index);
                sent.never_index = got.never_index; /* the encoder marks credentials itself */
                assert_true(fixture_field_equal(&sent, &got));
            }
        }
        hpack_encoder_close(&encoder);
        hpack_decoder_close(&decoder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_get_their_representation),
        cmocka_unit_test(a_path_is_entered_when_it_comes_again_and_not_for_one_that_is_like_it),
        cmocka_unit_test(a_value_is_entered_beside_another_of_its_name_when_it_comes_again),
        cmocka_unit_test(several_fields_that_come_again_are_all_entered),
        cmocka_unit_test(a_known_name_is_sent_as_its_index),
        cmocka_unit_test(a_plain_encoder_codes_no_string),
        cmocka_unit_test(limits_are_announced),
        cmocka_unit_test(a_table_between_two_limits_is_emptied),
        cmocka_unit_test(a_limit_of_zero_takes_no_table),
        cmocka_unit_test(without_a_table_literals_are_sent),
        cmocka_unit_test(what_is_demanded_comes_from_the_encoder_that_rests),
        cmocka_unit_test(nothing_is_demanded_from_nobody),
        cmocka_unit_test(a_field_of_more_than_half_the_table_is_not_entered),
        cmocka_unit_test(an_output_too_small_is_told),
        cmocka_unit_test(random_fields_come_back),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
