#include "tests/support/wire.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/list.h"
#include "dataplane/base/random.h"
#include "tests/support/test_eal.h"
#include "tests/support/wire_router.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_MAX      (9000 + 32)
#define FRAME_OVERHEAD 22 /* Ethernet, VLAN and check sequence around an IP packet of MTU bytes */
#define MACS_MAX       64 /* that the switch remembers an end */

struct frame {
    struct list link;
    uint64_t due_at_ns;
    uint16_t length;
    uint8_t data[FRAME_MAX];
};

struct wire_queue {
    struct port_queue port; /* first: found from it */
    struct wire *wire;
    uint16_t end;
    struct list frames; /* by due_at_ns */
};

struct direction {
    struct wire_faults faults;
    uint32_t burst_left;
    uint64_t free_at_ns; /* of the bottleneck */
    uint64_t last_due_at_ns;
};

struct end {
    struct wire_queue queues[WIRE_QUEUES_MAX];
    struct rte_ether_addr macs[MACS_MAX];
    uint16_t mac_count;
};

struct wire {
    struct wire_config config;
    struct wire_statistics statistics;
    struct random random;
    uint64_t now;
    uint32_t in_flight;
    struct list unused;
    wire_filter *filter;
    void *filter_context;
    wire_tap *tap;
    void *tap_context;
    wire_steer *steer;
    void *steer_context;
    wire_hash *hash;
    void *hash_context;
    struct direction directions[WIRE_ENDS_MAX][WIRE_ENDS_MAX];
    struct end ends[WIRE_ENDS_MAX];
};

/* ---- frames ---- */

static struct frame *frame_take(struct wire *wire)
{
    struct list *link = list_pop_front(&wire->unused);
    struct frame *frame = link != NULL ? list_entry(link, struct frame, link) : NULL;
    if (frame == NULL) {
        frame = malloc(sizeof(*frame));
        check(frame != NULL);
        list_init(&frame->link);
    }
    wire->in_flight++;
    return frame;
}

static void frame_give(struct wire *wire, struct frame *frame)
{
    list_push_front(&wire->unused, &frame->link);
    wire->in_flight--;
}

/* ---- what a network card does ---- */

/* The IP header of a frame, its length in *LEFT; NULL: not IP. */
static uint8_t *ip_of(uint8_t *frame, uint16_t length, uint16_t *left)
{
    uint16_t at = RTE_ETHER_HDR_LEN;
    if (length < at + 4)
        return NULL;
    uint16_t type = (uint16_t)(frame[12] << 8 | frame[13]);
    if (type == RTE_ETHER_TYPE_VLAN) {
        type = (uint16_t)(frame[16] << 8 | frame[17]);
        at += RTE_VLAN_HLEN;
    }
    bool v4 = type == RTE_ETHER_TYPE_IPV4;
    bool v6 = type == RTE_ETHER_TYPE_IPV6;
    uint16_t least = v4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);
    if ((!v4 && !v6) || length < at + least)
        return NULL;
    *left = (uint16_t)(length - at);
    return frame + at;
}

/* Fill in what the sender left to the port. */
static void checksums_fill(const struct rte_mbuf *packet, uint8_t *frame)
{
    uint8_t *ip = frame + packet->l2_len;
    bool v4 = (packet->ol_flags & RTE_MBUF_F_TX_IPV4) != 0;
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + packet->l3_len);
    if ((packet->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM) {
        uint16_t pseudo =
            v4 ? rte_ipv4_phdr_cksum((void *)ip, 0) : rte_ipv6_phdr_cksum((void *)ip, 0);
        check(tcp->cksum == pseudo);
        tcp->cksum = 0;
        tcp->cksum =
            v4 ? rte_ipv4_udptcp_cksum((void *)ip, tcp) : rte_ipv6_udptcp_cksum((void *)ip, tcp);
    }
    if (packet->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) {
        struct rte_ipv4_hdr *header = (struct rte_ipv4_hdr *)ip;
        check(header->hdr_checksum == 0);
        header->hdr_checksum = rte_ipv4_cksum(header);
    }
}

