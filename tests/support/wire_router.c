#include "tests/support/wire_router.h"

#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <string.h>

#define ETHER       RTE_ETHER_HDR_LEN
#define V4          sizeof(struct rte_ipv4_hdr)
#define V6          sizeof(struct rte_ipv6_hdr)
#define ICMP        8u
#define V6_LEAST    1280u
#define HOP_LIMIT   64
#define INNER_V4    (20u + 8u) /* RFC 792: the IP header and 64 bits */
#define ECN_BITS    3u
#define ECN_CE      3u
#define CE_UNMARKED 0u

static const uint8_t router_mac[] = {2, 0, 0, 0, 0xee, 1};
static const uint8_t router_v4[] = {192, 0, 2, 1};
static const uint8_t router_v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

static uint16_t ethertype(const uint8_t *frame)
{
    return (uint16_t)(frame[12] << 8 | frame[13]);
}

/* Back to where FRAME came from. */
static void ether_header(const uint8_t *frame, uint8_t *out)
{
    memcpy(out, frame + RTE_ETHER_ADDR_LEN, RTE_ETHER_ADDR_LEN);
    memcpy(out + RTE_ETHER_ADDR_LEN, router_mac, sizeof(router_mac));
    memcpy(out + 12, frame + 12, 2);
}

static void put_u32(uint8_t *at, uint32_t value)
{
    value = rte_cpu_to_be_32(value);
    memcpy(at, &value, sizeof(value));
}

static uint16_t too_big_v4(const uint8_t *frame, uint16_t mtu, uint8_t *out)
{
    struct rte_ipv4_hdr ip = {
        .version_ihl = RTE_IPV4_VHL_DEF,
        .total_length = rte_cpu_to_be_16(V4 + ICMP + INNER_V4),
        .time_to_live = HOP_LIMIT,
        .next_proto_id = IPPROTO_ICMP,
    };
    uint8_t *icmp = out + ETHER + V4;
    memcpy(&ip.src_addr, router_v4, sizeof(router_v4));
    memcpy(&ip.dst_addr, frame + ETHER + 12, 4);
    ip.hdr_checksum = rte_ipv4_cksum(&ip);
    memcpy(out + ETHER, &ip, sizeof(ip));
    memset(icmp, 0, ICMP);
    icmp[0] = 3;
    icmp[1] = 4;
    put_u32(icmp + 4, mtu);
    memcpy(icmp + ICMP, frame + ETHER, INNER_V4);
    uint16_t sum = (uint16_t)~rte_raw_cksum(icmp, ICMP + INNER_V4);
    memcpy(icmp + 2, &sum, sizeof(sum));
    return ETHER + V4 + ICMP + INNER_V4;
}

static uint16_t too_big_v6(const uint8_t *frame, uint16_t length, uint16_t mtu, uint8_t *out)
{
    uint32_t inner = length - ETHER;
    if (inner > V6_LEAST - V6 - ICMP)
        inner = V6_LEAST - V6 - ICMP; /* RFC 4443 3.2: as much as fits */
    struct rte_ipv6_hdr ip = {
        .vtc_flow = rte_cpu_to_be_32(6u << 28),
        .payload_len = rte_cpu_to_be_16((uint16_t)(ICMP + inner)),
        .proto = IPPROTO_ICMPV6,
        .hop_limits = HOP_LIMIT,
    };
    uint8_t *icmp = out + ETHER + V6;
    memcpy(ip.src_addr, router_v6, sizeof(router_v6));
    memcpy(ip.dst_addr, frame + ETHER + 8, 16);
    memcpy(out + ETHER, &ip, sizeof(ip));
    memset(icmp, 0, ICMP);
    icmp[0] = 2;
    put_u32(icmp + 4, mtu);
    memcpy(icmp + ICMP, frame + ETHER, inner);
    uint16_t sum = rte_ipv6_udptcp_cksum(&ip, icmp);
    memcpy(icmp + 2, &sum, sizeof(sum));
    return (uint16_t)(ETHER + V6 + ICMP + inner);
}

uint16_t wire_router_too_big(const uint8_t *frame, uint16_t length, uint16_t mtu, uint8_t *out)
{
    ether_header(frame, out);
    if (ethertype(frame) == RTE_ETHER_TYPE_IPV4 && length >= ETHER + INNER_V4)
        return too_big_v4(frame, mtu, out);
    if (ethertype(frame) == RTE_ETHER_TYPE_IPV6 && length >= ETHER + V6)
        return too_big_v6(frame, length, mtu, out);
    return 0;
}

static bool mark_v4(uint8_t *frame)
{
    struct rte_ipv4_hdr ip;
    memcpy(&ip, frame + ETHER, sizeof(ip));
    if ((ip.type_of_service & ECN_BITS) == CE_UNMARKED)
        return false;
    ip.type_of_service |= ECN_CE;
    ip.hdr_checksum = 0;
    ip.hdr_checksum = rte_ipv4_cksum(&ip); /* a header without options, as our peers send */
    memcpy(frame + ETHER, &ip, sizeof(ip));
    return true;
}

static bool mark_v6(uint8_t *frame)
{
    uint8_t *second = frame + ETHER + 1;
    if ((*second >> 4 & ECN_BITS) == CE_UNMARKED)
        return false;
    *second |= ECN_CE << 4;
    return true;
}

bool wire_router_mark(uint8_t *frame, uint16_t length)
{
    if (ethertype(frame) == RTE_ETHER_TYPE_IPV4 && length >= ETHER + V4)
        return mark_v4(frame);
    return ethertype(frame) == RTE_ETHER_TYPE_IPV6 && length >= ETHER + V6 && mark_v6(frame);
}
