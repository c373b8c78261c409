#include "tests/support/pipe.h"

#include "dataplane/base/check.h"

#include <stdlib.h>

static uint32_t end_room(void *stream)
{
    struct pipe_end *end = stream;
    check(!end->closed && !end->aborted);
    uint32_t room = end->capacity > end->queued ? end->capacity - end->queued : 0;
    return end->room_max > 0 && room > end->room_max ? end->room_max : room;
}

static bool is_starved(struct pipe_end *end)
{
    return end->starve_in_100 > 0 && random_below(end->random, 100) < end->starve_in_100;
}

static void push(struct pipe_end *end, struct bytes bytes)
{
    check(bytes.length <= end->capacity - end->queued);
    if (bytes.length > 0)
        memcpy(end->queue + end->queued, bytes.data, bytes.length);
    end->queued += (uint32_t)bytes.length;
    end->sent_bytes += bytes.length;
}

static bool end_send_copy(void *stream, struct bytes bytes)
{
    struct pipe_end *end = stream;
    check(!end->closed && !end->aborted);
    if (is_starved(end))
        return false;
    push(end, bytes);
    return true;
}

static bool end_send_segment(void *stream, struct segment *segment, uint32_t offset,
                             uint32_t length)
{
    check(segment->references > 0 && offset + length <= segment->length);
    return end_send_copy(stream, bytes_of(segment->data + offset, length));
}

/* With a seed it is at times too short. */
static uint8_t *end_place(void *stream, uint32_t least, uint32_t *out_bytes)
{
    struct pipe_end *end = stream;
    *out_bytes = end_room(stream);
    if (end->random != NULL && *out_bytes > 0)
        *out_bytes = 1 + random_below(end->random, *out_bytes);
    if (*out_bytes < least || is_starved(end))
        return NULL;
    return end->queue + end->queued;
}

static void end_placed(void *stream, uint32_t count)
{
    struct pipe_end *end = stream;
    check(count > 0 && count <= end_room(stream));
    end->queued += count;
    end->sent_bytes += count;
}

static struct bytes end_read(void *stream)
{
    struct pipe_end *from = ((struct pipe_end *)stream)->peer;
    uint32_t length = from->delivered;
    if (length > from->piece_max)
        length = from->piece_max;
    if (length > 1 && from->random != NULL)
        length = 1 + random_below(from->random, length);
    free(from->view);
    from->view = NULL;
    if (length == 0)
        return BYTES_NONE;
    from->view = malloc(length);
    check(from->view != NULL);
    memcpy(from->view, from->queue, length);
    return bytes_of(from->view, length);
}

static void end_read_done(void *stream, uint32_t count)
{
    struct pipe_end *from = ((struct pipe_end *)stream)->peer;
    check(count <= from->delivered);
    memmove(from->queue, from->queue + count, from->queued - count);
    from->queued -= count;
    from->delivered -= count;
    free(from->view);
    from->view = NULL;
}

static void end_close(void *stream)
{
    struct pipe_end *end = stream;
    check(!end->closed && !end->aborted);
    end->closed = true;
}

static void end_abort(void *stream)
{
    struct pipe_end *end = stream;
    check(!end->closed && !end->aborted);
    end->aborted = true;
}

static uint64_t end_silent_for_ns(void *stream, uint64_t now)
{
    const struct pipe_end *end = stream;
    return end->acknowledges ? 0 : UINT64_MAX;
}

static const struct transport_ops pipe_ops = {
    .room = end_room,
    .send_copy = end_send_copy,
    .send_segment = end_send_segment,
    .place = end_place,
    .placed = end_placed,
    .read = end_read,
    .read_done = end_read_done,
    .close = end_close,
    .abort = end_abort,
    .silent_for_ns = end_silent_for_ns,
};

struct transport pipe_transport(struct pipe_end *end)
{
    return (struct transport){&pipe_ops, end};
}

void pipe_open(struct pipe *pipe, uint32_t capacity, struct random *random)
{
    *pipe = (struct pipe){0};
    for (uint32_t i = 0; i < 2; i++) {
        struct pipe_end *end = &pipe->ends[i];
        end->peer = &pipe->ends[1 - i];
        end->capacity = capacity;
        end->piece_max = UINT32_MAX;
        end->random = random;
        end->queue = malloc(capacity);
        check(end->queue != NULL);
    }
}

void pipe_release(struct pipe *pipe)
{
    for (uint32_t i = 0; i < 2; i++) {
        free(pipe->ends[i].queue);
        free(pipe->ends[i].view);
    }
    *pipe = (struct pipe){0};
}

uint32_t pipe_deliver(struct pipe_end *end, uint32_t count)
{
    uint32_t hidden = end->queued - end->delivered;
    if (count > hidden)
        count = hidden;
    end->delivered += count;
    return count;
}

void pipe_feed(struct pipe_end *end, struct bytes bytes)
{
    push(end->peer, bytes);
    pipe_deliver(end->peer, UINT32_MAX);
}

struct bytes pipe_take(struct pipe_end *end)
{
    free(end->view);
    end->view = malloc(end->queued > 0 ? end->queued : 1);
    check(end->view != NULL);
    struct bytes taken = bytes_of(end->view, end->queued);
    if (end->queued > 0)
        memcpy(end->view, end->queue, end->queued);
    end->queued = 0;
    end->delivered = 0;
    return taken;
}
