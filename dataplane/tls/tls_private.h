/* The layout of tls and its sessions. Private to dataplane/tls. */
#pragma once

#include "dataplane/base/counter.h"
#include "dataplane/base/pool.h"
#include "dataplane/base/ring_spsc.h"
#include "dataplane/tls/tls.h"
#include "dataplane/tls/tls_arena.h"
#include "dataplane/tls/tls_target.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdatomic.h>

#define TLS_RECORD_BYTES 16384 /* plain bytes of a record at most: RFC 8446 5.1 */
#define TLS_WAITING_MAX  2
/* Of handshake type after the handshake: key updates are due every 2^24 records (RFC 8446 5.5). */
#define TLS_MESSAGES_MAX    64
#define TLS_TARGET_SESSIONS 4 /* one for each connection that may have to be made anew */
#define TLS_ALPN_H2         "\x02h2"
#define TLS_ALPN_HTTP1      "\x08http/1.1"

enum tls_state {
    TLS_HANDSHAKE,
    TLS_OPEN,
    TLS_CLOSING, /* the owner has let go; a record waits for memory of TCP */
    TLS_BROKEN,  /* of no more use: the owner is told TCP_FAILED, or was */
};

/* A copy of what TCP has not taken: OpenSSL may not even have begun with it. */
struct tls_waiting {
    uint8_t *data; /* of tls->kept */
    uint32_t length;
};

struct tls_session {
    SSL *ssl;
    struct tls *tls;
    const struct tls_profile *profile; /* of who connected to us, until the handshake has ended */
    const struct tls_target *target;   /* whom we connected to; NULL: who connected to us */
    struct tcp_conn *tcp;
    const struct tls_app *app;
    void *context;
    enum tls_state state;
    uint32_t events;        /* to be told in the next turn */
    uint32_t waiting_count; /* not taken by TCP yet; nothing else may be sent meanwhile */
    struct tls_waiting waiting[TLS_WAITING_MAX];
    uint32_t flow_bytes; /* sent since the last pause, the first ones */
    uint64_t sent_at_ns;
    uint32_t messages; /* of handshake type, after the handshake; on_message() */
    bool peer_done;    /* it has said close_notify */
    bool tcp_ended;    /* no more bytes will come from TCP */
    bool tcp_failed;   /* the connection was lost: nothing can be sent */
    uint8_t *kept;     /* decrypted bytes that nobody took; NULL: none */
    uint32_t kept_at;
    uint32_t kept_end;
    struct list link; /* tls->handshakes, tls->own_handshakes or tls->news */
    struct timer deadline;
};

struct tls {
    struct tls_config config;
    struct tls_counters counters;
    uint64_t now; /* of this turn */
    struct tls_arena *arena;
    struct pool sessions;       /* POOL_RESTING: timers name them */
    struct pool kept;           /* POOL_LIFO, TLS_RECORD_BYTES each */
    struct list handshakes;     /* have bytes to work on: of who connected to us, ... */
    struct list own_handshakes; /* ... and of whom we connected to: a flood puts none of them off */
    struct list news;           /* have events to tell, or bytes that wait */
    struct tls_session *gathering; /* whose bytes are in `gathered`, NULL: nobody's */
    uint32_t gathered_bytes;
    uint32_t gathered_max; /* then they are a record */
    uint8_t *gathered;
    struct tls_session *reading; /* whose bytes are in `plain`, until read_done() */
    uint32_t plain_bytes;
    uint8_t *plain;
    struct ring_spsc key_lines; /* to the control thread, if there are any */
};

/* One certificate's context, and the names it is for. */
struct tls_named_context {
    SSL_CTX *context;
    char **names; /* lower case; "*.x" is any one label before .x */
    uint32_t name_count;
    uint8_t *ocsp; /* NULL: nothing to staple */
    uint32_t ocsp_bytes;
};

/*
 * One worker's copy of a listener's settings. Held by the contexts and by each session until its
 * handshake has ended; whoever drops the last hold frees it, that may be the worker.
 */
struct tls_profile {
    _Atomic uint32_t holders;
    struct tls_named_context *contexts; /* the first one is for unknown names */
    uint32_t context_count;
    enum tls_http1 http1;
    struct tls_ticket_keys tickets;
    EVP_CIPHER *ticket_cipher;
};

