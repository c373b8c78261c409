/*
 * fake_tcp: tcp.h, and tls.h's side towards backends, without a network, for tests of what sits
 * above. Define by including it in the test's one file; the real tcp is then not linked. The test
 * plays the network: fake_tcp_tell(conn, events) delivers events.
 */
#pragma once

#include "dataplane/base/check.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/tls/tls.h"
#include "dataplane/tls/tls_target.h"

#define FAKE_TCP_CONNS 4096

struct tcp {
    int nothing;
};

enum fake_tcp_state {
    FAKE_TCP_HELD,    /* the layer above has it */
    FAKE_TCP_CLOSED,  /* it let go with tcp_close() ... */
    FAKE_TCP_ABORTED, /* ... or tcp_abort() */
};

struct tcp_conn {
    enum fake_tcp_state state;
    const struct tcp_app *app;
    void *context;
    struct ip_address remote;
    uint16_t port;
    struct tcp_info info;
    uint32_t asked;      /* tcp_ask() */
    struct bytes unread; /* fake_tcp_feed() */
    struct tls_session *tls;
};

/* TLS on a connection; there is as many of them as connections. */
struct tls_session {
    struct tcp_conn *conn;
    const struct tls_app *app;
    void *context;
    const struct tls_target *target;
    enum tls_protocol protocol; /* that is agreed on */
};

struct tls_target {
    int holders;
};

static struct {
    struct tcp tcp;
    struct tcp_conn conns[FAKE_TCP_CONNS];
    uint32_t count;
    uint32_t held;
    bool full; /* tcp_connect() finds no room */
    struct tls_session sessions[FAKE_TCP_CONNS];
    struct tls_target targets[2]; /* of tls_contexts_target() */
    bool tls_full;                /* tls_connect() finds no room */
} fake_tcp;

static inline void fake_tcp_init(void)
{
    memset(&fake_tcp, 0, sizeof(fake_tcp));
}

/* To TLS's owner where there is TLS: TCP_OPENED is the end of its handshake. */
static inline void fake_tcp_tell(struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    check(conn->state == FAKE_TCP_HELD);
    if (conn->tls != NULL)
        conn->tls->app->event(conn->tls->context, conn->tls, events, now);
    else
        conn->app->event(conn->context, conn, events, now);
}

/* TEXT has arrived, and lives as long as it is not read. */
static inline void fake_tcp_feed(struct tcp_conn *conn, const char *text, uint64_t now)
{
    check(conn->unread.length == 0);
    conn->unread = bytes_text(text);
    fake_tcp_tell(conn, TCP_READABLE, now);
}

static inline void fake_tcp_fail(struct tcp_conn *conn, enum tcp_failure failure, uint64_t now)
{
    conn->info.failure = failure;
    fake_tcp_tell(conn, TCP_FAILED, now);
}

struct tcp_conn *tcp_connect(struct tcp *tcp, const struct ip_address *remote, uint16_t port,
                             const struct tcp_app *app, void *context, uint64_t now)
{
    if (fake_tcp.full || fake_tcp.count == FAKE_TCP_CONNS)
        return NULL;
    struct tcp_conn *conn = &fake_tcp.conns[fake_tcp.count++];
    *conn = (struct tcp_conn){.app = app, .context = context, .remote = *remote, .port = port};
    fake_tcp.held++;
    return conn;
}

static inline void fake_tcp_let_go(struct tcp_conn *conn, enum fake_tcp_state state)
{
    check(conn->state == FAKE_TCP_HELD);
    conn->state = state;
    fake_tcp.held--;
}

void tcp_close(struct tcp_conn *conn)
{
    fake_tcp_let_go(conn, FAKE_TCP_CLOSED);
}

void tcp_abort(struct tcp_conn *conn)
{
    fake_tcp_let_go(conn, FAKE_TCP_ABORTED);
}

