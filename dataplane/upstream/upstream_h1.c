/*
 * upstream_h1: HTTP/1.1 to a backend. The owner of a connection is its upstream_conn; its one
 * exchange is that connection's one attempt.
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/h1/h1_tcp.h"
#include "dataplane/upstream/upstream_private.h"

/*
 * Idle connections: servers close them without a word, and what is sent at that moment is lost
 * (RFC 9112 9.3.1 forbids to repeat what is not idempotent). So ours are closed before theirs: many
 * servers take 5 s; those that say for how long they keep one are believed, less a margin.
 */
#define IDLE_NS        (4 * CLOCK_S)
#define IDLE_MARGIN_NS (1 * CLOCK_S)

/* A request that met the backend's closing of an idle connection is answered by that so soon. */
#define STALE_NS   (5 * CLOCK_MS)
#define STALE_RTTS 3u

/*
 * HTTP/1.1 has no windows of its own: what a slow reader leaves waits in TCP, in mbufs that all
 * connections share. So TCP's window is small, until an answer has been taken without a pause; and
 * few have a whole one at a time.
 */
#define SMALL_WINDOW_BYTES (32u << 10)
#define FAST_BYTES         (128u << 10)
#define WHOLE_WINDOWS_MAX  8u

static struct attempt *attempt_of(const struct upstream_conn *conn)
{
    check(conn->attempt_count == 1);
    return list_entry(conn->attempts.next, struct attempt, link);
}

static struct attempt *attempt_on(const struct h1_conn *h1)
{
    return attempt_of(h1_conn_owner(h1));
}

static void narrow(struct upstream_conn *conn)
{
    conn->taken_bytes = 0;
    if (!conn->has_whole_window)
        return;
    conn->has_whole_window = false;
    conn->upstream->whole_windows--;
    if (conn->tcp != NULL)
        tcp_limit_receive(conn->tcp, SMALL_WINDOW_BYTES);
}

static void widen_if_fast(struct upstream_conn *conn, size_t taken)
{
    conn->taken_bytes += taken;
    if (conn->has_whole_window || conn->taken_bytes < FAST_BYTES ||
        conn->upstream->whole_windows == WHOLE_WINDOWS_MAX)
        return;
    conn->has_whole_window = true;
    conn->upstream->whole_windows++;
    tcp_limit_receive(conn->tcp, UINT32_MAX);
}

/* --- what h1 tells --- */

static void told_headers(struct h1_conn *h1, const struct fields *fields, enum h2_section section,
                         bool end, uint64_t now)
{
    struct attempt *attempt = attempt_on(h1);
    attempt->until_close = h1_is_until_close(h1);
    attempt_headers(attempt, fields, section, end, now);
}

static void told_data(struct h1_conn *h1, struct bytes bytes, bool end, uint64_t now)
{
    widen_if_fast(h1_conn_owner(h1), bytes.length);
    attempt_data(attempt_on(h1), bytes, end, now);
}

static struct h2_supply asked_supply(struct h1_conn *h1, uint32_t max, uint64_t now)
{
    return attempt_supply(attempt_on(h1), max, now);
}

/* The backend closed an idle connection as the request was on its way: that says nothing of it. */
static bool is_stale(const struct upstream_conn *conn, const struct attempt *attempt,
                     struct h2_reset reset, uint64_t now)
{
    struct tcp_info info;
    if (!reset.conn_lost || reset.unprocessed || attempt->answered ||
        h1_exchange_count(conn->h1) < 2)
        return false;
    tcp_info(conn->tcp, now, &info);
    return now - conn->joined_at_ns <= STALE_NS + STALE_RTTS * info.smoothed_rtt_ns;
}

static void told_reset(struct h1_conn *h1, struct h2_reset reset, uint64_t now)
{
    struct attempt *attempt = attempt_on(h1);
    narrow(h1_conn_owner(h1));
    if (is_stale(h1_conn_owner(h1), attempt, reset, now))
        attempt_stale(attempt, now);
    else
        attempt_reset(attempt, reset, now);
}

