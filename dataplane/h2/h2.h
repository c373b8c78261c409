/*
 * h2: HTTP/2 (RFC 9113) over a transport, server and client role. One struct h2 a worker.
 *
 * No I/O and no clock. Bytes are taken from the transport by h2_in(), frames go to it in
 * h2_flush(). What arrives is told to the handler at once; what is sent is *pulled*: a stream that
 * has something says so with h2_stream_ready(), and when windows and transport allow, h2 asks the
 * handler's supply() for the next piece. So nothing is queued here but a few control frames, and a
 * response stays in its one place until it fits.
 *
 * Life of a stream: server role from the headers() that brings it, client role from h2_request(),
 * until exactly one of reset(), finished() (both told by h2) or h2_stream_reset() (told by the
 * owner). After that the pointer is dead.
 * Life of a connection: from h2_open() to closed(), which is told exactly once, after every stream
 * was told reset().
 *
 * Windows (RFC 9113 5.2): connection credit is returned as bytes are handed to data(), stream
 * credit when the owner calls h2_stream_consumed(): only the stream's window carries
 * back-pressure, a paused stream never starves its connection. Windows begin small and double when
 * half of one was used up and consumed within a round trip, up to their maximum, to that of the
 * connection, and to a budget of the worker.
 */
#pragma once

#include "dataplane/base/body.h"
#include "dataplane/base/random.h"
#include "dataplane/base/timer_wheel.h"
#include "dataplane/h2/fields.h"
#include "dataplane/tls/transport.h"

#define COUNTERS_STRUCT h2_counters
#define COUNTERS_DEF    "dataplane/h2/h2_counters.def"
#include "dataplane/base/counter_struct.h"

struct h2;
struct h2_conn;
struct h2_stream;

enum h2_role {
    H2_SERVER, /* towards clients */
    H2_CLIENT, /* towards backends */
};

/* RFC 9113 7 */
enum h2_error {
    H2_NO_ERROR = 0x0,
    H2_PROTOCOL_ERROR = 0x1,
    H2_INTERNAL_ERROR = 0x2,
    H2_FLOW_CONTROL_ERROR = 0x3,
    H2_SETTINGS_TIMEOUT = 0x4,
    H2_STREAM_CLOSED = 0x5,
    H2_FRAME_SIZE_ERROR = 0x6,
    H2_REFUSED_STREAM = 0x7,
    H2_CANCEL = 0x8,
    H2_COMPRESSION_ERROR = 0x9,
    H2_CONNECT_ERROR = 0xa,
    H2_ENHANCE_YOUR_CALM = 0xb,
    H2_INADEQUATE_SECURITY = 0xc,
    H2_HTTP_1_1_REQUIRED = 0xd,
};

/* Which header section of a message (RFC 9113 8.1). */
enum h2_section {
    H2_SECTION_HEADERS, /* request headers, or final response headers */
    H2_SECTION_INTERIM, /* client role: a 1xx response */
    H2_SECTION_TRAILERS,
};

/* Why a stream ended early. */
struct h2_reset {
    uint32_t code;    /* enum h2_error, or whatever the peer sent */
    bool by_peer;     /* RST_STREAM from the peer, or GOAWAY beyond last-stream-id */
    bool unprocessed; /* the peer certainly did not act on it: REFUSED_STREAM, GOAWAY, never sent */
    bool conn_lost;   /* the connection failed or was closed under it */
};

enum h2_supply_kind {
    H2_SUPPLY_NONE,     /* nothing now; h2_stream_ready() will be called again */
    H2_SUPPLY_INTERIM,  /* server role: `fields` is a 1xx response */
    H2_SUPPLY_HEADERS,  /* `fields` */
    H2_SUPPLY_DATA,     /* `chunk` (length 0 only with `end`) */
    H2_SUPPLY_TRAILERS, /* `fields`, which may be none; always ends */
    H2_SUPPLY_RESET,    /* `code`: RST_STREAM; no further callback, the pointer is dead */
};

struct h2_supply {
    enum h2_supply_kind kind;
    bool end;                    /* END_STREAM with this piece */
    const struct fields *fields; /* valid until supply() is called again on this worker */
    struct chunk chunk;          /* h2 takes its own reference while it needs it */
    uint32_t code;               /* enum h2_error */
};

