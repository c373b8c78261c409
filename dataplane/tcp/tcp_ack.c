/*
 * tcp_ack: the acknowledgement of an acceptable segment: RFC 9293 3.10.7.4 fifth step, RTT samples
 * (RFC 6298 3, RFC 7323 4), window updates, duplicate ACKs (RFC 5681 2).
 */
#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_internal.h"

/* What the records that were acknowledged say about the round trip. */
struct round_trip {
    uint64_t sent_at_ns; /* of the oldest that counts; 0: none */
    bool ambiguous;      /* something was sent twice (Karn) */
};

static void record_removed(struct tcp_conn *conn, struct tcp_sent *sent, struct round_trip *trip)
{
    if (sent->flags & TCP_SENT_AGAIN)
        trip->ambiguous = true;
    else if (trip->sent_at_ns == 0 && (sent->flags & TCP_SENT_SACKED) == 0)
        trip->sent_at_ns = sent->sent_at_ns;
    tcp_loss_removed(conn, sent);
    conn->sent_first = sent->next;
    if (conn->sent_first == NULL)
        conn->sent_last = NULL;
    conn->sent_count--;
    pool_give(&conn->tcp->sent, sent);
}

/* The front of a record was acknowledged: it gets shorter. */
static void record_cut(struct tcp_conn *conn, struct tcp_sent *sent, uint32_t ack)
{
    uint32_t cut = ack - sent->seq;
    if (sent->flags & TCP_SENT_LOST)
        conn->lost_bytes -= cut;
    if (sent->flags & TCP_SENT_SACKED)
        conn->sacked_bytes -= cut;
    sent->seq = ack;
    sent->length = (uint16_t)(sent->length - cut);
}

static void remove_records(struct tcp_conn *conn, uint32_t ack, struct round_trip *trip)
{
    while (conn->sent_first != NULL && seq_leq(tcp_sent_end(conn->sent_first), ack))
        record_removed(conn, conn->sent_first, trip);
    if (conn->sent_first != NULL && seq_lt(conn->sent_first->seq, ack))
        record_cut(conn, conn->sent_first, ack);
}

/* RFC 7323 4: the echo is as good as a sample of ours, and not ambiguous, but only in ms. */
static void sample(struct tcp_conn *conn, const struct tcp_segment *seg,
                   const struct round_trip *trip, uint64_t now)
{
    if (!trip->ambiguous && trip->sent_at_ns != 0) {
        tcp_rto_sample(conn, now - trip->sent_at_ns);
        return;
    }
    if ((conn->flags & TCP_CONN_TIMESTAMPS) == 0 ||
        (seg->options.present & TCP_OPTION_TIMESTAMP) == 0 || seg->options.ts_echo == 0)
        return;
    uint32_t ms = tcp_ms(now) + conn->ts_offset - seg->options.ts_echo;
    if (ms < 60000)
        tcp_rto_sample(conn, (ms == 0 ? 1 : ms) * CLOCK_MS);
}

/* SND.UNA < SEG.ACK =< SND.NXT. */
static void accept_new(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now)
{
    struct tcp *tcp = conn->tcp;
    struct round_trip trip = {0, false};
    remove_records(conn, seg->ack, &trip);
    sample(conn, seg, &trip, now);
    uint32_t data_end = tcp_send_queue_end(&conn->queue);
    uint32_t upto = seq_min(seg->ack, data_end);
    if (seq_gt(upto, conn->queue.seq))
        tcp_send_queue_acknowledge(&conn->queue, &tcp->spans, upto);
    conn->snd_una = seg->ack;
    conn->progress_at_ms = tcp_ms(now);
    conn->backoff = 0;
    if (conn->sent_first == NULL)
        tcp_timer_clear(conn, TCP_DEADLINE_RETRANSMIT);
    else
        tcp_timer_set(conn, TCP_DEADLINE_RETRANSMIT, now + tcp_rto_ns(conn));
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

/* The window opened: the probe's work is done. */
static void leave_persist(struct tcp_conn *conn)
{
    if ((conn->flags & TCP_CONN_PERSIST) == 0 || conn->snd_wnd == 0)
        return;
    conn->flags &= ~(uint32_t)TCP_CONN_PERSIST;
    conn->backoff = 0;
    tcp_timer_clear(conn, TCP_DEADLINE_RETRANSMIT);
}

void tcp_ack_in(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now)
{
    uint32_t acked = seg->ack - conn->snd_una;
    bool limited = (conn->flags & TCP_CONN_CWND_LIMITED) != 0;
    bool window_changed = update_window(conn, seg);
    leave_persist(conn);
    if (acked > 0)
        accept_new(conn, seg, now);

    uint32_t fresh = 0;
    if (conn->flags & TCP_CONN_SACK && seg->options.sack_count > 0)
        fresh = tcp_loss_sack_in(conn, &seg->options);
    bool duplicate =
        acked == 0 && conn->sent_first != NULL &&
        (conn->flags & TCP_CONN_SACK ? fresh > 0 : tcp_segment_span(seg) == 0 && !window_changed);
    tcp_loss_ack_in(conn, acked, duplicate, now);
    if (acked > 0 && limited && conn->recovery != TCP_RECOVERY_FAST)
        conn->tcp->cc->acked(conn, acked, now);

    if (acked > 0)
        tcp_conn_check_room(conn);
    if (conn->sent_first != NULL || conn->queue.bytes > 0 || tcp_out_fin_due(conn))
        tcp_conn_want_out(conn);
}
