/*
 * h2_header_block: header blocks from HEADERS and CONTINUATION (RFC 9113 4.3), and what their
 * sections mean for the streams they are about (RFC 9113 8.1).
 *
 * A block that lies in one piece in what the transport has is decoded where it is; otherwise it is
 * put together in an object from the pool. Every block is decoded, whatever becomes of its stream:
 * the compression table has to stay in step.
 */
#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/h2/field_form.h"
#include "dataplane/h2/h2_conn.h"
#include "dataplane/h2/h2_flow.h"
#include "dataplane/h2/h2_message.h"

/* A decoded section on its way to its stream. */
struct section {
    struct h2_conn *conn;
    struct fields fields;
    struct h2_memo_in *kept; /* what is known of the block; NULL: nothing */
    uint32_t stream_id;
    bool end_stream;
    bool self_dependent;
    uint64_t now;
};

/*
 * Who holds a block longest while others need one loses it, and its connection, after a second:
 * a few peers who never finish theirs cannot keep everybody else's headers out.
 */
static struct h2_conn *evictable(const struct h2_conn *conn)
{
    const struct h2 *h2 = conn->h2;
    if (list_is_empty(&h2->block_holders))
        return NULL;
    struct h2_conn *oldest = list_entry(h2->block_holders.next, struct h2_conn, holding);
    bool is_old = h2->now >= oldest->holding_since_ns + H2_LIMIT_HEADER_BLOCK_SHARE_MS * CLOCK_MS;
    return is_old && oldest != conn ? oldest : NULL;
}

bool h2_header_block_is_free(const struct h2_conn *conn)
{
    return conn->h2->header_blocks.free_count > 0 || evictable(conn) != NULL;
}

struct h2_header_block *h2_header_block_take(struct h2_conn *conn)
{
    struct h2 *h2 = conn->h2;
    struct h2_conn *oldest = h2->header_blocks.free_count == 0 ? evictable(conn) : NULL;
    if (oldest != NULL)
        h2_violate(oldest, 0, H2_VIOLATION_header_block_evicted);
    struct h2_header_block *block = pool_take(&h2->header_blocks);
    if (block == NULL || list_is_linked(&conn->holding))
        return block;
    conn->holding_since_ns = h2->now;
    list_push_back(&h2->block_holders, &conn->holding);
    return block;
}

void h2_header_block_give(struct h2_conn *conn, struct h2_header_block **block)
{
    if (*block != NULL)
        pool_give(&conn->h2->header_blocks, *block);
    *block = NULL;
    if (conn->in.block == NULL && conn->out_block.block == NULL)
        list_remove(&conn->holding);
}

enum h2_violation h2_header_block_continue(struct h2_conn *conn)
{
    struct h2_in *in = &conn->in;
    if (++in->block_frames > H2_LIMIT_CONTINUATION_FRAMES)
        return H2_VIOLATION_continuation_flood;
    uint32_t so_far = in->block == NULL ? 0 : in->block->length;
    if (so_far + in->frame.length > H2_LIMIT_HEADER_BLOCK_BYTES)
        return H2_VIOLATION_header_block_too_large;
    return H2_VIOLATION_none;
}

bool h2_header_block_add(struct h2_conn *conn, struct bytes fragment)
{
    struct h2 *h2 = conn->h2;
    struct h2_in *in = &conn->in;
    if (in->block == NULL) {
        in->block = h2_header_block_take(conn);
        if (in->block == NULL)
            return false;
        in->block->length = 0;
        counter_add(&h2->counters.header_blocks_gathered, 1);
        h2_conn_deadline(conn, H2_DEADLINE_HEADER_BLOCK,
                         h2->now + H2_LIMIT_HEADER_BLOCK_MS * CLOCK_MS);
    }
    check(in->block->length + fragment.length <= sizeof(in->block->data));
    if (fragment.length > 0)
        memcpy(in->block->data + in->block->length, fragment.data, fragment.length);
    in->block->length += (uint32_t)fragment.length;
    return true;
}

void h2_header_block_release(struct h2_conn *conn)
{
    conn->in.block_id = 0;
    if (conn->in.block == NULL)
        return;
    h2_header_block_give(conn, &conn->in.block);
    conn->due_ns[H2_DEADLINE_HEADER_BLOCK] = CLOCK_NEVER;
}

