/*
 * net_fixture: the host under test at end 0 of a wire (10.0.0.1/24, fd00::1/64, gateways
 * 10.0.0.254 and fd00::fe, VIPs 192.0.2.80 and 2001:db8::80), and what comes out at end 1. Every
 * test ends with all mbufs back in their pools.
 */
#pragma once

#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "tests/support/cmocka.h"
#include "tests/support/frames.h"

#include <netinet/in.h>
#include <rte_mbuf.h>
#include <string.h>

#define VIP4 "192.0.2.80"
#define VIP6 "2001:db8::80"

struct fixture {
    struct wire *wire;
    struct net_host host;
};

static const struct frame_ends v4_ends = {
    {2, 0, 0, 0, 0, 0}, {2, 0, 0, 0, 1, 0}, 0, "10.0.0.2", "10.0.0.1"};
static const struct frame_ends v6_ends = {
    {2, 0, 0, 0, 0, 0}, {2, 0, 0, 0, 1, 0}, 0, "fd00::2", "fd00::1"};

static inline void fixture_set_vips(struct fixture *fixture)
{
    struct ip_address vips[2];
    assert_true(ip_address_parse(VIP4, &vips[0]) && ip_address_parse(VIP6, &vips[1]));
    net_set_vips(fixture->host.net, vips, 2);
}

static inline void fixture_open_as(struct fixture *fixture, const struct wire_config *config,
                                   uint16_t self, uint16_t workers)
{
    fixture->wire = wire_create(config);
    net_host_prepare(&fixture->host, fixture->wire, 0, self, workers);
    net_host_add_address(&fixture->host, "10.0.0.1/24");
    net_host_add_address(&fixture->host, "fd00::1/64");
    net_host_set_gateway(&fixture->host, "10.0.0.254");
    net_host_set_gateway(&fixture->host, "fd00::fe");
}

static inline void fixture_open(struct fixture *fixture)
{
    struct wire_config config = {.ends = 2, .queues = 1, .mbufs = 1535};
    fixture_open_as(fixture, &config, 0, 1);
    net_host_open(&fixture->host);
    fixture_set_vips(fixture);
}

static inline void fixture_close(struct fixture *fixture)
{
    net_flush(fixture->host.net);
    assert_int_equal(wire_mbufs_used(fixture->wire), 0);
    wire_destroy(fixture->wire);
    memory_reset();
}

static inline struct net_counters *counters_of(struct fixture *fixture)
{
    return net_counters(fixture->host.net);
}

/* Send what is queued and take one frame at end 1; false: there is none. */
static inline bool fixture_sent(struct fixture *fixture, struct frame *out)
{
    net_flush(fixture->host.net);
    out->length = 0;
    for (uint16_t queue = 0; queue < fixture->host.port->features->queues_max; queue++)
        if (out->length == 0)
            out->length = wire_take(fixture->wire, 1, queue, out->data, sizeof(out->data));
    return out->length > 0;
}

static inline uint32_t fixture_sent_count(struct fixture *fixture)
{
    struct frame frame;
    uint32_t count = 0;
    while (fixture_sent(fixture, &frame))
        count++;
    return count;
}

static inline struct ip_address address(const char *text)
{
    struct ip_address parsed;
    assert_true(ip_address_parse(text, &parsed));
    return parsed;
}

/* Send one TCP header (sequence number MARK) to REMOTE. False: no route. */
static inline bool send_marked(struct fixture *fixture, const char *remote_text, uint32_t mark,
                               uint64_t now)
{
    struct net_path path;
    struct ip_address remote = address(remote_text);
    struct ip_address local = address(ip_address_is_v4(&remote) ? "10.0.0.1" : "fd00::1");
    if (!net_route(fixture->host.net, &remote, &path))
        return false;
    struct rte_mbuf *packet = net_packet_take(fixture->host.net, &path);
    assert_non_null(packet);
    uint8_t *tcp = (uint8_t *)rte_pktmbuf_append(packet, 20);
    memset(tcp, 0, 20);
    memcpy(tcp + 4, &mark, sizeof(mark));
    tcp[12] = 5 << 4;
    struct net_send how = {&path, &local, &remote, IPPROTO_TCP, 0};
    net_send(fixture->host.net, &how, packet, now);
    return true;
}

/* The sequence number of a TCP packet that came out. */
static inline uint32_t mark_of(const struct frame *frame)
{
    uint16_t ip = frame_ip_offset(frame);
    uint32_t mark;
    memcpy(&mark, frame->data + ip + (frame->data[ip] >> 4 == 4 ? 20 : 40) + 4, sizeof(mark));
    return mark;
}
