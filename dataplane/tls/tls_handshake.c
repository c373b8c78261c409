/*
 * tls_handshake: from a connection to an open session, or to a named reason why not.
 */
#include "dataplane/tls/tls_private.h"

#include <openssl/err.h>

#define AT(counter) offsetof(struct tls_counters, counter)

/* Which counter a failed handshake belongs to, by OpenSSL's reason: a client's, a backend's. */
static const struct refusal {
    int reason;
    size_t client; /* offsets into struct tls_counters */
    size_t backend;
} refusals[] = {
#define REFUSAL(reason, client, backend)                                                           \
    {                                                                                              \
        reason, AT(client), AT(backend)                                                            \
    }
    REFUSAL(SSL_R_UNSUPPORTED_PROTOCOL, refused_version, backend_refused_version),
    REFUSAL(SSL_R_VERSION_TOO_LOW, refused_version, backend_refused_version),
    REFUSAL(SSL_R_NO_PROTOCOLS_AVAILABLE, refused_version, backend_refused_version),
    REFUSAL(SSL_R_WRONG_VERSION_NUMBER, refused_version, backend_refused_message),
    REFUSAL(SSL_R_WRONG_SSL_VERSION, refused_version, backend_refused_version),
    REFUSAL(SSL_R_INAPPROPRIATE_FALLBACK, refused_version, backend_refused_version),
    REFUSAL(SSL_R_NO_SHARED_CIPHER, refused_cipher, backend_refused_cipher),
    REFUSAL(SSL_R_NO_CIPHERS_AVAILABLE, refused_cipher, backend_refused_cipher),
    REFUSAL(SSL_R_WRONG_CIPHER_RETURNED, refused_cipher, backend_refused_cipher),
    REFUSAL(SSL_R_NO_SUITABLE_KEY_SHARE, refused_cipher, backend_refused_cipher),
    REFUSAL(SSL_R_NO_SHARED_GROUPS, refused_cipher, backend_refused_cipher),
    REFUSAL(SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, refused_cipher, backend_refused_cipher),
    REFUSAL(SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, refused_cipher, backend_refused_cipher),
    REFUSAL(SSL_R_NO_APPLICATION_PROTOCOL, refused_alpn, backend_refused_alpn),
    REFUSAL(SSL_R_CERTIFICATE_VERIFY_FAILED, refused_certificate, backend_bad_certificate),
    REFUSAL(SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, refused_certificate, backend_refused_other),
    REFUSAL(SSL_R_HTTP_REQUEST, refused_message, backend_refused_message),
    REFUSAL(SSL_R_HTTPS_PROXY_REQUEST, refused_message, backend_refused_message),
    REFUSAL(SSL_R_BAD_RECORD_TYPE, refused_message, backend_refused_message),
    REFUSAL(SSL_R_UNEXPECTED_MESSAGE, refused_message, backend_refused_message),
    REFUSAL(SSL_R_UNEXPECTED_RECORD, refused_message, backend_refused_message),
    REFUSAL(SSL_R_LENGTH_MISMATCH, refused_message, backend_refused_message),
    REFUSAL(SSL_R_BAD_EXTENSION, refused_message, backend_refused_message),
    REFUSAL(SSL_R_EXCESSIVE_MESSAGE_SIZE, refused_message, backend_refused_message),
    REFUSAL(SSL_R_PACKET_LENGTH_TOO_LONG, refused_message, backend_refused_message),
    REFUSAL(SSL_R_DATA_LENGTH_TOO_LONG, refused_message, backend_refused_message),
    REFUSAL(SSL_R_ENCRYPTED_LENGTH_TOO_LONG, refused_message, backend_refused_message),
    REFUSAL(SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, refused_message, backend_refused_message),
    REFUSAL(SSL_R_DIGEST_CHECK_FAILED, refused_message, backend_refused_message),
    REFUSAL(SSL_R_UNEXPECTED_EOF_WHILE_READING, handshake_lost, backend_lost),
    REFUSAL(ERR_R_MALLOC_FAILURE, no_memory, no_memory),
#undef REFUSAL
};

static const struct refusal by_peer = {0, AT(refused_by_peer), AT(backend_refused_by_peer)};
static const struct refusal lost = {0, AT(handshake_lost), AT(backend_lost)};
static const struct refusal other = {0, AT(refused_other), AT(backend_refused_other)};

/* Which counter a certificate belongs to that was not believed (X509_verify_cert(3)). */
static const struct distrust {
    long result;
    size_t counter;
} distrusts[] = {
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, AT(backend_untrusted)},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, AT(backend_untrusted)},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, AT(backend_untrusted)},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, AT(backend_untrusted)},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, AT(backend_untrusted)},
    {X509_V_ERR_CERT_UNTRUSTED, AT(backend_untrusted)},
    {X509_V_ERR_HOSTNAME_MISMATCH, AT(backend_wrong_name)},
    {X509_V_ERR_IP_ADDRESS_MISMATCH, AT(backend_wrong_name)},
    {X509_V_ERR_CERT_HAS_EXPIRED, AT(backend_expired)},
    {X509_V_ERR_CERT_NOT_YET_VALID, AT(backend_expired)},
};

