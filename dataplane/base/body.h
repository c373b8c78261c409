/*
 * body: a message body in motion: a chain of segments with one writer and any number of readers,
 * each with a cursor of its own. One worker.
 *
 * Every segment but the last is full, so that segment number n begins at byte n * segment_bytes.
 * The body holds one reference to each segment it keeps. Discarding the front never moves a
 * reader: discard only what every cursor has passed (body_discard checks nothing but bounds).
 */
#pragma once

#include "dataplane/base/segment.h"

struct body {
    struct segment *first; /* NULL when nothing is kept */
    struct segment *last;
    uint64_t kept_from;      /* position in bytes of the first kept byte; 0: whole prefix is here */
    uint64_t written_bytes;  /* position after the last byte */
    uint64_t promised_until; /* up to here there is room for certain, see body_promise() */
    uint64_t room_until;     /* the end of the segments that were taken or are set aside */
    uint32_t promised;       /* segments set aside */
    bool ended;              /* nothing will be appended */
    struct segment_account *account; /* on which it takes segments; NULL: on nobody's */
};

/* A reader's place. All zero is the beginning, valid while kept_from is 0. */
struct body_cursor {
    struct segment *segment; /* NULL: not resolved yet, see body_peek() */
    uint32_t offset;         /* in the segment */
    uint64_t position;       /* in the body, bytes */
};

/* Some contiguous bytes of a body. The view lives as long as the segment is referenced. */
struct chunk {
    struct segment *segment;
    uint32_t offset;
    uint32_t length;
};

void body_init(struct body *body);

/*
 * Copy bytes to the end, taking segments as needed. Returns how many were taken over: fewer than
 * bytes.length only when the pool is empty. Programmer's error after body_end(). O(bytes).
 */
size_t body_append(struct body *body, struct segment_pool *pool, struct bytes bytes);

/*
 * Promise room for the bytes up to UNTIL: body_append() will take them whatever happens. That sets
 * body_promise_cost() segments aside, which have to be spare. Promises end with body_unpromise(),
 * before the body is cleared. O(1).
 */
uint32_t body_promise_cost(const struct body *body, const struct segment_pool *pool,
                           uint64_t until);
void body_promise(struct body *body, struct segment_pool *pool, uint64_t until);
void body_unpromise_segments(struct body *body, struct segment_pool *pool);

static inline void body_unpromise(struct body *body, struct segment_pool *pool)
{
    body->promised_until = 0;
    if (body->promised > 0)
        body_unpromise_segments(body, pool);
}

/* Append a segment that is filled elsewhere; the body takes over the caller's reference. */
void body_adopt(struct body *body, struct segment *segment);

/* The last adopted segment has grown to LENGTH bytes. */
void body_grow(struct body *body, uint32_t length);

void body_end(struct body *body);

/* Let go of all segments that lie wholly before POSITION. O(segments let go). */
void body_discard(struct body *body, uint64_t position);

/* Let go of everything. The body may be initialised again. */
void body_clear(struct body *body);

/* The same of one that is not used again. */
void body_drop_segments(struct body *body);

static inline void body_drop(struct body *body)
{
    check(body->promised == 0);
    if (body->first != NULL)
        body_drop_segments(body);
}

/* The cursor at the beginning; the whole prefix must be kept. */
void body_cursor_init(struct body_cursor *cursor);

/* The next chunk at the cursor, at most MAX bytes; length 0 when the reader has caught up. O(1). */
struct chunk body_peek(const struct body *body, struct body_cursor *cursor, uint32_t max);

/* Move past LENGTH bytes just peeked. */
void body_cursor_advance(struct body_cursor *cursor, uint32_t length);

static inline bool body_is_read(const struct body *body, const struct body_cursor *cursor)
{
    return body->ended && cursor->position == body->written_bytes;
}
