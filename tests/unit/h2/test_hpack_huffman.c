#include "dataplane/h2/hpack_huffman.h"
#include "tests/support/cmocka.h"
#include "tests/support/hpack_fixture.h"

#include <stdlib.h>

/* Both texts in blocks of exactly their size, so that the sanitizer sees a step beyond them. */
static bool decodes(struct bytes coded, size_t room_bytes, struct bytes *text, uint8_t *into,
                    bool *failed)
{
    uint8_t *in = malloc(coded.length + 1);
    uint8_t *out = malloc(room_bytes + 1);
    if (coded.length > 0)
        memcpy(in + 1, coded.data, coded.length);
    struct writer writer = writer_over(out + 1, room_bytes);
    bool valid = hpack_huffman_decode(bytes_of(in + 1, coded.length), &writer);
    *failed = writer.failed;
    *text = bytes_of(into, writer_length(&writer));
    if (writer_length(&writer) > 0)
        memcpy(into, writer.start, writer_length(&writer));
    free(out);
    free(in);
    return valid;
}

static void check_round_trip(struct bytes text)
{
    static uint8_t coded[32768], decoded[32768];
    size_t length = hpack_huffman_length(text);
    assert_true(length < sizeof(coded));
    coded[length] = 0xa5;
    hpack_huffman_encode(text, coded);
    assert_int_equal(coded[length], 0xa5);
    static uint8_t wide[65536];
    assert_int_equal(hpack_huffman_encode_wide(text, wide), length);
    assert_memory_equal(coded, wide, length);
    bool failed;
    struct bytes got;
    assert_true(decodes(bytes_of(coded, length), text.length, &got, decoded, &failed));
    assert_false(failed);
    assert_true(bytes_equal(got, text));
    if (text.length == 0)
        return;
    assert_true(decodes(bytes_of(coded, length), text.length - 1, &got, decoded, &failed));
    assert_true(failed);
}

static void every_pair_of_symbols_comes_back(void **state)
{
    for (uint32_t pair = 0; pair < 65536; pair++) {
        uint8_t text[2] = {(uint8_t)(pair >> 8), (uint8_t)pair};
        check_round_trip(bytes_of(text, 2));
    }
    for (uint32_t symbol = 0; symbol < 256; symbol++)
        check_round_trip(bytes_of((uint8_t[]){(uint8_t)symbol}, 1));
    check_round_trip(bytes_of("", 0));
}

static void random_texts_come_back(void **state)
{
    struct random random;
    static uint8_t text[2000];
    random_seed(&random, 7541);
    for (uint32_t i = 0; i < 3000; i++)
        check_round_trip(fixture_text(&random, text, i % 100 == 0 ? sizeof(text) : 60));
}

/* RFC 7541 C.4, C.6 */
static void the_examples_of_the_rfc_come_back(void **state)
{
    static const struct {
        const char *text, *coded;
    } cases[] = {
        {"www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"},
        {"no-cache", "a8eb10649cbf"},
        {"custom-key", "25a849e95ba97d7f"},
        {"custom-value", "25a849e95bb8e8b4bf"},
        {"302", "6402"},
        {"private", "aec3771a4b"},
        {"Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff"},
        {"https://www.example.com", "9d29ad171863c78f0b97c8e9ae82ae43d3"},
        {"307", "640eff"},
        {"gzip", "9bd9ab"},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        uint8_t coded[64], out[64];
        struct bytes want = fixture_hex(cases[i].coded, coded, sizeof(coded));
        assert_int_equal(hpack_huffman_length(bytes_text(cases[i].text)), want.length);
        hpack_huffman_encode(bytes_text(cases[i].text), out);
        assert_memory_equal(out, want.data, want.length);
        check_round_trip(bytes_text(cases[i].text));
    }
}

