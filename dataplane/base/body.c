#include "dataplane/base/body.h"

#include "dataplane/base/check.h"

static inline bool segment_is_full(const struct segment *segment)
{
    return segment->length == segment->capacity;
}

void body_init(struct body *body)
{
    *body = (struct body){0};
}

static void body_link(struct body *body, struct segment *segment)
{
    segment->next = NULL;
    if (body->last == NULL)
        body->first = segment;
    else
        body->last->next = segment;
    body->last = segment;
}

static struct segment *body_take(struct body *body, struct segment_pool *pool)
{
    if (body->promised > 0) {
        body->promised--;
        return segment_take_promised(pool, body->account);
    }
    struct segment *segment = segment_take_for(pool, body->account);
    if (segment != NULL)
        body->room_until += segment->capacity;
    return segment;
}

/* The segment that has room at the end of the body, or NULL when the pool is empty. */
static struct segment *body_writable(struct body *body, struct segment_pool *pool)
{
    if (body->last != NULL && !segment_is_full(body->last))
        return body->last;
    struct segment *segment = body_take(body, pool);
    if (segment != NULL)
        body_link(body, segment);
    return segment;
}

size_t body_append(struct body *body, struct segment_pool *pool, struct bytes bytes)
{
    check(!body->ended);
    size_t taken = 0;
    while (taken < bytes.length) {
        struct segment *segment = body_writable(body, pool);
        if (segment == NULL)
            break;
        struct bytes part =
            bytes_first(bytes_after(bytes, taken), segment->capacity - segment->length);
        memcpy(segment->data + segment->length, part.data, part.length);
        segment->length += (uint32_t)part.length;
        taken += part.length;
    }
    body->written_bytes += taken;
    return taken;
}

uint32_t body_promise_cost(const struct body *body, const struct segment_pool *pool, uint64_t until)
{
    if (until <= body->room_until)
        return 0;
    return (uint32_t)((until - body->room_until + pool->segment_bytes - 1) / pool->segment_bytes);
}

void body_promise(struct body *body, struct segment_pool *pool, uint64_t until)
{
    uint32_t cost = body_promise_cost(body, pool, until);
    check(until >= body->promised_until);
    body->promised_until = until;
    if (cost == 0)
        return;
    segment_promise(pool, body->account, cost);
    body->promised += cost;
    body->room_until += (uint64_t)cost * pool->segment_bytes;
}

void body_unpromise_segments(struct body *body, struct segment_pool *pool)
{
    uint32_t count = body->promised;
    body->promised = 0;
    body->room_until -= (uint64_t)count * pool->segment_bytes;
    segment_unpromise(pool, body->account, count);
}

void body_adopt(struct body *body, struct segment *segment)
{
    check(!body->ended);
    check(body->last == NULL || segment_is_full(body->last));
    body_link(body, segment);
    body->written_bytes += segment->length;
}

void body_grow(struct body *body, uint32_t length)
{
    struct segment *last = body->last;
    check(!body->ended && last != NULL);
    check(length >= last->length && length <= last->capacity);
    body->written_bytes += length - last->length;
    last->length = length;
}

void body_end(struct body *body)
{
    body->ended = true;
}

static void body_drop_first(struct body *body)
{
    struct segment *first = body->first;
    body->first = first->next;
    if (body->first == NULL)
        body->last = NULL;
    body->kept_from += first->length;
    first->next = NULL;
    segment_drop(first);
}

/* Whether nothing more will be written into the segment. */
static inline bool body_is_done_with(const struct body *body, const struct segment *segment)
{
    return body->ended || segment_is_full(segment);
}

void body_discard(struct body *body, uint64_t position)
{
    check(position <= body->written_bytes);
    while (body->first != NULL && body->kept_from + body->first->length <= position &&
           body_is_done_with(body, body->first))
        body_drop_first(body);
}

void body_drop_segments(struct body *body)
{
    while (body->first != NULL)
        body_drop_first(body);
}

void body_clear(struct body *body)
{
    body_drop(body);
    *body = (struct body){.account = body->account};
}

void body_cursor_init(struct body_cursor *cursor)
{
    *cursor = (struct body_cursor){0};
}

/*
 * The segment that begins at POSITION, where bytes are known to be. A reader that waited for more
 * at a segment's end finds it in the first or the last one, except when it fell behind by segments
 * that a slower reader still keeps.
 */
static struct segment *body_segment_at(const struct body *body, uint64_t position)
{
    if (position == body->written_bytes - body->last->length)
        return body->last;
    uint64_t start = body->kept_from;
    struct segment *segment = body->first;
    while (start < position) {
        start += segment->length;
        segment = segment->next;
    }
    check(start == position);
    return segment;
}

struct chunk body_peek(const struct body *body, struct body_cursor *cursor, uint32_t max)
{
    if (cursor->position == body->written_bytes)
        return (struct chunk){0};
    if (cursor->segment == NULL)
        cursor->segment = body_segment_at(body, cursor->position);
    uint32_t left = cursor->segment->length - cursor->offset;
    return (struct chunk){cursor->segment, cursor->offset, left < max ? left : max};
}

/*
 * A cursor leaves a full segment at once, even if there is no next one yet: the body may let go of
 * the segment as soon as every cursor has passed it.
 */
void body_cursor_advance(struct body_cursor *cursor, uint32_t length)
{
    struct segment *segment = cursor->segment;
    check(length == 0 || (segment != NULL && length <= segment->length - cursor->offset));
    cursor->position += length;
    cursor->offset += length;
    if (segment == NULL || cursor->offset < segment->capacity)
        return;
    cursor->segment = segment->next;
    cursor->offset = 0;
}
