/*
 * h2_in: the parser, over whatever pieces the transport delivers. Frames that are whole and usual
 * do not come here (h2_in_whole.c).
 *
 * It remembers how far it is in struct h2_in and goes on from there. Payload is never gathered but
 * for header blocks and units of up to 9 bytes: DATA goes to its owner as views.
 */
#include "dataplane/h2/h2_in.h"

#include "dataplane/base/counter.h"
#include "dataplane/h2/h2_http1.h"

const uint8_t *h2_in_gather_pieces(struct h2_in *in, struct reader *r, size_t want)
{
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

void h2_in_next_frame(struct h2_in *in)
{
    in->phase = H2_IN_HEADER;
    in->stream = NULL;
}

void h2_in_skip_rest(struct h2_in *in)
{
    in->left += in->padding;
    in->padding = 0;
    in->stream = NULL;
    in->phase = in->left > 0 ? H2_IN_SKIP : H2_IN_HEADER;
}

void h2_in_violate(struct h2_conn *conn, enum h2_violation violation)
{
    h2_violate(conn, conn->in.frame.stream_id, violation);
}

static bool in_header(struct h2_conn *conn, struct reader *r, uint64_t now)
{
    const uint8_t *bytes = h2_in_gather(&conn->in, r, H2_FRAME_HEADER_BYTES);
    if (bytes == NULL)
        return false;
    conn->in.frame = h2_frame_read(bytes);
    h2_in_begin_frame(conn, now);
    return true;
}

static bool in_prefix(struct h2_conn *conn, struct reader *r, uint64_t now)
{
    struct h2_in *in = &conn->in;
    const uint8_t *bytes = h2_in_gather(in, r, in->want);
    if (bytes == NULL)
        return false;
    struct reader prefix = reader_over(bytes_of(bytes, in->want));
    in->left -= in->want;
    if ((in->frame.flags & H2_FLAG_PADDED) != 0)
        in->padding = reader_u8(&prefix);
    if (reader_left(&prefix) == H2_PRIORITY_BYTES)
        in->block_self_dependent = (reader_u32(&prefix) & H2_STREAM_ID_MAX) == in->frame.stream_id;
    if (in->padding > in->left) {
        h2_in_violate(conn, H2_VIOLATION_padding_too_long);
        return true;
    }
    in->left -= in->padding;
    if (in->frame.type == H2_FRAME_DATA && in->stream == NULL)
        h2_in_skip_rest(in);
    else
        h2_in_begin_payload(conn, now);
    return true;
}

static struct bytes take_left(struct h2_in *in, struct reader *r)
{
    size_t part = in->left < reader_left(r) ? in->left : reader_left(r);
    in->left -= (uint32_t)part;
    return reader_bytes(r, part);
}

static void tell_data(struct h2_conn *conn, struct bytes bytes, bool end, uint64_t now)
{
    struct h2_in *in = &conn->in;
    in->untold = false;
    conn->handler->data(in->stream, bytes, end, now);
}

/* To the owner of the stream: bytes (some) before the frame's last are but a part. */
static void hand_on(struct h2_conn *conn, struct bytes bytes, bool end, uint64_t now)
{
    struct h2_in *in = &conn->in;
    if (in->left > 0 && conn->handler->part != NULL) {
        in->untold = true;
        conn->handler->part(in->stream, bytes, now);
        return;
    }
    if (bytes.length > 0 || end || in->untold)
        tell_data(conn, bytes, end, now);
}

static bool in_data(struct h2_conn *conn, struct reader *r, uint64_t now)
{
    struct h2_in *in = &conn->in;
    struct h2_stream *stream = in->stream;
    if (in->left > 0 && reader_left(r) == 0)
        return false;
    if (stream == NULL) { /* ended between two reads */
        h2_in_skip_rest(in);
        return true;
    }
    struct bytes bytes = take_left(in, r);
    bool end = in->left == 0 && (in->frame.flags & H2_FLAG_END_STREAM) != 0;
    counter_add(&conn->h2->counters.data_in, bytes.length);
    hand_on(conn, bytes, end, now);
    if (h2_conn_is_closed(conn))
        return true;
    bool alive = in->stream == stream;
    if (in->left == 0 || !alive)
        h2_in_skip_rest(in);
    if (end && alive)
        h2_stream_peer_ended(stream);
    return true;
}

static void fragment_complete(struct h2_conn *conn, struct bytes whole, uint64_t now)
{
    bool end_headers = (conn->in.frame.flags & H2_FLAG_END_HEADERS) != 0;
    h2_in_skip_rest(&conn->in);
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
        h2_in_violate(conn, H2_VIOLATION_header_blocks_exhausted);
        return true;
    }
    if (in->left == 0)
        fragment_complete(conn, bytes_of(in->block->data, in->block->length), now);
    return true;
}

