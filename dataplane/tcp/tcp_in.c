/*
 * tcp_in: SEGMENT ARRIVES: RFC 9293 3.10.7, with the numbered steps as they stand there, RFC 5961
 * for blind attacks and RFC 7323 5 (PAWS).
 */
#include "dataplane/tcp/tcp_ecn.h"
#include "dataplane/tcp/tcp_internal.h"

#define PAWS_IDLE_NS (24ull * 24 * 3600 * CLOCK_S) /* RFC 7323 5.5: older is no evidence */

static bool has_timestamp(const struct tcp_conn *conn, const struct tcp_segment *seg)
{
    return (conn->flags & TCP_CONN_TIMESTAMPS) != 0 &&
           (seg->options.present & TCP_OPTION_TIMESTAMP) != 0;
}

/* RFC 7323 5.3 R1: older than what was seen. */
static bool timestamp_is_old(const struct tcp_conn *conn, const struct tcp_segment *seg,
                             uint64_t now)
{
    return has_timestamp(conn, seg) && seq_lt(seg->options.ts_value, conn->ts_recent) &&
           tcp_since_ns(conn->heard_at_ms, now) < PAWS_IDLE_NS;
}

/* RFC 7323 4.3 (2): only a segment that the next ACK will cover says what to echo. */
static void remember_timestamp(struct tcp_conn *conn, const struct tcp_segment *seg)
{
    if (has_timestamp(conn, seg) && seq_leq(seg->seq, conn->last_ack_sent) &&
        seq_geq(seg->options.ts_value, conn->ts_recent))
        conn->ts_recent = seg->options.ts_value;
}

static void heard(struct tcp_conn *conn, uint64_t now)
{
    conn->heard_at_ms = tcp_ms(now);
    conn->probes = 0;
}

/* "If an incoming segment is not acceptable, an acknowledgment should be sent in reply." */
static void answer_unacceptable(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now)
{
    if (seg->flags & TCP_RST)
        return;
    if (tcp_segment_span(seg) == 0 || seg->flags & TCP_SYN) {
        tcp_out_challenge(conn, now); /* limited: two confused ends would answer for ever */
        return;
    }
    conn->flags |= TCP_CONN_ACK_NOW;
    tcp_conn_want_out(conn);
}

/*
 * First step: sequence number. A little wider than the RFC's table: a segment at the very edge of
 * the window may carry an acknowledgement, its payload is cut away later.
 */
static bool sequence_is_acceptable(struct tcp_conn *conn, const struct tcp_segment *seg,
                                   uint64_t now)
{
    if ((seg->flags & TCP_RST) == 0 && timestamp_is_old(conn, seg, now)) {
        tcp_count(conn->tcp, segment_paws);
        answer_unacceptable(conn, seg, now);
        return false;
    }
    uint32_t end = seg->seq + tcp_segment_span(seg);
    if (seq_leq(seg->seq, conn->rcv_adv) && seq_geq(end, conn->rcv_nxt))
        return true;
    if (seq_lt(seg->seq, conn->rcv_nxt) && seg->length > 0)
        tcp_data_duplicate(conn, seg->seq, end);
    else
        tcp_count(conn->tcp, segment_out_of_window);
    answer_unacceptable(conn, seg, now);
    return false;
}

/* Second step: RST bit, RFC 5961 3.2: only the exact number ends a connection. */
static void reset_in(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now)
{
    struct tcp *tcp = conn->tcp;
    if (seg->seq != conn->rcv_nxt) {
        tcp_count(tcp, segment_bad_reset);
        tcp_out_challenge(conn, now);
        return;
    }
    if (conn->state == TCP_STATE_SYN_RECEIVED) {
        bool ours = (conn->flags & TCP_CONN_OPENED_BY_US) != 0;
        if (!ours)
            tcp_count(tcp, half_open_reset);
        tcp_conn_fail(conn, ours ? TCP_FAILURE_REFUSED : TCP_FAILURE_RESET, TCP_CAUSE_RESET);
        return;
    }
    tcp_conn_fail(conn, TCP_FAILURE_RESET, TCP_CAUSE_RESET);
}

/* A RST that answers a segment, in its own terms (RFC 9293 3.5.2). */
static void reset_back(struct tcp *tcp, const struct tcp_segment *seg, uint64_t now)
{
    tcp_closed_in(tcp, seg, now);
}

/* SYN_RECEIVED: our SYN is acknowledged, or it is nonsense. */
static bool syn_acked(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now)
{
    if (!seq_gt(seg->ack, conn->snd_una) || !seq_leq(seg->ack, conn->snd_nxt)) {
        tcp_count(conn->tcp, segment_bad_ack);
        reset_back(conn->tcp, seg, now);
        return false;
    }
    tcp_conn_established(conn, seg, now);
    return true;
}

