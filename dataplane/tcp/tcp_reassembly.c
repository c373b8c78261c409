/* tcp_reassembly: RFC 9293 3.10.7.4, seventh step (segment text). */
#include "dataplane/tcp/tcp_reassembly.h"

#include "dataplane/base/check.h"

static void give(struct rte_mbuf *m, uint32_t *held)
{
    m->next = NULL;
    rte_pktmbuf_free(m);
    (*held)--;
}

/* Copy a small payload behind the last one: many small segments must not pin many mbufs. */
static bool collapse(struct tcp_rx *rx, const struct rte_mbuf *packet)
{
    struct rte_mbuf *last = rx->last;
    if (last == NULL || packet->data_len > TCP_COLLAPSE_BYTES ||
        rte_pktmbuf_tailroom(last) < packet->data_len)
        return false;
    memcpy(rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len),
           rte_pktmbuf_mtod(packet, const uint8_t *), packet->data_len);
    last->data_len = (uint16_t)(last->data_len + packet->data_len);
    last->pkt_len = last->data_len;
    return true;
}

/* The mbuf is counted as held already. */
static void append_held(struct tcp_rx *rx, struct rte_mbuf *packet, uint32_t *held)
{
    rx->bytes += packet->data_len;
    if (collapse(rx, packet)) {
        give(packet, held);
        return;
    }
    packet->next = NULL;
    if (rx->last == NULL)
        rx->first = packet;
    else
        rx->last->next = packet;
    rx->last = packet;
}

void tcp_rx_append(struct tcp_rx *rx, struct rte_mbuf *packet, uint32_t seq, uint32_t *held)
{
    packet->hash.usr = seq;
    (*held)++;
    append_held(rx, packet, held);
}

void tcp_rx_consume(struct tcp_rx *rx, uint32_t count, uint32_t *held)
{
    if (count == 0)
        return;
    struct rte_mbuf *first = rx->first;
    check(first != NULL && count <= first->data_len);
    rx->bytes -= count;
    if (count < first->data_len) {
        rte_pktmbuf_adj(first, (uint16_t)count);
        return;
    }
    rx->first = first->next;
    if (rx->first == NULL)
        rx->last = NULL;
    give(first, held);
}

/* The last mbuf ahead that begins at or before SEQ, or NULL. */
static struct rte_mbuf *before(const struct tcp_rx *rx, uint32_t seq)
{
    if (rx->ahead_last != NULL && seq_leq(tcp_mbuf_seq(rx->ahead_last), seq))
        return rx->ahead_last;
    struct rte_mbuf *found = NULL;
    for (struct rte_mbuf *m = rx->ahead_first; m != NULL && seq_leq(tcp_mbuf_seq(m), seq);
         m = m->next)
        found = m;
    return found;
}

static void link_after(struct tcp_rx *rx, struct rte_mbuf *previous, struct rte_mbuf *m)
{
    struct rte_mbuf **at = previous == NULL ? &rx->ahead_first : &previous->next;
    m->next = *at;
    *at = m;
    if (m->next == NULL)
        rx->ahead_last = m;
    rx->ahead_count++;
}

static void unlink_after(struct tcp_rx *rx, struct rte_mbuf *previous)
{
    struct rte_mbuf **at = previous == NULL ? &rx->ahead_first : &previous->next;
    struct rte_mbuf *m = *at;
    *at = m->next;
    if (rx->ahead_last == m)
        rx->ahead_last = previous;
    rx->ahead_count--;
}

/* Remove those behind PREVIOUS that lie wholly before END. */
static void drop_covered(struct tcp_rx *rx, struct rte_mbuf *previous, uint32_t end, uint32_t *held)
{
    for (;;) {
        struct rte_mbuf *m = previous == NULL ? rx->ahead_first : previous->next;
        if (m == NULL || seq_gt(tcp_mbuf_end(m), end))
            return;
        unlink_after(rx, previous);
        give(m, held);
    }
}

bool tcp_rx_insert_ahead(struct tcp_rx *rx, struct rte_mbuf *packet, uint32_t seq, uint32_t *held)
{
    packet->hash.usr = seq;
    (*held)++;
    struct rte_mbuf *previous = before(rx, seq);
    if (previous != NULL && seq_gt(tcp_mbuf_end(previous), seq)) {
        uint32_t overlap = tcp_mbuf_end(previous) - seq;
        if (overlap >= packet->data_len) {
            give(packet, held);
            return false;
        }
        rte_pktmbuf_adj(packet, (uint16_t)overlap);
        packet->hash.usr += overlap;
    }
    drop_covered(rx, previous, tcp_mbuf_end(packet), held);
    struct rte_mbuf *following = previous == NULL ? rx->ahead_first : previous->next;
    if (following != NULL && seq_gt(tcp_mbuf_end(packet), tcp_mbuf_seq(following)))
        rte_pktmbuf_trim(packet, (uint16_t)(tcp_mbuf_end(packet) - tcp_mbuf_seq(following)));
    if (packet->data_len == 0) {
        give(packet, held);
        return false;
    }
    link_after(rx, previous, packet);
    return true;
}

uint32_t tcp_rx_advance(struct tcp_rx *rx, uint32_t next, uint32_t *held)
{
    while (rx->ahead_first != NULL && seq_leq(tcp_mbuf_seq(rx->ahead_first), next)) {
        struct rte_mbuf *m = rx->ahead_first;
        unlink_after(rx, NULL);
        uint32_t end = tcp_mbuf_end(m);
        if (seq_leq(end, next)) {
            give(m, held);
            continue;
        }
        rte_pktmbuf_adj(m, (uint16_t)(next - tcp_mbuf_seq(m)));
        m->hash.usr = next;
        append_held(rx, m, held);
        next = end;
    }
    return next;
}

uint32_t tcp_rx_drop_ahead(struct tcp_rx *rx, uint32_t *held)
{
    uint32_t count = rx->ahead_count;
    while (rx->ahead_first != NULL) {
        struct rte_mbuf *m = rx->ahead_first;
        rx->ahead_first = m->next;
        give(m, held);
    }
    rx->ahead_last = NULL;
    rx->ahead_count = 0;
    return count;
}

void tcp_rx_drop_queue(struct tcp_rx *rx, uint32_t *held)
{
    while (rx->first != NULL) {
        struct rte_mbuf *m = rx->first;
        rx->first = m->next;
        give(m, held);
    }
    rx->last = NULL;
    rx->bytes = 0;
}
