/*
 * header_rules: what a request must have to be forwarded, and how its header section looks then.
 * HTTP/2 has already checked the message form (RFC 9113 8.2, 8.3): pseudo-header fields, case,
 * connection-specific fields. Here: target, route, and fields that end at this hop (RFC 9110 7.6).
 */
#include "dataplane/base/check.h"
#include "dataplane/h2/hpack_table.h"
#include "dataplane/request/exchange.h"

/* Longer ones are not told: they would be no host, and no scheme. */
#define HOST_TOLD_BYTES   200
#define SCHEME_TOLD_BYTES 16

/* What Max-Forwards is at most when it leaves here: no chain is longer (RFC 9110 7.6.2). */
#define HOPS_MAX 255

/* No name that a rule is for is longer. */
#define NAME_READ_BYTES FIELD_NAME_MAX

_Static_assert(FIELD_OTHER == 0 && FIELD_PROTOCOL == 6, "pseudo-header fields come first");

/* What stands where in a request. */
struct target {
    const uint8_t *heads[FIELD_PROTOCOL + 1]; /* of pseudo-header fields, by token; NULL: none */
    struct bytes values[FIELD_PROTOCOL + 1];  /* of those that are there */
    struct bytes authority;                   /* empty: none */
    uint32_t end;                             /* where the other fields begin */
};

static bool has(const struct target *target, enum field_token token)
{
    return target->heads[token] != NULL;
}

/*
 * One look at the fields in front. Host stands in for :authority; HTTP/2 has seen to it that they
 * agree, and that no other field comes before a pseudo-header field (RFC 9113 8.3, 8.3.1).
 */
static void read_target(const struct fields *request, struct target *target)
{
    struct field field;
    memset(target->heads, 0, sizeof(target->heads));
    target->authority = BYTES_NONE;
    target->end = 0;
    for (uint32_t at = 0; fields_next(request, &at, &field); target->end = at) {
        if (field.token == FIELD_OTHER || field.token > FIELD_PROTOCOL)
            break;
        target->heads[field.token] = request->data + target->end;
        target->values[field.token] = field.value;
    }
    if (has(target, FIELD_AUTHORITY))
        target->authority = target->values[FIELD_AUTHORITY];
    else
        (void)fields_find(request, FIELD_HOST, &target->authority);
}

static bool is_whole(const struct target *target)
{
    return has(target, FIELD_METHOD) && has(target, FIELD_SCHEME) && has(target, FIELD_PATH) &&
           target->authority.length > 0 && target->values[FIELD_PATH].length > 0;
}

static bool method_is(const struct target *target, const char *method)
{
    return has(target, FIELD_METHOD) && bytes_equal_text(target->values[FIELD_METHOD], method);
}

static bool path_is_usable(const struct target *target)
{
    struct bytes path = target->values[FIELD_PATH];
    return path.data[0] == '/' || (bytes_equal_text(path, "*") && method_is(target, "OPTIONS"));
}

enum forward {
    FORWARD_KEEP,
    FORWARD_DROP,          /* ends at this hop, or is said in another way */
    FORWARD_ONLY_TRAILERS, /* te: trailers (RFC 9113 8.2.2) */
    FORWARD_ONE_HOP_LESS,  /* max-forwards of OPTIONS, for which only it has a meaning */
    FORWARD_UNLESS_TOLD,   /* the client's word about itself, which may not count */
    FORWARD_BY_ITS_NAME,   /* as it came; but what reads like it is dropped, as with all but KEEP */
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
        [FIELD_CONTENT_LENGTH] = FORWARD_BY_ITS_NAME,
        [FIELD_FORWARDED] = FORWARD_UNLESS_TOLD,
        [FIELD_X_FORWARDED_FOR] = FORWARD_UNLESS_TOLD,
        [FIELD_X_FORWARDED_PROTO] = FORWARD_UNLESS_TOLD,
        [FIELD_X_FORWARDED_HOST] = FORWARD_UNLESS_TOLD,
        [FIELD_X_FORWARDED_CLIENT_CERT] = FORWARD_UNLESS_TOLD,
    };
    return (enum forward)rules[token];
}

