/*
 * upstream_h2: HTTP/2 to a backend. The owner of a connection is its upstream_conn, that of a
 * stream its attempt.
 */
#include "dataplane/base/counter.h"
#include "dataplane/h2/h2_tcp.h"
#include "dataplane/upstream/upstream_private.h"

/* --- what h2 tells --- */

static void told_headers(void *owner, struct h2_stream *stream, const struct fields *fields,
                         enum h2_section section, bool end, uint64_t now)
{
    attempt_headers(h2_stream_owner(stream), fields, section, end, now);
}

static void told_data(struct h2_stream *stream, struct bytes bytes, bool end, uint64_t now)
{
    attempt_data(h2_stream_owner(stream), bytes, end, now);
}

static void told_part(struct h2_stream *stream, struct bytes bytes, uint64_t now)
{
    attempt_part(h2_stream_owner(stream), bytes, now);
}

static struct h2_supply asked_supply(struct h2_stream *stream, uint32_t max, uint64_t now)
{
    return attempt_supply(h2_stream_owner(stream), max, now);
}

static uint64_t asked_window_room(const struct h2_stream *stream)
{
    return attempt_window_room(h2_stream_owner(stream));
}

static void told_window_grew(struct h2_stream *stream, uint32_t by, uint64_t now)
{
    attempt_window_grew(h2_stream_owner(stream), by, now);
}

static void told_reset(struct h2_stream *stream, struct h2_reset reset, uint64_t now)
{
    attempt_reset(h2_stream_owner(stream), reset, now);
}

static void told_finished(struct h2_stream *stream, uint64_t now)
{
    attempt_finished(h2_stream_owner(stream), now);
}

static void told_available(void *owner, struct h2_conn *h2, uint64_t now)
{
    upstream_conn_available(owner, now);
}

static void told_closed(void *owner, struct h2_conn *h2, uint64_t now)
{
    struct upstream_conn *conn = owner;
    conn->h2 = NULL;
    upstream_conn_over(conn, now);
}

static const struct h2_handler handler = {
    .headers = told_headers,
    .data = told_data,
    .part = told_part,
    .supply = asked_supply,
    .window_room = asked_window_room,
    .window_grew = told_window_grew,
    .reset = told_reset,
    .finished = told_finished,
    .available = told_available,
    .closed = told_closed,
};

/* --- what upstream asks --- */

static bool speak(struct upstream_conn *conn, struct transport transport, uint64_t now)
{
    conn->h2 = h2_open(conn->upstream->config.h2, H2_CLIENT, transport, &handler, conn, now);
    conn->upstream->slots[conn->slot].speaks_http1 = false;
    return conn->h2 != NULL;
}

static void event(struct upstream_conn *conn, uint32_t events, uint64_t now)
{
    h2_tcp_event(conn->h2, events, now);
}

static void shut_down(struct upstream_conn *conn, uint64_t now)
{
    h2_shutdown(conn->h2, now);
}

static void close_now(struct upstream_conn *conn, enum h2_error code, uint64_t now)
{
    h2_close(conn->h2, code, now);
}

static bool is_open(const struct upstream_conn *conn)
{
    return h2_is_open(conn->h2);
}

static uint32_t room(const struct upstream_conn *conn)
{
    return h2_request_room(conn->h2);
}

static uint64_t idle_for_ns(const struct upstream_conn *conn)
{
    return UPSTREAM_IDLE_NS;
}

static void ping(struct upstream_conn *conn, uint64_t timeout_ns, uint64_t now)
{
    h2_ping(conn->h2, timeout_ns, now);
}

static bool request(struct upstream_conn *conn, struct attempt *attempt, uint64_t now)
{
    attempt->stream = h2_request(conn->h2, attempt, now);
    return attempt->stream != NULL;
}

/* What the backend's SETTINGS do not allow. */
static enum attempt_failure refusal(struct attempt *attempt, const struct fields *request)
{
    const struct h2_conn *h2 = attempt->conn->h2;
    struct bytes protocol;
    if (!h2_peer_connects(h2) && fields_find(request, FIELD_PROTOCOL, &protocol))
        return ATTEMPT_NO_TUNNEL;
    if (h2_peer_takes(h2, request))
        return ATTEMPT_FAILURES;
    counter_add(&attempt->upstream->counters.requests_too_large, 1);
    return ATTEMPT_UNPROCESSED;
}

static void ready(struct attempt *attempt)
{
    h2_stream_ready(attempt->stream);
}

static void consumed(struct attempt *attempt, uint32_t count)
{
    h2_stream_consumed(attempt->stream, count);
}

static void credit_now(struct attempt *attempt)
{
    h2_stream_credit_now(attempt->stream);
}

static void cancel(struct upstream_conn *conn, struct h2_stream *stream, uint64_t now)
{
    h2_stream_reset(stream, H2_CANCEL);
}

const struct upstream_ops upstream_h2_ops = {
    .greets = true,
    .takes_at_once = true,
    .open = speak,
    .event = event,
    .shut_down = shut_down,
    .close = close_now,
    .is_open = is_open,
    .room = room,
    .idle_for_ns = idle_for_ns,
    .ping = ping,
    .request = request,
    .refusal = refusal,
    .ready = ready,
    .consumed = consumed,
    .credit_now = credit_now,
    .cancel = cancel,
};
