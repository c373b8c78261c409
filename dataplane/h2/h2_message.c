#include "dataplane/h2/h2_message.h"

/* What a listed name needs beyond ordinary fields. */
enum name_class {
    NAME_ORDINARY,
    NAME_PSEUDO_REQUEST,
    NAME_PSEUDO_RESPONSE,
    NAME_PSEUDO_UNKNOWN, /* :protocol: RFC 8441 was not announced */
    NAME_CONNECTION,     /* RFC 9113 8.2.2 */
    NAME_TE,
    NAME_CONTENT_LENGTH,
    NAME_HOST,
};

static const uint8_t name_classes[FIELD_TOKENS] = {
    [FIELD_AUTHORITY] = NAME_PSEUDO_REQUEST,
    [FIELD_METHOD] = NAME_PSEUDO_REQUEST,
    [FIELD_PATH] = NAME_PSEUDO_REQUEST,
    [FIELD_SCHEME] = NAME_PSEUDO_REQUEST,
    [FIELD_STATUS] = NAME_PSEUDO_RESPONSE,
    [FIELD_PROTOCOL] = NAME_PSEUDO_UNKNOWN,
    [FIELD_CONNECTION] = NAME_CONNECTION,
    [FIELD_KEEP_ALIVE] = NAME_CONNECTION,
    [FIELD_PROXY_CONNECTION] = NAME_CONNECTION,
    [FIELD_TRANSFER_ENCODING] = NAME_CONNECTION,
    [FIELD_UPGRADE] = NAME_CONNECTION,
    [FIELD_TE] = NAME_TE,
    [FIELD_CONTENT_LENGTH] = NAME_CONTENT_LENGTH,
    [FIELD_HOST] = NAME_HOST,
};

/* Sets of characters a byte may belong to. */
enum char_set {
    CHAR_NAME = 1 << 0,   /* RFC 9110 5.6.2 token, lower case */
    CHAR_METHOD = 1 << 1, /* token */
    CHAR_PATH = 1 << 2,   /* RFC 3986 path and query, and what clients send unescaped; no space */
    CHAR_HOST = 1 << 3,   /* RFC 3986 host and port; no userinfo */
    CHAR_SCHEME = 1 << 4, /* RFC 3986 3.1 */
};

#define TOKEN  (CHAR_NAME | CHAR_METHOD)
#define LETTER (CHAR_METHOD | CHAR_PATH | CHAR_HOST | CHAR_SCHEME)
#define BOTH   (CHAR_PATH | CHAR_HOST)

static const uint8_t char_sets[256] = {
    ['a' ... 'z'] = CHAR_NAME | LETTER,
    ['A' ... 'Z'] = LETTER,
    ['0' ... '9'] = CHAR_NAME | LETTER,
    ['!'] = TOKEN | BOTH,
    ['"'] = CHAR_PATH,
    ['#'] = TOKEN,
    ['$'] = TOKEN | BOTH,
    ['%'] = TOKEN | BOTH,
    ['&'] = TOKEN | BOTH,
    ['\''] = TOKEN | BOTH,
    ['('] = BOTH,
    [')'] = BOTH,
    ['*'] = TOKEN | BOTH,
    ['+'] = TOKEN | BOTH | CHAR_SCHEME,
    [','] = BOTH,
    ['-'] = TOKEN | BOTH | CHAR_SCHEME,
    ['.'] = TOKEN | BOTH | CHAR_SCHEME,
    ['/'] = CHAR_PATH,
    [':'] = BOTH,
    [';'] = BOTH,
    ['<'] = CHAR_PATH,
    ['='] = BOTH,
    ['>'] = CHAR_PATH,
    ['?'] = CHAR_PATH,
    ['@'] = CHAR_PATH,
    ['['] = BOTH,
    ['\\'] = CHAR_PATH,
    [']'] = BOTH,
    ['^'] = TOKEN | CHAR_PATH,
    ['_'] = TOKEN | BOTH,
    ['`'] = TOKEN | CHAR_PATH,
    ['{'] = CHAR_PATH,
    ['|'] = TOKEN | CHAR_PATH,
    ['}'] = CHAR_PATH,
    ['~'] = TOKEN | BOTH,
    [0x80 ... 0xff] = CHAR_PATH,
};

static bool all_in(struct bytes text, enum char_set set)
{
    uint8_t all = 0xff;
    for (size_t i = 0; i < text.length; i++)
        all &= char_sets[text.data[i]];
    return (all & set) != 0;
}

#define EVERY_BYTE(byte) (0x0101010101010101ull * (byte))

/* Eight bytes at a time: does one of them lie below 0x20, or is it 0x7f? May err towards yes. */
static inline bool may_have_control(uint64_t eight)
{
    uint64_t below_space = (eight - EVERY_BYTE(0x20)) & ~eight;
    uint64_t flipped = eight ^ EVERY_BYTE(0x7f);
    uint64_t is_del = (flipped - EVERY_BYTE(0x01)) & ~flipped;
    return ((below_space | is_del) & EVERY_BYTE(0x80)) != 0;
}