/* RFC 7541 5.2 */
static void wrong_padding_and_eos_are_refused(void **state)
{
    static const struct {
        const char *coded;
        bool valid;
    } cases[] = {
        {"", true},
        {"07", true},    /* '0' 00000, 3 bits of ones */
        {"06", false},   /* a zero in the padding */
        {"03", false},   /* 00000 011 */
        {"ff", false},   /* 8 bits of padding */
        {"07ff", false}, /* 3 + 8 bits */
        {"fe", false},   /* 7 bits of ones and a zero: an unfinished '!' */
        {"f8", true},    /* '&', no padding */
        {"f8ff", false}, /* a byte of padding behind a whole symbol */
        {"87", true},    /* 'A' 100001, 2 bits of ones */
        {"86", false},
        {"85", false},
        {"fffffffc", false}, /* EOS, 2 bits left */
        {"ffffffff", false}, /* EOS and padding */
        {"fffffffcffff", false},
        {"07fffffffc", false},
        {"fffffff3", true},  /* 0x0a, 30 bits of ..00, and 2 bits of padding */
        {"fffffff1", false}, /* the same with 01 for padding */
        {"ffffb1", true},    /* 0x01, 23 bits */
        {"ffffb0", false},
        {"00000000000000000000000000000006", false},
        {"00000000000000000000000000000007", true},
        {"0000000000000000fffffffff0000000000000000000", false}, /* EOS, and words behind it */
    };
    static uint8_t coded[64], out[256];
    for (size_t i = 0; i < array_count(cases); i++) {
        bool failed;
        struct bytes text;
        struct bytes block = fixture_hex(cases[i].coded, coded, sizeof(coded));
        bool valid = decodes(block, sizeof(out), &text, out, &failed);
        if (valid != cases[i].valid)
            fail_msg("%s", cases[i].coded);
        /* The same verdict without any room. */
        assert_int_equal(decodes(block, 0, &text, out, &failed), cases[i].valid);
    }
}

/* The code as the encoder tells it: 8 times one symbol takes as many bytes as its code has bits. */
static uint32_t code_of(uint8_t symbol, uint32_t *length)
{
    uint8_t text[8], coded[32];
    memset(text, symbol, sizeof(text));
    *length = (uint32_t)hpack_huffman_length(bytes_of(text, sizeof(text)));
    hpack_huffman_encode(bytes_of(text, sizeof(text)), coded);
    uint32_t word =
        (uint32_t)coded[0] << 24 | (uint32_t)coded[1] << 16 | (uint32_t)coded[2] << 8 | coded[3];
    return word >> (32 - *length);
}

/* Bit by bit: slow and obviously right. */
static bool decode_slowly(struct bytes coded, uint8_t *out, size_t *out_length)
{
    static uint32_t codes[256], lengths[256];
    for (uint32_t symbol = 0; symbol < 256; symbol++)
        codes[symbol] = code_of((uint8_t)symbol, &lengths[symbol]);
    uint32_t bits = 0, count = 0;
    *out_length = 0;
    for (size_t i = 0; i < coded.length * 8; i++) {
        bits = bits << 1 | (coded.data[i / 8] >> (7 - i % 8) & 1);
        count++;
        for (uint32_t symbol = 0; symbol < 256; symbol++) {
            if (lengths[symbol] != count || codes[symbol] != bits)
                continue;
            out[(*out_length)++] = (uint8_t)symbol;
            bits = 0;
            count = 0;
            break;
        }
        if (count == 30)
            return false;
    }
    return count < 8 && bits == (1U << count) - 1;
}

static void random_bits_decode_as_bit_by_bit(void **state)
{
    struct random random;
    static uint8_t coded[24], slow[64], fast[64];
    random_seed(&random, 30);
    for (uint32_t i = 0; i < 3000; i++) {
        size_t length = random_below(&random, sizeof(coded) + 1), slow_length;
        for (size_t k = 0; k < length; k++)
            coded[k] = (uint8_t)(random_u64(&random) | (i % 3 == 0 ? 0xf0 : 0));
        if (length > 0 && i % 2 == 0)
            coded[length - 1] |= 0x7f;
        bool failed;
        struct bytes text;
        bool valid = decodes(bytes_of(coded, length), sizeof(fast), &text, fast, &failed);
        assert_int_equal(valid, decode_slowly(bytes_of(coded, length), slow, &slow_length));
        if (valid)
            assert_true(bytes_equal(text, bytes_of(slow, slow_length)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_of_symbols_comes_back),
        cmocka_unit_test(random_texts_come_back),
        cmocka_unit_test(the_examples_of_the_rfc_come_back),
        cmocka_unit_test(wrong_padding_and_eos_are_refused),
        cmocka_unit_test(random_bits_decode_as_bit_by_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
