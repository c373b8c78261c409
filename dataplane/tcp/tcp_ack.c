/*
 * tcp_ack: the acknowledgement of an acceptable segment: RFC 9293 3.10.7.4 fifth step, RTT samples
 * (RFC 6298 3, RFC 7323 4), window updates, duplicate ACKs (RFC 5681 2), and when cwnd may grow.
 */
#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_ecn.h"
#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"

/* What the records that were acknowledged say about the round trip. */
struct round_trip {
    bool measured;
    bool ambiguous;      /* something was sent twice (Karn) */
    uint32_t sent_at_us; /* of the oldest that counts */
};

/*
 * Of records in a row, sent once and in this order, the first tells whether they were overtaken,
 * and the last what was sent last: the others have nothing to add for RACK.
 */
static void remove_ordinary(struct tcp_conn *conn, struct round_trip *trip, struct tcp_ack *ack)
{
    struct tcp_sent first;
    struct tcp_sent last;
    uint32_t count = tcp_sent_remove_ordinary(conn, ack->seg->ack, &first, &last);
    if (count == 0)
        return;
    trip->measured = true;
    trip->sent_at_us = first.sent_at_us;
    if (count > 1)
        tcp_rack_delivered(conn, &first, ack);
    tcp_rack_delivered(conn, &last, ack);
}

static void remove_first(struct tcp_conn *conn, struct round_trip *trip, struct tcp_ack *ack)
{
    const struct tcp_sent *sent = tcp_sent_at(conn, conn->sent_first);
    bool sacked = (sent->flags & TCP_SENT_SACKED) != 0;
    if (sent->flags & TCP_SENT_AGAIN) {
        trip->ambiguous = true;
    } else if (!trip->measured && !sacked) {
        trip->measured = true;
        trip->sent_at_us = sent->sent_at_us;
    }
    if (!sacked)
        tcp_rack_delivered(conn, sent, ack);
    if (!sacked && sent->flags & TCP_SENT_MTU_PROBE)
        tcp_path_mtu_probe_arrived(conn);
    tcp_sent_remove_first(conn);
}

static void remove_records(struct tcp_conn *conn, struct round_trip *trip, struct tcp_ack *ack)
{
    uint32_t upto = ack->seg->ack;
    const struct tcp_sent *sent;
    remove_ordinary(conn, trip, ack);
    while ((sent = tcp_sent_at(conn, conn->sent_first)) != NULL &&
           seq_leq(tcp_sent_end(sent), upto))
        remove_first(conn, trip, ack);
    if (sent != NULL && seq_lt(sent->seq, upto))
        tcp_sent_cut_first(conn, upto);
}

/*
 * RFC 7323 4: the echo is as good as a sample of ours, and not ambiguous, but only in ms. Only a
 * sample ends the back-off (RFC 6298 5.7, Karn): a path that has become slower than the RTO would
 * time out for every segment otherwise, and never be measured.
 */
static void sample(struct tcp_conn *conn, const struct tcp_segment *seg,
                   const struct round_trip *trip, uint64_t now)
{
    if (trip->measured && !trip->ambiguous)
        tcp_rto_sample(conn, (uint64_t)(tcp_us(now) - trip->sent_at_us) * CLOCK_US);
    else if (!tcp_rto_sample_echo(conn, seg, now))
        return;
    conn->backoff = 0;
}

/* SND.UNA < SEG.ACK =< SND.NXT. */
static void accept_new(struct tcp_conn *conn, struct tcp_ack *ack)
{
    struct tcp *tcp = conn->tcp;
    const struct tcp_segment *seg = ack->seg;
    struct round_trip trip = {0};
    remove_records(conn, &trip, ack);
    sample(conn, seg, &trip, ack->now);
    uint32_t data_end = tcp_send_queue_end(&conn->queue);
    uint32_t upto = seq_min(seg->ack, data_end);
    if (seq_gt(upto, conn->queue.seq))
        tcp_send_queue_acknowledge(&conn->queue, &tcp->spans, upto);
    conn->snd_una = seg->ack;
    conn->progress_at_ms = tcp_ms(ack->now);
    conn->timeouts = 0;
    if (conn->sent_first == 0)
        tcp_timer_clear(conn, TCP_DEADLINE_RETRANSMIT);
    else
        tcp_timer_set(conn, TCP_DEADLINE_RETRANSMIT, ack->now + tcp_rto_ns(conn));
}