static enum h2_violation violation_of(enum hpack_result result)
{
    switch (result) {
    case HPACK_OK:
        return H2_VIOLATION_none;
    case HPACK_BAD_INTEGER:
        return H2_VIOLATION_hpack_bad_integer;
    case HPACK_BAD_INDEX:
        return H2_VIOLATION_hpack_bad_index;
    case HPACK_BAD_HUFFMAN:
        return H2_VIOLATION_hpack_bad_huffman;
    case HPACK_BAD_TABLE_SIZE:
        return H2_VIOLATION_hpack_bad_table_size;
    case HPACK_TRUNCATED:
        return H2_VIOLATION_hpack_truncated;
    case HPACK_NO_MEMORY:
        return H2_VIOLATION_hpack_tables_exhausted;
    }
    return H2_VIOLATION_none;
}

static enum h2_violation look_at(const struct section *section, enum h2_judged as,
                                 struct h2_message *message)
{
    switch (as) {
    case H2_JUDGED_REQUEST:
        return h2_message_request(&section->fields, section->conn->connect_protocol, message);
    case H2_JUDGED_RESPONSE:
        return h2_message_response(&section->fields, message);
    case H2_JUDGED_TRAILERS:
        return h2_message_trailers(&section->fields, message);
    case H2_JUDGED_NOT:
        break;
    }
    check(!"what a section may be");
    return H2_VIOLATION_none;
}

/* The field that stands in a shape; NULL: the name is of the whole section. */
static const uint8_t *own_field(const struct section *section)
{
    const struct fields *fields = &section->fields;
    return fields->own_unnamed ? fields->data + fields->part_ends[PART_FRONT] : NULL;
}

/*
 * Of a path all that matters beside its length is that it is one: `*` is judged with the method
 * (RFC 9110 7.1). Of others it is their form.
 */
static bool own_is_good(const uint8_t *at, struct h2_message *message)
{
    struct field_head head;
    struct field own;
    field_read(at, &head, &own);
    message->list_bytes += own.value.length;
    if (own.token == FIELD_CONTENT_LENGTH)
        return h2_message_length(own.value, &message->content_length);
    return field_form_of(own.token, own.name, own.value) == FORM_GOOD &&
           (own.token != FIELD_PATH || own.value.data[0] == '/');
}

/* Whether it has been found out of the block, or of its shape, and what is its own is good. */
static bool is_judged(const struct section *section, enum h2_judged as, struct h2_message *message)
{
    const struct h2_memo_in *kept = section->kept;
    const uint8_t *own = own_field(section);
    if (kept == NULL || kept->judged != as)
        return false;
    *message = kept->message;
    return own == NULL || own_is_good(own, message);
}

/*
 * Whether it is well-formed, and what it says. Found out once for a block that comes again, but for
 * :protocol, which is judged by what was announced, too.
 */
static enum h2_violation judge(struct section *section, enum h2_judged as,
                               struct h2_message *message)
{
    struct h2_memo_in *kept = section->kept;
    if (is_judged(section, as, message))
        return H2_VIOLATION_none;
    enum h2_violation violation = look_at(section, as, message);
    if (kept == NULL || violation != H2_VIOLATION_none ||
        fields_may_have(&section->fields, FIELD_PROTOCOL))
        return violation;
    kept->judged = as;
    kept->message = *message;
    if (own_field(section) != NULL)
        kept->message.list_bytes -= field_value(own_field(section)).length;
    return H2_VIOLATION_none;
}

/*
 * A list that is too large goes on as `overflow`, without a name, which others of its shape have
 * that are not: its stream is refused by the owner.
 */
static bool list_fits(struct section *section, const struct h2_message *message)
{
    struct h2 *h2 = section->conn->h2;
    if (message->list_bytes > h2->config.header_list_bytes)
        section->fields.overflow = true;
    if (section->fields.count > H2_LIMIT_HEADER_FIELDS) {
        counter_add(&h2->counters.header_fields_too_many, 1);
        section->fields.overflow = true;
    }
    if (!section->fields.overflow)
        return true;
    section->fields.name = 0;
    counter_add(&h2->counters.header_lists_too_large, 1);
    return false;
}

static void tell_headers(struct section *section, struct h2_stream *stream, enum h2_section kind)
{
    struct h2_conn *conn = section->conn;
    conn->handler->headers(conn->owner, stream, &section->fields, kind, section->end_stream,
                           section->now);
    if (section->end_stream)
        h2_stream_peer_ended(stream);
}

