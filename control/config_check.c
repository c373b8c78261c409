/*
 * config_check: rules across keys. Every finding names the path of the key to change.
 */
#include "control/config_check.h"

#include "control/cookie_secret.h"
#include "control/store_redis_address.h"
#include "dataplane/base/check.h"

#include <stdlib.h>
#include <string.h>

#define SEGMENTS_MAX (1u << 28) /* a worker */

/* Names at the head of each element of a list have to be unique. */
static void check_names(struct config_reader *reader, const char *list, const void *elements,
                        uint32_t count, size_t size)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < i; j++) {
            const char *name = (const char *)elements + i * size;
            char path[CONFIG_PATH_MAX];
            if (name[0] == '\0' || strcmp(name, (const char *)elements + j * size) != 0)
                continue;
            snprintf(path, sizeof(path), "%s[%u].name", list, i);
            config_found(reader->findings, path, "\"%s\" is the name of %s[%u] already", name, list,
                         j);
            break;
        }
}

_Static_assert(offsetof(struct config_port, name) == 0, "check_names looks at the head");
_Static_assert(offsetof(struct config_listener, name) == 0, "check_names looks at the head");
_Static_assert(offsetof(struct config_region, name) == 0, "check_names looks at the head");
_Static_assert(offsetof(struct config_service, name) == 0, "check_names looks at the head");
_Static_assert(offsetof(struct config_route, name) == 0, "check_names looks at the head");

static void check_all_names(struct config_reader *reader)
{
    const struct config *c = reader->config;
    check_names(reader, "ports", c->ports, c->port_count, sizeof(*c->ports));
    check_names(reader, "listeners", c->listeners, c->listener_count, sizeof(*c->listeners));
    check_names(reader, "regions", c->regions, c->region_count, sizeof(*c->regions));
    check_names(reader, "services", c->services, c->service_count, sizeof(*c->services));
    check_names(reader, "routes", c->routes, c->route_count, sizeof(*c->routes));
}

static void lower_case(char *text)
{
    for (; *text != '\0'; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text | 0x20);
}

static void lower_headers(struct config_coalesce *coalesce)
{
    for (uint32_t i = 0; i < coalesce->key_header_count; i++)
        lower_case(coalesce->key_headers[i]);
    for (uint32_t i = 0; i < coalesce->neutral_header_count; i++)
        lower_case(coalesce->neutral_headers[i]);
    for (uint32_t i = 0; i < coalesce->principal_header_count; i++)
        lower_case(coalesce->principal_headers[i]);
}

static bool is_token(const char *name)
{
    return name[0] != '\0' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~") == strlen(name);
}

/* RFC 9110 5.1: a field name is a token; in HTTP/2 it is lower case, which it is by now. */
static void check_names_of_headers(struct config_reader *reader, const char *path, const char *key,
                                   char (*names)[CONFIG_NAME_MAX], uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!is_token(names[i]))
            config_found(reader->findings, path, "%s: \"%s\" is not the name of a header", key,
                         names[i]);
}

/* RFC 9110 7.8: so is the name of a protocol, in any case. */
static void check_protocols(struct config_reader *reader, uint32_t index)
{
    struct config_route *route = &reader->config->routes[index];
    char path[CONFIG_PATH_MAX];
    for (uint32_t i = 0; i < route->extended_connect_count; i++) {
        lower_case(route->extended_connect[i]);
        snprintf(path, sizeof(path), "routes[%u].extended_connect[%u]", index, i);
        if (!is_token(route->extended_connect[i]))
            config_found(reader->findings, path,
                         "\"%s\" is not the name of a protocol; expected \"websocket\", say",
                         route->extended_connect[i]);
    }
}

