/*
 * h2_out: what a connection writes. First what is due for itself (h2_out_control.c), then streams
 * that are ready take turns: one header section or one DATA frame each, or a head with what there
 * is of its body already, up to a frame. Frames are made in the transport's memory (h2_place.h)
 * where it has some.
 *
 * A frame is begun only when it fits into the transport's room. Streams leave H2_LIMIT_CONTROL_ROOM
 * alone, so that two peers who both fill their transports with DATA can still send each other the
 * credit that ends the standstill. The transport may have room and yet no memory: then what was
 * pulled from an owner already is kept (out_data, out_block) and goes first next time.
 */
#include "dataplane/base/copy.h"
#include "dataplane/base/counter.h"
#include "dataplane/h2/h2_conn.h"
#include "dataplane/h2/h2_flow.h"

/* Least room for a stream's turn. */
#define TURN_ROOM (H2_LIMIT_CONTROL_ROOM + H2_FRAME_HEADER_BYTES + H2_LIMIT_TURN_ROOM)

/* DATA of at most so many bytes is copied. */
#define SHORT_DATA_BYTES 256

/* A block is not cut into more frames for lack of room: peers bound CONTINUATION as we do. */
#define BLOCK_FRAMES 6

/* Most bytes of a field beside its texts, and of size updates before them (RFC 7541 5.1, 6). */
#define FIELD_CODE_BYTES  11
#define BLOCK_START_BYTES 12

static uint32_t room_of(const struct h2_conn *conn)
{
    const struct h2_place *place = &conn->h2->place;
    return place->conn == conn ? place->room : conn->transport.ops->room(conn->transport.stream);
}

/* For a stream's turn. When it is too little the transport is asked: it tells when there is more.
 */
static uint32_t turn_room(struct h2_conn *conn)
{
    uint32_t room = room_of(conn);
    if (room >= TURN_ROOM)
        return room;
    h2_place_close(conn);
    return room_of(conn);
}

bool h2_out_send(struct h2_conn *conn, struct bytes bytes)
{
    h2_place_close(conn);
    if (room_of(conn) < bytes.length)
        return false;
    if (conn->transport.ops->send_copy(conn->transport.stream, bytes))
        return true;
    conn->starved = true;
    counter_add(&conn->h2->counters.sends_starved, 1);
    return false;
}

void h2_out_release(struct h2_conn *conn)
{
    if (conn->out_data.chunk.segment != NULL)
        segment_drop(conn->out_data.chunk.segment);
    conn->out_data = (struct h2_out_data){0};
    h2_header_block_give(conn, &conn->out_block.block);
}

/* A whole DATA frame. */
static void write_data(uint8_t *at, struct h2_frame frame, struct chunk chunk)
{
    h2_frame_write(at, frame);
    if (chunk.length > 0)
        copy_short(at + H2_FRAME_HEADER_BYTES, chunk.segment->data + chunk.offset, chunk.length);
}

static bool copy_data(struct h2_conn *conn, struct h2_frame frame, struct chunk chunk)
{
    uint8_t bytes[H2_FRAME_HEADER_BYTES + SHORT_DATA_BYTES];
    write_data(bytes, frame, chunk);
    return conn->transport.ops->send_copy(conn->transport.stream,
                                          bytes_of(bytes, H2_FRAME_HEADER_BYTES + chunk.length));
}

/* A short DATA frame in one piece: a reference would cost more than the copy. False: no memory. */
static bool send_short_data(struct h2_conn *conn, struct h2_frame frame, struct chunk chunk)
{
    size_t length = H2_FRAME_HEADER_BYTES + (size_t)chunk.length;
    uint8_t *at = h2_place_room(&conn->h2->place, conn, length);
    if (at == NULL)
        return copy_data(conn, frame, chunk);
    write_data(at, frame, chunk);
    h2_place_written(&conn->h2->place, length);
    return true;
}