/* A right checksum makes the sum over itself zero. */
static uint64_t checksum_flags_v4(struct rte_ipv4_hdr *ip, uint16_t left)
{
    uint16_t header = rte_ipv4_hdr_len(ip);
    uint16_t total = rte_be_to_cpu_16(ip->total_length);
    if (header < sizeof(*ip) || header > total || total > left)
        return 0;
    uint64_t flags = rte_raw_cksum(ip, header) == 0xffff ? RTE_MBUF_F_RX_IP_CKSUM_GOOD
                                                         : RTE_MBUF_F_RX_IP_CKSUM_BAD;
    if (ip->next_proto_id == IPPROTO_TCP && total - header >= 20)
        flags |= rte_ipv4_udptcp_cksum(ip, (uint8_t *)ip + header) == 0
                     ? RTE_MBUF_F_RX_L4_CKSUM_GOOD
                     : RTE_MBUF_F_RX_L4_CKSUM_BAD;
    return flags;
}

static uint64_t checksum_flags_v6(struct rte_ipv6_hdr *ip, uint16_t left)
{
    uint16_t payload = rte_be_to_cpu_16(ip->payload_len);
    if (ip->proto != IPPROTO_TCP || payload < 20 || payload > left - sizeof(*ip))
        return 0;
    return rte_ipv6_udptcp_cksum(ip, ip + 1) == 0 ? RTE_MBUF_F_RX_L4_CKSUM_GOOD
                                                  : RTE_MBUF_F_RX_L4_CKSUM_BAD;
}

static uint64_t checksum_flags(uint8_t *frame, uint16_t length)
{
    uint16_t left;
    uint8_t *ip = ip_of(frame, length, &left);
    if (ip == NULL)
        return 0;
    if (ip[0] >> 4 == 4)
        return checksum_flags_v4((struct rte_ipv4_hdr *)ip, left);
    return ip[0] >> 4 == 6 ? checksum_flags_v6((struct rte_ipv6_hdr *)ip, left) : 0;
}

static uint16_t queue_count(const struct wire *wire, uint16_t end)
{
    uint16_t own = wire->config.queues_of[end];
    return own != 0 ? own : wire->config.queues;
}

/* A hash of addresses and ports that has nothing to do with the stack's own. */
static uint16_t queue_by_hash(const struct wire *wire, uint16_t end, uint8_t *frame,
                              uint16_t length)
{
    uint16_t left;
    const uint8_t *ip = ip_of(frame, length, &left);
    if (ip == NULL)
        return 0;
    bool v4 = ip[0] >> 4 == 4;
    uint16_t from = v4 ? 12 : 8;
    uint16_t to = v4 ? 24 : 44;
    uint32_t hash = 2166136261u;
    for (uint16_t i = from; i < to && i < left; i++)
        hash = (hash ^ ip[i]) * 16777619u;
    return (uint16_t)((hash ^ hash >> 16) % queue_count(wire, end));
}

/* ---- the switch ---- */

static int end_of_mac(const struct wire *wire, const struct rte_ether_addr *mac)
{
    for (uint16_t i = 0; i < wire->config.ends; i++)
        for (uint16_t j = 0; j < wire->ends[i].mac_count; j++)
            if (rte_is_same_ether_addr(&wire->ends[i].macs[j], mac))
                return i;
    return -1;
}

static void mac_learn(struct wire *wire, uint16_t from, const uint8_t *frame)
{
    struct rte_ether_addr mac;
    memcpy(&mac, frame + RTE_ETHER_ADDR_LEN, sizeof(mac));
    struct end *end = &wire->ends[from];
    if (end_of_mac(wire, &mac) < 0 && end->mac_count < MACS_MAX)
        end->macs[end->mac_count++] = mac;
}

