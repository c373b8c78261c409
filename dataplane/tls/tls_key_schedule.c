/*
 * tls_key_schedule: the key schedule of TLS 1.3 (RFC 8446 7.1) as a KDF of a provider
 * (provider-kdf(7)), in place of OpenSSL's TLS13-KDF, which looks the digest up by its name and
 * makes four objects for each of some twenty secrets of a handshake. What is hashed is hashed by
 * OpenSSL.
 *
 * Any thread; nothing is kept between calls.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* the digests without objects: SHA256_Init(3) */
#include "dataplane/base/bytes.h"
#include "dataplane/base/check.h"
#include "dataplane/tls/tls_provider.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/sha.h>
#include <string.h>

#define DIGEST_MAX SHA384_DIGEST_LENGTH
#define BLOCK_MAX  SHA512_CBLOCK
#define LABEL_MAX  255 /* of either vector in HkdfLabel */

union state {
    SHA256_CTX sha256;
    SHA512_CTX sha384;
};

/* The digests of TLS 1.3's cipher suites (RFC 8446 B.4). */
static const struct digest {
    const char *names[3];
    uint32_t bytes;
    uint32_t block;
    uint8_t empty[DIGEST_MAX]; /* of no bytes */
} digests[] = {
    {
        .names = {"SHA2-256", "SHA256", "SHA-256"},
        .bytes = SHA256_DIGEST_LENGTH,
        .block = SHA256_CBLOCK,
        .empty = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
                  0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
                  0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55},
    },
    {
        .names = {"SHA2-384", "SHA384", "SHA-384"},
        .bytes = SHA384_DIGEST_LENGTH,
        .block = SHA512_CBLOCK,
        .empty = {0x38, 0xb0, 0x60, 0xa7, 0x51, 0xac, 0x96, 0x38, 0x4c, 0xd9, 0x32, 0x7e,
                  0xb1, 0xb1, 0xe3, 0x6a, 0x21, 0xfd, 0xb7, 0x11, 0x14, 0xbe, 0x07, 0x43,
                  0x4c, 0x0c, 0xc7, 0xbf, 0x63, 0xf6, 0xe1, 0xda, 0x27, 0x4e, 0xde, 0xbf,
                  0xe7, 0x6f, 0x65, 0xfb, 0xd5, 0x1a, 0xd2, 0xf1, 0x48, 0x98, 0xb9, 0x5b},
    },
};

/* --- hashes --- */

static void begin(const struct digest *digest, union state *state)
{
    if (digest->block == SHA256_CBLOCK)
        SHA256_Init(&state->sha256);
    else
        SHA384_Init(&state->sha384);
}

static void update(const struct digest *digest, union state *state, const void *data, size_t length)
{
    if (digest->block == SHA256_CBLOCK)
        SHA256_Update(&state->sha256, data, length);
    else
        SHA384_Update(&state->sha384, data, length);
}

static void end(const struct digest *digest, union state *state, uint8_t *out)
{
    if (digest->block == SHA256_CBLOCK)
        SHA256_Final(out, &state->sha256);
    else
        SHA384_Final(out, &state->sha384);
}

/* The key as a block, with PAD over it; KEY is no longer than that. */
static void begin_padded(const struct digest *digest, union state *state, struct bytes key,
                         uint8_t pad)
{
    uint8_t block[BLOCK_MAX];
    memset(block, pad, digest->block);
    for (size_t i = 0; i < key.length; i++)
        block[i] ^= key.data[i];
    begin(digest, state);
    update(digest, state, block, digest->block);
    OPENSSL_cleanse(block, sizeof(block));
}

/* RFC 2104, of two pieces one after the other. */
static void hmac(const struct digest *digest, struct bytes key, struct bytes first,
                 struct bytes second, uint8_t *out)
{
    union state state;
    uint8_t inner[DIGEST_MAX], short_key[DIGEST_MAX];
    if (key.length > digest->block) {
        begin(digest, &state);
        update(digest, &state, key.data, key.length);
        end(digest, &state, short_key);
        key = bytes_of(short_key, digest->bytes);
    }
    begin_padded(digest, &state, key, 0x36);
    update(digest, &state, first.data, first.length);
    update(digest, &state, second.data, second.length);
    end(digest, &state, inner);
    begin_padded(digest, &state, key, 0x5c);
    update(digest, &state, inner, digest->bytes);
    end(digest, &state, out);
    OPENSSL_cleanse(&state, sizeof(state));
    OPENSSL_cleanse(inner, sizeof(inner));
    OPENSSL_cleanse(short_key, sizeof(short_key));
}

/* --- the key schedule --- */

/* What a derivation is asked with (EVP_KDF-TLS13_KDF(7)); BYTES_NONE: nothing was said. */
struct derivation {
    int mode;
    const struct digest *digest;
    struct bytes key;
    struct bytes salt;
    struct bytes prefix;
    struct bytes label;
    struct bytes data;
};

/* HkdfLabel (RFC 8446 7.1). 0: too long. */
static size_t write_label(const struct derivation *what, struct bytes context, size_t length,
                          uint8_t *out)
{
    size_t label = what->prefix.length + what->label.length;
    if (label > LABEL_MAX || context.length > LABEL_MAX || length > UINT16_MAX)
        return 0;
    uint8_t *at = out;
    *at++ = (uint8_t)(length >> 8);
    *at++ = (uint8_t)length;
    *at++ = (uint8_t)label;
    memcpy(at, what->prefix.data, what->prefix.length);
    at += what->prefix.length;
    memcpy(at, what->label.data, what->label.length);
    at += what->label.length;
    *at++ = (uint8_t)context.length;
    memcpy(at, context.data, context.length);
    return (size_t)(at + context.length - out);
}

