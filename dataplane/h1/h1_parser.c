#include "dataplane/h1/h1_parser.h"

#include "dataplane/base/check.h"

void h1_parser_init(struct h1_parser *parser, bool to_head)
{
    *parser = (struct h1_parser){
        .place = H1_STATUS_LINE, .content_length = UINT64_MAX, .to_head = to_head};
}

static struct h1_step nothing(uint32_t taken)
{
    return (struct h1_step){.found = H1_FOUND_NOTHING, .taken = taken};
}

static struct h1_step found(enum h1_found what, uint32_t taken)
{
    return (struct h1_step){.found = what, .taken = taken};
}

static struct h1_step bad(struct h1_parser *parser, enum h1_violation violation)
{
    parser->violation = violation;
    parser->place = H1_OVER;
    return found(H1_FOUND_BAD, 0);
}

/* --- sections --- */

/* RFC 9112 6.3, rules 1 to 8: how long the body is. */
static enum h1_violation begin_body(struct h1_parser *parser)
{
    bool has_length = parser->content_length != UINT64_MAX;
    if (parser->chunked && parser->old)
        return H1_VIOLATION_transfer_encoding_old;
    if (parser->chunked && has_length)
        return H1_VIOLATION_transfer_encoding_and_length;
    if (parser->to_head || parser->status == 204 || parser->status == 304) {
        parser->place = H1_OVER;
    } else if (parser->chunked) {
        parser->place = H1_CHUNK_SIZE;
    } else if (has_length) {
        parser->left = parser->content_length;
        parser->place = parser->left > 0 ? H1_BODY : H1_OVER;
    } else {
        parser->place = H1_BODY_TO_END;
        parser->until_close = true;
    }
    parser->last |= parser->until_close || parser->old;
    return H1_VIOLATION_none;
}

/* The next head comes behind this one; what was found in it counts for nothing. */
static struct h1_step end_interim(struct h1_parser *parser, uint32_t taken)
{
    if (parser->status == 101)
        return bad(parser, H1_VIOLATION_switching_protocols);
    if (++parser->interims > H1_INTERIMS_MAX)
        return bad(parser, H1_VIOLATION_interim_flood);
    parser->place = H1_STATUS_LINE;
    parser->chunked = false;
    parser->content_length = UINT64_MAX;
    return found(H1_FOUND_INTERIM, taken);
}

static struct h1_step end_section(struct h1_parser *parser, uint32_t taken)
{
    parser->lines = 0;
    parser->options = 0;
    if (parser->place == H1_TRAILER_LINES) {
        parser->place = H1_OVER;
        return found(H1_FOUND_TRAILERS, taken);
    }
    h1_drop_connection(parser->fields);
    if (parser->status < 200 || parser->status == 204)
        h1_drop_length(parser->fields);
    if (parser->status < 200)
        return end_interim(parser, taken);
    enum h1_violation violation = begin_body(parser);
    return violation == H1_VIOLATION_none ? found(H1_FOUND_HEAD, taken) : bad(parser, violation);
}

/* RFC 9112 2.2: lines end with CRLF, and CR stands nowhere else. LENGTH is with the LF. */
static enum h1_violation check_line(const uint8_t *line, size_t length)
{
    if (length < 2 || line[length - 2] != '\r')
        return H1_VIOLATION_bare_lf;
    if (memchr(line, '\r', length - 2) != NULL)
        return H1_VIOLATION_bare_cr;
    return memchr(line, 0, length - 2) != NULL ? H1_VIOLATION_nul : H1_VIOLATION_none;
}

static enum h1_violation take_line(struct h1_parser *parser, uint8_t *line, size_t length)
{
    enum h1_violation violation = check_line(line, length);
    if (violation != H1_VIOLATION_none)
        return violation;
    if (++parser->lines > H1_FIELDS_MAX)
        return h1_too_many(parser);
    if (parser->place != H1_STATUS_LINE)
        return h1_field_line(parser, line, length - 2);
    violation = h1_status_line(parser, bytes_of(line, length - 2));
    parser->place = H1_FIELD_LINES;
    return violation;
}

static enum h1_violation overflow(struct h1_parser *parser)
{
    parser->fields->overflow = true;
    return H1_VIOLATION_head_too_large;
}

