/*
 * tcp_data: payload and FIN of an acceptable segment: RFC 9293 3.10.7.4 seventh and eighth step,
 * what we report by SACK (RFC 2018 4) and D-SACK (RFC 2883), and the shared bound on held mbufs.
 *
 * The bound: above 7/8 of reassembly_max nothing is kept out of order any more and windows are not
 * opened further; at the limit out-of-order segments are given up, oldest connection first, before
 * a segment in order is dropped.
 */
#include "dataplane/tcp/tcp_internal.h"

#define AHEAD_ACKS    4u /* duplicate ACKs at once after a gap opened; then one a turn */
#define AHEAD_PER_WND 512u

bool tcp_data_pressure(const struct tcp *tcp)
{
    return tcp->held >= tcp->config.reassembly_max - tcp->config.reassembly_max / 8;
}

void tcp_data_duplicate(struct tcp_conn *conn, uint32_t start, uint32_t end)
{
    tcp_count(conn->tcp, segment_duplicate);
    if (conn->flags & TCP_CONN_SACK && start != end) {
        conn->sack[TCP_SACK_REPORTED] = (struct tcp_range){start, end};
        conn->flags |= TCP_CONN_DSACK;
    }
}

/* RFC 2018 4: the block with the segment that just came is first. */
static void sack_add(struct tcp_conn *conn, uint32_t start, uint32_t end)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < conn->sack_count; i++) {
        struct tcp_range block = conn->sack[i];
        if (seq_leq(block.start, end) && seq_leq(start, block.end)) {
            start = seq_min(start, block.start);
            end = seq_max(end, block.end);
        } else {
            conn->sack[kept++] = block;
        }
    }
    if (kept == TCP_SACK_REPORTED)
        kept--;
    memmove(conn->sack + 1, conn->sack, kept * sizeof(conn->sack[0]));
    conn->sack[0] = (struct tcp_range){start, end};
    conn->sack_count = (uint8_t)(kept + 1);
}

/* rcv_nxt moved: what lies before it is acknowledged. */
static void sack_trim(struct tcp_conn *conn)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < conn->sack_count; i++) {
        if (seq_gt(conn->sack[i].end, conn->rcv_nxt))
            conn->sack[kept++] = conn->sack[i];
    }
    conn->sack_count = (uint8_t)kept;
}

/* RFC 2018 8 lets a receiver take back what it SACKed. */
static uint32_t renege(struct tcp_conn *conn)
{
    conn->sack_count = 0;
    tcp_conn_unlink(conn, TCP_LINK_AHEAD);
    return tcp_rx_drop_ahead(&conn->rx, &conn->tcp->held);
}

void tcp_data_discard(struct tcp_conn *conn)
{
    (void)renege(conn);
    tcp_rx_drop_queue(&conn->rx, &conn->tcp->held);
}

/* Whether one more mbuf may be held. */
static bool make_place(struct tcp *tcp)
{
    while (tcp->held >= tcp->config.reassembly_max &&
           !tcp_list_is_empty(&tcp->lists, TCP_LIST_AHEAD)) {
        uint32_t oldest = tcp_list_first(&tcp->lists, TCP_LIST_AHEAD);
        counter_add(&tcp->counters.reassembly_reneged, renege(tcp_conn_at(tcp, oldest)));
    }
    return tcp->held < tcp->config.reassembly_max;
}

static void ack_later(struct tcp_conn *conn)
{
    conn->flags |= TCP_CONN_ACK_LATER;
    tcp_conn_want_out(conn);
}

static void ack_now(struct tcp_conn *conn)
{
    conn->flags |= TCP_CONN_ACK_NOW;
    tcp_conn_want_out(conn);
}

/* What closed the gap, or part of it, is acknowledged at once (RFC 5681 4.2). */
static void join_ahead(struct tcp_conn *conn)
{
    if (conn->rx.ahead_first == NULL)
        return;
    conn->rcv_nxt = tcp_rx_advance(&conn->rx, conn->rcv_nxt, &conn->tcp->held);
    sack_trim(conn);
    conn->ahead_acks = 0;
    if (conn->rx.ahead_first == NULL)
        tcp_conn_unlink(conn, TCP_LINK_AHEAD);
    ack_now(conn);
}