static bool fin_is_acked(const struct tcp_conn *conn)
{
    return (conn->flags & TCP_CONN_SEND_SHUT) != 0 &&
           conn->snd_una == tcp_send_queue_end(&conn->queue) + 1;
}

/* Our FIN may have been acknowledged. False: the connection is gone. */
static bool after_ack(struct tcp_conn *conn, uint64_t now)
{
    if (!fin_is_acked(conn))
        return true;
    if (conn->state == TCP_STATE_FIN_WAIT_1) {
        tcp_state_change(conn, TCP_STATE_FIN_WAIT_2, TCP_CAUSE_FIN_ACKED);
        tcp_timer_set(conn, TCP_DEADLINE_IDLE, now + TCP_FIN_WAIT_2_NS);
    } else if (conn->state == TCP_STATE_CLOSING) {
        if (conn->flags & TCP_CONN_ACK_NOW) /* the peer's FIN came in the same burst */
            (void)tcp_out_ack(conn, now);
        tcp_state_change(conn, TCP_STATE_TIME_WAIT, TCP_CAUSE_FIN_ACKED);
        tcp_time_wait_enter(conn, now);
        return false;
    } else if (conn->state == TCP_STATE_LAST_ACK) {
        tcp_state_change(conn, TCP_STATE_CLOSED, TCP_CAUSE_FIN_ACKED);
        tcp_count(conn->tcp, connections_closed);
        tcp_conn_free(conn);
        return false;
    }
    return true;
}

/* Fifth step: ACK field. False: drop the segment, the connection may be gone. */
static bool ack_step(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now)
{
    if ((seg->flags & TCP_ACK) == 0) {
        tcp_count(conn->tcp, segment_bad_flags);
        return false;
    }
    if (conn->state == TCP_STATE_SYN_RECEIVED && !syn_acked(conn, seg, now))
        return false;
    bool future = seq_gt(seg->ack, conn->snd_nxt);
    bool ancient = seq_lt(seg->ack, conn->snd_una - conn->snd_wnd_max); /* RFC 5961 5.2 */
    if (future || ancient) {
        tcp_count(conn->tcp, segment_bad_ack);
        tcp_out_challenge(conn, now);
        return false;
    }
    if (seq_lt(seg->ack, conn->snd_una))
        return true; /* old, but its payload may be new */
    tcp_ack_in(conn, seg, now);
    return after_ack(conn, now);
}

/*
 * SYN_RECEIVED, and the peer's SYN again. With ACK it answers ours (simultaneous open): go on
 * behind the SYN. Without, our SYN-ACK was lost. True: go on.
 */
static bool same_syn_in(struct tcp_conn *conn, struct tcp_segment *seg, uint64_t now)
{
    if ((seg->flags & TCP_ACK) == 0) {
        conn->flags |= TCP_CONN_SYN_DUE;
        tcp_conn_want_out(conn);
        return false;
    }
    if ((conn->flags & TCP_CONN_OPENED_BY_US) == 0) { /* we sent no SYN that this could answer */
        answer_unacceptable(conn, seg, now);
        return false;
    }
    seg->flags &= (uint8_t)~TCP_SYN;
    seg->seq++;
    seg->window = (uint16_t)(seg->window >> conn->snd_wscale); /* not scaled: RFC 7323 2.2 */
    return true;
}

/*
 * Fourth step: a SYN in the window. A half-open connection that a peer began goes back to LISTEN;
 * others are not moved by it (RFC 5961 4.2).
 */
static void syn_in_window(struct tcp_conn *conn, uint64_t now)
{
    struct tcp *tcp = conn->tcp;
    tcp_count(tcp, segment_syn_established);
    if (conn->state == TCP_STATE_SYN_RECEIVED && (conn->flags & TCP_CONN_OPENED_BY_US) == 0) {
        tcp_count(tcp, half_open_reset);
        tcp_conn_fail(conn, TCP_FAILURE_RESET, TCP_CAUSE_RESET);
        return;
    }
    tcp_out_challenge(conn, now);
}

/* 3.10.7.4: all states in which both SYNs were seen. */
static void synchronized_in(struct tcp_conn *conn, struct tcp_segment *seg, uint64_t now)
{
    if (conn->state == TCP_STATE_SYN_RECEIVED && seg->flags & TCP_SYN &&
        seg->seq + 1 == conn->rcv_nxt && !same_syn_in(conn, seg, now))
        return;
    if (!sequence_is_acceptable(conn, seg, now))
        return;
    if (seg->flags & TCP_RST) {
        reset_in(conn, seg, now);
        return;
    }
    /* Third step: security and compartment are not implemented by anybody. */
    if (seg->flags & TCP_SYN) {
        syn_in_window(conn, now);
        return;
    }
    if ((conn->flags & TCP_CONN_TIMESTAMPS) && !has_timestamp(conn, seg))
        tcp_count(conn->tcp, segment_no_timestamp); /* RFC 7323 3.2 would drop; Linux does not */
    heard(conn, now);
    remember_timestamp(conn, seg);
    tcp_ecn_in(conn, seg);
    if (!ack_step(conn, seg, now))
        return;
    /* Sixth step: urgent data is delivered in line, as RFC 6093 recommends. */
    if (tcp_segment_span(seg) > 0)
        (void)tcp_data_in(conn, seg, now);
}

