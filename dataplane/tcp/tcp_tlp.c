/*
 * tcp_tlp: the tail loss probe, RFC 8985 7: what nobody sends anything behind is asked after once
 * before the retransmission timeout, so that an ACK lets RACK find what is missing.
 */
#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"

#define MAX_ACK_DELAY_US 100000u /* that a peer keeps one segment's ACK back; most: 40 ms */
#define PTO_INITIAL_US   1000000u
#define PTO_MIN_US       2000u /* below, timers cost more than they save */

/* 7.2: everything in order, nothing asked yet. */
static bool may_probe(const struct tcp_conn *conn)
{
    return conn->flags & TCP_CONN_SACK && (conn->flags & (TCP_CONN_TLP | TCP_CONN_PERSIST)) == 0 &&
           conn->recovery == TCP_RECOVERY_OPEN && conn->sent_first != 0 &&
           conn->sacked_count == 0 && conn->backoff == 0;
}

/* 7.2: TLP_calc_PTO(). */
static uint32_t timeout_us(const struct tcp_conn *conn)
{
    if (conn->srtt_us == 0)
        return PTO_INITIAL_US;
    uint32_t pto = conn->srtt_us / 4;
    if (conn->sent_count == 1)
        pto += MAX_ACK_DELAY_US;
    return pto > PTO_MIN_US ? pto : PTO_MIN_US;
}

void tcp_tlp_schedule(struct tcp_conn *conn, uint64_t now)
{
    if (conn->flags & TCP_CONN_REO_TIMER)
        return;
    if (!may_probe(conn)) {
        tcp_timer_clear(conn, TCP_DEADLINE_LOSS);
        return;
    }
    uint64_t wait_ns = (uint64_t)timeout_us(conn) * CLOCK_US;
    uint64_t rto_ns = tcp_timer_left_ns(conn, TCP_DEADLINE_RETRANSMIT, now);
    tcp_timer_set(conn, TCP_DEADLINE_LOSS, now + (wait_ns < rto_ns ? wait_ns : rto_ns));
}

/* 7.3: the retransmission timer begins anew, so that it does not run out together with this one. */
void tcp_tlp_expired(struct tcp_conn *conn, uint64_t now)
{
    if (!may_probe(conn))
        return;
    conn->flags |= TCP_CONN_PROBE_DUE;
    tcp_timer_set(conn, TCP_DEADLINE_RETRANSMIT, now + tcp_rto_ns(conn));
    tcp_conn_want_out(conn);
}

void tcp_tlp_sent(struct tcp_conn *conn, bool again, uint64_t now)
{
    tcp_count(conn->tcp, tail_loss_probes);
    conn->flags &= ~(uint32_t)TCP_CONN_TLP_AGAIN;
    conn->flags |= TCP_CONN_TLP | (again ? TCP_CONN_TLP_AGAIN : 0u);
    conn->tlp_end_seq = conn->snd_nxt;
    tcp_timer_set(conn, TCP_DEADLINE_RETRANSMIT, now + tcp_rto_ns(conn));
}

void tcp_tlp_cancel(struct tcp_conn *conn)
{
    conn->flags &= ~(uint32_t)(TCP_CONN_TLP | TCP_CONN_TLP_AGAIN | TCP_CONN_PROBE_DUE);
    if ((conn->flags & TCP_CONN_REO_TIMER) == 0)
        tcp_timer_clear(conn, TCP_DEADLINE_LOSS);
}

bool tcp_tlp_matches(const struct tcp_conn *conn, const struct tcp_range *dsack)
{
    return conn->flags & TCP_CONN_TLP_AGAIN && dsack->end == conn->tlp_end_seq;
}

/* 7.4.2: TLP_process_ack(). */
void tcp_tlp_ack_in(struct tcp_conn *conn, const struct tcp_ack *ack)
{
    const struct tcp_segment *seg = ack->seg;
    if ((conn->flags & TCP_CONN_TLP) == 0 || seq_lt(seg->ack, conn->tlp_end_seq))
        return;
    bool again = (conn->flags & TCP_CONN_TLP_AGAIN) != 0;
    bool arrived_twice = ack->has_dsack && tcp_tlp_matches(conn, &ack->dsack);
    bool repaired = again && !arrived_twice && seq_gt(seg->ack, conn->tlp_end_seq);
    bool plain_duplicate = ack->acked == 0 && tcp_segment_span(seg) == 0;
    if (again && !arrived_twice && !repaired && !plain_duplicate)
        return;
    conn->flags &= ~(uint32_t)(TCP_CONN_TLP | TCP_CONN_TLP_AGAIN);
    if (!repaired)
        return;
    tcp_count(conn->tcp, tail_losses_repaired);
    tcp_recovery_reduce(conn, ack->in_flight, ack->now);
}
