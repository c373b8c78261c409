#include "tests/support/cmocka.h"
#include "tests/support/hpack_fixture.h"

#include <stdlib.h>

static uint8_t out_text[FIXTURE_BYTES];

/* Decode one block from a copy of exactly its size. */
static enum hpack_result decode_bytes(struct hpack_decoder *decoder, struct bytes block,
                                      struct fields *out)
{
    uint8_t *copy = malloc(block.length + 1);
    memcpy(copy + 1, block.data, block.length);
    enum hpack_result result = hpack_decode(decoder, bytes_of(copy + 1, block.length), out);
    free(copy);
    return result;
}

static enum hpack_result decode_hex(struct hpack_decoder *decoder, const char *text,
                                    struct fields *out)
{
    static uint8_t block[FIXTURE_BYTES];
    fields_init(out, out_text, sizeof(out_text));
    return decode_bytes(decoder, fixture_hex(text, block, sizeof(block)), out);
}

static void blocks_have_their_results(void **state)
{
    static const struct {
        const char *block;
        enum hpack_result result;
        uint32_t count;
    } cases[] = {
        {"", HPACK_OK, 0},
        {"82", HPACK_OK, 1},
        {"80", HPACK_BAD_INDEX, 0},     /* RFC 7541 6.1: 0 is an error */
        {"bd", HPACK_OK, 1},            /* the last static one */
        {"be", HPACK_BAD_INDEX, 0},     /* the table is empty */
        {"4001610162 be", HPACK_OK, 2}, /* entered, then named */
        {"4001610162 bf", HPACK_BAD_INDEX, 1},
        {"0001610162 be", HPACK_BAD_INDEX, 1},
        {"7e0162", HPACK_BAD_INDEX, 0}, /* a literal with the name of no entry */
        {"4001610162 7e0163", HPACK_OK, 2},
        {"0f2f0162", HPACK_BAD_INDEX, 0}, /* 15 + 47 = 62 */
        {"0f2e0162", HPACK_OK, 1},        /* 61 */
        {"4000 00", HPACK_OK, 1},         /* empty name and value */
        {"ff", HPACK_TRUNCATED, 0},
        {"ff80", HPACK_TRUNCATED, 0},
        {"ff00", HPACK_BAD_INDEX, 0},
        {"ff8080808000", HPACK_BAD_INDEX, 0},     /* 5 octets, 127 */
        {"ff808080808000", HPACK_BAD_INTEGER, 0}, /* 6 octets */
        {"ff8080808080", HPACK_BAD_INTEGER, 0},
        {"ff80808080 10", HPACK_BAD_INTEGER, 0}, /* 127 + 2^32 */
        {"ff80ffffff 0f", HPACK_BAD_INDEX, 0},   /* 2^32 - 1 */
        {"ff81ffffff 0f", HPACK_BAD_INTEGER, 0}, /* 2^32 */
        {"00", HPACK_TRUNCATED, 0},
        {"0001", HPACK_TRUNCATED, 0},
        {"000161", HPACK_TRUNCATED, 0},
        {"00016101", HPACK_TRUNCATED, 0},
        {"0001617f", HPACK_TRUNCATED, 0},
        {"00016101 62", HPACK_OK, 1},
        {"007fffffffff 0f", HPACK_BAD_INTEGER, 0},  /* a name of 2^32 + 126 bytes */
        {"007f80ffffff 0f 61", HPACK_TRUNCATED, 0}, /* a name of 2^32 - 1 bytes */
        {"0001618107", HPACK_OK, 1},
        {"0001618106", HPACK_BAD_HUFFMAN, 0},
        {"00016181ff", HPACK_BAD_HUFFMAN, 0},
        {"008106 00", HPACK_BAD_HUFFMAN, 0},
        {"00016184fffffffc", HPACK_BAD_HUFFMAN, 0},
        {"20", HPACK_OK, 0},
        {"3fe11f", HPACK_OK, 0},             /* 4096 */
        {"3fe21f", HPACK_BAD_TABLE_SIZE, 0}, /* 4097 */
        {"203fe11f", HPACK_OK, 0},           /* RFC 7541 4.2: the lowest, then the new one */
        {"203fe11f82", HPACK_OK, 1},
        {"202020", HPACK_BAD_TABLE_SIZE, 0}, /* a third */
        {"8220", HPACK_BAD_TABLE_SIZE, 1},   /* not at the start */
        {"3f", HPACK_TRUNCATED, 0},
        {"3fffffffffffff", HPACK_BAD_INTEGER, 0},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct hpack_decoder decoder;
        struct fields fields;
        hpack_decoder_init(&decoder, &fixture_tables);
        enum hpack_result result = decode_hex(&decoder, cases[i].block, &fields);
        if (result != cases[i].result || fields.count != cases[i].count)
            fail_msg("%s: result %d with %u fields", cases[i].block, result, fields.count);
        hpack_decoder_close(&decoder);
    }
}

