/*
 * h2_in_frame: a frame begins. What its header alone, the state of its stream (RFC 9113 5.1) and
 * the frames before it say is checked here, before any of its payload is looked at.
 */
#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/h2/h2_flow.h"
#include "dataplane/h2/h2_in.h"

/* Where a frame's stream stands (RFC 9113 5.1). */
enum place {
    PLACE_CONNECTION,
    PLACE_STREAM, /* has an object, the peer may send */
    PLACE_HALF_CLOSED,
    PLACE_IDLE,
    PLACE_CLOSED,
};

/* An identifier that neither side has opened. Nobody opens even ones: push is off. */
static bool is_idle(const struct h2_conn *conn, uint32_t id)
{
    if ((id & 1) == 0)
        return true;
    return conn->role == H2_SERVER ? id > conn->last_peer_id : id >= conn->next_id;
}

static enum place place_of(const struct h2_conn *conn, struct h2_stream **stream)
{
    uint32_t id = conn->in.frame.stream_id;
    if (id == 0)
        return PLACE_CONNECTION;
    if (is_idle(conn, id))
        return PLACE_IDLE;
    *stream = h2_stream_find(conn, id);
    if (*stream == NULL)
        return PLACE_CLOSED;
    return h2_stream_can_receive(*stream) ? PLACE_STREAM : PLACE_HALF_CLOSED;
}

/* RFC 9113 5.1.1: a client opens odd identifiers, each larger than the one before. */
static enum h2_violation check_opening(const struct h2_conn *conn)
{
    bool may_open = conn->role == H2_SERVER && (conn->in.frame.stream_id & 1) == 1;
    return may_open ? H2_VIOLATION_none : H2_VIOLATION_stream_id_bad;
}

/* An identifier that was passed over can never be opened; that is another error than reuse. */
static bool was_skipped(const struct h2_conn *conn, uint32_t id)
{
    uint32_t back = (conn->last_peer_id - id) / 2;
    return conn->role == H2_SERVER && back < 64 && (conn->ids_seen >> back & 1) == 0;
}

/* RFC 9113 5.1 "closed", 6.8: frames that were under way when we ended the stream are no error. */
static enum h2_violation check_closed(const struct h2_conn *conn, enum h2_violation closed)
{
    uint32_t id = conn->in.frame.stream_id;
    bool unwanted = conn->final_sent && id > conn->accepted_id;
    if (closed == H2_VIOLATION_none || unwanted || h2_conn_forgive(conn, id))
        return H2_VIOLATION_none;
    return was_skipped(conn, id) ? H2_VIOLATION_stream_id_bad : closed;
}

static enum h2_violation check_place(const struct h2_conn *conn, enum place place)
{
    uint8_t type = conn->in.frame.type;
    const struct h2_frame_rule *rule = &h2_frame_rules[type];
    switch (place) {
    case PLACE_CONNECTION:
    case PLACE_STREAM:
        return H2_VIOLATION_none;
    case PLACE_HALF_CLOSED:
        return rule->half_closed;
    case PLACE_IDLE:
        return type == H2_FRAME_HEADERS ? check_opening(conn) : rule->idle;
    case PLACE_CLOSED:
        return check_closed(conn, rule->closed);
    }
    return H2_VIOLATION_none;
}

/* Rules about the order of frames: RFC 9113 3.4, 6.10. */
static enum h2_violation check_order(const struct h2_conn *conn)
{
    const struct h2_in *in = &conn->in;
    bool is_continuation = in->frame.type == H2_FRAME_CONTINUATION;
    if (in->block_id == 0 && conn->settings_seen && !is_continuation) /* most often */
        return H2_VIOLATION_none;
    if (in->block_id != 0) {
        bool fits = is_continuation && in->frame.stream_id == in->block_id;
        return fits ? H2_VIOLATION_none : H2_VIOLATION_header_block_interrupted;
    }
    bool is_settings = in->frame.type == H2_FRAME_SETTINGS && (in->frame.flags & H2_FLAG_ACK) == 0;
    if (!conn->settings_seen && !is_settings)
        return H2_VIOLATION_settings_missing;
    return is_continuation ? H2_VIOLATION_continuation_unexpected : H2_VIOLATION_none;
}

