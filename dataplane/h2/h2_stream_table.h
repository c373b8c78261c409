/*
 * h2_stream_table: where streams are found by connection and identifier. One table a worker,
 * chained, h2->slots; all O(1).
 *
 * Multiply-shift with a random odd factor: a client that chooses identifiers cannot aim.
 * Connections lie whole cache lines apart, so the lowest bits of their places are free for the
 * identifier.
 */
#pragma once

#include "dataplane/h2/h2_conn.h"

static inline struct h2_stream **h2_stream_slot(const struct h2_conn *conn, uint32_t id)
{
    const struct h2 *h2 = conn->h2;
    uint64_t place = (uint64_t)((const uint8_t *)conn - h2->conns.objects);
    uint64_t key = place << 26 | id;
    return &h2->slots[key * h2->slot_factor >> h2->slot_shift];
}

/* NULL: there is no such stream (any more). */
static inline struct h2_stream *h2_stream_look_up(const struct h2_conn *conn, uint32_t id)
{
    struct h2_stream *stream = *h2_stream_slot(conn, id);
    while (stream != NULL && (stream->id != id || stream->conn != conn))
        stream = stream->next_in_slot;
    return stream;
}

/* Fetch into the cache where stream ID would be found; itself, when that has been fetched. */
static inline void h2_stream_prefetch_slot(const struct h2_conn *conn, uint32_t id)
{
    __builtin_prefetch(h2_stream_slot(conn, id));
}

static inline void h2_stream_prefetch(const struct h2_conn *conn, uint32_t id)
{
    const struct h2_stream *stream = *h2_stream_slot(conn, id);
    if (stream == NULL)
        return;
    __builtin_prefetch(stream);
    __builtin_prefetch((const char *)stream + sizeof(*stream) / 2);
}

/* The stream has its identifier, and is not in the table. */
static inline void h2_stream_enter(struct h2_stream *stream)
{
    struct h2_stream **slot = h2_stream_slot(stream->conn, stream->id);
    stream->next_in_slot = *slot;
    *slot = stream;
}

static inline void h2_stream_leave(struct h2_stream *stream)
{
    struct h2_stream **at = h2_stream_slot(stream->conn, stream->id);
    while (*at != stream)
        at = &(*at)->next_in_slot;
    *at = stream->next_in_slot;
}
