#include "dataplane/h2/h2_flow.h"

#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"

uint32_t h2_flow_connection_window(const struct h2 *h2)
{
    uint32_t wanted = h2->config.connection_window_bytes;
    return wanted > H2_DEFAULT_WINDOW_BYTES ? wanted : H2_DEFAULT_WINDOW_BYTES;
}

uint32_t h2_flow_first_window(const struct h2 *h2, enum h2_role role)
{
    const struct h2_config *config = &h2->config;
    bool less = role == H2_CLIENT && config->first_window_bytes > 0 &&
                config->first_window_bytes < config->stream_window_bytes;
    return less ? config->first_window_bytes : config->stream_window_bytes;
}

/* --- growing: twice the window is right when half of it is used up within a round trip --- */

static uint32_t us_of(uint64_t now)
{
    return (uint32_t)(now / CLOCK_US);
}

static uint64_t rtt_us(const struct h2_conn *conn)
{
    const struct transport *transport = &conn->transport;
    uint64_t now = conn->h2->now;
    uint64_t us = H2_LIMIT_RTT_GUESS_US;
    if (transport->ops->rtt_ns != NULL)
        us = transport->ops->rtt_ns(transport->stream, now) / CLOCK_US;
    return us > H2_LIMIT_RTT_LEAST_US ? us : H2_LIMIT_RTT_LEAST_US;
}

static uint64_t budget_left(const struct h2 *h2)
{
    uint64_t budget = h2->config.window_budget_bytes;
    return budget > h2->grown_bytes ? budget - h2->grown_bytes : 0;
}

/* By how much the window may be larger, at most LEFT. */
static uint32_t growth(const struct h2_conn *conn, const struct h2_window *window, uint32_t max,
                       uint64_t left)
{
    struct h2 *h2 = conn->h2;
    if (window->bytes >= max || us_of(h2->now) - window->credited_at_us > rtt_us(conn))
        return 0;
    uint32_t wanted = max - window->bytes < window->bytes ? max - window->bytes : window->bytes;
    if (left < wanted)
        counter_add(&h2->counters.windows_not_grown, 1);
    return left < wanted ? 0 : wanted;
}

static void grow(struct h2_conn *conn, struct h2_window *window, uint32_t by)
{
    window->credited_at_us = us_of(conn->h2->now);
    if (by == 0)
        return;
    window->bytes += by;
    counter_add(&conn->h2->counters.windows_grown, 1);
}

uint32_t h2_flow_connection_credit(struct h2_conn *conn)
{
    uint32_t max = conn->h2->config.connection_window_max_bytes;
    return conn->credit + growth(conn, &conn->window, max, budget_left(conn->h2));
}

void h2_flow_connection_credited(struct h2_conn *conn, uint32_t count)
{
    uint32_t by = count - conn->credit;
    grow(conn, &conn->window, by);
    conn->h2->grown_bytes += by;
    conn->receive_window += count;
    conn->credit = 0;
}

/* The owner of the stream has set memory aside for its window: no budget of ours. */
static bool owner_pays(const struct h2_stream *stream)
{
    return stream->conn->handler->window_room != NULL;
}

static uint64_t stream_room(const struct h2_stream *stream)
{
    return owner_pays(stream) ? stream->conn->handler->window_room(stream)
                              : budget_left(stream->conn->h2);
}

/* What a window is larger than those of other streams: together bounded on a connection. */
static uint32_t excess(const struct h2_stream *stream)
{
    uint32_t usual = stream->conn->h2->config.stream_window_bytes;
    return stream->window.bytes > usual ? stream->window.bytes - usual : 0;
}

/* One that began small takes what it can get; beyond the usual size it has to show its need. */
uint32_t h2_flow_stream_credit(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    const struct h2_config *config = &conn->h2->config;
    uint64_t room = stream_room(stream);
    if (stream->window.bytes < config->stream_window_bytes) {
        uint32_t missing = config->stream_window_bytes - stream->window.bytes;
        if (room < missing)
            counter_add(&conn->h2->counters.windows_not_grown, 1);
        return stream->credit + (uint32_t)(room < missing ? room : missing);
    }
    uint32_t together = config->connection_window_max_bytes;
    uint32_t left = together > conn->grown_bytes ? together - conn->grown_bytes : 0;
    return stream->credit + growth(conn, &stream->window, config->stream_window_max_bytes,
                                   room < left ? room : left);
}

static void stream_grew(struct h2_stream *stream, uint32_t by)
{
    struct h2_conn *conn = stream->conn;
    if (by == 0)
        return;
    if (owner_pays(stream))
        conn->handler->window_grew(stream, by, conn->h2->now);
    else
        conn->h2->grown_bytes += by;
}

