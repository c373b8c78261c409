/*
 * ip_in: headers of IPv4 (RFC 791, RFC 1122 3.2.1) and IPv6 (RFC 8200). What passes is for an
 * address of ours, from an address that may be, whole, and free of link layer padding.
 */
#include "dataplane/net/checksum.h"
#include "dataplane/net/deny.h"
#include "dataplane/net/icmp_headers.h"
#include "dataplane/net/ip_headers.h"
#include "dataplane/net/net_internal.h"

#include <netinet/in.h>

#define IPV6_EXTENSIONS_MAX   4
#define IPV6_EXTENSIONS_BYTES 192 /* all together */

static uint16_t l3_bytes(const struct arrival *arrival)
{
    return (uint16_t)(arrival->packet->data_len - arrival->l3_offset);
}

/* ---- IPv4 ---- */

static bool is_martian_v4(uint32_t source)
{
    uint32_t host = ntohl(source);
    return host >> 24 == 0 || host >> 24 == 127 || host >> 28 >= 0xe; /* RFC 1122 3.2.1.3 */
}

static bool is_checksum_known_good(const struct rte_mbuf *packet,
                                   const struct port_features *features)
{
    return features->rx_checksum &&
           (packet->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
}

static bool is_v4_checksum_right(const struct ipv4_header *ip, uint16_t length)
{
    const uint8_t *at = (const uint8_t *)ip;
    uint16_t sum =
        length == IPV4_HEADER_BYTES ? checksum_fold(checksum_20(at)) : checksum_bytes(at, length);
    return sum == 0xffff;
}

/* Lengths and checksum; a counter: the reason to drop. */
static uint64_t *v4_header_refusal(struct net *net, struct arrival *arrival,
                                   const struct ipv4_header *ip)
{
    uint16_t bytes = l3_bytes(arrival);
    if (bytes < IPV4_HEADER_BYTES)
        return &net->counters.in_ip_short;
    if (ip->version_length >> 4 != 4)
        return &net->counters.in_ip_version;
    arrival->l3_length = (uint16_t)((ip->version_length & 0xf) * 4);
    uint16_t total = ntohs(ip->total_length);
    if (arrival->l3_length < IPV4_HEADER_BYTES || arrival->l3_length > total)
        return &net->counters.in_ip_header_length;
    if (total > bytes)
        return &net->counters.in_ip_short;
    if (!is_checksum_known_good(arrival->packet, net_queue_of(net, arrival->interface)->features) &&
        !is_v4_checksum_right(ip, arrival->l3_length))
        return &net->counters.in_ip_checksum;
    arrival->l4_length = (uint16_t)(total - arrival->l3_length);
    return NULL;
}

static uint64_t *v4_refusal(struct net *net, struct arrival *arrival)
{
    const struct ipv4_header *ip =
        rte_pktmbuf_mtod_offset(arrival->packet, const struct ipv4_header *, arrival->l3_offset);
    uint64_t *refusal = v4_header_refusal(net, arrival, ip);
    if (refusal != NULL)
        return refusal;
    if (ntohs(ip->fragment) & IPV4_FRAGMENT_MASK)
        return &net->counters.in_ip_fragment;
    if (is_martian_v4(ip->source))
        return &net->counters.in_ip_martian;
    arrival->source = ip_address_from_v4(ip->source);
    arrival->destination = ip_address_from_v4(ip->destination);
    arrival->protocol = ip->protocol;
    arrival->hop_limit = ip->ttl;
    return NULL;
}

/* ---- IPv6 ---- */

/* Bytes of the extension header NEXT at AT, of which LEFT bytes are there; 0: see *COUNTER. */
static uint16_t extension_bytes(struct net *net, const uint8_t *at, uint16_t left, uint8_t next,
                                uint64_t **counter)
{
    *counter = &net->counters.in_ip_short;
    if (left < 8)
        return 0;
    uint16_t bytes = (uint16_t)(8 * (at[1] + 1));
    *counter = &net->counters.in_ip_routing;
    if (next == IPPROTO_ROUTING && at[3] != 0)
        return 0;
    *counter = &net->counters.in_ip_short;
    return bytes <= left ? bytes : 0;
}

int ip6_extensions_skip(struct net *net, const uint8_t *header, uint16_t length, uint8_t next,
                        uint16_t *offset, uint64_t **counter)
{
    uint16_t begin = *offset;
    for (int i = 0; i <= IPV6_EXTENSIONS_MAX; i++) {
        *counter = &net->counters.in_ip_fragment;
        if (next == IPPROTO_FRAGMENT)
            return -1;
        bool hop_by_hop = next == IPPROTO_HOPOPTS && i == 0; /* only the first (RFC 8200 4.1) */
        if (!hop_by_hop && next != IPPROTO_DSTOPTS && next != IPPROTO_ROUTING)
            return next;
        const uint8_t *at = header + *offset;
        uint16_t bytes = extension_bytes(net, at, (uint16_t)(length - *offset), next, counter);
        if (bytes == 0)
            return -1;
        next = at[0];
        *offset = (uint16_t)(*offset + bytes);
        if (*offset - begin > IPV6_EXTENSIONS_BYTES)
            break;
    }
    *counter = &net->counters.in_ip_extension;
    return -1;
}

/* Not unicast, or an IPv4 address in disguise, which would be taken for a real one here. */
static bool is_martian_v6(const struct ip_address *source)
{
    static const uint8_t zeros[15];
    bool low = memcmp(source->bytes, zeros, sizeof(zeros)) == 0 && source->bytes[15] <= 1;
    return low || source->bytes[0] == 0xff || ip_address_is_v4(source);
}

static bool is_unspecified(const struct ip_address *address)
{
    static const struct ip_address unspecified;
    return ip_address_equal(address, &unspecified);
}

static uint64_t *v6_header_refusal(struct net *net, struct arrival *arrival,
                                   const struct ipv6_header *ip)
{
    uint16_t bytes = l3_bytes(arrival);
    if (bytes < IPV6_HEADER_BYTES)
        return &net->counters.in_ip_short;
    if (ntohl(ip->version_class_label) >> 28 != 6)
        return &net->counters.in_ip_version;
    uint32_t total = IPV6_HEADER_BYTES + (uint32_t)ntohs(ip->payload_length);
    if (total > bytes)
        return &net->counters.in_ip_short;
    uint64_t *refusal;
    uint16_t offset = IPV6_HEADER_BYTES;
    int protocol =
        ip6_extensions_skip(net, (const uint8_t *)ip, (uint16_t)total, ip->next, &offset, &refusal);
    if (protocol < 0)
        return refusal;
    arrival->protocol = (uint8_t)protocol;
    arrival->l3_length = offset;
    arrival->l4_length = (uint16_t)(total - offset);
    return NULL;
}

static uint64_t *v6_refusal(struct net *net, struct arrival *arrival)
{
    const struct ipv6_header *ip =
        rte_pktmbuf_mtod_offset(arrival->packet, const struct ipv6_header *, arrival->l3_offset);
    uint64_t *refusal = v6_header_refusal(net, arrival, ip);
    if (refusal != NULL)
        return refusal;
    arrival->source = ip_address_from_v6(ip->source);
    arrival->destination = ip_address_from_v6(ip->destination);
    arrival->hop_limit = ip->hop_limit;
    /* Duplicate address detection asks from no address; neighbour discovery judges it. */
    bool may_be_unspecified = arrival->protocol == IPPROTO_ICMPV6;
    if (may_be_unspecified && is_unspecified(&arrival->source))
        return NULL;
    return is_martian_v6(&arrival->source) || ip_address_is_v4(&arrival->destination)
               ? &net->counters.in_ip_martian
               : NULL;
}

/* ---- both ---- */

/* ff02::1, or the solicited-node group of an address of ours. */
static bool is_our_group(const struct net *net, const struct arrival *arrival)
{
    static const struct ip_address all_nodes = {{0xff, 0x02, [15] = 0x01}};
    return arrival->ethertype == ETH_TYPE_IPV6 && arrival->protocol == IPPROTO_ICMPV6 &&
           (ip_address_equal(&arrival->destination, &all_nodes) ||
            local_has_group(net, arrival->interface, &arrival->destination));
}

/* RFC 4861: types 133 to 137. */
static bool is_neighbour_discovery(const struct arrival *arrival)
{
    if (arrival->protocol != IPPROTO_ICMPV6 || arrival->l4_length == 0)
        return false;
    uint8_t type = *rte_pktmbuf_mtod_offset(arrival->packet, const uint8_t *,
                                            arrival->l3_offset + arrival->l3_length);
    return type >= ICMP6_ROUTER_SOLICITATION && type <= ICMP6_REDIRECT;
}

static bool is_denied(const struct net *net, const struct arrival *arrival)
{
    return deny_has(net->denied, &arrival->source) && !is_neighbour_discovery(arrival);
}

static bool is_unicast_tcp(const struct arrival *arrival)
{
    return arrival->protocol == IPPROTO_TCP && !arrival->frame_to_group;
}

static bool is_to_same(const struct arrival *arrival, const struct arrival *before)
{
    return before != NULL && ip_address_equal(&arrival->destination, &before->destination);
}

/* Packets of a burst are often of few connections. Other protocols are judged by what they say. */
static bool is_like(const struct arrival *arrival, const struct arrival *before)
{
    return is_to_same(arrival, before) && before->local != NULL && is_unicast_tcp(before) &&
           is_unicast_tcp(arrival) && arrival->hop_limit != 0 &&
           ip_address_equal(&arrival->source, &before->source);
}

/* BEFORE: one that has passed in this burst, or NULL. */
static uint64_t *address_refusal(struct net *net, struct arrival *arrival,
                                 const struct arrival *before)
{
    if (is_like(arrival, before)) {
        arrival->local = before->local;
        return NULL;
    }
    if (net->denied != NULL && is_denied(net, arrival))
        return &net->counters.in_denied;
    if (arrival->hop_limit == 0)
        return &net->counters.in_ip_ttl;
    arrival->local =
        is_to_same(arrival, before) ? before->local : local_find(net, &arrival->destination);
    if (arrival->local == NULL && !is_our_group(net, arrival))
        return &net->counters.in_ip_not_ours;
    if (arrival->local != NULL && arrival->frame_to_group)
        return &net->counters.in_frame_group; /* RFC 1122 3.3.6 */
    if (local_find(net, &arrival->source) != NULL)
        return &net->counters.in_ip_from_us;
    return NULL;
}

/* Cut off Ethernet padding and note where the layers begin. */
static void headers_note(struct arrival *arrival)
{
    struct rte_mbuf *packet = arrival->packet;
    uint16_t length = (uint16_t)(arrival->l3_offset + arrival->l3_length + arrival->l4_length);
    packet->data_len = length;
    packet->pkt_len = length;
    packet->tx_offload = rte_mbuf_tx_offload(arrival->l3_offset, arrival->l3_length, 0, 0, 0, 0, 0);
}

uint16_t ip_in(struct net *net, struct arrival *arrivals, uint16_t count)
{
    uint16_t kept = 0;
    for (uint16_t i = 0; i < count; i++) {
        struct arrival *arrival = &arrivals[i];
        uint64_t *refusal = arrival->ethertype == ETH_TYPE_IPV4 ? v4_refusal(net, arrival)
                                                                : v6_refusal(net, arrival);
        if (refusal == NULL)
            refusal = address_refusal(net, arrival, kept > 0 ? &arrivals[kept - 1] : NULL);
        if (refusal != NULL) {
            net_drop(arrival->packet, refusal);
            continue;
        }
        headers_note(arrival);
        if (kept != i)
            arrivals[kept] = *arrival;
        kept++;
    }
    return kept;
}
