/*
 * flood: SYNs as an attacker sends them: random sources within the given networks, random ports and
 * sequence numbers, the options of a usual client. SYN-ACKs go to addresses that are not ours, and
 * net drops them.
 */
#include "tests/load/weir_load/load.h"

#include <netinet/in.h>
#include <rte_byteorder.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#define SYNS_A_TURN  128
#define OPTION_BYTES 20 /* MSS, SACK permitted, timestamps, window scale */
#define HEADER_BYTES (20 + OPTION_BYTES)

static void random_source(struct random *random, const struct ip_prefix *prefix,
                          struct ip_address *out)
{
    uint8_t *bytes = (uint8_t *)out;
    *out = prefix->address;
    for (uint32_t bit = prefix->bits; bit < 128; bit++)
        if (random_u64(random) & 1)
            bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
}

static const struct ip_prefix *prefix_for(const struct load_options *options, struct random *random,
                                          bool v4)
{
    uint32_t first = random_below(random, options->syn_source_count);
    for (uint32_t i = 0; i < options->syn_source_count; i++) {
        const struct ip_prefix *prefix =
            &options->syn_sources[(first + i) % options->syn_source_count];
        if (ip_address_is_v4(&prefix->address) == v4)
            return prefix;
    }
    return NULL;
}

static void write_syn(uint8_t *out, uint16_t port, struct random *random)
{
    static const uint8_t options[OPTION_BYTES] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0,
                                                  0, 0, 0, 0,    0, 0, 1, 3,  3, 7};
    uint64_t dice = random_u64(random);
    struct rte_tcp_hdr tcp = {
        .src_port = rte_cpu_to_be_16((uint16_t)(1024 + dice % 64000)),
        .dst_port = rte_cpu_to_be_16(port),
        .sent_seq = (uint32_t)(dice >> 16),
        .data_off = HEADER_BYTES / 4 << 4,
        .tcp_flags = RTE_TCP_SYN_FLAG,
        .rx_win = rte_cpu_to_be_16(64240),
    };
    memcpy(out, &tcp, sizeof(tcp));
    memcpy(out + sizeof(tcp), options, sizeof(options));
    uint32_t stamp = (uint32_t)(dice >> 32);
    memcpy(out + sizeof(tcp) + 8, &stamp, sizeof(stamp));
}

/* False: the port takes no more. */
static bool send_one(struct flood *flood, uint64_t now)
{
    struct load *load = flood->load;
    struct random *random = &load->host.random;
    const struct load_options *options = &load->options;
    const struct load_target *target = &options->targets[flood->sent % options->target_count];
    const struct ip_prefix *prefix =
        prefix_for(options, random, ip_address_is_v4(&target->address));
    struct net_path path;
    if (prefix == NULL) { /* no source of its family: the next target's turn */
        flood->sent++;
        return true;
    }
    if (!net_route(load->host.net, &target->address, &path) ||
        net_send_room(load->host.net, &path) == 0)
        return false;
    struct rte_mbuf *packet = net_packet_take(load->host.net, &path);
    if (packet == NULL)
        return false;
    struct ip_address source;
    random_source(random, prefix, &source);
    write_syn((uint8_t *)rte_pktmbuf_append(packet, HEADER_BYTES), target->port, random);
    packet->l4_len = HEADER_BYTES;
    struct net_send how = {&path, &source, &target->address, IPPROTO_TCP, 0};
    net_send(load->host.net, &how, packet, now);
    flood->sent++;
    return true;
}

bool flood_tick(struct flood *flood, uint64_t now)
{
    const struct load_options *options = &flood->load->options;
    if (flood->load->phase != LOAD_RUN || flood->sent >= options->syn_flood)
        return false;
    if (flood->began_at_ns == 0)
        flood->began_at_ns = now;
    uint64_t due = due_by(options->syn_rate, flood->began_at_ns, now);
    if (due > options->syn_flood)
        due = options->syn_flood;
    uint64_t before = flood->sent;
    while (flood->sent < due && flood->sent - before < SYNS_A_TURN)
        if (!send_one(flood, now))
            break;
    flood->ended_at_ns = now;
    return flood->sent > before;
}
