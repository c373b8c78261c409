/*
 * mld: multicast listener reports (RFC 3810). Switches that snoop forward neighbour solicitations
 * only to who reported their group, so the solicited-node groups of our addresses are reported when
 * we announce ourselves (announce.c), to queries, and again from time to time by the worker that
 * announced: a query need not reach us (steering leaves it with the kernel).
 */
#include "dataplane/net/checksum.h"
#include "dataplane/net/net_internal.h"

#include <netinet/in.h>

#define MLD_REPORT        143
#define MLD_HOP_LIMIT     1
#define MODE_IS_EXCLUDE   2 /* with no sources: everything for the group is wanted */
#define CHANGE_TO_EXCLUDE 4
#define RECORDS_MAX       48              /* in one report: fits into 1280 bytes */

struct mld_record {
    uint8_t type;
    uint8_t auxiliary_words;
    uint16_t source_count;
    uint8_t group[16];
} __attribute__((packed));

struct mld_report {
    uint8_t hop_by_hop[8]; /* router alert (RFC 2711) */
    uint8_t type;
    uint8_t reserved;
    uint16_t checksum;
    uint16_t reserved_too;
    uint16_t record_count;
} __attribute__((packed));

_Static_assert(sizeof(struct mld_record) == 20, "as on the wire");
_Static_assert(sizeof(struct mld_report) == 16, "as on the wire");

static const uint8_t router_alert[8] = {IPPROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0};
static const struct ip_address all_routers = {{0xff, 0x02, [15] = 0x16}};

/* A link-local address of the interface, else none (RFC 3810 5.2.13). */
static struct ip_address report_source(const struct net *net, uint8_t interface)
{
    const struct net_interface *on = &net->config.interfaces[interface];
    for (uint8_t i = 0; i < on->address_count; i++)
        if (ip_address_is_link_local(&on->addresses[i].address))
            return on->addresses[i].address;
    return (struct ip_address){{0}};
}

static void report_out(struct net *net, uint8_t interface, struct rte_mbuf *packet)
{
    static const uint8_t mac[ETH_ADDRESS_BYTES] = {0x33, 0x33, 0, 0, 0, 0x16};
    struct mld_report *report = rte_pktmbuf_mtod(packet, struct mld_report *);
    struct ip_address source = report_source(net, interface);
    uint16_t length = (uint16_t)(packet->data_len - sizeof(report->hop_by_hop));
    report->record_count =
        htons((uint16_t)((packet->data_len - sizeof(*report)) / sizeof(struct mld_record)));
    uint64_t sum = checksum_pseudo(&source, &all_routers, IPPROTO_ICMPV6, length);
    report->checksum = (uint16_t)~checksum_fold(sum + checksum_bytes(&report->type, length));
    struct net_path path = {.interface = interface};
    struct net_send how = {
        .path = &path, .local = &source, .remote = &all_routers, .protocol = IPPROTO_HOPOPTS};
    if (!ip_out(net, &how, MLD_HOP_LIMIT, packet))
        return;
    counter_add(&net->counters.mld_reports, 1);
    eth_out(net, interface, mac, ETH_TYPE_IPV6, packet);
}

static struct rte_mbuf *report_begin(struct net *net, uint8_t interface)
{
    struct rte_mbuf *packet = eth_packet_take(net, interface);
    if (packet == NULL)
        return NULL;
    struct mld_report *report = (struct mld_report *)rte_pktmbuf_append(packet, sizeof(*report));
    *report = (struct mld_report){.type = MLD_REPORT};
    memcpy(report->hop_by_hop, router_alert, sizeof(router_alert));
    return packet;
}

static void record_add(struct rte_mbuf *packet, uint8_t type, const struct ip_address *address)
{
    struct mld_record *record = (struct mld_record *)rte_pktmbuf_append(packet, sizeof(*record));
    struct ip_address group = ip_address_solicited_group(address);
    *record = (struct mld_record){.type = type};
    memcpy(record->group, group.bytes, sizeof(record->group));
}

static bool is_reported(const struct local_address *local, uint8_t interface)
{
    return local->used && (local->interfaces >> interface & 1) != 0 &&
           !ip_address_is_v4(&local->address);
}

static void report_interface(struct net *net, uint8_t interface, uint8_t type)
{
    struct rte_mbuf *packet = NULL;
    uint32_t records = 0;
    for (uint32_t i = 0; i < LOCAL_SLOTS; i++) {
        const struct local_address *local = &net->local.slots[i];
        if (!is_reported(local, interface))
            continue;
        if (packet == NULL)
            packet = report_begin(net, interface);
        if (packet == NULL)
            return;
        record_add(packet, type, &local->address);
        if (++records % RECORDS_MAX == 0) {
            report_out(net, interface, packet);
            packet = NULL;
        }
    }
    if (packet != NULL)
        report_out(net, interface, packet);
}

void mld_report(struct net *net, bool is_news)
{
    for (uint8_t i = 0; i < net->config.interface_count; i++)
        report_interface(net, i, is_news ? CHANGE_TO_EXCLUDE : MODE_IS_EXCLUDE);
}

void mld_in(struct net *net, struct arrival *arrival, uint64_t now)
{
    /* From a link-local address, not forwarded (RFC 3810 6.2). */
    if (arrival->hop_limit != MLD_HOP_LIMIT || !ip_address_is_link_local(&arrival->source))
        counter_add(&net->counters.mld_malformed, 1);
    else if (!rate_take(&net->mld_rate, now))
        counter_add(&net->counters.mld_over_rate, 1);
    else
        report_interface(net, arrival->interface, MODE_IS_EXCLUDE);
    rte_pktmbuf_free(arrival->packet);
}
