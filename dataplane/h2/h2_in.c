/*
 * h2_in: the parser, over whatever pieces the transport delivers.
 *
 * It remembers how far it is in struct h2_in and goes on from there. Payload is never gathered but
 * for header blocks and units of up to 9 bytes: DATA goes to its owner as views.
 */
#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/base/reader.h"
#include "dataplane/h2/h2_conn.h"
#include "dataplane/h2/h2_flow.h"

#define HTTP1_PREFIX_BYTES 14 /* "PRI * HTTP/2.0": what differs before may be HTTP/1 */
#define PRIORITY_BYTES     5

/* Where a frame's stream stands (RFC 9113 5.1). */
enum place {
    PLACE_CONNECTION,
    PLACE_STREAM, /* has an object, the peer may send */
    PLACE_HALF_CLOSED,
    PLACE_IDLE,
    PLACE_CLOSED,
};

/* WANT bytes together, from the view or gathered over several; NULL: not all there yet. */
static const uint8_t *gather(struct h2_in *in, struct reader *r, size_t want)
{
    if (in->have == 0 && reader_left(r) >= want)
        return reader_bytes(r, want).data;
    size_t part = want - in->have;
    if (part > reader_left(r))
        part = reader_left(r);
    struct bytes piece = reader_bytes(r, part);
    if (part > 0)
        memcpy(in->bytes + in->have, piece.data, part);
    in->have = (uint8_t)(in->have + part);
    if (in->have < want)
        return NULL;
    in->have = 0;
    return in->bytes;
}

static void next_frame(struct h2_in *in)
{
    in->phase = H2_IN_HEADER;
    in->data = NULL;
}

/* What is left of the frame does not matter. */
static void skip_rest(struct h2_in *in)
{
    in->left += in->padding;
    in->padding = 0;
    in->data = NULL;
    in->phase = in->left > 0 ? H2_IN_SKIP : H2_IN_HEADER;
}

static void violate(struct h2_conn *conn, enum h2_violation violation)
{
    h2_violate(conn, conn->in.frame.stream_id, violation);
}

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
    *stream = h2_stream_find(conn, id);
    if (*stream != NULL)
        return h2_stream_can_receive(*stream) ? PLACE_STREAM : PLACE_HALF_CLOSED;
    return is_idle(conn, id) ? PLACE_IDLE : PLACE_CLOSED;
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
static void begin_data_bytes(struct h2_conn *conn)
{
    struct h2_in *in = &conn->in;
    struct h2_stream *stream = in->data;
    bool end = (in->frame.flags & H2_FLAG_END_STREAM) != 0;
    if (stream->body_left != H2_LENGTH_UNKNOWN) {
        if (in->left > stream->body_left || (end && in->left < stream->body_left)) {
            violate(conn, H2_VIOLATION_content_length_mismatch);
            skip_rest(in);
            return;
        }
        stream->body_left -= in->left;
    }
    h2_flow_consumed(stream, in->frame.length - in->left);
    in->phase = H2_IN_DATA;
}

static void begin_payload(struct h2_conn *conn)
{
    if (conn->in.frame.type == H2_FRAME_DATA)
        begin_data_bytes(conn);
    else
        conn->in.phase = H2_IN_FRAGMENT;
}

/* DATA and HEADERS may begin with a pad length and a priority. */
static void begin_prefix(struct h2_conn *conn)
{
    struct h2_in *in = &conn->in;
    in->want = (in->frame.flags & H2_FLAG_PADDED) != 0 ? 1 : 0;
    if (in->frame.type == H2_FRAME_HEADERS && (in->frame.flags & H2_FLAG_PRIORITY) != 0)
        in->want += PRIORITY_BYTES;
    if (in->want > in->frame.length) {
        violate(conn, H2_VIOLATION_frame_length_bad);
        return;
    }
    in->phase = H2_IN_PREFIX;
    if (in->want == 0)
        begin_payload(conn);
}

