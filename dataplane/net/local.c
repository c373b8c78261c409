#include "dataplane/net/net_internal.h"

_Static_assert(2 * (NET_INTERFACES_MAX * NET_ADDRESSES_MAX + NET_VIPS_MAX) <= LOCAL_SLOTS,
               "the table is never more than half full");
_Static_assert(NET_INTERFACES_MAX <= 16, "local_address.interfaces has a bit for each");

static uint32_t slot_of(const struct ip_address *address)
{
    uint64_t words[2];
    memcpy(words, address->bytes, sizeof(words));
    uint64_t mixed = (words[0] * 0x9e3779b97f4a7c15u ^ words[1]) * 0xff51afd7ed558ccdu;
    return (uint32_t)(mixed >> 40) & (LOCAL_SLOTS - 1);
}

/* The slot that holds the address, or the free one where it belongs. */
static const struct local_address *probe(const struct local_table *table,
                                         const struct ip_address *address)
{
    uint32_t slot = slot_of(address);
    while (table->slots[slot].used && !ip_address_equal(&table->slots[slot].address, address))
        slot = (slot + 1) & (LOCAL_SLOTS - 1);
    return &table->slots[slot];
}

const struct local_address *local_find(const struct net *net, const struct ip_address *address)
{
    const struct local_address *local = probe(&net->local, address);
    return local->used ? local : NULL;
}

const struct local_address *local_on(const struct net *net, uint8_t interface,
                                     const struct ip_address *address)
{
    const struct local_address *local = local_find(net, address);
    return local != NULL && (local->interfaces >> interface & 1) != 0 ? local : NULL;
}

static struct local_address *local_add(struct net *net, const struct ip_address *address)
{
    struct local_address *local = (struct local_address *)probe(&net->local, address);
    local->address = *address;
    local->used = true;
    return local;
}

/* A VIP is answered for where a network contains it, or everywhere if none does. */
static uint16_t vip_interfaces(const struct net *net, const struct ip_address *vip)
{
    uint16_t interfaces = 0;
    for (uint32_t i = 0; i < net->route_count; i++) {
        const struct route *route = &net->routes[i];
        if (route->v4 == ip_address_is_v4(vip) && ip_prefix_contains(&route->prefix, vip))
            interfaces |= (uint16_t)(1u << route->interface);
    }
    return interfaces != 0 ? interfaces : UINT16_MAX;
}

static void add_interface(struct net *net, uint8_t index)
{
    const struct net_interface *interface = &net->config.interfaces[index];
    for (uint8_t i = 0; i < interface->address_count; i++) {
        struct local_address *local = local_add(net, &interface->addresses[i].address);
        local->backend_side = true;
        local->interfaces |= (uint16_t)(1u << index);
    }
}

void local_fill(struct net *net, const struct ip_address *vips, uint32_t vip_count)
{
    check(vip_count <= NET_VIPS_MAX);
    memset(&net->local, 0, sizeof(net->local));
    if (vip_count > 0)
        memmove(net->vips, vips, vip_count * sizeof(*vips));
    net->vip_count = vip_count;
    for (uint8_t i = 0; i < net->config.interface_count; i++)
        add_interface(net, i);
    for (uint32_t i = 0; i < vip_count; i++) {
        struct local_address *local = local_add(net, &net->vips[i]);
        local->vip = true;
        local->interfaces |= vip_interfaces(net, &net->vips[i]);
    }
}

static bool group_fits(const struct ip_address *group, const struct ip_address *address)
{
    struct ip_address fitting = ip_address_solicited_group(address);
    return !ip_address_is_v4(address) && ip_address_equal(group, &fitting);
}

bool local_has_group(const struct net *net, uint8_t interface, const struct ip_address *group)
{
    const struct net_interface *on = &net->config.interfaces[interface];
    for (uint8_t i = 0; i < on->address_count; i++)
        if (group_fits(group, &on->addresses[i].address))
            return true;
    for (uint32_t i = 0; i < net->vip_count; i++)
        if (group_fits(group, &net->vips[i]))
            return true;
    return false;
}