/* A frame on a stream that is closed: harmless, but not without end. Others have own budgets. */
static enum h2_violation discard(struct h2_conn *conn, uint64_t now)
{
    uint8_t type = conn->in.frame.type;
    counter_add(&conn->h2->counters.frames_discarded, 1);
    if (type == H2_FRAME_WINDOW_UPDATE || type == H2_FRAME_PRIORITY)
        return H2_VIOLATION_none;
    return h2_budget_charge(&conn->budgets, H2_BUDGET_discarded, now);
}

/* The payload proper of DATA begins: what it adds up to is checked before it is handed on. */
static void begin_data_bytes(struct h2_conn *conn, uint64_t now)
{
    struct h2_in *in = &conn->in;
    struct h2_stream *stream = in->stream;
    bool end = (in->frame.flags & H2_FLAG_END_STREAM) != 0;
    if (in->left == 0 && !end) { /* nothing, or nothing but padding */
        h2_in_violate(conn, h2_budget_charge(&conn->budgets, H2_BUDGET_empty_data, now));
        if (h2_conn_is_closed(conn))
            return;
    }
    if (stream->body_left != H2_LENGTH_UNKNOWN) {
        if (in->left > stream->body_left || (end && in->left < stream->body_left)) {
            h2_in_violate(conn, H2_VIOLATION_content_length_mismatch);
            h2_in_skip_rest(in);
            return;
        }
        stream->body_left -= in->left;
    }
    h2_flow_consumed(stream, in->frame.length - in->left);
    in->phase = H2_IN_DATA;
}

void h2_in_begin_payload(struct h2_conn *conn, uint64_t now)
{
    if (conn->in.frame.type == H2_FRAME_DATA)
        begin_data_bytes(conn, now);
    else
        conn->in.phase = H2_IN_FRAGMENT;
}

/* DATA and HEADERS may begin with a pad length and a priority. */
static void begin_prefix(struct h2_conn *conn, uint64_t now)
{
    struct h2_in *in = &conn->in;
    in->want = (in->frame.flags & H2_FLAG_PADDED) != 0 ? 1 : 0;
    if (in->frame.type == H2_FRAME_HEADERS && (in->frame.flags & H2_FLAG_PRIORITY) != 0)
        in->want += H2_PRIORITY_BYTES;
    if (in->want > in->frame.length) {
        h2_in_violate(conn, H2_VIOLATION_frame_length_bad);
        return;
    }
    in->phase = H2_IN_PREFIX;
    if (in->want == 0)
        h2_in_begin_payload(conn, now);
}

static void begin_data(struct h2_conn *conn, struct h2_stream *stream, uint64_t now)
{
    struct h2_in *in = &conn->in;
    enum h2_violation violation = h2_flow_received(conn, stream, in->frame.length);
    if (violation == H2_VIOLATION_none && stream != NULL && !stream->headers_received)
        violation = H2_VIOLATION_data_before_headers;
    if (violation != H2_VIOLATION_none)
        h2_in_violate(conn, violation);
    if (violation != H2_VIOLATION_none || stream == NULL) {
        h2_in_skip_rest(in);
        return;
    }
    in->stream = stream;
    in->untold = false;
    begin_prefix(conn, now);
}

static void begin_headers(struct h2_conn *conn, uint64_t now)
{
    struct h2_in *in = &conn->in;
    in->block_id = in->frame.stream_id;
    in->block_flags = in->frame.flags;
    in->block_frames = 0;
    in->block_self_dependent = false;
    begin_prefix(conn, now);
}

static void begin_continuation(struct h2_conn *conn)
{
    enum h2_violation violation = h2_header_block_continue(conn);
    if (violation != H2_VIOLATION_none)
        h2_in_violate(conn, violation);
    conn->in.phase = H2_IN_FRAGMENT;
}

static void begin_units(struct h2_conn *conn, uint8_t want)
{
    conn->in.phase = H2_IN_UNIT;
    conn->in.want = want;
}

