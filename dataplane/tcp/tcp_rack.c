/*
 * tcp_rack: RFC 8985 6: a segment is lost when one sent sufficiently later has arrived. Also finds
 * retransmissions that were lost.
 *
 * The records in the network stand in order of their transmission: detection looks at the oldest
 * ones only, as far as it marks them, so an ACK without losses costs one look. Where the RFC arms
 * the reordering timer for the last candidate, it is armed for the first here: found earlier, with
 * no walk over the candidates.
 */
#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"

#define REO_WND_PERSIST 16u /* recoveries */
#define MIN_RTT_FOR_MS  300000u

void tcp_rack_open(struct tcp_conn *conn, uint64_t now)
{
    conn->rack_end_seq = conn->snd_una; /* rack_xmit_us is the SYN's already */
    conn->rack_fack = conn->snd_una;
    conn->rack_reo_wnd_mult = 1;
    if (conn->backoff == 0)
        conn->rack_rtt_us = tcp_us(now) - conn->rack_xmit_us;
    conn->min_rtt_us = conn->rack_rtt_us;
    conn->min_rtt_at_ms = tcp_ms(now);
}

/* Step 1. Kernels that keep a real window of samples are not better off: paths rarely change. */
static void update_min_rtt(struct tcp_conn *conn, uint32_t rtt_us, uint64_t now)
{
    if (conn->min_rtt_us != 0 && rtt_us > conn->min_rtt_us &&
        tcp_ms(now) - conn->min_rtt_at_ms < MIN_RTT_FOR_MS)
        return;
    conn->min_rtt_us = rtt_us == 0 ? 1 : rtt_us;
    conn->min_rtt_at_ms = tcp_ms(now);
}

/*
 * Step 2: whether it was the retransmission that arrived, not the original before it. The echo
 * tells only what is acknowledged in sequence: of what came out of order none is sent back
 * (RFC 7323 4.3), and a probe's SACK would count for nothing.
 */
static bool is_of_retransmission(const struct tcp_conn *conn, const struct tcp_sent *sent,
                                 const struct tcp_ack *ack, uint32_t rtt_us)
{
    const struct tcp_options *options = &ack->seg->options;
    bool in_sequence = seq_leq(tcp_sent_end(sent), ack->seg->ack);
    if (in_sequence && conn->flags & TCP_CONN_TIMESTAMPS &&
        options->present & TCP_OPTION_TIMESTAMP) {
        uint32_t sent_ms = tcp_ms(ack->now - (uint64_t)rtt_us * CLOCK_US) + conn->ts_offset;
        if (seq_lt(options->ts_echo, sent_ms))
            return false;
    }
    return rtt_us >= conn->min_rtt_us;
}

/* Step 3. */
static void detect_reordering(struct tcp_conn *conn, const struct tcp_sent *sent)
{
    uint32_t end = tcp_sent_end(sent);
    if (seq_gt(end, conn->rack_fack)) {
        conn->rack_fack = end;
        return;
    }
    if (end == conn->rack_fack || sent->flags & TCP_SENT_AGAIN || conn->flags & TCP_CONN_REORDERED)
        return;
    conn->flags |= TCP_CONN_REORDERED;
    tcp_count(conn->tcp, reordering_seen);
}

void tcp_rack_delivered(struct tcp_conn *conn, const struct tcp_sent *sent, struct tcp_ack *ack)
{
    uint32_t rtt_us = tcp_us(ack->now) - sent->sent_at_us;
    if ((sent->flags & TCP_SENT_AGAIN) == 0) {
        ack->original |= seq_leq(tcp_sent_end(sent), conn->recover);
        update_min_rtt(conn, rtt_us, ack->now);
        ack->rtt_us = rtt_us;
    } else if (!is_of_retransmission(conn, sent, ack, rtt_us)) {
        return;
    }
    detect_reordering(conn, sent);
    conn->rack_rtt_us = rtt_us;
    uint32_t end = tcp_sent_end(sent);
    if (tcp_sent_after(sent->sent_at_us, end, conn->rack_xmit_us, conn->rack_end_seq)) {
        conn->rack_xmit_us = sent->sent_at_us;
        conn->rack_end_seq = end;
    }
}

