/* Two stacks back to back over a wire in memory, with a hand clock. */
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "tests/support/cmocka.h"
#include "tests/support/tcp_host.h"

#include "dataplane/tcp/tcp_internal.h"

#define TURN_NS (50 * CLOCK_US)
#define PORT    8080

struct pair {
    struct wire *wire;
    struct tcp_host a; /* connects */
    struct tcp_host b; /* listens */
    struct tcp_acceptor acceptor;
    struct tcp_stream *server;
    uint64_t now;
};

static void pair_prepare(struct pair *pair, uint64_t seed)
{
    struct wire_config config = {.ends = 2, .queues = 1, .seed = seed, .mbufs = 4096};
    memset(pair, 0, sizeof(*pair));
    pair->wire = wire_create(&config);
    pair->now = CLOCK_S;
    tcp_host_prepare(&pair->a, pair->wire, 0, "10.0.0.1/24", "fd00::1/64");
    tcp_host_prepare(&pair->b, pair->wire, 1, "10.0.0.2/24", "fd00::2/64");
}

static void pair_open(struct pair *pair, struct tcp_stream *servers, uint32_t count)
{
    wire_advance(pair->wire, pair->now);
    tcp_host_open(&pair->a);
    tcp_host_open(&pair->b);
    pair->acceptor = (struct tcp_acceptor){.streams = servers, .room = count};
    pair->server = servers;
    for (uint32_t i = 0; i < count; i++)
        tcp_stream_init(&servers[i], &pair->b, 7);
    assert_true(tcp_stream_listen(&pair->b, "10.0.0.2", PORT, &pair->acceptor));
    assert_true(tcp_stream_listen(&pair->b, "fd00::2", PORT, &pair->acceptor));
}

static void turn(struct pair *pair)
{
    pair->now += TURN_NS;
    wire_advance(pair->wire, pair->now);
    tcp_host_turn(&pair->a, pair->now);
    tcp_host_turn(&pair->b, pair->now);
}

static void pair_close(struct pair *pair)
{
    /* TIME_WAIT and what is still on the wire run out */
    for (uint64_t end = pair->now + 120 * CLOCK_S; pair->now < end;) {
        pair->now += 5 * CLOCK_MS;
        wire_advance(pair->wire, pair->now);
        tcp_host_turn(&pair->a, pair->now);
        tcp_host_turn(&pair->b, pair->now);
    }
    assert_int_equal(tcp_host_used(&pair->a), 0);
    assert_int_equal(tcp_host_used(&pair->b), 0);
    assert_int_equal(tcp_time_wait_count(pair->a.tcp), 0);
    assert_int_equal(tcp_time_wait_count(pair->b.tcp), 0);
    assert_int_equal(wire_mbufs_used(pair->wire), 0);
    wire_destroy(pair->wire);
    memory_reset();
}

static void transfer(const char *address, uint64_t there, uint64_t back)
{
    struct pair pair;
    struct tcp_stream client;
    struct tcp_stream server[1];
    pair_prepare(&pair, 1);
    pair_open(&pair, server, 1);
    tcp_stream_init(&client, &pair.a, 7);
    client.to_send = there;
    client.use_segments = true;
    server->to_send = back;
    client.close_after_eof = true;
    server->close_after_sending = false;
    assert_true(tcp_stream_connect(&client, address, PORT, pair.now));
    for (int i = 0; i < 200000 && !(client.received == back && server->received == there); i++)
        turn(&pair);
    assert_int_equal(server->received, there);
    assert_int_equal(client.received, back);
    tcp_close(client.conn);
    client.conn = NULL;
    for (int i = 0; i < 1000 && server->conn != NULL; i++)
        turn(&pair);
    assert_true(tcp_stream_is_done(server, there));
    assert_false(client.corrupt);
    pair_close(&pair);
}

static void one_byte_goes_there_and_back(void **state)
{
    transfer("10.0.0.2", 1, 1);
    transfer("fd00::2", 1, 1);
}

static void a_megabyte_goes_both_ways(void **state)
{
    transfer("10.0.0.2", 1 << 20, 1 << 20);
    transfer("fd00::2", 1 << 20, 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_byte_goes_there_and_back),
        cmocka_unit_test(a_megabyte_goes_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