static void begin_data(struct h2_conn *conn, struct h2_stream *stream, uint64_t now)
{
    struct h2_in *in = &conn->in;
    enum h2_violation violation = h2_flow_received(conn, stream, in->frame.length);
    bool is_empty = in->frame.length == 0 && (in->frame.flags & H2_FLAG_END_STREAM) == 0;
    if (violation == H2_VIOLATION_none && is_empty)
        violation = h2_budget_charge(&conn->budgets, H2_BUDGET_empty_data, now);
    if (violation == H2_VIOLATION_none && stream != NULL && !stream->headers_received)
        violation = H2_VIOLATION_data_before_headers;
    if (violation != H2_VIOLATION_none)
        violate(conn, violation);
    if (violation != H2_VIOLATION_none || stream == NULL) {
        skip_rest(in);
        return;
    }
    in->data = stream;
    begin_prefix(conn);
}

static void begin_headers(struct h2_conn *conn)
{
    struct h2_in *in = &conn->in;
    in->block_id = in->frame.stream_id;
    in->block_flags = in->frame.flags;
    in->block_frames = 0;
    in->block_self_dependent = false;
    begin_prefix(conn);
}

static void begin_continuation(struct h2_conn *conn)
{
    enum h2_violation violation = h2_header_block_continue(conn);
    if (violation != H2_VIOLATION_none)
        violate(conn, violation);
    conn->in.phase = H2_IN_FRAGMENT;
}

static void begin_units(struct h2_conn *conn, uint8_t want)
{
    conn->in.phase = H2_IN_UNIT;
    conn->in.want = want;
}

static void settings_complete(struct h2_conn *conn, uint64_t now)
{
    const struct h2_config *config = &conn->h2->config;
    conn->settings_ack_count++;
    h2_conn_wake_control(conn);
    next_frame(&conn->in);
    if (conn->settings_seen) {
        h2_conn_tell_room(conn);
        return;
    }
    conn->settings_seen = true;
    h2_conn_move(conn, H2_CONN_SETTINGS_READ);
    conn->due_ns[H2_DEADLINE_PREFACE] = CLOCK_NEVER;
    if (conn->role == H2_SERVER) {
        if (config->idle_timeout_ns > 0)
            h2_conn_deadline(conn, H2_DEADLINE_IDLE, now + config->idle_timeout_ns);
        return;
    }
    conn->room_was_told = true;
    conn->handler->available(conn->owner, conn, now);
}

static void settings_acknowledged(struct h2_conn *conn)
{
    next_frame(&conn->in);
    if (conn->settings_unacked == 0) {
        counter_add(&conn->h2->counters.acks_unasked, 1);
        return;
    }
    conn->settings_unacked--;
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
        violate(conn, violation);
    else if (ack)
        settings_acknowledged(conn);
    else if (in->left == 0)
        settings_complete(conn, now);
    else
        begin_units(conn, H2_SETTING_BYTES);
}

static void begin_unknown(struct h2_conn *conn, uint64_t now)
{
    counter_add(&conn->h2->counters.frames_unknown, 1);
    violate(conn, h2_budget_charge(&conn->budgets, H2_BUDGET_unknown, now));
    skip_rest(&conn->in);
}

static void begin_known(struct h2_conn *conn, struct h2_stream *stream, uint64_t now)
{
    switch ((enum h2_frame_type)conn->in.frame.type) {
    case H2_FRAME_DATA:
        begin_data(conn, stream, now);
        return;
    case H2_FRAME_HEADERS:
        begin_headers(conn);
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
    case H2_FRAME_PUSH_PROMISE: /* a violation before it gets here */
    case H2_FRAME_TYPES:
        return;
    }
}

/*
 * A violation that ends only the stream leaves the frame to be read: DATA counts against the
 * connection's window, HEADERS change the compression table.
 */
