/* tcp_send_queue: RFC 9293 3.3.1 (the send sequence space), 3.10.2 (SEND). */
#include "dataplane/tcp/tcp_send_queue.h"

#include "dataplane/base/check.h"
#include "dataplane/base/copy.h"
#include "dataplane/tcp/tcp_seq.h"

bool tcp_span_pools_init(struct tcp_span_pools *pools, uint32_t spans, uint32_t blocks,
                         int socket_id)
{
    return pool_init(&pools->spans, "tcp spans", POOL_LIFO, spans, sizeof(struct tcp_span),
                     socket_id) &&
           pool_init(&pools->blocks, "tcp blocks", POOL_LIFO, blocks, TCP_BLOCK_BYTES, socket_id);
}

static inline tcp_span_link link_of(const struct tcp_span_pools *pools, const struct tcp_span *span)
{
    return (tcp_span_link)(span - (const struct tcp_span *)(const void *)pools->spans.objects) + 1;
}

void tcp_send_queue_init(struct tcp_send_queue *queue, uint32_t seq)
{
    *queue = (struct tcp_send_queue){.seq = seq};
}

static void append(struct tcp_send_queue *queue, const struct tcp_span_pools *pools,
                   struct tcp_span *span)
{
    tcp_span_link link = link_of(pools, span);
    span->next = 0;
    if (queue->last == 0)
        queue->first = link;
    else
        tcp_span_at(pools, queue->last)->next = link;
    queue->last = link;
    queue->bytes += span->length;
}

/* Free bytes behind the last span's, when their place is our own. */
static uint32_t room_behind(const struct tcp_span *span)
{
    if (span == NULL)
        return 0;
    const uint8_t *end = span->data + span->length;
    switch ((enum tcp_span_kind)span->kind) {
    case TCP_SPAN_SEGMENT:
        return 0;
    case TCP_SPAN_BLOCK:
        return TCP_BLOCK_BYTES - (uint32_t)(end - span->block);
    case TCP_SPAN_SMALL:
        return TCP_SMALL_BYTES - (uint32_t)(end - span->small);
    }
    return 0;
}

/* Where the last span's own bytes are. */
static uint8_t *place_of(struct tcp_span *span)
{
    return span->kind == TCP_SPAN_BLOCK ? span->block : span->small;
}

/* Copy what fits behind the last span's bytes; returns how many. */
static uint32_t fill_last(struct tcp_send_queue *queue, struct tcp_span *last, uint32_t room,
                          struct bytes bytes)
{
    uint32_t count = bytes.length < room ? (uint32_t)bytes.length : room;
    if (count == 0)
        return 0;
    uint8_t *place = place_of(last);
    copy_short(place + (last->data + last->length - place), bytes.data, count);
    last->length += count;
    queue->bytes += count;
    return count;
}

/* A few bytes, not behind others of that kind: those are better off together in a block. */
static bool is_small(const struct tcp_span *last, size_t length)
{
    return length <= TCP_SMALL_BYTES && (last == NULL || last->kind != TCP_SPAN_SMALL);
}

static void append_small(struct tcp_send_queue *queue, struct tcp_span_pools *pools,
                         struct bytes bytes)
{
    struct tcp_span *span = pool_take(&pools->spans);
    span->kind = TCP_SPAN_SMALL;
    span->data = span->small;
    span->length = (uint32_t)bytes.length;
    copy_short(span->small, bytes.data, bytes.length);
    append(queue, pools, span);
}

/* The first LENGTH bytes of a new block, which the caller fills. There are a span and a block. */
static struct tcp_span *append_block(struct tcp_send_queue *queue, struct tcp_span_pools *pools,
                                     uint32_t length)
{
    struct tcp_span *span = pool_take(&pools->spans);
    span->block = pool_take(&pools->blocks);
    span->kind = TCP_SPAN_BLOCK;
    span->data = span->block;
    span->length = length;
    append(queue, pools, span);
    return span;
}

bool tcp_send_queue_copy(struct tcp_send_queue *queue, struct tcp_span_pools *pools,
                         struct bytes bytes)
{
    struct tcp_span *last = tcp_span_at(pools, queue->last);
    uint32_t room = room_behind(last);
    size_t rest = bytes.length > room ? bytes.length - room : 0;
    bool small = rest > 0 && is_small(last, rest);
    size_t blocks = small ? 0 : (rest + TCP_BLOCK_BYTES - 1) / TCP_BLOCK_BYTES;
    if (pools->blocks.free_count < blocks || pools->spans.free_count < blocks + small)
        return false;

    bytes = bytes_after(bytes, fill_last(queue, last, room, bytes));
    if (small) {
        append_small(queue, pools, bytes);
        return true;
    }
    while (bytes.length > 0) {
        struct bytes part = bytes_first(bytes, TCP_BLOCK_BYTES);
        struct tcp_span *span = append_block(queue, pools, (uint32_t)part.length);
        copy_short(span->block, part.data, part.length);
        bytes = bytes_after(bytes, part.length);
    }
    return true;
}