/* The layer above. All are called on the worker, from h2_in(), h2_flush() or a timer. */
struct h2_handler {
    /*
     * A header section. FIELDS are valid during the call. In the server role the first one brings
     * a new stream: the handler sets its owner, or calls h2_stream_reset().
     * fields->overflow: larger than we accept; the stream must be refused (431 or a reset).
     */
    void (*headers)(void *owner, struct h2_stream *stream, const struct fields *fields,
                    enum h2_section section, bool end, uint64_t now);
    /*
     * Body bytes (0 only with END, or behind part()). The owner returns credit with
     * h2_stream_consumed().
     */
    void (*data)(struct h2_stream *stream, struct bytes bytes, bool end, uint64_t now);
    /*
     * Body bytes of a frame that has come in parts, and more are to be looked for: data() follows
     * before h2_in() returns, unless the stream ends, and nobody else is told anything before. What
     * is to be done once for all of them waits for it. NULL: data() gets these, too.
     */
    void (*part)(struct h2_stream *stream, struct bytes bytes, uint64_t now);
    /* What comes next on this stream, DATA at most MAX bytes (0: only a section or a reset fits).
     */
    struct h2_supply (*supply)(struct h2_stream *stream, uint32_t max, uint64_t now);
    /* The stream ended early. The pointer is dead after the call. */
    void (*reset)(struct h2_stream *stream, struct h2_reset reset, uint64_t now);
    /* Both sides ended the stream well. The pointer is dead after the call. */
    void (*finished)(struct h2_stream *stream, uint64_t now);
    /*
     * Client role: by how many bytes the stream's window may become larger now, as far as its owner
     * has memory for them; and that it did. Both NULL: the budget of all windows decides.
     */
    uint64_t (*window_room)(const struct h2_stream *stream);
    void (*window_grew)(struct h2_stream *stream, uint32_t by, uint64_t now);
    /* Client role: first SETTINGS arrived, or a stream slot became free, or GOAWAY closed the door.
     */
    void (*available)(void *owner, struct h2_conn *conn, uint64_t now);
    /*
     * Server role: the client speaks HTTP/1; OUT gets a whole answer, with which the connection
     * ends; nothing, or no function: 505. LINE is its request line; it has no data before that was
     * read, and then false asks for it.
     */
    bool (*http1)(void *owner, struct bytes line, struct writer *out);
    /* The connection is over. The pointer is dead after the call. */
    void (*closed)(void *owner, struct h2_conn *conn, uint64_t now);
};

struct h2_config {
    struct timer_wheel *wheel;
    struct random *random;
    uint32_t connections_max;
    uint32_t streams_max;          /* all connections together */
    uint32_t header_blocks_max;    /* blocks being put together from several frames or reads */
    uint32_t hpack_tables_max;     /* compression state, see hpack.h */
    uint32_t hpack_own_tables_max; /* client role: tables apart from the clients'; 0: none apart */
    uint32_t memo_places;          /* for blocks that come again, of 2 KiB, twice; 0: none */
    /* What we announce (RFC 9113 6.5.2). */
    uint32_t server_concurrent_streams; /* a client connection, 100 */
    uint32_t stream_window_bytes;       /* 65,535 .. 2^31-1; a stream we receive on */
    uint32_t connection_window_bytes;
    /*
     * Client role: what a stream begins with instead (announced); it becomes stream_window_bytes
     * as soon as there is room, with the request if possible. 0: no less.
     */
    uint32_t first_window_bytes;
    uint32_t stream_window_max_bytes;     /* what it may grow to; 0: it does not */
    uint32_t connection_window_max_bytes; /* also what its streams' windows may grow by, together */
    uint64_t window_budget_bytes;         /* by which all windows may grow, together */
    uint32_t header_list_bytes;           /* 16 KiB .. 64 KiB: decoded size we accept */
    uint64_t settings_timeout_ns;         /* SETTINGS unacknowledged */
    uint64_t idle_timeout_ns;             /* server role: without streams; 0: for ever */
    uint64_t stall_timeout_ns;   /* server role: a client that takes nothing; 0: for ever */
    uint64_t preface_timeout_ns; /* server role: no complete preface and SETTINGS */
    int socket_id;
};

/* Everything is allocated here. NULL: not enough memory. Main thread, at start. */
struct h2 *h2_create(const struct h2_config *config);

struct h2_counters *h2_counters(struct h2 *h2);

/*
 * Speak HTTP/2 on a transport. Takes over the transport, also on failure (it is aborted then).
 * NULL: no connection object is free; counted.
 */
struct h2_conn *h2_open(struct h2 *h2, enum h2_role role, struct transport transport,
                        const struct h2_handler *handler, void *owner, uint64_t now);

