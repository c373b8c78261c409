/*
 * tcp_send_queue: the bytes the layer above gave to a connection and the peer has not acknowledged
 * yet, as a list of spans: references into segments, or bytes copied into blocks of our own. A span
 * is released when all of it is acknowledged. One worker.
 */
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/pool.h"
#include "dataplane/base/segment.h"

#define TCP_BLOCK_BYTES 2048u

struct tcp_span {
    struct tcp_span *next;
    const uint8_t *data;
    union {
        struct segment *segment; /* one reference is held */
        uint8_t *block;          /* owned */
    };
    uint32_t length;
    bool owned; /* which of the two */
};

/* Where spans and blocks come from; one per worker. */
struct tcp_span_pools {
    struct pool spans;
    struct pool blocks;
};

enum tcp_cursor {
    TCP_CURSOR_NEW,   /* data sent for the first time */
    TCP_CURSOR_AGAIN, /* retransmissions */
    TCP_CURSORS
};

/* Sequence numbers: the queue holds [seq, seq + bytes). */
struct tcp_send_queue {
    struct tcp_span *first;
    struct tcp_span *last;
    uint32_t seq;        /* of the first byte not acknowledged */
    uint32_t bytes;      /* how many there are */
    uint32_t first_done; /* bytes of the first span that are acknowledged already */
    uint32_t cursor_seq[TCP_CURSORS];
    struct tcp_span *cursor_span[TCP_CURSORS];
};

/* Room for SPANS and BLOCKS. False: not enough memory. At start. */
bool tcp_span_pools_init(struct tcp_span_pools *pools, uint32_t spans, uint32_t blocks,
                         int socket_id);

/* An empty queue whose first byte will have sequence number SEQ. */
void tcp_send_queue_init(struct tcp_send_queue *queue, uint32_t seq);

static inline uint32_t tcp_send_queue_end(const struct tcp_send_queue *queue)
{
    return queue->seq + queue->bytes;
}

/* Append a copy. False: the pools are short, nothing was appended. O(bytes). */
bool tcp_send_queue_copy(struct tcp_send_queue *queue, struct tcp_span_pools *pools,
                         struct bytes bytes);

/* Append a piece of a segment and hold it. False: no span is left. O(1). */
bool tcp_send_queue_segment(struct tcp_send_queue *queue, struct tcp_span_pools *pools,
                            struct segment *segment, uint32_t offset, uint32_t length);

/*
 * Copy LENGTH bytes from sequence number SEQ on to OUT; they must be in the queue. Cheap when it
 * goes on where the same cursor's last read ended.
 */
void tcp_send_queue_read(struct tcp_send_queue *queue, enum tcp_cursor cursor, uint32_t seq,
                         uint8_t *out, uint32_t length);

/* The bytes before SEQ (at most the queue's end) are acknowledged: release what is complete. */
void tcp_send_queue_acknowledge(struct tcp_send_queue *queue, struct tcp_span_pools *pools,
                                uint32_t seq);

/* Release everything. */
void tcp_send_queue_clear(struct tcp_send_queue *queue, struct tcp_span_pools *pools);