static void enqueue(struct wire *wire, uint16_t end, uint16_t queue, const void *data,
                    uint16_t length, uint64_t due_at_ns)
{
    struct frame *frame = frame_take(wire);
    memcpy(frame->data, data, length);
    frame->length = length;
    frame->due_at_ns = due_at_ns;
    struct list *frames = &wire->ends[end].queues[queue].frames;
    struct list *before = frames->previous;
    while (before != frames && list_entry(before, struct frame, link)->due_at_ns > due_at_ns)
        before = before->previous;
    list_insert_before(before->next, &frame->link);
}

static bool happens(struct wire *wire, uint32_t ppm)
{
    return ppm > 0 && random_below(&wire->random, 1000000) < ppm;
}

static bool is_lost(struct wire *wire, struct direction *direction)
{
    const struct wire_faults *faults = &direction->faults;
    if (direction->burst_left > 0) {
        direction->burst_left--;
        return true;
    }
    if (happens(wire, faults->burst_ppm)) {
        direction->burst_left = faults->burst_frames;
        return true;
    }
    return faults->cut || happens(wire, faults->drop_ppm);
}

/* When a frame comes out of the bottleneck; CLOCK_NEVER: it did not fit in front of it. */
static uint64_t bottleneck(struct wire *wire, struct direction *direction, uint16_t length)
{
    const struct wire_faults *faults = &direction->faults;
    if (faults->bits_per_s == 0)
        return wire->now;
    uint64_t from = direction->free_at_ns > wire->now ? direction->free_at_ns : wire->now;
    uint64_t waiting_bytes = (from - wire->now) * faults->bits_per_s / 8 / CLOCK_S;
    if (faults->queue_bytes != 0 && waiting_bytes + length > faults->queue_bytes)
        return CLOCK_NEVER;
    direction->free_at_ns = from + length * 8ull * CLOCK_S / faults->bits_per_s;
    return direction->free_at_ns;
}

static uint64_t due_at(struct wire *wire, struct direction *direction, uint64_t from)
{
    const struct wire_faults *faults = &direction->faults;
    uint64_t due = from + faults->delay_ns;
    if (faults->jitter_ns > 0)
        due += random_u64(&wire->random) % (faults->jitter_ns + 1);
    if (due < direction->last_due_at_ns)
        due = direction->last_due_at_ns;
    direction->last_due_at_ns = due;
    return happens(wire, faults->reorder_ppm) ? due + faults->reorder_ns : due;
}

static uint16_t queue_for(struct wire *wire, uint16_t end, uint8_t *data, uint16_t length)
{
    uint16_t queue = wire->steer != NULL ? wire->steer(wire->steer_context, end, data, length)
                                         : queue_by_hash(wire, end, data, length);
    check(queue < queue_count(wire, end));
    return queue;
}

/* The router before an MTU that is too small tells the sender, unless it is silent. */
static bool is_too_big(struct wire *wire, uint16_t from, uint16_t to, const uint8_t *data,
                       uint16_t length)
{
    const struct wire_faults *faults = &wire->directions[from][to].faults;
    if (faults->mtu == 0 || length <= faults->mtu + RTE_ETHER_HDR_LEN)
        return false;
    uint8_t answer[WIRE_ROUTER_ANSWER_MAX];
    uint16_t bytes =
        faults->mtu_silent ? 0 : wire_router_too_big(data, length, faults->mtu, answer);
    wire->statistics.too_big++;
    if (bytes > 0)
        enqueue(wire, from, queue_for(wire, from, answer, bytes), answer, bytes,
                wire->now + faults->delay_ns);
    return true;
}

static void corrupt(struct wire *wire, const struct direction *direction, uint8_t *data,
                    uint16_t length)
{
    uint32_t longest = direction->faults.corrupt_run;
    uint32_t bits = longest > 1 ? 1 + random_below(&wire->random, longest) : 1;
    uint32_t first = random_below(&wire->random, length * 8u - bits + 1);
    for (uint32_t i = first; i < first + bits; i++)
        data[i / 8] ^= (uint8_t)(0x80u >> i % 8);
    wire->statistics.corrupted++;
}