/* Our SYN is answered: RFC 9293 3.10.7.3 fourth step. */
static void syn_sent_syn_in(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now)
{
    uint32_t window = conn->tcp->config.receive_window_bytes;
    conn->rcv_nxt = seg->seq + 1;
    conn->rcv_adv = conn->rcv_nxt + (window < UINT16_MAX ? window : UINT16_MAX);
    conn->last_ack_sent = conn->rcv_nxt;
    tcp_conn_negotiate(conn, seg);
    heard(conn, now);
    if (seg->flags & TCP_ACK) {
        tcp_conn_established(conn, seg, now);
        conn->flags |= TCP_CONN_ACK_NOW;
        tcp_conn_want_out(conn);
        return;
    }
    tcp_state_change(conn, TCP_STATE_SYN_RECEIVED, TCP_CAUSE_SYN);
    conn->flags |= TCP_CONN_SYN_DUE;
    tcp_conn_want_out(conn);
}

/* 3.10.7.3: SYN_SENT. Payload on a SYN-ACK is not taken: the peer sends it again. */
static void syn_sent_in(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now)
{
    bool acks = (seg->flags & TCP_ACK) != 0;
    if (acks && (seq_leq(seg->ack, conn->snd_una) || seq_gt(seg->ack, conn->snd_nxt))) {
        tcp_count(conn->tcp, segment_bad_ack);
        reset_back(conn->tcp, seg, now);
        return;
    }
    if (seg->flags & TCP_RST) {
        if (acks)
            tcp_conn_fail(conn, TCP_FAILURE_REFUSED, TCP_CAUSE_RESET);
        else
            tcp_count(conn->tcp, segment_bad_reset);
        return;
    }
    if (seg->flags & TCP_SYN)
        syn_sent_syn_in(conn, seg, now);
    else
        tcp_count(conn->tcp, segment_bad_flags);
}

/* The questions whose answers are nearly always yes. */
static bool is_ordinary(const struct tcp_conn *conn, const struct tcp_segment *seg)
{
    bool is_established = conn->state == TCP_STATE_ESTABLISHED;
    bool has_ordinary_flags = (seg->flags & (uint8_t)~TCP_PSH) == TCP_ACK;
    bool is_next = seg->seq == conn->rcv_nxt && conn->rx.ahead_first == NULL;
    bool fits = seg->length <= conn->rcv_adv - conn->rcv_nxt;
    bool acks_what_was_sent = seq_geq(seg->ack, conn->snd_una) && seq_leq(seg->ack, conn->snd_nxt);
    bool has_right_timestamp = (conn->flags & TCP_CONN_TIMESTAMPS) == 0
                                   ? true
                                   : seg->options.present == TCP_OPTION_TIMESTAMP &&
                                         seq_geq(seg->options.ts_value, conn->ts_recent);
    return is_established && has_ordinary_flags && is_next && fits && acks_what_was_sent &&
           has_right_timestamp;
}

/* Payload, and nothing that is new besides. */
static bool brings_only_data(const struct tcp_conn *conn, const struct tcp_segment *seg)
{
    return seg->length > 0 && seg->ack == conn->snd_una &&
           (uint32_t)seg->window << conn->snd_wscale == conn->snd_wnd;
}

/* What the RFC's steps come to for such a segment. */
static void ordinary_in(struct tcp_conn *conn, struct tcp_segment *seg, uint64_t now)
{
    tcp_count(conn->tcp, segments_in_fast);
    heard(conn, now);
    remember_timestamp(conn, seg);
    if (!brings_only_data(conn, seg))
        tcp_ack_in(conn, seg, now);
    if (seg->length > 0)
        (void)tcp_data_in(conn, seg, now);
}

/*
 * Segments behind one that was ordinary and had data, of the same connection and burst: what those
 * of them come to that are ordinary and bring only data is done once. The peer was heard of, and no
 * timestamp is taken from behind last_ack_sent. How many they were, of COUNT.
 */