static void told_finished(struct h1_conn *h1, uint64_t now)
{
    narrow(h1_conn_owner(h1));
    attempt_finished(attempt_on(h1), now);
}

static void told_paused(struct h1_conn *h1)
{
    narrow(h1_conn_owner(h1));
}

static void told_available(struct h1_conn *h1, uint64_t now)
{
    upstream_conn_available(h1_conn_owner(h1), now);
}

static void told_closed(struct h1_conn *h1, uint64_t now)
{
    struct upstream_conn *conn = h1_conn_owner(h1);
    conn->h1 = NULL;
    conn->tcp = NULL;
    narrow(conn);
    upstream_conn_over(conn, now);
}

static const struct h1_handler handler = {
    .headers = told_headers,
    .data = told_data,
    .supply = asked_supply,
    .reset = told_reset,
    .finished = told_finished,
    .paused = told_paused,
    .available = told_available,
    .closed = told_closed,
};

/* --- what upstream asks --- */

static bool speak(struct upstream_conn *conn, struct transport transport, uint64_t now)
{
    conn->h1 = h1_open(conn->upstream->config.h1, transport, &handler, conn);
    if (conn->h1 == NULL)
        return false;
    conn->upstream->slots[conn->slot].speaks_http1 = true; /* if ALPN has found that out */
    tcp_limit_receive(conn->tcp, SMALL_WINDOW_BYTES);
    return true;
}

static void event(struct upstream_conn *conn, uint32_t events, uint64_t now)
{
    h1_tcp_event(conn->h1, events, now);
}

static void shut_down(struct upstream_conn *conn, uint64_t now)
{
    h1_shutdown(conn->h1, now);
}

static void close_now(struct upstream_conn *conn, enum h2_error code, uint64_t now)
{
    h1_close(conn->h1, now);
}

static bool is_open(const struct upstream_conn *conn)
{
    return h1_is_open(conn->h1);
}

static uint32_t room(const struct upstream_conn *conn)
{
    return h1_has_room(conn->h1) && conn->attempt_count == 0 ? 1 : 0;
}

static uint64_t idle_for_ns(const struct upstream_conn *conn)
{
    uint64_t kept_ns = h1_keeps_for_ns(conn->h1);
    if (kept_ns == 0)
        return IDLE_NS;
    kept_ns = kept_ns > 2 * IDLE_MARGIN_NS ? kept_ns - IDLE_MARGIN_NS : kept_ns / 2;
    return kept_ns < UPSTREAM_IDLE_NS ? kept_ns : UPSTREAM_IDLE_NS;
}

static bool request(struct upstream_conn *conn, struct attempt *attempt, uint64_t now)
{
    conn->joined_at_ns = now;
    return h1_request(conn->h1, now);
}

static enum attempt_failure refusal(struct attempt *attempt, const struct fields *request)
{
    bool tunnel;
    if (h1_takes(attempt->upstream->config.h1, request, &tunnel))
        return ATTEMPT_FAILURES;
    return tunnel ? ATTEMPT_NO_TUNNEL : ATTEMPT_UNTRANSLATABLE;
}

static void ready(struct attempt *attempt)
{
    h1_ready(attempt->conn->h1);
}

static void consumed(struct attempt *attempt, uint32_t count)
{
    h1_consumed(attempt->conn->h1, count);
}

static void credit_now(struct attempt *attempt)
{
}

static void cancel(struct upstream_conn *conn, struct h2_stream *stream, uint64_t now)
{
    narrow(conn);
    h1_cancel(conn->h1, now);
}

const struct upstream_ops upstream_h1_ops = {
    .open = speak,
    .event = event,
    .shut_down = shut_down,
    .close = close_now,
    .is_open = is_open,
    .room = room,
    .idle_for_ns = idle_for_ns,
    .request = request,
    .refusal = refusal,
    .ready = ready,
    .consumed = consumed,
    .credit_now = credit_now,
    .cancel = cancel,
};
