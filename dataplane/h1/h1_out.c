#include "dataplane/base/check.h"
#include "dataplane/base/counter.h"
#include "dataplane/h1/h1_conn.h"

static uint32_t room_of(const struct h1_conn *conn)
{
    return conn->transport.ops->room(conn->transport.stream);
}

/* TCP has room but no memory: the next flush tries again. */
static bool starved(struct h1_conn *conn)
{
    counter_add(&conn->h1->counters.sends_starved, 1);
    h1_wake(conn);
    return false;
}

/* All of it or nothing. False: not now; it will be tried again. */
static bool send_bytes(struct h1_conn *conn, struct bytes bytes)
{
    if (room_of(conn) < bytes.length)
        return false;
    return conn->transport.ops->send_copy(conn->transport.stream, bytes) || starved(conn);
}

static bool send_chunk(struct h1_conn *conn, struct chunk *chunk)
{
    if (room_of(conn) < chunk->length)
        return false;
    if (!conn->transport.ops->send_segment(conn->transport.stream, chunk->segment, chunk->offset,
                                           chunk->length))
        return starved(conn);
    segment_drop(chunk->segment);
    chunk->length = 0;
    return true;
}

/* The piece under way. True: it has gone. */
static bool send_piece(struct h1_conn *conn)
{
    struct h1_piece *piece = &conn->piece;
    if (piece->text_bytes > 0 && !send_bytes(conn, bytes_of(piece->text, piece->text_bytes)))
        return false;
    piece->text_bytes = 0;
    if (piece->chunk.length > 0 && !send_chunk(conn, &piece->chunk))
        return false;
    if (piece->tail_bytes > 0 && !send_bytes(conn, bytes_of(piece->tail, piece->tail_bytes)))
        return false;
    piece->tail_bytes = 0;
    conn->request_ended |= piece->end;
    piece->end = false;
    return true;
}

static void set_text(uint8_t *place, uint8_t *count, const char *text)
{
    *count = (uint8_t)strlen(text);
    memcpy(place, text, *count);
}

/* --- pieces --- */

/* Nothing has been sent: the connection is as good as before, and the request somebody else's. */
static void give_back(struct h1_conn *conn, enum h1_violation why, uint64_t now)
{
    h1_violation_count(&conn->h1->counters, why);
    h1_clean(conn);
    h1_change(conn, H1_CAUSE_KEPT);
    conn->handler->reset(conn, (struct h2_reset){.unprocessed = true}, now);
}

/* In pieces: a record of TLS is smaller than a head may be. head_sent: some of it at least. */
static bool send_head(struct h1_conn *conn, struct bytes head)
{
    const struct transport *transport = &conn->transport;
    while (head.length > 0) {
        uint32_t room = room_of(conn);
        struct bytes piece = bytes_first(head, head.length < room ? head.length : room);
        bool little = piece.length < head.length && room < H1_OUT_ROOM;
        if (little || !transport->ops->send_copy(transport->stream, piece))
            return false;
        conn->head_sent = true;
        head = bytes_after(head, piece.length);
    }
    return true;
}

/* No memory. Nobody acts upon half a head (RFC 9112 8), but nothing can follow it either. */
static void head_unsent(struct h1_conn *conn, uint64_t now)
{
    counter_add(&conn->h1->counters.requests_unsent, 1);
    if (conn->head_sent)
        h1_fail(conn, H1_VIOLATION_none, (struct h2_reset){.unprocessed = true}, now);
    else
        give_back(conn, H1_VIOLATION_none, now);
}

static void write_head(struct h1_conn *conn, const struct h2_supply *supply, uint64_t now)
{
    struct h1 *h1 = conn->h1;
    struct writer out = writer_over(h1->head, h1->head_capacity);
    enum h1_violation violation =
        h1_request_write(supply->fields, supply->end, &out, &conn->framing);
    if (violation != H1_VIOLATION_none) {
        give_back(conn, violation, now);
        return;
    }
    if (!send_head(conn, writer_written(&out))) {
        head_unsent(conn, now);
        return;
    }
    counter_add(&h1->counters.requests, 1);
    conn->request_ended = supply->end;
    conn->parser.to_head = conn->framing.is_head;
}