/* END_STREAM without DATA, although content-length promised some. */
static bool body_is_short(const struct section *section, uint64_t body_left)
{
    return section->end_stream && body_left != H2_LENGTH_UNKNOWN && body_left > 0;
}

static void note_opened(struct h2_conn *conn, uint32_t id)
{
    uint32_t shift = (id - conn->last_peer_id) / 2;
    if (conn->last_peer_id == 0)
        shift = 64;
    conn->ids_seen = (shift < 64 ? conn->ids_seen << shift : 0) | 1;
    conn->last_peer_id = id;
}

/* May this request become a stream? RFC 9113 5.1.2, 8.1.1 */
static enum h2_violation check_request(struct section *section, struct h2_message *message)
{
    struct h2_conn *conn = section->conn;
    uint32_t concurrent = conn->stream_count + conn->reset_count + conn->held_count;
    if (concurrent >= conn->h2->config.server_concurrent_streams)
        return H2_VIOLATION_streams_exceeded;
    if (section->self_dependent)
        return H2_VIOLATION_depends_on_itself;
    *message = (struct h2_message){.content_length = H2_LENGTH_UNKNOWN};
    if (!section->fields.overflow) {
        enum h2_violation violation = judge(section, H2_JUDGED_REQUEST, message);
        if (violation != H2_VIOLATION_none)
            return violation;
    }
    if (!list_fits(section, message))
        return H2_VIOLATION_none;
    if (conn->header_bytes + section->fields.used > H2_LIMIT_HEADER_MEMORY_BYTES)
        return H2_VIOLATION_header_memory_exceeded;
    return body_is_short(section, message->content_length) ? H2_VIOLATION_content_length_mismatch
                                                           : H2_VIOLATION_none;
}

static void new_request(struct section *section)
{
    struct h2_conn *conn = section->conn;
    uint32_t id = section->stream_id;
    note_opened(conn, id);
    if (conn->final_sent) {
        counter_add(&conn->h2->counters.frames_discarded, 1);
        h2_violate(conn, id, h2_budget_charge(&conn->budgets, H2_BUDGET_discarded, section->now));
        return;
    }
    conn->accepted_id = id;
    struct h2_message message;
    enum h2_violation violation = check_request(section, &message);
    if (violation != H2_VIOLATION_none) {
        h2_violate(conn, id, violation);
        return;
    }
    struct h2_stream *stream = h2_stream_take(conn);
    if (stream == NULL) {
        h2_violate(conn, id, H2_VIOLATION_streams_exhausted);
        return;
    }
    conn->due_ns[H2_DEADLINE_IDLE] = CLOCK_NEVER;
    h2_stream_number(stream, id);
    stream->headers_received = true;
    stream->body_left = message.content_length;
    stream->header_bytes = section->fields.overflow ? 0 : section->fields.used;
    conn->header_bytes += stream->header_bytes;
    struct bytes value = BYTES_NONE;
    stream->connect = fields_may_have(&section->fields, FIELD_PROTOCOL);
    bool has_priority = fields_find(&section->fields, FIELD_PRIORITY, &value);
    h2_priority_open(stream, has_priority, value);
    tell_headers(section, stream, H2_SECTION_HEADERS);
}

static void trailers(struct section *section, struct h2_stream *stream)
{
    struct h2_message message = {0};
    enum h2_violation violation = H2_VIOLATION_none;
    if (stream->connect) /* RFC 9113 8.5 */
        violation = H2_VIOLATION_headers_in_tunnel;
    else if (!section->end_stream)
        violation = H2_VIOLATION_trailers_without_end;
    else if (body_is_short(section, stream->body_left))
        violation = H2_VIOLATION_content_length_mismatch;
    else if (!section->fields.overflow)
        violation = judge(section, H2_JUDGED_TRAILERS, &message);
    if (violation != H2_VIOLATION_none) {
        h2_violate(section->conn, section->stream_id, violation);
        return;
    }
    (void)list_fits(section, &message);
    tell_headers(section, stream, H2_SECTION_TRAILERS);
}

static enum h2_violation check_interim(const struct section *section, struct h2_stream *stream)
{
    if (section->end_stream)
        return H2_VIOLATION_interim_with_end;
    if (++stream->interim_count > H2_LIMIT_INTERIM_RESPONSES)
        return H2_VIOLATION_interim_flood;
    return H2_VIOLATION_none;
}

