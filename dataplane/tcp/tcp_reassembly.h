/*
 * tcp_reassembly: received payload, held in its mbufs: a queue of what is in order and unread, and
 * a sorted list of what came ahead of a gap. One worker.
 *
 * An mbuf's data is exactly its payload; its sequence number stands in hash.usr and its link in
 * next (each mbuf is one segment, nb_segs stays 1). The caller bounds how many mbufs are held:
 * every function says how many it took or let go through `held`.
 */
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/check.h"
#include "dataplane/tcp/tcp_seq.h"

#include <rte_mbuf.h>

/* A new segment not larger than this is copied behind the previous one when it fits there. */
#define TCP_COLLAPSE_BYTES 512u

struct tcp_rx {
    struct rte_mbuf *first; /* in order, unread */
    struct rte_mbuf *last;
    struct rte_mbuf *ahead_first; /* out of order, sorted, without overlaps */
    struct rte_mbuf *ahead_last;
    uint32_t bytes;       /* in order, unread */
    uint32_t ahead_count; /* mbufs out of order */
};

static inline uint32_t tcp_mbuf_seq(const struct rte_mbuf *m)
{
    return m->hash.usr;
}

static inline uint32_t tcp_mbuf_end(const struct rte_mbuf *m)
{
    return m->hash.usr + m->data_len;
}

/*
 * Append payload that begins exactly where the queue ends (sequence number SEQ, 1 byte or more).
 * Takes over the mbuf. HELD counts mbufs of all connections.
 */
void tcp_rx_append(struct tcp_rx *rx, struct rte_mbuf *packet, uint32_t seq, uint32_t *held);

/* Bytes at the front, in one piece. */
static inline struct bytes tcp_rx_peek(const struct tcp_rx *rx)
{
    if (rx->first == NULL)
        return BYTES_NONE;
    return bytes_of(rte_pktmbuf_mtod(rx->first, const uint8_t *), rx->first->data_len);
}

/* Let go of COUNT bytes of tcp_rx_peek(). */
void tcp_rx_consume(struct tcp_rx *rx, uint32_t count, uint32_t *held);

/*
 * Keep payload that is ahead of a gap. Bytes that are here already win; the rest is kept. Takes
 * over the mbuf. False: nothing of it was new. O(mbufs ahead), O(1) at the end of the list.
 */
bool tcp_rx_insert_ahead(struct tcp_rx *rx, struct rte_mbuf *packet, uint32_t seq, uint32_t *held);

/*
 * Move what has become contiguous with NEXT into the queue. Returns the new next sequence number.
 */
uint32_t tcp_rx_advance(struct tcp_rx *rx, uint32_t next, uint32_t *held);

/* Let go of everything that is out of order. Returns how many mbufs. */
uint32_t tcp_rx_drop_ahead(struct tcp_rx *rx, uint32_t *held);

/* Let go of what is in order and unread. */
void tcp_rx_drop_queue(struct tcp_rx *rx, uint32_t *held);
