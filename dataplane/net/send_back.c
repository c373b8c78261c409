/*
 * send_back: a TCP packet answered in its own mbuf, for answers that must cost nothing (SYN
 * cookies). The way back is the way it came: interface, VLAN and link address.
 */
#include "dataplane/base/copy.h"
#include "dataplane/net/net_internal.h"

#include <netinet/in.h>

/* The port sends from its own pool only; what we write to must be ours alone, and have room. */
static bool is_writable(const struct rte_mbuf *packet, const struct rte_mempool *pool,
                        size_t length)
{
    uint32_t begin = packet->data_off + (uint32_t)packet->l2_len + packet->l3_len;
    return packet->pool == pool && packet->nb_segs == 1 && RTE_MBUF_DIRECT(packet) &&
           rte_mbuf_refcnt_read(packet) == 1 && begin >= NET_HEADERS_MAX &&
           begin + length <= packet->buf_len;
}

/* PACKET with its data where the TCP header was, or an empty one in its place; NULL: none left. */
static struct rte_mbuf *blank(struct net *net, uint8_t interface, struct rte_mbuf *packet,
                              size_t length)
{
    if (!is_writable(packet, net_queue_of(net, interface)->mempool, length)) {
        rte_pktmbuf_free(packet);
        return eth_packet_take(net, interface);
    }
    (void)rte_pktmbuf_adj(packet, (uint16_t)(packet->l2_len + packet->l3_len));
    packet->data_len = 0;
    packet->pkt_len = 0;
    packet->ol_flags = 0;
    packet->tx_offload = 0;
    return packet;
}

uint16_t net_arrival_mtu(const struct net *net, const struct rte_mbuf *packet)
{
    check(packet->port < net->config.interface_count);
    return net->config.interfaces[packet->port].mtu;
}

void net_send_back(struct net *net, const struct ip_address *local, const struct ip_address *remote,
                   struct bytes segment, struct rte_mbuf *packet)
{
    check(packet->port < net->config.interface_count);
    uint8_t interface = (uint8_t)packet->port;
    uint8_t mac[ETH_ADDRESS_BYTES];
    memcpy(mac, rte_pktmbuf_mtod_offset(packet, uint8_t *, ETH_ADDRESS_BYTES), sizeof(mac));
    if (mac[0] & 1) {
        net_drop(packet, &net->counters.out_back_group);
        return;
    }
    packet = blank(net, interface, packet, segment.length);
    if (packet == NULL)
        return;
    uint8_t *at = (uint8_t *)rte_pktmbuf_append(packet, (uint16_t)segment.length);
    copy_short(at, segment.data, segment.length);
    struct net_path path = {.interface = interface};
    struct net_send how = {
        .path = &path, .local = local, .remote = remote, .protocol = IPPROTO_TCP};
    if (!ip_out(net, &how, NET_HOP_LIMIT, packet))
        return;
    uint16_t ethertype = ip_address_is_v4(remote) ? ETH_TYPE_IPV4 : ETH_TYPE_IPV6;
    eth_out(net, interface, mac, ethertype, packet);
}
