/*
 * return_path: which worker a packet belongs to, and whether the port brings it there itself.
 *
 * The owner is a function of the packet alone, the same on all workers and for ever: for
 * connections that we open the slice of the source port, for those of clients the queue that RSS is
 * predicted to choose, or, where nothing can be predicted, a hash. So nothing breaks when a port
 * steers otherwise: packets are handed over, as they are without RSS.
 *
 * Whether the prediction holds is seen from the packets that arrive, on each interface (VLANs may
 * be hashed otherwise): PROOF of them in a row, of FLOWS connections, in the queue they were
 * predicted for; a card that does something else passes once in 2^FLOWS times. From then on source
 * ports are chosen so that replies arrive here. One contradiction ends it; proving it again takes
 * four times as many packets. The hash is always computed, 24 or 72 loads: a card that tells
 * another one from some moment on would change the owners of connections.
 *
 * Only packets without IP options or extension headers are evidence: cards hash others as they
 * like, and whoever sends them must not be able to change our mind.
 */
#include "dataplane/net/ip_headers.h"
#include "dataplane/net/net_internal.h"

#define PROOF     64u
#define FLOWS     16
#define PROOF_MAX (1u << 20)

void return_path_init(struct net *net)
{
    for (uint8_t i = 0; i < net->config.interface_count; i++)
        net->return_paths[i] = (struct return_path){.needed = PROOF};
}

/* All interfaces of the port together; the control thread shows it. */
static void note_spreads(struct net *net, uint8_t interface)
{
    struct port_queue *queue = net_queue_of(net, interface);
    uint64_t holds = 0;
    for (uint8_t i = 0; i < net->config.interface_count; i++)
        if (net_queue_of(net, i) == queue)
            holds |= net->return_paths[i].holds;
    counter_set(&queue->spreads, holds);
}

static void matched(struct net *net, uint8_t interface, uint32_t hash)
{
    struct return_path *path = &net->return_paths[interface];
    counter_add(&net->counters.rss_matched, 1);
    if (path->holds)
        return;
    path->row++;
    path->seen |= 1ull << (hash >> 26);
    if (path->row < path->needed || __builtin_popcountll(path->seen) < FLOWS)
        return;
    path->holds = true;
    counter_add(&net->counters.rss_proven, 1);
    note_spreads(net, interface);
}

static void contradicted(struct net *net, uint8_t interface)
{
    struct return_path *path = &net->return_paths[interface];
    counter_add(&net->counters.rss_contradicted, 1);
    path->row = 0;
    path->seen = 0;
    if (!path->holds)
        return;
    path->holds = false;
    path->needed = path->needed < PROOF_MAX / 4 ? path->needed * 4 : PROOF_MAX;
    counter_add(&net->counters.rss_withdrawn, 1);
    note_spreads(net, interface);
}

static bool is_evidence(const struct arrival *arrival)
{
    bool plain = arrival->l3_length ==
                 (arrival->ethertype == ETH_TYPE_IPV4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES);
    return plain && arrival->packet->packet_type == RTE_PTYPE_L4_TCP;
}

/* The arrival is held against what was predicted for it. */
static void judge(struct net *net, const struct arrival *arrival, uint32_t hash, uint16_t queue)
{
    const struct rte_mbuf *packet = arrival->packet;
    if (packet->ol_flags & RTE_MBUF_F_RX_RSS_HASH && packet->hash.rss != hash)
        counter_add(&net->counters.rss_hash_wrong, 1);
    if (queue == net->config.self)
        matched(net, arrival->interface, hash);
    else
        contradicted(net, arrival->interface);
}

static uint16_t reply_owner(struct net *net, const struct flow_tuple *tuple)
{
    uint16_t owner = flow_port_owner(tuple->local_port, net->config.workers);
    counter_add(owner == net->config.self ? &net->counters.in_replies_direct
                                          : &net->counters.in_replies_foreign,
                1);
    return owner;
}

uint16_t return_path_owner(struct net *net, const struct arrival *arrival,
                           const struct flow_tuple *tuple)
{
    if (net->config.workers == 1)
        return net->config.self;
    const struct port_rss *rss = net_queue_of(net, arrival->interface)->rss;
    bool reply = arrival->local->backend_side && tuple->local_port >= FLOW_SOURCE_PORT_FIRST;
    if (!port_rss_knows(rss, tuple))
        return reply ? reply_owner(net, tuple)
                     : (uint16_t)(flow_spread(tuple) % net->config.workers);
    uint32_t hash = port_rss_hash(rss, tuple);
    uint16_t queue = port_rss_queue(rss, hash);
    if (is_evidence(arrival))
        judge(net, arrival, hash, queue);
    return reply ? reply_owner(net, tuple) : queue;
}

enum net_replies net_replies(const struct net *net, const struct net_path *path,
                             const struct flow_tuple *tuple)
{
    const struct port_rss *rss = net_queue_of(net, path->interface)->rss;
    if (net->config.workers == 1)
        return NET_REPLIES_HERE;
    if (!net->return_paths[path->interface].holds || !port_rss_knows(rss, tuple))
        return NET_REPLIES_UNKNOWN;
    return port_rss_queue(rss, port_rss_hash(rss, tuple)) == net->config.self
               ? NET_REPLIES_HERE
               : NET_REPLIES_ELSEWHERE;
}
