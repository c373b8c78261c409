#include "dataplane/net/net.h"

#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "dataplane/net/checksum.h"
#include "dataplane/net/net_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define TCP_HEADER_BYTES 20

/* ---- at start ---- */

static void check_config(const struct net_config *config)
{
    check(config->workers >= 1 && config->workers <= NET_WORKERS_MAX);
    check(config->self < config->workers);
    check(config->queue_count <= NET_INTERFACES_MAX);
    check(config->interface_count <= NET_INTERFACES_MAX);
    check(config->neighbours_max >= 1 && config->neighbours_max <= NET_NEIGHBOURS_MAX);
    for (uint8_t i = 0; i < config->interface_count; i++) {
        check(config->interfaces[i].port < config->queue_count);
        check(config->interfaces[i].address_count <= NET_ADDRESSES_MAX);
    }
}

struct net *net_create(const struct net_config *config)
{
    check_config(config);
    struct net *net = memory_take("net", sizeof(*net), config->socket_id);
    if (net == NULL)
        return NULL;
    net->config = *config;
    net->echo_rate = (struct rate){0, CLOCK_S / NET_ECHOES_PER_S, NET_ECHO_BURST};
    net->question_rate = (struct rate){0, CLOCK_S / NET_QUESTIONS_PER_S, NET_QUESTION_BURST};
    net->mld_rate = (struct rate){0, CLOCK_S / NET_REPORTS_PER_S, NET_REPORT_BURST};
    net->mail_rate = (struct rate){0, CLOCK_S / NET_MAILS_PER_S, NET_MAIL_BURST};
    routes_fill(net);
    local_fill(net, NULL, 0);
    announce_init(net);
    return_path_init(net);
    return neighbours_init(net) ? net : NULL;
}

struct net_counters *net_counters(struct net *net)
{
    return &net->counters;
}

void net_set_vips(struct net *net, const struct ip_address *vips, uint32_t count)
{
    local_fill(net, vips, count);
}

void net_set_denied(struct net *net, const struct deny_table *denied)
{
    net->denied = denied;
}

bool net_is_local(const struct net *net, const struct ip_address *address)
{
    return local_find(net, address) != NULL;
}

/* ---- in ---- */

static void own(const struct arrival *arrival, struct net_arrivals *out)
{
    arrival->packet->port = arrival->interface;
    out->own[out->own_count++] = arrival->packet;
}

static void hand_out(struct net *net, const struct arrival *arrival, const struct flow_tuple *tuple,
                     struct net_arrivals *out)
{
    uint16_t owner = return_path_owner(net, arrival, tuple);
    if (owner == net->config.self) {
        own(arrival, out);
        return;
    }
    arrival->packet->port = arrival->interface;
    out->foreign_owner[out->foreign_count] = owner;
    out->foreign[out->foreign_count++] = arrival->packet;
    counter_add(&net->counters.in_foreign, 1);
}

/* NONE: the data is known to be whole, only the field was never filled in (virtual machines). */
static bool is_flagged_good(const struct rte_mbuf *packet)
{
    uint64_t flags = packet->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
    return flags == RTE_MBUF_F_RX_L4_CKSUM_GOOD || flags == RTE_MBUF_F_RX_L4_CKSUM_NONE;
}

static bool is_tcp_checksum_right(struct net *net, const struct arrival *arrival,
                                  const uint8_t *tcp)
{
    const struct rte_mbuf *packet = arrival->packet;
    if (net_queue_of(net, arrival->interface)->features->rx_checksum && is_flagged_good(packet))
        return true;
    counter_add(&net->counters.in_tcp_verified, 1);
    uint64_t sum =
        checksum_pseudo(&arrival->source, &arrival->destination, IPPROTO_TCP, arrival->l4_length);
    return checksum_fold(sum + checksum_bytes(tcp, arrival->l4_length)) == 0xffff;
}

static void tcp_arrived(struct net *net, const struct arrival *arrival, struct net_arrivals *out)
{
    const uint8_t *tcp = rte_pktmbuf_mtod_offset(arrival->packet, const uint8_t *,
                                                 arrival->l3_offset + arrival->l3_length);
    if (arrival->l4_length < TCP_HEADER_BYTES) {
        net_drop(arrival->packet, &net->counters.in_tcp_short);
        return;
    }
    if (!is_tcp_checksum_right(net, arrival, tcp)) {
        net_drop(arrival->packet, &net->counters.in_tcp_checksum);
        return;
    }
    arrival->packet->packet_type = RTE_PTYPE_L4_TCP;
    counter_add(&net->counters.in_tcp_packets, 1);
    if (net->config.workers == 1) {
        own(arrival, out);
        return;
    }
    struct flow_tuple tuple = {
        .local = arrival->destination,
        .remote = arrival->source,
        .local_port = (uint16_t)(tcp[2] << 8 | tcp[3]),
        .remote_port = (uint16_t)(tcp[0] << 8 | tcp[1]),
    };
    hand_out(net, arrival, &tuple, out);
}

static bool is_icmp(const struct arrival *arrival)
{
    return arrival->protocol ==
           (arrival->ethertype == ETH_TYPE_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

static void transport_in(struct net *net, struct arrival *arrival, uint64_t now,
                         struct net_arrivals *out)
{
    struct flow_tuple tuple;
    if (arrival->protocol == IPPROTO_TCP)
        tcp_arrived(net, arrival, out);
    else if (!is_icmp(arrival))
        net_drop(arrival->packet, &net->counters.in_protocol_unknown);
    else if (icmp_in(net, arrival, now, &tuple))
        hand_out(net, arrival, &tuple, out);
}

void net_in(struct net *net, uint8_t queue, struct rte_mbuf **packets, uint16_t count, uint64_t now,
            struct net_arrivals *out)
{
    check(count <= NET_BURST && queue < net->config.queue_count);
    out->own_count = 0;
    out->foreign_count = 0;
    uint16_t left = eth_in(net, queue, packets, count, now, net->batch);
    left = ip_in(net, net->batch, left);
    for (uint16_t i = 0; i < left; i++)
        transport_in(net, &net->batch[i], now, out);
}
