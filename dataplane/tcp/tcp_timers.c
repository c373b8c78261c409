/* tcp_timers: RFC 6298, RFC 9293 3.8.3 (user timeout), 3.8.4 (keepalive), 3.8.6.1 (probes), RFC
 * 8985 8. */
#include "dataplane/tcp/tcp_timers.h"

#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"

#define AHEAD_MAX_NS (1800 * CLOCK_S)
#define ROOM_WAIT_NS (10 * CLOCK_MS) /* many probes are due at once: the port takes some later */

/* Keepalive probes follow each other after a fifth of the idle time, 1 s at least. */
static uint64_t keepalive_interval_ns(const struct tcp *tcp)
{
    uint64_t interval = tcp->config.keepalive_idle_ns / TCP_KEEPALIVE_PROBES;
    return interval > CLOCK_S ? interval : CLOCK_S;
}

/* ESTABLISHED and CLOSE_WAIT, nothing in flight that would find a dead peer by itself. */
static bool keepalive_expired(struct tcp_conn *conn, uint64_t now)
{
    struct tcp *tcp = conn->tcp;
    if (tcp->config.keepalive_idle_ns == 0)
        return true;
    uint64_t silent_for_ns = tcp_since_ns(conn->heard_at_ms, now);
    if (silent_for_ns < tcp->config.keepalive_idle_ns) {
        conn->probes = 0;
        tcp_timer_set(conn, TCP_DEADLINE_IDLE, now + tcp->config.keepalive_idle_ns - silent_for_ns);
        return true;
    }
    if (conn->probes >= TCP_KEEPALIVE_PROBES) {
        tcp_count(tcp, keepalive_expired);
        tcp_conn_fail(conn, TCP_FAILURE_TIMEOUT, TCP_CAUSE_TIMEOUT);
        return false;
    }
    if (conn->sent_first == 0 && net_send_room(tcp->config.net, &conn->path) == 0) {
        tcp_timer_set(conn, TCP_DEADLINE_IDLE, now + ROOM_WAIT_NS);
        return true;
    }
    if (conn->sent_first == 0) {
        conn->probes++;
        tcp_count(tcp, keepalive_probes);
        tcp_out_probe(conn, now);
    }
    tcp_timer_set(conn, TCP_DEADLINE_IDLE, now + keepalive_interval_ns(tcp));
    return true;
}

/*
 * A closed connection without an owner must not stay for ever. While data is left it lives as long
 * as the peer acknowledges some of it within the user timeout; FIN_WAIT_2 has its own limit, which
 * data that arrives does not extend. RST tells the peer that nobody is here any more.
 */
static bool orphan_expired(struct tcp_conn *conn, uint64_t now)
{
    struct tcp *tcp = conn->tcp;
    uint64_t allowed =
        conn->state == TCP_STATE_FIN_WAIT_2 ? TCP_FIN_WAIT_2_NS : tcp->config.user_timeout_ns;
    uint64_t stuck_for_ns = tcp_since_ns(conn->progress_at_ms, now);
    if (stuck_for_ns < allowed) {
        tcp_timer_set(conn, TCP_DEADLINE_IDLE, now + allowed - stuck_for_ns);
        return true;
    }
    tcp_count(tcp, orphan_expired);
    tcp_out_reset(conn, now);
    tcp_conn_fail(conn, TCP_FAILURE_TIMEOUT, TCP_CAUSE_TIMEOUT);
    return false;
}

/* SYN_SENT: too late, or the next hop has turned out not to answer. */
static bool connect_expired(struct tcp_conn *conn, uint64_t now)
{
    uint64_t allowed_ns = conn->tcp->config.connect_timeout_ns;
    uint64_t waited_ns = tcp_since_ns(conn->progress_at_ms, now);
    if (waited_ns >= allowed_ns) {
        tcp_conn_fail(conn, TCP_FAILURE_TIMEOUT, TCP_CAUSE_TIMEOUT);
        return false;
    }
    if (!net_is_reachable(conn->tcp->config.net, &conn->path)) {
        tcp_conn_fail(conn, TCP_FAILURE_UNREACHABLE, TCP_CAUSE_UNREACHABLE);
        return false;
    }
    uint64_t left_ns = allowed_ns - waited_ns;
    tcp_timer_set(conn, TCP_DEADLINE_IDLE,
                  now + (left_ns < TCP_CONNECT_LOOK_NS ? left_ns : TCP_CONNECT_LOOK_NS));
    return true;
}

