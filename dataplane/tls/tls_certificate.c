/*
 * tls_certificate: PEM files become an SSL_CTX's certificate, and the names it is for are read from
 * its subject alternative names (RFC 9525: the common name is not looked at). Control thread.
 */
#include "dataplane/tls/tls_private.h"

#include <ctype.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NAME_MAX_BYTES 253

const char *tls_error_text(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason != NULL ? reason : "";
}

/* The password of a key that has one is never asked for. */
static int no_password(char *buffer, int size, int writing, void *context)
{
    return -1;
}

static bool keep_name(struct tls_named_context *into, const GENERAL_NAME *general)
{
    int length = general->type == GEN_DNS ? ASN1_STRING_length(general->d.dNSName) : 0;
    if (length <= 0 || length > NAME_MAX_BYTES)
        return true; /* an address, or nothing that a client could ask for */
    const unsigned char *text = ASN1_STRING_get0_data(general->d.dNSName);
    if (memchr(text, '\0', (size_t)length) != NULL)
        return true;
    char *name = OPENSSL_malloc((size_t)length + 1);
    if (name == NULL)
        return false;
    for (int i = 0; i < length; i++)
        name[i] = (char)tolower(text[i]);
    name[length] = '\0';
    into->names[into->name_count++] = name;
    return true;
}

static bool read_names(struct tls_named_context *into, X509 *certificate)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int count = all != NULL ? sk_GENERAL_NAME_num(all) : 0;
    into->names = OPENSSL_zalloc(sizeof(char *) * (size_t)(count + 1));
    bool good = into->names != NULL;
    for (int i = 0; i < count && good; i++)
        good = keep_name(into, sk_GENERAL_NAME_value(all, i));
    GENERAL_NAMES_free(all);
    return good;
}

static X509 *next_certificate(BIO *file, OSSL_LIB_CTX *library)
{
    X509 *certificate = X509_new_ex(library, NULL);
    if (certificate != NULL && PEM_read_bio_X509(file, &certificate, no_password, NULL) == NULL) {
        X509_free(certificate); /* NULL where reading it has freed it */
        return NULL;
    }
    return certificate;
}

/* The first certificate is the server's, the others lead to a root. */
static bool load_chain(struct tls_named_context *into, const char *path, OSSL_LIB_CTX *library)
{
    BIO *file = BIO_new_file(path, "r");
    if (file == NULL)
        return false;
    X509 *own = next_certificate(file, library);
    bool good =
        own != NULL && SSL_CTX_use_certificate(into->context, own) == 1 && read_names(into, own);
    X509_free(own);
    X509 *next;
    while (good && (next = next_certificate(file, library)) != NULL)
        if (SSL_CTX_add0_chain_cert(into->context, next) != 1) {
            X509_free(next);
            good = false;
        }
    BIO_free(file);
    /* The end of the file is an error, too; any other is a damaged certificate. */
    good = good && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (good)
        ERR_clear_error();
    return good;
}

static bool load_key(SSL_CTX *context, const char *path, OSSL_LIB_CTX *library)
{
    BIO *file = BIO_new_file(path, "r");
    if (file == NULL)
        return false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey_ex(file, NULL, no_password, NULL, library, NULL);
    BIO_free(file);
    bool good = key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1;
    EVP_PKEY_free(key);
    return good;
}

bool tls_certificate_load(struct tls_named_context *into,
                          const struct tls_certificate_source *source, OSSL_LIB_CTX *library,
                          char *message, size_t message_size)
{
    ERR_clear_error();
    if (!load_chain(into, source->chain_file, library)) {
        snprintf(message, message_size, "certificate %s: %s: %s; expected a PEM certificate chain",
                 source->name, source->chain_file, tls_error_text());
        return false;
    }
    if (!load_key(into->context, source->key_file, library)) {
        snprintf(message, message_size,
                 "certificate %s: %s: %s; expected the certificate's private key in PEM, without a "
                 "password",
                 source->name, source->key_file, tls_error_text());
        return false;
    }
    return tls_ocsp_load(into, source, message, message_size);
}

void tls_certificate_forget(struct tls_named_context *context)
{
    for (uint32_t i = 0; i < context->name_count; i++)
        OPENSSL_free(context->names[i]);
    OPENSSL_free(context->names);
    OPENSSL_free(context->ocsp);
    context->names = NULL;
    context->name_count = 0;
    context->ocsp = NULL;
}

int64_t tls_certificate_expires(const SSL_CTX *context)
{
    struct tm parts;
    const X509 *certificate = SSL_CTX_get0_certificate(context);
    if (certificate == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) != 1)
        return 0;
    return (int64_t)timegm(&parts);
}

/* "*.x" is for one label before .x: RFC 9525 6.3. */
static bool matches(const char *pattern, const char *name)
{
    if (pattern[0] != '*' || pattern[1] != '.')
        return strcasecmp(pattern, name) == 0;
    const char *rest = strchr(name, '.');
    return rest != NULL && rest != name && strcasecmp(pattern + 1, rest) == 0;
}

bool tls_certificate_is_for(const struct tls_named_context *context, const char *name)
{
    for (uint32_t i = 0; i < context->name_count; i++)
        if (matches(context->names[i], name))
            return true;
    return false;
}