/* The DATA frame under way, header and payload. False: something is left. */
static bool send_data(struct h2_conn *conn)
{
    struct h2_out_data *out = &conn->out_data;
    if (out->header_due && !h2_out_send(conn, bytes_of(out->header, sizeof(out->header))))
        return false;
    out->header_due = false;
    struct chunk chunk = out->chunk;
    if (chunk.segment == NULL)
        return true;
    h2_place_close(conn);
    if (room_of(conn) < chunk.length)
        return false;
    if (!conn->transport.ops->send_segment(conn->transport.stream, chunk.segment, chunk.offset,
                                           chunk.length)) {
        conn->starved = true;
        counter_add(&conn->h2->counters.sends_starved, 1);
        return false;
    }
    out->chunk.segment = NULL;
    segment_drop(chunk.segment);
    conn->wrote = true;
    return true;
}

/* What does not go now is kept for later. */
static void send_piece(struct h2_conn *conn, struct h2_frame frame, struct chunk chunk)
{
    struct h2_out_data *out = &conn->out_data;
    if (chunk.length <= SHORT_DATA_BYTES && send_short_data(conn, frame, chunk)) {
        conn->wrote = true;
        return;
    }
    *out = (struct h2_out_data){.header_due = true};
    h2_frame_write(out->header, frame);
    if (chunk.length > 0) {
        out->chunk = chunk;
        segment_hold(out->chunk.segment);
    }
    (void)send_data(conn);
}

static void data_frame(struct h2_stream *stream, const struct h2_supply *piece, uint32_t max)
{
    struct h2_conn *conn = stream->conn;
    uint32_t length = piece->chunk.length;
    struct h2_frame frame = {
        .length = length,
        .type = H2_FRAME_DATA,
        .flags = piece->end ? H2_FLAG_END_STREAM : 0,
        .stream_id = stream->id,
    };
    check(stream->headers_sent && length <= max && (length > 0 || piece->end));
    h2_flow_sent(stream, length);
    h2_budget_refund(&conn->budgets, H2_BUDGET_window_update, 2 + length / 256);
    counter_add(&conn->h2->counters.frames_out, 1);
    counter_add(&conn->h2->counters.data_out, length);
    send_piece(conn, frame, piece->chunk);
    if (piece->end)
        h2_stream_we_ended(stream);
}

/* One HEADERS or CONTINUATION frame, its header put before its part of the block. */
static bool block_frame(struct h2_conn *conn, struct h2_header_block *block,
                        const struct h2_out_block *out)
{
    uint32_t left = block->length - block->at;
    uint32_t part = left < H2_FRAME_PAYLOAD_BYTES ? left : H2_FRAME_PAYLOAD_BYTES;
    uint32_t room = room_of(conn);
    if (room < H2_FRAME_HEADER_BYTES + part) {
        if (room < H2_FRAME_HEADER_BYTES + block->length / BLOCK_FRAMES + 1)
            return false;
        part = room - H2_FRAME_HEADER_BYTES;
    }
    bool first = block->at == 0;
    uint8_t *frame = block->data + block->at - H2_FRAME_HEADER_BYTES;
    h2_frame_write(frame,
                   (struct h2_frame){
                       .length = part,
                       .type = first ? H2_FRAME_HEADERS : H2_FRAME_CONTINUATION,
                       .flags = (uint8_t)((part == left ? H2_FLAG_END_HEADERS : 0) |
                                          (first && out->end_stream ? H2_FLAG_END_STREAM : 0)),
                       .stream_id = out->stream_id,
                   });
    if (!h2_out_send(conn, bytes_of(frame, H2_FRAME_HEADER_BYTES + part)))
        return false;
    block->at += part;
    conn->wrote = true;
    counter_add(&conn->h2->counters.frames_out, 1);
    return true;
}

static bool send_block(struct h2_conn *conn, struct h2_header_block *block,
                       const struct h2_out_block *out)
{
    h2_place_close(conn);
    while (block->at < block->length)
        if (!block_frame(conn, block, out))
            return false;
    return true;
}

