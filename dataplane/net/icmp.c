/*
 * icmp: ICMP (RFC 792, RFC 1122 3.2.2) and ICMPv6 (RFC 4443): echo is answered, errors about TCP
 * packets of ours are checked as far as TCP will read them.
 */
#include "dataplane/net/checksum.h"
#include "dataplane/net/icmp_headers.h"
#include "dataplane/net/ip_headers.h"
#include "dataplane/net/net_internal.h"

#define QUOTED_TCP_BYTES 8 /* ports and sequence number: what every error quotes (RFC 792) */

enum icmp_kind {
    ICMP_KIND_ECHO,
    ICMP_KIND_ERROR,
    ICMP_KIND_NDP,
    ICMP_KIND_MLD,
    ICMP_KIND_OTHER,
};

static enum icmp_kind kind_of_v4(uint8_t type)
{
    if (type == ICMP4_ECHO_REQUEST)
        return ICMP_KIND_ECHO;
    bool error =
        type == ICMP4_UNREACHABLE || type == ICMP4_TIME_EXCEEDED || type == ICMP4_PARAMETER_PROBLEM;
    return error ? ICMP_KIND_ERROR : ICMP_KIND_OTHER;
}

static enum icmp_kind kind_of_v6(uint8_t type)
{
    if (type == ICMP6_ECHO_REQUEST)
        return ICMP_KIND_ECHO;
    if (type >= ICMP6_UNREACHABLE && type <= ICMP6_PARAMETER_PROBLEM)
        return ICMP_KIND_ERROR;
    if (type == ICMP6_LISTENER_QUERY)
        return ICMP_KIND_MLD;
    bool ndp = type >= ICMP6_ROUTER_SOLICITATION && type <= ICMP6_REDIRECT;
    return ndp ? ICMP_KIND_NDP : ICMP_KIND_OTHER;
}

static uint8_t *l4_of(const struct arrival *arrival)
{
    return rte_pktmbuf_mtod_offset(arrival->packet, uint8_t *,
                                   arrival->l3_offset + arrival->l3_length);
}

static bool is_v4(const struct arrival *arrival)
{
    return arrival->ethertype == ETH_TYPE_IPV4;
}

/* The sum to begin with: ICMPv6 has a pseudo header, ICMP has none. */
static uint16_t first_sum(const struct arrival *arrival)
{
    if (is_v4(arrival))
        return 0;
    return checksum_pseudo(&arrival->source, &arrival->destination, IPPROTO_ICMPV6,
                           arrival->l4_length);
}

static bool is_checksum_right(const struct arrival *arrival)
{
    uint64_t sum = first_sum(arrival);
    return checksum_fold(sum + checksum_bytes(l4_of(arrival), arrival->l4_length)) == 0xffff;
}

/* ---- echo ---- */

static void echo_reply_fill(const struct arrival *arrival)
{
    struct icmp_header *icmp = (struct icmp_header *)l4_of(arrival);
    icmp->type = is_v4(arrival) ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY;
    icmp->checksum = 0;
    uint64_t sum = first_sum(arrival);
    icmp->checksum = (uint16_t)~checksum_fold(sum + checksum_bytes(icmp, arrival->l4_length));
}

/* The request's own mbuf carries the answer back to the link address that it came from. */
static void echo_out(struct net *net, const struct arrival *arrival)
{
    struct rte_mbuf *packet = arrival->packet;
    uint8_t mac[ETH_ADDRESS_BYTES];
    memcpy(mac, rte_pktmbuf_mtod_offset(packet, uint8_t *, ETH_ADDRESS_BYTES), sizeof(mac));
    rte_pktmbuf_adj(packet, (uint16_t)(arrival->l3_offset + arrival->l3_length));
    packet->ol_flags = 0;
    packet->tx_offload = 0;
    struct net_path path = {.interface = arrival->interface};
    struct net_send how = {
        .path = &path,
        .local = &arrival->destination,
        .remote = &arrival->source,
        .protocol = arrival->protocol,
    };
    if (!ip_out(net, &how, NET_HOP_LIMIT, packet))
        return;
    counter_add(&net->counters.echo_answered, 1);
    eth_out(net, arrival->interface, mac, arrival->ethertype, packet);
}

static void echo_in(struct net *net, const struct arrival *arrival, uint64_t now)
{
    struct rte_mbuf *packet = arrival->packet;
    if (!RTE_MBUF_DIRECT(packet) || rte_pktmbuf_headroom(packet) < NET_HEADERS_MAX) {
        net_drop(packet, &net->counters.echo_unanswerable);
        return;
    }
    if (!rate_take(&net->echo_rate, now)) {
        net_drop(packet, &net->counters.echo_over_rate);
        return;
    }
    echo_reply_fill(arrival);
    echo_out(net, arrival);
}

/* ---- errors ---- */

/* The packet that an error quotes: whole as far as the first bytes of its TCP header. */
struct quoted {
    struct ip_address source;
    struct ip_address destination;
    uint16_t l3_length;
    uint8_t protocol;
};

