/*
 * ip_out: IPv4 and IPv6 headers and transport checksums of what we send, one packet or a train of
 * them. The port does checksums where it can, otherwise they are made here.
 */
#include "dataplane/net/checksum.h"
#include "dataplane/net/ip_headers.h"
#include "dataplane/net/net_internal.h"

#include <netinet/in.h>

#define TCP_HEADER_BYTES    20
#define TCP_CHECKSUM_OFFSET 16

/* What the checksums of IPv4 and of TCP have in common; not folded. */
static uint64_t sum_of_addresses(const struct net_send *how, bool v4)
{
    const uint8_t *local = how->local->bytes;
    const uint8_t *remote = how->remote->bytes;
    if (v4)
        return (uint64_t)ip_address_v4(how->local) + ip_address_v4(how->remote);
    return checksum_8(local) + checksum_8(local + 8) + checksum_8(remote) + checksum_8(remote + 8);
}

/* The checksum field of the TCP header that begins the packet's data; before IP is in front. */
static void tcp_checksum_out(const struct port_features *features, uint64_t sum,
                             struct rte_mbuf *packet)
{
    uint32_t length = packet->pkt_len;
    uint8_t *tcp = rte_pktmbuf_mtod(packet, uint8_t *);
    uint16_t field = 0;
    sum += (uint64_t)htons(IPPROTO_TCP) + htons((uint16_t)length);
    if (features->tx_checksum_tcp) {
        packet->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
        field = checksum_fold(sum);
    } else {
        memset(tcp + TCP_CHECKSUM_OFFSET, 0, sizeof(field));
        sum +=
            packet->nb_segs == 1 ? checksum_bytes(tcp, length) : checksum_packet(packet, 0, length);
        field = (uint16_t)~checksum_fold(sum);
    }
    memcpy(tcp + TCP_CHECKSUM_OFFSET, &field, sizeof(field));
}

/* Atomic datagrams: DF, and an ID that means nothing (RFC 6864 4.1). */
static void v4_header_write(const struct net_send *how, uint8_t hop_limit, uint8_t *at)
{
    *(struct ipv4_header *)at = (struct ipv4_header){
        .version_length = 0x45,
        .fragment = htons(IPV4_DONT_FRAGMENT),
        .ttl = hop_limit,
        .protocol = how->protocol,
        .source = ip_address_v4(how->local),
        .destination = ip_address_v4(how->remote),
    };
}

/*
 * What differs from packet to packet: LENGTH is that of header and data. The checksum is made from
 * the values, not from memory: reading wide what was written narrow a moment ago stalls.
 */
static void v4_header_finish(const struct port_features *features, uint64_t address_sum,
                             uint8_t traffic_class, uint16_t length, uint8_t *at)
{
    struct ipv4_header *ip = (struct ipv4_header *)at;
    ip->traffic_class = traffic_class;
    ip->total_length = htons(length);
    if (features->tx_checksum_ip)
        return;
    uint64_t sum = address_sum + htons(0x4500 | traffic_class) + htons(length) +
                   htons(IPV4_DONT_FRAGMENT) + htons((uint16_t)(ip->ttl << 8 | ip->protocol));
    ip->checksum = (uint16_t)~checksum_fold(sum);
}

static void v6_header_write(const struct net_send *how, uint8_t hop_limit, uint8_t *at)
{
    struct ipv6_header *ip = (struct ipv6_header *)at;
    ip->next = how->protocol;
    ip->hop_limit = hop_limit;
    memcpy(ip->source, how->local->bytes, sizeof(ip->source));
    memcpy(ip->destination, how->remote->bytes, sizeof(ip->destination));
}

static void v6_header_finish(uint8_t traffic_class, uint16_t length, uint8_t *at)
{
    struct ipv6_header *ip = (struct ipv6_header *)at;
    ip->version_class_label = htonl(6u << 28 | (uint32_t)traffic_class << 20);
    ip->payload_length = htons((uint16_t)(length - IPV6_HEADER_BYTES));
}

static uint64_t mbuf_flags(const struct port_features *features, bool v4)
{
    if (!v4)
        return RTE_MBUF_F_TX_IPV6;
    return RTE_MBUF_F_TX_IPV4 | (features->tx_checksum_ip ? RTE_MBUF_F_TX_IP_CKSUM : 0);
}

