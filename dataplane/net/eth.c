#include "dataplane/net/net_internal.h"

#include <arpa/inet.h>
#include <rte_prefetch.h>

#define PREFETCH_AHEAD 3
#define VLAN_ID_MASK   0x0fff

struct eth_header {
    uint8_t destination[ETH_ADDRESS_BYTES];
    uint8_t source[ETH_ADDRESS_BYTES];
    uint16_t ethertype; /* network order */
} __attribute__((packed));

struct vlan_header {
    uint16_t tag;       /* network order */
    uint16_t ethertype; /* network order */
} __attribute__((packed));

/* -1: none. */
static int interface_of(const struct net *net, uint8_t port, uint16_t vlan)
{
    for (uint8_t i = 0; i < net->config.interface_count; i++)
        if (net->config.interfaces[i].port == port && net->config.interfaces[i].vlan == vlan)
            return i;
    return -1;
}

/* The VLAN (0: none) and Ethernet type; the tag is in the packet or, stripped, in the mbuf. */
static bool tag_read(struct arrival *arrival, uint16_t *vlan)
{
    const struct rte_mbuf *packet = arrival->packet;
    const struct eth_header *eth = rte_pktmbuf_mtod(packet, const struct eth_header *);
    arrival->ethertype = ntohs(eth->ethertype);
    arrival->l3_offset = ETH_HEADER_BYTES;
    *vlan = 0;
    if (arrival->ethertype == ETH_TYPE_VLAN) {
        if (packet->data_len < ETH_HEADER_BYTES + VLAN_HEADER_BYTES)
            return false;
        const struct vlan_header *tag = (const struct vlan_header *)(eth + 1);
        *vlan = ntohs(tag->tag) & VLAN_ID_MASK;
        arrival->ethertype = ntohs(tag->ethertype);
        arrival->l3_offset += VLAN_HEADER_BYTES;
    } else if (packet->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) {
        *vlan = packet->vlan_tci & VLAN_ID_MASK;
    }
    return true;
}

/* Find the interface and compare the MAC address; the counter of the reason to drop, or NULL. */
static uint64_t *frame_refusal(struct net *net, uint8_t port, struct arrival *arrival)
{
    uint16_t vlan;
    if (arrival->packet->nb_segs != 1)
        return &net->counters.in_chained;
    if (arrival->packet->data_len < ETH_HEADER_BYTES || !tag_read(arrival, &vlan))
        return &net->counters.in_frame_short;
    int interface = interface_of(net, port, vlan);
    if (interface < 0)
        return &net->counters.in_vlan_unknown;
    arrival->interface = (uint8_t)interface;
    const uint8_t *destination = rte_pktmbuf_mtod(arrival->packet, const uint8_t *);
    arrival->frame_to_group = (destination[0] & 1) != 0;
    const uint8_t *mac = net->config.interfaces[interface].mac;
    if (!arrival->frame_to_group && memcmp(destination, mac, ETH_ADDRESS_BYTES) != 0)
        return &net->counters.in_frame_not_ours;
    return NULL;
}

/*
 * Frames of a burst often have one header: what was found out about the one before holds. A tag,
 * in the frame or in the mbuf, is looked at each time.
 */
static bool is_like(const struct rte_mbuf *packet, const struct arrival *before)
{
    if (before == NULL || before->l3_offset != ETH_HEADER_BYTES || packet->nb_segs != 1 ||
        packet->data_len < ETH_HEADER_BYTES)
        return false;
    bool tagged = (packet->ol_flags | before->packet->ol_flags) & RTE_MBUF_F_RX_VLAN_STRIPPED;
    return !tagged &&
           memcmp(rte_pktmbuf_mtod(packet, const uint8_t *),
                  rte_pktmbuf_mtod(before->packet, const uint8_t *), ETH_HEADER_BYTES) == 0;
}

/* BEFORE: one that went on to IP, or NULL. True: the arrival goes on to IP. */
static bool frame_in(struct net *net, uint8_t port, struct arrival *arrival,
                     const struct arrival *before, uint64_t now)
{
    if (is_like(arrival->packet, before)) {
        arrival->ethertype = before->ethertype;
        arrival->l3_offset = before->l3_offset;
        arrival->interface = before->interface;
        arrival->frame_to_group = before->frame_to_group;
        return true;
    }
    uint64_t *refusal = frame_refusal(net, port, arrival);
    if (refusal != NULL) {
        net_drop(arrival->packet, refusal);
        return false;
    }
    if (arrival->ethertype == ETH_TYPE_IPV4 || arrival->ethertype == ETH_TYPE_IPV6)
        return true;
    if (arrival->ethertype == ETH_TYPE_ARP)
        arp_in(net, arrival, now);
    else
        net_drop(arrival->packet, &net->counters.in_ethertype_unknown);
    return false;
}

uint16_t eth_in(struct net *net, uint8_t queue, struct rte_mbuf **packets, uint16_t count,
                uint64_t now, struct arrival *out)
{
    uint16_t kept = 0;
    uint64_t bytes = 0;
    for (uint16_t i = 0; i < count; i++) {
        if (i + PREFETCH_AHEAD < count)
            rte_prefetch0(rte_pktmbuf_mtod(packets[i + PREFETCH_AHEAD], void *));
        out[kept].packet = packets[i];
        bytes += packets[i]->pkt_len;
        kept += frame_in(net, queue, &out[kept], kept > 0 ? &out[kept - 1] : NULL, now);
    }
    counter_add(&net->counters.in_packets, count);
    counter_add(&net->counters.in_bytes, bytes);
    return kept;
}

void eth_header_write(const struct net_interface *interface, const uint8_t *destination,
                      uint16_t ethertype, uint8_t *at)
{
    struct eth_header *eth = (struct eth_header *)at;
    memcpy(eth->destination, destination, ETH_ADDRESS_BYTES);
    memcpy(eth->source, interface->mac, ETH_ADDRESS_BYTES);
    eth->ethertype = htons(ethertype);
    if (interface->vlan != 0) {
        struct vlan_header *tag = (struct vlan_header *)(eth + 1);
        eth->ethertype = htons(ETH_TYPE_VLAN);
        tag->tag = htons(interface->vlan);
        tag->ethertype = htons(ethertype);
    }
}

void eth_out(struct net *net, uint8_t interface, const uint8_t *destination, uint16_t ethertype,
             struct rte_mbuf *packet)
{
    const struct net_interface *on = &net->config.interfaces[interface];
    uint16_t length = eth_header_bytes(on);
    uint8_t *at = (uint8_t *)rte_pktmbuf_prepend(packet, length);
    check(at != NULL);
    eth_header_write(on, destination, ethertype, at);
    packet->l2_len = length;
    transmit_push(net, on->port, packet);
}

struct rte_mbuf *eth_packet_take(struct net *net, uint8_t interface)
{
    struct rte_mbuf *packet = rte_pktmbuf_alloc(net_queue_of(net, interface)->mempool);
    if (packet == NULL)
        counter_add(&net->counters.out_no_mbuf, 1);
    return packet;
}
