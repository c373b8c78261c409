#include "tests/support/net_host.h"

#include "dataplane/base/check.h"

#include <rte_mbuf.h>
#include <string.h>

void net_host_prepare(struct net_host *host, struct wire *wire, uint16_t end, uint16_t self,
                      uint16_t workers)
{
    memset(host, 0, sizeof(*host));
    host->wire = wire;
    host->port = wire_queue(wire, end, self);
    timer_wheel_init(&host->wheel, 0);
    random_seed(&host->random, 1000u * end + self);
    host->config = (struct net_config){
        .self = self,
        .workers = workers,
        .queue_count = 1,
        .queues = {host->port},
        .interface_count = 1,
        .interfaces = {{.mtu = 1500, .mac = {2, 0, 0, 0, (uint8_t)end, 0}}},
        .neighbours_max = 64,
        .wheel = &host->wheel,
        .random = &host->random,
        .socket_id = -1,
    };
}

void net_host_add_address(struct net_host *host, const char *prefix)
{
    struct net_interface *interface = &host->config.interfaces[0];
    check(interface->address_count < NET_ADDRESSES_MAX);
    check(ip_prefix_parse(prefix, &interface->addresses[interface->address_count++]));
}

void net_host_set_gateway(struct net_host *host, const char *address)
{
    struct net_interface *interface = &host->config.interfaces[0];
    struct ip_address gateway;
    check(ip_address_parse(address, &gateway));
    bool v4 = ip_address_is_v4(&gateway);
    *(v4 ? &interface->gateway_v4 : &interface->gateway_v6) = gateway;
    *(v4 ? &interface->has_gateway_v4 : &interface->has_gateway_v6) = true;
}

void net_host_open(struct net_host *host)
{
    host->net = net_create(&host->config);
    check(host->net != NULL);
}

void net_host_start(struct net_host *host, struct wire *wire, uint16_t end, const char *v4,
                    const char *v6)
{
    net_host_prepare(host, wire, end, 0, 1);
    net_host_add_address(host, v4);
    if (v6 != NULL)
        net_host_add_address(host, v6);
    net_host_open(host);
}

void net_host_receive(struct net_host *host, uint64_t now, struct net_arrivals *out)
{
    struct rte_mbuf *packets[NET_BURST];
    uint16_t count = host->port->receive(host->port, packets, NET_BURST);
    net_in(host->net, 0, packets, count, now, out);
}

void net_host_free(const struct net_arrivals *arrivals)
{
    rte_pktmbuf_free_bulk((struct rte_mbuf **)arrivals->own, arrivals->own_count);
    rte_pktmbuf_free_bulk((struct rte_mbuf **)arrivals->foreign, arrivals->foreign_count);
}

void net_host_turn(struct net_host *host, uint64_t now)
{
    struct net_arrivals arrivals;
    net_host_receive(host, now, &arrivals);
    net_host_free(&arrivals);
    timer_wheel_advance(&host->wheel, now, 1000);
    net_flush(host->net);
}
