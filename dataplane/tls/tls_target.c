/*
 * tls_target: OpenSSL's settings as a client. Backends with the same settings share one context a
 * worker, so that a bundle of authorities is there once.
 */
#include "dataplane/tls/tls_private.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *list;
    unsigned int length;
} offers[] = {
#define OFFER(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
    [TLS_OFFER_H2] = OFFER(TLS_ALPN_H2),
    [TLS_OFFER_HTTP1] = OFFER(TLS_ALPN_HTTP1),
    [TLS_OFFER_BOTH] = OFFER(TLS_ALPN_H2 TLS_ALPN_HTTP1),
#undef OFFER
};

static void forget_oldest(struct tls_target *target)
{
    SSL_SESSION_free(target->resumable[0]);
    target->resumable_count--;
    memmove(target->resumable, target->resumable + 1,
            target->resumable_count * sizeof(target->resumable[0]));
}

static void forget_all(struct tls_target *target)
{
    while (target->resumable_count > 0)
        forget_oldest(target);
}

/*
 * OpenSSL's callback (SSL_CTX_sess_set_new_cb(3)): the backend gave a session to come back with.
 * The last few are kept; none when memory is short.
 */
static int keep_session(SSL *ssl, SSL_SESSION *given)
{
    const struct tls_session *session = SSL_get_app_data(ssl);
    if (session == NULL || session->target == NULL ||
        (session->tls->arena != NULL && tls_arena_is_short(session->tls->arena)))
        return 0;
    struct tls_target *target = (struct tls_target *)session->target;
    if (target->resumable_count == TLS_TARGET_SESSIONS)
        forget_oldest(target);
    target->resumable[target->resumable_count++] = given;
    return 1; /* the reference is ours */
}

static bool set_trust(SSL_CTX *context, const struct tls_target_source *source, char *message,
                      size_t message_size)
{
    if (!source->verify) {
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
        return true;
    }
    X509_VERIFY_PARAM *rules = SSL_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_file(context, source->ca_file) == 1)
        return true;
    snprintf(message, message_size, "%s.ca_file: %s: %s; expected PEM certificates to trust",
             source->path, source->ca_file, tls_error_text());
    return false;
}

/* OpenSSL's list of names is not wanted here. */
static bool set_certificate(SSL_CTX *context, const struct tls_certificate_source *source,
                            OSSL_LIB_CTX *library, char *message, size_t message_size)
{
    struct tls_named_context named = {.context = context};
    if (source == NULL)
        return true;
    bool good = tls_certificate_load(&named, source, library, message, message_size);
    tls_certificate_forget(&named);
    return good;
}

static SSL_CTX *context_new(const struct tls_target_source *source, OSSL_LIB_CTX *library,
                            char *message, size_t message_size)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new_ex(library, NULL, TLS_client_method());
    if (context == NULL)
        return NULL;
    tls_context_set_modes(context, source->key_log);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL |
                                                SSL_SESS_CACHE_NO_AUTO_CLEAR);
    SSL_CTX_sess_set_new_cb(context, keep_session);
    if (tls_policy_set(context, source->policy) &&
        SSL_CTX_set_alpn_protos(context, (const unsigned char *)offers[source->offer].list,
                                offers[source->offer].length) == 0 &&
        set_trust(context, source, message, message_size) &&
        set_certificate(context, source->certificate, library, message, message_size))
        return context;
    SSL_CTX_free(context);
    return NULL;
}

static bool same_certificate(const struct tls_certificate_source *a,
                             const struct tls_certificate_source *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return strcmp(a->chain_file, b->chain_file) == 0 && strcmp(a->key_file, b->key_file) == 0;
}

bool tls_target_same_settings(const struct tls_target_source *a, const struct tls_target_source *b)
{
    return a->verify == b->verify && a->policy == b->policy && a->offer == b->offer &&
           strcmp(a->ca_file, b->ca_file) == 0 && same_certificate(a->certificate, b->certificate);
}

struct tls_target *tls_target_create(const struct tls_target_source *source,
                                     const struct tls_target *alike, OSSL_LIB_CTX *library,
                                     char *message, size_t message_size)
{
    struct tls_target *target = OPENSSL_zalloc(sizeof(*target));
    if (target == NULL)
        return NULL;
    atomic_init(&target->holders, 1);
    target->verify = source->verify;
    target->is_address = source->is_address;
    target->offer = source->offer;
    snprintf(target->name, sizeof(target->name), "%s", source->name);
    if (alike != NULL && SSL_CTX_up_ref(alike->context) == 1)
        target->context = alike->context;
    else
        target->context = context_new(source, library, message, message_size);
    if (target->context != NULL)
        return target;
    tls_target_drop(target);
    return NULL;
}

const struct tls_target *tls_target_hold(const struct tls_target *target)
{
    struct tls_target *held = (struct tls_target *)target;
    atomic_fetch_add_explicit(&held->holders, 1, memory_order_relaxed);
    return target;
}

void tls_target_drop(const struct tls_target *target)
{
    struct tls_target *held = (struct tls_target *)target;
    if (held == NULL || atomic_fetch_sub_explicit(&held->holders, 1, memory_order_acq_rel) > 1)
        return;
    forget_all(held);
    SSL_CTX_free(held->context);
    OPENSSL_free(held);
}

static bool set_name(SSL *ssl, const struct tls_target *target)
{
    if (!target->is_address && target->name[0] != '\0' &&
        SSL_set_tlsext_host_name(ssl, target->name) != 1)
        return false;
    if (!target->verify)
        return true;
    return target->is_address
               ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), target->name) == 1
               : SSL_set1_host(ssl, target->name) == 1;
}

/*
 * The last session, if any; without one it is a full handshake. A ticket of TLS 1.3 is used once
 * (RFC 8446 C.4), but for the last one: some servers give none when a session is resumed. To
 * OpenSSL it has had its use, so a copy of it is used.
 */
static void resume(SSL *ssl, struct tls_target *target)
{
    if (target->resumable_count == 0)
        return;
    SSL_SESSION *last = target->resumable[target->resumable_count - 1];
    if (SSL_SESSION_get_protocol_version(last) != TLS1_3_VERSION) {
        (void)SSL_set_session(ssl, last);
        return;
    }
    SSL_SESSION *used = target->resumable_count > 1 ? last : SSL_SESSION_dup(last);
    if (target->resumable_count > 1)
        target->resumable_count--;
    (void)SSL_set_session(ssl, used);
    SSL_SESSION_free(used); /* NULL: no memory for a copy */
}

SSL *tls_target_ssl(const struct tls_target *target)
{
    SSL *ssl = SSL_new(target->context);
    if (ssl == NULL || !set_name(ssl, target)) {
        SSL_free(ssl);
        return NULL;
    }
    resume(ssl, (struct tls_target *)target);
    SSL_set_connect_state(ssl);
    return ssl;
}

void tls_target_opened(const struct tls_target *target, const SSL *ssl)
{
    if (SSL_session_reused(ssl) == 1 || SSL_version(ssl) != TLS1_3_VERSION)
        return;
    forget_all((struct tls_target *)target);
}

void tls_target_failed(const struct tls_target *target)
{
    forget_all((struct tls_target *)target);
}

bool tls_target_takes(const struct tls_target *target, enum tls_protocol protocol)
{
    switch (protocol) {
    case TLS_PROTOCOL_H2:
        return target->offer != TLS_OFFER_HTTP1;
    case TLS_PROTOCOL_NONE:
    case TLS_PROTOCOL_HTTP1:
        break;
    }
    return target->offer != TLS_OFFER_H2;
}
