/*
 * tcp_close: the layer above lets go: RFC 9293 3.10.4 (CLOSE) and 3.10.5 (ABORT).
 *
 * What arrives after tcp_close() is acknowledged and thrown away until the peer's FIN, where other
 * stacks send RST (RFC 2525 2.17): a peer that is still writing when we close gracefully, as with
 * HTTP/2's GOAWAY, must not lose our last bytes to a reset. It is bounded: after 10 s in FIN_WAIT_2
 * the RST comes (tcp_timers.c), and while our own data is not acknowledged, after the user timeout.
 */
#include "dataplane/tcp/tcp_internal.h"

/* From here on nobody outside knows the connection. */
static void let_go(struct tcp_conn *conn)
{
    conn->flags &= ~(uint32_t)(TCP_CONN_OWNED | TCP_CONN_WANT_ROOM);
    conn->flags |= TCP_CONN_SEND_SHUT;
    conn->app = NULL;
    conn->context = NULL;
    conn->events = 0;
    tcp_conn_unlink(conn, TCP_LINK_READY);
    tcp_conn_unlink(conn, TCP_LINK_EXTRA);
    tcp_data_discard(conn);
    conn->progress_at_ms = tcp_ms(conn->tcp->now);
    tcp_timer_set(conn, TCP_DEADLINE_IDLE, conn->tcp->now + conn->tcp->config.user_timeout_ns);
    tcp_conn_want_out(conn);
}

void tcp_close(struct tcp_conn *conn)
{
    check(conn->flags & TCP_CONN_OWNED);
    switch ((enum tcp_state)conn->state) {
    case TCP_STATE_CLOSED: /* it failed; there is nothing left to close */
        tcp_conn_free(conn);
        return;
    case TCP_STATE_SYN_SENT:
        tcp_state_change(conn, TCP_STATE_CLOSED, TCP_CAUSE_CLOSE);
        tcp_conn_free(conn);
        return;
    case TCP_STATE_SYN_RECEIVED:
        tcp_abort(conn);
        return;
    case TCP_STATE_ESTABLISHED:
        tcp_state_change(conn, TCP_STATE_FIN_WAIT_1, TCP_CAUSE_CLOSE);
        let_go(conn);
        return;
    case TCP_STATE_CLOSE_WAIT:
        tcp_state_change(conn, TCP_STATE_LAST_ACK, TCP_CAUSE_CLOSE);
        let_go(conn);
        return;
    case TCP_STATE_FIN_WAIT_1:
    case TCP_STATE_FIN_WAIT_2:
    case TCP_STATE_CLOSING:
    case TCP_STATE_LAST_ACK:
    case TCP_STATE_TIME_WAIT:
    case TCP_STATES:
        break;
    }
    check(!"closed twice");
}

void tcp_abort(struct tcp_conn *conn)
{
    check(conn->flags & TCP_CONN_OWNED);
    if (conn->state != TCP_STATE_CLOSED) {
        tcp_out_reset(conn, conn->tcp->now);
        tcp_count(conn->tcp, connections_aborted);
        tcp_state_change(conn, TCP_STATE_CLOSED, TCP_CAUSE_ABORT);
    }
    tcp_conn_free(conn);
}

uint32_t tcp_farewell(struct tcp *tcp, uint32_t at, uint32_t count, uint64_t now)
{
    for (; at < tcp->conns.count; at++) {
        struct tcp_conn *conn = pool_at(&tcp->conns, at);
        if (conn == NULL)
            continue;
        if (count-- == 0)
            return at;
        tcp_out_reset(conn, now);
    }
    return 0;
}
