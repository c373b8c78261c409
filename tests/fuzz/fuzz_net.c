/*
 * fuzz_net: one of two workers' net between a hostile wire and a TCP that sends, down to the parsed
 * TCP segment. An input is a list of records: what to do (1 byte), how much time passes (1 byte,
 * units of 16 ms), how many bytes follow (2, big-endian), the bytes. Whatever comes, arrivals are
 * whole, segments lie within their packets, queues stay bounded, and in the end every mbuf is back.
 */
#include "tests/fuzz/fuzz.h"

#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"
#include "dataplane/base/reader.h"
#include "dataplane/base/sanitizer.h"
#include "dataplane/net/net_internal.h"
#include "dataplane/tcp/tcp_internal.h"
#include "tests/support/frames.h"

#include <netinet/in.h>
#include <string.h>

#define STEP_NS (16 * CLOCK_MS)

enum what {
    GIVE,       /* a frame as it is */
    GIVE_RIGHT, /* a frame whose checksums are made right first */
    SEND,       /* to the IPv4 (4 bytes) or IPv6 (16 bytes) address that follows */
    MAIL,       /* a MAIL_NEIGHBOUR with this body */
    GIVE_CARD,  /* as GIVE_RIGHT, but a byte with set enum card_flag comes first */
    GATHER,     /* as GIVE_RIGHT, but together with others in one burst */
    WHATS
};

/* What a network card says about a frame, or does with it. */
enum card_flag {
    CARD_IP_GOOD = 1 << 0,
    CARD_IP_BAD = 1 << 1,
    CARD_L4_GOOD = 1 << 2,
    CARD_L4_BAD = 1 << 3,
    CARD_STRIPPED = 1 << 4, /* VLAN 7 stood in the frame */
    CARD_PIECES = 1 << 5,   /* two mbufs */
};

static struct wire *wire;
static struct tcp *tcp; /* reads segments, has no connections */
static struct rte_mbuf *gathered[NET_BURST];
static uint16_t gathered_count;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct wire_config config = {
        .ends = 1, .queues = 1, .mbufs = 4095, .features = {.rx_checksum = true}};
    wire = wire_create(&config);
    return 0;
}

static void open_host(struct net_host *host)
{
    struct ip_address vips[2];
    net_host_prepare(host, wire, 0, 0, 2);
    net_host_add_address(host, "10.0.0.1/24");
    net_host_add_address(host, "fd00::1/64");
    net_host_set_gateway(host, "10.0.0.254");
    net_host_set_gateway(host, "fd00::fe");
    host->config.interfaces[1] = host->config.interfaces[0];
    host->config.interfaces[1].vlan = 7;
    host->config.interface_count = 2;
    host->config.neighbours_max = 8;
    net_host_open(host);
    check(ip_address_parse("192.0.2.80", &vips[0]) && ip_address_parse("fd00::80", &vips[1]));
    net_set_vips(host->net, vips, 2);
}

static void open_tcp(struct net_host *host)
{
    struct tcp_config config = {
        .net = host->net,
        .wheel = &host->wheel,
        .random = &host->random,
        .workers = 2,
        .connections_max = 1,
        .time_wait_max = 1,
        .spans_max = 1,
        .blocks_max = 1,
        .reassembly_max = 8,
        .receive_window_bytes = 65536,
        .send_queue_bytes = 65536,
        .connect_timeout_ns = CLOCK_S,
        .user_timeout_ns = CLOCK_S,
        .time_wait_ns = CLOCK_S,
        .socket_id = -1,
    };
    tcp = tcp_create(&config);
    check(tcp != NULL);
}

/* The IP packet's own length; 0: there is no whole IP packet in the frame. */
static uint32_t ip_length(const uint8_t *ip, uint32_t left)
{
    uint32_t length = 0;
    if (left >= 20 && ip[0] >> 4 == 4)
        length = (uint32_t)(ip[2] << 8 | ip[3]);
    else if (left >= 40 && ip[0] >> 4 == 6)
        length = 40u + (uint32_t)(ip[4] << 8 | ip[5]);
    return length <= left ? length : 0;
}

