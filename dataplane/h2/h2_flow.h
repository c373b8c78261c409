/*
 * h2_flow: both flow-control windows in both directions (RFC 9113 5.2, 6.9).
 *
 * Receiving: a window falls as DATA arrives (padding counts) and rises again with the WINDOW_UPDATE
 * we send; until then what is free again is kept as credit, and returned when it is half of the
 * window. Sending: windows are signed, since SETTINGS may shrink them below what is under way.
 */
#pragma once

#include "dataplane/h2/h2_conn.h"

/*
 * A DATA frame of LENGTH payload bytes begins. The connection gets its credit back at once: whoever
 * owns the stream, the bytes are handed on as they come. STREAM is NULL when they are discarded.
 */
enum h2_violation h2_flow_received(struct h2_conn *conn, struct h2_stream *stream, uint32_t length);

/* COUNT bytes of the stream are done with, by its owner or (padding) here. */
void h2_flow_consumed(struct h2_stream *stream, uint32_t count);

/* Return the stream's credit however little it is: its owner is short of memory. */
void h2_flow_credit_now(struct h2_stream *stream);

/* WINDOW_UPDATE; STREAM is NULL for the connection's. */
enum h2_violation h2_flow_window_update(struct h2_conn *conn, struct h2_stream *stream,
                                        uint32_t increment);

/* SETTINGS_INITIAL_WINDOW_SIZE: moves the send window of every stream. O(streams). */
enum h2_violation h2_flow_initial_window(struct h2_conn *conn, uint32_t bytes);

/* How many bytes of DATA the windows allow; 0 when they are closed. */
static inline uint32_t h2_flow_sendable(const struct h2_stream *stream)
{
    int32_t window = stream->conn->send_window;
    if (stream->send_window < window)
        window = stream->send_window;
    return window > 0 ? (uint32_t)window : 0;
}

static inline void h2_flow_sent(struct h2_stream *stream, uint32_t length)
{
    struct h2_conn *conn = stream->conn;
    check(length <= h2_flow_sendable(stream));
    stream->send_window -= (int32_t)length;
    conn->send_window -= (int32_t)length;
    if (stream->stall.since_ms != 0 || conn->stall.since_ms != 0)
        h2_stall_sent(stream, length);
}

/* Windows closed: the stream waits until they open. */
void h2_flow_park(struct h2_stream *stream);

/* The size a connection's window begins with. */
uint32_t h2_flow_connection_window(const struct h2 *h2);

/* The size a stream's window begins with: what SETTINGS announce. */
uint32_t h2_flow_first_window(const struct h2 *h2, enum h2_role role);

/*
 * Client role: the request has its identifier. Its window is made larger right behind it, unless
 * the latest answers have all been small.
 */
void h2_flow_request_opened(struct h2_stream *stream);

/* Client role: an answer of LENGTH bytes, or H2_LENGTH_UNKNOWN, begins: has its window room? */
void h2_flow_answer_began(struct h2_stream *stream, uint64_t length);

/* Whether the connection has credit that is worth a WINDOW_UPDATE now. */
static inline bool h2_flow_credit_is_due(const struct h2_conn *conn)
{
    return conn->credit >= conn->window.bytes / 2 && conn->credit > 0;
}

/*
 * What the WINDOW_UPDATE that is about to be sent shall say: the credit, and growth. When it has
 * been sent, *_credited().
 */
uint32_t h2_flow_connection_credit(struct h2_conn *conn);
uint32_t h2_flow_stream_credit(struct h2_stream *stream);
void h2_flow_connection_credited(struct h2_conn *conn, uint32_t count);
void h2_flow_stream_credited(struct h2_stream *stream, uint32_t count);

/* By what a window has grown goes back; that of a connection when it rests, as far as it can. */
void h2_flow_stream_ended(struct h2_stream *stream);
void h2_flow_connection_rests(struct h2_conn *conn);
void h2_flow_connection_ended(struct h2_conn *conn);