/* One copy of a frame on its way to one end; DATA may be changed. */
static void carry(struct wire *wire, uint16_t from, uint16_t to, uint8_t *data, uint16_t length)
{
    struct direction *direction = &wire->directions[from][to];
    if (wire->filter != NULL &&
        !wire->filter(wire->filter_context, from, to, data, length, wire->now)) {
        wire->statistics.lost++;
        return;
    }
    if (is_lost(wire, direction)) {
        wire->statistics.lost++;
        return;
    }
    if (is_too_big(wire, from, to, data, length))
        return;
    if (happens(wire, direction->faults.ce_ppm) && wire_router_mark(data, length))
        wire->statistics.marked++;
    uint64_t out_at = bottleneck(wire, direction, length);
    if (out_at == CLOCK_NEVER) {
        wire->statistics.overflowed++;
        return;
    }
    uint16_t queue = queue_for(wire, to, data, length);
    if (happens(wire, direction->faults.duplicate_ppm)) {
        wire->statistics.duplicated++;
        enqueue(wire, to, queue, data, length, due_at(wire, direction, out_at));
    }
    if (happens(wire, direction->faults.corrupt_ppm))
        corrupt(wire, direction, data, length);
    enqueue(wire, to, queue, data, length, due_at(wire, direction, out_at));
}

void wire_inject(struct wire *wire, uint16_t from, const void *frame, uint16_t length)
{
    wire->statistics.sent++;
    check(length >= RTE_ETHER_HDR_LEN && length <= FRAME_MAX);
    if (length > wire->config.features.mtu_max + FRAME_OVERHEAD) {
        wire->statistics.too_long++;
        return;
    }
    if (wire->tap != NULL)
        wire->tap(wire->tap_context, false, from, frame, length, wire->now);
    mac_learn(wire, from, frame);
    struct rte_ether_addr mac;
    memcpy(&mac, frame, sizeof(mac));
    int only = rte_is_unicast_ether_addr(&mac) ? end_of_mac(wire, &mac) : -1;
    for (uint16_t to = 0; to < wire->config.ends; to++) {
        if (to == from || (only >= 0 && only != to))
            continue;
        uint8_t copy[FRAME_MAX];
        memcpy(copy, frame, length);
        carry(wire, from, to, copy, length);
    }
}

void wire_deliver(struct wire *wire, uint16_t end, uint16_t queue, const void *frame,
                  uint16_t length)
{
    check(length <= FRAME_MAX && end < wire->config.ends && queue < queue_count(wire, end));
    enqueue(wire, end, queue, frame, length, wire->now);
}

/* ---- the ports ---- */

static void packet_check(const struct wire_queue *queue, const struct rte_mbuf *packet)
{
    check(packet->pkt_len <= FRAME_MAX);
    check(packet->nb_segs == 1 || queue->wire->config.features.multi_segment_tx);
    check(packet->pool == queue->port.mempool);
    check(RTE_MBUF_DIRECT(packet) || queue->wire->config.features.multi_segment_tx);
}

static uint16_t wire_transmit(struct port_queue *port, struct rte_mbuf **packets, uint16_t count)
{
    struct wire_queue *queue = (struct wire_queue *)port;
    for (uint16_t i = 0; i < count; i++) {
        uint8_t frame[FRAME_MAX];
        packet_check(queue, packets[i]);
        uint16_t length = (uint16_t)packets[i]->pkt_len;
        const void *data = rte_pktmbuf_read(packets[i], 0, length, frame);
        if (data != frame)
            memcpy(frame, data, length);
        checksums_fill(packets[i], frame);
        rte_pktmbuf_free(packets[i]);
        wire_inject(queue->wire, queue->end, frame, length);
    }
    return count;
}

