/*
 * h1_line: a line of a header or trailer section (RFC 9112 4, 5; RFC 9110 5, 7.6.1, 8.6).
 */
#include "dataplane/h1/h1_parser.h"
#include "dataplane/h1/h1_text.h"
#include "dataplane/h2/field_form.h"

#define KEEPS_FOR_MAX_S 3600u

/* --- the status-line --- */

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* RFC 9112 4: reason-phrase = 1*( HTAB / SP / VCHAR / obs-text ), and it may be missing. */
static bool reason_is_good(struct bytes reason)
{
    for (size_t i = 0; i < reason.length; i++)
        if ((reason.data[i] < 0x20 && reason.data[i] != '\t') || reason.data[i] == 0x7f)
            return false;
    return true;
}

/* "HTTP/1.1 200 OK". Without a reason some leave out the space before it, too. */
enum h1_violation h1_status_line(struct h1_parser *parser, struct bytes line)
{
    const uint8_t *at = line.data;
    if (line.length < 12 || memcmp(at, "HTTP/", 5) != 0 || !is_digit(at[5]) || at[6] != '.' ||
        !is_digit(at[7]) || at[8] != ' ')
        return H1_VIOLATION_status_line_bad;
    if (at[5] != '1')
        return H1_VIOLATION_version_bad;
    for (uint32_t i = 9; i < 12; i++)
        if (!is_digit(at[i]))
            return H1_VIOLATION_status_line_bad;
    if (at[9] == '0' || (line.length > 12 && at[12] != ' ') ||
        !reason_is_good(bytes_after(line, 12)))
        return H1_VIOLATION_status_line_bad;
    uint8_t digits[3] = {at[9], at[10], at[11]}; /* LINE lies where the field will */
    parser->old = at[7] == '0';
    parser->status =
        (uint16_t)((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0'));
    fields_add_token(parser->fields, FIELD_STATUS, bytes_of(digits, sizeof(digits)));
    return H1_VIOLATION_none;
}

/* --- fields with a meaning for this hop --- */

/* RFC 9110 8.6; a list of equal values (RFC 9112 6.3) is not taken either. */
static enum h1_violation content_length(struct h1_parser *parser, struct bytes value)
{
    if (parser->content_length != UINT64_MAX)
        return H1_VIOLATION_content_length_repeated;
    return h1_number(value, &parser->content_length) ? H1_VIOLATION_none
                                                     : H1_VIOLATION_content_length_bad;
}

/* RFC 9112 6.1: we have not said that we know any other (te), so there is none to be used. */
static enum h1_violation transfer_encoding(struct h1_parser *parser, struct bytes value)
{
    if (parser->chunked || !h1_same_text(value, bytes_text("chunked")))
        return H1_VIOLATION_transfer_encoding_bad;
    parser->chunked = true;
    return H1_VIOLATION_none;
}

/*
 * RFC 9112 9.6. What else it names is dropped with the whole section: each field is compared with
 * each of them, so they are bounded, empty ones too.
 */
static enum h1_violation connection(struct h1_parser *parser, struct bytes value)
{
    struct bytes option;
    while (h1_list_next(&value, &option)) {
        if (++parser->options > H1_FIELDS_MAX)
            return h1_too_many(parser);
        if (h1_same_text(option, bytes_text("close")))
            parser->last = true;
    }
    return H1_VIOLATION_none;
}

/* Not in any RFC, but what servers say: "timeout=5, max=100". */
static void keep_alive(struct h1_parser *parser, struct bytes value)
{
    struct bytes parameter;
    uint64_t seconds;
    struct bytes timeout = bytes_text("timeout=");
    while (h1_list_next(&value, &parameter)) {
        if (!bytes_start_with(parameter, timeout) ||
            !h1_number(bytes_after(parameter, timeout.length), &seconds))
            continue;
        parser->keeps_for_s = seconds < KEEPS_FOR_MAX_S ? seconds : KEEPS_FOR_MAX_S;
        parser->last |= seconds == 0;
    }
}

/* What a field is for this hop. FIELD_STAYS_HERE are not told on. */
enum field_end {
    FIELD_GOES_ON,
    FIELD_STAYS_HERE,
};

static enum h1_violation look_at(struct h1_parser *parser, enum field_token token,
                                 struct bytes value, enum field_end *end)
{
    bool in_trailers = parser->place == H1_TRAILER_LINES;
    if (token == FIELD_CONTENT_LENGTH)
        return in_trailers ? H1_VIOLATION_trailer_framing : content_length(parser, value);
    *end = h1_is_hop_by_hop(token) ? FIELD_STAYS_HERE : FIELD_GOES_ON;
    if (token == FIELD_TRANSFER_ENCODING)
        return in_trailers ? H1_VIOLATION_trailer_framing : transfer_encoding(parser, value);
    if (in_trailers)
        return H1_VIOLATION_none;
    if (token == FIELD_CONNECTION) {
        *end = FIELD_GOES_ON; /* until the section is complete: h1_drop_connection() reads it */
        return connection(parser, value);
    }
    if (token == FIELD_KEEP_ALIVE)
        keep_alive(parser, value);
    return H1_VIOLATION_none;
}

/* --- a field --- */

static struct bytes trim(struct bytes value)
{
    while (value.length > 0 && h1_is_space(value.data[0]))
        value = bytes_after(value, 1);
    while (value.length > 0 && h1_is_space(value.data[value.length - 1]))
        value.length--;
    return value;
}

static enum h1_violation form_violation(enum field_form form)
{
    switch (form) {
    case FORM_NAME_BAD:
        return H1_VIOLATION_name_bad;
    case FORM_VALUE_BAD:
        return H1_VIOLATION_value_bad;
    case FORM_UNKNOWN:
    case FORM_GOOD:
    case FORM_GRAMMAR_BAD: /* of host, which says nothing in an answer */
        break;
    }
    return H1_VIOLATION_none;
}

static enum h1_violation add(struct h1_parser *parser, struct bytes name, struct bytes value)
{
    struct fields *fields = parser->fields;
    struct field field = {.token = field_token_of(name), .name = name, .value = value};
    enum field_end end = FIELD_GOES_ON;
    field.form = (uint8_t)field_form_of(field.token, name, value);
    enum h1_violation violation = form_violation((enum field_form)field.form);
    if (violation == H1_VIOLATION_none)
        violation = look_at(parser, field.token, value, &end);
    if (violation != H1_VIOLATION_none || end == FIELD_STAYS_HERE)
        return violation;
    fields_add(fields, field);
    return fields->overflow ? H1_VIOLATION_head_too_large : H1_VIOLATION_none;
}

enum h1_violation h1_field_line(struct h1_parser *parser, uint8_t *line, size_t length)
{
    if (h1_is_space(line[0]))
        return H1_VIOLATION_obs_fold;
    const uint8_t *colon = memchr(line, ':', length);
    if (colon == NULL)
        return H1_VIOLATION_field_without_colon;
    size_t name_length = (size_t)(colon - line);
    if (name_length == 0)
        return H1_VIOLATION_name_bad;
    if (h1_is_space(line[name_length - 1]))
        return H1_VIOLATION_space_before_colon;
    h1_lower(line, name_length);
    struct bytes value = trim(bytes_of(colon + 1, length - name_length - 1));
    return add(parser, bytes_of(line, name_length), value);
}

/* --- what the connection field names --- */

static bool is_named(const struct fields *fields, struct bytes name)
{
    struct field field;
    struct bytes option;
    for (uint32_t at = 0; fields_next(fields, &at, &field);) {
        if (field.token != FIELD_CONNECTION)
            continue;
        while (h1_list_next(&field.value, &option))
            if (h1_same_text(option, name))
                return true;
    }
    return false;
}

/*
 * Names that are known to be end to end stay: no hop may take vary or set-cookie away. Those that
 * are known to be of this hop did not come so far.
 */
static bool is_dropped(const struct fields *fields, const struct field *field)
{
    return field->token == FIELD_OTHER && is_named(fields, field->name);
}

static bool is_connection(const struct fields *fields, const struct field *field)
{
    return field->token == FIELD_CONNECTION;
}

static void drop(struct fields *fields,
                 bool (*is_unwanted)(const struct fields *fields, const struct field *field))
{
    struct field field;
    uint32_t start = 0;
    for (uint32_t at = 0; fields_next(fields, &at, &field); start = at) {
        if (!is_unwanted(fields, &field))
            continue;
        memmove(fields->data + start, fields->data + at, fields->used - at);
        fields->used -= at - start;
        fields->count--;
        at = start;
    }
}

void h1_drop_connection(struct fields *fields)
{
    if (!fields_may_have(fields, FIELD_CONNECTION))
        return;
    drop(fields, is_dropped);
    drop(fields, is_connection);
}

static bool is_length(const struct fields *fields, const struct field *field)
{
    return field->token == FIELD_CONTENT_LENGTH;
}

void h1_drop_length(struct fields *fields)
{
    if (fields_may_have(fields, FIELD_CONTENT_LENGTH))
        drop(fields, is_length);
}
