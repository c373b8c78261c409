/*
 * tcp_undo: reductions that turn out to have been for nothing: by timestamps (Eifel, RFC 3522), by
 * D-SACKs of everything that was sent again (RFC 3708), by what never was sent again (F-RTO with
 * SACK, RFC 5682 3). Then cwnd and ssthresh are as before (RFC 4015, RFC 9438 4.9).
 */
#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"

void tcp_undo_begin(struct tcp_conn *conn)
{
    conn->undo_cwnd = conn->cwnd;
    conn->undo_ssthresh = conn->ssthresh;
    conn->undo_una = conn->snd_una;
    conn->undo_retrans = 0;
    conn->flags |= TCP_CONN_UNDO;
    conn->flags &= ~(uint32_t)TCP_CONN_UNDO_STAMPED;
}

void tcp_undo_resent(struct tcp_conn *conn, uint64_t now)
{
    if ((conn->flags & TCP_CONN_UNDO) == 0)
        return;
    if (conn->undo_retrans < UINT16_MAX)
        conn->undo_retrans++;
    if (conn->flags & TCP_CONN_UNDO_STAMPED)
        return;
    conn->undo_ts = tcp_ms(now) + conn->ts_offset;
    conn->flags |= TCP_CONN_UNDO_STAMPED;
}

bool tcp_undo_dsack(struct tcp_conn *conn, const struct tcp_range *dsack)
{
    if ((conn->flags & TCP_CONN_UNDO) == 0 || conn->undo_retrans == 0 ||
        seq_lt(dsack->start, conn->undo_una) || seq_gt(dsack->end, conn->recover))
        return false; /* a copy that the network made, of something before or after */
    uint32_t segments = (dsack->end - dsack->start + conn->mss - 1) / conn->mss;
    conn->undo_retrans =
        segments < conn->undo_retrans ? (uint16_t)(conn->undo_retrans - segments) : 0;
    return true;
}

/*
 * The ACK that covers the first byte tells by its echo which transmission it answers: one before
 * the first retransmission (RFC 3522 3.2 step 5).
 */
static bool answers_the_original(const struct tcp_conn *conn, const struct tcp_ack *ack)
{
    const struct tcp_options *options = &ack->seg->options;
    bool first = ack->acked > 0 && ack->seg->ack - ack->acked == conn->undo_una;
    return first && conn->flags & TCP_CONN_UNDO_STAMPED && conn->flags & TCP_CONN_TIMESTAMPS &&
           options->present & TCP_OPTION_TIMESTAMP && seq_lt(options->ts_echo, conn->undo_ts);
}

static bool is_proved(const struct tcp_conn *conn, const struct tcp_ack *ack)
{
    bool stamped = (conn->flags & TCP_CONN_UNDO_STAMPED) != 0;
    if (stamped && conn->undo_retrans == 0 && ack->has_dsack)
        return true;
    switch ((enum tcp_recovery)conn->recovery) {
    case TCP_RECOVERY_OPEN:
        return false;
    case TCP_RECOVERY_FAST: /* all that was thought lost came before we sent it again */
        return answers_the_original(conn, ack) || (!stamped && conn->lost_bytes == 0);
    case TCP_RECOVERY_RTO:
        return answers_the_original(conn, ack) || (conn->flags & TCP_CONN_FRTO && ack->original);
    }
    return false;
}

void tcp_undo_ack_in(struct tcp_conn *conn, const struct tcp_ack *ack)
{
    if ((conn->flags & TCP_CONN_UNDO) == 0 || !is_proved(conn, ack))
        return;
    if (conn->recovery == TCP_RECOVERY_RTO)
        tcp_count(conn->tcp, timeouts_undone);
    else
        tcp_count(conn->tcp, recoveries_undone);
    conn->flags &= ~(uint32_t)(TCP_CONN_UNDO | TCP_CONN_FRTO);
    if (conn->cwnd < conn->undo_cwnd)
        conn->cwnd = conn->undo_cwnd;
    if (conn->ssthresh < conn->undo_ssthresh)
        conn->ssthresh = conn->undo_ssthresh;
    conn->tcp->cc->undone(conn, ack->now);
    tcp_recovery_undone(conn);
}
