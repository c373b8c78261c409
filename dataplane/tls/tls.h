/*
 * tls: Transport Layer Security (RFC 8446, RFC 5246) between TCP and HTTP/2, by OpenSSL. One struct
 * tls a worker.
 *
 * No socket and no clock: OpenSSL reads from tcp_read() and writes to tcp_send_copy() (tls_bio.c).
 * A session tells its owner the events of TCP (tcp.h), as if it were a connection: TCP_OPENED when
 * the handshake is done, TCP_READABLE when there may be plain bytes, TCP_EOF, TCP_FAILED. Then the
 * owner lets go by the transport's close() or abort().
 *
 * Handshakes are the dear part: a queue takes them, and tls_turn() does a few a turn, so that a
 * flood of them does not delay established connections.
 *
 * Copies of a byte sent: into a buffer of the worker, where pieces become a record; encryption into
 * OpenSSL's record buffer; from there into TCP's blocks, which hold them until they are
 * acknowledged. Received: packet to
 * OpenSSL's record buffer, decrypted in place, to a buffer of the worker, where HTTP/2 reads.
 */
#pragma once

#include "dataplane/base/timer_wheel.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/tls/tls_context.h"
#include "dataplane/tls/transport.h"

struct tls;
struct tls_session;
struct tls_target;

/* What a handshake has agreed on (RFC 7301). */
enum tls_protocol {
    TLS_PROTOCOL_NONE, /* nothing was said */
    TLS_PROTOCOL_H2,
    TLS_PROTOCOL_HTTP1,
};

#define COUNTERS_STRUCT tls_counters
#define COUNTERS_DEF    "dataplane/tls/tls_counters.def"
#include "dataplane/base/counter_struct.h"

/* The layer above a session. EVENTS is a set of enum tcp_event. Called by tls_turn() and TCP. */
struct tls_app {
    void (*event)(void *app, struct tls_session *session, uint32_t events, uint64_t now);
};

struct tls_config {
    struct timer_wheel *wheel;
    uint32_t sessions_max;
    uint32_t kept_max;     /* sessions with decrypted bytes that nobody takes, 16 KiB each */
    uint64_t memory_bytes; /* OpenSSL's, for this worker; 0: the C library's (tests) */
    uint64_t handshake_timeout_ns;
    uint32_t key_lines_max; /* on their way to the key log (tls_key_log.h); 0: there is none */
    int socket_id;
};

/* Everything but sessions is allocated here. NULL: not enough memory. Main thread, at start. */
struct tls *tls_create(const struct tls_config *config);

/* OpenSSL's memory on this thread is TLS's from here on. The worker's thread, before its loop. */
void tls_enter(struct tls *tls);

struct tls_counters *tls_counters(struct tls *tls);

/*
 * Await a handshake on an accepted connection, which is taken over, also on failure (it is aborted
 * then). NULL: no session or memory is free; counted.
 */
struct tls_session *tls_accept(struct tls *tls, const struct tls_profile *profile,
                               struct tcp_conn *conn, const struct tls_app *app, void *context,
                               uint64_t now);

/* TCP's further events, in the turn of tls_accept() or tls_connect(). */
void tls_session_events(struct tls_session *session, uint32_t events, uint64_t now);

/*
 * Begin a handshake with a backend on an established connection, which is taken over, also on
 * failure (it is aborted then). TCP_OPENED or TCP_FAILED follows; its time is the owner's to watch.
 * NULL: no session or memory is free; counted.
 */
struct tls_session *tls_connect(struct tls *tls, const struct tls_target *target,
                                struct tcp_conn *conn, const struct tls_app *app, void *context,
                                uint64_t now);

/* What a client has shown. */
struct tls_client_identity {
    bool asked;
    bool shown;          /* and verified; also when its session was resumed */
    uint8_t sha256[32]; /* of the certificate in DER */
};

/* From TCP_OPENED on. False: what was shown cannot be read; nobody may be taken for anybody. */
bool tls_session_identity(const struct tls_session *session, struct tls_client_identity *out);

/* From TCP_OPENED on. */
enum tls_protocol tls_session_protocol(const struct tls_session *session);

/* The owner lets go without having wrapped it in a transport. */
void tls_session_abort(struct tls_session *session);

void tls_set_app(struct tls_session *session, const struct tls_app *app, void *context);

/* Some handshakes, and what there is to tell. Once a turn. True: there was something. */
bool tls_turn(struct tls *tls, uint64_t now);

/* Everything that was sent becomes records. Once a turn, after the layer above, before tcp_out().
 */
void tls_flush(struct tls *tls);

/* The byte stream of a session. */
struct transport transport_tls(struct tls_session *session);

/* The connection under a session. */
void tls_session_info(const struct tls_session *session, uint64_t now, struct tcp_info *out);

/* Sessions in use. */
uint32_t tls_session_count(const struct tls *tls);