void h2_flow_stream_credited(struct h2_stream *stream, uint32_t count)
{
    uint32_t by = count - stream->credit;
    stream->conn->grown_bytes -= excess(stream);
    grow(stream->conn, &stream->window, by);
    stream->conn->grown_bytes += excess(stream);
    stream->receive_window += count;
    stream->credit = 0;
    stream_grew(stream, by);
}

/* h2_flow_answer_began() and note_received() say when it was not small. */
static void note_answer(const struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    if (stream->headers_received && conn->small_answers < H2_LIMIT_SMALL_ANSWERS)
        conn->small_answers++;
}

void h2_flow_stream_ended(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    uint32_t by = stream->window.bytes - conn->first_window_bytes;
    note_answer(stream);
    if (by == 0)
        return;
    conn->grown_bytes -= excess(stream);
    if (!owner_pays(stream))
        conn->h2->grown_bytes -= by;
    stream->window.bytes -= by;
}

static void queue_credit(struct h2_stream *stream)
{
    if (list_is_linked(&stream->credit_link))
        return;
    list_push_back(&stream->conn->credits, &stream->credit_link);
    h2_conn_wake_control(stream->conn);
}

/* --- towards backends: whether the first window is enough --- */

static bool has_first_window(const struct h2_stream *stream)
{
    return stream->window.bytes < stream->conn->h2->config.stream_window_bytes;
}

void h2_flow_request_opened(struct h2_stream *stream)
{
    bool likely_small = stream->conn->small_answers >= H2_LIMIT_SMALL_ANSWERS;
    if (has_first_window(stream) && !stream->no_content && !likely_small)
        queue_credit(stream);
}

/* An answer that does not say how much comes may still be over before the WINDOW_UPDATE is due. */
void h2_flow_answer_began(struct h2_stream *stream, uint64_t length)
{
    struct h2_conn *conn = stream->conn;
    if (length <= conn->first_window_bytes)
        return;
    if (length != H2_LENGTH_UNKNOWN)
        conn->small_answers = 0;
    if (has_first_window(stream))
        queue_credit(stream);
}

/* More has come than a first window has room for. */
static void note_received(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    uint32_t received = stream->window.bytes - stream->receive_window;
    if (conn->small_answers > 0 && received > conn->first_window_bytes)
        conn->small_answers = 0;
}

/* Credit that is kept back makes the peer's window smaller. */
static void pay_debt(struct h2_conn *conn)
{
    uint32_t pay = conn->credit < conn->credit_debt ? conn->credit : conn->credit_debt;
    conn->credit -= pay;
    conn->credit_debt -= pay;
    conn->h2->grown_bytes -= pay;
}

static void shrink(struct h2_conn *conn)
{
    uint32_t by = conn->window.bytes - h2_flow_connection_window(conn->h2);
    conn->window.bytes -= by;
    conn->credit_debt += by;
    pay_debt(conn);
}

/* Half of the budget may stay where it is useful again soon. */
void h2_flow_connection_rests(struct h2_conn *conn)
{
    if (conn->h2->grown_bytes > conn->h2->config.window_budget_bytes / 2)
        shrink(conn);
}

void h2_flow_connection_ended(struct h2_conn *conn)
{
    shrink(conn);
    conn->h2->grown_bytes -= conn->credit_debt;
    conn->credit_debt = 0;
}

/* --- receiving --- */

enum h2_violation h2_flow_received(struct h2_conn *conn, struct h2_stream *stream, uint32_t length)
{
    if (length > conn->receive_window)
        return H2_VIOLATION_window_exceeded;
    conn->receive_window -= length;
    conn->credit += length;
    if (conn->credit_debt > 0)
        pay_debt(conn);
    if (h2_flow_credit_is_due(conn))
        h2_conn_wake_control(conn);
    if (stream == NULL)
        return H2_VIOLATION_none;
    if (length > stream->receive_window)
        return H2_VIOLATION_stream_window_exceeded;
    stream->receive_window -= length;
    note_received(stream);
    return H2_VIOLATION_none;
}

void h2_flow_consumed(struct h2_stream *stream, uint32_t count)
{
    uint64_t window = stream->window.bytes;
    stream->credit += count;
    check((uint64_t)stream->receive_window + stream->credit <= window);
    if (stream->credit >= window / 2 && h2_stream_can_receive(stream))
        queue_credit(stream);
}

void h2_flow_credit_now(struct h2_stream *stream)
{
    if (stream->credit > 0 && h2_stream_can_receive(stream))
        queue_credit(stream);
}

/* --- sending --- */

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
    h2_ready_add(stream);
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