/* The header block under way. */
static bool send_rest_of_block(struct h2_conn *conn)
{
    struct h2_out_block *out = &conn->out_block;
    if (out->block == NULL)
        return true;
    if (!send_block(conn, out->block, out))
        return false;
    h2_header_block_give(conn, &out->block);
    return true;
}

/* What did not fit waits in an object. */
static void keep_block(struct h2_conn *conn, const struct h2_out_block *out)
{
    const struct h2_header_block *encoded = conn->h2->encoded;
    struct h2_header_block *block = h2_header_block_take(conn);
    if (block == NULL) {
        h2_violate(conn, 0, H2_VIOLATION_header_blocks_exhausted);
        return;
    }
    block->at = encoded->at;
    block->length = encoded->length;
    memcpy(block->data + block->at, encoded->data + encoded->at, block->length - block->at);
    conn->out_block = *out;
    conn->out_block.block = block;
}

/* No encoding of the section is longer. */
static size_t block_bound(const struct fields *fields)
{
    size_t bound = BLOCK_START_BYTES + fields->used +
                   (size_t)fields->count * (FIELD_CODE_BYTES + FIELD_NAME_MAX);
    if (bound <= H2_LIMIT_HEADER_BLOCK_BYTES / 8)
        return bound;
    bound = BLOCK_START_BYTES;
    struct field field;
    for (uint32_t at = 0; fields_next(fields, &at, &field);)
        bound += FIELD_CODE_BYTES + field.name.length + field.value.length;
    return bound;
}

/* Checked before encoding: afterwards the compression table would be out of step. */
static enum h2_violation check_section(const struct h2_conn *conn, size_t bound)
{
    if (bound > H2_LIMIT_HEADER_BLOCK_BYTES)
        return H2_VIOLATION_section_too_large;
    size_t frames = bound / H2_FRAME_PAYLOAD_BYTES + 1;
    bool fits = bound + frames * H2_FRAME_HEADER_BYTES <= room_of(conn);
    return fits || h2_header_block_is_free(conn) ? H2_VIOLATION_none
                                                 : H2_VIOLATION_section_no_memory;
}

/* Identifiers are given in the order of sending (RFC 9113 5.1.1). */
static void open_request(struct h2_stream *stream, const struct fields *fields)
{
    struct h2_conn *conn = stream->conn;
    struct bytes value = BYTES_NONE;
    stream->no_content =
        fields_find(fields, FIELD_METHOD, &value) && bytes_equal_text(value, "HEAD");
    stream->connect = fields_find(fields, FIELD_PROTOCOL, &value);
    bool has_priority = fields_find(fields, FIELD_PRIORITY, &value);
    conn->unsent_count--;
    h2_stream_number(stream, conn->next_id);
    if (has_priority || conn->has_early)
        h2_priority_open(stream, has_priority, value);
    conn->next_id += 2;
    h2_flow_request_opened(stream);
    if (conn->next_id <= H2_STREAM_ID_MAX)
        return;
    counter_add(&conn->h2->counters.identifiers_exhausted, 1);
    h2_goaway_final(conn);
    conn->door_closed = true;
}

/* How many bytes of ROOM, which is large enough, the section takes. */
static uint32_t encode(struct h2_conn *conn, const struct fields *fields, uint8_t *room,
                       size_t bytes)
{
    struct writer out = writer_over(room, bytes);
    check(h2_memo_encode(&conn->h2->memo, &conn->encoder, fields, &out));
    check(writer_length(&out) > 0);
    counter_add(&conn->h2->counters.header_blocks_out, 1);
    return (uint32_t)writer_length(&out);
}

