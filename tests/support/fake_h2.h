/*
 * fake_h2: the client role of h2.h without frames, for tests of what sits above. Define by
 * including it in the test's one file; the real h2 is then not linked. The test plays the backend
 * with fake_h2_settings(), fake_h2_answer(), fake_h2_refuse() ...
 *
 * It is as unkind as h2.h allows: closed() comes from inside h2_close() and h2_shutdown() where
 * that is possible, and dead pointers are checked.
 */
#pragma once

#include "dataplane/base/check.h"
#include "dataplane/h2/h2.h"

#define FAKE_H2_CONNS   4096
#define FAKE_H2_STREAMS 65536

struct h2 {
    int nothing;
};

struct h2_conn {
    const struct h2_handler *handler;
    void *owner;
    struct transport transport;
    bool live;
    bool settled;   /* SETTINGS arrived */
    bool goaway;    /* from the backend */
    bool shut_down; /* by us */
    uint32_t max;   /* concurrent streams */
    uint32_t streams;
    uint32_t pings;
    enum h2_error close_code;
};

struct h2_stream {
    struct h2_conn *conn;
    void *owner;
    bool live;
    bool ready;
    bool request_sent; /* END_STREAM from us */
    bool answer_ended;
    uint32_t pieces; /* supplied */
    uint32_t consumed;
    uint32_t reset_code; /* by us; 0xffffffff: none */
};

static struct {
    struct h2 h2;
    struct h2_conn conns[FAKE_H2_CONNS];
    struct h2_stream streams[FAKE_H2_STREAMS];
    uint32_t conn_count;
    uint32_t stream_count;
    uint32_t live_conns;
    uint32_t live_streams;
    uint32_t streams_max; /* live ones; 0: no bound */
    bool no_streams;      /* h2_request() finds no room that was said to be there */
    bool full;            /* h2_open() finds no room */
    bool too_large;       /* h2_peer_takes() nothing */
    bool takes_connect;   /* h2_peer_connects() */
} fake_h2;

static inline void fake_h2_init(void)
{
    memset(&fake_h2, 0, sizeof(fake_h2));
}

static inline void fake_h2_end_stream(struct h2_stream *stream)
{
    check(stream->live);
    stream->live = false;
    stream->conn->streams--;
    fake_h2.live_streams--;
}

static inline void fake_h2_end_conn(struct h2_conn *conn, bool failed, uint64_t now)
{
    check(conn->live && conn->streams == 0);
    conn->live = false;
    fake_h2.live_conns--;
    if (failed)
        conn->transport.ops->abort(conn->transport.stream);
    else
        conn->transport.ops->close(conn->transport.stream);
    conn->handler->closed(conn->owner, conn, now);
}

static inline void fake_h2_end_if_idle(struct h2_conn *conn, uint64_t now)
{
    if (conn->live && conn->streams == 0 && conn->shut_down)
        fake_h2_end_conn(conn, false, now);
}

/* --- the backend's part --- */

static inline void fake_h2_settings(struct h2_conn *conn, uint32_t max, uint64_t now)
{
    conn->settled = true;
    conn->max = max;
    conn->handler->available(conn->owner, conn, now);
}

/* RST_STREAM, or the like. */
static inline void fake_h2_refuse(struct h2_stream *stream, struct h2_reset reset, uint64_t now)
{
    struct h2_conn *conn = stream->conn;
    fake_h2_end_stream(stream);
    conn->handler->reset(stream, reset, now);
    fake_h2_end_if_idle(conn, now);
}

/* GOAWAY: the newest KEEP streams go on, the others were not processed. */
static inline void fake_h2_goaway(struct h2_conn *conn, uint32_t keep, uint64_t now)
{
    conn->goaway = true;
    for (uint32_t i = 0; i < fake_h2.stream_count && conn->live; i++) {
        struct h2_stream *stream = &fake_h2.streams[i];
        if (!stream->live || stream->conn != conn)
            continue;
        if (keep > 0) {
            keep--;
            continue;
        }
        fake_h2_refuse(stream, (struct h2_reset){.by_peer = true, .unprocessed = true}, now);
    }
    if (conn->live)
        conn->handler->available(conn->owner, conn, now);
}

static inline void fake_h2_finish_if_whole(struct h2_stream *stream, uint64_t now)
{
    struct h2_conn *conn = stream->conn;
    if (!stream->live || !stream->request_sent || !stream->answer_ended)
        return;
    fake_h2_end_stream(stream);
    conn->handler->finished(stream, now);
    fake_h2_end_if_idle(conn, now);
}

/* Ask for what the stream has to send. */
static inline void fake_h2_pull(struct h2_stream *stream, uint64_t now)
{
    while (stream->live && stream->ready && !stream->request_sent) {
        struct h2_supply supply = stream->conn->handler->supply(stream, 16384, now);
        if (supply.kind == H2_SUPPLY_NONE) {
            stream->ready = false;
            return;
        }
        stream->pieces++;
        if (supply.kind == H2_SUPPLY_RESET) {
            stream->reset_code = supply.code;
            fake_h2_end_stream(stream);
            return;
        }
        stream->request_sent = supply.end;
    }
    fake_h2_finish_if_whole(stream, now);
}

static inline void fake_h2_headers(struct h2_stream *stream, const struct fields *fields,
                                   enum h2_section section, bool end, uint64_t now)
{
    stream->answer_ended = end;
    stream->conn->handler->headers(stream->conn->owner, stream, fields, section, end, now);
    if (stream->live)
        fake_h2_finish_if_whole(stream, now);
}