/* Some of a line, or all of it. */
static struct h1_step section_line(struct h1_parser *parser, struct bytes input)
{
    const uint8_t *lf = memchr(input.data, '\n', input.length);
    size_t piece = lf != NULL ? (size_t)(lf - input.data) + 1 : input.length;
    struct writer room = fields_room(parser->fields);
    if (room.failed || writer_room(&room) - parser->line_bytes < piece)
        return bad(parser, overflow(parser));
    memcpy(room.start + parser->line_bytes, input.data, piece);
    parser->line_bytes += (uint32_t)piece;
    if (lf == NULL)
        return nothing((uint32_t)piece);
    size_t length = parser->line_bytes;
    parser->line_bytes = 0;
    if (length == 2 && room.start[0] == '\r' && parser->place != H1_STATUS_LINE)
        return end_section(parser, (uint32_t)piece);
    enum h1_violation violation = take_line(parser, room.start, length);
    if (violation != H1_VIOLATION_none)
        return bad(parser, violation);
    return nothing((uint32_t)piece);
}

static struct h1_step section(struct h1_parser *parser, struct bytes input)
{
    if (parser->fields == NULL)
        return found(H1_FOUND_NO_BLOCK, 0);
    return section_line(parser, input);
}

/* --- bodies --- */

static struct h1_step body(struct h1_parser *parser, struct bytes input, uint32_t max)
{
    uint64_t most = input.length < max ? input.length : max;
    bool counted = parser->place != H1_BODY_TO_END;
    if (counted && most > parser->left)
        most = parser->left;
    if (most == 0)
        return nothing(0);
    if (counted)
        parser->left -= most;
    if (counted && parser->left == 0)
        parser->place = parser->place == H1_BODY ? H1_OVER : H1_CHUNK_DATA_CR;
    struct h1_step step = found(H1_FOUND_DATA, (uint32_t)most);
    step.data = bytes_first(input, most);
    return step;
}

static int hex_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    uint8_t letter = byte | 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* RFC 9112 7.1: 1*HEXDIG, then an extension or CRLF. */
static enum h1_violation size_byte(struct h1_parser *parser, uint8_t byte)
{
    int value = hex_value(byte);
    if (value >= 0) {
        if (parser->left >> 56 != 0)
            return H1_VIOLATION_chunk_size_overflow;
        parser->left = parser->left << 4 | (uint64_t)value;
        parser->digits = 1;
        return H1_VIOLATION_none;
    }
    if (byte == '\n')
        return H1_VIOLATION_bare_lf;
    if (parser->digits == 0)
        return H1_VIOLATION_chunk_size_bad;
    if (byte == '\r')
        parser->place = H1_CHUNK_SIZE_LF;
    else if (byte == ';')
        parser->place = H1_CHUNK_EXTENSION;
    else if (byte == ' ' || byte == '\t')
        parser->place = H1_CHUNK_SPACE;
    else
        return H1_VIOLATION_chunk_size_bad;
    return H1_VIOLATION_none;
}

/* RFC 9112 7.1.1: extensions are for nobody here, but have to be text. */
static enum h1_violation extension_byte(struct h1_parser *parser, uint8_t byte)
{
    if (byte == '\r')
        parser->place = H1_CHUNK_SIZE_LF;
    else if (byte == '\n')
        return H1_VIOLATION_bare_lf;
    else if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
        return H1_VIOLATION_chunk_size_bad;
    return H1_VIOLATION_none;
}

static enum h1_violation space_byte(struct h1_parser *parser, uint8_t byte)
{
    if (byte == ';')
        parser->place = H1_CHUNK_EXTENSION;
    return byte == ';' || byte == ' ' || byte == '\t' ? H1_VIOLATION_none
                                                      : H1_VIOLATION_chunk_size_bad;
}

static enum h1_violation size_line_ends(struct h1_parser *parser, uint8_t byte)
{
    if (byte != '\n')
        return H1_VIOLATION_bare_cr;
    parser->place = parser->left > 0 ? H1_CHUNK_DATA : H1_LAST_CHUNK;
    parser->line_bytes = 0;
    parser->digits = 0;
    return H1_VIOLATION_none;
}

