/*
 * bench_tcp: cycles of time stamp counter that TCP costs, per segment, between two stacks on a wire
 * in memory: tcp_out() of in-order data (net_send() and the copy of the payload are in it),
 * tcp_in() of that data, tcp_out() of the acknowledgements and tcp_in() of these. One burst of
 * segments a round, over one or many connections in turn; the median of many rounds.
 *
 *     bench_tcp [ROUNDS]
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/tcp/tcp_internal.h"
#include "tests/support/tcp_pair.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS_MAX  100000
#define WARM_UP     200
#define STREAMS_MAX 32

enum part { DATA_OUT, DATA_IN, ACK_OUT, ACK_IN, PARTS };

static const char *const names[PARTS] = {
    "data sent      (tcp_out)",
    "data received  (tcp_in)",
    "ACK sent       (tcp_out)",
    "ACK received   (tcp_in)",
};

static uint64_t samples[PARTS][ROUNDS_MAX]; /* of tenths of cycles a segment */
static uint32_t counts[PARTS];
static uint32_t rounds = 20000;
static struct tcp_pair pair;
static struct tcp_stream clients[STREAMS_MAX];

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void sample(enum part part, uint64_t cycles, uint64_t segments)
{
    if (segments > 0 && counts[part] < ROUNDS_MAX)
        samples[part][counts[part]++] = cycles * 10 / segments;
}

static void report(const char *what)
{
    printf("-- %s\n", what);
    for (int part = 0; part < PARTS; part++) {
        uint64_t *all = samples[part];
        uint32_t count = counts[part];
        qsort(all, count, sizeof(all[0]), compare);
        printf("%-28s %7.1f cycles a segment (best tenth %7.1f)\n", names[part],
               (double)all[count / 2] / 10, (double)all[count / 10] / 10);
        counts[part] = 0;
    }
}

/* A turn of a host with its two parts of TCP measured. */
static void turn(struct tcp_host *host, enum part in, enum part out)
{
    struct net_arrivals arrivals;
    const struct tcp_counters *counters = tcp_counters(host->tcp);
    net_host_receive(&host->base, pair.now, &arrivals);
    uint64_t begin = clock_cycles();
    tcp_in(host->tcp, arrivals.own, arrivals.own_count, pair.now);
    sample(in, clock_cycles() - begin, arrivals.own_count);
    (void)timer_wheel_advance(&host->base.wheel, pair.now, 1000);
    tcp_dispatch(host->tcp, UINT32_MAX, pair.now);
    uint64_t before = counters->segments_out;
    begin = clock_cycles();
    tcp_out(host->tcp, pair.now);
    sample(out, clock_cycles() - begin, counters->segments_out - before);
    net_flush(host->base.net);
}

static void round_of(uint32_t connections, uint32_t burst, uint32_t bytes)
{
    uint32_t each = burst / connections;
    for (uint32_t i = 0; i < connections; i++) {
        clients[i].to_send += (uint64_t)each * bytes;
        tcp_stream_pump(&clients[i]);
    }
    for (int i = 0; i < 4; i++) {
        pair.now += 20 * CLOCK_US;
        wire_advance(pair.wire, pair.now);
        turn(&pair.a, ACK_IN, DATA_OUT);
        turn(&pair.b, DATA_IN, ACK_OUT);
    }
}

static void bench(const char *what, const char *address, uint32_t connections, uint32_t burst,
                  uint32_t bytes)
{
    tcp_pair_prepare(&pair, 1);
    tcp_pair_open(&pair);
    for (uint32_t i = 0; i < connections; i++) {
        tcp_stream_init(&clients[i], &pair.a, 7);
        check(tcp_stream_connect(&clients[i], address, TCP_PAIR_PORT, pair.now));
    }
    tcp_pair_run_for(&pair, CLOCK_S);
    for (uint32_t i = 0; i < WARM_UP; i++)
        round_of(connections, burst, bytes);
    memset(counts, 0, sizeof(counts));
    for (uint32_t i = 0; i < rounds; i++)
        round_of(connections, burst, bytes);
    report(what);
    for (uint32_t i = 0; i < connections; i++)
        tcp_abort(clients[i].conn);
    tcp_pair_close(&pair);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = (uint32_t)atoi(argv[1]);
    check(rounds >= 1 && rounds <= ROUNDS_MAX);
    bench("one connection, 32 segments of 1448 bytes", "10.0.0.2", 1, 32, 1448);
    bench("one connection, one segment of 100 bytes", "10.0.0.2", 1, 1, 100);
    bench("32 connections, a segment of 1448 bytes each", "10.0.0.2", 32, 32, 1448);
    bench("IPv6, one connection, 32 segments of 1428 bytes", "fd00::2", 1, 32, 1428);
    return 0;
}
