/*
 * tcp_listen: listeners, SYNs for them, and segments for nobody: RFC 9293 3.10.7.1 (CLOSED) and
 * 3.10.7.2 (LISTEN).
 *
 * A half-open connection is a whole connection object in SYN_RECEIVED; how many there may be is
 * bounded. Above the backlog SYNs are answered with cookies (tcp_cookie.c). Everything that
 * establishment needs from a SYN is gathered in open_half(), from a struct tcp_segment alone: what
 * the ACK of a cookie says about its SYN goes the same way.
 */
#include "dataplane/base/memory.h"
#include "dataplane/tcp/tcp_internal.h"

#define HALF_OPEN_MIN 64u

bool tcp_listen_init(struct tcp *tcp)
{
    uint32_t count = tcp->config.listeners_max;
    uint32_t quarter = tcp->config.connections_max / 4;
    tcp->half_open_max = quarter > HALF_OPEN_MIN ? quarter : HALF_OPEN_MIN;
    tcp->listener_count = 0;
    if (count == 0)
        return true;
    tcp->listener_ports =
        memory_take("tcp listeners", count * sizeof(*tcp->listener_ports), tcp->config.socket_id);
    tcp->listeners =
        memory_take("tcp listeners", count * sizeof(*tcp->listeners), tcp->config.socket_id);
    return tcp->listener_ports != NULL && tcp->listeners != NULL;
}

/* The ports stand apart so that the search reads few cache lines. */
static struct tcp_listener *find(const struct tcp *tcp, const struct ip_address *address,
                                 uint16_t port)
{
    for (uint32_t i = 0; i < tcp->listener_count; i++) {
        if (tcp->listener_ports[i] == port && ip_address_equal(&tcp->listeners[i].address, address))
            return &tcp->listeners[i];
    }
    return NULL;
}

bool tcp_listen(struct tcp *tcp, const struct ip_address *address, uint16_t port,
                const struct tcp_app *app, void *context)
{
    if (tcp->listener_count == tcp->config.listeners_max || find(tcp, address, port) != NULL)
        return false;
    tcp->listener_ports[tcp->listener_count] = port;
    tcp->listeners[tcp->listener_count] =
        (struct tcp_listener){.address = *address, .app = app, .context = context};
    tcp->listener_count++;
    return true;
}

/* Those that are half open belong to the listener's context, which may be gone soon. */
static void drop_half_open(struct tcp *tcp, const struct ip_address *address, uint16_t port)
{
    uint32_t next = tcp_list_first(&tcp->lists, TCP_LIST_HALF_OPEN);
    while (next != TCP_NOBODY) {
        struct tcp_conn *conn = tcp_conn_at(tcp, next);
        next = tcp_list_after(&tcp->lists, TCP_LIST_HALF_OPEN, next);
        if (conn->tuple.local_port != port || !ip_address_equal(&conn->tuple.local, address))
            continue;
        tcp_out_reset(conn, tcp->now);
        tcp_conn_fail(conn, TCP_FAILURE_RESET, TCP_CAUSE_ABORT);
    }
}

void tcp_unlisten(struct tcp *tcp, const struct ip_address *address, uint16_t port)
{
    struct tcp_listener *listener = find(tcp, address, port);
    if (listener == NULL)
        return;
    uint32_t last = --tcp->listener_count;
    uint32_t index = (uint32_t)(listener - tcp->listeners);
    tcp->listeners[index] = tcp->listeners[last];
    tcp->listener_ports[index] = tcp->listener_ports[last];
    drop_half_open(tcp, address, port);
}

/* A connection in SYN_RECEIVED for a SYN; NULL: none is free, or no way back. */
static struct tcp_conn *open_half(struct tcp *tcp, const struct tcp_listener *listener,
                                  const struct tcp_segment *syn, uint32_t iss, uint64_t now)
{
    struct net_path path;
    if (!net_route(tcp->config.net, &syn->tuple.remote, &path)) {
        tcp_count(tcp, connect_no_route);
        return NULL;
    }
    struct tcp_conn *conn = tcp_conn_new(tcp, &syn->tuple, syn->hash, &path, iss, now);
    if (conn == NULL)
        return NULL;
    uint32_t window = tcp->config.receive_window_bytes;
    conn->app = listener->app;
    conn->context = listener->context;
    conn->rcv_nxt = syn->seq + 1;
    conn->rcv_adv = conn->rcv_nxt + (window < UINT16_MAX ? window : UINT16_MAX);
    conn->last_ack_sent = conn->rcv_nxt;
    tcp_conn_negotiate(conn, syn);
    tcp_state_change(conn, TCP_STATE_SYN_RECEIVED, TCP_CAUSE_SYN);
    tcp_conn_link(conn, TCP_LIST_HALF_OPEN);
    conn->flags |= TCP_CONN_HALF_OPEN;
    tcp->half_open_count++;
    return conn;
}