static enum h1_violation expect_byte(struct h1_parser *parser, uint8_t byte, uint8_t wanted,
                                     enum h1_place then)
{
    if (byte != wanted)
        return H1_VIOLATION_chunk_end_bad;
    parser->place = then;
    return H1_VIOLATION_none;
}

/* A byte of what stands between chunks. */
static enum h1_violation chunk_byte(struct h1_parser *parser, uint8_t byte)
{
    bool in_line = parser->place <= H1_CHUNK_SIZE_LF;
    if (in_line && ++parser->line_bytes > H1_CHUNK_LINE_BYTES)
        return H1_VIOLATION_chunk_line_too_long;
    if (parser->place == H1_CHUNK_SIZE)
        return size_byte(parser, byte);
    if (parser->place == H1_CHUNK_SPACE)
        return space_byte(parser, byte);
    if (parser->place == H1_CHUNK_EXTENSION)
        return extension_byte(parser, byte);
    if (parser->place == H1_CHUNK_SIZE_LF)
        return size_line_ends(parser, byte);
    if (parser->place == H1_CHUNK_DATA_CR)
        return expect_byte(parser, byte, '\r', H1_CHUNK_DATA_LF);
    return expect_byte(parser, byte, '\n', H1_CHUNK_SIZE);
}

static struct h1_step between_chunks(struct h1_parser *parser, struct bytes input)
{
    uint32_t taken = 0;
    while (taken < input.length && parser->place >= H1_CHUNK_SIZE &&
           parser->place <= H1_CHUNK_DATA_LF && parser->place != H1_CHUNK_DATA) {
        enum h1_violation violation = chunk_byte(parser, input.data[taken++]);
        if (violation != H1_VIOLATION_none)
            return bad(parser, violation);
    }
    return nothing(taken);
}

/* RFC 9112 7.1.2: mostly there are no trailers, and no block is wanted for them. */
static struct h1_step last_chunk(struct h1_parser *parser, struct bytes input)
{
    if (parser->place == H1_LAST_CHUNK_LF) {
        if (input.data[0] != '\n')
            return bad(parser, H1_VIOLATION_bare_cr);
        parser->place = H1_OVER;
        return found(H1_FOUND_END, 1);
    }
    if (input.data[0] == '\r') {
        parser->place = H1_LAST_CHUNK_LF;
        return nothing(1);
    }
    parser->place = H1_TRAILER_LINES;
    return section(parser, input);
}

static struct h1_step one_step(struct h1_parser *parser, struct bytes input, uint32_t max)
{
    switch (parser->place) {
    case H1_STATUS_LINE:
    case H1_FIELD_LINES:
    case H1_TRAILER_LINES:
        return section(parser, input);
    case H1_BODY:
    case H1_BODY_TO_END:
    case H1_CHUNK_DATA:
        return body(parser, input, max);
    case H1_CHUNK_SIZE:
    case H1_CHUNK_SPACE:
    case H1_CHUNK_EXTENSION:
    case H1_CHUNK_SIZE_LF:
    case H1_CHUNK_DATA_CR:
    case H1_CHUNK_DATA_LF:
        return between_chunks(parser, input);
    case H1_LAST_CHUNK:
    case H1_LAST_CHUNK_LF:
        return last_chunk(parser, input);
    case H1_OVER:
        break;
    }
    return bad(parser, H1_VIOLATION_bytes_unasked);
}

struct h1_step h1_parse(struct h1_parser *parser, struct bytes input, uint32_t max)
{
    struct h1_step step = nothing(0);
    uint32_t taken = 0;
    while (taken < input.length) {
        step = one_step(parser, bytes_after(input, taken), max);
        taken += step.taken;
        if (step.found != H1_FOUND_NOTHING || step.taken == 0)
            break;
    }
    step.taken = taken;
    return step;
}

bool h1_parser_ends(struct h1_parser *parser)
{
    if (parser->place == H1_OVER)
        return parser->violation == H1_VIOLATION_none;
    bool well = parser->place == H1_BODY_TO_END;
    parser->violation = well ? H1_VIOLATION_none : H1_VIOLATION_answer_cut;
    parser->place = H1_OVER;
    return well;
}