bool ip_out(struct net *net, const struct net_send *how, uint8_t hop_limit, struct rte_mbuf *packet)
{
    const struct net_interface *interface = &net->config.interfaces[how->path->interface];
    const struct port_features *features = net->config.queues[interface->port]->features;
    bool v4 = ip_address_is_v4(how->remote);
    check(v4 == ip_address_is_v4(how->local));
    uint16_t header_bytes = v4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    if (packet->pkt_len + header_bytes > interface->mtu) {
        net_drop(packet, &net->counters.out_too_long);
        return false;
    }
    uint64_t sum = sum_of_addresses(how, v4);
    if (how->protocol == IPPROTO_TCP) {
        check(packet->data_len >= TCP_HEADER_BYTES);
        tcp_checksum_out(features, sum, packet);
    }
    uint8_t *at = (uint8_t *)rte_pktmbuf_prepend(packet, header_bytes);
    check(at != NULL);
    uint16_t length = (uint16_t)packet->pkt_len;
    packet->l3_len = header_bytes;
    packet->ol_flags |= mbuf_flags(features, v4);
    if (v4) {
        v4_header_write(how, hop_limit, at);
        v4_header_finish(features, sum, how->traffic_class, length, at);
    } else {
        v6_header_write(how, hop_limit, at);
        v6_header_finish(how->traffic_class, length, at);
    }
    return true;
}

/* ---- trains ---- */

void net_train_begin(struct net *net, const struct net_send *how, uint64_t now,
                     struct net_train *out)
{
    out->how = *how;
    out->now = now;
    const struct neighbour *hop = neighbour_ready(net, how->path, how->remote, now);
    out->is_open = hop != NULL && how->protocol == IPPROTO_TCP;
    if (!out->is_open)
        return;
    const struct net_interface *interface = &net->config.interfaces[how->path->interface];
    uint8_t *end = out->header + sizeof(out->header);
    out->v4 = ip_address_is_v4(how->remote);
    check(out->v4 == ip_address_is_v4(how->local));
    out->port = interface->port;
    out->mtu = interface->mtu;
    out->features = net->config.queues[interface->port]->features;
    out->ip_bytes = out->v4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    out->header_bytes = (uint16_t)(eth_header_bytes(interface) + out->ip_bytes);
    out->mbuf_flags = mbuf_flags(out->features, out->v4);
    out->address_sum = sum_of_addresses(how, out->v4);
    eth_header_write(interface, hop->mac, out->v4 ? ETH_TYPE_IPV4 : ETH_TYPE_IPV6,
                     end - out->header_bytes);
    if (out->v4)
        v4_header_write(how, NET_HOP_LIMIT, end - out->ip_bytes);
    else
        v6_header_write(how, NET_HOP_LIMIT, end - out->ip_bytes);
}

/* All of the template, with what happens to be before the headers: its size is a constant. */
static void train_headers_put(const struct net_train *train, uint8_t traffic_class,
                              struct rte_mbuf *packet)
{
    uint16_t length = (uint16_t)(packet->pkt_len + train->ip_bytes);
    uint8_t *transport = rte_pktmbuf_mtod(packet, uint8_t *);
    memcpy(transport - sizeof(train->header), train->header, sizeof(train->header));
    uint8_t *ip = transport - train->ip_bytes;
    if (train->v4)
        v4_header_finish(train->features, train->address_sum, traffic_class, length, ip);
    else
        v6_header_finish(traffic_class, length, ip);
    packet->data_off = (uint16_t)(packet->data_off - train->header_bytes);
    packet->data_len = (uint16_t)(packet->data_len + train->header_bytes);
    packet->pkt_len += train->header_bytes;
    packet->l2_len = (uint64_t)(train->header_bytes - train->ip_bytes) & 0x7f;
    packet->l3_len = train->ip_bytes;
    packet->ol_flags |= train->mbuf_flags;
}

void net_train_send(struct net *net, struct net_train *train, uint8_t traffic_class,
                    struct rte_mbuf *packet)
{
    if (!train->is_open) {
        train->how.traffic_class = traffic_class;
        net_send(net, &train->how, packet, train->now);
        return;
    }
    if (packet->pkt_len + train->ip_bytes > train->mtu) {
        net_drop(packet, &net->counters.out_too_long);
        return;
    }
    check(packet->data_off >= NET_HEADERS_MAX && packet->data_len >= TCP_HEADER_BYTES);
    tcp_checksum_out(train->features, train->address_sum, packet);
    train_headers_put(train, traffic_class, packet);
    transmit_push(net, train->port, packet);
}
