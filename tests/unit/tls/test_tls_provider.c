/* A context with the algorithms of TLS; the key schedule beside OpenSSL's own, and the vectors of
 * RFC 8448. */
#include "dataplane/base/bytes.h"
#include "dataplane/base/check.h"
#include "dataplane/tls/tls_provider.h"
#include "tests/support/cmocka.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

#define OUT_BYTES 200

struct asked {
    int mode;
    const char *digest;
    struct bytes key, salt, prefix, label, data;
};

static OSSL_LIB_CTX *ours; /* NULL: OpenSSL's own */

static OSSL_PARAM octets(const char *name, struct bytes bytes)
{
    return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)bytes.data, bytes.length);
}

static bool derive(OSSL_LIB_CTX *who, const struct asked *asked, uint8_t *out, size_t length)
{
    OSSL_PARAM parameters[8], *next = parameters;
    int mode = asked->mode;
    *next++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
    *next++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                               (char *)(uintptr_t)asked->digest, 0);
    const struct {
        const char *name;
        struct bytes bytes;
    } pieces[] = {
        {OSSL_KDF_PARAM_KEY, asked->key},       {OSSL_KDF_PARAM_SALT, asked->salt},
        {OSSL_KDF_PARAM_PREFIX, asked->prefix}, {OSSL_KDF_PARAM_LABEL, asked->label},
        {OSSL_KDF_PARAM_DATA, asked->data},
    };
    for (size_t i = 0; i < array_count(pieces); i++)
        if (pieces[i].bytes.data != NULL)
            *next++ = octets(pieces[i].name, pieces[i].bytes);
    *next = OSSL_PARAM_construct_end();
    EVP_KDF *kdf = EVP_KDF_fetch(who, OSSL_KDF_NAME_TLS1_3_KDF, NULL);
    assert_non_null(kdf);
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
    bool good = EVP_KDF_derive(context, out, length, parameters) == 1;
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return good;
}

static void is_the_same_as_openssl(const struct asked *asked, size_t length)
{
    uint8_t got[OUT_BYTES], wanted[OUT_BYTES];
    assert_true(derive(ours, asked, got, length));
    assert_true(derive(NULL, asked, wanted, length));
    assert_memory_equal(got, wanted, length);
}

static const uint8_t pattern[256] = {1, 4, 9, 16, 25, 36, 49, 64, 81, 100, 121, 144, 169};

static struct asked expansion(const char *digest, size_t key, size_t label, size_t data)
{
    return (struct asked){
        .mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY,
        .digest = digest,
        .key = bytes_of(pattern, key),
        .prefix = bytes_of("tls13 ", 6),
        .label = bytes_of(pattern + 1, label),
        .data = data > 0 ? bytes_of(pattern + 2, data) : BYTES_NONE,
    };
}

static void secrets_are_those_of_openssl(void **state)
{
    static const char *const names[] = {"SHA2-256", "SHA256", "sha-256", "SHA2-384", "SHA384"};
    static const size_t lengths[] = {1, 12, 16, 32, 48, 64, 97, OUT_BYTES};
    for (size_t i = 0; i < array_count(names); i++)
        for (size_t j = 0; j < array_count(lengths); j++)
            for (size_t data = 0; data <= 48; data += 16) {
                size_t bytes = i < 3 ? 32 : 48;
                struct asked asked = expansion(names[i], bytes, 1 + 3 * j, data);
                is_the_same_as_openssl(&asked, lengths[j]);
            }
}

static void lines_of_the_schedule_are_those_of_openssl(void **state)
{
    static const char *const names[] = {"SHA256", "SHA384"};
    for (size_t i = 0; i < array_count(names); i++)
        for (int given = 0; given < 4; given++) {
            size_t bytes = i == 0 ? 32 : 48;
            struct asked asked = {
                .mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY,
                .digest = names[i],
                .key = given & 1 ? bytes_of(pattern, bytes) : BYTES_NONE,
                .salt = given & 2 ? bytes_of(pattern + 3, bytes) : BYTES_NONE,
                .prefix = bytes_of("tls13 ", 6),
                .label = bytes_of("derived", 7),
            };
            is_the_same_as_openssl(&asked, bytes);
        }
}

