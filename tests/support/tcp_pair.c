#include "tests/support/tcp_pair.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"

#include <string.h>

#define STEP_MIN_NS (10 * CLOCK_US)
#define STEP_MAX_NS (20 * CLOCK_MS)
#define SEED        7u

void tcp_pair_prepare(struct tcp_pair *pair, uint64_t seed)
{
    struct wire_config config = {.ends = 2, .queues = 1, .seed = seed, .mbufs = 4096};
    memset(pair, 0, sizeof(*pair));
    pair->wire = wire_create(&config);
    pair->now = CLOCK_S;
    tcp_host_prepare(&pair->a, pair->wire, 0, "10.0.0.1/24", "fd00::1/64");
    tcp_host_prepare(&pair->b, pair->wire, 1, "10.0.0.2/24", "fd00::2/64");
}

void tcp_pair_open(struct tcp_pair *pair)
{
    wire_advance(pair->wire, pair->now);
    tcp_host_open(&pair->a);
    tcp_host_open(&pair->b);
    pair->acceptor = (struct tcp_acceptor){.streams = pair->servers, .room = TCP_PAIR_SERVERS};
    for (uint32_t i = 0; i < TCP_PAIR_SERVERS; i++)
        tcp_stream_init(&pair->servers[i], &pair->b, SEED);
    tcp_stream_init(&pair->client, &pair->a, SEED);
    check(tcp_stream_listen(&pair->b, "10.0.0.2", TCP_PAIR_PORT, &pair->acceptor));
    check(tcp_stream_listen(&pair->b, "fd00::2", TCP_PAIR_PORT, &pair->acceptor));
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_ns(const struct tcp_pair *pair)
{
    if (pair->busy)
        return pair->now + STEP_MIN_NS;
    uint64_t next = earlier(wire_next_ns(pair->wire), pair->now + STEP_MAX_NS);
    next = earlier(next, timer_wheel_next_ns(&pair->a.base.wheel));
    next = earlier(next, timer_wheel_next_ns(&pair->b.base.wheel));
    return next > pair->now + STEP_MIN_NS ? next : pair->now + STEP_MIN_NS;
}

void tcp_pair_turn(struct tcp_pair *pair)
{
    const struct wire_statistics *statistics = wire_statistics(pair->wire);
    pair->now = next_ns(pair);
    wire_advance(pair->wire, pair->now);
    uint64_t moved = statistics->sent + statistics->delivered;
    tcp_host_turn(&pair->a, pair->now);
    tcp_host_turn(&pair->b, pair->now);
    pair->busy = statistics->sent + statistics->delivered != moved;
}

void tcp_pair_run_for(struct tcp_pair *pair, uint64_t for_ns)
{
    uint64_t end = pair->now + for_ns;
    pair->busy = true; /* the test may have done something */
    while (pair->now < end)
        tcp_pair_turn(pair);
}

void tcp_pair_connect(struct tcp_pair *pair, const char *address)
{
    check(tcp_stream_connect(&pair->client, address, TCP_PAIR_PORT, pair->now));
    uint32_t before = pair->acceptor.count;
    for (int i = 0; i < 100000 && !(pair->client.opened && pair->acceptor.count > before); i++)
        tcp_pair_turn(pair);
    check(pair->client.opened && pair->acceptor.count > before);
}

void tcp_pair_close(struct tcp_pair *pair)
{
    struct wire_faults none = {0};
    wire_set_faults_everywhere(pair->wire, &none);
    wire_set_filter(pair->wire, NULL, NULL);
    tcp_pair_run_for(pair, 150 * CLOCK_S);
    check(tcp_host_used(&pair->a) == 0);
    check(tcp_host_used(&pair->b) == 0);
    check(tcp_time_wait_count(pair->a.tcp) == 0);
    check(tcp_time_wait_count(pair->b.tcp) == 0);
    check(wire_mbufs_used(pair->wire) == 0);
    wire_destroy(pair->wire);
    memory_reset();
}