static void append(struct tcp_conn *conn, struct tcp_segment *seg)
{
    tcp_rx_append(&conn->rx, seg->packet, seg->seq, &conn->tcp->held);
    seg->packet = NULL;
    conn->rcv_nxt += seg->length;
}

static void note_size(struct tcp_conn *conn, const struct tcp_segment *seg)
{
    if (seg->length > conn->rcv_mss)
        conn->rcv_mss = (uint16_t)seg->length;
}

bool tcp_data_append(struct tcp_conn *conn, struct tcp_segment *seg)
{
    const struct tcp *tcp = conn->tcp;
    if (conn->flags & (TCP_CONN_SEND_SHUT | TCP_CONN_FIN_SEEN) ||
        tcp->held >= tcp->config.reassembly_max)
        return false;
    note_size(conn, seg);
    append(conn, seg);
    return true;
}

void tcp_data_appended(struct tcp_conn *conn, uint32_t bytes)
{
    ack_later(conn);
    counter_add(&conn->tcp->counters.bytes_in, bytes);
    tcp_conn_event(conn, TCP_READABLE);
}

static void in_order(struct tcp_conn *conn, struct tcp_segment *seg)
{
    struct tcp *tcp = conn->tcp;
    if (conn->flags & TCP_CONN_SEND_SHUT) {
        tcp_count(tcp, segment_discarded); /* the owner has let go: nobody reads this */
        conn->rcv_nxt += seg->length;
        ack_later(conn);
        return;
    }
    if (!make_place(tcp)) {
        tcp_count(tcp, reassembly_full);
        ack_now(conn);
        return;
    }
    uint32_t before = conn->rcv_nxt;
    append(conn, seg);
    join_ahead(conn);
    tcp_data_appended(conn, conn->rcv_nxt - before);
}

/* RFC 5681 4.2: each segment ahead of a gap is answered at once, so that the peer can count. */
static void ack_ahead(struct tcp_conn *conn, uint64_t now)
{
    bool at_once = (conn->flags & TCP_CONN_SACK) == 0 || conn->ahead_acks < AHEAD_ACKS;
    if (conn->ahead_acks < AHEAD_ACKS)
        conn->ahead_acks++;
    if (!at_once || !tcp_out_ack(conn, now))
        ack_now(conn);
}

static void ahead(struct tcp_conn *conn, struct tcp_segment *seg, uint64_t now)
{
    struct tcp *tcp = conn->tcp;
    uint32_t end = seg->seq + seg->length;
    uint32_t limit = tcp->config.receive_window_bytes / AHEAD_PER_WND + 8;
    if (tcp_data_pressure(tcp) || conn->rx.ahead_count >= limit ||
        conn->flags & TCP_CONN_SEND_SHUT) {
        tcp_count(tcp, reassembly_full);
        ack_ahead(conn, now);
        return;
    }
    struct rte_mbuf *packet = seg->packet;
    seg->packet = NULL;
    if (tcp_rx_insert_ahead(&conn->rx, packet, seg->seq, &tcp->held)) {
        tcp_count(tcp, segment_out_of_order);
        sack_add(conn, seg->seq, end);
        tcp_conn_link(conn, TCP_LIST_AHEAD);
    } else {
        tcp_data_duplicate(conn, seg->seq, end);
    }
    ack_ahead(conn, now);
}

static void cut_front(struct tcp_segment *seg, uint32_t count)
{
    rte_pktmbuf_adj(seg->packet, (uint16_t)count);
    seg->seq += count;
    seg->length -= count;
}

static void cut_back(struct tcp_segment *seg, uint32_t count)
{
    rte_pktmbuf_trim(seg->packet, (uint16_t)count);
    seg->length -= count;
    seg->flags &= (uint8_t)~TCP_FIN;
}

