#include "dataplane/h2/h2_flow.h"

#include "dataplane/h2/h2_conn.h"

static uint32_t connection_window(const struct h2_conn *conn)
{
    uint32_t wanted = conn->h2->config.connection_window_bytes;
    return wanted > H2_DEFAULT_WINDOW_BYTES ? wanted : H2_DEFAULT_WINDOW_BYTES;
}

uint32_t h2_flow_connection_credit(const struct h2_conn *conn)
{
    return conn->credit >= connection_window(conn) / 2 ? conn->credit : 0;
}

enum h2_violation h2_flow_received(struct h2_conn *conn, struct h2_stream *stream, uint32_t length)
{
    if (length > conn->receive_window)
        return H2_VIOLATION_window_exceeded;
    conn->receive_window -= length;
    conn->credit += length;
    if (h2_flow_connection_credit(conn) > 0)
        h2_conn_wake_control(conn);
    if (stream == NULL)
        return H2_VIOLATION_none;
    if (length > stream->receive_window)
        return H2_VIOLATION_stream_window_exceeded;
    stream->receive_window -= length;
    return H2_VIOLATION_none;
}

void h2_flow_consumed(struct h2_stream *stream, uint32_t count)
{
    struct h2_conn *conn = stream->conn;
    uint64_t window = conn->h2->config.stream_window_bytes;
    stream->credit += count;
    check((uint64_t)stream->receive_window + stream->credit <= window);
    if (stream->credit < window / 2 || !h2_stream_can_receive(stream) ||
        list_is_linked(&stream->credit_link))
        return;
    list_push_back(&conn->credits, &stream->credit_link);
    h2_conn_wake_control(conn);
}

uint32_t h2_flow_sendable(const struct h2_stream *stream)
{
    int32_t window = stream->conn->send_window;
    if (stream->send_window < window)
        window = stream->send_window;
    return window > 0 ? (uint32_t)window : 0;
}

void h2_flow_sent(struct h2_stream *stream, uint32_t length)
{
    check(length <= h2_flow_sendable(stream));
    stream->send_window -= (int32_t)length;
    stream->conn->send_window -= (int32_t)length;
    h2_stall_sent(stream, length);
}

void h2_flow_park(struct h2_stream *stream)
{
    bool own = stream->send_window <= 0;
    stream->parked = own ? H2_PARKED_STREAM : H2_PARKED_CONNECTION;
    if (!own)
        list_push_back(&stream->conn->parked, &stream->turn);
    h2_stall_begins(stream);
}

static void unpark(struct h2_stream *stream)
{
    stream->parked = H2_PARKED_NOT;
    list_remove(&stream->turn);
    list_push_back(&stream->conn->ready, &stream->turn);
    h2_conn_wake(stream->conn);
}

static void unpark_all(struct h2_conn *conn)
{
    while (!list_is_empty(&conn->parked))
        unpark(list_entry(conn->parked.next, struct h2_stream, turn));
}

/* False: above 2^31-1. */
static bool widen(int32_t *window, int64_t by)
{
    int64_t wider = *window + by;
    if (wider > H2_WINDOW_MAX)
        return false;
    *window = (int32_t)wider;
    return true;
}

enum h2_violation h2_flow_window_update(struct h2_conn *conn, struct h2_stream *stream,
                                        uint32_t increment)
{
    if (increment == 0)
        return stream == NULL ? H2_VIOLATION_window_increment_zero
                              : H2_VIOLATION_stream_window_increment_zero;
    if (!widen(stream == NULL ? &conn->send_window : &stream->send_window, increment))
        return stream == NULL ? H2_VIOLATION_window_overflow : H2_VIOLATION_stream_window_overflow;
    h2_stall_opened(stream == NULL ? &conn->stall : &stream->stall,
                    stream == NULL ? conn->send_window : stream->send_window);
    if (stream == NULL && conn->send_window > 0)
        unpark_all(conn);
    if (stream != NULL && stream->parked == H2_PARKED_STREAM && stream->send_window > 0)
        unpark(stream);
    return H2_VIOLATION_none;
}

/* RFC 9113 6.9.2: the difference applies to all streams, and may make windows negative. */
enum h2_violation h2_flow_initial_window(struct h2_conn *conn, uint32_t bytes)
{
    int64_t difference = (int64_t)bytes - conn->peer.initial_window_bytes;
    conn->peer.initial_window_bytes = bytes;
    list_for_each (link, next, &conn->streams) {
        struct h2_stream *stream = list_entry(link, struct h2_stream, link);
        if (!widen(&stream->send_window, difference))
            return H2_VIOLATION_initial_window_overflow;
        h2_stall_opened(&stream->stall, stream->send_window);
        if (stream->parked == H2_PARKED_STREAM && stream->send_window > 0)
            unpark(stream);
    }
    return H2_VIOLATION_none;
}
