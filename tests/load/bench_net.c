/*
 * bench_net: cycles of time stamp counter that net itself costs, per packet, on a wire in memory:
 * net_in() of TCP packets in bursts, net_send() of ready segments, net_flush() with a port that
 * takes everything. The median of many rounds; mbufs are taken and freed outside what is measured.
 *
 *     bench_net [ROUNDS]
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/frames.h"

#include <netinet/in.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 200000
#define FLOWS      1024

static uint64_t samples[ROUNDS_MAX];
static uint32_t rounds = 20000;
static struct wire *wire;
static struct net_host host;

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *what, uint32_t packets)
{
    qsort(samples, rounds, sizeof(samples[0]), compare);
    printf("%-44s %7.1f cycles a packet (best %7.1f)\n", what,
           (double)samples[rounds / 2] / packets, (double)samples[0] / packets);
}

/* A burst of frames of COUNT data bytes in fresh mbufs, each of another flow. */
static void fill_burst(struct rte_mbuf **packets, uint32_t burst, const struct frame *frames,
                       uint32_t round)
{
    for (uint32_t i = 0; i < burst; i++) {
        const struct frame *frame = &frames[(round * burst + i) % FLOWS];
        packets[i] = rte_pktmbuf_alloc(host.port->mempool);
        memcpy(rte_pktmbuf_append(packets[i], frame->length), frame->data, frame->length);
        if (host.port->features->rx_checksum)
            packets[i]->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    }
}

static void bench_in(const char *what, bool v6, uint16_t data, uint32_t burst)
{
    static struct frame frames[FLOWS];
    struct frame_ends ends = {{2, 0, 0, 0, 0, 0},
                              {2, 0, 0, 0, 1, 0},
                              0,
                              v6 ? "fd00::2" : "10.0.0.2",
                              v6 ? "fd00::80" : "192.0.2.80"};
    for (uint32_t i = 0; i < FLOWS; i++)
        frame_tcp(&frames[i], &ends, (uint16_t)(2000 + i), 443, data);
    for (uint32_t round = 0; round < rounds; round++) {
        struct rte_mbuf *packets[NET_BURST];
        struct net_arrivals arrivals;
        fill_burst(packets, burst, frames, round);
        uint64_t begin = clock_cycles();
        net_in(host.net, 0, packets, (uint16_t)burst, 1, &arrivals);
        samples[round] = clock_cycles() - begin;
        check(arrivals.own_count + arrivals.foreign_count == (int)burst);
        net_host_free(&arrivals);
    }
    report(what, burst);
}

static uint16_t take_all(struct port_queue *queue, struct rte_mbuf **packets, uint16_t count)
{
    rte_pktmbuf_free_bulk(packets, count);
    return count;
}

static void resolve(const struct ip_address *remote, bool v6)
{
    struct frame frame;
    struct net_path path;
    struct frame_ends ends = {{2, 0, 0, 0, 0, 0},
                              {2, 0, 0, 0, 1, 0},
                              0,
                              v6 ? "fd00::2" : "10.0.0.2",
                              v6 ? "fd00::1" : "10.0.0.1"};
    check(net_route(host.net, remote, &path));
    if (v6)
        frame_ndp(&frame, &ends, 136, 0x60000000u, "fd00::2");
    else
        frame_arp(&frame, &ends, 2, "10.0.0.2", "10.0.0.1");
    frame_give_and_free(&host, &frame, 1);
}

static void bench_out(const char *what, bool v6, uint16_t data, uint32_t burst)
{
    struct ip_address local, remote;
    struct net_path path;
    check(ip_address_parse(v6 ? "fd00::1" : "10.0.0.1", &local) &&
          ip_address_parse(v6 ? "fd00::2" : "10.0.0.2", &remote));
    resolve(&remote, v6);
    check(net_route(host.net, &remote, &path));
    struct net_send how = {&path, &local, &remote, IPPROTO_TCP, 0};
    for (uint32_t round = 0; round < rounds; round++) {
        struct rte_mbuf *packets[NET_BURST];
        for (uint32_t i = 0; i < burst; i++) {
            packets[i] = net_packet_take(host.net, &path);
            memset(rte_pktmbuf_append(packets[i], (uint16_t)(20 + data)), 1, 20u + data);
        }
        uint64_t begin = clock_cycles();
        for (uint32_t i = 0; i < burst; i++)
            net_send(host.net, &how, packets[i], 1);
        samples[round] = clock_cycles() - begin;
        net_flush(host.net);
    }
    report(what, burst);
}

static void open_host(bool offload, uint16_t workers)
{
    struct ip_address vips[2];
    struct wire_config config = {.ends = 1, .queues = workers, .mbufs = 2047};
    config.features.rx_checksum = offload;
    config.features.tx_checksum_ip = offload;
    config.features.tx_checksum_tcp = offload;
    wire = wire_create(&config);
    net_host_prepare(&host, wire, 0, 0, workers);
    net_host_add_address(&host, "10.0.0.1/24");
    net_host_add_address(&host, "fd00::1/64");
    net_host_open(&host);
    host.port->transmit = take_all;
    check(ip_address_parse("192.0.2.80", &vips[0]) && ip_address_parse("fd00::80", &vips[1]));
    net_set_vips(host.net, vips, 2);
}

static void bench_host(const char *kind, bool offload, uint16_t workers)
{
    printf("-- %s\n", kind);
    open_host(offload, workers);
    bench_in("net_in   IPv4, no data, bursts of 32", false, 0, 32);
    bench_in("net_in   IPv4, no data, bursts of 1", false, 0, 1);
    bench_in("net_in   IPv4, 1460 bytes, bursts of 32", false, 1460, 32);
    bench_in("net_in   IPv6, no data, bursts of 32", true, 0, 32);
    bench_out("net_send IPv4, no data, 32 in a row", false, 0, 32);
    bench_out("net_send IPv4, 1460 bytes, 32 in a row", false, 1460, 32);
    bench_out("net_send IPv6, no data, 32 in a row", true, 0, 32);
    wire_destroy(wire);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = (uint32_t)atoi(argv[1]);
    check(rounds >= 1 && rounds <= ROUNDS_MAX);
    bench_host("checksums in software, 1 worker", false, 1);
    bench_host("checksums by the port, 1 worker", true, 1);
    bench_host("checksums in software, 4 workers", false, 4);
    return 0;
}