/* RFC 7541 C.1.2, C.1.3 */
static void size_updates_take_effect(void **state)
{
    struct hpack_decoder decoder;
    struct fields fields;
    hpack_decoder_init(&decoder, &fixture_tables);
    assert_int_equal(decode_hex(&decoder, "4001610162 4001630164 4001650166", &fields), HPACK_OK);
    assert_int_equal(decoder.table->count, 3);
    assert_int_equal(decode_hex(&decoder, "3f9a0a", &fields), HPACK_OK);
    assert_int_equal(decoder.size_bytes, 1337);
    assert_int_equal(decoder.table->count, 3);
    assert_int_equal(decode_hex(&decoder, "3f25", &fields), HPACK_OK); /* 68: two entries of 34 */
    assert_int_equal(decoder.table->count, 2);
    assert_int_equal(decode_hex(&decoder, "3f24", &fields), HPACK_OK);
    assert_int_equal(decoder.table->count, 1);
    assert_int_equal(decode_hex(&decoder, "203fe11f", &fields), HPACK_OK);
    assert_null(decoder.table); /* size 0: given back */
    assert_int_equal(decoder.size_bytes, 4096);
    hpack_decoder_close(&decoder);
}

static void a_lowered_limit_has_to_be_answered(void **state)
{
    struct hpack_decoder decoder;
    struct fields fields;
    hpack_decoder_init(&decoder, &fixture_tables);
    hpack_decoder_limit(&decoder, 4096);
    assert_int_equal(decode_hex(&decoder, "82", &fields), HPACK_OK);
    hpack_decoder_limit(&decoder, 100);
    assert_int_equal(decode_hex(&decoder, "3f45", &fields), HPACK_OK); /* 100 */
    assert_int_equal(decode_hex(&decoder, "82", &fields), HPACK_OK);
    hpack_decoder_limit(&decoder, 200); /* above what the peer uses: it may stay */
    assert_int_equal(decode_hex(&decoder, "82", &fields), HPACK_OK);
    hpack_decoder_limit(&decoder, 50);
    assert_int_equal(decode_hex(&decoder, "3f14", &fields), HPACK_BAD_TABLE_SIZE); /* 51 */
    assert_int_equal(decode_hex(&decoder, "82", &fields), HPACK_BAD_TABLE_SIZE);
    assert_int_equal(decode_hex(&decoder, "", &fields), HPACK_BAD_TABLE_SIZE);
    assert_int_equal(decode_hex(&decoder, "2082", &fields), HPACK_OK);
    hpack_decoder_close(&decoder);
}

/* RFC 7541 4.4 */
static void an_entry_larger_than_the_table_empties_it(void **state)
{
    struct hpack_decoder decoder;
    struct fields fields;
    hpack_decoder_init(&decoder, &fixture_tables);
    assert_int_equal(decode_hex(&decoder, "3f03 4001610162", &fields), HPACK_OK); /* 34 */
    assert_int_equal(decoder.table->count, 1);
    assert_int_equal(decode_hex(&decoder, "400161026263", &fields), HPACK_OK);
    assert_int_equal(fields.count, 1);
    assert_int_equal(decoder.table->count, 0);
    hpack_decoder_close(&decoder);
}

/* Also when neither OUT nor any table has room for it: a value of 4096 bytes. */
static void an_unwanted_entry_larger_than_any_table_empties_it(void **state)
{
    static uint8_t block[6 + 4096] = {0x40, 0x01, 'a', 0x7f, 0x81, 0x1f};
    struct hpack_decoder decoder;
    struct fields fields;
    hpack_decoder_init(&decoder, &fixture_tables);
    assert_int_equal(decode_hex(&decoder, "4001610162", &fields), HPACK_OK);
    assert_int_equal(decoder.table->count, 1);
    fields_init(&fields, out_text, 100);
    assert_int_equal(decode_bytes(&decoder, bytes_of(block, sizeof(block) - 1), &fields),
                     HPACK_TRUNCATED);
    assert_int_equal(decoder.table->count, 1);
    fields_init(&fields, out_text, 100);
    assert_int_equal(decode_bytes(&decoder, bytes_of(block, sizeof(block)), &fields), HPACK_OK);
    assert_true(fields.overflow);
    assert_int_equal(decoder.table->count, 0);
    hpack_decoder_close(&decoder);
}

