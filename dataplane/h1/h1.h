/*
 * h1: HTTP/1.1 (RFC 9112) over a transport, client role. One struct h1 a worker.
 *
 * One exchange at a time on a connection, no pipelining. No I/O and no clock. What arrives is told
 * to the handler at once, as far as the exchange has credit; what is sent is pulled by h1_flush(),
 * piece by piece as in HTTP/2, whose words for pieces and sections are used here too: a body piece
 * goes to the transport as the segment it lies in.
 *
 * Life of an exchange: from h1_request() until exactly one of finished(), reset(), h1_cancel(), or
 * a supply() that answers H2_SUPPLY_RESET.
 * Life of a connection: from h1_open() to closed(), told exactly once. After each exchange it is
 * either as good as new, or, after anything doubtful (rule C26: cancelled, malformed, longer than
 * it should be, answered too early), never used again: available() says so, h1_is_open() is false,
 * and the owner ends it with h1_shutdown().
 *
 * h1_shutdown(), h1_close() and h1_transport_ended() are not for callbacks: they may tell closed(),
 * as h1_flush() does after a shutdown.
 *
 * Copies of an answer: the lines of a head into the block in which they become fields; body bytes
 * are told where the transport has them. Of a request: its head, made in memory of the worker, into
 * the transport's; chunk sizes likewise; body bytes none.
 */
#pragma once

#include "dataplane/h2/h2.h"
#include "dataplane/tls/transport.h"

#define COUNTERS_STRUCT h1_counters
#define COUNTERS_DEF    "dataplane/h1/h1_counters.def"
#include "dataplane/base/counter_struct.h"

struct h1;
struct h1_conn;

/* The layer above. All are called on the worker, from h1_in(), h1_flush() or an end. */
struct h1_handler {
    /*
     * A section of the answer: interim (any number), headers, trailers; `end` with the last piece.
     * FIELDS begin with :status, without what ends at this hop, and are valid during the call.
     * fields->overflow: larger than we accept; the exchange must be cancelled.
     */
    void (*headers)(struct h1_conn *conn, const struct fields *fields, enum h2_section section,
                    bool end, uint64_t now);
    /* Body bytes (0 only with END), never more than there is credit. */
    void (*data)(struct h1_conn *conn, struct bytes bytes, bool end, uint64_t now);
    /* The next piece of the request, DATA at most MAX bytes (0: only a section or a reset fits). */
    struct h2_supply (*supply)(struct h1_conn *conn, uint32_t max, uint64_t now);
    /* The exchange ended early. */
    void (*reset)(struct h1_conn *conn, struct h2_reset reset, uint64_t now);
    /* The answer is complete. What was left of the request is not wanted. */
    void (*finished)(struct h1_conn *conn, uint64_t now);
    /* Nothing more is read before there is credit. May be NULL. */
    void (*paused)(struct h1_conn *conn);
    /* The connection takes no more requests: see h1_is_open(). */
    void (*available)(struct h1_conn *conn, uint64_t now);
    /* The connection is over. The pointer is dead after the call. */
    void (*closed)(struct h1_conn *conn, uint64_t now);
};

struct h1_config {
    uint32_t connections_max;
    uint32_t blocks_max;         /* heads that have arrived in part */
    uint32_t header_list_bytes;  /* of a section's fields */
    uint32_t first_window_bytes; /* what an answer's body may bring before credit is given */
    int socket_id;
};

/* Everything is allocated here. NULL: not enough memory. Main thread, at start. */
struct h1 *h1_create(const struct h1_config *config);

struct h1_counters *h1_counters(struct h1 *h1);

/*
 * Speak HTTP/1.1 on a transport, which is taken over, also on failure (it is aborted then). NULL:
 * no connection object is free; counted.
 */
struct h1_conn *h1_open(struct h1 *h1, struct transport transport, const struct h1_handler *handler,
                        void *owner);

/* The transport has bytes; has room; ended (FAILED) or will bring nothing more. */
void h1_in(struct h1_conn *conn, uint64_t now);
void h1_writable(struct h1_conn *conn);
void h1_transport_ended(struct h1_conn *conn, bool failed, uint64_t now);

/* Write, and go on reading, where there is something to do. O(connections with work). */
void h1_flush(struct h1 *h1, uint64_t now);

/* No more requests: closed at once, or after the exchange that is under way. */
void h1_shutdown(struct h1_conn *conn, uint64_t now);

/* An exchange is reset, the transport closed, closed() told, before this returns. */
void h1_close(struct h1_conn *conn, uint64_t now);

/* Whether it may ever take another request; whether it takes one now. */
bool h1_is_open(const struct h1_conn *conn);
bool h1_has_room(const struct h1_conn *conn);

/* A new exchange, whose pieces are pulled after h1_ready(). False: no room. */
bool h1_request(struct h1_conn *conn, uint64_t now);

void h1_ready(struct h1_conn *conn);
void h1_consumed(struct h1_conn *conn, uint32_t count);

/* End the exchange from our side. No callback about it follows but available(). */
void h1_cancel(struct h1_conn *conn, uint64_t now);

void *h1_conn_owner(const struct h1_conn *conn);

/* Exchanges begun so far, with the one under way. */
uint32_t h1_exchange_count(const struct h1_conn *conn);

/* The end of the answer under way is, or was, that of its connection (rule C11). */
bool h1_is_until_close(const struct h1_conn *conn);

/* For how long the backend said it keeps an idle connection (keep-alive: timeout=N); 0: unsaid. */
uint64_t h1_keeps_for_ns(const struct h1_conn *conn);

/* Whether a request can be said in HTTP/1.1; counted when it cannot. TUNNEL: it asks for one. */
bool h1_takes(struct h1 *h1, const struct fields *request, bool *tunnel);

/* Connections, and blocks, in use: 0 when every connection has gone. */
uint32_t h1_objects_used(const struct h1 *h1);
