#include "control/ports.h"

#include "control/log.h"

#include <stdio.h>
#include <string.h>

#define MBUF_BYTES    2048
#define STEER_A_PIECE 1000 /* entries of a port's deny list, some 2 us each */

/* The devargs with the steering program's object added, for an AF_XDP port that names none. */
static int device_of(const struct config_port *port, char *device, size_t device_size,
                     char *message, size_t message_size)
{
    char object[512];
    snprintf(device, device_size, "%s", port->device);
    if (port->steer_interface[0] == '\0' || strstr(port->device, "xdp_prog=") != NULL)
        return 0;
    if (steer_object_path(object, sizeof(object)) != 0) {
        snprintf(message, message_size, "ports.%s: the steering program's object is not installed",
                 port->name);
        return -1;
    }
    size_t used = strlen(device);
    snprintf(device + used, device_size - used, ",xdp_prog=%s", object);
    return 0;
}

static int prepare_steering(struct ports *ports, uint32_t index, const struct config_port *port,
                            char *message, size_t message_size)
{
    if (port->steer_interface[0] == '\0')
        return 0;
    ports->steers[index] = steer_prepare(port->steer_interface, message, message_size);
    if (ports->steers[index] == NULL)
        return -1;
    if (message[0] != '\0')
        log_line(LOG_LEVEL_WARNING, "%s", message);
    return 0;
}

static int finish_steering(struct ports *ports, uint32_t index, char *message, size_t message_size)
{
    unsigned sockets = 0;
    unsigned polled = 0;
    if (ports->steers[index] == NULL)
        return 0;
    if (steer_attach(ports->steers[index], message, message_size) != 0)
        return -1;
    if (steer_busy_poll(&sockets, &polled) == 0 && polled < sockets)
        log_line(
            LOG_LEVEL_WARNING,
            "port %s: the kernel polls %u of %u AF_XDP sockets; an empty receive of the others "
            "may sleep: keep busy_budget above 0",
            ports->ports[index].name, polled, sockets);
    return 0;
}

static int open_one(struct ports *ports, uint32_t index, const struct config *config, char *message,
                    size_t message_size)
{
    const struct config_port *wanted = &config->ports[index];
    char device[1024];
    if (device_of(wanted, device, sizeof(device), message, message_size) != 0 ||
        prepare_steering(ports, index, wanted, message, message_size) != 0)
        return -1;
    struct port_request request = {
        .name = wanted->name,
        .device = device,
        .queues = (uint16_t)config->workers,
        .mtu = wanted->mtu,
        .mbufs = wanted->mbufs,
        .mbuf_bytes = MBUF_BYTES,
    };
    if (!port_open(&ports->ports[index], &request, message, message_size))
        return -1;
    ports->count = index + 1;
    return finish_steering(ports, index, message, message_size);
}

int ports_open(struct ports *ports, const struct config *config, char *message, size_t message_size)
{
    for (uint32_t i = 0; i < config->port_count; i++) {
        if (open_one(ports, i, config, message, message_size) == 0)
            continue;
        if (i >= ports->count && ports->steers[i] != NULL) {
            steer_close(ports->steers[i]);
            ports->steers[i] = NULL;
        }
        ports_close(ports);
        return -1;
    }
    return 0;
}

static size_t collect_locals(const struct config_port *port, struct ip_address *out, size_t room)
{
    size_t count = 0;
    for (uint32_t i = 0; i < port->interface_count; i++)
        for (uint32_t a = 0; a < port->interfaces[i].address_count && count < room; a++)
            out[count++] = port->interfaces[i].addresses[a].address;
    return count;
}

typedef int steer_change_with(struct steer *steer, const struct steer_rules *rules, char *message,
                              size_t size);

static int steer_all(struct ports *ports, const struct config *config, steer_change_with *change,
                     char *message, size_t message_size)
{
    struct steer_vip vips[SNAPSHOT_LISTENERS_MAX];
    struct ip_address locals[NET_INTERFACES_MAX * NET_ADDRESSES_MAX];
    for (uint32_t i = 0; i < config->listener_count; i++)
        vips[i] = (struct steer_vip){config->listeners[i].address, config->listeners[i].port};
    for (uint32_t i = 0; i < ports->count; i++) {
        if (ports->steers[i] == NULL)
            continue;
        struct steer_rules rules = {
            .vips = vips,
            .vip_count = config->listener_count,
            .locals = locals,
            .local_count =
                collect_locals(&config->ports[i], locals, sizeof(locals) / sizeof(locals[0])),
            .denied = config->deny,
            .denied_count = config->deny_count,
        };
        if (change(ports->steers[i], &rules, message, message_size) != 0)
            return -1;
    }
    return 0;
}

int ports_steer(struct ports *ports, const struct config *config, char *message,
                size_t message_size)
{
    return steer_all(ports, config, steer_set, message, message_size);
}

int ports_steer_begin(struct ports *ports, const struct config *config, char *message,
                      size_t message_size)
{
    return steer_all(ports, config, steer_begin, message, message_size);
}

bool ports_steer_more(struct ports *ports)
{
    char message[256];
    bool more = false;
    for (uint32_t i = 0; i < ports->count; i++) {
        if (ports->steers[i] == NULL)
            continue;
        int result = steer_continue(ports->steers[i], STEER_A_PIECE, message, sizeof(message));
        if (result < 0)
            log_line(LOG_LEVEL_WARNING, "%s; the workers drop what is denied", message);
        more |= result > 0;
    }
    return more;
}

void ports_close(struct ports *ports)
{
    char message[256];
    for (uint32_t i = 0; i < ports->count; i++)
        if (ports->steers[i] != NULL && steer_detach(ports->steers[i], message, sizeof(message)))
            log_line(LOG_LEVEL_WARNING, "%s", message);
    for (uint32_t i = 0; i < ports->count; i++) {
        port_close(&ports->ports[i]);
        steer_close(ports->steers[i]);
        ports->steers[i] = NULL;
    }
    ports->count = 0;
}

static void fill_interface(const struct port *port, uint8_t index,
                           const struct config_port_interface *from, struct net_interface *out)
{
    *out = (struct net_interface){
        .port = index,
        .vlan = from->vlan,
        .mtu = port->mtu,
        .address_count = (uint8_t)from->address_count,
        .has_gateway_v4 = from->has_gateway_v4,
        .has_gateway_v6 = from->has_gateway_v6,
        .gateway_v4 = from->gateway_v4,
        .gateway_v6 = from->gateway_v6,
    };
    memcpy(out->mac, port->mac, sizeof(out->mac));
    memcpy(out->addresses, from->addresses, sizeof(out->addresses));
}

uint8_t ports_interfaces(const struct ports *ports, const struct config *config,
                         struct net_interface out[NET_INTERFACES_MAX])
{
    uint8_t count = 0;
    for (uint32_t p = 0; p < ports->count; p++)
        for (uint32_t i = 0; i < config->ports[p].interface_count; i++)
            if (count < NET_INTERFACES_MAX)
                fill_interface(&ports->ports[p], (uint8_t)p, &config->ports[p].interfaces[i],
                               &out[count++]);
    return count;
}
