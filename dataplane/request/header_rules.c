/*
 * header_rules: what a request must have to be forwarded, and how its header section looks then.
 * HTTP/2 has already checked the message form (RFC 9113 8.2, 8.3): pseudo-header fields, case,
 * connection-specific fields. Here: target, route, and fields that end at this hop (RFC 9110 7.6).
 */
#include "dataplane/request/exchange.h"

/* Longer ones are not told: they would be no host, and no scheme. */
#define HOST_TOLD_BYTES   200
#define SCHEME_TOLD_BYTES 16

/* What Max-Forwards is at most when it leaves here: no chain is longer (RFC 9110 7.6.2). */
#define HOPS_MAX 255

struct target {
    struct bytes method;
    struct bytes protocol; /* of extended CONNECT; data NULL: it is none */
    struct bytes scheme;
    struct bytes authority;
    struct bytes path;
};

/* Host stands in for :authority; HTTP/2 has seen to it that they agree (RFC 9113 8.3.1). */
static bool read_target(const struct fields *request, struct target *target)
{
    struct bytes host = BYTES_NONE;
    *target = (struct target){0};
    fields_find(request, FIELD_HOST, &host);
    fields_find(request, FIELD_PROTOCOL, &target->protocol);
    bool has_authority = fields_find(request, FIELD_AUTHORITY, &target->authority);
    if (!fields_find(request, FIELD_METHOD, &target->method) ||
        !fields_find(request, FIELD_SCHEME, &target->scheme) ||
        !fields_find(request, FIELD_PATH, &target->path))
        return false;
    if (!has_authority)
        target->authority = host;
    return target->authority.length > 0 && target->path.length > 0;
}

static bool path_is_usable(const struct target *target)
{
    if (target->path.data[0] == '/')
        return true;
    return bytes_equal_text(target->path, "*") && bytes_equal_text(target->method, "OPTIONS");
}

enum forward {
    FORWARD_KEEP,
    FORWARD_DROP,          /* ends at this hop, or is said in another way */
    FORWARD_ONLY_TRAILERS, /* te: trailers (RFC 9113 8.2.2) */
    FORWARD_ONE_HOP_LESS,  /* max-forwards of OPTIONS, for which only it has a meaning */
};

static enum forward forward_rule(enum field_token token)
{
    static const uint8_t rules[FIELD_TOKENS] = {
        [FIELD_AUTHORITY] = FORWARD_DROP,
        [FIELD_METHOD] = FORWARD_DROP,
        [FIELD_PATH] = FORWARD_DROP,
        [FIELD_SCHEME] = FORWARD_DROP,
        [FIELD_PROTOCOL] = FORWARD_DROP,
        [FIELD_STATUS] = FORWARD_DROP,
        [FIELD_HOST] = FORWARD_DROP,
        [FIELD_CONNECTION] = FORWARD_DROP,
        [FIELD_KEEP_ALIVE] = FORWARD_DROP,
        [FIELD_PROXY_AUTHORIZATION] = FORWARD_DROP,
        [FIELD_PROXY_CONNECTION] = FORWARD_DROP,
        [FIELD_TRANSFER_ENCODING] = FORWARD_DROP,
        [FIELD_UPGRADE] = FORWARD_DROP,
        [FIELD_TE] = FORWARD_ONLY_TRAILERS,
        [FIELD_MAX_FORWARDS] = FORWARD_ONE_HOP_LESS,
    };
    return (enum forward)rules[token];
}

/* The client's word about itself does not count. */
static bool is_replaced(const struct snapshot_route *route, enum field_token token)
{
    static const bool x_forwarded[FIELD_TOKENS] = {
        [FIELD_X_FORWARDED_FOR] = true,
        [FIELD_X_FORWARDED_PROTO] = true,
        [FIELD_X_FORWARDED_HOST] = true,
    };
    if (token == FIELD_FORWARDED)
        return route->forwarded == FORWARD_REPLACE;
    return x_forwarded[token] && route->x_forwarded == FORWARD_REPLACE;
}