/* RFC 9110 6.4.1: these have no content, whatever content-length says. */
static bool has_no_content(const struct h2_stream *stream, uint16_t status)
{
    return stream->no_content || status == 204 || status == 304;
}

static enum h2_violation check_response(struct section *section, struct h2_stream *stream,
                                        struct h2_message *message)
{
    *message = (struct h2_message){.content_length = H2_LENGTH_UNKNOWN};
    if (!section->fields.overflow) {
        enum h2_violation violation = judge(section, H2_JUDGED_RESPONSE, message);
        if (violation != H2_VIOLATION_none)
            return violation;
    }
    if (!list_fits(section, message))
        return H2_VIOLATION_none;
    if (message->status < 200)
        return check_interim(section, stream);
    if (has_no_content(stream, message->status))
        message->content_length = 0;
    else if (stream->connect && message->status < 300) /* RFC 9110 9.3.6 */
        message->content_length = H2_LENGTH_UNKNOWN;
    return body_is_short(section, message->content_length) ? H2_VIOLATION_content_length_mismatch
                                                           : H2_VIOLATION_none;
}

static void response(struct section *section, struct h2_stream *stream)
{
    struct h2_message message;
    enum h2_violation violation = check_response(section, stream, &message);
    if (violation != H2_VIOLATION_none) {
        h2_violate(section->conn, section->stream_id, violation);
        return;
    }
    bool interim = !section->fields.overflow && message.status < 200;
    if (!interim) {
        stream->headers_received = true;
        stream->connect = stream->connect && message.status < 300;
        stream->body_left = message.content_length;
        if (!section->end_stream)
            h2_flow_answer_began(stream, message.content_length);
    }
    tell_headers(section, stream, interim ? H2_SECTION_INTERIM : H2_SECTION_HEADERS);
}

static void section_in(struct section *section)
{
    struct h2_conn *conn = section->conn;
    if (conn->role == H2_SERVER && section->stream_id > conn->last_peer_id) {
        new_request(section);
        return;
    }
    struct h2_stream *stream = conn->in.stream;
    if (stream == NULL)
        stream = h2_stream_find(conn, section->stream_id);
    if (stream == NULL)
        return;
    if (section->self_dependent)
        h2_violate(conn, section->stream_id, H2_VIOLATION_depends_on_itself);
    else if (stream->headers_received)
        trailers(section, stream);
    else
        response(section, stream);
}

/* A client that rests longest loses its connection, and with it its compression tables. */
static bool close_resting(struct h2 *h2)
{
    if (list_is_empty(&h2->resting))
        return false;
    struct h2_conn *longest = list_entry(h2->resting.next, struct h2_conn, resting);
    counter_add(&h2->counters.resting_closed, 1);
    h2_conn_end(longest, (struct h2_end){.code = H2_NO_ERROR, .goaway = true});
    return true;
}

static enum hpack_result try_to_decode(struct section *section, struct bytes whole)
{
    struct h2 *h2 = section->conn->h2;
    fields_init(&section->fields, h2->fields, h2->config.header_list_bytes);
    enum hpack_result result =
        h2_memo_decode(&h2->memo, &section->conn->decoder, whole, &section->fields, &section->kept);
    if (section->conn->stream_count == 0)
        h2_conn_rests(section->conn);
    return result;
}

/* Without a table nothing was entered: the block can be decoded again from its beginning. */
static enum hpack_result decode(struct section *section, struct bytes whole)
{
    enum hpack_result result = try_to_decode(section, whole);
    if (result != HPACK_NO_MEMORY || section->conn->role != H2_SERVER ||
        !close_resting(section->conn->h2))
        return result;
    return try_to_decode(section, whole);
}

void h2_header_block_complete(struct h2_conn *conn, struct bytes whole, uint64_t now)
{
    struct h2 *h2 = conn->h2;
    struct section section = {
        .conn = conn,
        .stream_id = conn->in.block_id,
        .end_stream = (conn->in.block_flags & H2_FLAG_END_STREAM) != 0,
        .self_dependent = conn->in.block_self_dependent,
        .now = now,
    };
    enum hpack_result result = decode(&section, whole);
    h2_header_block_release(conn);
    counter_add(&h2->counters.header_blocks_in, 1);
    if (result != HPACK_OK)
        h2_violate(conn, 0, violation_of(result));
    else
        section_in(&section);
}
