#include "dataplane/tls/tls_provider.h"

#include "dataplane/base/check.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/provider.h>
#include <string.h>

#define ALGORITHMS_MAX 96 /* of one operation */

/* By the first of its names; whatever operation it is for. */
static const char *const wanted[] = {
    /* ciphers of both policies; of tickets; of the random generator */
    "AES-128-GCM",
    "AES-256-GCM",
    "ChaCha20-Poly1305",
    "AES-256-CBC",
    "AES-256-CTR",
    "AES-256-ECB",
    "CTR-DRBG",
    /* digests of signatures, transcripts and keys */
    "SHA1",
    "SHA2-224",
    "SHA2-256",
    "SHA2-384",
    "SHA2-512",
    "HMAC",
    "TLS1-PRF",
    /* keys, and what is done with them */
    "RSA",
    "RSA-PSS",
    "EC",
    "ECDH",
    "ECDSA",
    "X25519",
    "X448",
    "ED25519",
    "ED448",
    /* files */
    "DER",
    "file",
};

/*
 * The same for all contexts, since they say what there is in the library, not in a context.
 * Written by the first one; main thread at start.
 */
static OSSL_ALGORITHM algorithms[OSSL_OP__HIGHEST + 1][ALGORITHMS_MAX + 1];
static const OSSL_PROVIDER *source;

static bool is_wanted(const OSSL_ALGORITHM *algorithm)
{
    size_t length = strcspn(algorithm->algorithm_names, ":");
    for (size_t i = 0; i < array_count(wanted); i++)
        if (strlen(wanted[i]) == length &&
            memcmp(algorithm->algorithm_names, wanted[i], length) == 0)
            return true;
    return false;
}

static void choose(OSSL_PROVIDER *provider, int operation)
{
    int no_cache = 0;
    const OSSL_ALGORITHM *next = OSSL_PROVIDER_query_operation(provider, operation, &no_cache);
    OSSL_ALGORITHM *into = algorithms[operation];
    for (; next != NULL && next->algorithm_names != NULL; next++) {
        if (!is_wanted(next))
            continue;
        check(into < algorithms[operation] + ALGORITHMS_MAX);
        *into++ = *next;
    }
    if (operation == OSSL_OP_KDF)
        *into = (OSSL_ALGORITHM){OSSL_KDF_NAME_TLS1_3_KDF, "provider=weir", tls_key_schedule, NULL};
}

static void choose_all(OSSL_PROVIDER *provider)
{
    if (source != NULL)
        return;
    for (int operation = 1; operation <= OSSL_OP__HIGHEST; operation++)
        if (operation != OSSL_OP_ENCODER) /* nothing is written */
            choose(provider, operation);
    source = provider;
}

static const OSSL_ALGORITHM *query(void *context, int operation, int *no_cache)
{
    *no_cache = 0;
    return operation > 0 && operation <= OSSL_OP__HIGHEST ? algorithms[operation] : NULL;
}

/* The groups of TLS (RFC 8446 4.2.7): of those without their algorithms none is used. */
static int capabilities(void *context, const char *name, OSSL_CALLBACK *told, void *argument)
{
    return OSSL_PROVIDER_get_capabilities(source, name, told, argument);
}

static const OSSL_DISPATCH functions[] = {
    TLS_FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query),
    TLS_FUNCTION(OSSL_FUNC_PROVIDER_GET_CAPABILITIES, capabilities),
    TLS_FUNCTIONS_END,
};

/* OpenSSL's algorithms get what their own provider would give them: the context behind. */
static int provider_init(const OSSL_CORE_HANDLE *caller, const OSSL_DISPATCH *core,
                         const OSSL_DISPATCH **out, void **context)
{
    OSSL_LIB_CTX *behind = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *provider = behind != NULL ? OSSL_PROVIDER_load(behind, "default") : NULL;
    if (provider == NULL) {
        OSSL_LIB_CTX_free(behind);
        return 0;
    }
    choose_all(provider);
    *out = functions;
    *context = OSSL_PROVIDER_get0_provider_ctx(provider);
    return 1;
}

OSSL_LIB_CTX *tls_library_new(void)
{
    OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
    if (library != NULL && OSSL_PROVIDER_add_builtin(library, "weir", provider_init) == 1 &&
        OSSL_PROVIDER_load(library, "weir") != NULL)
        return library;
    OSSL_LIB_CTX_free(library);
    return NULL;
}