/* RFC 9110 7.6.2: digits, however many; what is more than HOPS_MAX is HOPS_MAX. */
static bool read_hops(struct bytes value, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return false;
        *out = *out * 10 + (value.data[i] - '0');
        *out = *out < HOPS_MAX + 1 ? *out : HOPS_MAX + 1;
    }
    return value.length > 0;
}

/* HOPS: of a request for which it has a meaning; 0: as it came. */
static void forward_hops(struct fields *out, struct field field, uint32_t hops)
{
    uint8_t digits[3];
    uint32_t left = hops - 1;
    size_t at = sizeof(digits);
    if (hops == 0) {
        fields_add(out, field);
        return;
    }
    do {
        digits[--at] = (uint8_t)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    fields_add_token(out, FIELD_MAX_FORWARDS, bytes_of(digits + at, sizeof(digits) - at));
}

static void forward_fields(const struct snapshot_route *route, const struct fields *request,
                           uint32_t hops, struct fields *out)
{
    uint32_t at = 0;
    struct field field;
    while (fields_next(request, &at, &field)) {
        enum forward rule = forward_rule(field.token);
        if (rule == FORWARD_DROP || is_replaced(route, field.token) ||
            (rule == FORWARD_ONLY_TRAILERS && !bytes_equal_text(field.value, "trailers")))
            continue;
        if (rule == FORWARD_ONE_HOP_LESS)
            forward_hops(out, field, hops);
        else
            fields_add(out, field);
    }
}

/* How many hops OPTIONS may still make, this one included. False: it ends here, with ANSWER. */
static bool may_go_on(const struct target *target, const struct fields *request, uint32_t *hops,
                      enum local_answer *answer)
{
    struct bytes value = BYTES_NONE;
    *hops = 0;
    if (!bytes_equal_text(target->method, "OPTIONS") ||
        !fields_find(request, FIELD_MAX_FORWARDS, &value))
        return true;
    *answer = read_hops(value, hops) ? LOCAL_OPTIONS : LOCAL_BAD_REQUEST;
    return *answer == LOCAL_OPTIONS && *hops > 0;
}

/*
 * CONNECT (RFC 9113 8.5) has no target of the usual form, if it is not extended; TRACE would show
 * backends' secrets.
 */
static bool is_refused_method(const struct fields *request)
{
    struct bytes method = BYTES_NONE;
    struct bytes protocol = BYTES_NONE;
    fields_find(request, FIELD_METHOD, &method);
    if (bytes_equal_text(method, "CONNECT"))
        return !fields_find(request, FIELD_PROTOCOL, &protocol);
    return bytes_equal_text(method, "TRACE");
}

/* RFC 8441: only what the route names. Protocols are compared without case (RFC 9110 7.8). */
static bool takes_protocol(const struct snapshot_route *route, const struct target *target)
{
    if (target->protocol.data == NULL)
        return true;
    for (uint32_t i = 0; i < route->extended_connect_count; i++)
        if (route_same_text(target->protocol, route->extended_connect[i]))
            return true;
    return false;
}

enum local_answer request_rules(const struct snapshot *snapshot, const struct fields *request,
                                struct fields *out_forwarded,
                                const struct snapshot_route **out_route)
{
    struct target target;
    if (request->overflow)
        return LOCAL_HEADER_SIZE;
    if (is_refused_method(request))
        return LOCAL_METHOD;
    if (!read_target(request, &target))
        return LOCAL_BAD_REQUEST;
    if (!path_is_usable(&target))
        return LOCAL_BAD_REQUEST;
    enum local_answer answer = LOCAL_NONE;
    uint32_t hops;
    if (!may_go_on(&target, request, &hops, &answer))
        return answer;
    bool server_wide = target.path.data[0] == '*'; /* RFC 9110 7.1: of the authority as a whole */
    *out_route =
        route_match(snapshot, target.authority, server_wide ? bytes_text("/") : target.path);
    if (*out_route == NULL)
        return LOCAL_NO_ROUTE;
    if (!takes_protocol(*out_route, &target))
        return LOCAL_METHOD;
    const struct snapshot_service *service = &snapshot->services[(*out_route)->service];
    struct bytes authority = service->authority.length > 0 ? service->authority : target.authority;
    fields_add_token(out_forwarded, FIELD_METHOD, target.method);
    if (target.protocol.data != NULL)
        fields_add_token(out_forwarded, FIELD_PROTOCOL, target.protocol);
    fields_add_token(out_forwarded, FIELD_SCHEME, target.scheme);
    fields_add_token(out_forwarded, FIELD_AUTHORITY, authority);
    fields_add_token(out_forwarded, FIELD_PATH, target.path);
    forward_fields(*out_route, request, hops, out_forwarded);
    return out_forwarded->overflow ? LOCAL_HEADER_SIZE : LOCAL_NONE;
}

static void add_missing(struct fields *forwarded, enum field_token token, struct bytes value)
{
    struct bytes ignored;
    if (value.length > 0 && !fields_find(forwarded, token, &ignored))
        fields_add_token(forwarded, token, value);
}

/* A field-value of RFC 9110 5.6.4; characters of a host need no escape but these two. */
static void write_quoted(struct writer *out, struct bytes text)
{
    writer_u8(out, '"');
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            writer_u8(out, '\\');
        writer_u8(out, text.data[i]);
    }
    writer_u8(out, '"');
}

