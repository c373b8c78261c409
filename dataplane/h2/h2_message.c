#include "dataplane/h2/h2_message.h"

#include "dataplane/h2/field_form.h"

/* What a listed name needs beyond ordinary fields. */
enum name_class {
    NAME_ORDINARY,
    NAME_PSEUDO_REQUEST,
    NAME_PSEUDO_RESPONSE,
    NAME_CONNECTION, /* RFC 9113 8.2.2 */
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
    [FIELD_PROTOCOL] = NAME_PSEUDO_REQUEST,
    [FIELD_CONNECTION] = NAME_CONNECTION,
    [FIELD_KEEP_ALIVE] = NAME_CONNECTION,
    [FIELD_PROXY_CONNECTION] = NAME_CONNECTION,
    [FIELD_TRANSFER_ENCODING] = NAME_CONNECTION,
    [FIELD_UPGRADE] = NAME_CONNECTION,
    [FIELD_TE] = NAME_TE,
    [FIELD_CONTENT_LENGTH] = NAME_CONTENT_LENGTH,
    [FIELD_HOST] = NAME_HOST,
};

/* All fields of a section, looked at once. */
struct scan {
    struct h2_message *out;
    struct bytes pseudo[FIELD_PROTOCOL + 1]; /* by token; data NULL: not there */
    struct bytes host;
    bool regular_seen;
    bool length_seen;
    bool host_is_bad;
    uint8_t pseudo_forms[FIELD_PROTOCOL + 1]; /* enum field_form, by token */
};

static enum h2_violation scan_pseudo(struct scan *scan, const struct field *field,
                                     enum field_form form, enum name_class wanted)
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
    scan->pseudo_forms[field->token] = (uint8_t)form;
    return H2_VIOLATION_none;
}

/* Up to 18 digits, which is more than anybody has. */
bool h2_message_length(struct bytes value, uint64_t *out)
{
    if (value.length == 0 || value.length > 18)
        return false;
    *out = 0;
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return false;
        *out = *out * 10 + (value.data[i] - '0');
    }
    return true;
}

static enum h2_violation scan_length(struct scan *scan, struct bytes value)
{
    if (scan->length_seen || !h2_message_length(value, &scan->out->content_length))
        return H2_VIOLATION_content_length_bad;
    scan->length_seen = true;
    return H2_VIOLATION_none;
}

static enum h2_violation scan_listed(struct scan *scan, const struct field *field,
                                     enum field_form form, enum name_class class)
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
        scan->host_is_bad = form == FORM_GRAMMAR_BAD;
        return H2_VIOLATION_none;
    case NAME_ORDINARY:
    case NAME_PSEUDO_REQUEST:
    case NAME_PSEUDO_RESPONSE:
        return H2_VIOLATION_none;
    }
    return H2_VIOLATION_none;
}

_Static_assert(FIELD_OTHER == 0 && FIELD_PROTOCOL == 6, "pseudo-header fields come first");

static bool is_pseudo(const struct field *field)
{
    if (field->token != FIELD_OTHER)
        return field->token <= FIELD_PROTOCOL;
    return field->name.length > 0 && field->name.data[0] == ':';
}

bool h2_message_is_ordinary(const struct field *field)
{
    return !is_pseudo(field) && name_classes[field->token] == NAME_ORDINARY;
}

static enum h2_violation scan_field(struct scan *scan, const struct field *field,
                                    enum name_class wanted)
{
    scan->out->list_bytes += field->name.length + field->value.length + 32;
    enum field_form form = (enum field_form)field->form;
    if (form == FORM_UNKNOWN)
        form = field_form_of(field->token, field->name, field->value);
    if (form == FORM_VALUE_BAD)
        return H2_VIOLATION_value_bad;
    if (is_pseudo(field))
        return scan_pseudo(scan, field, form, wanted);
    scan->regular_seen = true;
    if (form == FORM_NAME_BAD)
        return H2_VIOLATION_name_bad;
    return scan_listed(scan, field, form, (enum name_class)name_classes[field->token]);
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

static bool is_bad(const struct scan *scan, enum field_token pseudo)
{
    return scan->pseudo_forms[pseudo] == FORM_GRAMMAR_BAD;
}

/* RFC 9113 8.3.1: one of them is there, both name the same, and userinfo is in neither. */
static bool authority_is_good(const struct scan *scan)
{
    struct bytes authority = scan->pseudo[FIELD_AUTHORITY];
    struct bytes host = scan->host;
    if (authority.data == NULL && host.data == NULL)
        return false;
    if (is_bad(scan, FIELD_AUTHORITY) || scan->host_is_bad)
        return false;
    if (authority.data == NULL || host.data == NULL || equal_without_case(authority, host))
        return true;
    const char *port = bytes_equal_text(scan->pseudo[FIELD_SCHEME], "https") ? ":443" : ":80";
    return equal_without_case(without_port(authority, port), without_port(host, port));
}

/* `*` is for OPTIONS alone. RFC 9110 7.1 */
static bool path_is_good(const struct scan *scan)
{
    if (is_bad(scan, FIELD_PATH))
        return false;
    return scan->pseudo[FIELD_PATH].data[0] == '/' ||
           bytes_equal_text(scan->pseudo[FIELD_METHOD], "OPTIONS");
}

/* RFC 9113 8.5 */
static enum h2_violation plain_connect(const struct scan *scan)
{
    if (scan->pseudo[FIELD_SCHEME].data != NULL || scan->pseudo[FIELD_PATH].data != NULL ||
        scan->pseudo[FIELD_AUTHORITY].data == NULL)
        return H2_VIOLATION_connect_bad;
    return authority_is_good(scan) ? H2_VIOLATION_none : H2_VIOLATION_authority_bad;
}

/* A target with all its parts: of every method but plain CONNECT. */
static enum h2_violation whole_target(const struct scan *scan)
{
    if (scan->pseudo[FIELD_SCHEME].data == NULL || scan->pseudo[FIELD_PATH].data == NULL)
        return H2_VIOLATION_pseudo_missing;
    if (is_bad(scan, FIELD_SCHEME))
        return H2_VIOLATION_scheme_bad;
    if (!path_is_good(scan))
        return H2_VIOLATION_path_bad;
    return authority_is_good(scan) ? H2_VIOLATION_none : H2_VIOLATION_authority_bad;
}

/* RFC 8441 4: only with CONNECT, which then has a whole target. */
static enum h2_violation extended_connect(const struct scan *scan, bool announced)
{
    if (!announced)
        return H2_VIOLATION_pseudo_unknown;
    if (!bytes_equal_text(scan->pseudo[FIELD_METHOD], "CONNECT") || is_bad(scan, FIELD_PROTOCOL))
        return H2_VIOLATION_protocol_bad;
    return whole_target(scan);
}

enum h2_violation h2_message_request(const struct fields *fields, bool connect_protocol,
                                     struct h2_message *out)
{
    struct scan scan = {.out = out};
    *out = (struct h2_message){0};
    enum h2_violation violation = scan_all(&scan, fields, NAME_PSEUDO_REQUEST);
    if (violation != H2_VIOLATION_none)
        return violation;
    struct bytes method = scan.pseudo[FIELD_METHOD];
    if (method.data == NULL)
        return H2_VIOLATION_pseudo_missing;
    if (is_bad(&scan, FIELD_METHOD))
        return H2_VIOLATION_method_bad;
    if (scan.pseudo[FIELD_PROTOCOL].data != NULL)
        return extended_connect(&scan, connect_protocol);
    return bytes_equal_text(method, "CONNECT") ? plain_connect(&scan) : whole_target(&scan);
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
