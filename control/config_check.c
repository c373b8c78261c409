/*
 * config_check: rules across keys. Every finding names the path of the key to change.
 */
#include "control/config_check.h"

#include "dataplane/base/check.h"

#include <stdlib.h>
#include <string.h>

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

/* The kernel interface of an AF_XDP port, from its devargs. */
static void read_steer_interface(struct config_port *port)
{
    const char *at = strstr(port->device, "iface=");
    if (strncmp(port->device, "net_af_xdp", 10) != 0 || at == NULL)
        return;
    at += strlen("iface=");
    size_t length = strcspn(at, ",");
    if (length < sizeof(port->steer_interface))
        snprintf(port->steer_interface, sizeof(port->steer_interface), "%.*s", (int)length, at);
}

static void check_ports(struct config_reader *reader)
{
    struct config *config = reader->config;
    uint32_t interfaces = 0;
    for (uint32_t i = 0; i < config->port_count; i++) {
        char path[CONFIG_PATH_MAX];
        struct config_port *port = &config->ports[i];
        read_steer_interface(port);
        interfaces += port->interface_count;
        snprintf(path, sizeof(path), "ports[%u].device", i);
        if (strncmp(port->device, "net_af_xdp", 10) == 0 && port->steer_interface[0] == '\0')
            config_found(reader->findings, path,
                         "names no interface; expected iface=NAME among its arguments");
        snprintf(path, sizeof(path), "ports[%u].mtu", i);
        if (strncmp(port->device, "net_af_xdp", 10) == 0 && port->mtu > 3000)
            config_found(reader->findings, path, "is %u; AF_XDP takes at most 3000", port->mtu);
    }
    if (interfaces > 16)
        config_found(reader->findings, "ports", "have %u interfaces; expected at most 16 in all",
                     interfaces);
}

static void check_listeners(struct config_reader *reader)
{
    const struct config *config = reader->config;
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        char path[CONFIG_PATH_MAX];
        snprintf(path, sizeof(path), "listeners[%u].address", i);
        for (uint32_t j = 0; j < i; j++)
            if (listener->port == config->listeners[j].port &&
                ip_address_equal(&listener->address, &config->listeners[j].address))
                config_found(reader->findings, path, "listeners[%u] has this address and port", j);
    }
}

static void check_backends(struct config_reader *reader)
{
    const struct config *config = reader->config;
    for (uint32_t i = 0; i < config->backend_count; i++)
        for (uint32_t j = 0; j < i; j++) {
            const struct config_backend *a = &config->backends[i];
            const struct config_backend *b = &config->backends[j];
            char path[CONFIG_PATH_MAX];
            if (a->service != b->service || a->port != b->port ||
                !ip_address_equal(&a->address, &b->address))
                continue;
            snprintf(path, sizeof(path), "services[%u].regions.%s", a->service,
                     config->regions[a->region].name);
            config_found(reader->findings, path, "backend %s stands twice in this service", a->name);
        }
}

static void check_coalesce(struct config_reader *reader, const char *path,
                           const struct config_coalesce *coalesce)
{
    if (coalesce->share_across_principals && !coalesce->i_know_responses_are_public)
        config_found(reader->findings, path,
                     "share_across_principals needs i_know_responses_are_public: true beside it");
    for (uint32_t i = 0; i < coalesce->key_header_count; i++)
        for (uint32_t j = 0; j < coalesce->neutral_header_count; j++)
            if (strcasecmp(coalesce->key_headers[i], coalesce->neutral_headers[j]) == 0)
                config_found(reader->findings, path,
                             "\"%s\" is in key_headers and in neutral_headers; expected one",
                             coalesce->key_headers[i]);
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
    if (route->service_name[0] != '\0')
        config_found(reader->findings, path, "\"%s\" is not the name of a service",
                     route->service_name);
}

static void check_route(struct config_reader *reader, uint32_t index)
{
    struct config_route *route = &reader->config->routes[index];
    char path[CONFIG_PATH_MAX];
    lower_case(route->authority);
    lower_headers(&route->coalesce);
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

static void check_roster(struct config_reader *reader)
{
    struct config *config = reader->config;
    struct config_failover *failover = &config->failover;
    for (uint32_t i = 0; i < failover->node_count; i++)
        if (strcmp(failover->nodes[i], config->node) == 0)
            return;
    if (failover->node_count > 0)
        config_found(reader->findings, "failover.nodes", "does not name this node, \"%s\"",
                     config->node);
}

static void check_ramp(struct config_reader *reader)
{
    if (reader->config->failover.ramp_steps == 0)
        config_found(reader->findings, "failover.ramp_percent", "is empty; expected at least [100]");
    if (reader->config->failover.min_active_regions > reader->config->region_count)
        config_found(reader->findings, "failover.min_active_regions",
                     "is %u; there are only %u regions", reader->config->failover.min_active_regions,
                     reader->config->region_count);
}

static void check_limits(struct config_reader *reader)
{
    const struct config_limits *limits = &reader->config->limits;
    if (limits->segment_bytes > 0 && limits->payload_bytes / limits->segment_bytes > UINT32_MAX)
        config_found(reader->findings, "limits.payload_bytes", "has too many segments");
    if (limits->exchanges > limits->streams)
        config_found(reader->findings, "limits.exchanges",
                     "is %u, more than limits.streams (%u); each exchange is a stream",
                     limits->exchanges, limits->streams);
}

void config_check(struct config_reader *reader)
{
    struct config *config = reader->config;
    check_all_names(reader);
    check_ports(reader);
    check_listeners(reader);
    check_backends(reader);
    lower_headers(&config->coalesce);
    check_coalesce(reader, "coalesce", &config->coalesce);
    for (uint32_t i = 0; i < config->route_count; i++)
        check_route(reader, i);
    qsort(config->routes, config->route_count, sizeof(*config->routes), compare_routes);
    check_roster(reader);
    check_ramp(reader);
    check_limits(reader);
}