/* Leave what is new and inside of the window. */
static void cut_to_window(struct tcp_conn *conn, struct tcp_segment *seg)
{
    uint32_t end = seg->seq + seg->length;
    if (seq_lt(seg->seq, conn->rcv_nxt) && seg->length > 0) {
        uint32_t known = seq_min(end, conn->rcv_nxt);
        tcp_data_duplicate(conn, seg->seq, known);
        ack_now(conn);
        cut_front(seg, known - seg->seq);
    }
    if (seg->length > 0 && seq_gt(end, conn->rcv_adv)) {
        tcp_count(conn->tcp, segment_out_of_window);
        ack_now(conn);
        uint32_t beyond = end - conn->rcv_adv;
        cut_back(seg, beyond < seg->length ? beyond : seg->length);
    }
}

/* Payload that came ahead of a gap turns out to lie behind the FIN: with it goes all that did. */
static void drop_behind_fin(struct tcp_conn *conn)
{
    struct tcp *tcp = conn->tcp;
    if (conn->rx.ahead_last == NULL || seq_leq(tcp_mbuf_end(conn->rx.ahead_last), conn->fin_at))
        return;
    tcp_count(tcp, segment_after_fin);
    counter_add(&tcp->counters.reassembly_reneged, renege(conn));
}

/* Where the stream ends is learned once; payload behind it is nobody's. */
static void note_fin(struct tcp_conn *conn, struct tcp_segment *seg)
{
    uint32_t end = seg->seq + seg->length;
    if (seg->flags & TCP_FIN && (conn->flags & TCP_CONN_FIN_SEEN) == 0 &&
        seq_geq(end, conn->rcv_nxt)) {
        conn->fin_at = end;
        conn->flags |= TCP_CONN_FIN_SEEN;
        drop_behind_fin(conn);
    }
    if (conn->flags & TCP_CONN_FIN_SEEN && seg->length > 0 && seq_gt(end, conn->fin_at)) {
        tcp_count(conn->tcp, segment_after_fin);
        uint32_t beyond = end - conn->fin_at;
        cut_back(seg, beyond < seg->length ? beyond : seg->length);
    }
}

/* The peer's FIN is in order: eighth step. False: the connection has gone to TIME_WAIT. */
static bool fin_in(struct tcp_conn *conn, uint64_t now)
{
    conn->rcv_nxt++;
    ack_now(conn);
    tcp_conn_event(conn, TCP_EOF);
    switch ((enum tcp_state)conn->state) {
    case TCP_STATE_ESTABLISHED:
        tcp_state_change(conn, TCP_STATE_CLOSE_WAIT, TCP_CAUSE_FIN);
        return true;
    case TCP_STATE_FIN_WAIT_1:
        tcp_state_change(conn, TCP_STATE_CLOSING, TCP_CAUSE_FIN);
        return true;
    case TCP_STATE_FIN_WAIT_2:
        (void)tcp_out_ack(conn, now);
        tcp_state_change(conn, TCP_STATE_TIME_WAIT, TCP_CAUSE_FIN);
        tcp_time_wait_enter(conn, now);
        return false;
    case TCP_STATE_CLOSED:
    case TCP_STATE_SYN_SENT:
    case TCP_STATE_SYN_RECEIVED:
    case TCP_STATE_CLOSE_WAIT:
    case TCP_STATE_CLOSING:
    case TCP_STATE_LAST_ACK:
    case TCP_STATE_TIME_WAIT:
    case TCP_STATES:
        break;
    }
    return true;
}

static bool receives(const struct tcp_conn *conn)
{
    return conn->state == TCP_STATE_ESTABLISHED || conn->state == TCP_STATE_FIN_WAIT_1 ||
           conn->state == TCP_STATE_FIN_WAIT_2;
}

bool tcp_data_in(struct tcp_conn *conn, struct tcp_segment *seg, uint64_t now)
{
    if (!receives(conn)) {
        ack_now(conn); /* a FIN, or data before it, again */
        return true;
    }
    note_size(conn, seg);
    cut_to_window(conn, seg);
    note_fin(conn, seg);
    if (seg->length > 0) {
        if (seg->seq == conn->rcv_nxt)
            in_order(conn, seg);
        else
            ahead(conn, seg, now);
    }
    if (conn->flags & TCP_CONN_FIN_SEEN && conn->rcv_nxt == conn->fin_at)
        return fin_in(conn, now);
    if (seg->flags & TCP_FIN && seg->length == 0)
        ack_now(conn); /* with payload it has been answered already */
    return true;
}
