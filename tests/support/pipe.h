/*
 * pipe: an in-memory transport for tests: two ends, each direction a bounded queue.
 *
 * The test decides how much of what was sent becomes readable (pipe_deliver), in what pieces it is
 * read, and when sends fail for lack of memory. Views end exactly where their memory ends, so that
 * a sanitizer sees a read beyond.
 */
#pragma once

#include "dataplane/base/random.h"
#include "dataplane/tls/transport.h"

struct pipe_end {
    struct pipe_end *peer;
    uint8_t *queue;         /* what this end has sent and the peer not read */
    uint32_t capacity;      /* bytes of queue; a test may lower it for a while */
    uint32_t queued;        /* in the queue */
    uint32_t delivered;     /* of them readable */
    uint32_t piece_max;     /* the peer's reads are views of at most so much; random if set */
    struct random *random;  /* NULL: pieces are always as large as possible */
    uint32_t room_max;      /* there is never said to be more room; 0: as much as there is */
    uint8_t *view;          /* of the peer's last read, until it is done */
    uint32_t starve_in_100; /* of 100 sends so many fail although there is room */
    bool acknowledges;      /* the peer is heard of all the time, below what is read here */
    bool closed;
    bool aborted;
    uint64_t sent_bytes;
};

struct pipe {
    struct pipe_end ends[2];
};

void pipe_open(struct pipe *pipe, uint32_t capacity, struct random *random);
void pipe_release(struct pipe *pipe);

struct transport pipe_transport(struct pipe_end *end);

/* COUNT more bytes that END sent become readable; UINT32_MAX: all. Returns how many. */
uint32_t pipe_deliver(struct pipe_end *end, uint32_t count);

/* For a test that is itself the peer of END: bytes as if END's peer had sent them, readable. */
void pipe_feed(struct pipe_end *end, struct bytes bytes);

/* For a test that is itself the peer of END: all that END sent, taken out of the queue. */
struct bytes pipe_take(struct pipe_end *end);
