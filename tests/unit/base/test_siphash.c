#include "dataplane/base/siphash.h"

#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"

/*
 * The reference implementation's vectors: key 00 01 .. 0f, entry N is the hash of the N bytes
 * 00 01 .. N-1.
 */
static const uint64_t reference[64] = {
    0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
    0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
    0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
    0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
    0x3f2acc7f57c29bdb, 0x699ae9f52cbe4794, 0x4bc1b3f0968dd39c, 0xbb6dc91da77961bd,
    0xbed65cf21aa2ee98, 0xd0f2cbb02e3b67c7, 0x93536795e3a33e88, 0xa80c038ccd5ccec8,
    0xb8ad50c6f649af94, 0xbce192de8a85b8ea, 0x17d835b85bbb15f3, 0x2f2e6163076bcfad,
    0xde4daaaca71dc9a5, 0xa6a2506687956571, 0xad87a3535c49ef28, 0x32d892fad841c342,
    0x7127512f72f27cce, 0xa7f32346f95978e3, 0x12e0b01abb051238, 0x15e034d40fa197ae,
    0x314dffbe0815a3b4, 0x027990f029623981, 0xcadcd4e59ef40c4d, 0x9abfd8766a33735c,
    0x0e3ea96b5304a7d0, 0xad0c42d6fc585992, 0x187306c89bc215a9, 0xd4a60abcf3792b95,
    0xf935451de4f21df2, 0xa9538f0419755787, 0xdb9acddff56ca510, 0xd06c98cd5c0975eb,
    0xe612a3cb9ecba951, 0xc766e62cfcadaf96, 0xee64435a9752fe72, 0xa192d576b245165a,
    0x0a8787bf8ecb74b2, 0x81b3e73d20b49b6f, 0x7fa8220ba3b2ecea, 0x245731c13ca42499,
    0xb78dbfaf3a8d83bd, 0xea1ad565322a1a0b, 0x60e61c23a3795013, 0x6606d7e446282b93,
    0x6ca4ecb15c5f91e1, 0x9f626da15c9625f3, 0xe51b38608ef25f57, 0x958a324ceb064572,
};

static const struct siphash_key reference_key = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

static void reference_vectors_are_reproduced(void **state)
{
    uint8_t input[64];
    for (size_t i = 0; i < sizeof(input); i++)
        input[i] = (uint8_t)i;
    for (size_t length = 0; length < array_count(reference); length++)
        assert_int_equal(siphash(&reference_key, bytes_of(input, length)), reference[length]);
}

static void words_are_hashed_like_their_bytes(void **state)
{
    uint64_t words[7];
    for (size_t i = 0; i < sizeof(words); i++)
        ((uint8_t *)words)[i] = (uint8_t)i;
    for (uint32_t count = 0; count < array_count(words); count++)
        assert_int_equal(siphash_words(&reference_key, words, count, (uint32_t)words[count]),
                         reference[8 * count + 4]);
}

static void input_may_start_at_any_address(void **state)
{
    uint8_t room[64 + 8];
    for (size_t shift = 0; shift < 8; shift++) {
        for (size_t i = 0; i < 63; i++)
            room[shift + i] = (uint8_t)i;
        assert_int_equal(siphash(&reference_key, bytes_of(room + shift, 63)), reference[63]);
    }
}

static void each_half_of_the_key_matters(void **state)
{
    struct siphash_key key = reference_key;
    key.k0 ^= 1;
    assert_int_not_equal(siphash(&key, BYTES_NONE), reference[0]);
    key = reference_key;
    key.k1 ^= 1ull << 63;
    assert_int_not_equal(siphash(&key, BYTES_NONE), reference[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_vectors_are_reproduced),
        cmocka_unit_test(words_are_hashed_like_their_bytes),
        cmocka_unit_test(input_may_start_at_any_address),
        cmocka_unit_test(each_half_of_the_key_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
