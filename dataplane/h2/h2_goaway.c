/*
 * h2_goaway: graceful shutdown from either side (RFC 9113 6.8).
 */
#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/h2/h2_conn.h"

void h2_goaway_final(struct h2_conn *conn)
{
    if (conn->final_sent)
        return;
    conn->final_sent = true;
    conn->goaway_due = H2_GOAWAY_LAST;
    conn->due_ns[H2_DEADLINE_SHUTDOWN] = CLOCK_NEVER;
    conn->due_ns[H2_DEADLINE_IDLE] = CLOCK_NEVER;
    h2_conn_move(conn, H2_CONN_GOAWAY_FINAL);
    h2_conn_wake_control(conn);
}

/* What a client has under way is still accepted; a PING tells when it must have seen the GOAWAY. */
static void announce(struct h2_conn *conn, uint64_t now)
{
    conn->goaway_due = H2_GOAWAY_ANNOUNCE;
    conn->pings_due |= H2_PING_SHUTDOWN;
    conn->due_ns[H2_DEADLINE_IDLE] = CLOCK_NEVER;
    h2_conn_move(conn, H2_CONN_GOAWAY_ANNOUNCED);
    h2_conn_deadline(conn, H2_DEADLINE_SHUTDOWN, now + H2_LIMIT_SHUTDOWN_MS * CLOCK_MS);
    h2_conn_wake_control(conn);
}

void h2_shutdown(struct h2_conn *conn, uint64_t now)
{
    h2_enter(conn->h2, now);
    switch ((enum h2_conn_state)conn->state) {
    case H2_CONN_PREFACE:
        h2_conn_end(conn, (struct h2_end){.code = H2_NO_ERROR});
        break;
    case H2_CONN_OPEN:
        if (conn->role == H2_SERVER)
            announce(conn, now);
        else
            h2_goaway_final(conn);
        break;
    case H2_CONN_SETTINGS:
    case H2_CONN_DRAINING: /* the peer's GOAWAY came first */
        h2_goaway_final(conn);
        break;
    case H2_CONN_ANNOUNCED:
    case H2_CONN_CLOSED:
    case H2_CONN_STATES:
        break;
    }
    h2_leave(conn->h2);
}

/* The peer did not and will not act on these. Streams are listed in the order of opening. */
static void return_unprocessed(struct h2_conn *conn, uint32_t code)
{
    struct h2_reset reset = {.code = code, .by_peer = true, .unprocessed = true};
    while (!h2_conn_is_closed(conn) && !list_is_empty(&conn->unsent)) {
        counter_add(&conn->h2->counters.streams_unprocessed, 1);
        h2_stream_lost(list_entry(conn->unsent.next, struct h2_stream, link), reset);
    }
    while (!h2_conn_is_closed(conn) && !list_is_empty(&conn->streams)) {
        struct h2_stream *last = list_entry(conn->streams.previous, struct h2_stream, link);
        if (last->id <= conn->goaway_last_id)
            return;
        counter_add(&conn->h2->counters.streams_unprocessed, 1);
        h2_stream_lost(last, reset);
    }
}

enum h2_violation h2_goaway_in(struct h2_conn *conn, uint32_t last_id, uint32_t code)
{
    counter_add(&conn->h2->counters.goaway_in, 1);
    if (conn->role == H2_CLIENT) {
        bool not_ours = last_id != 0 && (last_id & 1) == 0;
        if (not_ours || last_id > conn->goaway_last_id)
            return H2_VIOLATION_goaway_increased;
        conn->goaway_last_id = last_id;
    }
    h2_conn_move(conn, H2_CONN_GOAWAY_FINAL);
    h2_conn_wake(conn);
    if (conn->role == H2_SERVER)
        return H2_VIOLATION_none;
    return_unprocessed(conn, code);
    if (!h2_conn_is_closed(conn))
        conn->handler->available(conn->owner, conn, conn->h2->now);
    return H2_VIOLATION_none;
}

void h2_close(struct h2_conn *conn, enum h2_error code, uint64_t now)
{
    h2_enter(conn->h2, now);
    struct h2 *h2 = conn->h2;
    h2_conn_end(conn, (struct h2_end){.code = code, .goaway = true});
    h2_leave(h2);
}