static bool idle_expired(struct tcp_conn *conn, uint64_t now)
{
    switch ((enum tcp_state)conn->state) {
    case TCP_STATE_SYN_SENT:
        return connect_expired(conn, now);
    case TCP_STATE_ESTABLISHED:
    case TCP_STATE_CLOSE_WAIT:
        return keepalive_expired(conn, now);
    case TCP_STATE_FIN_WAIT_1:
    case TCP_STATE_FIN_WAIT_2:
    case TCP_STATE_CLOSING:
    case TCP_STATE_LAST_ACK:
        return orphan_expired(conn, now);
    case TCP_STATE_CLOSED:
    case TCP_STATE_SYN_RECEIVED:
    case TCP_STATE_TIME_WAIT:
    case TCP_STATES:
        return true;
    }
    return true;
}

static bool ack_expired(struct tcp_conn *conn, uint64_t now)
{
    if (conn->flags & TCP_CONN_ACK_LATER) {
        tcp_count(conn->tcp, acks_delayed);
        conn->flags |= TCP_CONN_ACK_NOW;
        tcp_conn_want_out(conn);
    }
    return true;
}

static bool loss_expired(struct tcp_conn *conn, uint64_t now)
{
    if (conn->flags & TCP_CONN_REO_TIMER)
        tcp_recovery_reordering_expired(conn, now);
    else
        tcp_tlp_expired(conn, now);
    return true;
}

/* False: the connection is gone. */
static bool deadline_expired(struct tcp_conn *conn, enum tcp_deadline which, uint64_t now)
{
    switch (which) {
    case TCP_DEADLINE_LOSS:
        return loss_expired(conn, now);
    case TCP_DEADLINE_RETRANSMIT:
        return tcp_rto_expired(conn, now);
    case TCP_DEADLINE_ACK:
        return ack_expired(conn, now);
    case TCP_DEADLINE_IDLE:
        return idle_expired(conn, now);
    case TCP_DEADLINES:
        break;
    }
    return true;
}

/* Signed: negative when it has passed. */
static int32_t left_us(const struct tcp_conn *conn, enum tcp_deadline which, uint64_t now)
{
    return (int32_t)(conn->deadlines[which] - tcp_us(now));
}

static void arm_for_earliest(struct tcp_conn *conn, uint64_t now)
{
    int32_t earliest = INT32_MAX;
    for (enum tcp_deadline which = 0; which < TCP_DEADLINES; which++) {
        if (tcp_timer_is_set(conn, which) && left_us(conn, which, now) < earliest)
            earliest = left_us(conn, which, now);
    }
    if (earliest != INT32_MAX)
        timer_arm(conn->tcp->config.wheel, &conn->timer,
                  now + (earliest > 0 ? (uint64_t)earliest * CLOCK_US : 0));
}

static void fire(struct timer *timer, void *context, uint64_t now)
{
    struct tcp_conn *conn = context;
    conn->tcp->now = now;
    for (enum tcp_deadline which = 0; which < TCP_DEADLINES; which++) {
        if (!tcp_timer_is_set(conn, which) || left_us(conn, which, now) > 0)
            continue;
        tcp_timer_clear(conn, which);
        if (!deadline_expired(conn, which, now))
            return;
    }
    if (!timer_is_armed(timer) || conn->deadlines_set != 0)
        arm_for_earliest(conn, now);
}

void tcp_timers_init(struct tcp_conn *conn)
{
    timer_init(&conn->timer, fire, conn);
    conn->deadlines_set = 0;
}

void tcp_timer_set(struct tcp_conn *conn, enum tcp_deadline which, uint64_t at_ns)
{
    uint64_t now = conn->tcp->now;
    if (at_ns > now + AHEAD_MAX_NS)
        at_ns = now + AHEAD_MAX_NS;
    conn->deadlines[which] = tcp_us(at_ns);
    conn->deadlines_set |= (uint8_t)(1u << which);
    if (!timer_is_armed(&conn->timer) || at_ns < conn->timer.due_at_ns)
        timer_arm(conn->tcp->config.wheel, &conn->timer, at_ns);
}

uint64_t tcp_timer_left_ns(const struct tcp_conn *conn, enum tcp_deadline which, uint64_t now)
{
    int32_t left = left_us(conn, which, now);
    return left > 0 ? (uint64_t)left * CLOCK_US : 0;
}

void tcp_timers_stop(struct tcp_conn *conn)
{
    conn->deadlines_set = 0;
    timer_cancel(conn->tcp->config.wheel, &conn->timer);
}