static void settings_acknowledged(struct h2_conn *conn)
{
    h2_in_next_frame(&conn->in);
    if (conn->settings_unacked == 0) {
        counter_add(&conn->h2->counters.acks_unasked, 1);
        return;
    }
    if (--conn->settings_unacked == 0)
        conn->due_ns[H2_DEADLINE_ACK] = CLOCK_NEVER;
}

static void begin_settings(struct h2_conn *conn, uint64_t now)
{
    struct h2_in *in = &conn->in;
    bool ack = (in->frame.flags & H2_FLAG_ACK) != 0;
    enum h2_violation violation = h2_budget_charge(&conn->budgets, H2_BUDGET_settings, now);
    if (ack && in->frame.length > 0)
        violation = H2_VIOLATION_settings_ack_not_empty;
    if (violation != H2_VIOLATION_none)
        h2_in_violate(conn, violation);
    else if (ack)
        settings_acknowledged(conn);
    else if (in->left == 0)
        h2_in_settings_complete(conn, now);
    else
        begin_units(conn, H2_SETTING_BYTES);
}

static void begin_unknown(struct h2_conn *conn, uint64_t now)
{
    counter_add(&conn->h2->counters.frames_unknown, 1);
    h2_in_violate(conn, h2_budget_charge(&conn->budgets, H2_BUDGET_unknown, now));
    h2_in_skip_rest(&conn->in);
}

static void begin_priority_update(struct h2_conn *conn)
{
    struct h2_in *in = &conn->in;
    if (in->left <= sizeof(in->bytes)) {
        begin_units(conn, (uint8_t)in->left);
        return;
    }
    counter_add(&conn->h2->counters.priority_updates_ignored, 1);
    h2_in_violate(conn, h2_budget_charge(&conn->budgets, H2_BUDGET_priority, conn->h2->now));
    h2_in_skip_rest(in);
}

static void begin_known(struct h2_conn *conn, struct h2_stream *stream, uint64_t now)
{
    switch ((enum h2_frame_type)conn->in.frame.type) {
    case H2_FRAME_DATA:
        begin_data(conn, stream, now);
        return;
    case H2_FRAME_HEADERS:
        begin_headers(conn, now);
        return;
    case H2_FRAME_CONTINUATION:
        begin_continuation(conn);
        return;
    case H2_FRAME_SETTINGS:
        begin_settings(conn, now);
        return;
    case H2_FRAME_PRIORITY:
    case H2_FRAME_RST_STREAM:
    case H2_FRAME_PING:
    case H2_FRAME_GOAWAY:
    case H2_FRAME_WINDOW_UPDATE:
        begin_units(conn, (uint8_t)h2_frame_rules[conn->in.frame.type].length_min);
        return;
    case H2_FRAME_PRIORITY_UPDATE:
        begin_priority_update(conn);
        return;
    case H2_FRAME_PUSH_PROMISE: /* a violation before it gets here */
    case H2_FRAME_TYPES:
        return;
    }
}

/*
 * A violation that ends only the stream leaves the frame to be read: DATA counts against the
 * connection's window, HEADERS change the compression table.
 */
void h2_in_begin_frame(struct h2_conn *conn, uint64_t now)
{
    struct h2_in *in = &conn->in;
    counter_add(&conn->h2->counters.frames_in, 1);
    in->left = in->frame.length;
    in->padding = 0;
    enum h2_violation violation = check_order(conn);
    if (violation == H2_VIOLATION_none)
        violation = h2_frame_check(&in->frame);
    if (violation != H2_VIOLATION_none) {
        h2_in_violate(conn, violation);
        h2_in_skip_rest(in);
        return;
    }
    if (!h2_frame_is_known(in->frame.type)) {
        begin_unknown(conn, now);
        return;
    }
    struct h2_stream *stream = NULL;
    enum place place = place_of(conn, &stream);
    violation = check_place(conn, place);
    if (violation == H2_VIOLATION_none && place == PLACE_CLOSED)
        violation = discard(conn, now);
    if (violation != H2_VIOLATION_none) {
        h2_in_violate(conn, violation);
        stream = NULL;
    }
    if (!h2_conn_is_closed(conn))
        begin_known(conn, stream, now);
}
