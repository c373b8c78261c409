/* tcp_cc_newreno: RFC 5681 with byte counting (RFC 3465). */
#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_internal.h"

/* cc_state[0]: bytes acknowledged since cwnd last grew in congestion avoidance. */
enum { COUNTED = 0 };

static void newreno_open(struct tcp_conn *conn, uint64_t now)
{
    conn->cwnd = tcp_cc_initial_window(conn);
    conn->ssthresh = TCP_SSTHRESH_NONE;
    conn->cc_state[COUNTED] = 0;
}

static void newreno_acked(struct tcp_conn *conn, uint32_t acked, uint64_t now)
{
    acked = tcp_cc_slow_start(conn, acked);
    conn->cc_state[COUNTED] += acked;
    if (acked > 0 && conn->cc_state[COUNTED] >= conn->cwnd) {
        conn->cc_state[COUNTED] -= conn->cwnd;
        conn->cwnd += conn->mss;
    }
}

static void newreno_unlimited(struct tcp_conn *conn)
{
}

/* RFC 5681 (4). */
static void newreno_lost(struct tcp_conn *conn, uint32_t in_flight, uint64_t now)
{
    conn->ssthresh = tcp_cc_at_least_two(conn, in_flight / 2);
    conn->cc_state[COUNTED] = 0;
}

static void newreno_timed_out(struct tcp_conn *conn, bool first, uint64_t now)
{
    if (first)
        newreno_lost(conn, tcp_flight(conn), now);
    conn->cwnd = conn->mss;
    conn->cc_state[COUNTED] = 0;
}

static void newreno_undone(struct tcp_conn *conn, uint64_t now)
{
    conn->cc_state[COUNTED] = 0;
}

static void newreno_idle(struct tcp_conn *conn, uint64_t now)
{
    tcp_cc_restart(conn);
}

const struct tcp_cc_ops tcp_cc_newreno = {
    .name = "newreno",
    .open = newreno_open,
    .acked = newreno_acked,
    .unlimited = newreno_unlimited,
    .lost = newreno_lost,
    .timed_out = newreno_timed_out,
    .undone = newreno_undone,
    .idle = newreno_idle,
};
