/*
 * header_rules: what a request must have to be forwarded, and how its header section looks then.
 * HTTP/2 has already checked the message form (RFC 9113 8.2, 8.3): pseudo-header fields, case,
 * connection-specific fields. Here: target, route, and fields that end at this hop (RFC 9110 7.6).
 */
#include "dataplane/request/exchange.h"

struct target {
    struct bytes method;
    struct bytes scheme;
    struct bytes authority;
    struct bytes path;
};

/* Host stands in for :authority, and must agree with it (RFC 9113 8.3.1). */
static bool read_target(const struct fields *request, struct target *target)
{
    struct bytes host = BYTES_NONE;
    *target = (struct target){0};
    bool has_host = fields_find(request, FIELD_HOST, &host);
    bool has_authority = fields_find(request, FIELD_AUTHORITY, &target->authority);
    if (!fields_find(request, FIELD_METHOD, &target->method) ||
        !fields_find(request, FIELD_SCHEME, &target->scheme) ||
        !fields_find(request, FIELD_PATH, &target->path))
        return false;
    if (!has_authority)
        target->authority = host;
    else if (has_host && !bytes_equal(host, target->authority))
        return false;
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
    };
    return (enum forward)rules[token];
}

static void forward_fields(const struct fields *request, struct fields *out)
{
    uint32_t at = 0;
    struct field field;
    while (fields_next(request, &at, &field)) {
        enum forward rule = forward_rule(field.token);
        if (rule == FORWARD_DROP ||
            (rule == FORWARD_ONLY_TRAILERS && !bytes_equal_text(field.value, "trailers")))
            continue;
        fields_add(out, field);
    }
}

enum local_answer request_rules(const struct snapshot *snapshot, const struct fields *request,
                                struct fields *out_forwarded,
                                const struct snapshot_route **out_route)
{
    struct target target;
    if (request->overflow)
        return LOCAL_HEADER_SIZE;
    if (!read_target(request, &target))
        return LOCAL_BAD_REQUEST;
    if (bytes_equal_text(target.method, "CONNECT") || bytes_equal_text(target.method, "TRACE"))
        return LOCAL_METHOD;
    if (!path_is_usable(&target))
        return LOCAL_BAD_REQUEST;
    *out_route = route_match(snapshot, target.authority, target.path);
    if (*out_route == NULL)
        return LOCAL_NO_ROUTE;
    const struct snapshot_service *service = &snapshot->services[(*out_route)->service];
    struct bytes authority = service->authority.length > 0 ? service->authority : target.authority;
    fields_add_token(out_forwarded, FIELD_METHOD, target.method);
    fields_add_token(out_forwarded, FIELD_SCHEME, target.scheme);
    fields_add_token(out_forwarded, FIELD_AUTHORITY, authority);
    fields_add_token(out_forwarded, FIELD_PATH, target.path);
    forward_fields(request, out_forwarded);
    return out_forwarded->overflow ? LOCAL_HEADER_SIZE : LOCAL_NONE;
}

/* What this hop adds: `via` (RFC 9110 7.6.3) and the client's address. Not part of any key. */
void request_rules_hop(const struct client *client, const struct snapshot *snapshot,
                       struct fields *forwarded)
{
    uint8_t text[128];
    struct writer via = writer_over(text, sizeof(text));
    writer_bytes(&via, bytes_text("2 "));
    writer_bytes(&via, bytes_first(snapshot->node, 64));
    fields_add_token(forwarded, FIELD_VIA, writer_written(&via));
    fields_add_token(forwarded, FIELD_X_FORWARDED_FOR,
                     bytes_of(client->address, client->address_length));
}