static bool in_skip(struct h2_conn *conn, struct reader *r)
{
    (void)take_left(&conn->in, r);
    if (conn->in.left > 0)
        return false;
    h2_in_next_frame(&conn->in);
    return true;
}

static void preface_complete(struct h2_conn *conn)
{
    conn->in.have = 0;
    h2_conn_move(conn, H2_CONN_PREFACE_READ);
    h2_in_next_frame(&conn->in);
    conn->settings_due = true;
    h2_conn_wake_control(conn);
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
            h2_http1_begin(conn, byte);
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
    case H2_IN_HTTP1:
        return h2_http1_line(conn, r);
    case H2_IN_HEADER:
        return in_header(conn, r, now);
    case H2_IN_PREFIX:
        return in_prefix(conn, r, now);
    case H2_IN_DATA:
        return in_data(conn, r, now);
    case H2_IN_FRAGMENT:
        return in_fragment(conn, r, now);
    case H2_IN_UNIT:
        return h2_in_unit(conn, r, now);
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

/* Frames that are whole, and a step of what comes then. False: there is nothing more to be done. */
static bool go_on(struct h2_conn *conn, struct reader *r, uint64_t now)
{
    if (conn->in.phase == H2_IN_HEADER)
        reader_skip(r, h2_in_whole(conn, bytes_of(r->at, reader_left(r)), now));
    return !h2_conn_is_closed(conn) && may_go_on(conn) && step(conn, r, now);
}

/* How many bytes of the view were used. The connection may be closed afterwards. */
static size_t in_view(struct h2_conn *conn, struct bytes view, uint64_t now)
{
    struct reader r = reader_over(view);
    while (go_on(conn, &r, now) && !h2_conn_is_closed(conn))
        h2_bury_streams(conn->h2);
    return view.length - reader_left(&r);
}

/* Whether it goes on where the one before ended: inside of a DATA frame, and not to its end. */
static bool is_inside(const struct h2_conn *conn, struct bytes view)
{
    const struct h2_in *in = &conn->in;
    return in->phase == H2_IN_DATA && view.length < in->left && in->stream != NULL &&
           conn->handler->part != NULL;
}

/* As in_view(), for what is_inside(). */
static size_t in_part(struct h2_conn *conn, struct bytes view, uint64_t now)
{
    conn->in.left -= (uint32_t)view.length;
    counter_add(&conn->h2->counters.data_in, view.length);
    hand_on(conn, view, false, now);
    return view.length;
}

/* There is nothing more to read: the owner hears of the parts that it has. */
static void tell_parts(struct h2_conn *conn, uint64_t now)
{
    if (conn->in.stream != NULL)
        tell_data(conn, BYTES_NONE, false, now);
    conn->in.untold = false;
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
        size_t used = is_inside(conn, view) ? in_part(conn, view, now) : in_view(conn, view, now);
        if (h2_conn_is_closed(conn))
            break;
        conn->transport.ops->read_done(conn->transport.stream, (uint32_t)used);
        if (used < view.length)
            break;
    }
    if (conn->in.untold)
        tell_parts(conn, now);
    conn->reading = false;
}

void h2_in(struct h2_conn *conn, uint64_t now)
{
    struct h2 *h2 = conn->h2;
    h2_enter(h2, now);
    h2_in_run(conn, now);
    h2_leave(h2);
}