/* A key that is longer than a block is hashed first (RFC 2104 2). */
static void long_keys_are_those_of_openssl(void **state)
{
    for (size_t bytes = 60; bytes <= 140; bytes += 5) {
        struct asked asked = expansion("SHA256", bytes, 5, 32);
        is_the_same_as_openssl(&asked, 32);
        asked = expansion("SHA384", bytes, 5, 32);
        is_the_same_as_openssl(&asked, 48);
    }
}

/* RFC 8448 3: the early secret, and what the handshake's is derived from. */
static void the_first_secret_is_that_of_rfc_8448(void **state)
{
    static const uint8_t early[32] = {0x33, 0xad, 0x0a, 0x1c, 0x60, 0x7e, 0xc0, 0x3b,
                                      0x09, 0xe6, 0xcd, 0x98, 0x93, 0x68, 0x0c, 0xe2,
                                      0x10, 0xad, 0xf3, 0x00, 0xaa, 0x1f, 0x26, 0x60,
                                      0xe1, 0xb2, 0x2e, 0x10, 0xf1, 0x70, 0xf9, 0x2a};
    struct asked asked = {
        .mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY,
        .digest = "SHA256",
        .prefix = bytes_of("tls13 ", 6),
        .label = bytes_of("derived", 7),
    };
    uint8_t out[32];
    assert_true(derive(ours, &asked, out, sizeof(out)));
    assert_memory_equal(out, early, sizeof(out));
}

static void what_makes_no_sense_is_refused(void **state)
{
    uint8_t out[OUT_BYTES];
    struct asked good = expansion("SHA256", 32, 5, 32);
    assert_true(derive(ours, &good, out, 32));
    struct asked bad = good;
    bad.digest = "MD5";
    assert_false(derive(ours, &bad, out, 32));
    bad = good;
    bad.key = BYTES_NONE;
    assert_false(derive(ours, &bad, out, 32));
    bad = good;
    bad.label = bytes_of(pattern, 250);
    assert_false(derive(ours, &bad, out, 32));
    bad = good;
    bad.data = bytes_of(pattern, 256);
    assert_false(derive(ours, &bad, out, 32));
    bad = good;
    bad.mode = EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND;
    assert_false(derive(ours, &bad, out, 32));
    bad.mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
    assert_false(derive(ours, &bad, out, 31));
}

static void count_name(const char *name, void *count)
{
    ++*(uint32_t *)count;
}

/* A context knows what TLS may need, and nothing else. */
static void a_context_has_the_algorithms_of_tls(void **state)
{
    static const char *const ciphers[] = {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"};
    for (size_t i = 0; i < array_count(ciphers); i++) {
        EVP_CIPHER *cipher = EVP_CIPHER_fetch(ours, ciphers[i], NULL);
        assert_non_null(cipher);
        EVP_CIPHER_free(cipher);
    }
    assert_null(EVP_CIPHER_fetch(ours, "CAMELLIA-128-CBC", NULL));
    assert_null(EVP_MD_fetch(ours, "MD5", NULL));
    EVP_MD *digest = EVP_MD_fetch(ours, "SHA256", NULL);
    uint32_t names = 0;
    assert_true(EVP_MD_names_do_all(digest, count_name, &names));
    assert_true(names > 1);
    EVP_MD_free(digest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_those_of_openssl),
        cmocka_unit_test(lines_of_the_schedule_are_those_of_openssl),
        cmocka_unit_test(long_keys_are_those_of_openssl),
        cmocka_unit_test(the_first_secret_is_that_of_rfc_8448),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(a_context_has_the_algorithms_of_tls),
    };
    ours = tls_library_new();
    if (ours == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
