/*
 * h2_stream: one stream, its states (RFC 9113 5.1) and the table in which it is found.
 *
 * A stream that we reset stays, unlinked from everything else, until its RST_STREAM is written:
 * the object is the queue entry.
 */
#pragma once

#include "dataplane/h2/h2_priority.h"
#include "dataplane/h2/h2_worker.h"

enum h2_stream_state {
    H2_STATE_IDLE,               /* client role: requested, HEADERS not sent, no identifier yet */
    H2_STATE_OPEN,               /* both sides may send */
    H2_STATE_HALF_CLOSED_LOCAL,  /* we sent END_STREAM */
    H2_STATE_HALF_CLOSED_REMOTE, /* the peer sent END_STREAM */
    H2_STATE_CLOSED,             /* over; only the object may be left */
    H2_STATES
};

/* Reserved states do not exist: push is never enabled. */
enum h2_stream_cause {
    H2_CAUSE_HEADERS,      /* HEADERS sent or received that open the stream */
    H2_CAUSE_SENT_END,     /* END_STREAM sent */
    H2_CAUSE_RECEIVED_END, /* END_STREAM received */
    H2_CAUSE_RESET,        /* RST_STREAM sent or received, or lost with the connection */
    H2_CAUSES
};

/* Why a stream waits although its owner has something. */
enum h2_parked {
    H2_PARKED_NOT,
    H2_PARKED_STREAM,     /* the stream's send window is empty */
    H2_PARKED_CONNECTION, /* the connection's is: linked in conn->parked */
    H2_PARKED_SLOT,       /* client role: the server allows no further stream now */
};

#define H2_LENGTH_UNKNOWN UINT64_MAX

/* A receive window's size, see h2_flow.c. */
struct h2_window {
    uint32_t bytes;
    uint32_t credited_at_us; /* the last WINDOW_UPDATE */
};

/* How long a window that somebody waits for has been shut, see h2_stall.c. */
struct h2_stall {
    uint32_t since_ms; /* 0: it is not */
    uint32_t bytes;    /* sent since */
};

/* Owner: its connection. */
struct h2_stream {
    struct h2_conn *conn;
    void *owner;
    struct h2_stream *next_in_slot; /* of the table; or of the dead */
    struct list link;               /* conn->streams, unsent or resets */
    struct list turn;               /* conn->ready or parked */
    struct list credit_link;        /* conn->credits */
    uint64_t body_left;             /* DATA bytes still to come by content-length */
    uint32_t id;                    /* 0: IDLE */
    int32_t send_window;            /* negative after SETTINGS_INITIAL_WINDOW_SIZE shrank */
    uint32_t receive_window;        /* what the peer may still send */
    uint32_t credit;                /* consumed, not yet returned by WINDOW_UPDATE */
    struct h2_window window;
    uint32_t reset_code;   /* in conn->resets: to be sent */
    uint32_t header_bytes; /* server role: what its request's section counts for */
    struct h2_stall stall; /* its own window */
    uint8_t state;         /* enum h2_stream_state */
    uint8_t parked;        /* enum h2_parked */
    uint8_t interim_count; /* 1xx received */
    struct h2_priority priority;
    bool headers_sent : 1; /* the final ones */
    bool headers_received : 1;
    bool no_content : 1; /* client role: answers HEAD */
    bool connect : 1;    /* its request is extended CONNECT, and was not refused */
    bool tunnel : 1;     /* server role: h2_stream_tunnel() */
};

/* A stream without identifier; NULL: the pool is empty. Not linked anywhere. */
struct h2_stream *h2_stream_take(struct h2_conn *conn);

/* Give it its identifier: it can be found, and counts as opened. */
void h2_stream_number(struct h2_stream *stream, uint32_t id);

/* NULL: there is no such stream (any more). O(1). */
struct h2_stream *h2_stream_find(const struct h2_conn *conn, uint32_t id);

#define H2_STREAM_ILLEGAL H2_STATES

/* RFC 9113 5.1, figure 2. */
extern const uint8_t h2_stream_transitions[H2_STATES][H2_CAUSES];

/* The one function that changes the state. An illegal transition is a programmer's error. */
static inline void h2_stream_move(struct h2_stream *stream, enum h2_stream_cause cause)
{
    check(stream->state < H2_STATES && cause < H2_CAUSES);
    uint8_t next = h2_stream_transitions[stream->state][cause];
    check(next != H2_STREAM_ILLEGAL);
    stream->state = next;
}

static inline bool h2_stream_is_alive(const struct h2_stream *stream)
{
    return stream->state != H2_STATE_CLOSED;
}

/* The peer may still send on it. */
static inline bool h2_stream_can_receive(const struct h2_stream *stream)
{
    return stream->state == H2_STATE_OPEN || stream->state == H2_STATE_HALF_CLOSED_LOCAL;
}

/* We may still send on it. */
static inline bool h2_stream_can_send(const struct h2_stream *stream)
{
    return stream->state == H2_STATE_IDLE || stream->state == H2_STATE_OPEN ||
           stream->state == H2_STATE_HALF_CLOSED_REMOTE;
}

/* Client role: whether the server allows one more stream; SETTINGS may have lowered the number. */
bool h2_stream_has_slot(const struct h2_conn *conn);

/* Client role: slots may have become free for streams that wait for one. O(requests not sent). */
void h2_stream_fill_slots(struct h2_conn *conn);

/*
 * Client role: requests that are not sent yet and for which SETTINGS have left no place go back to
 * their owners, the last ones first: what holds the places may last. O(requests not sent).
 */
void h2_stream_return_excess(struct h2_conn *conn);

/* RST_STREAM with CODE, unless the peer does not know of it yet; the owner is not told. */
void h2_stream_abandon(struct h2_stream *stream, enum h2_error code);

/* As before, and the owner is told. */
void h2_stream_fail(struct h2_stream *stream, enum h2_error code);

/* The peer or the connection ended it: the owner is told. */
void h2_stream_lost(struct h2_stream *stream, struct h2_reset reset);

/* Both sides have ended it: the owner is told. */
void h2_stream_finish(struct h2_stream *stream);

/* END_STREAM received, after its owner was told; harmless when the owner has reset the stream. */
void h2_stream_peer_ended(struct h2_stream *stream);

/*
 * END_STREAM sent. A server that has answered completely does not want the rest of the request:
 * RST_STREAM(NO_ERROR), RFC 9113 8.1.
 */
void h2_stream_we_ended(struct h2_stream *stream);

/* The RST_STREAM of a stream in conn->resets is written. */
void h2_stream_forget(struct h2_stream *stream);
