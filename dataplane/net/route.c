#include "dataplane/net/net_internal.h"

#include <arpa/inet.h>

static bool prefix_holds(const struct route *route, const struct ip_address *address)
{
    return route->v4 == ip_address_is_v4(address) && ip_prefix_contains(&route->prefix, address);
}

static void route_insert(struct net *net, const struct ip_prefix *prefix, uint8_t interface)
{
    uint32_t at = net->route_count;
    for (; at > 0 && net->routes[at - 1].prefix.bits < prefix->bits; at--)
        net->routes[at] = net->routes[at - 1];
    net->routes[at] = (struct route){*prefix, interface, ip_address_is_v4(&prefix->address)};
    net->route_count++;
}

void routes_fill(struct net *net)
{
    net->route_count = 0;
    for (uint8_t i = 0; i < net->config.interface_count; i++) {
        const struct net_interface *interface = &net->config.interfaces[i];
        for (uint8_t j = 0; j < interface->address_count; j++)
            route_insert(net, &interface->addresses[j], i);
    }
}

static const struct ip_address *gateway_of(const struct net_interface *interface, bool v4)
{
    if (v4)
        return interface->has_gateway_v4 ? &interface->gateway_v4 : NULL;
    return interface->has_gateway_v6 ? &interface->gateway_v6 : NULL;
}

bool route_is_on_link(const struct net *net, uint8_t interface, const struct ip_address *address)
{
    const struct net_interface *on = &net->config.interfaces[interface];
    const struct ip_address *gateway = gateway_of(on, ip_address_is_v4(address));
    if (gateway != NULL && ip_address_equal(gateway, address))
        return true;
    for (uint32_t i = 0; i < net->route_count; i++)
        if (net->routes[i].interface == interface && prefix_holds(&net->routes[i], address))
            return true;
    return false;
}

/* The network's own address or its broadcast address (RFC 1122 3.2.1.3): nobody to talk to. */
static bool is_broadcast(const struct route *route, const struct ip_address *address)
{
    if (!route->v4 || route->prefix.bits > 126)
        return false; /* IPv6 has none, nor have /31 (RFC 3021) and /32 */
    uint32_t hosts = UINT32_MAX >> (route->prefix.bits - IP_ADDRESS_V4_BITS);
    uint32_t host = ntohl(ip_address_v4(address)) & hosts;
    return host == 0 || host == hosts;
}

static void path_fill(const struct net *net, uint8_t interface, const struct neighbour *neighbour,
                      struct net_path *out)
{
    out->interface = interface;
    out->mtu = net->config.interfaces[interface].mtu;
    out->neighbour = (uint32_t)neighbour->generation << 16 | neighbour_index(net, neighbour);
}

static bool route_to_gateway(struct net *net, bool v4, struct net_path *out)
{
    for (uint8_t i = 0; i < net->config.interface_count; i++) {
        if (gateway_of(&net->config.interfaces[i], v4) == NULL)
            continue;
        path_fill(net, i, neighbour_gateway(net, i, v4 ? 0 : 1), out);
        return true;
    }
    return false;
}

static bool route_on_link(struct net *net, const struct route *route,
                          const struct ip_address *remote, struct net_path *out)
{
    if (is_broadcast(route, remote))
        return false;
    struct neighbour *neighbour = neighbour_take(net, route->interface, remote);
    if (neighbour == NULL)
        return false;
    path_fill(net, route->interface, neighbour, out);
    return true;
}

bool net_route(struct net *net, const struct ip_address *remote, struct net_path *out)
{
    bool found = false;
    if (local_find(net, remote) == NULL) {
        uint32_t i = 0;
        while (i < net->route_count && !prefix_holds(&net->routes[i], remote))
            i++;
        found = i < net->route_count ? route_on_link(net, &net->routes[i], remote, out)
                                     : route_to_gateway(net, ip_address_is_v4(remote), out);
    }
    if (!found)
        counter_add(&net->counters.out_no_route, 1);
    return found;
}

/* An interface's address for talking to REMOTE: of its network, else any of its family. */
static const struct ip_address *source_on(const struct net_interface *interface,
                                          const struct ip_address *remote)
{
    const struct ip_address *any = NULL;
    bool v4 = ip_address_is_v4(remote);
    for (uint8_t i = 0; i < interface->address_count; i++) {
        const struct ip_prefix *prefix = &interface->addresses[i];
        if (ip_address_is_v4(&prefix->address) != v4)
            continue;
        if (ip_prefix_contains(prefix, remote))
            return &prefix->address;
        if (any == NULL && !ip_address_is_link_local(&prefix->address))
            any = &prefix->address;
    }
    return any;
}

bool net_source_address(const struct net *net, const struct net_path *path,
                        const struct ip_address *remote, struct ip_address *out)
{
    check(path->interface < net->config.interface_count);
    const struct ip_address *found = source_on(&net->config.interfaces[path->interface], remote);
    if (found == NULL)
        return false;
    *out = *found;
    return true;
}

const struct ip_address *route_question_source(const struct net *net, uint8_t interface,
                                               const struct ip_address *target)
{
    const struct ip_address *found = source_on(&net->config.interfaces[interface], target);
    for (uint32_t i = 0; found == NULL && i < net->vip_count; i++)
        if (ip_address_is_v4(&net->vips[i]) == ip_address_is_v4(target))
            found = &net->vips[i];
    return found;
}
