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
