/*
 * fuzz_net: one worker's net between a hostile wire and a TCP that sends. An input is a list of
 * records: what to do (1 byte), how much time passes (1 byte, units of 16 ms), how many bytes
 * follow (2, big-endian), the bytes. Whatever comes, arrivals are whole, queues stay bounded, and
 * in the end every mbuf is back.
 */
#include "tests/fuzz/fuzz.h"

#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"
#include "dataplane/base/reader.h"
#include "dataplane/net/net_internal.h"
#include "tests/support/frames.h"

#include <netinet/in.h>
#include <string.h>

#define STEP_NS (16 * CLOCK_MS)

enum what {
    GIVE,       /* a frame as it is */
    GIVE_RIGHT, /* a frame whose checksums are made right first */
    SEND,       /* to the IPv4 (4 bytes) or IPv6 (16 bytes) address that follows */
    MAIL,       /* a MAIL_NEIGHBOUR with this body */
    WHATS
};

static struct wire *wire;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct wire_config config = {.ends = 1, .queues = 1, .mbufs = 4095};
    wire = wire_create(&config);
    return 0;
}

static void open_host(struct net_host *host)
{
    struct ip_address vips[2];
    net_host_prepare(host, wire, 0, 0, 1);
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

static void check_arrivals(const struct net_arrivals *arrivals)
{
    check(arrivals->own_count <= 1 && arrivals->foreign_count == 0);
    for (uint16_t i = 0; i < arrivals->own_count; i++) {
        const struct rte_mbuf *packet = arrivals->own[i];
        uint32_t before = packet->l2_len + packet->l3_len;
        check(packet->nb_segs == 1 && packet->pkt_len == packet->data_len);
        if (packet->packet_type == RTE_PTYPE_L4_TCP)
            check(before + 20 <= packet->pkt_len);
        else
            check(packet->packet_type == RTE_PTYPE_L4_ICMP && packet->l4_len >= 28 &&
                  before + packet->l4_len + 8u <= packet->pkt_len);
    }
}

static void give(struct net_host *host, struct bytes bytes, bool right, uint64_t now)
{
    static struct frame frame;
    struct net_arrivals arrivals;
    memset(frame.data, 0, sizeof(frame.data));
    frame.length = (uint16_t)RTE_MIN(bytes.length, 1600u);
    memcpy(frame.data, bytes.data, frame.length);
    if (right)
        make_right(&frame);
    frame_give(host, &frame, now, &arrivals);
    check_arrivals(&arrivals);
    net_host_free(&arrivals);
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
    for (int i = 0; i < 200 && reader_left(&reader) >= 4; i++) {
        enum what what = reader_u8(&reader) % WHATS;
        now += reader_u8(&reader) * STEP_NS;
        size_t length = reader_u16(&reader);
        act(&host, what, reader_bytes(&reader, RTE_MIN(length, reader_left(&reader))), now);
        timer_wheel_advance(&host.wheel, now, 1000);
        net_flush(host.net);
        check(host.net->neighbours.pending_count <= NEIGHBOURS_PENDING_MAX);
    }
    finish(&host, now);
    memory_reset();
    return 0;
}
