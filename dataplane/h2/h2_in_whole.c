/*
 * h2_in_whole: frames that lie in one view from their first byte to their last, as most do. HEADERS
 * with all of their block and DATA, without padding, on streams where they belong, are looked at
 * once and taken where they are.
 *
 * Whatever is otherwise, and all that is wrong, is left to the parser untouched: it knows why.
 */
#include "dataplane/base/counter.h"
#include "dataplane/h2/h2_flow.h"
#include "dataplane/h2/h2_in.h"
#include "dataplane/h2/h2_stream_table.h"

/* A frame at AT, before END. */
static bool has_header(const uint8_t *at, const uint8_t *end)
{
    return end - at >= H2_FRAME_HEADER_BYTES;
}

/*
 * For the frames from AT on, behind one on stream ID: slots are fetched two frames ahead, streams
 * one.
 */
static void prefetch(const struct h2_conn *conn, const uint8_t *at, const uint8_t *end, uint32_t id)
{
    if (!has_header(at, end))
        return;
    struct h2_frame next = h2_frame_read(at);
    if (next.stream_id != id)
        h2_stream_prefetch(conn, next.stream_id);
    if ((size_t)(end - at) < 2 * H2_FRAME_HEADER_BYTES + (size_t)next.length)
        return;
    next = h2_frame_read(at + H2_FRAME_HEADER_BYTES + next.length);
    h2_stream_prefetch_slot(conn, next.stream_id);
}

/* Its stream, on which the peer may send; NULL: another one, or none. */
static struct h2_stream *receiving(const struct h2_conn *conn, uint32_t id)
{
    struct h2_stream *stream = h2_stream_look_up(conn, id);
    return stream != NULL && h2_stream_can_receive(stream) ? stream : NULL;
}

static bool opens(const struct h2_conn *conn, uint32_t id)
{
    return conn->role == H2_SERVER && (id & 1) == 1 && id > conn->last_peer_id;
}

/* A header block in one frame. */
static bool headers(struct h2_conn *conn, struct h2_frame frame, struct bytes block, uint64_t now)
{
    const uint8_t flags = H2_FLAG_END_HEADERS | H2_FLAG_PADDED | H2_FLAG_PRIORITY;
    struct h2_in *in = &conn->in;
    struct h2_stream *stream = NULL;
    if ((frame.flags & flags) != H2_FLAG_END_HEADERS)
        return false;
    if (!opens(conn, frame.stream_id) && (stream = receiving(conn, frame.stream_id)) == NULL)
        return false;
    in->stream = stream;
    in->block_id = frame.stream_id;
    in->block_flags = frame.flags;
    in->block_self_dependent = false;
    h2_header_block_complete(conn, block, now);
    in->stream = NULL;
    return true;
}

/* Content as its stream's header section, the windows and its budget allow. */
static bool is_welcome(const struct h2_stream *stream, struct h2_frame frame)
{
    uint32_t length = frame.length;
    bool end = (frame.flags & H2_FLAG_END_STREAM) != 0;
    if ((frame.flags & H2_FLAG_PADDED) != 0 || (length == 0 && !end) || !stream->headers_received)
        return false;
    if (length > stream->receive_window || length > stream->conn->receive_window)
        return false;
    uint64_t left = stream->body_left;
    return left == H2_LENGTH_UNKNOWN || (end ? length == left : length <= left);
}

static bool data(struct h2_conn *conn, struct h2_frame frame, struct bytes bytes, uint64_t now)
{
    struct h2_in *in = &conn->in;
    struct h2_stream *stream = receiving(conn, frame.stream_id);
    bool end = (frame.flags & H2_FLAG_END_STREAM) != 0;
    if (stream == NULL || !is_welcome(stream, frame))
        return false;
    (void)h2_flow_received(conn, stream, frame.length);
    if (stream->body_left != H2_LENGTH_UNKNOWN)
        stream->body_left -= frame.length;
    counter_add(&conn->h2->counters.data_in, frame.length);
    in->stream = stream;
    conn->handler->data(stream, bytes, end, now);
    bool alive = in->stream == stream;
    in->stream = NULL;
    if (end && alive)
        h2_stream_peer_ended(stream);
    return true;
}

/* False: it is none of these, and nothing has happened. */
static bool take(struct h2_conn *conn, struct h2_frame frame, struct bytes payload, uint64_t now)
{
    if (frame.type == H2_FRAME_HEADERS)
        return headers(conn, frame, payload, now);
    return frame.type == H2_FRAME_DATA && data(conn, frame, payload, now);
}

size_t h2_in_whole(struct h2_conn *conn, struct bytes view, uint64_t now)
{
    const uint8_t *at = view.data;
    const uint8_t *end = at + view.length;
    if (conn->in.have > 0 || conn->in.block_id != 0 || !conn->settings_seen)
        return 0;
    while (has_header(at, end) && h2_conn_answers_fit(conn)) {
        struct h2_frame frame = h2_frame_read(at);
        const uint8_t *payload = at + H2_FRAME_HEADER_BYTES;
        if (frame.length > H2_FRAME_PAYLOAD_BYTES || frame.length > (size_t)(end - payload))
            break;
        prefetch(conn, payload + frame.length, end, frame.stream_id);
        if (!take(conn, frame, bytes_of(payload, frame.length), now))
            break;
        counter_add(&conn->h2->counters.frames_in, 1);
        at = payload + frame.length;
        if (h2_conn_is_closed(conn))
            break;
        h2_bury_streams(conn->h2);
    }
    return (size_t)(at - view.data);
}