/* A section with :status (trailers: without) and one more field, if any. */
static inline void fake_h2_answer(struct h2_stream *stream, enum h2_section section,
                                  const char *status, enum field_token token, const char *value,
                                  bool end, uint64_t now)
{
    uint8_t data[512];
    struct fields fields;
    fields_init(&fields, data, sizeof(data));
    if (status != NULL)
        fields_add_token(&fields, FIELD_STATUS, bytes_text(status));
    if (value != NULL)
        fields_add_token(&fields, token, bytes_text(value));
    fake_h2_headers(stream, &fields, section, end, now);
}

static inline void fake_h2_status(struct h2_stream *stream, const char *status, bool end,
                                  uint64_t now)
{
    fake_h2_answer(stream, H2_SECTION_HEADERS, status, FIELD_SERVER, NULL, end, now);
}

static inline void fake_h2_data(struct h2_stream *stream, const char *text, bool end, uint64_t now)
{
    stream->answer_ended = end;
    stream->conn->handler->data(stream, bytes_text(text), end, now);
    if (stream->live)
        fake_h2_finish_if_whole(stream, now);
}

/* --- h2.h --- */

struct h2_conn *h2_open(struct h2 *h2, enum h2_role role, struct transport transport,
                        const struct h2_handler *handler, void *owner, uint64_t now)
{
    if (fake_h2.full || fake_h2.conn_count == FAKE_H2_CONNS) {
        transport.ops->abort(transport.stream);
        return NULL;
    }
    struct h2_conn *conn = &fake_h2.conns[fake_h2.conn_count++];
    *conn =
        (struct h2_conn){.handler = handler, .owner = owner, .transport = transport, .live = true};
    fake_h2.live_conns++;
    return conn;
}

void h2_in(struct h2_conn *conn, uint64_t now)
{
    check(conn->live);
}

void h2_writable(struct h2_conn *conn)
{
    check(conn->live);
}

static inline void fake_h2_lose_streams(struct h2_conn *conn, uint64_t now)
{
    for (uint32_t i = 0; i < fake_h2.stream_count; i++) {
        struct h2_stream *stream = &fake_h2.streams[i];
        if (!stream->live || stream->conn != conn)
            continue;
        fake_h2_end_stream(stream);
        struct h2_reset reset = {.conn_lost = true, .unprocessed = stream->pieces == 0};
        conn->handler->reset(stream, reset, now);
    }
}

void h2_transport_ended(struct h2_conn *conn, bool failed, uint64_t now)
{
    check(conn->live);
    conn->goaway = true;
    fake_h2_lose_streams(conn, now);
    fake_h2_end_conn(conn, failed, now);
}

void h2_close(struct h2_conn *conn, enum h2_error code, uint64_t now)
{
    check(conn->live);
    conn->goaway = true;
    conn->close_code = code;
    fake_h2_lose_streams(conn, now);
    fake_h2_end_conn(conn, false, now);
}

void h2_shutdown(struct h2_conn *conn, uint64_t now)
{
    check(conn->live);
    conn->shut_down = true;
    fake_h2_end_if_idle(conn, now);
}

uint32_t h2_request_room(const struct h2_conn *conn)
{
    check(conn->live);
    if (!conn->settled || conn->goaway || conn->shut_down || conn->streams >= conn->max)
        return 0;
    uint32_t left = fake_h2.streams_max - fake_h2.live_streams;
    if (fake_h2.streams_max != 0 && left < conn->max - conn->streams)
        return left;
    return conn->max - conn->streams;
}

bool h2_is_open(const struct h2_conn *conn)
{
    check(conn->live);
    return !conn->goaway && !conn->shut_down;
}

struct h2_stream *h2_request(struct h2_conn *conn, void *stream_owner, uint64_t now)
{
    bool full = fake_h2.no_streams || fake_h2.stream_count == FAKE_H2_STREAMS;
    if (h2_request_room(conn) == 0 || full)
        return NULL;
    struct h2_stream *stream = &fake_h2.streams[fake_h2.stream_count++];
    *stream = (struct h2_stream){
        .conn = conn, .owner = stream_owner, .live = true, .reset_code = UINT32_MAX};
    conn->streams++;
    fake_h2.live_streams++;
    return stream;
}

void h2_ping(struct h2_conn *conn, uint64_t timeout_ns, uint64_t now)
{
    check(conn->live);
    conn->pings++;
}

struct h2_conn *h2_stream_conn(const struct h2_stream *stream)
{
    return stream->conn;
}

bool h2_peer_connects(const struct h2_conn *conn)
{
    return fake_h2.takes_connect;
}

bool h2_peer_takes(const struct h2_conn *conn, const struct fields *fields)
{
    return !fake_h2.too_large;
}

void *h2_stream_owner(const struct h2_stream *stream)
{
    return stream->owner;
}

void h2_stream_ready(struct h2_stream *stream)
{
    check(stream->live);
    stream->ready = true;
}

void h2_stream_consumed(struct h2_stream *stream, uint32_t count)
{
    check(stream->live);
    stream->consumed += count;
}

void h2_stream_credit_now(struct h2_stream *stream)
{
    check(stream->live);
}

void h2_stream_reset(struct h2_stream *stream, enum h2_error code)
{
    fake_h2_end_stream(stream);
    stream->reset_code = code;
}
