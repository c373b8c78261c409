/* tcp_timeline_icmp: ICMP errors about segments of ours. */
#include "dataplane/base/writer.h"
#include "tests/support/cmocka.h"
#include "tests/timelines/tcp_timeline.h"

#include <netinet/in.h>
#include <string.h>

struct icmp_kind {
    const char *name;
    uint8_t v4[2];
    uint8_t v6[2];
};

static const struct icmp_kind icmp_kinds[] = {
    {"too_big", {3, 4}, {2, 0}},           {"net_unreachable", {3, 0}, {1, 0}},
    {"host_unreachable", {3, 1}, {1, 3}},  {"port_unreachable", {3, 3}, {1, 4}},
    {"admin_prohibited", {3, 13}, {1, 1}}, {"time_exceeded", {11, 0}, {3, 0}},
};

static const struct icmp_kind *icmp_kind(const struct tcp_timeline *t, const char *name)
{
    for (size_t i = 0; i < array_count(icmp_kinds); i++)
        if (strcmp(icmp_kinds[i].name, name) == 0)
            return &icmp_kinds[i];
    timeline_fail(&t->base, "'%s' is not an ICMP error", name);
}

/* As an mbuf that net hands over: Ethernet, IP, the message about a segment of ours. */
static void icmp_deliver(struct tcp_timeline *t, const struct icmp_kind *kind, uint32_t rest,
                         uint32_t seq)
{
    uint8_t bytes[256] = {0};
    bool v6 = t->script.v6;
    uint16_t header = v6 ? 40 : 20;
    struct writer w = writer_over(bytes, sizeof(bytes));
    (void)writer_take(&w, 14u + header); /* of the outer ones only the version is looked at */
    bytes[14] = v6 ? 0x60 : 0x45;
    writer_bytes(&w, bytes_of(v6 ? kind->v6 : kind->v4, 2));
    writer_u16(&w, 0);
    writer_u32(&w, rest);
    uint8_t *inner = writer_take(&w, header);
    inner[0] = v6 ? 0x60 : 0x45;
    inner[v6 ? 6 : 9] = IPPROTO_TCP;
    const uint8_t *ours = t->script.tuple.remote.bytes + (v6 ? 0 : 12);
    const uint8_t *theirs = t->script.tuple.local.bytes + (v6 ? 0 : 12);
    memcpy(inner + (v6 ? 8 : 12), ours, v6 ? 16 : 4);
    memcpy(inner + (v6 ? 24 : 16), theirs, v6 ? 16 : 4);
    writer_u16(&w, t->script.tuple.remote_port);
    writer_u16(&w, t->script.tuple.local_port);
    writer_u32(&w, seq);
    struct rte_mbuf *packet = rte_pktmbuf_alloc(t->script.host.base.port->mempool);
    assert_non_null(packet);
    uint16_t length = (uint16_t)writer_length(&w);
    memcpy(rte_pktmbuf_append(packet, length), bytes, length);
    packet->l2_len = 14;
    packet->l3_len = header;
    packet->packet_type = RTE_PTYPE_L4_ICMP;
    tcp_in(t->script.host.tcp, &packet, 1, t->script.now);
}

/* icmp KIND [mtu N] [seq N] */
static void do_icmp(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    const struct icmp_kind *kind = icmp_kind(t, timeline_need(&t->base, line));
    uint32_t mtu = timeline_accept(line, "mtu") ? timeline_number(&t->base, line) : 0;
    if (!timeline_accept(line, "seq"))
        timeline_fail(&t->base, "seq is missing");
    icmp_deliver(t, kind, mtu, t->host_iss + timeline_number(&t->base, line));
    t->mark = t->script.now;
}

const struct timeline_statement tcp_timeline_icmp[] = {{"icmp", do_icmp, false},
                                                       {NULL, NULL, false}};
