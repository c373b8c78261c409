/* tcp_send_queue: RFC 9293 3.3.1 (the send sequence space), 3.10.2 (SEND). */
#include "dataplane/tcp/tcp_send_queue.h"

#include "dataplane/base/check.h"
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

/* Free bytes behind the last span, when it is a block of our own. */
static uint32_t block_room(const struct tcp_span *span)
{
    if (span == NULL || !span->owned)
        return 0;
    return TCP_BLOCK_BYTES - (uint32_t)(span->data + span->length - span->block);
}

/* Copy what fits behind the last span's bytes; returns how many. */
static uint32_t fill_last(struct tcp_send_queue *queue, struct tcp_span *last, struct bytes bytes)
{
    uint32_t room = block_room(last);
    uint32_t count = bytes.length < room ? (uint32_t)bytes.length : room;
    if (count == 0)
        return 0;
    memcpy(last->block + (last->data + last->length - last->block), bytes.data, count);
    last->length += count;
    queue->bytes += count;
    return count;
}

bool tcp_send_queue_copy(struct tcp_send_queue *queue, struct tcp_span_pools *pools,
                         struct bytes bytes)
{
    struct tcp_span *last = tcp_span_at(pools, queue->last);
    uint32_t room = block_room(last);
    size_t rest = bytes.length > room ? bytes.length - room : 0;
    size_t blocks = (rest + TCP_BLOCK_BYTES - 1) / TCP_BLOCK_BYTES;
    if (pools->blocks.free_count < blocks || pools->spans.free_count < blocks)
        return false;

    bytes = bytes_after(bytes, fill_last(queue, last, bytes));
    while (bytes.length > 0) {
        struct tcp_span *span = pool_take(&pools->spans);
        span->block = pool_take(&pools->blocks);
        span->owned = true;
        span->data = span->block;
        span->length = bytes.length < TCP_BLOCK_BYTES ? (uint32_t)bytes.length : TCP_BLOCK_BYTES;
        memcpy(span->block, bytes.data, span->length);
        append(queue, pools, span);
        bytes = bytes_after(bytes, span->length);
    }
    return true;
}

bool tcp_send_queue_segment(struct tcp_send_queue *queue, struct tcp_span_pools *pools,
                            struct segment *segment, uint32_t offset, uint32_t length)
{
    check((uint64_t)offset + length <= segment->length);
    if (length == 0)
        return true;
    struct tcp_span *last = tcp_span_at(pools, queue->last);
    if (last != NULL && !last->owned && last->segment == segment &&
        last->data + last->length == segment->data + offset) {
        last->length += length;
        queue->bytes += length;
        return true;
    }
    struct tcp_span *span = pool_take(&pools->spans);
    if (span == NULL)
        return false;
    span->segment = segment_hold(segment);
    span->owned = false;
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
        memcpy(out, span->data + offset, count);
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
    if (span->owned)
        pool_give(&pools->blocks, span->block);
    else
        segment_drop(span->segment);
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
