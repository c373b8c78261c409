/*
 * h1_conn: what the files of this folder share. One worker.
 *
 *   h1.c       create, flush
 *   h1_conn.c  states, exchanges, ends
 *   h1_in.c    answers
 *   h1_out.c   requests
 */
#pragma once

#include "dataplane/base/list.h"
#include "dataplane/base/pool.h"
#include "dataplane/h1/h1.h"
#include "dataplane/h1/h1_parser.h"
#include "dataplane/h1/h1_request.h"

#define H1_CHUNK_TEXT_BYTES 24u   /* a chunk's size with CRLF; the end of a body */
#define H1_OUT_ROOM         4096u /* of transport room for a body piece: no tiny chunks */

enum h1_conn_state {
    H1_CONN_IDLE,  /* between two exchanges, or before the first one */
    H1_CONN_BUSY,  /* an exchange is under way */
    H1_CONN_SPENT, /* no exchange ever again; its owner ends it */
    H1_CONN_STATES
};

enum h1_conn_cause {
    H1_CAUSE_REQUEST,  /* an exchange begins */
    H1_CAUSE_KEPT,     /* it ended well, or was given up before a byte was sent */
    H1_CAUSE_LAST,     /* it ended, and the connection with it, or the owner wants no other */
    H1_CAUSE_DOUBTFUL, /* C26: whatever comes now may belong to what was */
    H1_CONN_CAUSES
};

/* A section's memory. */
struct h1_block {
    struct list held; /* in h1->held */
    struct h1_conn *conn;
    struct fields fields;
    uint8_t data[];
};

/* A piece of a body on its way into the transport: text, segment, tail; each at once or not yet. */
struct h1_piece {
    uint8_t text[H1_CHUNK_TEXT_BYTES];
    uint8_t tail[H1_CHUNK_TEXT_BYTES];
    uint8_t text_bytes;
    uint8_t tail_bytes;
    struct chunk chunk; /* with a reference; length 0: none */
    bool end;           /* of the request */
};

struct h1_conn {
    struct h1 *h1;
    const struct h1_handler *handler;
    void *owner;
    struct transport transport;
    struct list active; /* in h1->active: h1_flush() looks at it */
    enum h1_conn_state state;
    bool ended;   /* the backend has closed its direction */
    bool hard;    /* it ends by abort(): nobody waits for what is on its way */
    bool retires; /* h1_shutdown(): this exchange is the last */
    bool reads;   /* inside h1_in() */
    uint32_t exchanges;

    /* The answer. */
    struct h1_parser parser;
    struct h1_block *block;
    uint64_t credit; /* body bytes that may be told */

    /* The request. */
    struct h1_framing framing;
    struct h1_piece piece;
    uint64_t body_sent; /* bytes */
    bool ready;
    bool head_sent;
    bool request_ended;
    bool unwanted; /* its rest: the backend has answered and will close */
};

struct h1 {
    struct h1_config config;
    struct h1_counters counters;
    struct pool conns;  /* RESTING */
    struct pool blocks; /* LIFO */
    struct list held;   /* blocks in use, the longest held one first */
    struct list active;
    uint8_t *head; /* a request's head is made here */
    uint32_t head_capacity;
};

/* h1_flush() will look at the connection. Idempotent. */
void h1_wake(struct h1_conn *conn);

/* The one place where a connection changes state. */
void h1_change(struct h1_conn *conn, enum h1_conn_cause cause);

/* The exchange is over: what it held is given back. */
void h1_clean(struct h1_conn *conn);

/* It ended early, for WHY; the connection with it. */
void h1_fail(struct h1_conn *conn, enum h1_violation why, struct h2_reset reset, uint64_t now);

/* Of a section that begins: another one's if none is free, who has taken longest to say its own. */
void h1_block_take(struct h1_conn *conn, uint64_t now);
void h1_block_give(struct h1_conn *conn);

/* Whether the transport has bytes; they stay there. */
bool h1_has_bytes(const struct h1_conn *conn);

/* Bytes came for which nobody asked (RFC 9112 9.2): no request is sent on the connection. */
void h1_unasked(struct h1_conn *conn, uint64_t now);

/* h1_shutdown() was said, and nothing is under way any more. True: CONN is dead. */
bool h1_end_if_retired(struct h1_conn *conn, uint64_t now);

/* h1_in.c: answers, as far as the transport has bytes and there is credit. */
void h1_read(struct h1_conn *conn, uint64_t now);

/* h1_out.c: the request, as far as the transport has room. */
void h1_write(struct h1_conn *conn, uint64_t now);
