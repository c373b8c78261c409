/*
 * h2_priority: which stream goes first (RFC 9218): the `priority` field and PRIORITY_UPDATE say so,
 * h2_out asks. In the client role the field that we send says it of our own uploads.
 *
 * A connection has one list of ready streams for each urgency. The lowest urgency with a ready
 * stream is served; in it streams take turns frame by frame, but one whose client asked for it to
 * come whole (no `i`) keeps its turn while it has something. Streams without any signal take turns:
 * RFC 9218 leaves that to the server, and a long download must not hold up the calls beside it.
 * Every H2_LIMIT_FAIR_TURNS-th turn goes to those who wait behind that: the other urgencies, and
 * who is held up by one that comes whole, one after the other, so that nobody starves. All O(1).
 */
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/list.h"

#define H2_URGENCIES       8
#define H2_URGENCY_DEFAULT 3

struct h2_conn;
struct h2_stream;

struct h2_priority {
    uint8_t urgency; /* 0 is the first */
    bool turns;      /* it shares its urgency frame by frame */
};

/* What a client said of a stream that it has not opened yet. */
struct h2_priority_early {
    uint32_t stream_id; /* 0: none */
    struct h2_priority priority;
};

struct h2_ready {
    struct list lists[H2_URGENCIES];
    uint8_t set;     /* urgencies that may have streams; no others have */
    uint8_t turns;   /* since the last one that went to those who wait */
    uint8_t fair_at; /* the urgency that had it */
    bool is_fair;    /* the turn under way is such a one */
};

/* Nothing was said. */
static inline struct h2_priority h2_priority_default(void)
{
    return (struct h2_priority){.urgency = H2_URGENCY_DEFAULT, .turns = true};
}

/*
 * The value of a `priority` field (RFC 9218 4, an RFC 8941 dictionary). What is not understood in
 * it is ignored. Pure; O(bytes).
 */
struct h2_priority h2_priority_read(struct bytes value);

void h2_ready_init(struct h2_ready *ready);

/* The stream waits for its turn, behind the others. It is in no list. */
void h2_ready_add(struct h2_stream *stream);

/*
 * It had its turn and has more: behind the others, or in front when it does not share and the turn
 * was its own.
 */
void h2_ready_again(struct h2_stream *stream);

/* Whose turn it is, taken out of its list; NULL: nobody's. */
struct h2_stream *h2_ready_take(struct h2_conn *conn);

bool h2_ready_is_empty(struct h2_conn *conn);

/* A stream has got its number: what PRIORITY_UPDATE said before, or else its own field, VALUE. */
void h2_priority_open(struct h2_stream *stream, bool has_value, struct bytes value);

/* PRIORITY_UPDATE for a stream that is open, or that may be opened. */
void h2_priority_update(struct h2_conn *conn, uint32_t stream_id, struct bytes value);
