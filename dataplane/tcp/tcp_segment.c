/* tcp_segment: from a verified packet to a struct tcp_segment: RFC 9293 3.1, RFC 3168 5 (ECN). */
#include "dataplane/base/reader.h"
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

bool tcp_segment_read(struct tcp *tcp, struct rte_mbuf *packet, struct tcp_segment *seg)
{
    tcp_count(tcp, segments_in);
    uint32_t tcp_bytes;
    if (packet->nb_segs != 1 ||
        packet->data_len < packet->l2_len + packet->l3_len + TCP_HEADER_BYTES ||
        !read_ip(packet, seg, &tcp_bytes)) {
        tcp_count(tcp, segment_malformed);
        return false;
    }
    uint32_t before = packet->l2_len + packet->l3_len;
    struct reader r =
        reader_over(bytes_of(rte_pktmbuf_mtod_offset(packet, const uint8_t *, before), tcp_bytes));
    seg->tuple.remote_port = reader_u16(&r);
    seg->tuple.local_port = reader_u16(&r);
    seg->seq = reader_u32(&r);
    seg->ack = reader_u32(&r);
    uint32_t header_bytes = (reader_u8(&r) >> 4) * 4u;
    seg->flags |= reader_u8(&r) & (uint8_t)~TCP_CE;
    seg->window = reader_u16(&r);
    reader_skip(&r, 4); /* the checksum is verified, the urgent pointer is not used */
    struct bytes options = reader_bytes(&r, header_bytes - TCP_HEADER_BYTES);
    if (header_bytes < TCP_HEADER_BYTES || r.failed) {
        tcp_count(tcp, segment_malformed);
        return false;
    }
    if (!tcp_options_read(options, &seg->options)) {
        tcp_count(tcp, segment_bad_options);
        return false;
    }
    seg->length = (uint32_t)reader_left(&r);
    seg->packet = packet;
    seg->header_bytes = (uint8_t)header_bytes;
    seg->hash = tcp_table_hash(&tcp->table, &seg->tuple);
    rte_pktmbuf_trim(packet, (uint16_t)(packet->data_len - before - tcp_bytes));
    rte_pktmbuf_adj(packet, (uint16_t)(before + header_bytes));
    return true;
}
