/*
 * ndp: IPv6 neighbour discovery (RFC 4861), the part of a host that does no autoconfiguration:
 * solicitations and advertisements. Duplicate addresses are the operator's care; other hosts'
 * detection (RFC 4862 5.4) is answered.
 */
#include "dataplane/net/checksum.h"
#include "dataplane/net/icmp_headers.h"
#include "dataplane/net/net_internal.h"

#include <netinet/in.h>

#define NDP_HOP_LIMIT  255 /* proves that the packet was not forwarded */
#define OPTION_SOURCE  1
#define OPTION_TARGET  2
#define OPTION_BYTES   8 /* of a link layer address on Ethernet */
#define FLAG_SOLICITED 0x40000000u
#define FLAG_OVERRIDE  0x20000000u

struct ndp_message {
    uint8_t type;
    uint8_t code;
    uint16_t checksum;
    uint32_t flags; /* advertisement only */
    uint8_t target[16];
} __attribute__((packed));

struct ndp_option {
    uint8_t type;
    uint8_t units; /* of 8 bytes */
    uint8_t mac[ETH_ADDRESS_BYTES];
} __attribute__((packed));

_Static_assert(sizeof(struct ndp_message) == 24, "as on the wire");
_Static_assert(sizeof(struct ndp_option) == OPTION_BYTES, "as on the wire");

static const struct ip_address all_nodes = {{0xff, 0x02, [15] = 0x01}};
static const struct ip_address unspecified;

/* ---- out ---- */

/* Where a message goes. */
struct ndp_send {
    const struct ip_address *source;
    const struct ip_address *destination;
    const uint8_t *mac;
};

static void checksum_fill(const struct ndp_send *how, struct rte_mbuf *packet)
{
    struct ndp_message *message = rte_pktmbuf_mtod(packet, struct ndp_message *);
    uint64_t sum = checksum_pseudo(how->source, how->destination, IPPROTO_ICMPV6, packet->pkt_len);
    message->checksum = (uint16_t)~checksum_fold(sum + checksum_bytes(message, packet->data_len));
}

static void ndp_out(struct net *net, uint8_t interface, const struct ndp_send *how, uint8_t type,
                    uint32_t flags, const struct ip_address *target)
{
    struct rte_mbuf *packet = eth_packet_take(net, interface);
    if (packet == NULL)
        return;
    struct ndp_message *message =
        (struct ndp_message *)rte_pktmbuf_append(packet, sizeof(*message) + OPTION_BYTES);
    *message = (struct ndp_message){.type = type, .flags = htonl(flags)};
    memcpy(message->target, target->bytes, sizeof(message->target));
    struct ndp_option *option = (struct ndp_option *)(message + 1);
    option->type = type == ICMP6_NEIGHBOUR_SOLICITATION ? OPTION_SOURCE : OPTION_TARGET;
    option->units = 1;
    memcpy(option->mac, net->config.interfaces[interface].mac, ETH_ADDRESS_BYTES);
    checksum_fill(how, packet);
    struct net_path path = {.interface = interface};
    struct net_send send = {
        .path = &path,
        .local = how->source,
        .remote = how->destination,
        .protocol = IPPROTO_ICMPV6,
    };
    if (ip_out(net, &send, NDP_HOP_LIMIT, packet))
        eth_out(net, interface, how->mac, ETH_TYPE_IPV6, packet);
}

/* The group's Ethernet address: 33:33 and its last four bytes (RFC 2464 7). */
static void group_mac(const struct ip_address *group, uint8_t mac[ETH_ADDRESS_BYTES])
{
    mac[0] = 0x33;
    mac[1] = 0x33;
    memcpy(mac + 2, group->bytes + 12, 4);
}

bool ndp_ask(struct net *net, uint8_t interface, const struct ip_address *target,
             const uint8_t *mac)
{
    const struct ip_address *source = route_question_source(net, interface, target);
    if (source == NULL) {
        counter_add(&net->counters.out_no_source, 1);
        return false;
    }
    struct ip_address group = ip_address_solicited_group(target);
    uint8_t to_group[ETH_ADDRESS_BYTES];
    group_mac(&group, to_group);
    struct ndp_send how = {source, &group, to_group};
    if (mac != NULL)
        how = (struct ndp_send){source, target, mac};
    ndp_out(net, interface, &how, ICMP6_NEIGHBOUR_SOLICITATION, 0, target);
    return true;
}

void ndp_announce(struct net *net, uint8_t interface, const struct ip_address *address)
{
    uint8_t mac[ETH_ADDRESS_BYTES];
    group_mac(&all_nodes, mac);
    struct ndp_send how = {address, &all_nodes, mac};
    ndp_out(net, interface, &how, ICMP6_NEIGHBOUR_ADVERTISEMENT, FLAG_OVERRIDE, address);
}

/* ---- in ---- */

/* A message with its options taken apart. */
struct ndp_parsed {
    const struct ndp_message *message;
    struct ip_address target;
    const uint8_t *source_mac; /* NULL: no such option */
    const uint8_t *target_mac;
};

/* False: an option of no length, or one that is cut off. */
static bool options_parse(const uint8_t *at, uint16_t left, struct ndp_parsed *out)
{
    while (left > 0) {
        const struct ndp_option *option = (const struct ndp_option *)at;
        if (left < OPTION_BYTES || option->units == 0 || option->units * OPTION_BYTES > left)
            return false;
        bool possible = (option->mac[0] & 1) == 0;
        if (option->type == OPTION_SOURCE && possible)
            out->source_mac = option->mac;
        if (option->type == OPTION_TARGET && possible)
            out->target_mac = option->mac;
        left = (uint16_t)(left - option->units * OPTION_BYTES);
        at += option->units * OPTION_BYTES;
    }
    return true;
}

