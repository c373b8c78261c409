/*
 * tls_tickets: session tickets (RFC 5077, RFC 8446 4.6.1) are sealed with keys that all workers,
 * and all nodes with the same key file, share: a client may come back anywhere. Nothing is kept of
 * a session here.
 */
#include "dataplane/tls/tls_private.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#define GIVE_ANOTHER 2 /* the ticket is good, the client gets a new one */

static const struct tls_ticket_key *key_named(const struct tls_ticket_keys *keys,
                                              const unsigned char *name)
{
    for (uint32_t i = 0; i < keys->count; i++)
        if (memcmp(keys->keys[i].name, name, TLS_TICKET_NAME) == 0)
            return &keys->keys[i];
    return NULL;
}

static bool set_mac(EVP_MAC_CTX *mac, const struct tls_ticket_key *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->mac, sizeof(key->mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

static int seal(const struct tls_profile *profile, unsigned char *name, unsigned char *iv,
                EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    if (profile->tickets.count == 0)
        return 0;
    const struct tls_ticket_key *key = &profile->tickets.keys[0];
    memcpy(name, key->name, TLS_TICKET_NAME);
    if (RAND_bytes(iv, 16) != 1 || !set_mac(mac, key) ||
        EVP_EncryptInit_ex(cipher, profile->ticket_cipher, NULL, key->cipher, iv) != 1)
        return -1;
    return 1;
}

int tls_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                   EVP_MAC_CTX *mac, int encrypt)
{
    const struct tls_session *session = SSL_get_app_data(ssl);
    if (session == NULL || session->profile == NULL)
        return 0;
    const struct tls_profile *profile = session->profile;
    if (encrypt)
        return seal(profile, name, iv, cipher, mac);
    const struct tls_ticket_key *key = key_named(&profile->tickets, name);
    if (key == NULL)
        return 0; /* a full handshake */
    if (!set_mac(mac, key) ||
        EVP_DecryptInit_ex(cipher, profile->ticket_cipher, NULL, key->cipher, iv) != 1)
        return -1;
    /* In TLS 1.3 clients use a ticket once: RFC 8446 C.4. */
    bool fresh = key == &profile->tickets.keys[0] && SSL_version(ssl) != TLS1_3_VERSION;
    return fresh ? 1 : GIVE_ANOTHER;
}