bool tcp_listen_has_room(const struct tcp *tcp)
{
    return tcp->half_open_count < tcp->half_open_max;
}

/*
 * What takes over a TIME_WAIT entry gets a connection at once: our sequence numbers have to begin
 * above the old ones, and those of cookies cannot be chosen. Such SYNs are as bounded as entries.
 */
static void syn_in(struct tcp *tcp, const struct tcp_listener *listener, struct tcp_segment *syn,
                   const uint32_t *least_iss, uint64_t now)
{
    if (least_iss == NULL && tcp_cookie_wanted(tcp)) {
        tcp_cookie_answer(tcp, syn, now);
        return;
    }
    if (!tcp_listen_has_room(tcp)) {
        tcp_count(tcp, half_open_full);
        return;
    }
    uint32_t iss = tcp_isn(tcp, &syn->tuple, now);
    if (least_iss != NULL && seq_leq(iss, *least_iss))
        iss = *least_iss + 1;
    struct tcp_conn *conn = open_half(tcp, listener, syn, iss, now);
    if (conn == NULL)
        return;
    conn->flags |= TCP_CONN_SYN_DUE;
    tcp_conn_want_out(conn);
}

/* The connection whose cookie comes back; NULL: it is none, or no connection is free. */
static struct tcp_conn *cookie_in(struct tcp *tcp, const struct tcp_segment *seg, uint64_t now)
{
    const struct tcp_listener *listener = find(tcp, &seg->tuple.local, seg->tuple.local_port);
    struct tcp_segment syn;
    uint32_t iss;
    if (listener == NULL || !tcp_cookie_check(tcp, seg, &syn, &iss, now))
        return NULL;
    struct tcp_conn *conn = open_half(tcp, listener, &syn, iss, now);
    if (conn == NULL) {
        tcp_count(tcp, cookies_shed);
        return NULL;
    }
    tcp_count(tcp, cookies_accepted);
    conn->backoff = 1; /* when its SYN-ACK was sent is not known, but by the timestamp */
    tcp_cookie_timestamps(conn, seg, now);
    return conn;
}

struct tcp_conn *tcp_listen_in(struct tcp *tcp, struct tcp_segment *seg, const uint32_t *least_iss,
                               uint64_t now)
{
    if (seg->flags & TCP_RST)
        return NULL;            /* first step */
    if (seg->flags & TCP_ACK) { /* second step, or CLOSED */
        struct tcp_conn *conn = seg->flags & TCP_SYN ? NULL : cookie_in(tcp, seg, now);
        if (conn != NULL)
            return conn;
        tcp_count(tcp, segment_no_connection);
        tcp_closed_in(tcp, seg, now);
        return NULL;
    }
    const struct tcp_listener *listener = find(tcp, &seg->tuple.local, seg->tuple.local_port);
    if (listener == NULL) {
        tcp_count(tcp, segment_no_connection);
        tcp_closed_in(tcp, seg, now);
    } else if (seg->flags & TCP_SYN) {
        syn_in(tcp, listener, seg, least_iss, now); /* third step; payload comes again later */
    } else {
        tcp_count(tcp, segment_bad_flags); /* fourth step */
    }
    return NULL;
}

void tcp_closed_in(struct tcp *tcp, const struct tcp_segment *seg, uint64_t now)
{
    if (seg->flags & TCP_RST)
        return;
    if (!tcp_limiter_take(&tcp->resets, TCP_RESETS_PER_SECOND, now)) {
        tcp_count(tcp, resets_limited);
        return;
    }
    struct tcp_bare bare = {.tuple = &seg->tuple, .flags = TCP_RST};
    if (seg->flags & TCP_ACK) {
        bare.seq = seg->ack;
    } else {
        bare.ack = seg->seq + tcp_segment_span(seg);
        bare.flags |= TCP_ACK;
    }
    tcp_count(tcp, resets_out);
    tcp_out_bare(tcp, &bare, now);
}
