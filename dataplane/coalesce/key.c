/*
 * key: rules C1, C2, C4, C5 and C25 as one table over header names.
 *
 * A key is written in one canonical order, each part with its length, so that different requests
 * never give the same bytes:
 *
 *     shape     mode and flags (struct key_shape), route and service index, route name
 *     target    :method, :scheme, :authority, :path
 *     headers   (token, value) by token, those of one name in the order of the request, END
 *     extra     for each of the route's key_headers and principal_headers: name, values, END;
 *               absent ones are there too, with no value
 *     body      its length; its SHA-256 if there is one
 */
#include "dataplane/coalesce/key.h"

#include "dataplane/base/reader.h"
#include "dataplane/base/writer.h"
#include "dataplane/coalesce/coalesce.h"
#include "dataplane/coalesce/held_body.h"
#include "dataplane/coalesce/json_match.h"

#define KEY_END 0xff

enum key_class {
    CLASS_UNKEYED,   /* makes the request ineligible, unless it is listed for the route */
    CLASS_TARGET,    /* part of the target */
    CLASS_KEYED,     /* part of the key */
    CLASS_PRINCIPAL, /* part of the key unless principals share */
    CLASS_NEUTRAL,   /* never part of it */
    CLASS_CACHE,     /* cache-control, pragma: may opt out, else part of the key */
    CLASS_OPT_OUT,   /* its presence opts out */
    CLASS_EXCLUDES,  /* expect, upgrade: its presence makes the request ineligible */
};

static const uint8_t key_classes[FIELD_TOKENS] = {
    [FIELD_METHOD] = CLASS_TARGET,
    [FIELD_SCHEME] = CLASS_TARGET,
    [FIELD_AUTHORITY] = CLASS_TARGET,
    [FIELD_PATH] = CLASS_TARGET,
    [FIELD_ACCEPT] = CLASS_KEYED,
    [FIELD_ACCEPT_ENCODING] = CLASS_KEYED,
    [FIELD_ACCEPT_LANGUAGE] = CLASS_KEYED,
    [FIELD_CONTENT_TYPE] = CLASS_KEYED,
    [FIELD_CONTENT_ENCODING] = CLASS_KEYED,
    [FIELD_GRPC_ENCODING] = CLASS_KEYED,
    [FIELD_GRPC_ACCEPT_ENCODING] = CLASS_KEYED,
    [FIELD_RANGE] = CLASS_KEYED,
    [FIELD_IF_MATCH] = CLASS_KEYED,
    [FIELD_IF_NONE_MATCH] = CLASS_KEYED,
    [FIELD_IF_MODIFIED_SINCE] = CLASS_KEYED,
    [FIELD_IF_UNMODIFIED_SINCE] = CLASS_KEYED,
    [FIELD_IF_RANGE] = CLASS_KEYED,
    [FIELD_IDEMPOTENCY_KEY] = CLASS_KEYED,
    [FIELD_AUTHORIZATION] = CLASS_PRINCIPAL,
    [FIELD_X_FORWARDED_CLIENT_CERT] = CLASS_PRINCIPAL,
    [FIELD_COOKIE] = CLASS_PRINCIPAL,
    [FIELD_API_KEY] = CLASS_PRINCIPAL,
    [FIELD_X_API_KEY] = CLASS_PRINCIPAL,
    [FIELD_USER_AGENT] = CLASS_NEUTRAL,
    [FIELD_REFERER] = CLASS_NEUTRAL,
    [FIELD_ORIGIN] = CLASS_NEUTRAL,
    [FIELD_PRIORITY] = CLASS_NEUTRAL,
    [FIELD_TE] = CLASS_NEUTRAL,
    [FIELD_GRPC_TIMEOUT] = CLASS_NEUTRAL,
    [FIELD_TRACEPARENT] = CLASS_NEUTRAL,
    [FIELD_TRACESTATE] = CLASS_NEUTRAL,
    [FIELD_X_REQUEST_ID] = CLASS_NEUTRAL,
    [FIELD_FORWARDED] = CLASS_NEUTRAL,
    [FIELD_X_FORWARDED_FOR] = CLASS_NEUTRAL,
    [FIELD_X_FORWARDED_HOST] = CLASS_NEUTRAL,
    [FIELD_X_FORWARDED_PROTO] = CLASS_NEUTRAL,
    [FIELD_CONTENT_LENGTH] = CLASS_NEUTRAL,
    [FIELD_CACHE_CONTROL] = CLASS_CACHE,
    [FIELD_PRAGMA] = CLASS_CACHE,
    [FIELD_X_NO_COALESCE] = CLASS_OPT_OUT,
    [FIELD_EXPECT] = CLASS_EXCLUDES,
    [FIELD_UPGRADE] = CLASS_EXCLUDES,
    [FIELD_PROTOCOL] = CLASS_EXCLUDES,
};

