/*
 * route: which service a request goes to, and how much it matters. Routes come sorted by the
 * control thread (exact authority before wildcard before any, longer path first), so the first
 * match is the answer.
 */
#include "dataplane/request/exchange.h"

#include "dataplane/h2/h2_priority.h"

/* RFC 9218 4.1: 7 is for the background. From here on a client says that others go first. */
#define URGENCY_SHEDDABLE 6

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* ASCII case-insensitive; B is lower case already (RFC 9110 4.2.3). */
bool route_same_text(struct bytes a, struct bytes b)
{
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; i++)
        if (lower(a.data[i]) != b.data[i])
            return false;
    return true;
}

/* The authority without its port; an IPv6 literal keeps its brackets. */
static struct bytes host_of(struct bytes authority)
{
    size_t i = authority.length;
    while (i > 0 && authority.data[i - 1] >= '0' && authority.data[i - 1] <= '9')
        i--;
    bool has_port = i > 0 && authority.data[i - 1] == ':';
    return has_port ? bytes_first(authority, i - 1) : authority;
}

static bool authority_matches(struct bytes pattern, struct bytes authority)
{
    if (pattern.length == 0)
        return true;
    struct bytes host = host_of(authority);
    if (pattern.data[0] != '*')
        return route_same_text(authority, pattern) || route_same_text(host, pattern);
    struct bytes suffix = bytes_after(pattern, 1);
    return host.length > suffix.length &&
           route_same_text(bytes_after(host, host.length - suffix.length), suffix);
}

/* The prefix matches whole path segments: /a matches /a, /a/b and /a?q, but not /ab. */
static bool path_matches(struct bytes prefix, struct bytes path)
{
    if (!bytes_start_with(path, prefix))
        return false;
    if (path.length == prefix.length || prefix.data[prefix.length - 1] == '/')
        return true;
    uint8_t next = path.data[prefix.length];
    return next == '/' || next == '?';
}

const struct snapshot_route *route_match(const struct snapshot *snapshot, struct bytes authority,
                                         struct bytes path)
{
    for (uint32_t i = 0; i < snapshot->route_count; i++) {
        const struct snapshot_route *route = &snapshot->routes[i];
        if (authority_matches(route->authority, authority) &&
            path_matches(route->path_prefix, path))
            return route;
    }
    return NULL;
}

/* Urgency counts downwards only: anybody may say that he is urgent. */
enum priority route_priority(const struct snapshot_route *route, const struct fields *request)
{
    struct bytes value;
    if (fields_find(request, FIELD_PRIORITY, &value) &&
        h2_priority_read(value).urgency >= URGENCY_SHEDDABLE)
        return PRIORITY_SHEDDABLE;
    return route->priority;
}