static bool has_header(char (*names)[CONFIG_NAME_MAX], uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* What is neutral is forwarded without being part of the key: nothing that says who asks (C4). */
static void check_neutral(struct config_reader *reader, const char *path,
                          const struct config_coalesce *coalesce)
{
    for (uint32_t i = 0; i < coalesce->neutral_header_count; i++) {
        const char *name = coalesce->neutral_headers[i];
        if (has_header(coalesce->key_headers, coalesce->key_header_count, name))
            config_found(reader->findings, path,
                         "\"%s\" is in key_headers and in neutral_headers; expected one", name);
        if (strcmp(name, "authorization") == 0 || strcmp(name, "cookie") == 0 ||
            has_header(coalesce->principal_headers, coalesce->principal_header_count, name))
            config_found(reader->findings, path,
                         "\"%s\" says who asks; it cannot be in neutral_headers", name);
    }
}

static void check_coalesce(struct config_reader *reader, const char *path,
                           struct config_coalesce *coalesce)
{
    lower_headers(coalesce);
    if (coalesce->share_across_principals && !coalesce->i_know_responses_are_public)
        config_found(reader->findings, path,
                     "share_across_principals needs i_know_responses_are_public: true beside it");
    check_names_of_headers(reader, path, "key_headers", coalesce->key_headers,
                           coalesce->key_header_count);
    check_names_of_headers(reader, path, "neutral_headers", coalesce->neutral_headers,
                           coalesce->neutral_header_count);
    check_names_of_headers(reader, path, "principal_headers", coalesce->principal_headers,
                           coalesce->principal_header_count);
    check_neutral(reader, path, coalesce);
}

/* Rule C4: who shares across principals says so at the route. */
static void check_shared_coalesce(struct config_reader *reader)
{
    struct config_coalesce *coalesce = &reader->config->coalesce;
    if (coalesce->share_across_principals)
        config_found(reader->findings, "coalesce.share_across_principals",
                     "is true for all routes; expected at the coalesce of a route only");
    else
        check_coalesce(reader, "coalesce", coalesce);
}

static void resolve_service(struct config_reader *reader, uint32_t index)
{
    struct config *config = reader->config;
    struct config_route *route = &config->routes[index];
    char path[CONFIG_PATH_MAX];
    for (uint32_t s = 0; s < config->service_count; s++)
        if (strcmp(config->services[s].name, route->service_name) == 0) {
            route->service = (uint16_t)s;
            return;
        }
    snprintf(path, sizeof(path), "routes[%u].service", index);
    config_found(reader->findings, path, "\"%s\" is not the name of a service",
                 route->service_name);
}

static void check_route(struct config_reader *reader, uint32_t index)
{
    struct config_route *route = &reader->config->routes[index];
    char path[CONFIG_PATH_MAX];
    lower_case(route->authority);
    resolve_service(reader, index);
    snprintf(path, sizeof(path), "routes[%u].path", index);
    if (route->path_prefix[0] != '/')
        config_found(reader->findings, path, "is \"%s\"; expected a path that begins with '/'",
                     route->path_prefix);
    snprintf(path, sizeof(path), "routes[%u].authority", index);
    if (strchr(route->authority, '*') != NULL &&
        (strncmp(route->authority, "*.", 2) != 0 || strchr(route->authority + 1, '*') != NULL))
        config_found(reader->findings, path, "is \"%s\"; expected '*' only as \"*.domain\"",
                     route->authority);
    check_protocols(reader, index);
    snprintf(path, sizeof(path), "routes[%u].coalesce", index);
    check_coalesce(reader, path, &route->coalesce);
    for (uint32_t j = 0; j < index; j++)
        if (strcmp(route->authority, reader->config->routes[j].authority) == 0 &&
            strcmp(route->path_prefix, reader->config->routes[j].path_prefix) == 0) {
            snprintf(path, sizeof(path), "routes[%u]", index);
            config_found(reader->findings, path, "routes[%u] has the same authority and path", j);
        }
}

/* Exact authority, wildcard (longer first), any. */
static int authority_rank(const struct config_route *route)
{
    if (route->authority[0] == '\0')
        return 0;
    return route->authority[0] == '*' ? (int)strlen(route->authority) : 1000;
}

static int compare_routes(const void *a, const void *b)
{
    const struct config_route *left = a;
    const struct config_route *right = b;
    int rank = authority_rank(right) - authority_rank(left);
    if (rank != 0)
        return rank;
    return (int)strlen(right->path_prefix) - (int)strlen(left->path_prefix);
}

static void check_health(struct config_reader *reader, const char *path,
                         const struct config_health *health)
{
    if (health->probe != CONFIG_PROBE_TCP && health->path[0] != '/')
        config_found(reader->findings, path, "path is \"%s\"; expected one that begins with '/'",
                     health->path);
    if (health->eject_ns > health->eject_max_ns)
        config_found(reader->findings, path, "eject is longer than eject_max");
}

static void check_roster(struct config_reader *reader)
{
    struct config *config = reader->config;
    struct config_failover *failover = &config->failover;
    for (uint32_t i = 0; i < failover->node_count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(failover->nodes[i], failover->nodes[j]) == 0)
                config_found(reader->findings, "failover.nodes", "\"%s\" stands there twice",
                             failover->nodes[i]);
    for (uint32_t i = 0; i < failover->node_count; i++)
        if (strcmp(failover->nodes[i], config->node) == 0)
            return;
    if (failover->node_count > 0)
        config_found(reader->findings, "failover.nodes", "does not name this node, \"%s\"",
                     config->node);
}

/* A state that is left at one border is not come back to at once by the other. */
static void check_borders(struct config_reader *reader)
{
    const struct config_failover *failover = &reader->config->failover;
    const struct {
        const char *path;
        uint32_t low;
        const char *than;
        uint32_t high;
    } borders[] = {
        {"failover.suspect_below", failover->suspect_below, "clear_at", failover->clear_at},
        {"failover.suspect_below", failover->suspect_below, "degraded_below",
         failover->degraded_below},
        {"failover.degraded_below", failover->degraded_below, "up_at", failover->up_at},
        {"failover.recovering_below", failover->recovering_below, "recover_at",
         failover->recover_at},
        {"failover.penalty_back", failover->penalty_back, "penalty_out", failover->penalty_out},
    };
    for (size_t i = 0; i < sizeof(borders) / sizeof(borders[0]); i++)
        if (borders[i].low >= borders[i].high)
            config_found(reader->findings, borders[i].path, "is %u; expected less than %s, %u",
                         borders[i].low, borders[i].than, borders[i].high);
}

static void check_failover(struct config_reader *reader)
{
    const struct config_failover *failover = &reader->config->failover;
    struct config_findings *findings = reader->findings;
    if (failover->ramp_steps == 0)
        config_found(findings, "failover.ramp_percent", "is empty; expected at least [100]");
    if (failover->min_active_regions > reader->config->region_count)
        config_found(findings, "failover.min_active_regions", "is %u; there are only %u regions",
                     failover->min_active_regions, reader->config->region_count);
    check_borders(reader);
    if (failover->hold_down_ns > failover->hold_down_max_ns)
        config_found(findings, "failover.hold_down", "is longer than hold_down_max");
    if (failover->vote_interval_ns >= failover->vote_fresh_ns)
        config_found(findings, "failover.vote_interval",
                     "is not shorter than vote_fresh: no vote would count all the time");
    if (failover->vote_fresh_ns > failover->vote_gone_ns)
        config_found(findings, "failover.vote_fresh", "is longer than vote_gone");
}

static void check_address(struct config_reader *reader, const char *path, const char *text)
{
    struct redis_address ignored;
    if (!redis_address_parse(text, &ignored))
        config_found(reader->findings, path, "is \"%s\"; expected " REDIS_ADDRESS_EXPECTED, text);
}

static void check_sentinels(struct config_reader *reader)
{
    const struct config_store *store = &reader->config->store;
    char path[CONFIG_PATH_MAX];
    for (uint32_t i = 0; i < store->sentinel_count; i++) {
        snprintf(path, sizeof(path), "store.sentinels[%u]", i);
        check_address(reader, path, store->sentinels[i]);
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(store->sentinels[i], store->sentinels[j]) == 0)
                config_found(reader->findings, path, "\"%s\" stands there twice",
                             store->sentinels[i]);
    }
}