void tcp_rack_restart(struct tcp_conn *conn, uint64_t now)
{
    conn->rack_xmit_us = tcp_us(now);
    conn->rack_end_seq = conn->snd_nxt;
}

void tcp_rack_round(struct tcp_conn *conn)
{
    if (seq_geq(conn->snd_una, conn->rack_dsack_round))
        conn->flags &= ~(uint32_t)TCP_CONN_DSACK_ROUND;
}

/* Step 4: at most once a round trip. */
void tcp_rack_duplicate(struct tcp_conn *conn)
{
    if (conn->flags & TCP_CONN_DSACK_ROUND)
        return;
    conn->flags |= TCP_CONN_DSACK_ROUND;
    conn->rack_dsack_round = conn->snd_nxt;
    if (conn->rack_reo_wnd_mult < UINT8_MAX)
        conn->rack_reo_wnd_mult++;
    conn->rack_reo_wnd_persist = REO_WND_PERSIST;
}

void tcp_rack_recovered(struct tcp_conn *conn)
{
    if (conn->rack_reo_wnd_persist > 0 && --conn->rack_reo_wnd_persist == 0)
        conn->rack_reo_wnd_mult = 1;
}

/* Without any reordering yet three SACKs are proof, as they were before RACK (RFC 6675). */
static uint32_t reo_wnd_us(const struct tcp_conn *conn)
{
    bool sure = conn->recovery != TCP_RECOVERY_OPEN || conn->sacked_count >= TCP_DUPLICATES;
    if ((conn->flags & TCP_CONN_REORDERED) == 0 && sure)
        return 0;
    uint64_t window = (uint64_t)conn->rack_reo_wnd_mult * conn->min_rtt_us / 4;
    uint32_t srtt = conn->srtt_us / 8;
    return window < srtt ? (uint32_t)window : srtt;
}

static void timer_off(struct tcp_conn *conn)
{
    if ((conn->flags & TCP_CONN_REO_TIMER) == 0)
        return;
    conn->flags &= ~(uint32_t)TCP_CONN_REO_TIMER;
    tcp_timer_clear(conn, TCP_DEADLINE_LOSS);
}

static void timer_on(struct tcp_conn *conn, uint32_t wait_us, uint64_t now)
{
    conn->flags |= TCP_CONN_REO_TIMER;
    tcp_timer_set(conn, TCP_DEADLINE_LOSS, now + (uint64_t)wait_us * CLOCK_US);
}

static bool was_sent_before_rack(const struct tcp_conn *conn, const struct tcp_sent *sent)
{
    return tcp_sent_after(conn->rack_xmit_us, conn->rack_end_seq, sent->sent_at_us,
                          tcp_sent_end(sent));
}

/* Microseconds until a record counts as lost. */
static int32_t remaining_us(const struct tcp_conn *conn, const struct tcp_sent *sent, uint64_t now)
{
    return (int32_t)(sent->sent_at_us + conn->rack_rtt_us + reo_wnd_us(conn) - tcp_us(now));
}

static void mark(struct tcp_conn *conn, struct tcp_sent *sent)
{
    if (sent->flags & TCP_SENT_AGAIN && tcp_sent_is_in_network(sent))
        tcp_count(conn->tcp, retransmissions_lost);
    tcp_sent_mark_lost(conn, sent);
}

/* Step 5. */
bool tcp_rack_detect(struct tcp_conn *conn, uint64_t now)
{
    bool marked = false;
    struct tcp_sent *sent;
    while ((sent = tcp_sent_at(conn, conn->oldest)) != NULL && was_sent_before_rack(conn, sent)) {
        int32_t left_us = remaining_us(conn, sent, now);
        if (left_us > 0) {
            timer_on(conn, (uint32_t)left_us, now);
            return marked;
        }
        mark(conn, sent);
        marked = true;
    }
    timer_off(conn);
    return marked;
}

void tcp_rack_timeout(struct tcp_conn *conn, uint64_t now)
{
    struct tcp_sent *sent;
    timer_off(conn);
    mark(conn, tcp_sent_at(conn, conn->sent_first));
    while ((sent = tcp_sent_at(conn, conn->oldest)) != NULL && remaining_us(conn, sent, now) <= 0)
        mark(conn, sent);
}