static const struct refusal *refusal_of(const struct tls_session *session)
{
    unsigned long error = ERR_peek_error();
    int reason = ERR_GET_REASON(error);
    if (error == 0 && session->tcp_ended)
        return &lost;
    if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256)
        return &by_peer;
    for (size_t i = 0; i < array_count(refusals); i++)
        if (refusals[i].reason == reason)
            return &refusals[i];
    return &other;
}

static size_t backend_counter(const struct tls_session *session, const struct refusal *refusal)
{
    if (refusal->reason != SSL_R_CERTIFICATE_VERIFY_FAILED)
        return refusal->backend;
    for (size_t i = 0; i < array_count(distrusts); i++)
        if (distrusts[i].result == SSL_get_verify_result(session->ssl))
            return distrusts[i].counter;
    return refusal->backend;
}

static void count(const struct tls_session *session, const struct refusal *refusal)
{
    uint8_t *counters = (uint8_t *)&session->tls->counters;
    size_t at = session->target != NULL ? backend_counter(session, refusal) : refusal->client;
    counter_add((uint64_t *)(void *)(counters + at), 1);
}

static void count_success(const struct tls_session *session)
{
    struct tls_counters *counters = &session->tls->counters;
    bool resumed = SSL_session_reused(session->ssl) == 1;
    if (session->target != NULL) {
        counter_add(&counters->backend_handshakes, 1);
        counter_add(&counters->backend_resumed, resumed);
        return;
    }
    counter_add(&counters->handshakes, 1);
    counter_add(&counters->handshakes_tls12, SSL_version(session->ssl) == TLS1_2_VERSION);
    counter_add(&counters->resumed, resumed);
    counter_add(&counters->alpn_none, tls_session_protocol(session) == TLS_PROTOCOL_NONE);
}

enum tls_protocol tls_session_protocol(const struct tls_session *session)
{
    const unsigned char *name;
    unsigned int length;
    SSL_get0_alpn_selected(session->ssl, &name, &length);
    if (length == 0)
        return TLS_PROTOCOL_NONE;
    return length == 2 ? TLS_PROTOCOL_H2 : TLS_PROTOCOL_HTTP1; /* only these are ever agreed on */
}

void tls_handshake_queue(struct tls_session *session)
{
    struct tls *tls = session->tls;
    if (!list_is_linked(&session->link))
        list_push_back(session->target != NULL ? &tls->own_handshakes : &tls->handshakes,
                       &session->link);
}

/* The alert that OpenSSL wrote goes out, then FIN. Whoever connected to a backend hears of it. */
static void give_up(struct tls_session *session)
{
    if (session->target != NULL) {
        tls_session_fail(session);
        return;
    }
    tcp_close(session->tcp);
    tls_session_free(session);
}

void tls_handshake_lose(struct tls_session *session)
{
    count(session, &lost);
    list_remove(&session->link); /* there is nothing to work on any more */
    if (session->target != NULL) {
        tls_session_fail(session);
        return;
    }
    tcp_abort(session->tcp);
    tls_session_free(session);
}

/* Records of 512 bytes to 4 KiB: a piece of ours would be several records. */
static bool wants_small_records(const struct tls_session *session)
{
    const SSL_SESSION *agreed = SSL_get0_session(session->ssl);
    return agreed != NULL &&
           SSL_SESSION_get_max_fragment_length(agreed) != TLSEXT_max_fragment_length_DISABLED;
}

/* What cannot be used although OpenSSL is content with it; counted. */
static bool is_useless(struct tls_session *session)
{
    struct tls_counters *counters = &session->tls->counters;
    if (session->target == NULL) {
        bool small = wants_small_records(session);
        counter_add(&counters->refused_fragment, small);
        return small;
    }
    bool alien = !tls_target_takes(session->target, tls_session_protocol(session));
    counter_add(&counters->backend_refused_alpn, alien);
    return alien;
}

static void open_session(struct tls_session *session, uint64_t now)
{
    if (is_useless(session)) {
        give_up(session);
        return;
    }
    count_success(session);
    if (session->target != NULL)
        tls_target_opened(session->target, session->ssl);
    timer_cancel(session->tls->config.wheel, &session->deadline);
    tls_profile_drop(session->profile);
    session->profile = NULL;
    session->state = TLS_OPEN;
    /* What came with the last message, and an end of stream, are to be looked at. */
    session->app->event(session->context, session, TCP_OPENED | TCP_READABLE, now);
}

void tls_handshake_step(struct tls_session *session, uint64_t now)
{
    tls_forget_errors();
    int result = SSL_do_handshake(session->ssl);
    if (result == 1) {
        open_session(session, now);
        return;
    }
    int error = SSL_get_error(session->ssl, result);
    if (error == SSL_ERROR_WANT_READ)
        return;
    if (error == SSL_ERROR_WANT_WRITE) {
        counter_add(&session->tls->counters.writes_waited, 1);
        tls_handshake_queue(session); /* in a later turn TCP may have memory */
        return;
    }
    count(session, refusal_of(session));
    give_up(session);
}
