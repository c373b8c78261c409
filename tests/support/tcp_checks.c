#include "tests/support/tcp_checks.h"

#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"

/* What the connections hold together. */
struct sums {
    uint32_t records;
    uint32_t spans;
    uint32_t blocks;
    uint32_t held;
    uint32_t half_open;
    uint32_t in_table;
};

static bool has_data_state(const struct tcp_conn *conn)
{
    return conn->state != TCP_STATE_CLOSED && conn->state != TCP_STATE_SYN_SENT &&
           conn->state != TCP_STATE_SYN_RECEIVED;
}

static void check_sequence_numbers(const struct tcp_conn *conn)
{
    check(seq_leq(conn->snd_una, conn->snd_nxt));
    if (conn->state == TCP_STATE_SYN_SENT)
        return;
    check(seq_leq(conn->rcv_nxt, conn->rcv_adv + 1)); /* a FIN may lie on the edge */
    check(seq_leq(conn->last_ack_sent, conn->rcv_nxt));
    if ((conn->flags & TCP_CONN_FIN_SEEN) != 0)
        check(seq_leq(conn->rcv_nxt, conn->fin_at + 1));
}

/* Those in the network, COUNT of them, are in order of their last transmission. */
static void check_records_by_time(const struct tcp_conn *conn, uint32_t count)
{
    tcp_sent_link older = 0;
    uint32_t at_us = 0;
    for (tcp_sent_link link = conn->oldest; link != 0; count--) {
        const struct tcp_sent *sent = tcp_sent_at(conn, link);
        check(count > 0 && tcp_sent_is_in_network(sent));
        check(older == 0 || (sent->older == older && (int32_t)(sent->sent_at_us - at_us) >= 0));
        older = link;
        at_us = sent->sent_at_us;
        link = sent->newer;
    }
    check(count == 0 && conn->newest == older);
}

/* The records are what lies between SND.UNA and SND.NXT, without gaps, and the sums are theirs. */
static void check_records(const struct tcp_conn *conn, struct sums *sums)
{
    uint32_t at = conn->snd_una;
    uint32_t count = 0;
    uint32_t sacked = 0;
    uint32_t sacked_bytes = 0;
    uint32_t lost_bytes = 0;
    uint32_t in_network = 0;
    tcp_sent_link last = 0;
    const struct tcp_sent *sent;
    for (tcp_sent_link link = conn->sent_first; link != 0; link = sent->next) {
        sent = tcp_sent_at(conn, link);
        uint32_t bytes = tcp_sent_end(sent) - sent->seq;
        bool is_sacked = (sent->flags & TCP_SENT_SACKED) != 0;
        bool is_lost = (sent->flags & TCP_SENT_LOST) != 0;
        check(sent->seq == at && bytes > 0 && !(is_sacked && is_lost));
        check((int32_t)(sent->sent_at_us - sent->first_sent_at_us) >= 0);
        check((sent->flags & TCP_SENT_FIN) == 0 || sent->next == 0);
        in_network += tcp_sent_is_in_network(sent);
        sacked += is_sacked;
        sacked_bytes += is_sacked ? bytes : 0;
        lost_bytes += is_lost ? bytes : 0;
        at += bytes;
        last = link;
        count++;
    }
    check(count == conn->sent_count && last == conn->sent_last);
    check(lost_bytes == conn->lost_bytes && sacked == conn->sacked_count);
    if (conn->flags & TCP_CONN_SACK)
        check(sacked_bytes == conn->sacked_bytes);
    else
        check(sacked == 0 && conn->sacked_bytes <= tcp_flight(conn));
    if (has_data_state(conn))
        check(at == conn->snd_nxt);
    check_records_by_time(conn, in_network);
    sums->records += count;
}

static void check_queue(const struct tcp_conn *conn, struct sums *sums)
{
    const struct tcp_send_queue *queue = &conn->queue;
    uint32_t bytes = 0;
    const struct tcp_span *span;
    for (tcp_span_link link = queue->first; link != 0; link = span->next) {
        span = tcp_span_at(&conn->tcp->spans, link);
        check(span->length > 0);
        bytes += span->length;
        sums->spans++;
        sums->blocks += span->kind == TCP_SPAN_BLOCK;
    }
    check(bytes == queue->bytes);
    if (has_data_state(conn))
        check(conn->snd_una == queue->seq ||
              (conn->snd_una == tcp_send_queue_end(queue) + 1 && queue->bytes == 0));
}

static void check_received(const struct tcp_conn *conn, struct sums *sums)
{
    const struct tcp_rx *rx = &conn->rx;
    uint32_t bytes = 0;
    for (const struct rte_mbuf *m = rx->first; m != NULL; m = m->next) {
        check(m->data_len > 0 && (m->next != NULL || m == rx->last));
        bytes += m->data_len;
        sums->held++;
    }
    check(bytes == rx->bytes);
    uint32_t at = conn->rcv_nxt;
    uint32_t count = 0;
    for (const struct rte_mbuf *m = rx->ahead_first; m != NULL; m = m->next) {
        check(m->data_len > 0 && seq_geq(tcp_mbuf_seq(m), at));
        check(count > 0 || tcp_mbuf_seq(m) != conn->rcv_nxt);
        check(m->next != NULL || m == rx->ahead_last);
        at = tcp_mbuf_end(m);
        count++;
    }
    check(seq_leq(at, seq_max(conn->rcv_adv, conn->rcv_nxt)) && count == rx->ahead_count);
    check(tcp_conn_is_linked(conn, TCP_LINK_AHEAD) == (count > 0));
    sums->held += count;
}

