/*
 * transmit: a queue in front of each port's transmit function, filled during a turn and emptied at
 * its end.
 */
#include "dataplane/net/net_internal.h"

struct rte_mbuf *net_packet_take(struct net *net, const struct net_path *path)
{
    check(path->interface < net->config.interface_count);
    return eth_packet_take(net, path->interface);
}

uint32_t net_send_room(const struct net *net, const struct net_path *path)
{
    check(path->interface < net->config.interface_count);
    uint32_t queued = net->transmits[net->config.interfaces[path->interface].port].count;
    uint32_t room = NET_TRANSMIT_MAX - NET_TRANSMIT_RESERVE;
    return queued < room ? room - queued : 0;
}

static uint64_t bytes_of_packets(struct rte_mbuf *const *packets, uint16_t count)
{
    uint64_t bytes = 0;
    for (uint16_t i = 0; i < count; i++)
        bytes += packets[i]->pkt_len;
    return bytes;
}

static void flush_port(struct net *net, struct port_queue *queue, struct transmit *transmit)
{
    uint16_t sent = 0;
    uint64_t bytes = bytes_of_packets(transmit->packets, transmit->count);
    for (int tries = 0; sent < transmit->count && tries < NET_TRANSMIT_TRIES; tries++) {
        uint16_t left = (uint16_t)(transmit->count - sent);
        uint16_t taken = queue->transmit(queue, transmit->packets + sent, left);
        sent = (uint16_t)(sent + taken);
        if (taken > 0)
            tries = 0;
    }
    uint16_t dropped = (uint16_t)(transmit->count - sent);
    bytes -= bytes_of_packets(transmit->packets + sent, dropped);
    counter_add(&net->counters.out_packets, sent);
    counter_add(&net->counters.out_bytes, bytes);
    counter_add(&net->counters.out_port_full, dropped);
    rte_pktmbuf_free_bulk(transmit->packets + sent, dropped);
    transmit->count = 0;
}

void net_flush(struct net *net)
{
    for (uint8_t i = 0; i < net->config.queue_count; i++)
        if (net->transmits[i].count > 0)
            flush_port(net, net->config.queues[i], &net->transmits[i]);
}
