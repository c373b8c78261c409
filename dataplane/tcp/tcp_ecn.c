/* tcp_ecn: RFC 3168 6.1. */
#include "dataplane/tcp/tcp_ecn.h"

#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"

uint8_t tcp_ecn_syn_flags(const struct tcp_conn *conn)
{
    if (conn->state != TCP_STATE_SYN_SENT)
        return conn->flags & TCP_CONN_ECN ? TCP_ECE : 0;
    return conn->tcp->config.ecn && conn->backoff == 0 ? TCP_ECE | TCP_CWR : 0;
}

void tcp_ecn_negotiate(struct tcp_conn *conn, const struct tcp_segment *syn)
{
    uint8_t wanted = syn->flags & TCP_ACK ? TCP_ECE : TCP_ECE | TCP_CWR;
    if (!conn->tcp->config.ecn || (syn->flags & (TCP_ECE | TCP_CWR)) != wanted)
        return;
    conn->flags |= TCP_CONN_ECN;
    tcp_count(conn->tcp, ecn_negotiated);
}

void tcp_ecn_in(struct tcp_conn *conn, const struct tcp_segment *seg)
{
    if ((conn->flags & TCP_CONN_ECN) == 0)
        return;
    if (seg->flags & TCP_CWR)
        conn->flags &= ~(uint32_t)TCP_CONN_ECN_ECHO;
    if ((seg->flags & TCP_CE) == 0)
        return;
    tcp_count(conn->tcp, ecn_marks_in);
    conn->flags |= TCP_CONN_ECN_ECHO;
    if (tcp_segment_span(seg) > 0)
        conn->flags |= TCP_CONN_ACK_NOW; /* the peer should hear of it soon */
    tcp_conn_want_out(conn);
}

static bool is_in_round(const struct tcp_conn *conn)
{
    return conn->flags & TCP_CONN_ECN_ROUND && seq_lt(conn->snd_una, conn->ecn_recover);
}

static void round_begin(struct tcp_conn *conn)
{
    conn->flags |= TCP_CONN_ECN_CWR | TCP_CONN_ECN_ROUND;
    conn->ecn_recover = conn->snd_nxt;
}

void tcp_ecn_ack_in(struct tcp_conn *conn, const struct tcp_ack *ack)
{
    if (!is_in_round(conn))
        conn->flags &= ~(uint32_t)TCP_CONN_ECN_ROUND;
    if ((ack->seg->flags & TCP_ECE) == 0 || conn->recovery != TCP_RECOVERY_OPEN ||
        is_in_round(conn) || ack->in_flight == 0)
        return;
    tcp_count(conn->tcp, ecn_reductions);
    tcp_recovery_reduce(conn, ack->in_flight, ack->now);
    round_begin(conn);
}

bool tcp_ecn_loss(struct tcp_conn *conn)
{
    bool reduced = is_in_round(conn);
    if (conn->flags & TCP_CONN_ECN)
        round_begin(conn);
    return !reduced;
}
