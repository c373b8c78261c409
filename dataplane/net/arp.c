/*
 * arp: the Ethernet Address Resolution Protocol for IPv4 (RFC 826), with address probes and
 * announcements (RFC 5227).
 */
#include "dataplane/net/net_internal.h"

#include <arpa/inet.h>

#define ARP_HARDWARE_ETHERNET 1
#define ARP_REQUEST           1
#define ARP_REPLY             2

struct arp_packet {
    uint16_t hardware;
    uint16_t protocol;
    uint8_t hardware_bytes;
    uint8_t protocol_bytes;
    uint16_t operation;
    uint8_t sender_mac[ETH_ADDRESS_BYTES];
    uint32_t sender;
    uint8_t target_mac[ETH_ADDRESS_BYTES];
    uint32_t target;
} __attribute__((packed));

_Static_assert(sizeof(struct arp_packet) == 28, "as on the wire");

static const uint8_t mac_broadcast[ETH_ADDRESS_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t mac_zero[ETH_ADDRESS_BYTES];

static void arp_out(struct net *net, uint8_t interface, uint16_t operation, uint32_t sender,
                    uint32_t target, const uint8_t *target_mac, const uint8_t *destination)
{
    struct rte_mbuf *packet = eth_packet_take(net, interface);
    if (packet == NULL)
        return;
    struct arp_packet *arp = (struct arp_packet *)rte_pktmbuf_append(packet, sizeof(*arp));
    *arp = (struct arp_packet){
        .hardware = htons(ARP_HARDWARE_ETHERNET),
        .protocol = htons(ETH_TYPE_IPV4),
        .hardware_bytes = ETH_ADDRESS_BYTES,
        .protocol_bytes = sizeof(uint32_t),
        .operation = htons(operation),
        .sender = sender,
        .target = target,
    };
    memcpy(arp->sender_mac, net->config.interfaces[interface].mac, ETH_ADDRESS_BYTES);
    memcpy(arp->target_mac, target_mac, ETH_ADDRESS_BYTES);
    eth_out(net, interface, destination, ETH_TYPE_ARP, packet);
}

bool arp_ask(struct net *net, uint8_t interface, const struct ip_address *target,
             const uint8_t *mac)
{
    const struct ip_address *source = route_question_source(net, interface, target);
    if (source == NULL) {
        counter_add(&net->counters.out_no_source, 1);
        return false;
    }
    arp_out(net, interface, ARP_REQUEST, ip_address_v4(source), ip_address_v4(target), mac_zero,
            mac != NULL ? mac : mac_broadcast);
    return true;
}

void arp_announce(struct net *net, uint8_t interface, const struct ip_address *address)
{
    uint32_t ours = ip_address_v4(address);
    arp_out(net, interface, ARP_REQUEST, ours, ours, mac_zero, mac_broadcast);
}

static bool is_well_formed(const struct arrival *arrival, const struct arp_packet *arp)
{
    return arrival->packet->data_len >= arrival->l3_offset + sizeof(*arp) &&
           arp->hardware == htons(ARP_HARDWARE_ETHERNET) && arp->protocol == htons(ETH_TYPE_IPV4) &&
           arp->hardware_bytes == ETH_ADDRESS_BYTES && arp->protocol_bytes == sizeof(uint32_t) &&
           (arp->operation == htons(ARP_REQUEST) || arp->operation == htons(ARP_REPLY));
}

/* A sender that can be: a host's MAC address, and a host's IP address or none (RFC 5227 2.1.1). */
static bool is_sender_possible(const struct arp_packet *arp)
{
    uint32_t sender = ntohl(arp->sender);
    bool mac_ok =
        (arp->sender_mac[0] & 1) == 0 && memcmp(arp->sender_mac, mac_zero, ETH_ADDRESS_BYTES) != 0;
    bool ip_ok = sender == 0 || (sender >> 24 != 0 && sender >> 24 != 127 && sender >> 28 < 0xe);
    return mac_ok && ip_ok;
}

static void request_in(struct net *net, uint8_t interface, const struct arp_packet *arp,
                       const struct ip_address *sender, uint64_t now)
{
    if (arp->sender != 0)
        neighbour_learn(net, interface, sender, arp->sender_mac, NEIGHBOUR_ASKED_US, now);
    arp_out(net, interface, ARP_REPLY, arp->target, arp->sender, arp->sender_mac, arp->sender_mac);
    counter_add(&net->counters.arp_answered, 1);
}

static void message_in(struct net *net, const struct arrival *arrival, const struct arp_packet *arp,
                       uint64_t now)
{
    struct ip_address sender = ip_address_from_v4(arp->sender);
    struct ip_address target = ip_address_from_v4(arp->target);
    uint8_t interface = arrival->interface;
    if (local_on(net, interface, &sender) != NULL) {
        counter_add(&net->counters.address_conflict, 1);
        return;
    }
    if (arp->sender != 0 && arp->sender == arp->target) {
        neighbour_learn(net, interface, &sender, arp->sender_mac, NEIGHBOUR_ANNOUNCED, now);
        return;
    }
    if (local_on(net, interface, &target) == NULL) {
        counter_add(&net->counters.arp_not_ours, 1);
        return;
    }
    if (arp->operation == htons(ARP_REQUEST))
        request_in(net, interface, arp, &sender, now);
    else if (arp->sender != 0 && !arrival->frame_to_group)
        neighbour_learn(net, interface, &sender, arp->sender_mac, NEIGHBOUR_ANSWERED, now);
    else
        counter_add(&net->counters.arp_martian, 1);
}

void arp_in(struct net *net, struct arrival *arrival, uint64_t now)
{
    const struct arp_packet *arp =
        rte_pktmbuf_mtod_offset(arrival->packet, const struct arp_packet *, arrival->l3_offset);
    if (!is_well_formed(arrival, arp))
        counter_add(&net->counters.arp_malformed, 1);
    else if (!is_sender_possible(arp))
        counter_add(&net->counters.arp_martian, 1);
    else
        message_in(net, arrival, arp, now);
    rte_pktmbuf_free(arrival->packet);
}
