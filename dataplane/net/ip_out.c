/*
 * ip_out: IPv4 and IPv6 headers and transport checksums of what we send. The port does checksums
 * where it can, otherwise they are made here.
 */
#include "dataplane/net/checksum.h"
#include "dataplane/net/ip_headers.h"
#include "dataplane/net/net_internal.h"

#include <netinet/in.h>

#define TCP_HEADER_BYTES    20
#define TCP_CHECKSUM_OFFSET 16

/* The checksum field of the TCP header that begins the packet's data; before IP is in front. */
static void tcp_checksum_out(const struct port_features *features, const struct net_send *how,
                             struct rte_mbuf *packet)
{
    uint32_t length = packet->pkt_len;
    uint16_t sum = checksum_pseudo(how->local, how->remote, IPPROTO_TCP, length);
    uint8_t *field = rte_pktmbuf_mtod_offset(packet, uint8_t *, TCP_CHECKSUM_OFFSET);
    if (features->tx_checksum_tcp) {
        packet->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
    } else {
        memset(field, 0, sizeof(sum));
        sum = (uint16_t)~checksum_fold((uint64_t)sum + checksum_packet(packet, 0, length));
    }
    memcpy(field, &sum, sizeof(sum));
}

/* From the values, not from memory: reading wide what was written narrow a moment ago stalls. */
static uint16_t v4_checksum(const struct net_send *how, uint8_t hop_limit, uint16_t length)
{
    uint64_t sum = (uint64_t)htons(0x4500 | how->traffic_class) + htons(length) +
                   htons(IPV4_DONT_FRAGMENT) + htons((uint16_t)(hop_limit << 8 | how->protocol)) +
                   ip_address_v4(how->local) + ip_address_v4(how->remote);
    return (uint16_t)~checksum_fold(sum);
}

/* Atomic datagrams: DF, and an ID that means nothing (RFC 6864 4.1). */
static void v4_header_out(const struct port_features *features, const struct net_send *how,
                          uint8_t hop_limit, struct rte_mbuf *packet)
{
    struct ipv4_header *ip =
        (struct ipv4_header *)rte_pktmbuf_prepend(packet, sizeof(struct ipv4_header));
    check(ip != NULL);
    *ip = (struct ipv4_header){
        .version_length = 0x45,
        .traffic_class = how->traffic_class,
        .total_length = htons((uint16_t)packet->pkt_len),
        .fragment = htons(IPV4_DONT_FRAGMENT),
        .ttl = hop_limit,
        .protocol = how->protocol,
        .source = ip_address_v4(how->local),
        .destination = ip_address_v4(how->remote),
    };
    packet->l3_len = IPV4_HEADER_BYTES;
    packet->ol_flags |= RTE_MBUF_F_TX_IPV4;
    if (features->tx_checksum_ip)
        packet->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
    else
        ip->checksum = v4_checksum(how, hop_limit, (uint16_t)packet->pkt_len);
}

static void v6_header_out(const struct net_send *how, uint8_t hop_limit, struct rte_mbuf *packet)
{
    uint16_t length = (uint16_t)packet->pkt_len;
    struct ipv6_header *ip =
        (struct ipv6_header *)rte_pktmbuf_prepend(packet, sizeof(struct ipv6_header));
    check(ip != NULL);
    *ip = (struct ipv6_header){
        .version_class_label = htonl(6u << 28 | (uint32_t)how->traffic_class << 20),
        .payload_length = htons(length),
        .next = how->protocol,
        .hop_limit = hop_limit,
    };
    memcpy(ip->source, how->local->bytes, sizeof(ip->source));
    memcpy(ip->destination, how->remote->bytes, sizeof(ip->destination));
    packet->l3_len = IPV6_HEADER_BYTES;
    packet->ol_flags |= RTE_MBUF_F_TX_IPV6;
}

bool ip_out(struct net *net, const struct net_send *how, uint8_t hop_limit, struct rte_mbuf *packet)
{
    const struct net_interface *interface = &net->config.interfaces[how->path->interface];
    const struct port_features *features = net_queue_of(net, how->path->interface)->features;
    bool v4 = ip_address_is_v4(how->remote);
    check(v4 == ip_address_is_v4(how->local));
    if (packet->pkt_len + (v4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES) > interface->mtu) {
        net_drop(packet, &net->counters.out_too_long);
        return false;
    }
    if (how->protocol == IPPROTO_TCP) {
        check(packet->data_len >= TCP_HEADER_BYTES);
        tcp_checksum_out(features, how, packet);
    }
    if (v4)
        v4_header_out(features, how, hop_limit, packet);
    else
        v6_header_out(how, hop_limit, packet);
    return true;
}
