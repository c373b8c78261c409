/*
 * tcp_recovery: the states of loss recovery (RFC 6675 5, RFC 6582 3.2, RFC 8985 6) and what each
 * ACK and timeout does to them. One reduction for each window of data.
 */
#include "dataplane/tcp/tcp_recovery.h"

#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_ecn.h"
#include "dataplane/tcp/tcp_internal.h"

static bool has_sack(const struct tcp_conn *conn)
{
    return (conn->flags & TCP_CONN_SACK) != 0;
}

/* The only place where the state changes. */
static void change(struct tcp_conn *conn, enum tcp_recovery to)
{
    bool ends = conn->recovery != TCP_RECOVERY_OPEN && to == TCP_RECOVERY_OPEN;
    conn->recovery = (uint8_t)to;
    if (!ends) {
        conn->recover = conn->snd_nxt;
        tcp_tlp_cancel(conn);
        return;
    }
    conn->flags &= ~(uint32_t)TCP_CONN_FRTO;
    tcp_rack_recovered(conn);
    if (!has_sack(conn))
        tcp_newreno_recovered(conn);
}

static void enter_fast(struct tcp_conn *conn, uint32_t in_flight, uint64_t now)
{
    tcp_count(conn->tcp, recoveries);
    change(conn, TCP_RECOVERY_FAST);
    tcp_undo_begin(conn);
    if (tcp_ecn_loss(conn))
        conn->tcp->cc->lost(conn, in_flight, now);
    tcp_prr_begin(conn, in_flight);
    conn->flags |= TCP_CONN_FORCE_ONE; /* RFC 6675 5, step 4.3: the first goes at once */
}

/* RFC 6937: it ends at ssthresh. */
static void leave(struct tcp_conn *conn)
{
    if (conn->recovery == TCP_RECOVERY_FAST)
        conn->cwnd = conn->ssthresh;
    change(conn, TCP_RECOVERY_OPEN);
}

void tcp_recovery_undone(struct tcp_conn *conn)
{
    tcp_sent_unmark_lost(conn);
    if (conn->recovery != TCP_RECOVERY_OPEN)
        change(conn, TCP_RECOVERY_OPEN);
}

void tcp_recovery_reduce(struct tcp_conn *conn, uint32_t in_flight, uint64_t now)
{
    if (conn->recovery != TCP_RECOVERY_OPEN)
        return;
    conn->tcp->cc->lost(conn, in_flight, now);
    if (conn->cwnd > conn->ssthresh)
        conn->cwnd = conn->ssthresh;
    conn->flags &= ~(uint32_t)TCP_CONN_UNDO;
}

static void dsack_in(struct tcp_conn *conn, const struct tcp_ack *ack)
{
    if (!tcp_tlp_matches(conn, &ack->dsack) && tcp_undo_dsack(conn, &ack->dsack))
        tcp_rack_duplicate(conn);
}

/* Nearly always not: the longest on its way was sent after what arrived last. */
static bool rack_may_detect(const struct tcp_conn *conn)
{
    const struct tcp_sent *oldest = tcp_sent_at(conn, conn->oldest);
    return conn->flags & TCP_CONN_REO_TIMER ||
           (oldest != NULL && tcp_sent_after(conn->rack_xmit_us, conn->rack_end_seq,
                                             oldest->sent_at_us, tcp_sent_end(oldest)));
}

void tcp_recovery_ack_in(struct tcp_conn *conn, struct tcp_ack *ack)
{
    uint32_t sacked_before = conn->sacked_bytes;
    if (conn->flags & TCP_CONN_DSACK_ROUND)
        tcp_rack_round(conn);
    if (ack->has_dsack)
        dsack_in(conn, ack);
    if (conn->flags & TCP_CONN_TLP)
        tcp_tlp_ack_in(conn, ack);
    if (conn->flags & TCP_CONN_UNDO)
        tcp_undo_ack_in(conn, ack);
    if (conn->recovery != TCP_RECOVERY_OPEN && seq_geq(conn->snd_una, conn->recover))
        leave(conn);
    bool lost;
    if (has_sack(conn)) {
        lost = rack_may_detect(conn) && tcp_rack_detect(conn, ack->now);
    } else {
        lost = tcp_newreno_ack_in(conn, ack);
        ack->delivered += conn->sacked_bytes - sacked_before;
        if ((int32_t)ack->delivered < 0)
            ack->delivered = 0;
        if (conn->recovery == TCP_RECOVERY_RTO && ack->delivered > conn->mss)
            ack->delivered = conn->mss; /* the others had arrived long before (RFC 3465 2.3) */
    }
    if (lost && conn->recovery == TCP_RECOVERY_OPEN && !tcp_path_mtu_probe_is_all_lost(conn))
        enter_fast(conn, ack->in_flight, ack->now);
    if (conn->recovery == TCP_RECOVERY_FAST)
        tcp_prr_ack_in(conn, ack, lost);
}

void tcp_recovery_reordering_expired(struct tcp_conn *conn, uint64_t now)
{
    conn->flags &= ~(uint32_t)TCP_CONN_REO_TIMER;
    if (!tcp_rack_detect(conn, now))
        return;
    if (conn->recovery == TCP_RECOVERY_OPEN && !tcp_path_mtu_probe_is_all_lost(conn))
        enter_fast(conn, tcp_flight(conn), now);
    tcp_conn_want_out(conn);
}

/* The peer may take back what it SACKed (RFC 2018 8); it did when the first in flight is SACKed. */
static void check_reneging(struct tcp_conn *conn)
{
    if ((tcp_sent_at(conn, conn->sent_first)->flags & TCP_SENT_SACKED) == 0)
        return;
    tcp_count(conn->tcp, sack_reneged);
    conn->flags &= ~(uint32_t)TCP_CONN_FRTO; /* what arrived proves nothing now */
    tcp_sent_unmark_sacked(conn);
}

void tcp_recovery_timeout(struct tcp_conn *conn, uint64_t now)
{
    bool first = conn->timeouts == 0;
    bool fresh = conn->recovery == TCP_RECOVERY_OPEN;
    if (conn->recovery == TCP_RECOVERY_FAST)
        conn->cwnd = conn->ssthresh; /* the window; until now it was what PRR would let go */
    change(conn, TCP_RECOVERY_RTO);
    if (first) {
        tcp_undo_begin(conn);
        conn->flags &= ~(uint32_t)TCP_CONN_FRTO;
    }
    if (fresh && has_sack(conn)) /* RFC 5682 3.1 step 1: not within another recovery */
        conn->flags |= TCP_CONN_FRTO;
    conn->tcp->cc->timed_out(conn, first, now);
    (void)tcp_ecn_loss(conn);
    conn->duplicates = 0;
    if (has_sack(conn)) {
        check_reneging(conn);
        tcp_rack_timeout(conn, now);
    } else {
        tcp_newreno_timeout(conn);
    }
    conn->flags |= TCP_CONN_FORCE_ONE;
}

void tcp_recovery_resent(struct tcp_conn *conn, struct tcp_sent *sent, uint64_t now)
{
    tcp_sent_mark_again(conn, sent, now);
    tcp_undo_resent(conn, now);
    if (conn->recovery == TCP_RECOVERY_FAST)
        tcp_prr_sent(conn, tcp_sent_bytes(sent));
}

void tcp_recovery_too_large(struct tcp_conn *conn)
{
    for (tcp_sent_link link = conn->sent_first; link != 0;) {
        struct tcp_sent *sent = tcp_sent_at(conn, link);
        if (sent->length > conn->mss)
            tcp_sent_mark_lost(conn, sent);
        link = sent->next;
    }
}