static void check_metrics(struct config_reader *reader)
{
    const char *listen = reader->config->metrics.listen;
    struct redis_address address;
    if (listen[0] != '\0' &&
        (!redis_address_parse(listen, &address) || address.socket.ss_family == AF_UNIX))
        config_found(reader->findings, "metrics.listen",
                     "is \"%s\"; expected an address with a port: 127.0.0.1:9180 or [::1]:9180",
                     listen);
}

static void check_store(struct config_reader *reader)
{
    const struct config_store *store = &reader->config->store;
    check_sentinels(reader);
    if (store->kind == CONFIG_STORE_REDIS && store->sentinel_count == 0)
        check_address(reader, "store.address", store->address);
    if (store->cluster[strcspn(store->cluster, "{} ")] != '\0' || store->cluster[0] == '\0')
        config_found(reader->findings, "store.cluster",
                     "is \"%s\"; expected a name without spaces and braces", store->cluster);
}

static void check_limits(struct config_reader *reader)
{
    const struct config_limits *limits = &reader->config->limits;
    if (limits->segment_bytes > 0 && limits->payload_bytes / limits->segment_bytes > SEGMENTS_MAX)
        config_found(reader->findings, "limits.payload_bytes",
                     "makes more than %u segments; expected larger segment_bytes", SEGMENTS_MAX);
    if (limits->exchanges > limits->streams)
        config_found(reader->findings, "limits.exchanges",
                     "is %u, more than limits.streams (%u); each exchange is a stream",
                     limits->exchanges, limits->streams);
}