/* The name may come from the entry that the new one evicts. RFC 7541 4.4 */
static void a_name_outlives_its_entry(void **state)
{
    struct hpack_decoder decoder;
    struct fields fields;
    struct field field = {0}, want = fixture_field("abc", "2");
    uint32_t at = 0;
    hpack_decoder_init(&decoder, &fixture_tables);
    assert_int_equal(decode_hex(&decoder, "3f05 40036162630131", &fields), HPACK_OK); /* 36 */
    assert_int_equal(decode_hex(&decoder, "7e0132 be", &fields), HPACK_OK);
    assert_int_equal(fields.count, 2);
    while (fields_next(&fields, &at, &field))
        assert_true(fixture_field_equal(&field, &want));
    assert_int_equal(decoder.table->count, 1);
    hpack_decoder_close(&decoder);
}

static void a_decoder_takes_no_table_before_it_needs_one(void **state)
{
    struct hpack_decoder decoder;
    struct fields fields;
    hpack_decoder_init(&decoder, &fixture_tables);
    assert_int_equal(decode_hex(&decoder, "82 0001610162 1001610162", &fields), HPACK_OK);
    assert_int_equal(decode_hex(&decoder, "20 4001610162", &fields), HPACK_OK);
    assert_null(decoder.table);
    assert_int_equal(pool_used(&fixture_tables.pool), 0);
    hpack_decoder_close(&decoder);
}

static void an_empty_pool_is_an_error_of_its_own(void **state)
{
    struct hpack_table *taken[FIXTURE_TABLES];
    struct hpack_decoder decoder;
    struct fields fields;
    for (size_t i = 0; i < FIXTURE_TABLES; i++)
        taken[i] = hpack_table_take(&fixture_tables);
    hpack_decoder_init(&decoder, &fixture_tables);
    assert_int_equal(decode_hex(&decoder, "82 0001610162", &fields), HPACK_OK);
    assert_int_equal(decode_hex(&decoder, "4001610162", &fields), HPACK_NO_MEMORY);
    hpack_decoder_close(&decoder);
    for (size_t i = 0; i < FIXTURE_TABLES; i++)
        hpack_table_give(&fixture_tables, taken[i]);
}

/* Blocks of one encoder with everything in them. */
#define STREAM_BLOCKS 40

static uint8_t stream_text[STREAM_BLOCKS][FIXTURE_BYTES];
static struct bytes stream[STREAM_BLOCKS];

static void make_stream(uint64_t seed)
{
    static uint8_t text[FIXTURE_BYTES];
    struct hpack_encoder encoder;
    struct random random;
    random_seed(&random, seed);
    hpack_encoder_init(&encoder, &fixture_tables);
    for (size_t i = 0; i < STREAM_BLOCKS; i++) {
        struct fields fields;
        fields_init(&fields, text, sizeof(text));
        uint32_t count = random_below(&random, 20);
        for (uint32_t k = 0; k < count; k++)
            fixture_add_random(&random, &fields);
        if (random_below(&random, 8) == 0)
            hpack_encoder_limit(&encoder, random_below(&random, 6000));
        struct writer out = writer_over(stream_text[i], FIXTURE_BYTES);
        assert_true(hpack_encode(&encoder, &fields, &out));
        stream[i] = writer_written(&out);
    }
    hpack_encoder_close(&encoder);
}

/*
 * Two decoders see the same stream, one with little room for fields. Their tables stay the same,
 * and what fitted is the beginning of what was sent.
 */
static void an_overflow_keeps_the_table_in_step(void **state)
{
    static uint8_t small_text[FIXTURE_BYTES];
    uint32_t overflows = 0;
    for (uint32_t seed = 1; seed <= 60; seed++) {
        struct hpack_decoder decoder, small;
        struct random random;
        random_seed(&random, seed);
        make_stream(seed);
        hpack_decoder_init(&decoder, &fixture_tables);
        hpack_decoder_init(&small, &fixture_tables);
        for (size_t i = 0; i < STREAM_BLOCKS; i++) {
            struct fields fields, few;
            fields_init(&fields, out_text, sizeof(out_text));
            fields_init(&few, small_text, random_below(&random, 400));
            assert_int_equal(decode_bytes(&decoder, stream[i], &fields), HPACK_OK);
            assert_int_equal(decode_bytes(&small, stream[i], &few), HPACK_OK);
            assert_true(fixture_tables_equal(decoder.table, small.table));
            assert_false(fields.overflow);
            assert_true(few.used <= fields.used && few.overflow == (few.used < fields.used));
            if (few.used > 0)
                assert_memory_equal(few.data, fields.data, few.used);
            overflows += few.overflow;
        }
        hpack_decoder_close(&small);
        hpack_decoder_close(&decoder);
    }
    assert_true(overflows > 100);
}