/* A section in one frame, encoded where it is sent from: at PLACE, which has room for BOUND. */
static void place_section(struct h2_conn *conn, const struct fields *fields, uint8_t *place,
                          size_t bound, const struct h2_out_block *out)
{
    uint32_t length = encode(conn, fields, place + H2_FRAME_HEADER_BYTES, bound);
    uint8_t end = out->end_stream ? H2_FLAG_END_STREAM : 0;
    h2_frame_write(place, (struct h2_frame){
                              .length = length,
                              .type = H2_FRAME_HEADERS,
                              .flags = H2_FLAG_END_HEADERS | end,
                              .stream_id = out->stream_id,
                          });
    h2_place_written(&conn->h2->place, H2_FRAME_HEADER_BYTES + length);
    conn->wrote = true;
    counter_add(&conn->h2->counters.frames_out, 1);
}

/* A section that is copied, cut into frames if it has to be. */
static void copy_section(struct h2_conn *conn, const struct fields *fields,
                         const struct h2_out_block *out)
{
    struct h2_header_block *encoded = conn->h2->encoded;
    encoded->at = 0;
    encoded->length = encode(conn, fields, encoded->data, sizeof(encoded->data));
    if (!send_block(conn, encoded, out))
        keep_block(conn, out);
}

static void head_begins(struct h2_stream *stream)
{
    stream->headers_sent = true;
    if (stream->conn->role == H2_SERVER)
        stream->connect = stream->tunnel;
}

static void section(struct h2_stream *stream, const struct h2_supply *piece)
{
    struct h2_conn *conn = stream->conn;
    bool end = piece->end || piece->kind == H2_SUPPLY_TRAILERS;
    bool final = piece->kind == H2_SUPPLY_HEADERS;
    check(stream->headers_sent == (piece->kind == H2_SUPPLY_TRAILERS));
    check(piece->kind != H2_SUPPLY_INTERIM || (conn->role == H2_SERVER && !end));
    size_t bound = block_bound(piece->fields);
    uint8_t *place = NULL;
    if (bound <= H2_FRAME_PAYLOAD_BYTES)
        place = h2_place_room(&conn->h2->place, conn, H2_FRAME_HEADER_BYTES + bound);
    enum h2_violation violation = place != NULL ? H2_VIOLATION_none : check_section(conn, bound);
    if (violation != H2_VIOLATION_none) {
        h2_violate_stream(stream, violation);
        return;
    }
    if (stream->id == 0)
        open_request(stream, piece->fields);
    if (final)
        head_begins(stream);
    struct h2_out_block out = {.stream_id = stream->id, .end_stream = end};
    if (place != NULL)
        place_section(conn, piece->fields, place, bound, &out);
    else
        copy_section(conn, piece->fields, &out);
    if (end && h2_stream_is_alive(stream))
        h2_stream_we_ended(stream);
}

/* A header block is never empty: trailers without any field say no more than END_STREAM does. */
static void trailers(struct h2_stream *stream, const struct h2_supply *piece, uint32_t max)
{
    static const struct h2_supply end = {.kind = H2_SUPPLY_DATA, .end = true};
    if (piece->fields->count > 0)
        section(stream, piece);
    else
        data_frame(stream, &end, max);
}

/* What the owner had. False: nothing. */
static bool write_piece(struct h2_stream *stream, const struct h2_supply *piece, uint32_t max)
{
    switch (piece->kind) {
    case H2_SUPPLY_NONE:
        return false;
    case H2_SUPPLY_INTERIM:
    case H2_SUPPLY_HEADERS:
        section(stream, piece);
        return true;
    case H2_SUPPLY_TRAILERS:
        trailers(stream, piece, max);
        return true;
    case H2_SUPPLY_DATA:
        data_frame(stream, piece, max);
        return true;
    case H2_SUPPLY_RESET:
        counter_add(&stream->conn->h2->counters.streams_reset_by_us, 1);
        h2_stream_abandon(stream, (enum h2_error)piece->code);
        return true;
    }
    return false;
}

static uint32_t data_max(const struct h2_stream *stream, uint32_t room)
{
    if (!stream->headers_sent)
        return 0;
    uint32_t max = room - H2_LIMIT_CONTROL_ROOM - H2_FRAME_HEADER_BYTES;
    if (max > H2_FRAME_PAYLOAD_BYTES)
        max = H2_FRAME_PAYLOAD_BYTES;
    uint32_t windows = h2_flow_sendable(stream);
    return windows < max ? windows : max;
}

