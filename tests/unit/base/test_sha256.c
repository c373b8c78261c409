/* The vectors of FIPS 180-4 and NIST's CAVP; pieces of any size; both ways of doing blocks. */
#include "dataplane/base/sha256.h"

#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>

static void digest_of(struct bytes bytes, size_t piece, char out[2 * SHA256_BYTES + 1])
{
    struct sha256 hash;
    uint8_t digest[SHA256_BYTES];
    sha256_init(&hash);
    for (size_t at = 0; at < bytes.length; at += piece)
        sha256_update(&hash, bytes_first(bytes_after(bytes, at), piece));
    sha256_final(&hash, digest);
    for (int i = 0; i < SHA256_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void vectors(void **state)
{
    static const struct {
        const char *text;
        const char *digest;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqr"
         "lmnopqrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    char text[2 * SHA256_BYTES + 1];
    for (size_t i = 0; i < array_count(cases); i++) {
        digest_of(bytes_text(cases[i].text), 1000, text);
        assert_string_equal(text, cases[i].digest);
    }
}

static void a_million_times_a(void **state)
{
    char text[2 * SHA256_BYTES + 1];
    uint8_t *room = malloc(1000000);
    assert_non_null(room);
    memset(room, 'a', 1000000);
    digest_of(bytes_of(room, 1000000), 1000000, text);
    assert_string_equal(text, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(room);
}

static void the_size_of_pieces_does_not_matter(void **state)
{
    uint8_t room[300];
    char whole[2 * SHA256_BYTES + 1];
    char pieces[2 * SHA256_BYTES + 1];
    for (size_t i = 0; i < sizeof(room); i++)
        room[i] = (uint8_t)(i * 7);
    for (size_t length = 0; length <= sizeof(room); length++) {
        digest_of(bytes_of(room, length), sizeof(room), whole);
        for (size_t piece = 1; piece < 70; piece += 3) {
            digest_of(bytes_of(room, length), piece, pieces);
            assert_string_equal(whole, pieces);
        }
    }
}

static void instructions_and_plain_c_agree(void **state)
{
    uint8_t blocks[5 * SHA256_BLOCK_BYTES];
    for (int round = 0; round < 100; round++) {
        uint32_t a[8], b[8];
        for (size_t i = 0; i < sizeof(blocks); i++)
            blocks[i] = (uint8_t)(i * 31 + (size_t)round * 17);
        for (int i = 0; i < 8; i++)
            a[i] = b[i] = (uint32_t)(i * 0x9e3779b9u + (uint32_t)round);
        sha256_blocks(a, blocks, 5);
        sha256_blocks_plain(b, blocks, 5);
        assert_memory_equal(a, b, sizeof(a));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(a_million_times_a),
        cmocka_unit_test(the_size_of_pieces_does_not_matter),
        cmocka_unit_test(instructions_and_plain_c_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