/* RFC 9112 6.3: what was declared is what is sent, to the byte. */
static bool length_is_kept(const struct h1_conn *conn, const struct h2_supply *supply)
{
    uint64_t sent = conn->body_sent + supply->chunk.length;
    if (conn->framing.chunked)
        return true;
    return sent <= conn->framing.content_length &&
           (!supply->end || sent == conn->framing.content_length);
}

static void write_data(struct h1_conn *conn, const struct h2_supply *supply, uint64_t now)
{
    struct h1_piece *piece = &conn->piece;
    uint32_t length = supply->chunk.length;
    if (!length_is_kept(conn, supply)) {
        h1_fail(conn, H1_VIOLATION_request_length_mismatch, (struct h2_reset){.code = H2_CANCEL},
                now);
        return;
    }
    *piece = (struct h1_piece){.end = supply->end};
    if (length > 0) {
        piece->chunk = supply->chunk;
        segment_hold(piece->chunk.segment);
        conn->body_sent += length;
        counter_add(&conn->h1->counters.body_out, length);
    }
    if (!conn->framing.chunked)
        return;
    if (length == 0) {
        set_text(piece->text, &piece->text_bytes, supply->end ? "0\r\n\r\n" : "");
        return;
    }
    struct writer text = writer_over(piece->text, sizeof(piece->text));
    h1_chunk_size_write(length, &text);
    piece->text_bytes = (uint8_t)writer_length(&text);
    set_text(piece->tail, &piece->tail_bytes, supply->end ? "\r\n0\r\n\r\n" : "\r\n");
}

/* Trailers can be left out (RFC 9110 6.5.1): where they have no place, or there is no room. */
static void write_trailers(struct h1_conn *conn, const struct fields *trailers, uint64_t now)
{
    struct h1 *h1 = conn->h1;
    struct writer out = writer_over(h1->head, h1->head_capacity);
    struct h2_supply bare = {.kind = H2_SUPPLY_DATA, .end = true};
    bool sent = conn->framing.chunked && h1_trailers_write(trailers, &out) &&
                send_bytes(conn, writer_written(&out));
    conn->request_ended |= sent;
    if (sent)
        return;
    counter_add(&h1->counters.trailers_dropped, 1);
    write_data(conn, &bare, now);
}

/* The next piece of the request. False: there is none. */
static bool pull(struct h1_conn *conn, uint32_t max, uint64_t now)
{
    struct h2_supply supply = conn->handler->supply(conn, max, now);
    if (supply.kind == H2_SUPPLY_NONE) {
        conn->ready = false;
        return false;
    }
    switch (supply.kind) {
    case H2_SUPPLY_NONE:
    case H2_SUPPLY_INTERIM: /* requests have none */
        check(supply.kind != H2_SUPPLY_INTERIM);
        break;
    case H2_SUPPLY_HEADERS:
        write_head(conn, &supply, now);
        break;
    case H2_SUPPLY_DATA:
        write_data(conn, &supply, now);
        break;
    case H2_SUPPLY_TRAILERS:
        write_trailers(conn, supply.fields, now);
        break;
    case H2_SUPPLY_RESET:
        h1_cancel(conn, now);
        break;
    }
    return true;
}

static bool wants_piece(const struct h1_conn *conn)
{
    return conn->state == H1_CONN_BUSY && conn->ready && !conn->request_ended && !conn->unwanted;
}

void h1_write(struct h1_conn *conn, uint64_t now)
{
    while (conn->state == H1_CONN_BUSY && send_piece(conn) && wants_piece(conn)) {
        uint32_t room = room_of(conn);
        if (room < H1_OUT_ROOM)
            return;
        if (!pull(conn, conn->head_sent ? room - 2 * H1_CHUNK_TEXT_BYTES : 0, now))
            return;
    }
}