/* Whether the checksums are where they should be, so that they can be made right. */
static bool is_whole(const struct frame *frame)
{
    uint32_t at = frame_ip_offset(frame);
    const uint8_t *ip = frame->data + at;
    uint32_t length = ip_length(ip, frame->length > at ? frame->length - at : 0);
    bool v4 = ip[0] >> 4 == 4;
    uint32_t header = v4 ? (ip[0] & 0xfu) * 4 : 40;
    uint8_t next = v4 ? ip[9] : ip[6];
    while (!v4 && length >= header + 8 && (next == 0 || next == 60 || next == 43)) {
        next = ip[header];
        header += 8 * (ip[header + 1] + 1u);
    }
    bool known = next == IPPROTO_TCP || next == IPPROTO_ICMP || next == IPPROTO_ICMPV6;
    return known && header >= 20 && header + (next == IPPROTO_TCP ? 18 : 4) <= length;
}

static void make_right(struct frame *frame)
{
    if (frame->length < 34 || !is_whole(frame))
        return;
    frame_fix_ip(frame);
    frame_fix_transport(frame);
}

/* The parser sees nothing behind the packet; what it says lies within it. Takes over the packet. */
static void read_segment(struct rte_mbuf *packet)
{
    struct tcp_segment seg;
    uint16_t whole = packet->data_len;
    uint8_t *behind = rte_pktmbuf_mtod_offset(packet, uint8_t *, whole);
    size_t left = rte_pktmbuf_tailroom(packet);
    sanitizer_poison(behind, left);
    bool good = tcp_segment_read(tcp, packet, &seg);
    sanitizer_unpoison(behind, left);
    if (good) {
        check(seg.packet == packet && seg.length == packet->data_len);
        check(seg.length + 20 <= whole && seg.options.sack_count <= TCP_SACK_BLOCKS_MAX);
        check(rte_pktmbuf_mtod(packet, uint8_t *) + packet->data_len <= behind);
    }
    rte_pktmbuf_free(packet);
}

static void check_packet(const struct rte_mbuf *packet)
{
    uint32_t before = packet->l2_len + packet->l3_len;
    check(packet->nb_segs == 1 && packet->pkt_len == packet->data_len);
    if (packet->packet_type == RTE_PTYPE_L4_TCP)
        check(before + 20 <= packet->pkt_len);
    else
        check(packet->packet_type == RTE_PTYPE_L4_ICMP && packet->l4_len >= 28 &&
              before + packet->l4_len + 8u <= packet->pkt_len);
}

static void arrived(const struct net_arrivals *arrivals, uint16_t given, uint64_t now)
{
    check(arrivals->own_count + arrivals->foreign_count <= given);
    for (uint16_t i = 0; i < arrivals->foreign_count; i++) {
        check_packet(arrivals->foreign[i]);
        check(arrivals->foreign_owner[i] == 1);
        rte_pktmbuf_free(arrivals->foreign[i]);
    }
    for (uint16_t i = 0; i < arrivals->own_count; i++) {
        struct rte_mbuf *packet = arrivals->own[i];
        check_packet(packet);
        if (packet->packet_type == RTE_PTYPE_L4_TCP)
            read_segment(packet);
        else
            tcp_in(tcp, &packet, 1, now);
    }
}

static void frame_of(struct bytes bytes, bool right, struct frame *frame)
{
    memset(frame->data, 0, sizeof(frame->data));
    frame->length = (uint16_t)RTE_MIN(bytes.length, 1600u);
    memcpy(frame->data, bytes.data, frame->length);
    if (right)
        make_right(frame);
}

/* Alone, with poison behind it. */
static void give(struct net_host *host, struct bytes bytes, bool right, uint64_t now)
{
    static struct frame frame;
    struct net_arrivals arrivals;
    frame_of(bytes, right, &frame);
    frame_give(host, &frame, now, &arrivals);
    arrived(&arrivals, 1, now);
}

static struct rte_mbuf *packet_of(struct net_host *host, const void *data, uint16_t length)
{
    struct rte_mbuf *packet = rte_pktmbuf_alloc(host->port->mempool);
    check(packet != NULL);
    void *room = rte_pktmbuf_append(packet, length);
    check(room != NULL);
    memcpy(room, data, length);
    return packet;
}

static uint64_t checksum_flags(uint8_t card)
{
    uint64_t flags = 0;
    if (card & CARD_IP_GOOD)
        flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD;
    if (card & CARD_IP_BAD)
        flags |= RTE_MBUF_F_RX_IP_CKSUM_BAD;
    if (card & CARD_L4_GOOD)
        flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    if (card & CARD_L4_BAD)
        flags |= RTE_MBUF_F_RX_L4_CKSUM_BAD;
    return flags;
}