uint8_t *tcp_send_queue_place(struct tcp_send_queue *queue, struct tcp_span_pools *pools,
                              uint32_t least, uint32_t *out_bytes)
{
    struct tcp_span *last = tcp_span_at(pools, queue->last);
    uint32_t room = last != NULL && last->kind == TCP_SPAN_BLOCK ? room_behind(last) : 0;
    if (room == 0) {
        if (pools->blocks.free_count == 0 || pools->spans.free_count == 0)
            return NULL;
        last = append_block(queue, pools, 0);
        room = TCP_BLOCK_BYTES;
    }
    *out_bytes = room;
    return room >= least ? last->block + (TCP_BLOCK_BYTES - room) : NULL;
}

void tcp_send_queue_placed(struct tcp_send_queue *queue, const struct tcp_span_pools *pools,
                           uint32_t count)
{
    struct tcp_span *last = tcp_span_at(pools, queue->last);
    check(count > 0 && count <= room_behind(last));
    last->length += count;
    queue->bytes += count;
}

bool tcp_send_queue_segment(struct tcp_send_queue *queue, struct tcp_span_pools *pools,
                            struct segment *segment, uint32_t offset, uint32_t length)
{
    check((uint64_t)offset + length <= segment->length);
    if (length == 0)
        return true;
    struct tcp_span *last = tcp_span_at(pools, queue->last);
    if (last != NULL && last->kind == TCP_SPAN_SEGMENT && last->segment == segment &&
        last->data + last->length == segment->data + offset) {
        last->length += length;
        queue->bytes += length;
        return true;
    }
    struct tcp_span *span = pool_take(&pools->spans);
    if (span == NULL)
        return false;
    span->segment = segment_hold(segment);
    span->kind = TCP_SPAN_SEGMENT;
    span->data = segment->data + offset;
    span->length = length;
    append(queue, pools, span);
    return true;
}

/* The span that holds SEQ, found from the cursor or the front; START is its first byte's number. */
static struct tcp_span *seek(const struct tcp_send_queue *queue, const struct tcp_span_pools *pools,
                             enum tcp_cursor cursor, uint32_t seq, uint32_t *start)
{
    struct tcp_span *span = tcp_span_at(pools, queue->cursor_span[cursor]);
    *start = queue->cursor_seq[cursor];
    if (span == NULL || seq_lt(seq, *start)) {
        span = tcp_span_at(pools, queue->first);
        *start = queue->seq;
    }
    while (seq_geq(seq, *start + span->length)) {
        *start += span->length;
        span = tcp_span_at(pools, span->next);
    }
    return span;
}

void tcp_send_queue_read(struct tcp_send_queue *queue, const struct tcp_span_pools *pools,
                         enum tcp_cursor cursor, uint32_t seq, uint8_t *out, uint32_t length)
{
    check(seq_geq(seq, queue->seq) && seq_leq(seq + length, tcp_send_queue_end(queue)));
    if (length == 0)
        return;
    uint32_t start;
    struct tcp_span *span = seek(queue, pools, cursor, seq, &start);
    for (;;) {
        uint32_t offset = seq - start;
        uint32_t count = span->length - offset < length ? span->length - offset : length;
        copy_short(out, span->data + offset, count);
        out += count;
        seq += count;
        length -= count;
        if (length == 0)
            break;
        start += span->length;
        span = tcp_span_at(pools, span->next);
    }
    queue->cursor_span[cursor] = link_of(pools, span);
    queue->cursor_seq[cursor] = start;
}

static void give_place(struct tcp_span_pools *pools, struct tcp_span *span)
{
    switch ((enum tcp_span_kind)span->kind) {
    case TCP_SPAN_SEGMENT:
        segment_drop(span->segment);
        return;
    case TCP_SPAN_BLOCK:
        pool_give(&pools->blocks, span->block);
        return;
    case TCP_SPAN_SMALL:
        return;
    }
}

static void release_first(struct tcp_send_queue *queue, struct tcp_span_pools *pools)
{
    tcp_span_link link = queue->first;
    struct tcp_span *span = tcp_span_at(pools, link);
    for (int i = 0; i < TCP_CURSORS; i++) {
        if (queue->cursor_span[i] == link)
            queue->cursor_span[i] = 0;
    }
    queue->first = span->next;
    if (queue->first == 0)
        queue->last = 0;
    give_place(pools, span);
    pool_give_at(&pools->spans, link - 1);
}

/* The first span begins COUNT bytes later; so does a cursor's idea of it. */
static void cut_first(struct tcp_send_queue *queue, struct tcp_span *span, uint32_t count)
{
    span->data += count;
    span->length -= count;
    for (int i = 0; i < TCP_CURSORS; i++) {
        if (queue->cursor_span[i] == queue->first)
            queue->cursor_seq[i] = queue->seq;
    }
}

void tcp_send_queue_acknowledge(struct tcp_send_queue *queue, struct tcp_span_pools *pools,
                                uint32_t seq)
{
    uint32_t count = seq - queue->seq;
    check(count <= queue->bytes);
    queue->seq = seq;
    queue->bytes -= count;
    while (count > 0) {
        struct tcp_span *first = tcp_span_at(pools, queue->first);
        if (count < first->length) {
            cut_first(queue, first, count);
            return;
        }
        count -= first->length;
        release_first(queue, pools);
    }
}

void tcp_send_queue_clear(struct tcp_send_queue *queue, struct tcp_span_pools *pools)
{
    while (queue->first != 0)
        release_first(queue, pools);
    queue->bytes = 0;
}
