/*
 * h2_worker: what all connections of one worker share: pools, scratch memory, the lists of
 * connections with work, and the table in which streams are found.
 *
 * Callbacks may end any stream or connection, also the one they are called for. So objects that
 * ended are only unlinked and put on a list of the dead, which is emptied when no function that
 * might still look at them is running: h2_enter() and h2_leave() bracket every entry from outside.
 */
#pragma once

#include "dataplane/base/list.h"
#include "dataplane/base/pool.h"
#include "dataplane/h2/h2.h"
#include "dataplane/h2/h2_frame.h"
#include "dataplane/h2/h2_limits.h"
#include "dataplane/h2/h2_memo.h"
#include "dataplane/h2/h2_place.h"
#include "dataplane/h2/hpack.h"

/* An encoded header block that has to wait: for its rest (in) or for room (out). */
struct h2_header_block {
    uint32_t at;                              /* out: first byte not sent */
    uint32_t length;                          /* bytes at data */
    uint8_t head_room[H2_FRAME_HEADER_BYTES]; /* a frame header goes before any byte of data */
    uint8_t data[H2_LIMIT_HEADER_BLOCK_BYTES];
};

struct h2 {
    struct h2_config config;
    struct h2_counters counters;
    struct pool conns;                    /* FIFO */
    struct pool streams;                  /* FIFO */
    struct pool header_blocks;            /* LIFO */
    struct hpack_tables hpack_tables;     /* server role, or both */
    struct hpack_tables hpack_own_tables; /* client role, if they are apart */
    struct list active;        /* connections that may be able to write or to go on reading */
    struct list block_holders; /* connections that hold header blocks, the longest first */
    struct list resting;       /* clients with a decoder's table and no stream, the longest first */
    struct list dead_conns;
    struct h2_stream *dead_streams;
    bool connect_protocol; /* h2_announce_connect() */
    uint32_t announced_to; /* the first connection's slot that was not told yet */
    uint64_t now;          /* the latest that was handed in */
    uint32_t depth;        /* of entries from outside */
    uint32_t stream_count; /* alive for their owners */
    uint64_t grown_bytes;  /* of window_budget_bytes */
    uint64_t slot_factor;  /* odd, random: hash of (connection, stream id) */
    uint32_t slot_shift;
    struct h2_stream **slots;
    uint8_t *fields;                 /* header_list_bytes: the section just decoded */
    struct h2_header_block *encoded; /* the section just encoded */
    struct h2_memo memo;             /* blocks that come again */
    struct h2_place place;           /* where frames are written */
};

static inline struct hpack_tables *h2_tables_for(struct h2 *h2, enum h2_role role)
{
    bool own = role == H2_CLIENT && h2->config.hpack_own_tables_max > 0;
    return own ? &h2->hpack_own_tables : &h2->hpack_tables;
}

void h2_enter(struct h2 *h2, uint64_t now);
void h2_leave(struct h2 *h2);

/* Some of the connections that do not know yet what h2_announce_connect() said. */
void h2_announce_on(struct h2 *h2);

/* h2_bury_streams() of some. */
void h2_bury_dead_streams(struct h2 *h2);

/* Give dead streams back now, if only the outermost entry is running. */
static inline void h2_bury_streams(struct h2 *h2)
{
    if (h2->dead_streams != NULL && h2->depth == 1)
        h2_bury_dead_streams(h2);
}
