/*
 * transport: the byte stream under HTTP: TCP itself, TLS over it, or a test's pipe. One worker.
 *
 * The same rules as tcp.h: sends are all or nothing within room(), reads are views until
 * read_done(), the owner lets go with close() or abort().
 */
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/segment.h"

struct transport_ops {
    uint32_t (*room)(void *stream);
    bool (*send_copy)(void *stream, struct bytes bytes);
    bool (*send_segment)(void *stream, struct segment *segment, uint32_t offset, uint32_t length);
    /*
     * Memory of the transport's for LEAST bytes or more in one piece, *OUT_BYTES within room():
     * what is written there is sent by placed(), which says how much (not 0), before anything else
     * is done with the transport. NULL: none, send_copy() may have; both NULL: never.
     */
    uint8_t *(*place)(void *stream, uint32_t least, uint32_t *out_bytes);
    void (*placed)(void *stream, uint32_t count);
    struct bytes (*read)(void *stream);
    void (*read_done)(void *stream, uint32_t count);
    void (*close)(void *stream);
    void (*abort)(void *stream);
    uint64_t (*rtt_ns)(void *stream, uint64_t now); /* smoothed, 0: not known; may be NULL */
    /* Since the peer was heard of last, be it an acknowledgement; may be NULL: not known. */
    uint64_t (*silent_for_ns)(void *stream, uint64_t now);
};

struct transport {
    const struct transport_ops *ops;
    void *stream;
};

struct tcp_conn;

/* Plain TCP. */
struct transport transport_tcp(struct tcp_conn *conn);