static bool has_control(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((bytes[i] < 0x20 && bytes[i] != '\t') || bytes[i] == 0x7f)
            return true;
    return false;
}

/* RFC 9110 5.5, RFC 9113 8.2.1: no control character but a tab inside, no space around. */
static bool value_is_good(struct bytes value)
{
    if (value.length == 0)
        return true;
    uint8_t first = value.data[0];
    uint8_t last = value.data[value.length - 1];
    if (first == ' ' || first == '\t' || last == ' ' || last == '\t')
        return false;
    size_t i = 0;
    for (; i + 8 <= value.length; i += 8) {
        uint64_t eight;
        memcpy(&eight, value.data + i, sizeof(eight));
        if (may_have_control(eight) && has_control(value.data + i, 8))
            return false;
    }
    return !has_control(value.data + i, value.length - i);
}

/* All fields of a section, looked at once. */
struct scan {
    struct h2_message *out;
    struct bytes pseudo[FIELD_PROTOCOL + 1]; /* by token; data NULL: not there */
    struct bytes host;
    bool regular_seen;
    bool length_seen;
};

static enum h2_violation scan_pseudo(struct scan *scan, const struct field *field,
                                     enum name_class wanted)
{
    if (wanted == NAME_ORDINARY)
        return H2_VIOLATION_pseudo_in_trailers;
    if (field->token == FIELD_OTHER || name_classes[field->token] != wanted)
        return H2_VIOLATION_pseudo_unknown;
    if (scan->regular_seen)
        return H2_VIOLATION_pseudo_late;
    if (scan->pseudo[field->token].data != NULL)
        return H2_VIOLATION_pseudo_repeated;
    scan->pseudo[field->token] = field->value;
    return H2_VIOLATION_none;
}

/* RFC 9110 8.6. Up to 18 digits, which is more than anybody has. */
static enum h2_violation scan_length(struct scan *scan, struct bytes value)
{
    if (scan->length_seen || value.length == 0 || value.length > 18)
        return H2_VIOLATION_content_length_bad;
    uint64_t length = 0;
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return H2_VIOLATION_content_length_bad;
        length = length * 10 + (value.data[i] - '0');
    }
    scan->length_seen = true;
    scan->out->content_length = length;
    return H2_VIOLATION_none;
}

static enum h2_violation scan_listed(struct scan *scan, const struct field *field,
                                     enum name_class class)
{
    switch (class) {
    case NAME_CONNECTION:
        return H2_VIOLATION_connection_specific;
    case NAME_TE:
        return bytes_equal_text(field->value, "trailers") ? H2_VIOLATION_none : H2_VIOLATION_te_bad;
    case NAME_CONTENT_LENGTH:
        return scan_length(scan, field->value);
    case NAME_HOST:
        if (scan->host.data != NULL)
            return H2_VIOLATION_authority_bad;
        scan->host = field->value;
        return H2_VIOLATION_none;
    case NAME_ORDINARY:
    case NAME_PSEUDO_REQUEST:
    case NAME_PSEUDO_RESPONSE:
    case NAME_PSEUDO_UNKNOWN:
        return H2_VIOLATION_none;
    }
    return H2_VIOLATION_none;
}

static enum h2_violation scan_field(struct scan *scan, const struct field *field,
                                    enum name_class wanted)
{
    scan->out->list_bytes += field->name.length + field->value.length + 32;
    if (!value_is_good(field->value))
        return H2_VIOLATION_value_bad;
    if (field->name.length > 0 && field->name.data[0] == ':')
        return scan_pseudo(scan, field, wanted);
    scan->regular_seen = true;
    if (field->token != FIELD_OTHER)
        return scan_listed(scan, field, (enum name_class)name_classes[field->token]);
    return field->name.length > 0 && all_in(field->name, CHAR_NAME) ? H2_VIOLATION_none
                                                                    : H2_VIOLATION_name_bad;
}

/* WANTED is the class of pseudo-headers that belong there, NAME_ORDINARY: none do. */
static enum h2_violation scan_all(struct scan *scan, const struct fields *fields,
                                  enum name_class wanted)
{
    scan->out->content_length = UINT64_MAX;
    struct field field;
    for (uint32_t at = 0; fields_next(fields, &at, &field);) {
        enum h2_violation violation = scan_field(scan, &field, wanted);
        if (violation != H2_VIOLATION_none)
            return violation;
    }
    return H2_VIOLATION_none;
}

static struct bytes without_port(struct bytes host, const char *port)
{
    size_t length = strlen(port);
    if (host.length > length && memcmp(host.data + host.length - length, port, length) == 0)
        host.length -= length;
    return host;
}

