/*
 * tls_client_certificate: whom clients may be, and who one is: the fingerprint of its certificate,
 * which a ticket carries along (RFC 5077 4, RFC 8446 4.6.1), so that it stays the same when a
 * session is resumed.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* the digest without objects: SHA256_Init(3) */
#include "dataplane/tls/tls_private.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/*
 * A ticket is good only where it would have been given: a listener that wants certificates resumes
 * nothing that was agreed on without, or with another file. Any file of the same length and name is
 * told apart by what it holds.
 */
static bool set_session_context(SSL_CTX *context, const struct tls_profile_source *source)
{
    uint8_t name[EVP_MAX_MD_SIZE] = "weir";
    uint8_t bytes[4096];
    unsigned int length = 4;
    int count = 0;
    if (source->client_certificate != TLS_CLIENT_CERTIFICATE_NONE) {
        uint8_t kind = (uint8_t)source->client_certificate;
        EVP_MD_CTX *digest = EVP_MD_CTX_new();
        BIO *file = BIO_new_file(source->client_ca_file, "rb");
        bool good = digest != NULL && file != NULL &&
                    EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
                    EVP_DigestUpdate(digest, &kind, 1) == 1;
        while (good && (count = BIO_read(file, bytes, sizeof(bytes))) > 0)
            good = EVP_DigestUpdate(digest, bytes, (size_t)count) == 1;
        good = good && EVP_DigestFinal_ex(digest, name, &length) == 1;
        EVP_MD_CTX_free(digest);
        BIO_free(file);
        if (!good)
            return false;
    }
    return SSL_CTX_set_session_id_context(context, name, length) == 1;
}

static bool set_authorities(SSL_CTX *context, const char *path)
{
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);
    if (names == NULL)
        return false;
    SSL_CTX_set_client_CA_list(context, names); /* which takes them over */
    return SSL_CTX_load_verify_file(context, path) == 1;
}

bool tls_client_certificate_set(SSL_CTX *context, const struct tls_profile_source *source,
                                char *message, size_t message_size)
{
    int mode = source->client_certificate == TLS_CLIENT_CERTIFICATE_REQUIRE
                   ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                   : SSL_VERIFY_PEER;
    ERR_clear_error();
    if (source->client_certificate == TLS_CLIENT_CERTIFICATE_NONE)
        return set_session_context(context, source);
    SSL_CTX_set_verify(context, mode, NULL);
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
    if (set_authorities(context, source->client_ca_file) && set_session_context(context, source))
        return true;
    snprintf(message, message_size, "%s.client_ca_file: %s: %s; expected PEM certificates to trust",
             source->path, source->client_ca_file, tls_error_text());
    return false;
}

/* X509_digest(3) would look the digest up where all threads do, behind locks. */
static bool fingerprint(X509 *certificate, uint8_t out[SHA256_DIGEST_LENGTH])
{
    SHA256_CTX digest;
    uint8_t *der = NULL;
    int length = i2d_X509(certificate, &der);
    if (length <= 0)
        return false;
    SHA256_Init(&digest);
    SHA256_Update(&digest, der, (size_t)length);
    SHA256_Final(out, &digest);
    OPENSSL_free(der);
    return true;
}

bool tls_session_identity(const struct tls_session *session, struct tls_client_identity *out)
{
    *out = (struct tls_client_identity){
        .asked = (SSL_get_verify_mode(session->ssl) & SSL_VERIFY_PEER) != 0};
    X509 *certificate = SSL_get0_peer_certificate(session->ssl);
    if (!out->asked || certificate == NULL)
        return true;
    out->shown = SSL_get_verify_result(session->ssl) == X509_V_OK;
    return out->shown && fingerprint(certificate, out->sha256);
}