enum turn {
    TURN_WROTE,   /* or there is one stream less */
    TURN_NOTHING, /* its owner had nothing, or nobody was ready */
    TURN_NO_ROOM, /* the transport has too little */
};

/* Its owner had nothing, or there is no window for it. */
static void turn_ends(struct h2_stream *stream, uint32_t max)
{
    if (stream->headers_sent && max == 0 && !list_is_linked(&stream->turn))
        h2_flow_park(stream);
    else
        stream->stall.since_ms = 0; /* its owner has nothing more */
}

/* What the stream has next. The transport has ROOM, which is enough for a turn. */
static enum turn stream_piece(struct h2_stream *stream, uint32_t room, uint64_t now)
{
    struct h2_conn *conn = stream->conn;
    uint32_t max = data_max(stream, room);
    struct h2_supply piece = conn->handler->supply(stream, max, now);
    if (!h2_stream_is_alive(stream)) /* reset meanwhile, or the connection closed */
        return TURN_WROTE;
    if (write_piece(stream, &piece, max))
        return TURN_WROTE;
    turn_ends(stream, max);
    return TURN_NOTHING;
}

/* Its head has just gone out, whole, and there may be something behind it. */
static bool body_follows(const struct h2_stream *stream, bool had_head)
{
    return !had_head && stream->headers_sent && h2_stream_can_send(stream) &&
           h2_out_is_whole(stream->conn);
}

/* The first ready stream's turn: a header section or a DATA frame, or a head with one behind it. */
static enum turn stream_turn(struct h2_conn *conn, uint64_t now)
{
    uint32_t room = turn_room(conn);
    if (room < TURN_ROOM)
        return TURN_NO_ROOM;
    struct h2_stream *stream = h2_ready_take(conn);
    if (stream == NULL)
        return TURN_NOTHING;
    if (stream->id == 0 && !h2_stream_has_slot(conn)) {
        stream->parked = H2_PARKED_SLOT;
        return TURN_NOTHING;
    }
    bool had_head = stream->headers_sent;
    if (stream_piece(stream, room, now) == TURN_NOTHING)
        return TURN_NOTHING;
    if (body_follows(stream, had_head)) {
        room = turn_room(conn);
        if (room >= TURN_ROOM && stream_piece(stream, room, now) == TURN_NOTHING)
            return TURN_WROTE;
    }
    if (h2_stream_is_alive(stream))
        h2_ready_again(stream);
    return TURN_WROTE;
}

/* When no stream that is ready has anything, the next flush asks again. */
static bool out_streams(struct h2_conn *conn, uint64_t now)
{
    uint32_t nothings = 0;
    while (conn->ready.set != 0 && nothings <= conn->stream_count) {
        enum turn turn = stream_turn(conn, now);
        if (turn == TURN_NO_ROOM)
            return h2_ready_is_empty(conn);
        if (h2_conn_is_closed(conn) || !h2_out_is_whole(conn))
            return false;
        nothings = turn == TURN_NOTHING ? nothings + 1 : 0;
        h2_bury_streams(conn->h2);
    }
    if (!h2_ready_is_empty(conn))
        h2_conn_wake(conn);
    return true;
}

static bool run(struct h2_conn *conn, uint64_t now)
{
    if (!send_data(conn) || !send_rest_of_block(conn))
        return false;
    if (conn->control_due && !h2_out_control(conn))
        return false;
    if (!out_streams(conn, now))
        return false;
    return !conn->control_due || h2_out_control(conn);
}

bool h2_out_run(struct h2_conn *conn, uint64_t now)
{
    conn->starved = false;
    conn->wrote = false;
    bool done = run(conn, now);
    h2_place_close(conn);
    if (!h2_conn_is_closed(conn))
        h2_stall_look(conn, done);
    return done;
}