/* HKDF-Expand-Label; the pieces are those of RFC 5869 2.3. */
static bool expand(const struct derivation *what, struct bytes secret, struct bytes context,
                   uint8_t *out, size_t length)
{
    const struct digest *digest = what->digest;
    /* A piece before, HkdfLabel, the piece's number. */
    uint8_t message[DIGEST_MAX + 4 + 2 * LABEL_MAX + 1], piece[DIGEST_MAX];
    size_t label = write_label(what, context, length, message + DIGEST_MAX);
    if (label == 0 || length > 255 * (size_t)digest->bytes)
        return false;
    struct bytes before = BYTES_NONE;
    uint8_t *number = message + DIGEST_MAX + label;
    for (*number = 1; length > 0; (*number)++) {
        hmac(digest, secret, before, bytes_of(message + DIGEST_MAX, label + 1), piece);
        size_t part = length < digest->bytes ? length : digest->bytes;
        memcpy(out, piece, part);
        out += part;
        length -= part;
        memcpy(message, piece, digest->bytes);
        before = bytes_of(message, digest->bytes);
    }
    OPENSSL_cleanse(piece, sizeof(piece));
    OPENSSL_cleanse(message, DIGEST_MAX);
    return true;
}

/* The next line of the schedule: what was derived from the secret before is extract's salt. */
static bool extract(const struct derivation *what, uint8_t *out, size_t length)
{
    static const uint8_t zeros[DIGEST_MAX];
    const struct digest *digest = what->digest;
    uint8_t derived[DIGEST_MAX];
    struct bytes salt = BYTES_NONE;
    struct bytes key = what->key.data != NULL ? what->key : bytes_of(zeros, digest->bytes);
    if (length != digest->bytes)
        return false;
    if (what->salt.data != NULL) {
        if (!expand(what, what->salt, bytes_of(digest->empty, digest->bytes), derived,
                    digest->bytes))
            return false;
        salt = bytes_of(derived, digest->bytes);
    }
    hmac(digest, salt, key, BYTES_NONE, out);
    OPENSSL_cleanse(derived, sizeof(derived));
    return true;
}

/* --- as OpenSSL calls it: provider-kdf(7) --- */

static const struct digest *digest_named(const OSSL_PARAM *name)
{
    if (name->data_type != OSSL_PARAM_UTF8_STRING || name->data == NULL)
        return NULL;
    for (size_t i = 0; i < array_count(digests); i++)
        for (size_t j = 0; j < array_count(digests[i].names); j++)
            if (OPENSSL_strcasecmp(digests[i].names[j], name->data) == 0)
                return &digests[i];
    return NULL;
}

static bool is_named(const OSSL_PARAM *parameter, const char *name)
{
    return strcmp(parameter->key, name) == 0;
}

/* Bytes that are there and empty are told from none by their address. */
static bool read_bytes(const OSSL_PARAM *parameter, struct bytes *into)
{
    *into = bytes_of(parameter->data != NULL ? parameter->data : "", parameter->data_size);
    return parameter->data_type == OSSL_PARAM_OCTET_STRING &&
           (parameter->data != NULL || parameter->data_size == 0);
}

/* What is not known is not looked at. */
static bool read_parameter(const OSSL_PARAM *parameter, struct derivation *into)
{
    if (is_named(parameter, OSSL_KDF_PARAM_KEY))
        return read_bytes(parameter, &into->key);
    if (is_named(parameter, OSSL_KDF_PARAM_PREFIX))
        return read_bytes(parameter, &into->prefix);
    if (is_named(parameter, OSSL_KDF_PARAM_LABEL))
        return read_bytes(parameter, &into->label);
    if (is_named(parameter, OSSL_KDF_PARAM_DATA))
        return read_bytes(parameter, &into->data);
    if (is_named(parameter, OSSL_KDF_PARAM_SALT))
        return read_bytes(parameter, &into->salt);
    if (is_named(parameter, OSSL_KDF_PARAM_MODE))
        return OSSL_PARAM_get_int(parameter, &into->mode) == 1;
    if (is_named(parameter, OSSL_KDF_PARAM_DIGEST))
        into->digest = digest_named(parameter);
    return true;
}

static int kdf_derive(void *context, unsigned char *out, size_t length,
                      const OSSL_PARAM parameters[])
{
    struct derivation what = {.mode = -1, .data = bytes_text("")};
    for (const OSSL_PARAM *next = parameters; next != NULL && next->key != NULL; next++)
        if (!read_parameter(next, &what))
            return 0;
    if (what.digest == NULL || what.label.data == NULL || what.prefix.data == NULL)
        return 0;
    if (what.mode == EVP_KDF_HKDF_MODE_EXTRACT_ONLY)
        return extract(&what, out, length);
    return what.mode == EVP_KDF_HKDF_MODE_EXPAND_ONLY && what.key.data != NULL &&
           expand(&what, what.key, what.data, out, length);
}

/* All there is to know comes with the call. */
static void *kdf_context(void *provider)
{
    static uint8_t nothing;
    return &nothing;
}

static void kdf_context_free(void *context)
{
}

const OSSL_DISPATCH tls_key_schedule[] = {
    TLS_FUNCTION(OSSL_FUNC_KDF_NEWCTX, kdf_context),
    TLS_FUNCTION(OSSL_FUNC_KDF_FREECTX, kdf_context_free),
    TLS_FUNCTION(OSSL_FUNC_KDF_DERIVE, kdf_derive),
    TLS_FUNCTIONS_END,
};
