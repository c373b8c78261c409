#include "dataplane/h1/h1_request.h"

#include "dataplane/h1/h1_text.h"
#include "dataplane/h2/field_form.h"

/* What becomes of a field, by its name. */
enum out_rule {
    OUT_AS_IT_IS,
    OUT_METHOD,
    OUT_PATH,
    OUT_AUTHORITY, /* becomes host (RFC 9113 8.3.1) */
    OUT_HOST,      /* only where there is no :authority, with which it agrees */
    OUT_NOT,       /* :scheme: the connection says it */
    OUT_TUNNEL,    /* RFC 8441: not in HTTP/1.1 */
    OUT_BAD,       /* :status */
    OUT_REFUSED,   /* of a connection (RFC 9113 8.2.2): nobody else decides how we frame */
    OUT_LENGTH,
    OUT_TE,
    OUT_COOKIE, /* crumbs are joined (RFC 9113 8.2.3) */
};

static const uint8_t out_rules[FIELD_TOKENS] = {
    [FIELD_METHOD] = OUT_METHOD,
    [FIELD_PATH] = OUT_PATH,
    [FIELD_AUTHORITY] = OUT_AUTHORITY,
    [FIELD_HOST] = OUT_HOST,
    [FIELD_SCHEME] = OUT_NOT,
    [FIELD_PROTOCOL] = OUT_TUNNEL,
    [FIELD_STATUS] = OUT_BAD,
    [FIELD_CONNECTION] = OUT_REFUSED,
    [FIELD_KEEP_ALIVE] = OUT_REFUSED,
    [FIELD_PROXY_CONNECTION] = OUT_REFUSED,
    [FIELD_TRANSFER_ENCODING] = OUT_REFUSED,
    [FIELD_UPGRADE] = OUT_REFUSED,
    [FIELD_CONTENT_LENGTH] = OUT_LENGTH,
    [FIELD_TE] = OUT_TE,
    [FIELD_COOKIE] = OUT_COOKIE,
};

/* The request's fields by what they are, found in one pass. data NULL: not there. */
struct request_parts {
    struct bytes method;
    struct bytes path;
    struct bytes authority;
    struct bytes host;
    uint64_t content_length; /* UINT64_MAX: none */
    bool te;
    bool cookie;
};

/* --- what is wrong with it --- */

/* HTTP/2's word for it goes with a field; it is of the same function. */
static enum field_form form_of(const struct field *field)
{
    enum field_form known = (enum field_form)field->form;
    return known != FORM_UNKNOWN ? known : field_form_of(field->token, field->name, field->value);
}

static enum h1_violation form_violation(const struct field *field, enum out_rule rule)
{
    switch (form_of(field)) {
    case FORM_NAME_BAD:
        return H1_VIOLATION_request_name_bad;
    case FORM_VALUE_BAD:
        return H1_VIOLATION_request_value_bad;
    case FORM_GRAMMAR_BAD:
        if (rule == OUT_METHOD)
            return H1_VIOLATION_request_method_bad;
        return rule == OUT_PATH ? H1_VIOLATION_request_target_bad : H1_VIOLATION_request_host_bad;
    case FORM_UNKNOWN:
    case FORM_GOOD:
        break;
    }
    return H1_VIOLATION_none;
}

/* Into its place, once. */
static enum h1_violation put(struct bytes *place, struct bytes value, enum h1_violation again)
{
    if (place->data != NULL)
        return again;
    *place = value;
    return H1_VIOLATION_none;
}

static enum h1_violation put_length(struct request_parts *parts, struct bytes value)
{
    if (parts->content_length != UINT64_MAX || !h1_number(value, &parts->content_length))
        return H1_VIOLATION_request_length_bad;
    return H1_VIOLATION_none;
}