/*
 * The client's word about itself does not count: we tell it. CERTIFICATE: its certificate is told
 * by us, or by nobody. As soon as one listener asks for certificates that holds at all of them, or
 * who connects to another one could pass for anybody there.
 */
static bool is_told(const struct snapshot_route *route, bool certificate, enum field_token token)
{
    if (token == FIELD_X_FORWARDED_CLIENT_CERT)
        return certificate;
    return token == FIELD_FORWARDED ? route->forwarded == FORWARD_REPLACE
                                    : route->x_forwarded == FORWARD_REPLACE;
}

/*
 * CGI (RFC 3875 4.1.18), WSGI and their like read `_` for `-`: by x_forwarded_for a client would
 * say what x-forwarded-for may not. So a field that reads like one with a rule does not go on.
 */
static bool is_disguised(const struct field *field)
{
    uint8_t text[NAME_READ_BYTES];
    if (field->token != FIELD_OTHER || field->name.length > sizeof(text) ||
        memchr(field->name.data, '_', field->name.length) == NULL)
        return false;
    for (size_t i = 0; i < field->name.length; i++)
        text[i] = field->name.data[i] == '_' ? '-' : field->name.data[i];
    return forward_rule(field_token_of(bytes_of(text, field->name.length))) != FORWARD_KEEP;
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
static void forward_hops(struct fields *out, const uint8_t *from, uint32_t hops)
{
    uint8_t digits[3];
    uint32_t left = hops - 1;
    size_t at = sizeof(digits);
    if (hops == 0) {
        fields_append_from(out, from);
        return;
    }
    do {
        digits[--at] = (uint8_t)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    fields_add_token(out, FIELD_MAX_FORWARDS, bytes_of(digits + at, sizeof(digits) - at));
}

/* The field whose head is at FROM. */
static void forward_field(const struct snapshot_route *route, bool certificate,
                          const struct field *field, const uint8_t *from, uint32_t hops,
                          struct fields *out)
{
    switch (forward_rule(field->token)) {
    case FORWARD_KEEP:
    case FORWARD_BY_ITS_NAME:
        fields_append_from(out, from);
        return;
    case FORWARD_DROP:
        return;
    case FORWARD_ONLY_TRAILERS:
        if (bytes_equal_text(field->value, "trailers"))
            fields_append_from(out, from);
        return;
    case FORWARD_ONE_HOP_LESS:
        forward_hops(out, from, hops);
        return;
    case FORWARD_UNLESS_TOLD:
        if (!is_told(route, certificate, field->token))
            fields_append_from(out, from);
        return;
    }
}

/* Those from AT on. Returns how many were disguised. */
static uint32_t forward_fields(const struct snapshot_route *route, bool certificate,
                               const struct fields *request, uint32_t at, uint32_t hops,
                               struct fields *out)
{
    struct field field;
    uint32_t disguised = 0;
    const uint8_t *from = request->data + at;
    for (; fields_next(request, &at, &field); from = request->data + at) {
        if (is_disguised(&field))
            disguised++;
        else
            forward_field(route, certificate, &field, from, hops, out);
    }
    return disguised;
}

/* Who is asking, by certificate. It is part of the key: nobody gets another one's answer (C4). */
static void add_certificate(const struct request_peer *peer, struct fields *out)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t text[8 + 2 * REQUEST_FINGERPRINT_BYTES];
    struct writer value = writer_over(text, sizeof(text));
    if (!peer->certificate_shown)
        return;
    writer_bytes(&value, bytes_text("Hash="));
    for (size_t i = 0; i < sizeof(peer->fingerprint); i++) {
        writer_u8(&value, (uint8_t)digits[peer->fingerprint[i] >> 4]);
        writer_u8(&value, (uint8_t)digits[peer->fingerprint[i] & 15]);
    }
    fields_add_token(out, FIELD_X_FORWARDED_CLIENT_CERT, writer_written(&value));
}

/* How many hops OPTIONS may still make, this one included. False: it ends here, with ANSWER. */
static bool may_go_on(const struct target *target, const struct fields *request, uint32_t *hops,
                      enum local_answer *answer)
{
    struct bytes value = BYTES_NONE;
    *hops = 0;
    if (!fields_find(request, FIELD_MAX_FORWARDS, &value) || !method_is(target, "OPTIONS"))
        return true;
    *answer = read_hops(value, hops) ? LOCAL_OPTIONS : LOCAL_BAD_REQUEST;
    return *answer == LOCAL_OPTIONS && *hops > 0;
}

/*
 * CONNECT (RFC 9113 8.5) has no target of the usual form, if it is not extended; TRACE would show
 * backends' secrets.
 */
static bool is_refused_method(const struct target *target)
{
    if (method_is(target, "CONNECT"))
        return !has(target, FIELD_PROTOCOL);
    return method_is(target, "TRACE");
}

/* RFC 8441: only what the route names. Protocols are compared without case (RFC 9110 7.8). */
static bool takes_protocol(const struct snapshot_route *route, const struct target *target)
{
    if (!has(target, FIELD_PROTOCOL))
        return true;
    for (uint32_t i = 0; i < route->extended_connect_count; i++)
        if (route_same_text(target->values[FIELD_PROTOCOL], route->extended_connect[i]))
            return true;
    return false;
}

/* The service may have a name of its own. */
static void forward_authority(const struct snapshot_service *service, const struct target *target,
                              struct fields *out)
{
    if (service->authority.length > 0)
        fields_add_token(out, FIELD_AUTHORITY, service->authority);
    else if (has(target, FIELD_AUTHORITY))
        fields_append_from(out, target->heads[FIELD_AUTHORITY]);
    else
        fields_add_token(out, FIELD_AUTHORITY, target->authority);
}

static void forward_target(const struct snapshot_service *service, const struct target *target,
                           struct fields *out)
{
    fields_append_from(out, target->heads[FIELD_METHOD]);
    if (has(target, FIELD_PROTOCOL))
        fields_append_from(out, target->heads[FIELD_PROTOCOL]);
    fields_append_from(out, target->heads[FIELD_SCHEME]);
    forward_authority(service, target, out);
    out->part_ends[PART_FRONT] = out->used;
    fields_append_from(out, target->heads[FIELD_PATH]);
    out->part_ends[PART_OWN] = out->used;
}

const struct snapshot_route *request_rules_route(const struct snapshot *snapshot,
                                                 const struct fields *request, struct bytes path)
{
    struct bytes authority = BYTES_NONE;
    if (!fields_find(request, FIELD_AUTHORITY, &authority))
        (void)fields_find(request, FIELD_HOST, &authority);
    return route_match(snapshot, authority, path);
}

enum local_answer request_rules(const struct snapshot *snapshot, const struct request_peer *peer,
                                const struct fields *request, struct fields *out_forwarded,
                                struct request_way *out)
{
    struct target target;
    *out = (struct request_way){0};
    if (request->overflow)
        return LOCAL_HEADER_SIZE;
    read_target(request, &target);
    if (is_refused_method(&target))
        return LOCAL_METHOD;
    if (!is_whole(&target) || !path_is_usable(&target))
        return LOCAL_BAD_REQUEST;
    enum local_answer answer = LOCAL_NONE;
    uint32_t hops;
    if (!may_go_on(&target, request, &hops, &answer))
        return answer;
    struct bytes path = target.values[FIELD_PATH];
    if (path.data[0] == '*') /* RFC 9110 7.1: of the authority as a whole */
        path = bytes_text("/");
    out->route = route_match(snapshot, target.authority, path);
    if (out->route == NULL)
        return LOCAL_NO_ROUTE;
    if (!takes_protocol(out->route, &target))
        return LOCAL_METHOD;
    const struct snapshot_service *service = &snapshot->services[out->route->service];
    forward_target(service, &target, out_forwarded);
    bool certificate = snapshot->asks_certificates || peer->certificate_asked;
    out->disguised =
        forward_fields(out->route, certificate, request, target.end, hops, out_forwarded);
    add_certificate(peer, out_forwarded);
    out_forwarded->part_ends[PART_FIELDS] = out_forwarded->used;
    return out_forwarded->overflow ? LOCAL_HEADER_SIZE : LOCAL_NONE;
}

/* A backend that takes trailers for fields of the head would believe what they say (RFC
 * 9110 6.5.1). */
const struct fields *request_rules_trailers(const struct fields *trailers, struct fields *scratch,
                                            uint32_t *out_disguised)
{
    struct field field;
    const uint8_t *from = trailers->data;
    fields_init(scratch, scratch->data, scratch->capacity);
    *out_disguised = 0;
    for (uint32_t at = 0; fields_next(trailers, &at, &field); from = trailers->data + at) {
        if (is_disguised(&field))
            ++*out_disguised;
        else if (forward_rule(field.token) == FORWARD_KEEP)
            fields_append_from(scratch, from);
    }
    return scratch->count > 0 ? scratch : NULL;
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
 * What this hop adds, not part of any key, whoever asks: `via` (RFC 9110 7.6.3), and how the
 * request came here as the route's policies say.
 */
void request_rules_hop(const struct snapshot *snapshot, const struct snapshot_route *route,
                       const struct fields *request, struct fields *forwarded)
{
    uint8_t text[128];
    struct writer via = writer_over(text, sizeof(text));
    struct bytes scheme = BYTES_NONE;
    struct bytes authority = BYTES_NONE;
    writer_bytes(&via, bytes_text("2 "));
    writer_bytes(&via, bytes_first(snapshot->node, 64));
    fields_add_token(forwarded, FIELD_VIA, writer_written(&via));
    if (route->x_forwarded != FORWARD_OFF) {
        (void)fields_find(request, FIELD_SCHEME, &scheme);
        if (!fields_find(request, FIELD_AUTHORITY, &authority))
            (void)fields_find(request, FIELD_HOST, &authority);
        add_missing(forwarded, FIELD_X_FORWARDED_PROTO, scheme);
        if (authority.length <= HOST_TOLD_BYTES)
            add_missing(forwarded, FIELD_X_FORWARDED_HOST, authority);
    }
    forwarded->part_ends[PART_FIELDS] = forwarded->used;
}

void request_rules_address(struct client *client, struct bytes text)
{
    struct field field = {.token = FIELD_X_FORWARDED_FOR, .value = text};
    struct fields told;
    check(text.length <= sizeof(client->address));
    client->address_length = (uint8_t)text.length;
    memcpy(client->address, text.data, text.length);
    field.hash = hpack_hash_of(&field);
    fields_init(&told, client->told, sizeof(client->told));
    fields_add(&told, field);
}

/*
 * What it says about the client, as the route's policies say, behind all else: it is no part that
 * comes again. Of a list of addresses the last one is ours.
 */
void request_rules_client(const struct client *client, const struct snapshot_route *route,
                          const struct fields *request, struct fields *forwarded)
{
    struct bytes address = bytes_of(client->address, client->address_length);
    struct target target;
    if (route->x_forwarded != FORWARD_OFF)
        fields_append_from(forwarded, client->told);
    if (route->forwarded == FORWARD_OFF)
        return;
    read_target(request, &target);
    if (is_whole(&target))
        add_forwarded(forwarded, address, target.authority, target.values[FIELD_SCHEME]);
}