static bool equal_without_case(struct bytes a, struct bytes b)
{
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; i++) {
        uint8_t x = a.data[i], y = b.data[i];
        bool letters = (x | 0x20) >= 'a' && (x | 0x20) <= 'z';
        if (x != y && !(letters && (x ^ y) == 0x20))
            return false;
    }
    return true;
}

/* RFC 9113 8.3.1: one of them is there, both name the same, and userinfo is in neither. */
static bool authority_is_good(const struct scan *scan)
{
    struct bytes authority = scan->pseudo[FIELD_AUTHORITY];
    struct bytes host = scan->host;
    if (authority.data == NULL && host.data == NULL)
        return false;
    if (authority.data != NULL && (authority.length == 0 || !all_in(authority, CHAR_HOST)))
        return false;
    if (host.data != NULL && (host.length == 0 || !all_in(host, CHAR_HOST)))
        return false;
    if (authority.data == NULL || host.data == NULL || equal_without_case(authority, host))
        return true;
    const char *port = bytes_equal_text(scan->pseudo[FIELD_SCHEME], "https") ? ":443" : ":80";
    return equal_without_case(without_port(authority, port), without_port(host, port));
}

static bool scheme_is_good(struct bytes scheme)
{
    return scheme.length > 0 && all_in(scheme, CHAR_SCHEME) && (scheme.data[0] | 0x20) >= 'a' &&
           (scheme.data[0] | 0x20) <= 'z';
}

/* Absolute path, or `*` for OPTIONS. */
static bool path_is_good(struct bytes path, struct bytes method)
{
    if (bytes_equal_text(path, "*"))
        return bytes_equal_text(method, "OPTIONS");
    return path.length > 0 && path.data[0] == '/' && all_in(path, CHAR_PATH);
}

/* RFC 9113 8.5; extended CONNECT (RFC 8441) is not announced. */
static enum h2_violation connect_request(const struct scan *scan)
{
    if (scan->pseudo[FIELD_SCHEME].data != NULL || scan->pseudo[FIELD_PATH].data != NULL ||
        scan->pseudo[FIELD_AUTHORITY].data == NULL)
        return H2_VIOLATION_connect_bad;
    return authority_is_good(scan) ? H2_VIOLATION_none : H2_VIOLATION_authority_bad;
}

enum h2_violation h2_message_request(const struct fields *fields, struct h2_message *out)
{
    struct scan scan = {.out = out};
    *out = (struct h2_message){0};
    enum h2_violation violation = scan_all(&scan, fields, NAME_PSEUDO_REQUEST);
    if (violation != H2_VIOLATION_none)
        return violation;
    struct bytes method = scan.pseudo[FIELD_METHOD];
    if (method.data == NULL)
        return H2_VIOLATION_pseudo_missing;
    if (method.length == 0 || !all_in(method, CHAR_METHOD))
        return H2_VIOLATION_method_bad;
    if (bytes_equal_text(method, "CONNECT"))
        return connect_request(&scan);
    if (scan.pseudo[FIELD_SCHEME].data == NULL || scan.pseudo[FIELD_PATH].data == NULL)
        return H2_VIOLATION_pseudo_missing;
    if (!scheme_is_good(scan.pseudo[FIELD_SCHEME]))
        return H2_VIOLATION_scheme_bad;
    if (!path_is_good(scan.pseudo[FIELD_PATH], method))
        return H2_VIOLATION_path_bad;
    return authority_is_good(&scan) ? H2_VIOLATION_none : H2_VIOLATION_authority_bad;
}

/* Three digits, 100..999 (RFC 9110 15); 0: not a status. */
static uint16_t status_of(struct bytes text)
{
    if (text.length != 3 || text.data[0] < '1' || text.data[0] > '9')
        return 0;
    uint16_t status = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return 0;
        status = (uint16_t)(status * 10 + (text.data[i] - '0'));
    }
    return status;
}

enum h2_violation h2_message_response(const struct fields *fields, struct h2_message *out)
{
    struct scan scan = {.out = out};
    *out = (struct h2_message){0};
    enum h2_violation violation = scan_all(&scan, fields, NAME_PSEUDO_RESPONSE);
    if (violation != H2_VIOLATION_none)
        return violation;
    if (scan.pseudo[FIELD_STATUS].data == NULL)
        return H2_VIOLATION_pseudo_missing;
    out->status = status_of(scan.pseudo[FIELD_STATUS]);
    if (out->status == 0)
        return H2_VIOLATION_status_bad;
    return out->status == 101 ? H2_VIOLATION_switching_protocols : H2_VIOLATION_none;
}

enum h2_violation h2_message_trailers(const struct fields *fields, struct h2_message *out)
{
    struct scan scan = {.out = out};
    *out = (struct h2_message){0};
    return scan_all(&scan, fields, NAME_ORDINARY);
}
