#include "dataplane/h2/h2_stream.h"

#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/h2/h2_conn.h"
#include "dataplane/h2/h2_flow.h"
#include "dataplane/h2/h2_stream_table.h"

#define ILLEGAL H2_STREAM_ILLEGAL

/* RFC 9113 5.1, figure 2, without the reserved states. */
const uint8_t h2_stream_transitions[H2_STATES][H2_CAUSES] = {
    [H2_STATE_IDLE] = {[H2_CAUSE_HEADERS] = H2_STATE_OPEN,
                       [H2_CAUSE_SENT_END] = ILLEGAL,
                       [H2_CAUSE_RECEIVED_END] = ILLEGAL,
                       [H2_CAUSE_RESET] = H2_STATE_CLOSED},
    [H2_STATE_OPEN] = {[H2_CAUSE_HEADERS] = ILLEGAL,
                       [H2_CAUSE_SENT_END] = H2_STATE_HALF_CLOSED_LOCAL,
                       [H2_CAUSE_RECEIVED_END] = H2_STATE_HALF_CLOSED_REMOTE,
                       [H2_CAUSE_RESET] = H2_STATE_CLOSED},
    [H2_STATE_HALF_CLOSED_LOCAL] = {[H2_CAUSE_HEADERS] = ILLEGAL,
                                    [H2_CAUSE_SENT_END] = ILLEGAL,
                                    [H2_CAUSE_RECEIVED_END] = H2_STATE_CLOSED,
                                    [H2_CAUSE_RESET] = H2_STATE_CLOSED},
    [H2_STATE_HALF_CLOSED_REMOTE] = {[H2_CAUSE_HEADERS] = ILLEGAL,
                                     [H2_CAUSE_SENT_END] = H2_STATE_CLOSED,
                                     [H2_CAUSE_RECEIVED_END] = ILLEGAL,
                                     [H2_CAUSE_RESET] = H2_STATE_CLOSED},
    [H2_STATE_CLOSED] = {[H2_CAUSE_HEADERS] = ILLEGAL,
                         [H2_CAUSE_SENT_END] = ILLEGAL,
                         [H2_CAUSE_RECEIVED_END] = ILLEGAL,
                         [H2_CAUSE_RESET] = ILLEGAL},
};

struct h2_stream *h2_stream_find(const struct h2_conn *conn, uint32_t id)
{
    return h2_stream_look_up(conn, id);
}

struct h2_stream *h2_stream_take(struct h2_conn *conn)
{
    struct h2 *h2 = conn->h2;
    struct h2_stream *stream = pool_take(&h2->streams);
    uint32_t window = conn->first_window_bytes;
    if (stream == NULL)
        return NULL;
    *stream = (struct h2_stream){
        .conn = conn,
        .body_left = H2_LENGTH_UNKNOWN,
        .receive_window = window,
        .window = {window, (uint32_t)(h2->now / CLOCK_US)},
        .priority = h2_priority_default(),
        .state = H2_STATE_IDLE,
    };
    pool_prefetch_next(&h2->streams, sizeof(struct h2_stream));
    list_init(&stream->link);
    list_init(&stream->turn);
    list_init(&stream->credit_link);
    list_remove(&conn->resting);
    conn->stream_count++;
    h2->stream_count++;
    return stream;
}

void h2_stream_number(struct h2_stream *stream, uint32_t id)
{
    struct h2_conn *conn = stream->conn;
    stream->id = id;
    stream->send_window = (int32_t)conn->peer.initial_window_bytes;
    h2_stream_enter(stream);
    list_remove(&stream->link);
    list_push_back(&conn->streams, &stream->link);
    h2_stream_move(stream, H2_CAUSE_HEADERS);
    counter_add(&conn->h2->counters.streams_opened, 1);
}

/* RFC 9113 5.1.2: the server counts one that we reset until it reads our RST_STREAM. */
bool h2_stream_has_slot(const struct h2_conn *conn)
{
    uint32_t opened = conn->stream_count - conn->unsent_count + conn->reset_count;
    return opened < conn->peer.concurrent_streams;
}

void h2_stream_fill_slots(struct h2_conn *conn)
{
    if (!h2_stream_has_slot(conn))
        return;
    list_for_each (link, next, &conn->unsent) {
        struct h2_stream *stream = list_entry(link, struct h2_stream, link);
        if (stream->parked == H2_PARKED_SLOT)
            h2_stream_ready(stream);
    }
}

void h2_stream_return_excess(struct h2_conn *conn)
{
    struct h2_reset reset = {.code = H2_REFUSED_STREAM, .by_peer = true, .unprocessed = true};
    while (conn->stream_count > conn->peer.concurrent_streams && !h2_conn_is_closed(conn) &&
           !list_is_empty(&conn->unsent)) {
        counter_add(&conn->h2->counters.streams_unprocessed, 1);
        h2_stream_lost(list_entry(conn->unsent.previous, struct h2_stream, link), reset);
    }
}

/* The last stream has gone. */
static void rest(struct h2_conn *conn)
{
    const struct h2 *h2 = conn->h2;
    h2_flow_connection_rests(conn);
    h2_conn_rests(conn);
    if (conn->role == H2_SERVER && conn->state == H2_CONN_OPEN && h2->config.idle_timeout_ns > 0)
        h2_conn_deadline(conn, H2_DEADLINE_IDLE, h2->now + h2->config.idle_timeout_ns);
}