static bool quoted_v4(const uint8_t *at, uint16_t length, struct quoted *out)
{
    const struct ipv4_header *ip = (const struct ipv4_header *)at;
    if (length < IPV4_HEADER_BYTES || ip->version_length >> 4 != 4)
        return false;
    out->l3_length = (uint16_t)((ip->version_length & 0xf) * 4);
    out->source = ip_address_from_v4(ip->source);
    out->destination = ip_address_from_v4(ip->destination);
    out->protocol = ip->protocol;
    bool first = (ntohs(ip->fragment) & IPV4_OFFSET_MASK) == 0;
    return first && out->l3_length >= IPV4_HEADER_BYTES && out->l3_length <= length;
}

static bool quoted_v6(struct net *net, const uint8_t *at, uint16_t length, struct quoted *out)
{
    const struct ipv6_header *ip = (const struct ipv6_header *)at;
    if (length < IPV6_HEADER_BYTES || ntohl(ip->version_class_label) >> 28 != 6)
        return false;
    uint64_t *reason;
    out->l3_length = IPV6_HEADER_BYTES;
    int protocol = ip6_extensions_skip(net, at, length, ip->next, &out->l3_length, &reason);
    if (protocol < 0)
        return false;
    out->source = ip_address_from_v6(ip->source);
    out->destination = ip_address_from_v6(ip->destination);
    out->protocol = (uint8_t)protocol;
    return true;
}

/* Read the quoted packet; a counter: the reason to drop the error. */
static uint64_t *error_refusal(struct net *net, const struct arrival *arrival,
                               struct flow_tuple *tuple, uint16_t *l3_length)
{
    const uint8_t *at = l4_of(arrival) + ICMP_HEADER_BYTES;
    uint16_t length = (uint16_t)(arrival->l4_length - ICMP_HEADER_BYTES);
    struct quoted quoted;
    if (!(is_v4(arrival) ? quoted_v4(at, length, &quoted) : quoted_v6(net, at, length, &quoted)))
        return &net->counters.in_icmp_error_short;
    if (quoted.protocol != IPPROTO_TCP)
        return &net->counters.in_icmp_error_not_tcp;
    if (!ip_address_equal(&quoted.source, &arrival->destination))
        return &net->counters.in_icmp_error_not_ours;
    if (length - quoted.l3_length < QUOTED_TCP_BYTES)
        return &net->counters.in_icmp_error_short;
    const uint8_t *ports = at + quoted.l3_length;
    *tuple = (struct flow_tuple){
        .local = quoted.source,
        .remote = quoted.destination,
        .local_port = (uint16_t)(ports[0] << 8 | ports[1]),
        .remote_port = (uint16_t)(ports[2] << 8 | ports[3]),
    };
    *l3_length = quoted.l3_length;
    return NULL;
}

static bool error_in(struct net *net, const struct arrival *arrival, struct flow_tuple *tuple)
{
    uint16_t quoted_l3_length;
    uint64_t *refusal = error_refusal(net, arrival, tuple, &quoted_l3_length);
    if (refusal != NULL) {
        net_drop(arrival->packet, refusal);
        return false;
    }
    arrival->packet->packet_type = RTE_PTYPE_L4_ICMP;
    arrival->packet->l4_len = ICMP_HEADER_BYTES + quoted_l3_length;
    counter_add(&net->counters.in_icmp_errors, 1);
    return true;
}

/* ---- both ---- */

/* A counter: the reason to drop it before looking at what it says. */
static uint64_t *icmp_refusal(struct net *net, const struct arrival *arrival, enum icmp_kind *kind)
{
    if (arrival->l4_length < ICMP_HEADER_BYTES)
        return &net->counters.in_icmp_short;
    if (!is_checksum_right(arrival))
        return &net->counters.in_icmp_checksum;
    uint8_t type = l4_of(arrival)[0];
    *kind = is_v4(arrival) ? kind_of_v4(type) : kind_of_v6(type);
    if (*kind == ICMP_KIND_NDP || *kind == ICMP_KIND_MLD)
        return NULL;
    if (arrival->local == NULL)
        return &net->counters.in_icmp_group;
    static const struct ip_address unspecified;
    if (ip_address_equal(&arrival->source, &unspecified))
        return &net->counters.in_ip_martian;
    return *kind == ICMP_KIND_OTHER ? &net->counters.in_icmp_ignored : NULL;
}

bool icmp_in(struct net *net, struct arrival *arrival, uint64_t now, struct flow_tuple *tuple)
{
    enum icmp_kind kind = ICMP_KIND_OTHER;
    uint64_t *refusal = icmp_refusal(net, arrival, &kind);
    if (refusal != NULL) {
        net_drop(arrival->packet, refusal);
        return false;
    }
    switch (kind) {
    case ICMP_KIND_ECHO:
        echo_in(net, arrival, now);
        return false;
    case ICMP_KIND_ERROR:
        return error_in(net, arrival, tuple);
    case ICMP_KIND_NDP:
        ndp_in(net, arrival, now);
        return false;
    case ICMP_KIND_MLD:
        mld_in(net, arrival, now);
        return false;
    case ICMP_KIND_OTHER:
        break;
    }
    return false;
}