static void give_card(struct net_host *host, struct bytes bytes, uint64_t now)
{
    static struct frame frame;
    struct net_arrivals arrivals;
    uint8_t card = bytes.data[0];
    frame_of(bytes_after(bytes, 1), true, &frame);
    uint16_t first = card & CARD_PIECES ? frame.length / 2 : frame.length;
    struct rte_mbuf *packet = packet_of(host, frame.data, first);
    if (card & CARD_PIECES)
        check(rte_pktmbuf_chain(packet, packet_of(host, frame.data + first,
                                                  (uint16_t)(frame.length - first))) == 0);
    packet->ol_flags |= checksum_flags(card);
    if (card & CARD_STRIPPED) {
        packet->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
        packet->vlan_tci = 7;
    }
    net_in(host->net, 0, &packet, 1, now, &arrivals);
    arrived(&arrivals, 1, now);
}

static void give_gathered(struct net_host *host, uint64_t now)
{
    struct net_arrivals arrivals;
    uint16_t count = gathered_count;
    gathered_count = 0;
    net_in(host->net, 0, gathered, count, now, &arrivals);
    arrived(&arrivals, count, now);
}

static void gather(struct net_host *host, struct bytes bytes, uint64_t now)
{
    static struct frame frame;
    frame_of(bytes, true, &frame);
    gathered[gathered_count++] = packet_of(host, frame.data, frame.length);
    if (gathered_count == NET_BURST)
        give_gathered(host, now);
}

static void send_to(struct net_host *host, struct bytes bytes, uint64_t now)
{
    struct ip_address local, remote;
    struct net_path path;
    uint32_t v4;
    if (bytes.length < 4)
        return;
    memcpy(&v4, bytes.data, sizeof(v4));
    remote = bytes.length >= 16 ? ip_address_from_v6(bytes.data) : ip_address_from_v4(v4);
    if (!net_route(host->net, &remote, &path) ||
        !net_source_address(host->net, &path, &remote, &local))
        return;
    struct rte_mbuf *packet = net_packet_take(host->net, &path);
    if (packet == NULL)
        return;
    memset(rte_pktmbuf_append(packet, 20), 0, 20);
    struct net_send how = {&path, &local, &remote, IPPROTO_TCP, 0};
    net_send(host->net, &how, packet, now);
}

static void mail(struct net_host *host, struct bytes bytes, uint64_t now)
{
    struct mail mail = {.kind = MAIL_NEIGHBOUR};
    memcpy(mail.body, bytes.data, RTE_MIN(bytes.length, sizeof(mail.body)));
    mail.body[22] %= 2; /* interface and news: workers do not invent those */
    mail.body[23] %= NEIGHBOUR_ANNOUNCED + 1;
    net_neighbour_mail(host->net, &mail, now);
}

static void act(struct net_host *host, enum what what, struct bytes bytes, uint64_t now)
{
    switch (what) {
    case GIVE:
    case GIVE_RIGHT:
        if (bytes.length > 0)
            give(host, bytes, what == GIVE_RIGHT, now);
        break;
    case SEND:
        send_to(host, bytes, now);
        break;
    case MAIL:
        if (bytes.length > 0)
            mail(host, bytes, now);
        break;
    case GIVE_CARD:
        if (bytes.length > 0)
            give_card(host, bytes, now);
        break;
    case GATHER:
        gather(host, bytes, now);
        break;
    case WHATS:
        break;
    }
}

/* Let all questions fail and pauses pass: nothing waits any more. */
static void finish(struct net_host *host, uint64_t now)
{
    for (int i = 0; i < 16; i++) {
        now += CLOCK_S;
        timer_wheel_advance(&host->wheel, now, 1000);
        net_flush(host->net);
    }
    check(host->wheel.armed_count == 0);
    check(host->net->neighbours.pending_count == 0);
    check(wire_mbufs_used(wire) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_host host;
    struct reader reader = reader_over(bytes_of(data, size));
    uint64_t now = CLOCK_S;
    open_host(&host);
    open_tcp(&host);
    for (int i = 0; i < 200 && reader_left(&reader) >= 4; i++) {
        enum what what = reader_u8(&reader) % WHATS;
        now += reader_u8(&reader) * STEP_NS;
        size_t length = reader_u16(&reader);
        if (gathered_count > 0 && what != GATHER)
            give_gathered(&host, now);
        act(&host, what, reader_bytes(&reader, RTE_MIN(length, reader_left(&reader))), now);
        timer_wheel_advance(&host.wheel, now, 1000);
        net_flush(host.net);
        check(host.net->neighbours.pending_count <= NEIGHBOURS_PENDING_MAX);
    }
    give_gathered(&host, now);
    finish(&host, now);
    memory_reset();
    return 0;
}