/* Neutral names that begin so (C25), if their token has no class of its own. */
static const char *const neutral_prefixes[] = {"sec-", "x-forwarded-", "x-stainless-"};

/* The first byte of a key: requests in shadow mode never meet the others. */
enum key_mode {
    KEY_MODE_SHARE = 'k',
    KEY_MODE_SHADOW = 's',
};

struct key_shape {
    uint8_t mode; /* enum key_mode */
    uint8_t across_principals;
    uint8_t has_body;
};

static uint8_t lower_case(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool bytes_equal_lower(struct bytes bytes, const char *lower)
{
    size_t length = strlen(lower);
    if (bytes.length != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if (lower_case(bytes.data[i]) != (uint8_t)lower[i])
            return false;
    return true;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct bytes trimmed(struct bytes text)
{
    while (text.length > 0 && is_space(text.data[0]))
        text = bytes_after(text, 1);
    while (text.length > 0 && is_space(text.data[text.length - 1]))
        text.length--;
    return text;
}

static size_t index_of(struct bytes text, uint8_t c)
{
    const uint8_t *at = text.length > 0 ? memchr(text.data, c, text.length) : NULL;
    return at != NULL ? (size_t)(at - text.data) : text.length;
}

bool list_value_next(struct bytes *rest, struct bytes *out_element)
{
    if (rest->length == 0)
        return false;
    size_t length = index_of(*rest, ',');
    *out_element = trimmed(bytes_first(*rest, length));
    *rest = bytes_after(*rest, length < rest->length ? length + 1 : length);
    return true;
}

bool directive_is_set(struct bytes directives, const char *name)
{
    struct bytes element;
    while (list_value_next(&directives, &element)) {
        struct bytes bare = trimmed(bytes_first(element, index_of(element, '=')));
        if (bytes_equal_lower(bare, name))
            return true;
    }
    return false;
}

static bool is_listed(const struct bytes *names, uint32_t count, struct bytes name)
{
    for (uint32_t i = 0; i < count; i++)
        if (bytes_equal(names[i], name))
            return true;
    return false;
}

static bool has_neutral_prefix(struct bytes name)
{
    for (size_t i = 0; i < array_count(neutral_prefixes); i++)
        if (bytes_start_with(name, bytes_text(neutral_prefixes[i])))
            return true;
    return false;
}

/* The route's own names come first: they may key what is otherwise neutral, never the reverse. */
static enum key_class class_of(const struct snapshot_coalesce *rules, const struct field *field)
{
    enum key_class listed = (enum key_class)key_classes[field->token];
    if (is_listed(rules->key_headers, rules->key_header_count, field->name) &&
        (listed == CLASS_UNKEYED || listed == CLASS_NEUTRAL))
        return CLASS_KEYED;
    if (is_listed(rules->principal_headers, rules->principal_header_count, field->name) &&
        (listed == CLASS_UNKEYED || listed == CLASS_NEUTRAL))
        return CLASS_PRINCIPAL;
    if (listed != CLASS_UNKEYED)
        return listed;
    if (has_neutral_prefix(field->name) ||
        is_listed(rules->neutral_headers, rules->neutral_header_count, field->name))
        return CLASS_NEUTRAL;
    return CLASS_UNKEYED;
}

/* Most are by their token, or are not: only the others may be listed for the route. */
bool key_is_credential(const struct snapshot_coalesce *rules, const struct field *field)
{
    enum key_class listed = (enum key_class)key_classes[field->token];
    if (listed != CLASS_UNKEYED && listed != CLASS_NEUTRAL)
        return listed == CLASS_PRINCIPAL;
    if (rules->principal_header_count == 0)
        return false;
    return class_of(rules, field) == CLASS_PRINCIPAL;
}

bool key_ignores(const struct snapshot_coalesce *rules, const struct field *field)
{
    return class_of(rules, field) == CLASS_NEUTRAL;
}

/* The route's own names may be anything. */
bool key_may_have_credential(const struct snapshot_coalesce *rules, const struct fields *fields)
{
    return rules->principal_header_count > 0 || fields_may_have(fields, FIELD_AUTHORIZATION) ||
           fields_may_have(fields, FIELD_COOKIE) || fields_may_have(fields, FIELD_API_KEY) ||
           fields_may_have(fields, FIELD_X_API_KEY) ||
           fields_may_have(fields, FIELD_X_FORWARDED_CLIENT_CERT);
}

static void put_part(struct writer *key, struct bytes part)
{
    writer_u32(key, (uint32_t)part.length);
    writer_bytes(key, part);
}

static bool opts_out(const struct field *field)
{
    return directive_is_set(field->value, "no-cache") || directive_is_set(field->value, "no-store");
}

/* C1, C5, C25: whether any header forbids sharing. */
static enum key_verdict verdict_of_headers(const struct snapshot_coalesce *rules,
                                           const struct fields *fields, struct bytes *out_detail)
{
    struct field field;
    for (uint32_t at = 0; fields_next(fields, &at, &field);) {
        switch (class_of(rules, &field)) {
        case CLASS_UNKEYED:
            *out_detail = field.name;
            return KEY_UNKEYED_HEADER;
        case CLASS_CACHE:
            if (opts_out(&field))
                return KEY_CLIENT_OPTED_OUT;
            break;
        case CLASS_OPT_OUT:
            return KEY_CLIENT_OPTED_OUT;
        case CLASS_EXCLUDES:
            return KEY_EXPECT_OR_UPGRADE;
        case CLASS_TARGET:
        case CLASS_KEYED:
        case CLASS_PRINCIPAL:
        case CLASS_NEUTRAL:
            break;
        }
    }
    return KEY_OK;
}

/* C1: GET and HEAD, and POST where the route says so. Nothing else, ever. */
static bool method_may_share(enum coalesce_mode mode, struct bytes method)
{
    if (bytes_equal_text(method, "GET") || bytes_equal_text(method, "HEAD"))
        return true;
    return (mode == COALESCE_POST_BODY || mode == COALESCE_SHADOW) &&
           bytes_equal_text(method, "POST");
}

static enum key_verdict verdict_of(const struct snapshot_coalesce *rules,
                                   const struct fields *fields, bool has_body,
                                   struct bytes *out_detail)
{
    struct bytes method = BYTES_NONE;
    if (rules->mode == COALESCE_OFF)
        return KEY_ROUTE_OFF;
    if (!fields_find(fields, FIELD_METHOD, &method) || !method_may_share(rules->mode, method))
        return KEY_METHOD;
    bool is_post = bytes_equal_text(method, "POST");
    if (has_body && !is_post)
        return KEY_HAS_BODY;
    enum key_verdict verdict = verdict_of_headers(rules, fields, out_detail);
    return verdict == KEY_OK && has_body ? KEY_HOLD_BODY : verdict;
}

static void put_shape(struct writer *key, const struct snapshot_route *route, uint16_t route_index,
                      bool has_body)
{
    bool shadow = route->coalesce.mode == COALESCE_SHADOW;
    writer_u8(key, shadow ? KEY_MODE_SHADOW : KEY_MODE_SHARE);
    writer_u8(key, route->coalesce.share_across_principals);
    writer_u8(key, has_body);
    writer_u16(key, route_index);
    writer_u16(key, route->service);
    put_part(key, route->name);
}

static void put_target(struct writer *key, const struct fields *fields)
{
    static const enum field_token parts[] = {FIELD_METHOD, FIELD_SCHEME, FIELD_AUTHORITY,
                                             FIELD_PATH};
    for (size_t i = 0; i < array_count(parts); i++) {
        struct bytes value = BYTES_NONE;
        fields_find(fields, parts[i], &value);
        put_part(key, value);
    }
}

/* Whether the name is written among the extra ones, not here. */
static bool is_extra(const struct snapshot_coalesce *rules, struct bytes name)
{
    return is_listed(rules->key_headers, rules->key_header_count, name) ||
           (!rules->share_across_principals &&
            is_listed(rules->principal_headers, rules->principal_header_count, name));
}

static bool is_keyed_header(const struct snapshot_coalesce *rules, const struct field *field)
{
    enum key_class class = class_of(rules, field);
    bool keyed = class == CLASS_KEYED || class == CLASS_CACHE ||
                 (class == CLASS_PRINCIPAL && !rules->share_across_principals);
    return keyed && field->token != FIELD_OTHER && !is_extra(rules, field->name);
}

static void put_values(struct writer *key, const struct fields *fields, enum field_token token)
{
    struct field field;
    for (uint32_t at = 0; fields_next(fields, &at, &field);) {
        if (field.token != token)
            continue;
        writer_u8(key, (uint8_t)token);
        put_part(key, field.value);
    }
}

static void put_headers(struct writer *key, const struct snapshot_coalesce *rules,
                        const struct fields *fields)
{
    bool keyed[FIELD_TOKENS] = {false};
    struct field field;
    for (uint32_t at = 0; fields_next(fields, &at, &field);)
        keyed[field.token] = is_keyed_header(rules, &field);
    for (int token = 0; token < FIELD_TOKENS; token++)
        if (keyed[token])
            put_values(key, fields, (enum field_token)token);
    writer_u8(key, KEY_END);
}

static void put_extra(struct writer *key, const struct fields *fields, struct bytes name)
{
    struct field field;
    put_part(key, name);
    for (uint32_t at = 0; fields_next(fields, &at, &field);) {
        if (!bytes_equal(field.name, name))
            continue;
        writer_u8(key, 1);
        put_part(key, field.value);
    }
    writer_u8(key, KEY_END);
}

static void put_extras(struct writer *key, const struct snapshot_coalesce *rules,
                       const struct fields *fields)
{
    for (uint32_t i = 0; i < rules->key_header_count; i++)
        put_extra(key, fields, rules->key_headers[i]);
    if (rules->share_across_principals)
        return;
    for (uint32_t i = 0; i < rules->principal_header_count; i++)
        put_extra(key, fields, rules->principal_headers[i]);
}

static void put_body(struct writer *key, const struct held_body *body)
{
    writer_u64(key, body != NULL ? body->body.written_bytes : 0);
    if (body != NULL)
        writer_bytes(key, bytes_of(body->digest, SHA256_BYTES));
}

/* The request is eligible: its key. BODY may be NULL. */
static enum key_verdict write_key(const struct snapshot_route *route, uint16_t route_index,
                                  const struct fields *fields, const struct held_body *body,
                                  uint8_t *out, struct bytes *out_key)
{
    const struct snapshot_coalesce *rules = &route->coalesce;
    struct writer key = writer_over(out, COALESCE_KEY_BYTES);
    put_shape(&key, route, route_index, body != NULL);
    put_target(&key, fields);
    put_headers(&key, rules, fields);
    put_extras(&key, rules, fields);
    put_body(&key, body);
    if (key.failed)
        return KEY_TOO_LONG;
    *out_key = writer_written(&key);
    return rules->mode == COALESCE_SHADOW ? KEY_SHADOW : KEY_OK;
}

/* C27. A body that a POST has not cannot have what is required of it. */
static bool body_is_as_required(const struct snapshot_coalesce *rules, const struct held_body *held)
{
    struct json_match match;
    json_match_init(&match, rules->when_json, rules->when_json_count);
    const struct segment *segment = held != NULL ? held->body.first : NULL;
    for (; segment != NULL; segment = segment->next)
        json_match_feed(&match, bytes_of(segment->data, segment->length));
    return rules->when_json_count == 0 || json_match_holds(&match);
}

enum key_verdict coalesce_key(const struct snapshot_route *route, uint16_t route_index,
                              const struct fields *fields, bool has_body, uint8_t *out,
                              struct bytes *out_key, struct bytes *out_detail)
{
    struct bytes method = BYTES_NONE;
    *out_key = BYTES_NONE;
    *out_detail = BYTES_NONE;
    enum key_verdict verdict = verdict_of(&route->coalesce, fields, has_body, out_detail);
    if (verdict == KEY_HOLD_BODY && route->coalesce.mode == COALESCE_SHADOW)
        return KEY_SHADOW_BODY;
    if (verdict != KEY_OK)
        return verdict;
    if (fields_find(fields, FIELD_METHOD, &method) && bytes_equal_text(method, "POST") &&
        !body_is_as_required(&route->coalesce, NULL))
        return KEY_PREDICATE;
    return write_key(route, route_index, fields, NULL, out, out_key);
}

enum key_verdict coalesce_key_of_body(const struct snapshot_route *route, uint16_t route_index,
                                      const struct fields *fields, const struct held_body *body,
                                      uint8_t *out, struct bytes *out_key, struct bytes *out_detail)
{
    *out_key = BYTES_NONE;
    *out_detail = BYTES_NONE;
    enum key_verdict verdict = verdict_of(&route->coalesce, fields, true, out_detail);
    if (verdict != KEY_HOLD_BODY)
        return verdict;
    if (!body_is_as_required(&route->coalesce, body))
        return KEY_PREDICATE;
    return write_key(route, route_index, fields, body, out, out_key);
}

static struct bytes get_part(struct reader *key)
{
    return reader_bytes(key, reader_u32(key));
}

static struct key_shape get_shape(struct reader *key)
{
    struct key_shape shape;
    shape.mode = reader_u8(key);
    shape.across_principals = reader_u8(key);
    shape.has_body = reader_u8(key);
    reader_skip(key, 2 * sizeof(uint16_t));
    get_part(key);
    return shape;
}

/* Skip the rest of a list of (mark, value) up to its END. */
static void skip_values(struct reader *key)
{
    while (!key->failed && reader_u8(key) != KEY_END)
        get_part(key);
}

static bool is_extra_of_key(struct bytes key, struct bytes name)
{
    struct reader reader = reader_over(key);
    struct key_shape shape = get_shape(&reader);
    size_t tail = sizeof(uint64_t) + (shape.has_body != 0 ? SHA256_BYTES : 0);
    for (int i = 0; i < 4; i++)
        get_part(&reader);
    skip_values(&reader);
    while (!reader.failed && reader_left(&reader) > tail) {
        if (bytes_equal(get_part(&reader), name))
            return true;
        skip_values(&reader);
    }
    return false;
}

struct bytes key_path(struct bytes key)
{
    struct reader reader = reader_over(key);
    (void)get_shape(&reader);
    for (int before = 0; before < 3; before++) /* put_target() */
        get_part(&reader);
    return get_part(&reader);
}

struct bytes key_with_fields(struct bytes key, struct bytes names, const struct fields *fields,
                             uint8_t *room)
{
    struct reader reader = reader_over(key);
    struct key_shape shape = get_shape(&reader);
    size_t tail = sizeof(uint64_t) + (shape.has_body != 0 ? SHA256_BYTES : 0);
    struct writer longer = writer_over(room, COALESCE_KEY_BYTES);
    struct bytes name;
    if (reader.failed || key.length < tail)
        return BYTES_NONE;
    writer_bytes(&longer, bytes_first(key, key.length - tail));
    while (list_value_next(&names, &name))
        if (name.length > 0)
            put_extra(&longer, fields, name);
    writer_bytes(&longer, bytes_after(key, key.length - tail));
    return longer.failed ? BYTES_NONE : writer_written(&longer);
}

struct bytes bytes_lower(struct bytes name, uint8_t *room, size_t size)
{
    size_t length = name.length < size ? name.length : size;
    for (size_t i = 0; i < length; i++)
        room[i] = lower_case(name.data[i]);
    return bytes_of(room, length);
}

bool key_has_principal(struct bytes key)
{
    struct reader reader = reader_over(key);
    return get_shape(&reader).across_principals == 0 && !reader.failed;
}

bool key_covers(struct bytes key, struct bytes name)
{
    switch ((enum key_class)key_classes[field_token_of(name)]) {
    case CLASS_TARGET:
    case CLASS_KEYED:
    case CLASS_CACHE:
        return true;
    case CLASS_PRINCIPAL:
        return key_has_principal(key) || is_extra_of_key(key, name);
    case CLASS_UNKEYED:
    case CLASS_NEUTRAL:
    case CLASS_OPT_OUT:
    case CLASS_EXCLUDES:
        break;
    }
    return is_extra_of_key(key, name);
}
