/*
 * bench_cookie: cycles of time stamp counter that one SYN costs when a cookie answers it, from the
 * mbuf that the port delivered to the one that it takes: net_in(), tcp_in(), net_flush(), with a
 * wire in memory. Beside it an ACK that is looked at as a cookie and is none.
 * The median of many bursts; mbufs are taken and freed outside what is measured.
 *
 *     bench_cookie [ROUNDS]
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/frames.h"
#include "tests/support/tcp_host.h"

#include <arpa/inet.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 100000
#define BURST      32
#define FLOWS      8192
#define PORT       80

static uint64_t samples[ROUNDS_MAX];
static uint32_t rounds = 20000;
static struct wire *wire;
static struct tcp_host host;
static struct rte_mbuf *sent[512];
static uint32_t sent_count;

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *what)
{
    qsort(samples, rounds, sizeof(samples[0]), compare);
    double median = (double)samples[rounds / 2] / BURST;
    printf("%-44s %7.1f cycles (best %7.1f), %5.2f million a second\n", what, median,
           (double)samples[0] / BURST, (double)clock_cycles_per_second() / median / 1e6);
}

/* Keeps what is sent: freeing is not measured. */
static uint16_t keep_all(struct port_queue *queue, struct rte_mbuf **packets, uint16_t count)
{
    check(sent_count + count <= array_count(sent));
    memcpy(sent + sent_count, packets, count * sizeof(*packets));
    sent_count += count;
    return count;
}

static void accept_nothing(void *app, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    tcp_abort(conn);
}

static const struct tcp_app app = {.event = accept_nothing};

static void open_host(bool offload)
{
    struct ip_address vips[2];
    struct wire_config config = {.ends = 1, .queues = 1, .mbufs = 2047};
    config.features.rx_checksum = offload;
    config.features.tx_checksum_ip = offload;
    config.features.tx_checksum_tcp = offload;
    wire = wire_create(&config);
    tcp_host_prepare(&host, wire, 0, "10.0.0.1/24", "fd00::1/64");
    host.config.connections_max = 65536;
    tcp_host_open(&host);
    host.base.port->transmit = keep_all;
    check(ip_address_parse("192.0.2.80", &vips[0]) && ip_address_parse("fd00::80", &vips[1]));
    net_set_vips(host.base.net, vips, 2);
    for (int i = 0; i < 2; i++)
        check(tcp_listen(host.tcp, &vips[i], PORT, &app, NULL));
    struct tcp_cookie_settings cookies = {
        .mode = TCP_COOKIES_ALWAYS, .backlog = 1, .secrets = {{1, 2}}};
    tcp_set_cookies(host.tcp, &cookies);
}

/* As Linux sends it: MSS, SACK permitted, timestamps, window scale. */
static void make_syn(struct frame *frame, bool v6, bool ack, uint32_t flow)
{
    static const uint8_t options[20] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0,
                                        0, 9, 0,    0,    0, 0, 1, 3,  3, 7};
    struct frame_ends ends = {{2, 0, 0, 0, 0, 0},
                              {2, 0, 0, 0, 1, 0},
                              0,
                              v6 ? "fd00::2" : "10.0.0.2",
                              v6 ? "fd00::80" : "192.0.2.80"};
    frame_tcp(frame, &ends, (uint16_t)(2000 + flow), PORT, sizeof(options));
    uint8_t *tcp = frame->data + frame_ip_offset(frame) + (v6 ? 40 : 20);
    tcp[12] = 10 << 4;
    tcp[13] = ack ? 0x10 : 0x02;
    memcpy(tcp + 20, options, sizeof(options));
    frame_fix_transport(frame);
}

static void fill_burst(struct rte_mbuf **packets, const struct frame *frames, uint32_t round)
{
    for (uint32_t i = 0; i < BURST; i++) {
        const struct frame *frame = &frames[(round * BURST + i) % FLOWS];
        packets[i] = rte_pktmbuf_alloc(host.base.port->mempool);
        check(packets[i] != NULL);
        memcpy(rte_pktmbuf_append(packets[i], frame->length), frame->data, frame->length);
        if (host.base.port->features->rx_checksum)
            packets[i]->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    }
}

static void free_sent(void)
{
    rte_pktmbuf_free_bulk(sent, sent_count);
    sent_count = 0;
}

static void bench(const char *what, bool v6, bool ack)
{
    static struct frame frames[FLOWS];
    for (uint32_t i = 0; i < FLOWS; i++)
        make_syn(&frames[i], v6, ack, i);
    for (uint32_t round = 0; round < rounds; round++) {
        struct rte_mbuf *packets[NET_BURST];
        struct net_arrivals arrivals;
        fill_burst(packets, frames, round);
        uint64_t now = CLOCK_S + round * CLOCK_US;
        uint64_t begin = clock_cycles();
        net_in(host.base.net, 0, packets, BURST, now, &arrivals);
        tcp_in(host.tcp, arrivals.own, arrivals.own_count, now);
        net_flush(host.base.net);
        samples[round] = clock_cycles() - begin;
        check(ack || sent_count == BURST);
        free_sent();
    }
    report(what);
}

static void bench_host(const char *kind, bool offload)
{
    printf("-- %s\n", kind);
    open_host(offload);
    bench("SYN answered by a cookie, IPv4", false, false);
    bench("SYN answered by a cookie, IPv6", true, false);
    bench("ACK that is no cookie, IPv4", false, true);
    check(tcp_connection_count(host.tcp) == 0);
    check(tcp_counters(host.tcp)->cookies_sent == 2 * rounds * BURST);
    wire_destroy(wire);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = (uint32_t)atoi(argv[1]);
    check(rounds >= 1 && rounds <= ROUNDS_MAX);
    bench_host("checksums in software", false);
    bench_host("checksums by the port", true);
    return 0;
}