/* One worker's copy of what handshakes with a backend need. Life: as that of a profile. */
struct tls_target {
    _Atomic uint32_t holders;
    SSL_CTX *context; /* shared with this worker's other targets of the same settings */
    char name[TLS_TARGET_NAME];
    bool is_address;
    bool verify;
    enum tls_offer offer;
    /* What it gave to come back with; its worker's, whatever else is const. */
    SSL_SESSION *resumable[TLS_TARGET_SESSIONS];
    uint32_t resumable_count;
};

/* tls_profile.c. A policy's versions, ciphers and groups. */
bool tls_policy_set(SSL_CTX *context, enum tls_policy policy);

/* What both sides have in common: no compression, no renegotiation, little memory; the key log. */
void tls_context_set_modes(SSL_CTX *context, bool key_log);

/* tls_key_log.c: room for lines, if they are asked for; false: not enough memory. At start. */
bool tls_key_log_init(struct tls *tls);

/* Lines of sessions with CONTEXT are kept. */
void tls_key_log_set(SSL_CTX *context);

/* NULL: MESSAGE says why. */
struct tls_profile *tls_profile_create(const struct tls_profile_source *source,
                                       OSSL_LIB_CTX *library, const struct tls_ticket_keys *tickets,
                                       char *message, size_t message_size);
void tls_profile_hold(const struct tls_profile *profile);
void tls_profile_drop(const struct tls_profile *profile);

/* tls_certificate.c: load a certificate, its chain and key, and the names it is for. */
bool tls_certificate_load(struct tls_named_context *into,
                          const struct tls_certificate_source *source, OSSL_LIB_CTX *library,
                          char *message, size_t message_size);

/* When CONTEXT's certificate ends, unix seconds; 0: it has none. */
int64_t tls_certificate_expires(const SSL_CTX *context);
bool tls_certificate_is_for(const struct tls_named_context *context, const char *name);

/* What is beside OpenSSL's context. */
void tls_certificate_forget(struct tls_named_context *context);

/* tls_client_certificate.c: ask clients for certificates, as SOURCE says. */
bool tls_client_certificate_set(SSL_CTX *context, const struct tls_profile_source *source,
                                char *message, size_t message_size);

/* tls_ocsp.c: an OCSP response is stapled for clients that ask. */
bool tls_ocsp_load(struct tls_named_context *into, const struct tls_certificate_source *source,
                   char *message, size_t message_size);

/* OpenSSL's errors so far say nothing about what it does next. Cheap when there are none. */
static inline void tls_forget_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

/* What OpenSSL says last, or "". */
const char *tls_error_text(void);

/*
 * tls_target.c. ALIKE: another one of the same settings on this worker, or NULL. NULL: MESSAGE says
 * why.
 */
struct tls_target *tls_target_create(const struct tls_target_source *source,
                                     const struct tls_target *alike, OSSL_LIB_CTX *library,
                                     char *message, size_t message_size);
bool tls_target_same_settings(const struct tls_target_source *a, const struct tls_target_source *b);

/* A handshake's beginning. NULL: no memory. */
SSL *tls_target_ssl(const struct tls_target *target);

/* A handshake has succeeded. A full one ends what came before: the backend gives anew. */
void tls_target_opened(const struct tls_target *target, const SSL *ssl);

/* A handshake has ended without success. What it came back with may be why: the next one is full.
 */
void tls_target_failed(const struct tls_target *target);

/* Whether that was offered, or may be assumed. */
bool tls_target_takes(const struct tls_target *target, enum tls_protocol protocol);

/* tls_bio.c: OpenSSL's way to a session's connection. Main thread at start; NULL: no memory. */
bool tls_bio_init(void);
BIO *tls_bio_new(struct tls_session *session);

/* tls_handshake.c */
void tls_handshake_step(struct tls_session *session, uint64_t now);
void tls_handshake_queue(struct tls_session *session);

/* Its connection is lost. */
void tls_handshake_lose(struct tls_session *session);

/* tls_session.c. The owner lets go: close_notify and FIN; RST: tls_session_abort(). */
void tls_session_close(struct tls_session *session);

/* It is of no more use: its owner is told TCP_FAILED. */
void tls_session_fail(struct tls_session *session);

/* EVENTS are told in the next turn, or what waits is tried again then. */
void tls_session_tell(struct tls_session *session, uint32_t events);

/* Its connection has been let go: free everything. */
void tls_session_free(struct tls_session *session);

/* tls_record.c: gathered and waiting bytes. False: they wait for TCP's memory. */
bool tls_records_flush(struct tls_session *session);

/* tls_tickets.c: OpenSSL's callback (SSL_CTX_set_tlsext_ticket_key_evp_cb(3)). */
int tls_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                   EVP_MAC_CTX *mac, int encrypt);
