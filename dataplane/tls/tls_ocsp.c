/*
 * tls_ocsp: a certificate's OCSP response (RFC 6960) comes from a file that somebody else keeps
 * fresh. Its form is checked here; what it says is the client's to judge.
 */
#include "dataplane/tls/tls_private.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdio.h>
#include <string.h>

#define OCSP_BYTES_MAX 16384

/* OpenSSL's callback (SSL_CTX_set_tlsext_status_cb(3)): a client asks. The copy is OpenSSL's. */
static int staple(SSL *ssl, void *context)
{
    const struct tls_named_context *named = context;
    uint8_t *copy = OPENSSL_memdup(named->ocsp, named->ocsp_bytes);
    if (copy == NULL || SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)named->ocsp_bytes) != 1) {
        OPENSSL_free(copy);
        return SSL_TLSEXT_ERR_NOACK; /* without it */
    }
    return SSL_TLSEXT_ERR_OK;
}

static bool is_good_response(const uint8_t *bytes, size_t length)
{
    const uint8_t *at = bytes;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)length);
    bool good = response != NULL && at == bytes + length &&
                OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL;
    OCSP_RESPONSE_free(response);
    return good;
}

static bool read_response(struct tls_named_context *into, const char *path)
{
    uint8_t bytes[OCSP_BYTES_MAX + 1];
    BIO *file = BIO_new_file(path, "rb");
    int length = file != NULL ? BIO_read(file, bytes, sizeof(bytes)) : 0;
    BIO_free(file);
    if (length <= 0 || length > OCSP_BYTES_MAX || !is_good_response(bytes, (size_t)length))
        return false;
    into->ocsp = OPENSSL_memdup(bytes, (size_t)length);
    into->ocsp_bytes = (uint32_t)length;
    return into->ocsp != NULL;
}

bool tls_ocsp_load(struct tls_named_context *into, const struct tls_certificate_source *source,
                   char *message, size_t message_size)
{
    if (source->ocsp_file == NULL || source->ocsp_file[0] == '\0')
        return true;
    ERR_clear_error();
    if (!read_response(into, source->ocsp_file)) {
        snprintf(message, message_size,
                 "certificate %s: %s: %s; expected a successful OCSP response in DER, at most "
                 "16 KiB",
                 source->name, source->ocsp_file, tls_error_text());
        return false;
    }
    return SSL_CTX_set_tlsext_status_cb(into->context, staple) == 1 &&
           SSL_CTX_set_tlsext_status_arg(into->context, into) == 1;
}
