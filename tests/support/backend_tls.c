#include "tests/support/backend_tls.h"

#include "dataplane/base/check.h"
#include "dataplane/tls/tls_private.h"

/* Which life of its backend a session's handshake has begun in. */
static int life_index(void)
{
    static int made = -1;
    if (made < 0)
        made = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    check(made >= 0);
    return made;
}

static void on_event(void *app, struct tls_session *session, uint32_t events, uint64_t now)
{
    struct backend *backend = app;
    uintptr_t life = (uintptr_t)SSL_get_ex_data(session->ssl, life_index());
    if (life != backend->life) {
        tls_session_abort(session); /* it has crashed meanwhile */
        return;
    }
    bool http1 = tls_session_protocol(session) == TLS_PROTOCOL_HTTP1;
    check(http1 == backend->speaks_http1);
    backend_conn_open(backend, transport_tls(session), session, events & ~(uint32_t)TCP_OPENED,
                      now);
}

static const struct tls_app app = {.event = on_event};

static void on_conn_event(void *context, struct tls_session *session, uint32_t events, uint64_t now)
{
    backend_conn_event(context, events, now);
}

const struct tls_app backend_tls_app = {.event = on_conn_event};

void backend_tls_accept(struct backend *backend, struct tcp_conn *tcp, uint32_t events,
                        uint64_t now)
{
    struct tls_session *session =
        tls_accept(backend->host.tls, backend->profile, tcp, &app, backend, now);
    check(session != NULL);
    SSL_set_ex_data(session->ssl, life_index(), (void *)(uintptr_t)backend->life);
    if (backend->tls12)
        SSL_set_max_proto_version(session->ssl, TLS1_2_VERSION);
    tls_session_events(session, events & ~(uint32_t)TCP_OPENED, now);
}

void backend_tls_cut(struct backend_conn *conn)
{
    static const uint8_t beginning[] = {SSL3_RT_APPLICATION_DATA, 3, 3, 0x20, 0, 1, 2, 3, 4};
    struct tls_session *session = conn->session;
    if (tcp_send_room(session->tcp) >= sizeof(beginning))
        tcp_send_copy(session->tcp, bytes_of(beginning, sizeof(beginning)));
    session->state = TLS_BROKEN; /* so that its end is FIN alone */
}

bool backend_tls_renegotiate(struct backend_conn *conn)
{
    SSL *ssl = conn->session->ssl;
    if (SSL_version(ssl) != TLS1_2_VERSION)
        return false;
    SSL_clear_options(ssl, SSL_OP_NO_RENEGOTIATION);
    if (SSL_renegotiate(ssl) == 1)
        SSL_do_handshake(ssl); /* the question goes out; the next read has the answer */
    return true;
}

void backend_tls_update_keys(struct backend_conn *conn)
{
    SSL *ssl = conn->session->ssl;
    if (SSL_version(ssl) == TLS1_3_VERSION)
        SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
}