/* A prefix of a block is either whole fields or truncated, nothing else. */
static void blocks_cut_at_every_byte_are_truncated_or_shorter(void **state)
{
    uint32_t whole = 0, truncated = 0;
    make_stream(3);
    for (size_t cut = 0; cut <= stream[0].length + stream[1].length; cut++) {
        struct hpack_decoder decoder;
        struct fields fields;
        hpack_decoder_init(&decoder, &fixture_tables);
        fields_init(&fields, out_text, sizeof(out_text));
        struct bytes first = bytes_first(stream[0], cut);
        enum hpack_result result = decode_bytes(&decoder, first, &fields);
        if (cut > stream[0].length) {
            fields_init(&fields, out_text, sizeof(out_text));
            first = bytes_first(stream[1], cut - stream[0].length);
            result = decode_bytes(&decoder, first, &fields);
        }
        assert_true(result == HPACK_OK || result == HPACK_TRUNCATED);
        whole += result == HPACK_OK;
        truncated += result == HPACK_TRUNCATED;
        hpack_decoder_close(&decoder);
    }
    assert_true(whole > 10 && truncated > 100);
}

static void flipped_bits_do_no_harm(void **state)
{
    uint32_t results[HPACK_NO_MEMORY + 1] = {0};
    static uint8_t block[FIXTURE_BYTES];
    make_stream(5);
    for (size_t i = 0; i < 6; i++) {
        for (size_t bit = 0; bit < stream[i].length * 8 && bit < 8000; bit++) {
            struct hpack_decoder decoder;
            struct fields fields;
            hpack_decoder_init(&decoder, &fixture_tables);
            memcpy(block, stream[i].data, stream[i].length);
            block[bit / 8] ^= (uint8_t)(1 << bit % 8);
            for (uint32_t again = 0; again < 2; again++) {
                fields_init(&fields, out_text, bit % 2 == 0 ? 200 : sizeof(out_text));
                results[decode_bytes(&decoder, bytes_of(block, stream[i].length), &fields)]++;
            }
            hpack_decoder_close(&decoder);
        }
    }
    assert_true(results[HPACK_OK] > 0 && results[HPACK_BAD_INDEX] > 0 &&
                results[HPACK_BAD_HUFFMAN] > 0 && results[HPACK_TRUNCATED] > 0);
    assert_int_equal(results[HPACK_NO_MEMORY], 0);
}

static void random_blocks_do_no_harm(void **state)
{
    struct random random;
    uint8_t block[200];
    random_seed(&random, 77);
    for (uint32_t i = 0; i < 20000; i++) {
        struct hpack_decoder decoder;
        struct fields fields;
        hpack_decoder_init(&decoder, &fixture_tables);
        size_t length = random_below(&random, sizeof(block) + 1);
        for (size_t k = 0; k < length; k++)
            block[k] = (uint8_t)random_below(&random, i % 2 == 0 ? 256 : 70);
        fields_init(&fields, out_text, random_below(&random, 500));
        (void)decode_bytes(&decoder, bytes_of(block, length), &fields);
        hpack_decoder_close(&decoder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_have_their_results),
        cmocka_unit_test(size_updates_take_effect),
        cmocka_unit_test(a_lowered_limit_has_to_be_answered),
        cmocka_unit_test(an_entry_larger_than_the_table_empties_it),
        cmocka_unit_test(an_unwanted_entry_larger_than_any_table_empties_it),
        cmocka_unit_test(a_name_outlives_its_entry),
        cmocka_unit_test(a_decoder_takes_no_table_before_it_needs_one),
        cmocka_unit_test(an_empty_pool_is_an_error_of_its_own),
        cmocka_unit_test(an_overflow_keeps_the_table_in_step),
        cmocka_unit_test(blocks_cut_at_every_byte_are_truncated_or_shorter),
        cmocka_unit_test(flipped_bits_do_no_harm),
        cmocka_unit_test(random_blocks_do_no_harm),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
