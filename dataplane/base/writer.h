/*
 * writer: a bounded cursor that writes big-endian, with a sticky failed bit.
 *
 * Write everything, then ask `failed` once. A write that does not fit sets `failed` and writes
 * nothing.
 */
#pragma once

#include "dataplane/base/bytes.h"

struct writer {
    uint8_t *start;
    uint8_t *at;
    uint8_t *end;
    bool failed;
};

static inline struct writer writer_over(void *data, size_t capacity)
{
    uint8_t *start = (uint8_t *)data;
    return (struct writer){start, start, capacity > 0 ? start + capacity : start, false};
}

static inline size_t writer_room(const struct writer *w)
{
    return (size_t)(w->end - w->at);
}

static inline size_t writer_length(const struct writer *w)
{
    return (size_t)(w->at - w->start);
}

static inline struct bytes writer_written(const struct writer *w)
{
    return bytes_of(w->start, writer_length(w));
}

/* Room for COUNT bytes that the caller fills at once, or NULL and `failed`. */
static inline uint8_t *writer_take(struct writer *w, size_t count)
{
    if (w->failed || writer_room(w) < count) {
        w->failed = true;
        return NULL;
    }
    uint8_t *room = w->at;
    w->at += count;
    return room;
}

static inline void writer_bytes(struct writer *w, struct bytes bytes)
{
    uint8_t *room = writer_take(w, bytes.length);
    if (room != NULL && bytes.length > 0)
        memcpy(room, bytes.data, bytes.length);
}

static inline void writer_number(struct writer *w, uint64_t value, size_t count)
{
    uint8_t *room = writer_take(w, count);
    for (size_t i = 0; room != NULL && i < count; i++)
        room[i] = (uint8_t)(value >> (8 * (count - 1 - i)));
}

static inline void writer_u8(struct writer *w, uint8_t value)
{
    writer_number(w, value, 1);
}

static inline void writer_u16(struct writer *w, uint16_t value)
{
    writer_number(w, value, 2);
}

static inline void writer_u24(struct writer *w, uint32_t value)
{
    writer_number(w, value, 3);
}

static inline void writer_u32(struct writer *w, uint32_t value)
{
    writer_number(w, value, 4);
}

static inline void writer_u64(struct writer *w, uint64_t value)
{
    writer_number(w, value, 8);
}
