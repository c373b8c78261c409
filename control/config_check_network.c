/*
 * config_check_network: ports, listeners and backends: what fits together and what cannot work.
 */
#include "control/config_check.h"

#include <stdlib.h>
#include <string.h>

#define AF_XDP_MTU_MAX   1770 /* its headroom in the same buffer */
#define AF_XDP_MBUFS_MIN 3072 /* its fill ring, and some to work with */

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

/* AF_XDP: packets of a queue that no worker reads would be lost. */
static void check_queues(struct config_reader *reader, uint32_t index)
{
    const char *at = strstr(reader->config->ports[index].device, "queue_count=");
    char path[CONFIG_PATH_MAX];
    uint32_t workers = reader->config->workers;
    if (reader->config->ports[index].steer_interface[0] == '\0')
        return;
    unsigned long queues = at != NULL ? strtoul(at + strlen("queue_count="), NULL, 10) : 1;
    snprintf(path, sizeof(path), "ports[%u].device", index);
    if (queues != workers)
        config_found(reader->findings, path,
                     "has %lu queues; expected queue_count=%u, one a worker", queues, workers);
}

static void check_af_xdp(struct config_reader *reader, uint32_t index)
{
    const struct config_port *port = &reader->config->ports[index];
    char path[CONFIG_PATH_MAX];
    if (strncmp(port->device, "net_af_xdp", 10) != 0)
        return;
    snprintf(path, sizeof(path), "ports[%u].mtu", index);
    if (port->mtu > AF_XDP_MTU_MAX)
        config_found(reader->findings, path, "is %u; AF_XDP takes at most %u", port->mtu,
                     AF_XDP_MTU_MAX);
    snprintf(path, sizeof(path), "ports[%u].mbufs", index);
    if (port->mbufs < AF_XDP_MBUFS_MIN)
        config_found(reader->findings, path, "is %u; AF_XDP needs at least %u", port->mbufs,
                     AF_XDP_MBUFS_MIN);
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
        check_queues(reader, i);
        snprintf(path, sizeof(path), "ports[%u].device", i);
        if (strncmp(port->device, "net_af_xdp", 10) == 0 && port->steer_interface[0] == '\0')
            config_found(reader->findings, path,
                         "names no interface; expected iface=NAME among its arguments");
        check_af_xdp(reader, i);
    }
    if (interfaces > 16)
        config_found(reader->findings, "ports", "have %u interfaces; expected at most 16 in all",
                     interfaces);
}

/* Neither unspecified nor loopback nor multicast nor broadcast. */
static bool is_host_address(const struct ip_address *address)
{
    static const struct ip_address loopback = {{[15] = 1}};
    static const struct ip_address any = {{0}};
    if (!ip_address_is_v4(address))
        return address->bytes[0] != 0xff && !ip_address_equal(address, &loopback) &&
               !ip_address_equal(address, &any);
    uint8_t first = address->bytes[12];
    return first != 0 && first != 127 && first < 224;
}

/* A scheme and an authority (RFC 3986 3.2): what follows is the request's path. */
static bool is_origin(const char *text)
{
    static const char *const schemes[] = {"https://", "http://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t length = strlen(schemes[i]);
        const char *authority = text + length;
        if (strncmp(text, schemes[i], length) == 0)
            return authority[0] != '\0' &&
                   authority[strspn(authority,
                                    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "0123456789-._~:[]")] == '\0';
    }
    return false;
}

static void check_http1(struct config_reader *reader, uint32_t index)
{
    const struct config_listener *listener = &reader->config->listeners[index];
    char path[CONFIG_PATH_MAX];
    bool leads = listener->http1 == HTTP1_REDIRECT;
    snprintf(path, sizeof(path), "listeners[%u].http1_location", index);
    if (leads && !is_origin(listener->http1_location))
        config_found(reader->findings, path,
                     "is \"%s\"; expected a scheme and a host, as https://shop.example",
                     listener->http1_location);
    if (!leads && listener->http1_location[0] != '\0')
        config_found(reader->findings, path, "has no use without \"http1\": \"redirect\"");
}

static void check_listeners(struct config_reader *reader)
{
    const struct config *config = reader->config;
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        char path[CONFIG_PATH_MAX];
        check_http1(reader, i);
        snprintf(path, sizeof(path), "listeners[%u].address", i);
        if (!is_host_address(&listener->address))
            config_found(reader->findings, path,
                         "is not the address of a host; Weir answers for "
                         "service addresses, not for any address");
        for (uint32_t j = 0; j < i; j++)
            if (listener->port == config->listeners[j].port &&
                ip_address_equal(&listener->address, &config->listeners[j].address))
                config_found(reader->findings, path, "listeners[%u] has this address and port", j);
    }
}

static bool has_family(const struct config *config, bool v4)
{
    for (uint32_t p = 0; p < config->port_count; p++)
        for (uint32_t i = 0; i < config->ports[p].interface_count; i++) {
            const struct config_port_interface *interface = &config->ports[p].interfaces[i];
            for (uint32_t a = 0; a < interface->address_count; a++)
                if (ip_address_is_v4(&interface->addresses[a].address) == v4)
                    return true;
        }
    return false;
}

static void check_backend_address(struct config_reader *reader, uint32_t index)
{
    const struct config *config = reader->config;
    const struct config_backend *backend = &config->backends[index];
    bool v4 = ip_address_is_v4(&backend->address);
    char path[CONFIG_PATH_MAX];
    snprintf(path, sizeof(path), "services[%u].regions.%s", backend->service,
             config->regions[backend->region].name);
    if (!is_host_address(&backend->address))
        config_found(reader->findings, path, "the address of backend %s is not one of a host",
                     backend->name);
    else if (!has_family(config, v4))
        config_found(reader->findings, path,
                     "backend %s has an IPv%d address; no interface of a port has one",
                     backend->name, v4 ? 4 : 6);
}

static void check_backends(struct config_reader *reader)
{
    const struct config *config = reader->config;
    for (uint32_t i = 0; i < config->backend_count; i++) {
        check_backend_address(reader, i);
        for (uint32_t j = 0; j < i; j++) {
            const struct config_backend *a = &config->backends[i];
            const struct config_backend *b = &config->backends[j];
            char path[CONFIG_PATH_MAX];
            if (a->service != b->service || a->port != b->port ||
                !ip_address_equal(&a->address, &b->address))
                continue;
            snprintf(path, sizeof(path), "services[%u].regions.%s", a->service,
                     config->regions[a->region].name);
            config_found(reader->findings, path, "backend %s stands twice in this service",
                         a->name);
        }
    }
}

void config_check_network(struct config_reader *reader)
{
    check_ports(reader);
    check_listeners(reader);
    check_backends(reader);
}