void tcp_info(const struct tcp_conn *conn, uint64_t now, struct tcp_info *out)
{
    check(conn->state == FAKE_TCP_HELD);
    *out = conn->info;
}

void tcp_limit_receive(struct tcp_conn *conn, uint32_t bytes)
{
    check(conn->state == FAKE_TCP_HELD);
}

void tcp_ask(struct tcp_conn *conn, uint64_t now)
{
    check(conn->state == FAKE_TCP_HELD);
    conn->asked++;
}

struct bytes tcp_read(struct tcp_conn *conn)
{
    check(conn->state == FAKE_TCP_HELD);
    return conn->unread;
}

void tcp_read_done(struct tcp_conn *conn, uint32_t count)
{
    conn->unread = bytes_after(conn->unread, count);
}

uint32_t tcp_send_room(struct tcp_conn *conn)
{
    return 65536;
}

uint32_t tcp_copy_room(struct tcp_conn *conn)
{
    return tcp_send_room(conn);
}

bool tcp_send_copy(struct tcp_conn *conn, struct bytes bytes)
{
    return true;
}

bool tcp_send_segment(struct tcp_conn *conn, struct segment *segment, uint32_t offset,
                      uint32_t length)
{
    return true;
}

/* --- tls/transport.h: what is above only lets go through it --- */

static inline uint32_t fake_transport_room(void *stream)
{
    return tcp_send_room(stream);
}

static inline bool fake_transport_send_copy(void *stream, struct bytes bytes)
{
    return tcp_send_copy(stream, bytes);
}

static inline bool fake_transport_send_segment(void *stream, struct segment *segment,
                                               uint32_t offset, uint32_t length)
{
    return tcp_send_segment(stream, segment, offset, length);
}

static inline struct bytes fake_transport_read(void *stream)
{
    return tcp_read(stream);
}

static inline void fake_transport_read_done(void *stream, uint32_t count)
{
    tcp_read_done(stream, count);
}

static inline void fake_transport_close(void *stream)
{
    tcp_close(stream);
}

static inline void fake_transport_abort(void *stream)
{
    tcp_abort(stream);
}

struct transport transport_tcp(struct tcp_conn *conn)
{
    static const struct transport_ops ops = {
        .room = fake_transport_room,
        .send_copy = fake_transport_send_copy,
        .send_segment = fake_transport_send_segment,
        .read = fake_transport_read,
        .read_done = fake_transport_read_done,
        .close = fake_transport_close,
        .abort = fake_transport_abort,
    };
    return (struct transport){&ops, conn};
}

/* --- TLS --- */

struct tls_session *tls_connect(struct tls *tls, const struct tls_target *target,
                                struct tcp_conn *conn, const struct tls_app *app, void *context,
                                uint64_t now)
{
    if (fake_tcp.tls_full) {
        tcp_abort(conn);
        return NULL;
    }
    conn->tls = &fake_tcp.sessions[conn - fake_tcp.conns];
    *conn->tls = (struct tls_session){conn, app, context, target, TLS_PROTOCOL_H2};
    return conn->tls;
}

void tls_session_events(struct tls_session *session, uint32_t events, uint64_t now)
{
}

enum tls_protocol tls_session_protocol(const struct tls_session *session)
{
    return session->protocol;
}

void tls_session_abort(struct tls_session *session)
{
    tcp_abort(session->conn);
}

struct transport transport_tls(struct tls_session *session)
{
    return transport_tcp(session->conn);
}

const struct tls_target *tls_contexts_target(const struct tls_contexts *contexts, uint32_t index,
                                             uint32_t worker)
{
    return &fake_tcp.targets[index];
}

const struct tls_target *tls_target_hold(const struct tls_target *target)
{
    ((struct tls_target *)target)->holders++;
    return target;
}

void tls_target_drop(const struct tls_target *target)
{
    if (target != NULL)
        ((struct tls_target *)target)->holders--;
}
