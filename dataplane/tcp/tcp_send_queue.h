/*
 * tcp_send_queue: the bytes the layer above gave to a connection and the peer has not acknowledged
 * yet, as a list of spans: references into segments, or bytes copied into blocks of our own, or a
 * few bytes copied into the span itself: the header of a DATA frame between two segments. A span is
 * released when all of it is acknowledged. One worker.
 */
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/pool.h"
#include "dataplane/base/segment.h"

#define TCP_BLOCK_BYTES 2048u
#define TCP_SMALL_BYTES 16u

/* Names a span: its place in the pool plus one; 0 is none. */
typedef uint32_t tcp_span_link;

enum tcp_span_kind {
    TCP_SPAN_SEGMENT, /* one reference is held */
    TCP_SPAN_BLOCK,   /* the block is ours */
    TCP_SPAN_SMALL,   /* the bytes are in the span */
};

struct tcp_span {
    const uint8_t *data; /* not acknowledged, as length */
    tcp_span_link next;
    uint32_t length : 30;
    uint32_t kind : 2; /* enum tcp_span_kind */
    union {
        struct segment *segment;
        uint8_t *block;
        uint8_t small[TCP_SMALL_BYTES];
    };
};

_Static_assert(sizeof(struct tcp_span) == 32, "as far apart as the pool's objects");

/* Where spans and blocks come from; one per worker. */
struct tcp_span_pools {
    struct pool spans;
    struct pool blocks;
};

/* NULL: none. */
static inline struct tcp_span *tcp_span_at(const struct tcp_span_pools *pools, tcp_span_link link)
{
    return link == 0 ? NULL : (struct tcp_span *)(void *)pools->spans.objects + (link - 1);
}

enum tcp_cursor {
    TCP_CURSOR_NEW,   /* data sent for the first time */
    TCP_CURSOR_AGAIN, /* retransmissions */
    TCP_CURSORS
};

/* Sequence numbers: the queue holds [seq, seq + bytes). */
struct tcp_send_queue {
    tcp_span_link first;
    tcp_span_link last;
    uint32_t seq;                           /* of the first byte not acknowledged */
    uint32_t bytes;                         /* how many there are */
    uint32_t cursor_seq[TCP_CURSORS];       /* of the first byte of ... */
    tcp_span_link cursor_span[TCP_CURSORS]; /* ... the span read last */
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

/*
 * Memory behind the last byte for LEAST bytes (at most TCP_BLOCK_BYTES) and more in one piece, to
 * be written to and appended by *_placed() before anything else is. NULL: there is none in one
 * piece; a copy may find room in two. O(1).
 */
uint8_t *tcp_send_queue_place(struct tcp_send_queue *queue, struct tcp_span_pools *pools,
                              uint32_t least, uint32_t *out_bytes);

/* COUNT bytes stand there now, not 0. */
void tcp_send_queue_placed(struct tcp_send_queue *queue, const struct tcp_span_pools *pools,
                           uint32_t count);

/* Append a piece of a segment and hold it. False: no span is left. O(1). */
bool tcp_send_queue_segment(struct tcp_send_queue *queue, struct tcp_span_pools *pools,
                            struct segment *segment, uint32_t offset, uint32_t length);

/*
 * Copy LENGTH bytes from sequence number SEQ on to OUT; they must be in the queue. Cheap when it
 * goes on where the same cursor's last read ended.
 */
void tcp_send_queue_read(struct tcp_send_queue *queue, const struct tcp_span_pools *pools,
                         enum tcp_cursor cursor, uint32_t seq, uint8_t *out, uint32_t length);

/* The bytes before SEQ (at most the queue's end) are acknowledged: release what is complete. */
void tcp_send_queue_acknowledge(struct tcp_send_queue *queue, struct tcp_span_pools *pools,
                                uint32_t seq);

/* Release everything. */
void tcp_send_queue_clear(struct tcp_send_queue *queue, struct tcp_span_pools *pools);