/* The first frame if it is due, taken out; NULL: none. */
static struct frame *due_take(struct wire_queue *queue)
{
    if (list_is_empty(&queue->frames))
        return NULL;
    struct frame *frame = list_entry(queue->frames.next, struct frame, link);
    if (frame->due_at_ns > queue->wire->now)
        return NULL;
    list_remove(&frame->link);
    return frame;
}

static struct rte_mbuf *packet_of(struct wire_queue *queue, const struct frame *frame)
{
    struct wire *wire = queue->wire;
    struct rte_mbuf *packet = rte_pktmbuf_alloc(queue->port.mempool);
    char *room = packet != NULL ? rte_pktmbuf_append(packet, frame->length) : NULL;
    if (room == NULL) {
        rte_pktmbuf_free(packet);
        wire->statistics.no_mbuf++;
        return NULL;
    }
    memcpy(room, frame->data, frame->length);
    if (wire->tap != NULL)
        wire->tap(wire->tap_context, true, queue->end, frame->data, frame->length, wire->now);
    if (wire->hash != NULL &&
        wire->hash(wire->hash_context, queue->end, frame->data, frame->length, &packet->hash.rss))
        packet->ol_flags |= RTE_MBUF_F_RX_RSS_HASH;
    if (wire->config.features.rx_checksum)
        packet->ol_flags |= checksum_flags((uint8_t *)room, frame->length);
    wire->statistics.delivered++;
    return packet;
}

static uint16_t wire_receive(struct port_queue *port, struct rte_mbuf **packets, uint16_t max)
{
    struct wire_queue *queue = (struct wire_queue *)port;
    uint16_t count = 0;
    while (count < max) {
        struct frame *frame = due_take(queue);
        if (frame == NULL)
            break;
        packets[count] = packet_of(queue, frame);
        count += packets[count] != NULL;
        frame_give(queue->wire, frame);
    }
    return count;
}

uint16_t wire_take(struct wire *wire, uint16_t end, uint16_t queue, void *out, uint16_t room)
{
    struct frame *frame = due_take(&wire->ends[end].queues[queue]);
    if (frame == NULL)
        return 0;
    uint16_t length = frame->length;
    check(length <= room);
    memcpy(out, frame->data, length);
    if (wire->tap != NULL)
        wire->tap(wire->tap_context, true, end, frame->data, length, wire->now);
    frame_give(wire, frame);
    return length;
}

/* ---- life ---- */

static struct rte_mempool *pool_create(const struct wire *wire, uint16_t end, uint16_t queue)
{
    static unsigned serial;
    char name[RTE_MEMPOOL_NAMESIZE];
    snprintf(name, sizeof(name), "wire%u_%u_%u", serial++, end, queue);
    struct rte_mempool *pool = rte_pktmbuf_pool_create_by_ops(
        name, wire->config.mbufs, 0, 0, (uint16_t)(wire->config.mbuf_bytes + RTE_PKTMBUF_HEADROOM),
        SOCKET_ID_ANY, "ring_mt_rts");
    check(pool != NULL);
    return pool;
}

static void queue_init(struct wire *wire, uint16_t end, uint16_t queue)
{
    struct wire_queue *self = &wire->ends[end].queues[queue];
    self->wire = wire;
    self->end = end;
    list_init(&self->frames);
    self->port = (struct port_queue){
        .receive = wire_receive,
        .transmit = wire_transmit,
        .mempool = pool_create(wire, end, queue),
        .features = &wire->config.features,
        .device_id = end,
        .queue_id = queue,
        .rss = wire->config.rss,
    };
}