/*
 * RFC 9293 3.10.7.4: SND.WL1 and SND.WL2 keep old segments from setting the window. WL2 would be at
 * most SND.UNA, and a segment that acknowledges less than that does not come here. What
 * acknowledges new data is not old, whatever its sequence number (a retransmission, with data ahead
 * of it here already): without its window the right edge would move further than the peer ever
 * said.
 */
static bool update_window(struct tcp_conn *conn, const struct tcp_segment *seg)
{
    if (seq_gt(conn->snd_wl1, seg->seq) && seg->ack == conn->snd_una)
        return false;
    uint32_t window = (uint32_t)seg->window << conn->snd_wscale;
    bool changed = window != conn->snd_wnd;
    conn->snd_wnd = window;
    conn->snd_wl1 = seg->seq;
    if (window > conn->snd_wnd_max)
        conn->snd_wnd_max = window;
    return changed;
}

/*
 * It was shut: the probes' work is done, and what a peer threw away meanwhile is due soon. One that
 * opens too little to be used, again and again, does not put the override off (RFC 9293 3.8.6.2.1).
 */
static void window_opened(struct tcp_conn *conn, uint64_t now)
{
    conn->backoff = 0;
    if (conn->flags & TCP_CONN_PERSIST) {
        conn->flags &= ~(uint32_t)TCP_CONN_PERSIST;
        tcp_timer_clear(conn, TCP_DEADLINE_RETRANSMIT);
    } else if (conn->sent_first != 0) {
        conn->progress_at_ms = tcp_ms(now);
        tcp_timer_set(conn, TCP_DEADLINE_RETRANSMIT, now + tcp_rto_ns(conn));
    }
}

/* RFC 5681 2; with SACK a duplicate is what covers something new. */
static bool is_duplicate(const struct tcp_conn *conn, const struct tcp_ack *ack,
                         bool window_changed)
{
    if (ack->acked > 0 || conn->sent_first == 0)
        return false;
    if (conn->flags & TCP_CONN_SACK)
        return ack->sacked > 0;
    return tcp_segment_span(ack->seg) == 0 && !window_changed;
}

/*
 * cwnd grows with what is acknowledged while it is what limits us (RFC 9293 3.8.2, RFC 7661). After
 * a timeout only what arrived by then counts: a filled hole may acknowledge far more.
 */
static void grow(struct tcp_conn *conn, const struct tcp_ack *ack)
{
    const struct tcp_cc_ops *cc = conn->tcp->cc;
    if (ack->acked == 0 || conn->recovery == TCP_RECOVERY_FAST)
        return;
    if (ack->limited)
        cc->acked(conn, conn->recovery == TCP_RECOVERY_OPEN ? ack->acked : ack->delivered,
                  ack->now);
    else if (conn->cwnd >= conn->ssthresh)
        cc->unlimited(conn);
}

void tcp_ack_in(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now)
{
    struct tcp_ack ack = {
        .seg = seg,
        .now = now,
        .acked = seg->ack - conn->snd_una,
        .in_flight = tcp_flight(conn),
        .limited = (conn->flags & TCP_CONN_CWND_LIMITED) != 0,
    };
    uint32_t sacked_before = conn->sacked_bytes;
    bool was_shut = conn->snd_wnd == 0;
    bool window_changed = update_window(conn, seg);
    if (was_shut && window_changed)
        window_opened(conn, now);
    if (ack.acked > 0)
        accept_new(conn, &ack);
    if (conn->flags & TCP_CONN_SACK && seg->options.sack_count > 0)
        tcp_sack_in(conn, &ack);
    ack.duplicate = is_duplicate(conn, &ack, window_changed);
    ack.delivered = ack.acked + conn->sacked_bytes - sacked_before;
    if (conn->flags & TCP_CONN_ECN)
        tcp_ecn_ack_in(conn, &ack);
    tcp_recovery_ack_in(conn, &ack);
    grow(conn, &ack);
    if (ack.acked > 0) {
        tcp_tlp_schedule(conn, now);
        tcp_conn_check_room(conn);
    }
    if (conn->sent_first != 0 || conn->queue.bytes > 0 || tcp_out_fin_due(conn))
        tcp_conn_want_out(conn);
}
