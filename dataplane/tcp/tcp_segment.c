/* tcp_segment: from a verified packet to a struct tcp_segment: RFC 9293 3.1, RFC 3168 5 (ECN). */
#include "dataplane/tcp/tcp_ecn.h"
#include "dataplane/tcp/tcp_internal.h"

#include <rte_byteorder.h>
#include <rte_ip.h>

static uint8_t ce_of(uint8_t traffic_class)
{
    return (traffic_class & TCP_ECN_MASK) == TCP_ECN_CE ? TCP_CE : 0;
}

/* Addresses, ECN, and how many bytes of TCP the IP header claims; false: it cannot be. */
static bool read_ip(const struct rte_mbuf *packet, struct tcp_segment *seg, uint32_t *tcp_bytes)
{
    const uint8_t *ip = rte_pktmbuf_mtod_offset(packet, const uint8_t *, packet->l2_len);
    uint32_t present = packet->data_len - packet->l2_len;
    uint32_t claimed;
    if (ip[0] >> 4 == 4) {
        const struct rte_ipv4_hdr *v4 = (const struct rte_ipv4_hdr *)ip;
        seg->tuple.local = ip_address_from_v4(v4->dst_addr);
        seg->tuple.remote = ip_address_from_v4(v4->src_addr);
        claimed = rte_be_to_cpu_16(v4->total_length);
        seg->flags = ce_of(v4->type_of_service);
    } else {
        const struct rte_ipv6_hdr *v6 = (const struct rte_ipv6_hdr *)ip;
        seg->tuple.local = ip_address_from_v6(v6->dst_addr);
        seg->tuple.remote = ip_address_from_v6(v6->src_addr);
        claimed = rte_be_to_cpu_16(v6->payload_len) + (uint32_t)sizeof(*v6);
        seg->flags = ce_of(ip[1] >> 4); /* version, class and label are 4, 8 and 20 bits */
    }
    if (claimed > present || claimed < packet->l3_len + TCP_HEADER_BYTES)
        return false;
    *tcp_bytes = claimed - packet->l3_len;
    return true;
}

/*
 * The fixed header, which is there; the checksum is verified, the urgent pointer is not used.
 * Returns how many bytes the header claims to have.
 */
static uint32_t read_fixed(const struct rte_tcp_hdr *tcp, struct tcp_segment *seg)
{
    seg->tuple.remote_port = rte_be_to_cpu_16(tcp->src_port);
    seg->tuple.local_port = rte_be_to_cpu_16(tcp->dst_port);
    seg->seq = rte_be_to_cpu_32(tcp->sent_seq);
    seg->ack = rte_be_to_cpu_32(tcp->recv_ack);
    seg->flags |= tcp->tcp_flags & (uint8_t)~TCP_CE;
    seg->window = rte_be_to_cpu_16(tcp->rx_win);
    return (tcp->data_off >> 4) * 4u;
}

bool tcp_segment_read(struct tcp *tcp, struct rte_mbuf *packet, struct tcp_segment *seg)
{
    tcp_count(tcp, segments_in);
    uint32_t tcp_bytes;
    uint32_t before = packet->l2_len + packet->l3_len;
    if (packet->nb_segs != 1 || packet->data_len < before + TCP_HEADER_BYTES ||
        !read_ip(packet, seg, &tcp_bytes)) {
        tcp_count(tcp, segment_malformed);
        return false;
    }
    const uint8_t *at = rte_pktmbuf_mtod_offset(packet, const uint8_t *, before);
    uint32_t header_bytes = read_fixed((const struct rte_tcp_hdr *)at, seg);
    if (header_bytes < TCP_HEADER_BYTES || header_bytes > tcp_bytes) {
        tcp_count(tcp, segment_malformed);
        return false;
    }
    struct bytes options = bytes_of(at + TCP_HEADER_BYTES, header_bytes - TCP_HEADER_BYTES);
    if (!tcp_options_read(options, &seg->options)) {
        tcp_count(tcp, segment_bad_options);
        return false;
    }
    seg->length = tcp_bytes - header_bytes;
    seg->packet = packet;
    seg->header_bytes = (uint8_t)header_bytes;
    packet->data_off = (uint16_t)(packet->data_off + before + header_bytes);
    packet->data_len = (uint16_t)seg->length;
    packet->pkt_len = seg->length;
    return true;
}
