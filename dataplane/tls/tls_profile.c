/*
 * tls_profile: what a listener's handshakes may agree on, as OpenSSL's settings: versions, ciphers,
 * ALPN (RFC 7301), and the certificate by the name that the client asks for (RFC 6066 3).
 */
#include "dataplane/tls/tls_private.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

/* A policy, as OpenSSL's lists. Ciphers of 1.2: forward secrecy and AEAD only (RFC 9113 9.2.2). */
static const struct policy {
    int least_version;
    const char *ciphers12;
    const char *suites13;
    const char *groups;
} policies[] = {
    [TLS_MODERN] =
        {
            .least_version = TLS1_3_VERSION,
            .ciphers12 = "ECDHE-ECDSA-AES128-GCM-SHA256",
            .suites13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                        "TLS_CHACHA20_POLY1305_SHA256",
            .groups = "X25519:P-256:P-384",
        },
    [TLS_INTERMEDIATE] =
        {
            .least_version = TLS1_2_VERSION,
            .ciphers12 = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                         "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                         "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305",
            .suites13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                        "TLS_CHACHA20_POLY1305_SHA256",
            .groups = "X25519:P-256:P-384",
        },
};

static const struct tls_profile *profile_of(SSL *ssl)
{
    const struct tls_session *session = SSL_get_app_data(ssl);
    return session != NULL ? session->profile : NULL;
}

/* No name, or none of ours: the first certificate, and the client says what it thinks of it. */
static int choose_certificate(SSL *ssl, int *alert, void *unused)
{
    const struct tls_profile *profile = profile_of(ssl);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (profile == NULL || name == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    for (uint32_t i = 0; i < profile->context_count; i++) {
        if (!tls_certificate_is_for(&profile->contexts[i], name))
            continue;
        if (SSL_set_SSL_CTX(ssl, profile->contexts[i].context) == NULL)
            return SSL_TLSEXT_ERR_ALERT_FATAL;
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_length,
                           const unsigned char *offered, unsigned int offered_length, void *unused)
{
    static const unsigned char with_http1[] = TLS_ALPN_H2 TLS_ALPN_HTTP1;
    static const unsigned char h2_only[] = TLS_ALPN_H2;
    const struct tls_profile *profile = profile_of(ssl);
    bool http1 = profile != NULL && profile->http1 == TLS_HTTP1_ANSWER;
    const unsigned char *ours = http1 ? with_http1 : h2_only;
    unsigned int length = http1 ? sizeof(with_http1) - 1 : sizeof(h2_only) - 1;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_length, ours, length, offered, offered_length) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

bool tls_policy_set(SSL_CTX *context, enum tls_policy name)
{
    const struct policy *policy = &policies[name];
    return SSL_CTX_set_min_proto_version(context, policy->least_version) == 1 &&
           SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(context, policy->ciphers12) == 1 &&
           SSL_CTX_set_ciphersuites(context, policy->suites13) == 1 &&
           SSL_CTX_set1_groups_list(context, policy->groups) == 1;
}

void tls_context_set_modes(SSL_CTX *context, bool key_log)
{
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (key_log)
        tls_key_log_set(context);
}

static SSL_CTX *context_new(OSSL_LIB_CTX *library, const struct tls_profile_source *source,
                            bool tickets)
{
    SSL_CTX *context = SSL_CTX_new_ex(library, NULL, TLS_server_method());
    if (context == NULL || !tls_policy_set(context, source->policy)) {
        SSL_CTX_free(context);
        return NULL;
    }
    tls_context_set_modes(context, source->key_log);
    SSL_CTX_set_options(context, tickets ? 0 : SSL_OP_NO_TICKET);
    /* Our order, but for clients without AES in hardware: they put ChaCha20 first. */
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, tickets ? 1 : 0);
    SSL_CTX_set_tlsext_servername_callback(context, choose_certificate);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, tls_ticket_key);
    return context;
}

static bool add_certificate(struct tls_profile *profile, const struct tls_profile_source *source,
                            uint32_t index, OSSL_LIB_CTX *library, char *message,
                            size_t message_size)
{
    struct tls_named_context *into = &profile->contexts[profile->context_count++];
    into->context = context_new(library, source, profile->tickets.count > 0);
    if (into->context == NULL) {
        snprintf(message, message_size, "TLS: %s", ERR_reason_error_string(ERR_peek_last_error()));
        return false;
    }
    return tls_client_certificate_set(into->context, source, message, message_size) &&
           tls_certificate_load(into, &source->certificates[index], library, message, message_size);
}

struct tls_profile *tls_profile_create(const struct tls_profile_source *source,
                                       OSSL_LIB_CTX *library, const struct tls_ticket_keys *tickets,
                                       char *message, size_t message_size)
{
    struct tls_profile *profile = OPENSSL_zalloc(sizeof(*profile));
    if (profile == NULL)
        return NULL;
    atomic_init(&profile->holders, 1);
    profile->http1 = source->http1;
    profile->tickets = *tickets;
    profile->contexts = OPENSSL_zalloc(sizeof(*profile->contexts) * source->certificate_count);
    profile->ticket_cipher = EVP_CIPHER_fetch(library, "AES-256-CBC", NULL);
    bool good = profile->contexts != NULL && profile->ticket_cipher != NULL;
    for (uint32_t i = 0; i < source->certificate_count && good; i++)
        good = add_certificate(profile, source, i, library, message, message_size);
    if (good)
        return profile;
    tls_profile_drop(profile);
    return NULL;
}

void tls_profile_hold(const struct tls_profile *profile)
{
    struct tls_profile *held = (struct tls_profile *)profile;
    atomic_fetch_add_explicit(&held->holders, 1, memory_order_relaxed);
}

void tls_profile_drop(const struct tls_profile *profile)
{
    struct tls_profile *held = (struct tls_profile *)profile;
    if (held == NULL || atomic_fetch_sub_explicit(&held->holders, 1, memory_order_acq_rel) > 1)
        return;
    for (uint32_t i = 0; i < held->context_count; i++) {
        struct tls_named_context *one = &held->contexts[i];
        tls_certificate_forget(one);
        SSL_CTX_free(one->context);
    }
    OPENSSL_free(held->contexts);
    EVP_CIPHER_free(held->ticket_cipher);
    OPENSSL_cleanse(&held->tickets, sizeof(held->tickets));
    OPENSSL_free(held);
}