static void begin_frame(struct h2_conn *conn, uint64_t now)
{
    struct h2_in *in = &conn->in;
    counter_add(&conn->h2->counters.frames_in, 1);
    in->left = in->frame.length;
    in->padding = 0;
    enum h2_violation violation = check_order(conn);
    if (violation == H2_VIOLATION_none)
        violation = h2_frame_check(&in->frame);
    if (violation != H2_VIOLATION_none) {
        violate(conn, violation);
        skip_rest(in);
        return;
    }
    if (in->frame.type >= H2_FRAME_TYPES) {
        begin_unknown(conn, now);
        return;
    }
    struct h2_stream *stream = NULL;
    enum place place = place_of(conn, &stream);
    violation = check_place(conn, place);
    if (violation == H2_VIOLATION_none && place == PLACE_CLOSED)
        violation = discard(conn, now);
    if (violation != H2_VIOLATION_none) {
        violate(conn, violation);
        stream = NULL;
    }
    if (!h2_conn_is_closed(conn))
        begin_known(conn, stream, now);
}

static bool in_header(struct h2_conn *conn, struct reader *r, uint64_t now)
{
    const uint8_t *bytes = gather(&conn->in, r, H2_FRAME_HEADER_BYTES);
    if (bytes == NULL)
        return false;
    conn->in.frame = h2_frame_read(bytes);
    begin_frame(conn, now);
    return true;
}

static bool in_prefix(struct h2_conn *conn, struct reader *r)
{
    struct h2_in *in = &conn->in;
    const uint8_t *bytes = gather(in, r, in->want);
    if (bytes == NULL)
        return false;
    struct reader prefix = reader_over(bytes_of(bytes, in->want));
    in->left -= in->want;
    if ((in->frame.flags & H2_FLAG_PADDED) != 0)
        in->padding = reader_u8(&prefix);
    if (reader_left(&prefix) == PRIORITY_BYTES)
        in->block_self_dependent = (reader_u32(&prefix) & H2_STREAM_ID_MAX) == in->frame.stream_id;
    if (in->padding > in->left) {
        violate(conn, H2_VIOLATION_padding_too_long);
        return true;
    }
    in->left -= in->padding;
    if (in->frame.type == H2_FRAME_DATA && in->data == NULL)
        skip_rest(in);
    else
        begin_payload(conn);
    return true;
}

static struct bytes take_left(struct h2_in *in, struct reader *r)
{
    size_t part = in->left < reader_left(r) ? in->left : reader_left(r);
    in->left -= (uint32_t)part;
    return reader_bytes(r, part);
}

static bool in_data(struct h2_conn *conn, struct reader *r, uint64_t now)
{
    struct h2_in *in = &conn->in;
    struct h2_stream *stream = in->data;
    if (in->left > 0 && reader_left(r) == 0)
        return false;
    if (stream == NULL) { /* ended between two reads */
        skip_rest(in);
        return true;
    }
    struct bytes bytes = take_left(in, r);
    bool end = in->left == 0 && (in->frame.flags & H2_FLAG_END_STREAM) != 0;
    counter_add(&conn->h2->counters.data_in, bytes.length);
    if (bytes.length > 0 || end)
        conn->handler->data(stream, bytes, end, now);
    if (h2_conn_is_closed(conn))
        return true;
    bool alive = in->data == stream;
    if (in->left == 0 || !alive)
        skip_rest(in);
    if (end && alive)
        h2_stream_peer_ended(stream);
    return true;
}

static void fragment_complete(struct h2_conn *conn, struct bytes whole, uint64_t now)
{
    bool end_headers = (conn->in.frame.flags & H2_FLAG_END_HEADERS) != 0;
    skip_rest(&conn->in);
    if (end_headers)
        h2_header_block_complete(conn, whole, now);
}

static bool in_fragment(struct h2_conn *conn, struct reader *r, uint64_t now)
{
    struct h2_in *in = &conn->in;
    bool end_headers = (in->frame.flags & H2_FLAG_END_HEADERS) != 0;
    if (in->block == NULL && end_headers && reader_left(r) >= in->left) {
        fragment_complete(conn, take_left(in, r), now);
        return true;
    }
    if (in->left > 0 && reader_left(r) == 0)
        return false;
    if (!h2_header_block_add(conn, take_left(in, r))) {
        violate(conn, H2_VIOLATION_header_blocks_exhausted);
        return true;
    }
    if (in->left == 0)
        fragment_complete(conn, bytes_of(in->block->data, in->block->length), now);
    return true;
}