/* RFC 7239 4: an IPv6 address is bracketed and quoted. */
static void add_forwarded(struct fields *forwarded, struct bytes address, struct bytes host,
                          struct bytes scheme)
{
    uint8_t text[512];
    struct writer out = writer_over(text, sizeof(text));
    bool is_v6 = memchr(address.data, ':', address.length) != NULL;
    writer_bytes(&out, bytes_text(is_v6 ? "for=\"[" : "for="));
    writer_bytes(&out, address);
    if (is_v6)
        writer_bytes(&out, bytes_text("]\""));
    if (host.length <= HOST_TOLD_BYTES) {
        writer_bytes(&out, bytes_text(";host="));
        write_quoted(&out, host);
    }
    if (scheme.length <= SCHEME_TOLD_BYTES) {
        writer_bytes(&out, bytes_text(";proto="));
        writer_bytes(&out, scheme);
    }
    fields_add_token(forwarded, FIELD_FORWARDED, writer_written(&out));
}

/*
 * What this hop adds, not part of any key: `via` (RFC 9110 7.6.3), and about the client what the
 * route's policies say. Of a list of addresses the last one is ours.
 */
void request_rules_hop(const struct client *client, const struct snapshot *snapshot,
                       const struct snapshot_route *route, const struct fields *request,
                       struct fields *forwarded)
{
    uint8_t text[128];
    struct writer via = writer_over(text, sizeof(text));
    struct bytes address = bytes_of(client->address, client->address_length);
    struct target target;
    writer_bytes(&via, bytes_text("2 "));
    writer_bytes(&via, bytes_first(snapshot->node, 64));
    fields_add_token(forwarded, FIELD_VIA, writer_written(&via));
    if (!read_target(request, &target))
        return;
    if (route->x_forwarded != FORWARD_OFF) {
        fields_add_token(forwarded, FIELD_X_FORWARDED_FOR, address);
        add_missing(forwarded, FIELD_X_FORWARDED_PROTO, target.scheme);
        if (target.authority.length <= HOST_TOLD_BYTES)
            add_missing(forwarded, FIELD_X_FORWARDED_HOST, target.authority);
    }
    if (route->forwarded != FORWARD_OFF)
        add_forwarded(forwarded, address, target.authority, target.scheme);
}
