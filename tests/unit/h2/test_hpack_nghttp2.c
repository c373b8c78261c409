/* Ours against nghttp2: each decodes what the other encodes, and the tables agree. */
#include "tests/support/cmocka.h"
#include "tests/support/hpack_oracle.h"

#define SEEDS  60
#define BLOCKS 100

static uint8_t sent_text[FIXTURE_BYTES], got_text[FIXTURE_BYTES], block_text[4 * FIXTURE_BYTES];

static void make_fields(struct random *random, struct fields *fields)
{
    fields_init(fields, sent_text, sizeof(sent_text));
    uint32_t count = random_below(random, 30);
    for (uint32_t i = 0; i < count; i++)
        fixture_add_random(random, fields);
    assert_false(fields->overflow);
}

/* The same names and values in the same order; marks may have been added. */
static bool same_texts(const struct fields *sent, const struct fields *got)
{
    struct field one, other;
    uint32_t sent_at = 0, got_at = 0;
    if (sent->count != got->count || got->overflow)
        return false;
    while (fields_next(sent, &sent_at, &one)) {
        if (!fields_next(got, &got_at, &other))
            return false;
        one.never_index = other.never_index;
        if (!fixture_field_equal(&one, &other))
            return false;
    }
    return true;
}

static void nghttp2_decodes_what_we_encode(void **state)
{
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        nghttp2_hd_inflater *inflater;
        struct hpack_encoder encoder;
        struct random random;
        random_seed(&random, seed);
        hpack_encoder_init(&encoder, &fixture_tables);
        assert_int_equal(nghttp2_hd_inflate_new(&inflater), 0);
        for (uint32_t i = 0; i < BLOCKS; i++) {
            struct fields sent, got;
            make_fields(&random, &sent);
            for (uint32_t k = random_below(&random, 24); k > 20; k--) {
                uint32_t limit = random_below(&random, HPACK_TABLE_BYTES + 1);
                hpack_encoder_limit(&encoder, limit);
                assert_int_equal(nghttp2_hd_inflate_change_table_size(inflater, limit), 0);
            }
            struct writer out = writer_over(block_text, sizeof(block_text));
            assert_true(hpack_encode(&encoder, &sent, &out));
            fields_init(&got, got_text, sizeof(got_text));
            assert_true(oracle_inflate(inflater, writer_written(&out), &got));
            assert_true(same_texts(&sent, &got));
            assert_true(oracle_table_equal(inflater, encoder.table));
        }
        nghttp2_hd_inflate_del(inflater);
        hpack_encoder_close(&encoder);
    }
}

static void we_decode_what_nghttp2_encodes(void **state)
{
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        nghttp2_hd_deflater *deflater;
        nghttp2_hd_inflater *inflater;
        struct hpack_decoder decoder;
        struct random random;
        random_seed(&random, seed);
        hpack_decoder_init(&decoder, &fixture_tables);
        assert_int_equal(nghttp2_hd_deflate_new(&deflater, HPACK_TABLE_BYTES), 0);
        assert_int_equal(nghttp2_hd_inflate_new(&inflater), 0);
        for (uint32_t i = 0; i < BLOCKS; i++) {
            struct fields sent, got;
            make_fields(&random, &sent);
            for (uint32_t k = random_below(&random, 24); k > 20; k--) {
                uint32_t limit = random_below(&random, HPACK_TABLE_BYTES + 1);
                hpack_decoder_limit(&decoder, limit);
                assert_int_equal(nghttp2_hd_deflate_change_table_size(deflater, limit), 0);
                assert_int_equal(nghttp2_hd_inflate_change_table_size(inflater, limit), 0);
            }
            struct bytes block = oracle_deflate(deflater, &sent, block_text, sizeof(block_text));
            fields_init(&got, got_text, sizeof(got_text));
            assert_int_equal(hpack_decode(&decoder, block, &got), HPACK_OK);
            assert_true(same_texts(&sent, &got));
            fields_init(&got, got_text, sizeof(got_text));
            assert_true(oracle_inflate(inflater, block, &got));
            assert_true(oracle_table_equal(inflater, decoder.table));
        }
        nghttp2_hd_deflate_del(deflater);
        nghttp2_hd_inflate_del(inflater);
        hpack_decoder_close(&decoder);
    }
}

/* Damaged blocks: both find an error, or both find the same fields. */
static void we_and_nghttp2_find_the_same_errors(void **state)
{
    uint32_t good = 0, bad = 0;
    struct random random;
    random_seed(&random, 9);
    for (uint32_t i = 0; i < 4000; i++) {
        static uint8_t ours_text[FIXTURE_BYTES];
        nghttp2_hd_deflater *deflater;
        nghttp2_hd_inflater *inflater;
        struct hpack_decoder decoder;
        struct fields sent, got, ours;
        make_fields(&random, &sent);
        hpack_decoder_init(&decoder, &fixture_tables);
        assert_int_equal(nghttp2_hd_deflate_new(&deflater, HPACK_TABLE_BYTES), 0);
        assert_int_equal(nghttp2_hd_inflate_new(&inflater), 0);
        struct bytes block = oracle_deflate(deflater, &sent, block_text, sizeof(block_text));
        for (uint32_t k = 0; block.length > 0 && k <= i % 3; k++) {
            uint32_t at = random_below(&random, (uint32_t)block.length);
            if (random_below(&random, 4) == 0)
                block.length = at;
            else
                block_text[at] ^= (uint8_t)(1 << random_below(&random, 8));
        }
        fields_init(&ours, ours_text, sizeof(ours_text));
        fields_init(&got, got_text, sizeof(got_text));
        bool ok = oracle_inflate(inflater, block, &got);
        assert_int_equal(hpack_decode(&decoder, block, &ours) == HPACK_OK, ok);
        if (ok) {
            assert_true(fixture_fields_equal(&ours, &got));
            assert_true(oracle_table_equal(inflater, decoder.table));
        }
        good += ok;
        bad += !ok;
        nghttp2_hd_deflate_del(deflater);
        nghttp2_hd_inflate_del(inflater);
        hpack_decoder_close(&decoder);
    }
    assert_true(good > 100 && bad > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nghttp2_decodes_what_we_encode),
        cmocka_unit_test(we_decode_what_nghttp2_encodes),
        cmocka_unit_test(we_and_nghttp2_find_the_same_errors),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