/* RFC 9113 8.1: a server that has answered completely may refuse the rest of the request. */
static enum h2_violation rst_stream_in(struct h2_conn *conn, uint32_t code, uint64_t now)
{
    struct h2_stream *stream = h2_stream_find(conn, conn->in.frame.stream_id);
    if (stream == NULL) {
        h2_conn_forgive_no_more(conn, conn->in.frame.stream_id);
        return H2_VIOLATION_none;
    }
    bool is_client = conn->role == H2_CLIENT;
    if (is_client && code == H2_NO_ERROR && stream->state == H2_STATE_HALF_CLOSED_REMOTE) {
        h2_stream_move(stream, H2_CAUSE_RESET);
        h2_stream_finish(stream);
        return H2_VIOLATION_none;
    }
    counter_add(&conn->h2->counters.streams_reset_by_peer, 1);
    h2_stream_lost(stream, (struct h2_reset){
                               .code = code,
                               .by_peer = true,
                               .unprocessed = is_client && code == H2_REFUSED_STREAM,
                           });
    if (is_client || h2_conn_is_closed(conn))
        return H2_VIOLATION_none;
    return h2_budget_charge(&conn->budgets, H2_BUDGET_reset, now);
}

static enum h2_violation window_update_in(struct h2_conn *conn, uint32_t increment, uint64_t now)
{
    enum h2_violation violation = h2_budget_charge(&conn->budgets, H2_BUDGET_window_update, now);
    if (violation != H2_VIOLATION_none)
        return violation;
    if (conn->in.frame.stream_id == 0)
        return h2_flow_window_update(conn, NULL, increment);
    struct h2_stream *stream = h2_stream_find(conn, conn->in.frame.stream_id);
    return stream == NULL ? H2_VIOLATION_none : h2_flow_window_update(conn, stream, increment);
}

/* Priorities are not used (RFC 9113 5.3.2). */
static enum h2_violation priority_in(struct h2_conn *conn, uint32_t dependency, uint64_t now)
{
    if (dependency == conn->in.frame.stream_id)
        return H2_VIOLATION_depends_on_itself;
    return h2_budget_charge(&conn->budgets, H2_BUDGET_priority, now);
}

static enum h2_violation unit_in(struct h2_conn *conn, struct reader *unit, uint64_t now)
{
    bool ack = (conn->in.frame.flags & H2_FLAG_ACK) != 0;
    uint16_t setting;
    uint32_t last_id;
    switch ((enum h2_frame_type)conn->in.frame.type) {
    case H2_FRAME_SETTINGS:
        setting = reader_u16(unit);
        return h2_settings_apply(conn, setting, reader_u32(unit));
    case H2_FRAME_PING:
        return h2_ping_in(conn, reader_u64(unit), ack, now);
    case H2_FRAME_GOAWAY:
        last_id = reader_u32(unit) & H2_STREAM_ID_MAX;
        return h2_goaway_in(conn, last_id, reader_u32(unit));
    case H2_FRAME_RST_STREAM:
        return rst_stream_in(conn, reader_u32(unit), now);
    case H2_FRAME_WINDOW_UPDATE:
        return window_update_in(conn, reader_u32(unit) & H2_STREAM_ID_MAX, now);
    case H2_FRAME_PRIORITY:
        return priority_in(conn, reader_u32(unit) & H2_STREAM_ID_MAX, now);
    case H2_FRAME_DATA:
    case H2_FRAME_HEADERS:
    case H2_FRAME_PUSH_PROMISE:
    case H2_FRAME_CONTINUATION:
    case H2_FRAME_TYPES:
        break;
    }
    return H2_VIOLATION_none;
}

static bool in_unit(struct h2_conn *conn, struct reader *r, uint64_t now)
{
    struct h2_in *in = &conn->in;
    const uint8_t *bytes = gather(in, r, in->want);
    if (bytes == NULL)
        return false;
    in->left -= in->want;
    struct reader unit = reader_over(bytes_of(bytes, in->want));
    violate(conn, unit_in(conn, &unit, now));
    if (h2_conn_is_closed(conn))
        return true;
    if (in->frame.type != H2_FRAME_SETTINGS)
        skip_rest(in);
    else if (in->left == 0)
        settings_complete(conn, now);
    return true;
}