/* What RFC 4861 7.1.1 and 7.1.2 ask of both kinds. */
static bool message_parse(const struct arrival *arrival, struct ndp_parsed *out)
{
    const struct ndp_message *message = rte_pktmbuf_mtod_offset(
        arrival->packet, const struct ndp_message *, arrival->l3_offset + arrival->l3_length);
    if (arrival->hop_limit != NDP_HOP_LIMIT || arrival->l4_length < sizeof(*message) ||
        message->code != 0 || message->target[0] == 0xff)
        return false;
    *out = (struct ndp_parsed){.message = message, .target = ip_address_from_v6(message->target)};
    return !ip_address_is_v4(&out->target) &&
           options_parse((const uint8_t *)(message + 1),
                         (uint16_t)(arrival->l4_length - sizeof(*message)), out);
}

static const uint8_t *frame_source(const struct arrival *arrival)
{
    return rte_pktmbuf_mtod_offset(arrival->packet, const uint8_t *, ETH_ADDRESS_BYTES);
}

/* Somebody checks whether the address is free: tell everybody that it is ours. */
static void duplicate_in(struct net *net, const struct arrival *arrival,
                         const struct ndp_parsed *parsed)
{
    bool to_group = arrival->local == NULL && !ip_address_equal(&arrival->destination, &all_nodes);
    if (!to_group || parsed->source_mac != NULL) {
        counter_add(&net->counters.ndp_malformed, 1);
        return;
    }
    ndp_announce(net, arrival->interface, &parsed->target);
    counter_add(&net->counters.ndp_answered, 1);
}

static void solicitation_in(struct net *net, const struct arrival *arrival,
                            const struct ndp_parsed *parsed, uint64_t now)
{
    if (local_on(net, arrival->interface, &parsed->target) == NULL) {
        counter_add(&net->counters.ndp_not_ours, 1);
        return;
    }
    if (ip_address_equal(&arrival->source, &unspecified)) {
        duplicate_in(net, arrival, parsed);
        return;
    }
    const uint8_t *mac = parsed->source_mac;
    if (mac != NULL)
        neighbour_learn(net, arrival->interface, &arrival->source, mac, NEIGHBOUR_ASKED_US, now);
    struct ndp_send how = {&parsed->target, &arrival->source,
                           mac != NULL ? mac : frame_source(arrival)};
    ndp_out(net, arrival->interface, &how, ICMP6_NEIGHBOUR_ADVERTISEMENT,
            FLAG_SOLICITED | FLAG_OVERRIDE, &parsed->target);
    counter_add(&net->counters.ndp_answered, 1);
}

/* What the flags and the option make of an advertisement (RFC 4861 7.2.5). False: nothing. */
static bool advertisement_news(const struct ndp_parsed *parsed, enum neighbour_news *news)
{
    uint32_t flags = ntohl(parsed->message->flags);
    bool solicited = (flags & FLAG_SOLICITED) != 0;
    bool override = (flags & FLAG_OVERRIDE) != 0;
    if (parsed->target_mac == NULL)
        *news = NEIGHBOUR_CONFIRMED;
    else if (solicited)
        *news = override ? NEIGHBOUR_ANSWERED : NEIGHBOUR_ANSWERED_WEAKLY;
    else
        *news = NEIGHBOUR_ANNOUNCED;
    return solicited || (override && parsed->target_mac != NULL);
}

static void advertisement_in(struct net *net, const struct arrival *arrival,
                             const struct ndp_parsed *parsed, uint64_t now)
{
    enum neighbour_news news;
    bool useful = advertisement_news(parsed, &news);
    if (arrival->local == NULL && (ntohl(parsed->message->flags) & FLAG_SOLICITED) != 0)
        counter_add(&net->counters.ndp_malformed, 1);
    else if (local_on(net, arrival->interface, &parsed->target) != NULL)
        counter_add(&net->counters.address_conflict, 1);
    else if (!useful)
        counter_add(&net->counters.ndp_ignored, 1);
    else
        neighbour_learn(net, arrival->interface, &parsed->target, parsed->target_mac, news, now);
}

static void message_in(struct net *net, const struct arrival *arrival, uint64_t now)
{
    uint8_t type = *rte_pktmbuf_mtod_offset(arrival->packet, const uint8_t *,
                                            arrival->l3_offset + arrival->l3_length);
    bool solicitation = type == ICMP6_NEIGHBOUR_SOLICITATION;
    if (!solicitation && type != ICMP6_NEIGHBOUR_ADVERTISEMENT) {
        counter_add(&net->counters.ndp_ignored, 1);
        return;
    }
    struct ndp_parsed parsed;
    if (!message_parse(arrival, &parsed))
        counter_add(&net->counters.ndp_malformed, 1);
    else if (solicitation)
        solicitation_in(net, arrival, &parsed, now);
    else if (ip_address_equal(&arrival->source, &unspecified))
        counter_add(&net->counters.ndp_malformed, 1);
    else
        advertisement_in(net, arrival, &parsed, now);
}

void ndp_in(struct net *net, struct arrival *arrival, uint64_t now)
{
    message_in(net, arrival, now);
    rte_pktmbuf_free(arrival->packet);
}