/* Out of every list and table: nothing finds it any more. */
static void detach(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    struct h2 *h2 = conn->h2;
    if (stream->id != 0)
        h2_stream_leave(stream);
    else if (list_is_linked(&stream->link))
        conn->unsent_count--;
    list_remove(&stream->link);
    list_remove(&stream->turn);
    list_remove(&stream->credit_link);
    if (conn->in.stream == stream)
        conn->in.stream = NULL;
    conn->stream_count--;
    h2->stream_count--;
    conn->header_bytes -= stream->header_bytes;
    h2_flow_stream_ended(stream);
    if (conn->unsent_count > 0)
        h2_stream_fill_slots(conn);
    if (conn->stream_count == 0)
        rest(conn);
    h2_conn_wake(conn);
}

static void bury(struct h2_stream *stream)
{
    struct h2 *h2 = stream->conn->h2;
    stream->next_in_slot = h2->dead_streams;
    h2->dead_streams = stream;
}

void h2_stream_abandon(struct h2_stream *stream, enum h2_error code)
{
    struct h2_conn *conn = stream->conn;
    bool peer_may_send = h2_stream_can_receive(stream);
    h2_stream_move(stream, H2_CAUSE_RESET);
    detach(stream);
    if (stream->id == 0 || h2_conn_is_closed(conn)) {
        bury(stream);
        return;
    }
    if (peer_may_send)
        h2_conn_remember_reset(conn, stream->id);
    stream->reset_code = code;
    list_push_back(&conn->resets, &stream->link);
    conn->reset_count++;
    h2_conn_wake_control(conn);
}

void h2_stream_fail(struct h2_stream *stream, enum h2_error code)
{
    struct h2_conn *conn = stream->conn;
    struct h2_reset reset = {.code = code, .unprocessed = stream->id == 0};
    h2_stream_abandon(stream, code);
    conn->handler->reset(stream, reset, conn->h2->now);
}

void h2_stream_lost(struct h2_stream *stream, struct h2_reset reset)
{
    struct h2_conn *conn = stream->conn;
    h2_stream_move(stream, H2_CAUSE_RESET);
    detach(stream);
    bury(stream);
    conn->handler->reset(stream, reset, conn->h2->now);
}

void h2_stream_finish(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    check(stream->state == H2_STATE_CLOSED);
    detach(stream);
    bury(stream);
    counter_add(&conn->h2->counters.streams_finished, 1);
    conn->handler->finished(stream, conn->h2->now);
}

void h2_stream_peer_ended(struct h2_stream *stream)
{
    if (!h2_stream_can_receive(stream))
        return;
    h2_stream_move(stream, H2_CAUSE_RECEIVED_END);
    if (stream->state == H2_STATE_CLOSED)
        h2_stream_finish(stream);
}

void h2_stream_we_ended(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    h2_stream_move(stream, H2_CAUSE_SENT_END);
    if (stream->state == H2_STATE_CLOSED) {
        h2_stream_finish(stream);
    } else if (conn->role == H2_SERVER && !stream->tunnel) {
        counter_add(&conn->h2->counters.streams_cut_short, 1);
        h2_stream_abandon(stream, H2_NO_ERROR);
        conn->handler->finished(stream, conn->h2->now);
    }
}

void h2_stream_forget(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    list_remove(&stream->link);
    conn->reset_count--;
    bury(stream);
    if (conn->unsent_count > 0)
        h2_stream_fill_slots(conn);
}

void h2_stream_set_owner(struct h2_stream *stream, void *owner)
{
    stream->owner = owner;
}

void h2_stream_tunnel(struct h2_stream *stream)
{
    stream->tunnel = true;
    stream->body_left = H2_LENGTH_UNKNOWN;
}

void *h2_stream_owner(const struct h2_stream *stream)
{
    return stream->owner;
}

bool h2_stream_is_held_up(const struct h2_stream *stream)
{
    return stream->parked == H2_PARKED_STREAM || stream->parked == H2_PARKED_CONNECTION ||
           stream->conn->blocked;
}

struct h2_conn *h2_stream_conn(const struct h2_stream *stream)
{
    return stream->conn;
}

uint32_t h2_stream_id(const struct h2_stream *stream)
{
    return stream->id;
}

void h2_stream_ready(struct h2_stream *stream)
{
    bool is_ready = list_is_linked(&stream->turn) && stream->parked == H2_PARKED_NOT;
    if (is_ready || !h2_stream_can_send(stream))
        return;
    list_remove(&stream->turn);
    stream->parked = H2_PARKED_NOT;
    h2_ready_add(stream);
    h2_conn_wake(stream->conn);
}

void h2_stream_reset(struct h2_stream *stream, enum h2_error code)
{
    if (!h2_stream_is_alive(stream))
        return;
    struct h2 *h2 = stream->conn->h2;
    h2_enter(h2, h2->now);
    counter_add(&h2->counters.streams_reset_by_us, 1);
    h2_stream_abandon(stream, code);
    h2_leave(h2);
}