static enum h1_violation read_field(struct request_parts *parts, const struct field *field)
{
    enum out_rule rule = (enum out_rule)out_rules[field->token];
    enum h1_violation violation = form_violation(field, rule);
    if (violation != H1_VIOLATION_none)
        return violation;
    switch (rule) {
    case OUT_METHOD:
        return put(&parts->method, field->value, H1_VIOLATION_request_method_bad);
    case OUT_PATH:
        return put(&parts->path, field->value, H1_VIOLATION_request_target_bad);
    case OUT_AUTHORITY:
        return put(&parts->authority, field->value, H1_VIOLATION_request_host_bad);
    case OUT_HOST:
        return put(&parts->host, field->value, H1_VIOLATION_request_host_bad);
    case OUT_TUNNEL:
        return H1_VIOLATION_request_tunnel;
    case OUT_BAD:
        return H1_VIOLATION_request_name_bad;
    case OUT_REFUSED:
        return H1_VIOLATION_request_connection_field;
    case OUT_LENGTH:
        return put_length(parts, field->value);
    case OUT_TE:
        parts->te = true;
        return h1_same_text(field->value, bytes_text("trailers")) ? H1_VIOLATION_none
                                                                  : H1_VIOLATION_request_te_bad;
    case OUT_COOKIE:
        parts->cookie = true;
        break;
    case OUT_AS_IT_IS:
    case OUT_NOT:
        break;
    }
    return H1_VIOLATION_none;
}

/* RFC 9113 8.3.1: :authority and host name the same; what they say is looked at once more. */
static enum h1_violation check_parts(struct request_parts *parts)
{
    if (parts->method.data == NULL)
        return H1_VIOLATION_request_method_bad;
    if (bytes_equal_text(parts->method, "CONNECT"))
        return H1_VIOLATION_request_tunnel;
    if (parts->path.data == NULL ||
        (parts->path.data[0] == '*' && !bytes_equal_text(parts->method, "OPTIONS")))
        return H1_VIOLATION_request_target_bad; /* RFC 9112 3.2.4 */
    if (parts->authority.data == NULL)
        parts->authority = parts->host;
    return parts->authority.length > 0 ? H1_VIOLATION_none : H1_VIOLATION_request_host_bad;
}

static enum h1_violation read_parts(const struct fields *request, struct request_parts *parts)
{
    struct field field;
    *parts = (struct request_parts){.content_length = UINT64_MAX};
    for (uint32_t at = 0; fields_next(request, &at, &field);) {
        enum h1_violation violation = read_field(parts, &field);
        if (violation != H1_VIOLATION_none)
            return violation;
    }
    return check_parts(parts);
}

enum h1_violation h1_request_check(const struct fields *request)
{
    struct request_parts parts;
    return read_parts(request, &parts);
}

bool h1_request_grows(const struct fields *request)
{
    struct bytes path = BYTES_NONE;
    uint8_t all = 0;
    (void)fields_find(request, FIELD_PATH, &path);
    for (size_t i = 0; i < path.length; i++)
        all |= path.data[i];
    return all >= 0x80;
}

/* --- writing --- */

static void write_text(struct writer *out, const char *text)
{
    writer_bytes(out, bytes_text(text));
}

static void write_field(struct writer *out, struct bytes name, struct bytes value)
{
    writer_bytes(out, name);
    write_text(out, ": ");
    writer_bytes(out, value);
    write_text(out, "\r\n");
}

/*
 * RFC 9112 3.2 wants a URI, which is ASCII (RFC 3986 2.1): what HTTP/2 let pass above it is said in
 * percent, since some servers take 0x85 or 0xa0 for white space.
 */
static void write_target(struct writer *out, struct bytes path)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < path.length; i++) {
        uint8_t byte = path.data[i];
        if (byte < 0x80) {
            writer_u8(out, byte);
            continue;
        }
        writer_u8(out, '%');
        writer_u8(out, (uint8_t)digits[byte >> 4]);
        writer_u8(out, (uint8_t)digits[byte & 0xf]);
    }
}

static void write_cookies(struct writer *out, const struct fields *request)
{
    struct field field;
    const char *before = "cookie: ";
    for (uint32_t at = 0; fields_next(request, &at, &field);) {
        if (field.token != FIELD_COOKIE)
            continue;
        write_text(out, before);
        writer_bytes(out, field.value);
        before = "; ";
    }
    write_text(out, "\r\n");
}

