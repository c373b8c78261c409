/*
 * segment: a refcounted piece of payload, written once and sent many times.
 *
 * Segments come from the owner worker's segment_pool. Every reference is held on one worker, so the
 * count is not atomic; what another worker lends is represented here by a segment object of our own
 * whose `data` points into the lender's memory and whose source tells the lender when the last
 * reference has gone. One writer appends; readers look only at bytes that are already there.
 *
 * An account is whoever is answerable for segments. None has more than SEGMENT_SHARE times what is
 * free: one alone leaves an eighth of the pool, two that are greedy a fifteenth, and there is
 * always something left for those who come with little.
 *
 * A promise sets segments aside for bytes that somebody else was told he may send: they are taken
 * without being asked for again. What is promised counts as used, and is nobody else's.
 */
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/pool.h"

struct segment;

#define SEGMENT_SHARE 7

/* Owner: whoever is answerable; it outlives its segments. */
struct segment_account {
    uint32_t used; /* segments that were taken on it and are still referred to, or promised */
    void (*emptied)(struct segment_account *account); /* `used` came back to 0; may be NULL */
};

/* Who gets a segment back when nobody refers to it any more. */
struct segment_source {
    void (*released)(struct segment_source *source, struct segment *segment);
};

struct segment {
    uint8_t *data;
    uint32_t length;   /* bytes written, 0..capacity */
    uint32_t capacity; /* bytes */
    uint32_t references;
    struct segment *next; /* the following piece of the same body */
    struct segment_source *source;
    struct segment_account *account; /* NULL: nobody is answerable */
};

/* Payload memory of one worker. Owner: the worker. */
struct segment_pool {
    struct segment_source source; /* first: a segment finds its pool through it */
    struct pool segments;         /* POOL_LIFO */
    uint8_t *data;
    uint32_t segment_bytes;
    uint32_t promised; /* of the free ones */
};

/* COUNT segments of SEGMENT_BYTES each. False: not enough memory. At start. */
bool segment_pool_init(struct segment_pool *pool, const char *name, uint32_t count,
                       uint32_t segment_bytes, int socket_id);

/* Free, and promised to nobody. */
static inline uint32_t segments_spare(const struct segment_pool *pool)
{
    return pool->segments.free_count - pool->promised;
}

/* Set COUNT of the spare ones aside on an account, which may be NULL; give them back. O(1). */
void segment_promise(struct segment_pool *pool, struct segment_account *account, uint32_t count);
void segment_unpromise(struct segment_pool *pool, struct segment_account *account, uint32_t count);

/* One that was promised on the account; never NULL. O(1). */
struct segment *segment_take_promised(struct segment_pool *pool, struct segment_account *account);

/* An empty segment with one reference, or NULL when payload memory is used up. O(1). */
struct segment *segment_take(struct segment_pool *pool);

/* The same on an account, which may be NULL. NULL also when the account has its share. O(1). */
struct segment *segment_take_for(struct segment_pool *pool, struct segment_account *account);

static inline struct segment *segment_hold(struct segment *segment)
{
    segment->references++;
    return segment;
}

/* Give one reference back; the last one returns the segment to its source. O(1). */
static inline void segment_drop(struct segment *segment)
{
    if (--segment->references == 0)
        segment->source->released(segment->source, segment);
}