static void check_tcp(struct config_reader *reader)
{
    const char *file = reader->config->tcp.cookie_secret_file;
    struct cookie_secret secret;
    char message[512];
    if (file[0] != '\0' && cookie_secret_read(file, &secret, message, sizeof(message)) != 0)
        config_found(reader->findings, "tcp.cookie_secret_file", "%s", message);
}

static void check_key_log(struct config_reader *reader)
{
    const char *file = reader->config->tls_settings.key_log_file;
    if (file[0] != '\0' && file[0] != '/')
        config_found(reader->findings, "tls.key_log_file",
                     "is \"%s\"; expected a path that begins with '/'", file);
}

/* Those that do not say what they speak speak what their service says. */
static void settle_protocols(struct config *config)
{
    for (uint32_t i = 0; i < config->backend_count; i++) {
        struct config_backend *backend = &config->backends[i];
        if (backend->protocol == UPSTREAM_PROTOCOLS)
            backend->protocol = config->services[backend->service].protocol;
    }
}

void config_check(struct config_reader *reader)
{
    struct config *config = reader->config;
    settle_protocols(config);
    check_all_names(reader);
    config_check_network(reader);
    check_shared_coalesce(reader);
    check_health(reader, "health", &config->health);
    for (uint32_t i = 0; i < config->service_count; i++) {
        char path[CONFIG_PATH_MAX];
        snprintf(path, sizeof(path), "services[%u].health", i);
        if (memcmp(&config->services[i].health, &config->health, sizeof(config->health)) != 0)
            check_health(reader, path, &config->services[i].health);
    }
    for (uint32_t i = 0; i < config->route_count; i++)
        check_route(reader, i);
    qsort(config->routes, config->route_count, sizeof(*config->routes), compare_routes);
    check_roster(reader);
    check_failover(reader);
    check_store(reader);
    check_metrics(reader);
    check_tcp(reader);
    check_key_log(reader);
    check_limits(reader);
}