static bool in_skip(struct h2_conn *conn, struct reader *r)
{
    (void)take_left(&conn->in, r);
    if (conn->in.left > 0)
        return false;
    next_frame(&conn->in);
    return true;
}

static void preface_complete(struct h2_conn *conn)
{
    conn->in.have = 0;
    h2_conn_move(conn, H2_CONN_PREFACE_READ);
    next_frame(&conn->in);
    conn->settings_due = true;
    h2_conn_wake_control(conn);
}

/* Somebody who speaks HTTP/1 deserves an answer that he can read. */
static void preface_differs(struct h2_conn *conn, uint8_t byte)
{
    bool is_text = byte >= ' ' && byte < 0x7f;
    if (conn->in.have >= HTTP1_PREFIX_BYTES || !is_text) {
        h2_violate(conn, 0, H2_VIOLATION_preface_bad);
        return;
    }
    counter_add(&conn->h2->counters.http1_refused, 1);
    h2_out_http1_answer(conn);
    h2_conn_end(conn, (struct h2_end){.code = H2_HTTP_1_1_REQUIRED});
}

/* RFC 9113 3.4 */
static bool in_preface(struct h2_conn *conn, struct reader *r)
{
    struct h2_in *in = &conn->in;
    while (in->have < H2_PREFACE_BYTES) {
        if (reader_left(r) == 0)
            return false;
        uint8_t byte = reader_u8(r);
        if (byte != (uint8_t)H2_PREFACE[in->have]) {
            preface_differs(conn, byte);
            return true;
        }
        in->have++;
    }
    preface_complete(conn);
    return true;
}

/* One step; false: more bytes are needed. */
static bool step(struct h2_conn *conn, struct reader *r, uint64_t now)
{
    switch ((enum h2_in_phase)conn->in.phase) {
    case H2_IN_PREFACE:
        return in_preface(conn, r);
    case H2_IN_HEADER:
        return in_header(conn, r, now);
    case H2_IN_PREFIX:
        return in_prefix(conn, r);
    case H2_IN_DATA:
        return in_data(conn, r, now);
    case H2_IN_FRAGMENT:
        return in_fragment(conn, r, now);
    case H2_IN_UNIT:
        return in_unit(conn, r, now);
    case H2_IN_SKIP:
        return in_skip(conn, r);
    }
    return false;
}

/* Before a frame is begun its answers must fit. False: they do not. */
static bool may_go_on(struct h2_conn *conn)
{
    if (conn->in.phase != H2_IN_HEADER || h2_conn_answers_fit(conn))
        return true;
    (void)h2_out_control(conn);
    if (h2_conn_answers_fit(conn))
        return true;
    counter_add(&conn->h2->counters.reading_paused, 1);
    return false;
}

/* How many bytes of the view were used. The connection may be closed afterwards. */
static size_t in_view(struct h2_conn *conn, struct bytes view, uint64_t now)
{
    struct reader r = reader_over(view);
    while (may_go_on(conn) && step(conn, &r, now) && !h2_conn_is_closed(conn))
        h2_bury_streams(conn->h2);
    return view.length - reader_left(&r);
}

void h2_in_run(struct h2_conn *conn, uint64_t now)
{
    conn->read_due = true;
    if (conn->reading) {
        h2_conn_wake(conn);
        return;
    }
    conn->reading = true;
    while (conn->read_due && !h2_conn_is_closed(conn)) {
        struct bytes view = conn->transport.ops->read(conn->transport.stream);
        conn->read_due = view.length > 0;
        if (view.length == 0)
            break;
        size_t used = in_view(conn, view, now);
        if (h2_conn_is_closed(conn))
            break;
        conn->transport.ops->read_done(conn->transport.stream, (uint32_t)used);
        if (used < view.length)
            break;
    }
    conn->reading = false;
}

void h2_in(struct h2_conn *conn, uint64_t now)
{
    struct h2 *h2 = conn->h2;
    h2_enter(h2, now);
    h2_in_run(conn, now);
    h2_leave(h2);
}