static void write_plain(struct writer *out, const struct fields *request)
{
    struct field field;
    for (uint32_t at = 0; fields_next(request, &at, &field);)
        if (out_rules[field.token] == OUT_AS_IT_IS)
            write_field(out, field.name, field.value);
}

static void write_number(struct writer *out, uint64_t value)
{
    uint8_t digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    writer_bytes(out, bytes_of(digits + at, sizeof(digits) - at));
}

static void write_length(struct writer *out, uint64_t length)
{
    write_text(out, "content-length: ");
    write_number(out, length);
    write_text(out, "\r\n");
}

/* RFC 9110 8.6: methods whose requests have content say that there is none. */
static bool wants_length(struct bytes method)
{
    return bytes_equal_text(method, "POST") || bytes_equal_text(method, "PUT") ||
           bytes_equal_text(method, "PATCH");
}

static void write_framing(struct writer *out, const struct request_parts *parts, bool end,
                          struct h1_framing *framing)
{
    bool has_length = parts->content_length != UINT64_MAX;
    framing->is_head = bytes_equal_text(parts->method, "HEAD");
    framing->chunked = !end && !has_length;
    framing->content_length = has_length ? parts->content_length : 0;
    if (framing->chunked)
        write_text(out, "transfer-encoding: chunked\r\n");
    else if (has_length || wants_length(parts->method))
        write_length(out, framing->content_length);
}

enum h1_violation h1_request_write(const struct fields *request, bool end, struct writer *out,
                                   struct h1_framing *framing)
{
    struct request_parts parts;
    enum h1_violation violation = read_parts(request, &parts);
    if (violation != H1_VIOLATION_none)
        return violation;
    if (end && parts.content_length != UINT64_MAX && parts.content_length > 0)
        return H1_VIOLATION_request_length_mismatch;
    writer_bytes(out, parts.method);
    write_text(out, " ");
    write_target(out, parts.path);
    write_text(out, " HTTP/1.1\r\n");
    write_field(out, bytes_text("host"), parts.authority);
    write_plain(out, request);
    if (parts.cookie)
        write_cookies(out, request);
    if (parts.te) /* RFC 9110 10.1.4: te is for the next hop, and says so */
        write_text(out, "te: trailers\r\nconnection: te\r\n");
    write_framing(out, &parts, end, framing);
    write_text(out, "\r\n");
    return out->failed ? H1_VIOLATION_request_too_large : H1_VIOLATION_none;
}

/*
 * RFC 9110 6.5.1: what frames, routes, authenticates, or says who asks is no trailer. Some servers
 * put trailers among the header fields, where a client may not say it.
 */
static bool may_trail(enum field_token token)
{
    static const bool not_there[FIELD_TOKENS] = {
        [FIELD_AUTHORIZATION] = true,
        [FIELD_PROXY_AUTHORIZATION] = true,
        [FIELD_EXPECT] = true,
        [FIELD_CONTENT_ENCODING] = true,
        [FIELD_CONTENT_TYPE] = true,
        [FIELD_FORWARDED] = true,
        [FIELD_X_FORWARDED_FOR] = true,
        [FIELD_X_FORWARDED_HOST] = true,
        [FIELD_X_FORWARDED_PROTO] = true,
        [FIELD_X_FORWARDED_CLIENT_CERT] = true,
    };
    return out_rules[token] == OUT_AS_IT_IS && !not_there[token];
}

bool h1_trailers_write(const struct fields *trailers, struct writer *out)
{
    struct field field;
    write_text(out, "0\r\n");
    for (uint32_t at = 0; trailers != NULL && fields_next(trailers, &at, &field);) {
        if (!may_trail(field.token))
            continue;
        if (form_of(&field) != FORM_GOOD)
            return false;
        write_field(out, field.name, field.value);
    }
    write_text(out, "\r\n");
    return !out->failed;
}

void h1_chunk_size_write(uint64_t size, struct writer *out)
{
    static const char digits[] = "0123456789abcdef";
    uint32_t shift = 0;
    while (size >> shift >= 16)
        shift += 4;
    for (;; shift -= 4) {
        writer_u8(out, (uint8_t)digits[size >> shift & 0xf]);
        if (shift == 0)
            break;
    }
    write_text(out, "\r\n");
}
