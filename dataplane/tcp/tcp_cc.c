/* tcp_cc: what algorithms share: RFC 5681 3.1 and 4.1, RFC 6928, RFC 2861 3.1. */
#include "dataplane/tcp/tcp_cc.h"

#include "dataplane/tcp/tcp_internal.h"

uint32_t tcp_cc_initial_window(const struct tcp_conn *conn)
{
    uint32_t floor = 2u * conn->mss > 14600 ? 2u * conn->mss : 14600;
    uint32_t ten = TCP_INITIAL_WINDOW_SEGMENTS * conn->mss;
    return ten < floor ? ten : floor;
}

/*
 * By all that was acknowledged, not by two segments an ACK at most (RFC 3465 L): peers that
 * acknowledge a whole burst at once would never let us start.
 */
uint32_t tcp_cc_slow_start(struct tcp_conn *conn, uint32_t acked)
{
    if (conn->cwnd >= conn->ssthresh)
        return acked;
    uint32_t room = conn->ssthresh - conn->cwnd;
    uint32_t grow = acked < room ? acked : room;
    conn->cwnd += grow;
    return acked - grow;
}

void tcp_cc_restart(struct tcp_conn *conn)
{
    uint32_t restart = tcp_cc_initial_window(conn);
    if (conn->cwnd <= restart)
        return;
    uint32_t most = conn->cwnd / 4 * 3;
    if (conn->ssthresh < most)
        conn->ssthresh = most;
    conn->cwnd = restart;
}

uint32_t tcp_cc_at_least_two(const struct tcp_conn *conn, uint32_t bytes)
{
    return bytes > 2u * conn->mss ? bytes : 2u * conn->mss;
}
