/*
 * tls_handshake: from an accepted connection to an open session, or to a named reason why not.
 */
#include "dataplane/tls/tls_private.h"

#include <openssl/err.h>

/* Which counter a failed handshake belongs to, by OpenSSL's reason. */
static const struct refusal {
    int reason;
    size_t counter; /* offset into struct tls_counters */
} refusals[] = {
#define REFUSAL(reason, counter)                                                                   \
    {                                                                                              \
        reason, offsetof(struct tls_counters, counter)                                             \
    }
    REFUSAL(SSL_R_UNSUPPORTED_PROTOCOL, refused_version),
    REFUSAL(SSL_R_VERSION_TOO_LOW, refused_version),
    REFUSAL(SSL_R_NO_PROTOCOLS_AVAILABLE, refused_version),
    REFUSAL(SSL_R_WRONG_VERSION_NUMBER, refused_version),
    REFUSAL(SSL_R_INAPPROPRIATE_FALLBACK, refused_version),
    REFUSAL(SSL_R_NO_SHARED_CIPHER, refused_cipher),
    REFUSAL(SSL_R_NO_SUITABLE_KEY_SHARE, refused_cipher),
    REFUSAL(SSL_R_NO_SHARED_GROUPS, refused_cipher),
    REFUSAL(SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, refused_cipher),
    REFUSAL(SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, refused_cipher),
    REFUSAL(SSL_R_NO_APPLICATION_PROTOCOL, refused_alpn),
    REFUSAL(SSL_R_HTTP_REQUEST, refused_message),
    REFUSAL(SSL_R_HTTPS_PROXY_REQUEST, refused_message),
    REFUSAL(SSL_R_BAD_RECORD_TYPE, refused_message),
    REFUSAL(SSL_R_UNEXPECTED_MESSAGE, refused_message),
    REFUSAL(SSL_R_UNEXPECTED_RECORD, refused_message),
    REFUSAL(SSL_R_LENGTH_MISMATCH, refused_message),
    REFUSAL(SSL_R_BAD_EXTENSION, refused_message),
    REFUSAL(SSL_R_EXCESSIVE_MESSAGE_SIZE, refused_message),
    REFUSAL(SSL_R_PACKET_LENGTH_TOO_LONG, refused_message),
    REFUSAL(SSL_R_ENCRYPTED_LENGTH_TOO_LONG, refused_message),
    REFUSAL(SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, refused_message),
    REFUSAL(SSL_R_DIGEST_CHECK_FAILED, refused_message),
    REFUSAL(SSL_R_UNEXPECTED_EOF_WHILE_READING, handshake_lost),
    REFUSAL(ERR_R_MALLOC_FAILURE, no_memory),
#undef REFUSAL
};

static void count_refusal(const struct tls_session *session)
{
    struct tls *tls = session->tls;
    unsigned long error = ERR_peek_error();
    int reason = ERR_GET_REASON(error);
    size_t counter = error == 0 && session->tcp_ended
                         ? offsetof(struct tls_counters, handshake_lost)
                         : offsetof(struct tls_counters, refused_other);
    if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256)
        counter = offsetof(struct tls_counters, refused_by_peer);
    for (size_t i = 0; i < array_count(refusals); i++)
        if (refusals[i].reason == reason)
            counter = refusals[i].counter;
    counter_add((uint64_t *)(void *)((uint8_t *)&tls->counters + counter), 1);
}

static void count_success(const struct tls_session *session)
{
    struct tls_counters *counters = &session->tls->counters;
    const unsigned char *protocol;
    unsigned int length;
    SSL_get0_alpn_selected(session->ssl, &protocol, &length);
    counter_add(&counters->handshakes, 1);
    counter_add(&counters->handshakes_tls12, SSL_version(session->ssl) == TLS1_2_VERSION);
    counter_add(&counters->resumed, SSL_session_reused(session->ssl) == 1);
    counter_add(&counters->alpn_none, length == 0);
}

void tls_handshake_queue(struct tls_session *session)
{
    if (!list_is_linked(&session->link))
        list_push_back(&session->tls->handshakes, &session->link);
}

/* The alert that OpenSSL wrote goes out, then FIN. */
static void refuse(struct tls_session *session)
{
    count_refusal(session);
    tcp_close(session->tcp);
    tls_session_free(session);
}

/* Records of 512 bytes to 4 KiB: a piece of ours would be several records. */
static bool wants_small_records(const struct tls_session *session)
{
    const SSL_SESSION *agreed = SSL_get0_session(session->ssl);
    return agreed != NULL &&
           SSL_SESSION_get_max_fragment_length(agreed) != TLSEXT_max_fragment_length_DISABLED;
}

static void open_session(struct tls_session *session, uint64_t now)
{
    if (wants_small_records(session)) {
        counter_add(&session->tls->counters.refused_fragment, 1);
        tcp_close(session->tcp);
        tls_session_free(session);
        return;
    }
    count_success(session);
    timer_cancel(session->tls->config.wheel, &session->deadline);
    tls_profile_drop(session->profile);
    session->profile = NULL;
    session->state = TLS_OPEN;
    /* What came with the last message, and an end of stream, are to be looked at. */
    uint32_t events = TCP_OPENED | TCP_READABLE | (session->tcp_ended ? TCP_EOF : 0u);
    session->app->event(session->context, session, events, now);
}

void tls_handshake_step(struct tls_session *session, uint64_t now)
{
    ERR_clear_error();
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
    refuse(session);
}
