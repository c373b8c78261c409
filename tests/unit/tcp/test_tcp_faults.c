/*
 * Two stacks over a wire that loses, reorders, duplicates and corrupts, from seeds: the bytes are
 * the bytes, both ends finish, everything is given back.
 */
#include "dataplane/base/clock.h"
#include "dataplane/tcp/tcp_internal.h"
#include "tests/support/cmocka.h"
#include "tests/support/tcp_pair.h"

#include <stdio.h>
#include <stdlib.h>

static struct tcp_pair pair;

static bool is_over(void)
{
    const struct tcp_stream *client = &pair.client;
    const struct tcp_stream *server = &pair.servers[0];
    return client->conn == NULL && server->conn == NULL && (server->opened || client->failed);
}

/* The client closes when it has read BACK bytes, the server after EOF. */
static void run_to_the_end(uint64_t there, uint64_t back, uint64_t for_ns)
{
    uint64_t end = pair.now + for_ns;
    while (!is_over() && pair.now < end) {
        tcp_pair_turn(&pair);
        if (pair.client.conn != NULL && pair.client.received == back && pair.client.sent == there) {
            tcp_close(pair.client.conn);
            pair.client.conn = NULL;
        }
    }
}

static void drawn_faults(struct wire_faults *faults, struct random *random)
{
    *faults = (struct wire_faults){
        .drop_ppm = random_below(random, 3) == 0 ? 0 : random_below(random, 100000),
        .burst_ppm = random_below(random, 3) == 0 ? random_below(random, 5000) : 0,
        .burst_frames = 1 + random_below(random, 20),
        .duplicate_ppm = random_below(random, 2) == 0 ? random_below(random, 100000) : 0,
        .corrupt_ppm = random_below(random, 2) == 0 ? random_below(random, 50000) : 0,
        .reorder_ppm = random_below(random, 2) == 0 ? random_below(random, 200000) : 0,
        .reorder_ns = random_below(random, 3000000),
        .delay_ns = random_below(random, 20000000),
        .jitter_ns = random_below(random, 2000000),
    };
    if (random_below(random, 3) == 0) {
        faults->bits_per_s = 1000000 + random_below(random, 100000000);
        faults->queue_bytes = 20000 + random_below(random, 300000);
    }
}

/* No SYN option gets through: neither SACK nor timestamps nor scaling. */
static bool strip_options(void *context, uint16_t from, uint16_t to, uint8_t *frame,
                          uint16_t length, uint64_t now)
{
    bool v4 = frame[12] == 0x08 && frame[13] == 0;
    if (!v4 || frame[23] != IPPROTO_TCP || length < 54 || (frame[34 + 13] & TCP_SYN) == 0)
        return true;
    uint8_t *options = frame + 34 + 20;
    uint32_t sum = 0;
    for (uint8_t *at = options; at + 1 < frame + length; at += 2) {
        sum += (uint32_t)(at[0] << 8 | at[1]);
        at[0] = 1;
        at[1] = 1;
        sum += 0xffffu - 0x0101u;
    }
    uint8_t *checksum = frame + 34 + 16;
    sum += (uint32_t)(checksum[0] << 8 | checksum[1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    checksum[0] = (uint8_t)(sum >> 8);
    checksum[1] = (uint8_t)sum;
    return true;
}

/*
 * Losses can be so heavy that the server's last SYN-ACK has expired before anything of the client
 * came through: then the client is reset. Nothing else may go wrong.
 */
static void check_outcome(uint64_t seed, uint64_t there, uint64_t back)
{
    bool expired = tcp_counters(pair.b.tcp)->half_open_expired > 0;
    bool done =
        tcp_stream_is_done(&pair.client, back) && tcp_stream_is_done(&pair.servers[0], there);
    if (done || (expired && pair.client.failure == TCP_FAILURE_RESET))
        return;
    fail_msg("seed %llu: client got %llu of %llu, failure %d; server got %llu of %llu, failure %d",
             (unsigned long long)seed, (unsigned long long)pair.client.received,
             (unsigned long long)back, pair.client.failure,
             (unsigned long long)pair.servers[0].received, (unsigned long long)there,
             pair.servers[0].failure);
}

static void one_seed(uint64_t seed)
{
    struct random random;
    struct wire_faults faults;
    random_seed(&random, seed);
    tcp_pair_prepare(&pair, seed);
    pair.a.config.receive_window_bytes = 2000 + random_below(&random, 400000);
    pair.b.config.receive_window_bytes = 2000 + random_below(&random, 400000);
    pair.a.config.send_queue_bytes = 8192 + random_below(&random, 400000);
    pair.b.config.send_queue_bytes = 8192 + random_below(&random, 400000);
    pair.a.config.user_timeout_ns = 1000 * CLOCK_S;
    pair.b.config.user_timeout_ns = 1000 * CLOCK_S;
    pair.a.config.connect_timeout_ns = 1000 * CLOCK_S;
    tcp_pair_open(&pair);
    drawn_faults(&faults, &random);
    wire_set_faults(pair.wire, 0, 1, &faults);
    if (random_below(&random, 2) == 0)
        drawn_faults(&faults, &random);
    wire_set_faults(pair.wire, 1, 0, &faults);
    bool plain = random_below(&random, 3) == 0;
    if (plain)
        wire_set_filter(pair.wire, strip_options, NULL);

    uint64_t there =
        random_below(&random, 2) == 0 ? random_below(&random, 300000) : random_below(&random, 3000);
    uint64_t back =
        random_below(&random, 2) == 0 ? random_below(&random, 300000) : random_below(&random, 3000);
    pair.client.close_after_eof = false;
    pair.client.to_send = there;
    pair.client.use_segments = true;
    pair.servers[0].to_send = back;
    pair.servers[0].use_segments = random_below(&random, 2) == 0;
    const char *address = plain || random_below(&random, 2) == 0 ? "10.0.0.2" : "fd00::2";
    assert_true(tcp_stream_connect(&pair.client, address, TCP_PAIR_PORT, pair.now));
    run_to_the_end(there, back, 3000 * CLOCK_S);
    check_outcome(seed, there, back);
    tcp_pair_close(&pair);
}

static void bytes_survive_all_faults(void **state)
{
    const char *wish = getenv("WEIR_SEEDS"); /* "FIRST COUNT", to look further or at one */
    unsigned long long first = 1;
    unsigned long long count = 150;
    if (wish != NULL)
        (void)sscanf(wish, "%llu %llu", &first, &count);
    for (uint64_t seed = first; seed < first + count; seed++)
        one_seed(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_survive_all_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
