#include "tests/support/tls_files.h"

#include "dataplane/base/check.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add_names(X509 *certificate, const char *names)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    check(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static X509 *make(EVP_PKEY *key, const char *names, long from_s, long to_s)
{
    X509 *certificate = X509_new();
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), from_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), to_s);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"backend.example",
                               -1, -1, 0); /* which proves nothing */
    X509_set_issuer_name(certificate, name);
    X509_set_pubkey(certificate, key);
    if (names != NULL)
        add_names(certificate, names);
    check(X509_sign(certificate, key, EVP_sha256()) > 0);
    return certificate;
}

void tls_files_make(struct tls_files *files, const char *names, long from_s, long to_s)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = make(key, names, from_s, to_s);
    strcpy(files->chain, "/tmp/weir-chain-XXXXXX");
    strcpy(files->key, "/tmp/weir-key-XXXXXX");
    FILE *chain = fdopen(mkstemp(files->chain), "w");
    FILE *secret = fdopen(mkstemp(files->key), "w");
    check(PEM_write_X509(chain, certificate) == 1 &&
          PEM_write_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(chain);
    fclose(secret);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

void tls_files_remove(const struct tls_files *files)
{
    unlink(files->chain);
    unlink(files->key);
}