/* The transport has bytes. Reads until it is empty, or until our answers no longer fit. */
void h2_in(struct h2_conn *conn, uint64_t now);

/* The transport has room again. */
void h2_writable(struct h2_conn *conn);

/* The peer closed its direction, or the transport failed: streams are told, then closed(). */
void h2_transport_ended(struct h2_conn *conn, bool failed, uint64_t now);

/* Write what all connections have, in turn, as far as windows and transports allow. */
void h2_flush(struct h2 *h2, uint64_t now);

/*
 * Graceful shutdown (RFC 9113 6.8): GOAWAY with 2^31-1, a second one after a round trip (PING) or
 * 1 s, then streams finish, then the transport is closed and closed() is told.
 */
void h2_shutdown(struct h2_conn *conn, uint64_t now);

/* GOAWAY with CODE, streams reset, transport closed, closed() told, before this returns. */
void h2_close(struct h2_conn *conn, enum h2_error code, uint64_t now);

/* Client role: how many more requests may be opened now (0 before the first SETTINGS: 0 too). */
uint32_t h2_request_room(const struct h2_conn *conn);

/* Client role: whether the connection may ever take a new request (no GOAWAY, ids left). */
bool h2_is_open(const struct h2_conn *conn);

/* Client role: a new stream, whose sections and data are then pulled. NULL: no room; counted. */
struct h2_stream *h2_request(struct h2_conn *conn, void *stream_owner, uint64_t now);

/*
 * Client role: PING, to be answered within TIMEOUT_NS. Unanswered it ends the connection, unless
 * streams are open and the transport hears of the peer: then it is looked at again after as long.
 */
void h2_ping(struct h2_conn *conn, uint64_t timeout_ns, uint64_t now);

void h2_stream_set_owner(struct h2_stream *stream, void *owner);
void *h2_stream_owner(const struct h2_stream *stream);
struct h2_conn *h2_stream_conn(const struct h2_stream *stream);
void *h2_conn_owner(const struct h2_conn *conn);
uint32_t h2_stream_id(const struct h2_stream *stream);
uint32_t h2_conn_stream_count(const struct h2_conn *conn);

/*
 * Whether a section keeps to the peer's SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113 6.5.2), which is
 * advice: the owner asks, and does something better. O(fields), O(1) for a peer that names no size.
 */
bool h2_peer_takes(const struct h2_conn *conn, const struct fields *fields);

/*
 * Whether it is the peer that keeps the stream back: it gives no window, or its connection took not
 * all there was when it was tried last. O(1).
 */
bool h2_stream_is_held_up(const struct h2_stream *stream);

/* The stream has something for supply(). Idempotent, O(1). */
void h2_stream_ready(struct h2_stream *stream);

/* The owner is done with COUNT bytes of data(): stream credit goes back to the peer in time. */
void h2_stream_consumed(struct h2_stream *stream, uint32_t count);

/* The owner cannot give more soon: what it has given back goes to the peer however little it is. */
void h2_stream_credit_now(struct h2_stream *stream);

/* RST_STREAM with CODE. No callback follows; the pointer is dead after the call. */
void h2_stream_reset(struct h2_stream *stream, enum h2_error code);

/*
 * Server role: a stream has ended, but what it started goes on: it keeps its place among the
 * client's concurrent streams until h2_slot_free(). CONN may be in its reset() callbacks.
 */
uint64_t h2_slot_hold(struct h2_conn *conn);

/* SLOT from h2_slot_hold(), once; harmless when the connection has gone. O(1). */
void h2_slot_free(struct h2 *h2, uint64_t slot);

/*
 * Server role: connections announce extended CONNECT (RFC 8441), those that are open in a SETTINGS
 * of its own, some with each h2_flush(). Or new ones do not: what was announced cannot be taken
 * back.
 */
void h2_announce_connect(struct h2 *h2, bool announced);

/* Client role: the peer takes extended CONNECT. False before its first SETTINGS. */
bool h2_peer_connects(const struct h2_conn *conn);

/*
 * Server role: the answer that is about to begin makes the stream a tunnel (RFC 9113 8.5): either
 * side ends it for itself, there is no content-length, and our end does not cut the peer short.
 */
void h2_stream_tunnel(struct h2_stream *stream);

/* The connections in use, and the streams of all of them. */
uint32_t h2_connection_count(const struct h2 *h2);
uint32_t h2_stream_count(const struct h2 *h2);

/* Objects of every kind in use: 0 when every connection has gone. */
uint32_t h2_objects_used(const struct h2 *h2);
