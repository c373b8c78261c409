/*
 * h2_stall: clients that ask and do not take (CVE-2019-9511, slow reading). A stream that has no
 * window has to take H2_LIMIT_SLOW_READ_BYTES within stall_timeout, or it is reset; a connection
 * whose transport has no room has to take a stream's turn within that time, or it is aborted: what
 * TCP holds for it goes with it. Looked at when H2_DEADLINE_STALL passes, O(streams) then.
 */
#include "dataplane/base/clock.h"
#include "dataplane/h2/h2_conn.h"

static uint32_t ms_of(uint64_t now)
{
    return (uint32_t)(now / CLOCK_MS) | 1; /* 0 means: not stalled */
}

static bool is_watched(const struct h2_conn *conn)
{
    return conn->role == H2_SERVER && conn->h2->config.stall_timeout_ns > 0;
}

static void watch(struct h2_conn *conn)
{
    if (conn->due_ns[H2_DEADLINE_STALL] == CLOCK_NEVER)
        h2_conn_deadline(conn, H2_DEADLINE_STALL,
                         conn->h2->now + conn->h2->config.stall_timeout_ns);
}

static void begins(struct h2_conn *conn, struct h2_stall *stall)
{
    if (stall->since_ms != 0)
        return;
    *stall = (struct h2_stall){.since_ms = ms_of(conn->h2->now)};
    watch(conn);
}

void h2_stall_begins(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    if (is_watched(conn))
        begins(conn, stream->parked == H2_PARKED_STREAM ? &stream->stall : &conn->stall);
}

static void sent(struct h2_stall *stall, uint32_t length)
{
    if (stall->since_ms == 0)
        return;
    stall->bytes += length;
    if (stall->bytes >= H2_LIMIT_SLOW_READ_BYTES)
        stall->since_ms = 0;
}

void h2_stall_sent(struct h2_stream *stream, uint32_t length)
{
    sent(&stream->stall, length);
    sent(&stream->conn->stall, length);
}

void h2_stall_opened(struct h2_stall *stall, int32_t window)
{
    if (window >= H2_LIMIT_SLOW_READ_BYTES)
        stall->since_ms = 0;
}

/* Without memory of our own it is not the client that is slow. */
void h2_stall_look(struct h2_conn *conn, bool done)
{
    if (!is_watched(conn) || conn->state == H2_CONN_PREFACE)
        return;
    if (done || conn->starved) {
        conn->blocked_since_ns = 0;
        return;
    }
    if (conn->wrote || conn->blocked_since_ns == 0)
        conn->blocked_since_ns = conn->h2->now;
    watch(conn);
}

/* When the time of a shut window is over. */
static uint64_t over_at(const struct h2_conn *conn, const struct h2_stall *stall, uint64_t now)
{
    if (stall->since_ms == 0)
        return CLOCK_NEVER;
    uint64_t for_ns = (uint64_t)(ms_of(now) - stall->since_ms) * CLOCK_MS;
    uint64_t timeout_ns = conn->h2->config.stall_timeout_ns;
    return for_ns >= timeout_ns ? now : now + timeout_ns - for_ns;
}

static uint64_t connection_over_at(struct h2_conn *conn, uint64_t now)
{
    if (list_is_empty(&conn->parked)) /* nobody waits for its window */
        conn->stall.since_ms = 0;
    uint64_t window_at_ns = over_at(conn, &conn->stall, now);
    uint64_t room_at_ns = CLOCK_NEVER;
    if (conn->blocked_since_ns != 0)
        room_at_ns = conn->blocked_since_ns + conn->h2->config.stall_timeout_ns;
    return window_at_ns < room_at_ns ? window_at_ns : room_at_ns;
}

/* One whose time is over, or NULL; DUE is lowered to the earliest time of the others. */
static struct h2_stream *find_overdue(const struct h2_conn *conn, uint64_t now, uint64_t *due_at_ns)
{
    list_for_each (link, next, &conn->streams) {
        struct h2_stream *stream = list_entry(link, struct h2_stream, link);
        uint64_t at_ns = over_at(conn, &stream->stall, now);
        if (at_ns <= now)
            return stream;
        if (at_ns < *due_at_ns)
            *due_at_ns = at_ns;
    }
    return NULL;
}

/* Owners hear of each, and may end others meanwhile: the search begins anew. */
void h2_stall_tick(struct h2_conn *conn, uint64_t now)
{
    uint64_t due_at_ns = connection_over_at(conn, now);
    if (due_at_ns <= now) {
        h2_violate(conn, 0, H2_VIOLATION_connection_stalled);
        return;
    }
    for (struct h2_stream *stream;
         !h2_conn_is_closed(conn) && (stream = find_overdue(conn, now, &due_at_ns)) != NULL;)
        h2_violate_stream(stream, H2_VIOLATION_stream_stalled);
    if (!h2_conn_is_closed(conn) && due_at_ns != CLOCK_NEVER)
        h2_conn_deadline(conn, H2_DEADLINE_STALL, due_at_ns);
}
