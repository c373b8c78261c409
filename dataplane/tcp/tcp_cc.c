/* tcp_cc: NewReno: RFC 5681 with byte counting (RFC 3465), RFC 6582, initial window RFC 6928. */
#include "dataplane/tcp/tcp_cc.h"

#include "dataplane/tcp/tcp_internal.h"

/* cc_state[0]: bytes acknowledged since cwnd last grew in congestion avoidance. */
enum { COUNTED = 0 };

static uint32_t initial_window(const struct tcp_conn *conn)
{
    uint32_t floor = 2u * conn->mss > 14600 ? 2u * conn->mss : 14600;
    uint32_t ten = TCP_INITIAL_WINDOW_SEGMENTS * conn->mss;
    return ten < floor ? ten : floor;
}

/* RFC 5681 (4). */
static uint32_t half_flight(const struct tcp_conn *conn)
{
    uint32_t half = tcp_flight(conn) / 2;
    return half > 2u * conn->mss ? half : 2u * conn->mss;
}

static void newreno_open(struct tcp_conn *conn, uint64_t now)
{
    conn->cwnd = initial_window(conn);
    conn->ssthresh = UINT32_MAX;
    conn->cc_state[COUNTED] = 0;
}

/*
 * Slow start grows by all that was acknowledged, not by two segments an ACK at most (RFC 3465 L):
 * peers that acknowledge a whole burst at once would never let us start.
 */
static void newreno_acked(struct tcp_conn *conn, uint32_t acked, uint64_t now)
{
    if (conn->cwnd < conn->ssthresh) {
        uint32_t room = conn->ssthresh - conn->cwnd;
        uint32_t grow = acked < room ? acked : room;
        conn->cwnd += grow;
        acked -= grow;
    }
    conn->cc_state[COUNTED] += acked;
    if (acked > 0 && conn->cc_state[COUNTED] >= conn->cwnd) {
        conn->cc_state[COUNTED] -= conn->cwnd;
        conn->cwnd += conn->mss;
    }
}

static void newreno_lost(struct tcp_conn *conn, uint64_t now)
{
    conn->ssthresh = half_flight(conn);
    conn->cwnd = conn->ssthresh;
    conn->cc_state[COUNTED] = 0;
}

/* RFC 6582 3.2, step 3, full acknowledgments: option 1, against a burst. */
static void newreno_recovered(struct tcp_conn *conn, uint64_t now)
{
    uint32_t flight = tcp_flight(conn) > conn->mss ? tcp_flight(conn) : conn->mss;
    uint32_t calm = flight + conn->mss;
    conn->cwnd = conn->ssthresh < calm ? conn->ssthresh : calm;
}

static void newreno_timed_out(struct tcp_conn *conn, bool first, uint64_t now)
{
    if (first)
        conn->ssthresh = half_flight(conn);
    conn->cwnd = conn->mss;
    conn->cc_state[COUNTED] = 0;
}

static void newreno_idle(struct tcp_conn *conn, uint64_t now)
{
    if (conn->cwnd > initial_window(conn))
        conn->cwnd = initial_window(conn);
}

const struct tcp_cc_ops tcp_cc_newreno = {
    .name = "newreno",
    .open = newreno_open,
    .acked = newreno_acked,
    .lost = newreno_lost,
    .recovered = newreno_recovered,
    .timed_out = newreno_timed_out,
    .idle = newreno_idle,
};