/* What we report as received out of order lies above RCV.NXT. */
static void check_sack_blocks(const struct tcp_conn *conn)
{
    check(conn->sack_count <= TCP_SACK_REPORTED);
    for (uint32_t i = 0; i < conn->sack_count; i++) {
        const struct tcp_range *block = &conn->sack[i];
        check(seq_lt(block->start, block->end) && seq_gt(block->end, conn->rcv_nxt));
        check(seq_leq(block->end, conn->rcv_adv));
    }
}

/* Whoever waits for something that may never come has a deadline, and the wheel knows. */
static void check_timers(const struct tcp_conn *conn)
{
    for (enum tcp_deadline i = 0; i < TCP_DEADLINES; i++) {
        if (tcp_timer_is_set(conn, i))
            check(timer_is_armed(&conn->timer) &&
                  (int32_t)(conn->deadlines[i] - tcp_us(conn->timer.due_at_ns)) >= 0);
    }
    bool will_send = tcp_timer_is_set(conn, TCP_DEADLINE_RETRANSMIT);
    bool looked_at = tcp_conn_is_linked(conn, TCP_LINK_OUT);
    bool syn = conn->state == TCP_STATE_SYN_SENT || conn->state == TCP_STATE_SYN_RECEIVED;
    bool waits = conn->sent_first != 0 || tcp_send_queue_end(&conn->queue) != conn->snd_nxt;
    if (conn->sent_first != 0 || (!looked_at && syn))
        check(will_send);
    if (!syn && !looked_at && conn->queue.bytes > 0 && waits)
        check(will_send);
    bool orphan = (conn->flags & TCP_CONN_OWNED) == 0;
    if (orphan && !syn)
        check(tcp_timer_is_set(conn, TCP_DEADLINE_IDLE));
    if (!looked_at)
        check((conn->flags & TCP_CONN_ACK_NOW) == 0);
    if (!looked_at && conn->flags & TCP_CONN_ACK_LATER)
        check(tcp_timer_is_set(conn, TCP_DEADLINE_ACK));
}

static void check_rates(const struct tcp_conn *conn)
{
    if (!has_data_state(conn))
        return;
    bool in_prr = conn->recovery == TCP_RECOVERY_FAST;
    check(conn->mss > 0 && (conn->cwnd >= conn->mss / 2 || in_prr) &&
          conn->snd_wnd <= conn->snd_wnd_max);
    check(tcp_rto_ns(conn) >= 200 * CLOCK_MS && tcp_rto_ns(conn) <= 60 * CLOCK_S);
}

/* It is over; only what was received may be left. */
static void check_retired(const struct tcp_conn *conn)
{
    check(conn->state == TCP_STATE_CLOSED && (conn->flags & TCP_CONN_OWNED) != 0);
    check(conn->sent_first == 0 && conn->queue.bytes == 0 && conn->rx.ahead_count == 0);
    check(!timer_is_armed(&conn->timer) && !tcp_conn_is_linked(conn, TCP_LINK_OUT));
}

static void check_conn(struct tcp *tcp, const struct tcp_conn *conn, struct sums *sums)
{
    if (conn->flags & TCP_CONN_RETIRED) {
        check_retired(conn);
    } else {
        check(conn->state != TCP_STATE_CLOSED && conn->state != TCP_STATE_TIME_WAIT);
        uint32_t hash = tcp_table_hash(&tcp->table, &conn->tuple);
        check(tcp_table_find(&tcp->table, hash, &conn->tuple) ==
              tcp_reference_conn(pool_index(&tcp->conns, conn)));
        sums->in_table++;
        check_sequence_numbers(conn);
        check_sack_blocks(conn);
        check_timers(conn);
        check_rates(conn);
        check_records(conn, sums);
        check_queue(conn, sums);
    }
    check_received(conn, sums);
    sums->half_open += (conn->flags & TCP_CONN_HALF_OPEN) != 0;
}

void tcp_check_all(struct tcp *tcp)
{
    struct sums sums = {0};
    for (uint32_t i = 0; i < tcp->conns.count; i++) {
        const struct tcp_conn *conn = pool_at(&tcp->conns, i);
        if (conn != NULL)
            check_conn(tcp, conn, &sums);
    }
    check(sums.records == pool_used(&tcp->sent));
    check(sums.spans == pool_used(&tcp->spans.spans));
    check(sums.blocks == pool_used(&tcp->spans.blocks));
    check(sums.held == tcp->held && tcp->held <= tcp->config.reassembly_max);
    check(sums.half_open == tcp->half_open_count && sums.half_open <= tcp->half_open_max);
    check(sums.in_table + pool_used(&tcp->time_waits) == tcp->table.count);
    check((tcp->time_wait_oldest != 0) == (pool_used(&tcp->time_waits) > 0));
}
