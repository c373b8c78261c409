/*
 * tcp_connect: active opens: RFC 9293 3.10.1 (OPEN), and our source ports: RFC 6056 3.3.1 (simple
 * randomization), from this worker's slice only, so that replies find their way back; where it is
 * known which queue the port will put them in, from those that come straight to this worker.
 */
#include "dataplane/tcp/tcp_internal.h"

#define PORT_TRIES 128u /* at 95 % of all ports in use one of 700 attempts fails */
#define DIRECT_TRIES                                                                               \
    96u /* of these, for a port whose replies come to us: one of W is, of W workers */

/* The slice: every port from FLOW_SOURCE_PORT_FIRST on whose owner we are. */
static uint16_t port_at(const struct tcp *tcp, uint32_t index)
{
    uint16_t workers = tcp->config.workers;
    uint16_t owner = flow_port_owner(FLOW_SOURCE_PORT_FIRST, workers);
    uint32_t first =
        FLOW_SOURCE_PORT_FIRST + (uint32_t)(tcp->config.self + workers - owner) % workers;
    return (uint16_t)(first + index * workers);
}

void tcp_connect_init(struct tcp *tcp)
{
    uint32_t first = port_at(tcp, 0);
    tcp->port_count =
        (FLOW_SOURCE_PORT_FIRST + FLOW_SOURCE_PORTS - first + tcp->config.workers - 1) /
        tcp->config.workers;
}

/* Whether the tuple is free now; a TIME_WAIT entry may give way and says what ISS has to pass. */
static bool claim(struct tcp *tcp, const struct flow_tuple *tuple, uint32_t hash, uint32_t *iss,
                  uint64_t now)
{
    *iss = tcp_isn(tcp, tuple, now);
    tcp_reference ref = tcp_table_find(&tcp->table, hash, tuple);
    if (ref == TCP_REFERENCE_NONE)
        return true;
    uint32_t least_iss;
    if (!tcp_reference_is_time_wait(ref) ||
        !tcp_time_wait_yield(tcp, tcp_reference_index(ref), &least_iss, now))
        return false;
    if (seq_leq(*iss, least_iss))
        *iss = least_iss + 1;
    return true;
}

static void count_port(struct tcp *tcp, enum net_replies replies)
{
    switch (replies) {
    case NET_REPLIES_HERE:
        tcp_count(tcp, connect_replies_here);
        break;
    case NET_REPLIES_ELSEWHERE:
        tcp_count(tcp, connect_replies_elsewhere);
        break;
    case NET_REPLIES_UNKNOWN:
        tcp_count(tcp, connect_replies_unknown);
        break;
    }
}

/* A source port for a tuple that lacks one. False: none found in PORT_TRIES. */
static bool choose_port(struct tcp *tcp, const struct net_path *path, struct flow_tuple *tuple,
                        uint32_t *hash, uint32_t *iss, uint64_t now)
{
    for (uint32_t i = 0; i < PORT_TRIES; i++) {
        tuple->local_port = port_at(tcp, random_below(tcp->config.random, tcp->port_count));
        enum net_replies replies = net_replies(tcp->config.net, path, tuple);
        if (replies == NET_REPLIES_ELSEWHERE && i < DIRECT_TRIES)
            continue;
        *hash = tcp_table_hash(&tcp->table, tuple);
        if (!claim(tcp, tuple, *hash, iss, now))
            continue;
        count_port(tcp, replies);
        return true;
    }
    tcp_count(tcp, connect_no_port);
    return false;
}

/* LOCAL is NULL where the route chooses it. False: no way there; counted. */
static bool find_way(struct tcp *tcp, const struct ip_address *local, struct flow_tuple *tuple,
                     struct net_path *path)
{
    bool found = net_route(tcp->config.net, &tuple->remote, path);
    if (found && local != NULL)
        tuple->local = *local;
    else if (found)
        found = net_source_address(tcp->config.net, path, &tuple->remote, &tuple->local);
    if (!found)
        tcp_count(tcp, connect_no_route);
    return found;
}

static struct tcp_conn *open_from(struct tcp *tcp, const struct ip_address *local,
                                  const struct ip_address *remote, uint16_t port, uint64_t now)
{
    tcp->now = now;
    struct net_path path;
    struct flow_tuple tuple = {.remote = *remote, .remote_port = port};
    if (!find_way(tcp, local, &tuple, &path))
        return NULL;
    if (tcp->conns.free_count == 0) { /* before a TIME_WAIT entry gives way for nothing */
        tcp_count(tcp, connection_pool_empty);
        return NULL;
    }
    uint32_t hash;
    uint32_t iss;
    if (!choose_port(tcp, &path, &tuple, &hash, &iss, now))
        return NULL;
    return tcp_conn_new(tcp, &tuple, hash, &path, iss, now);
}

static struct tcp_conn *begin(struct tcp_conn *conn, const struct tcp_app *app, void *context,
                              uint64_t now)
{
    if (conn == NULL)
        return NULL;
    conn->app = app;
    conn->context = context;
    conn->flags |= TCP_CONN_OWNED | TCP_CONN_OPENED_BY_US | TCP_CONN_SYN_DUE;
    tcp_state_change(conn, TCP_STATE_SYN_SENT, TCP_CAUSE_OPEN);
    uint64_t look_ns = conn->tcp->config.connect_timeout_ns;
    if (look_ns > TCP_CONNECT_LOOK_NS)
        look_ns = TCP_CONNECT_LOOK_NS;
    tcp_timer_set(conn, TCP_DEADLINE_IDLE, now + look_ns);
    tcp_conn_want_out(conn);
    return conn;
}

struct tcp_conn *tcp_connect(struct tcp *tcp, const struct ip_address *remote, uint16_t port,
                             const struct tcp_app *app, void *context, uint64_t now)
{
    return begin(open_from(tcp, NULL, remote, port, now), app, context, now);
}

struct tcp_conn *tcp_connect_from(struct tcp *tcp, const struct ip_address *local,
                                  const struct ip_address *remote, uint16_t port,
                                  const struct tcp_app *app, void *context, uint64_t now)
{
    return begin(open_from(tcp, local, remote, port, now), app, context, now);
}