struct wire *wire_create(const struct wire_config *config)
{
    check(config->ends >= 1 && config->ends <= WIRE_ENDS_MAX);
    check(config->queues >= 1 && config->queues <= WIRE_QUEUES_MAX);
    for (uint16_t end = 0; end < config->ends; end++)
        check(config->queues_of[end] <= WIRE_QUEUES_MAX);
    test_eal_init();
    struct wire *wire = calloc(1, sizeof(*wire));
    check(wire != NULL);
    wire->config = *config;
    if (wire->config.mbuf_bytes == 0)
        wire->config.mbuf_bytes = 2048;
    if (wire->config.features.mtu_max == 0)
        wire->config.features.mtu_max = 1500;
    wire->config.features.queues_max = config->queues;
    random_seed(&wire->random, config->seed);
    list_init(&wire->unused);
    for (uint16_t end = 0; end < config->ends; end++)
        for (uint16_t queue = 0; queue < queue_count(wire, end); queue++)
            queue_init(wire, end, queue);
    return wire;
}

static void frames_free(struct list *frames)
{
    for (struct list *link = list_pop_front(frames); link != NULL; link = list_pop_front(frames))
        free(list_entry(link, struct frame, link));
}

void wire_destroy(struct wire *wire)
{
    for (uint16_t end = 0; end < wire->config.ends; end++)
        for (uint16_t queue = 0; queue < queue_count(wire, end); queue++) {
            frames_free(&wire->ends[end].queues[queue].frames);
            rte_mempool_free(wire->ends[end].queues[queue].port.mempool);
        }
    frames_free(&wire->unused);
    free(wire);
}

struct port_queue *wire_queue(struct wire *wire, uint16_t end, uint16_t queue)
{
    check(end < wire->config.ends && queue < queue_count(wire, end));
    return &wire->ends[end].queues[queue].port;
}

void wire_advance(struct wire *wire, uint64_t now)
{
    check(now >= wire->now);
    wire->now = now;
}

void wire_set_faults(struct wire *wire, uint16_t from, uint16_t to,
                     const struct wire_faults *faults)
{
    check(from < wire->config.ends && to < wire->config.ends);
    wire->directions[from][to].faults = *faults;
}

void wire_set_faults_everywhere(struct wire *wire, const struct wire_faults *faults)
{
    for (uint16_t from = 0; from < wire->config.ends; from++)
        for (uint16_t to = 0; to < wire->config.ends; to++)
            wire_set_faults(wire, from, to, faults);
}

void wire_set_filter(struct wire *wire, wire_filter *filter, void *context)
{
    wire->filter = filter;
    wire->filter_context = context;
}

void wire_set_tap(struct wire *wire, wire_tap *tap, void *context)
{
    wire->tap = tap;
    wire->tap_context = context;
}

void wire_set_steer(struct wire *wire, wire_steer *steer, void *context)
{
    wire->steer = steer;
    wire->steer_context = context;
}

void wire_set_hash(struct wire *wire, wire_hash *hash, void *context)
{
    wire->hash = hash;
    wire->hash_context = context;
}

uint32_t wire_in_flight(const struct wire *wire)
{
    return wire->in_flight;
}

static uint64_t queue_next_ns(const struct wire *wire, const struct list *frames)
{
    for (const struct list *link = frames->next; link != frames; link = link->next) {
        uint64_t due = list_entry(link, const struct frame, link)->due_at_ns;
        if (due > wire->now)
            return due;
    }
    return CLOCK_NEVER;
}

uint64_t wire_next_ns(const struct wire *wire)
{
    uint64_t next = CLOCK_NEVER;
    for (uint16_t end = 0; end < wire->config.ends; end++)
        for (uint16_t queue = 0; queue < queue_count(wire, end); queue++) {
            uint64_t due = queue_next_ns(wire, &wire->ends[end].queues[queue].frames);
            next = due < next ? due : next;
        }
    return next;
}

uint32_t wire_mbufs_used(const struct wire *wire)
{
    uint32_t used = 0;
    for (uint16_t end = 0; end < wire->config.ends; end++)
        for (uint16_t queue = 0; queue < queue_count(wire, end); queue++)
            used += rte_mempool_in_use_count(wire->ends[end].queues[queue].port.mempool);
    return used;
}

const struct wire_statistics *wire_statistics(const struct wire *wire)
{
    return &wire->statistics;
}