static uint16_t run_in(struct tcp_conn *conn, struct tcp_segment *segments, uint16_t count)
{
    uint32_t before = conn->rcv_nxt;
    uint16_t taken = 0;
    for (struct tcp_segment *seg = segments; taken < count; taken++, seg++)
        if (!seg->is_of_same || !is_ordinary(conn, seg) || !brings_only_data(conn, seg) ||
            !tcp_data_append(conn, seg))
            break;
    if (taken == 0)
        return 0;
    counter_add(&conn->tcp->counters.segments_in_fast, taken);
    tcp_data_appended(conn, conn->rcv_nxt - before);
    return taken;
}

/* The first of COUNT segments, and those behind it that are taken with it. How many they were. */
static uint16_t conn_in(struct tcp_conn *conn, struct tcp_segment *segments, uint16_t count,
                        uint64_t now)
{
    if (is_ordinary(conn, segments)) {
        ordinary_in(conn, segments, now); /* the connection is still there */
        uint16_t behind = segments->length > 0 ? (uint16_t)(count - 1) : 0;
        return (uint16_t)(1 + run_in(conn, segments + 1, behind));
    }
    if (conn->state == TCP_STATE_SYN_SENT)
        syn_sent_in(conn, segments, now);
    else
        synchronized_in(conn, segments, now);
    return 1;
}

/* No TCP begins and ends at once. Where an ACK is missing, the steps of the states say so. */
static bool flags_make_sense(uint8_t flags)
{
    return (flags & TCP_SYN) == 0 || (flags & (TCP_FIN | TCP_RST)) == 0;
}

/* As conn_in(), when whose the first is has yet to be found out. */
static uint16_t segments_in(struct tcp *tcp, struct tcp_segment *segments, uint16_t count,
                            uint64_t now)
{
    struct tcp_segment *seg = segments;
    if (!flags_make_sense(seg->flags)) {
        tcp_count(tcp, segment_bad_flags);
        return 1;
    }
    tcp_reference ref = tcp_table_find(&tcp->table, seg->hash, &seg->tuple);
    if (ref == TCP_REFERENCE_NONE) {
        struct tcp_conn *conn = tcp_listen_in(tcp, seg, NULL, now);
        return conn != NULL ? conn_in(conn, segments, count, now) : 1;
    }
    uint32_t index = tcp_reference_index(ref);
    if (!tcp_reference_is_time_wait(ref))
        return conn_in(pool_at(&tcp->conns, index), segments, count, now);
    uint32_t least_iss;
    if (tcp_time_wait_in(tcp, index, seg, &least_iss, now))
        (void)tcp_listen_in(tcp, seg, &least_iss, now); /* a SYN: no cookie comes back */
    return 1;
}

/* Whose it is: BEFORE's connection, or (NULL: there is none before) to be looked up. */
static void note_connection(struct tcp *tcp, struct tcp_segment *seg,
                            const struct tcp_segment *before)
{
    seg->is_of_same =
        before != NULL && memcmp(&seg->tuple, &before->tuple, sizeof(seg->tuple)) == 0;
    if (seg->is_of_same) {
        seg->hash = before->hash;
        return;
    }
    seg->hash = tcp_table_hash(&tcp->table, &seg->tuple);
    tcp_table_prefetch_slot(&tcp->table, seg->hash);
}

static void burst_in(struct tcp *tcp, struct rte_mbuf **packets, uint16_t count, uint64_t now)
{
    struct tcp_segment segments[TCP_BURST];
    uint16_t good = 0;
    for (uint16_t i = 0; i < count; i++) {
        struct tcp_segment *seg = &segments[good];
        if ((packets[i]->packet_type & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_ICMP) {
            tcp_icmp_in(tcp, packets[i], now);
            rte_pktmbuf_free(packets[i]);
        } else if (tcp_segment_read(tcp, packets[i], seg)) {
            note_connection(tcp, seg, good > 0 ? seg - 1 : NULL);
            good++;
        } else {
            rte_pktmbuf_free(packets[i]);
        }
    }
    for (uint16_t i = 0; i < good; i++)
        if (!segments[i].is_of_same)
            tcp_table_prefetch_object(&tcp->table, segments[i].hash);
    for (uint16_t i = 0; i < good;) {
        uint16_t first = i;
        i = (uint16_t)(i + segments_in(tcp, &segments[i], (uint16_t)(good - i), now));
        if (segments[first].packet != NULL) /* those behind it are taken over */
            rte_pktmbuf_free(segments[first].packet);
    }
}

void tcp_in(struct tcp *tcp, struct rte_mbuf **packets, uint16_t count, uint64_t now)
{
    tcp->now = now;
    while (count > 0) {
        uint16_t part = count < TCP_BURST ? count : TCP_BURST;
        burst_in(tcp, packets, part, now);
        packets += part;
        count = (uint16_t)(count - part);
    }
}
