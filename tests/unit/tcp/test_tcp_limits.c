/*
 * Everything is bounded: whatever pool is small or empty, bytes still arrive whole or the refusal
 * is clean, and all is given back.
 */
#include "dataplane/base/clock.h"
#include "dataplane/tcp/tcp_internal.h"
#include "tests/support/cmocka.h"
#include "tests/support/tcp_pair.h"

#define MANY 10000u

static struct tcp_pair pair;

/* Both ways at once, with loss, and both finish. */
static void transfer(uint64_t there, uint64_t back)
{
    struct wire_faults faults = {.drop_ppm = 10000, .reorder_ppm = 20000, .reorder_ns = 300000};
    pair.client.to_send = there;
    pair.client.use_segments = true;
    pair.client.close_after_eof = false;
    pair.servers[0].to_send = back;
    pair.servers[0].use_segments = true;
    tcp_pair_connect(&pair, "10.0.0.2");
    wire_set_faults_everywhere(pair.wire, &faults);
    uint64_t end = pair.now + 1000 * CLOCK_S;
    while (pair.now < end && (pair.client.conn != NULL || pair.servers[0].conn != NULL)) {
        tcp_pair_turn(&pair);
        tcp_stream_pump(&pair.client);
        tcp_stream_pump(&pair.servers[0]); /* it may not have read all */
        if (pair.client.conn != NULL && pair.client.received == back && pair.client.sent == there) {
            tcp_close(pair.client.conn);
            pair.client.conn = NULL;
        }
    }
    assert_true(tcp_stream_is_done(&pair.client, back));
    assert_true(tcp_stream_is_done(&pair.servers[0], there));
}

static void any_number_of_spans_and_blocks_is_enough(void **state)
{
    static const uint32_t counts[] = {1, 2, 3, 5, 8, 20};
    for (size_t i = 0; i < array_count(counts); i++) {
        for (size_t j = 0; j < array_count(counts); j++) {
            tcp_pair_prepare(&pair, i * 10 + j);
            pair.a.config.spans_max = counts[i];
            pair.a.config.blocks_max = counts[j] < 2 ? 2 : counts[j]; /* 4096 bytes a send */
            pair.a.config.spans_max += pair.a.config.spans_max < 2;
            tcp_pair_open(&pair);
            transfer(60000, 20000);
            tcp_pair_close(&pair);
        }
    }
}

static void any_number_of_held_mbufs_is_enough(void **state)
{
    static const uint32_t counts[] = {1, 2, 3, 8, 20, 60};
    for (size_t i = 0; i < array_count(counts); i++) {
        tcp_pair_prepare(&pair, i);
        pair.a.config.reassembly_max = counts[i];
        pair.b.config.reassembly_max = counts[i];
        tcp_pair_open(&pair);
        pair.servers[0].read_max = 700; /* a slow reader */
        transfer(100000, 50000);
        tcp_pair_close(&pair);
    }
}

static void few_mbufs_delay_and_do_not_hurt(void **state)
{
    for (uint32_t mbufs = 7; mbufs < 64; mbufs = 2 * mbufs + 1) {
        struct wire_config config = {.ends = 2, .queues = 1, .seed = mbufs, .mbufs = mbufs};
        tcp_pair_prepare(&pair, 1);
        wire_destroy(pair.wire);
        pair.wire = wire_create(&config);
        tcp_host_prepare(&pair.a, pair.wire, 0, "10.0.0.1/24", "fd00::1/64");
        tcp_host_prepare(&pair.b, pair.wire, 1, "10.0.0.2/24", "fd00::2/64");
        pair.a.config.reassembly_max = 3;
        pair.b.config.reassembly_max = 3;
        pair.a.config.user_timeout_ns = 1000 * CLOCK_S;
        pair.b.config.user_timeout_ns = 1000 * CLOCK_S;
        tcp_pair_open(&pair);
        transfer(60000, 60000);
        assert_true(tcp_counters(pair.a.tcp)->send_no_mbuf > 0 || mbufs > 7);
        tcp_pair_close(&pair);
    }
}

/* Two connections hold all blocks; the third one's send fails and is told when there are some. */
static void who_starves_is_woken(void **state)
{
    struct tcp_stream clients[3];
    tcp_pair_prepare(&pair, 1);
    pair.a.config.blocks_max = 8;
    tcp_pair_open(&pair);
    for (uint32_t i = 0; i < TCP_PAIR_SERVERS; i++)
        pair.servers[i].read_max = 0;
    pair.b.config.receive_window_bytes = 4096;
    for (uint32_t i = 0; i < 3; i++) {
        tcp_stream_init(&clients[i], &pair.a, 7);
        assert_true(tcp_stream_connect(&clients[i], "10.0.0.2", TCP_PAIR_PORT, pair.now));
    }
    tcp_pair_run_for(&pair, 10 * CLOCK_MS);
    struct wire_faults cut = {.cut = true};
    wire_set_faults_everywhere(pair.wire, &cut);
    for (uint32_t i = 0; i < 3; i++) {
        clients[i].to_send = 1 << 18;
        clients[i].close_after_sending = true;
        tcp_stream_pump(&clients[i]);
    }
    assert_true(tcp_counters(pair.a.tcp)->send_pool_empty > 0);
    assert_false(tcp_list_is_empty(&pair.a.tcp->lists, TCP_LIST_STARVING));
    struct wire_faults none = {0};
    wire_set_faults_everywhere(pair.wire, &none);
    for (uint32_t i = 0; i < 3; i++)
        pair.servers[i].read_max = UINT32_MAX;
    for (uint32_t i = 0; i < 3; i++)
        tcp_stream_pump(&pair.servers[i]);
    tcp_pair_run_for(&pair, 20 * CLOCK_S);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(clients[i].sent, 1 << 18);
        assert_true(tcp_stream_is_done(&pair.servers[i], 1 << 18));
    }
    tcp_pair_close(&pair);
}

static void room_that_was_short_is_announced(void **state)
{
    tcp_pair_prepare(&pair, 1);
    pair.a.config.send_queue_bytes = 40000;
    tcp_pair_open(&pair);
    tcp_pair_connect(&pair, "10.0.0.2");
    assert_int_equal(tcp_send_room(pair.client.conn), 40000);
    static uint8_t bytes[35000];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = tcp_stream_byte(7, i);
    assert_true(tcp_send_copy(pair.client.conn, bytes_of(bytes, 29000)));
    assert_int_equal(tcp_send_room(pair.client.conn), 11000); /* a quarter: not short */
    tcp_pair_run_for(&pair, 100 * CLOCK_MS);
    assert_int_equal(pair.client.writable_events, 0);
    assert_true(tcp_send_copy(pair.client.conn, bytes_of(bytes + 29000, 6000)));
    assert_true(tcp_send_copy(pair.client.conn, bytes_of(bytes, 30000)));
    pair.servers[0].corrupt = false;
    assert_int_equal(tcp_send_room(pair.client.conn), 4000);
    tcp_pair_run_for(&pair, 100 * CLOCK_MS);
    assert_int_equal(pair.client.writable_events, 1);
    assert_int_equal(tcp_send_room(pair.client.conn), 40000);
    tcp_abort(pair.client.conn);
    pair.client.conn = NULL;
    tcp_pair_close(&pair);
}

/* Who copies waits for room for a record; with few blocks that is more than a quarter. */
static void room_that_is_short_of_a_record_is_announced(void **state)
{
    static const uint8_t bytes[22000];
    tcp_pair_prepare(&pair, 1);
    pair.a.config.blocks_max = 64;
    tcp_pair_open(&pair);
    tcp_pair_connect(&pair, "10.0.0.2");
    pair.servers[0].read_max = 0;
    assert_int_equal(tcp_copy_room(pair.client.conn), 16 * TCP_BLOCK_BYTES);
    assert_true(tcp_send_copy(pair.client.conn, bytes_of(bytes, sizeof(bytes))));
    assert_int_equal(tcp_copy_room(pair.client.conn), 16 * TCP_BLOCK_BYTES - sizeof(bytes));
    tcp_pair_run_for(&pair, 100 * CLOCK_MS);
    assert_int_equal(pair.client.writable_events, 1);
    assert_int_equal(tcp_copy_room(pair.client.conn), 16 * TCP_BLOCK_BYTES);
    tcp_abort(pair.client.conn);
    pair.client.conn = NULL;
    tcp_pair_close(&pair);
}

static void connection_objects_run_out_cleanly(void **state)
{
    struct tcp_stream clients[6];
    tcp_pair_prepare(&pair, 1);
    pair.a.config.connections_max = 5;
    pair.b.config.connections_max = 3;
    tcp_pair_open(&pair);
    for (uint32_t i = 0; i < 6; i++) {
        tcp_stream_init(&clients[i], &pair.a, 7);
        assert_int_equal(tcp_stream_connect(&clients[i], "10.0.0.2", TCP_PAIR_PORT, pair.now),
                         i < 5);
    }
    assert_int_equal(tcp_counters(pair.a.tcp)->connection_pool_empty, 1);
    tcp_pair_run_for(&pair, 100 * CLOCK_MS);
    assert_int_equal(pair.acceptor.count, 3);
    assert_true(tcp_counters(pair.b.tcp)->connection_pool_empty >= 2);
    for (uint32_t i = 0; i < 5; i++) {
        if (!clients[i].opened)
            continue;
        tcp_close(clients[i].conn);
        clients[i].conn = NULL;
    }
    tcp_pair_run_for(&pair, 5 * CLOCK_S); /* the SYNs come again and find place */
    assert_int_equal(pair.acceptor.count, 5);
    for (uint32_t i = 0; i < 5; i++) {
        if (clients[i].conn != NULL)
            tcp_abort(clients[i].conn);
    }
    tcp_pair_close(&pair);
}

static bool drop_syn_acks(void *context, uint16_t from, uint16_t to, uint8_t *frame,
                          uint16_t length, uint64_t now)
{
    bool v4_tcp = frame[12] == 8 && frame[13] == 0 && frame[23] == IPPROTO_TCP;
    return !(v4_tcp && frame[34 + 13] == (TCP_SYN | TCP_ACK));
}

static void half_open_connections_are_bounded(void **state)
{
    tcp_pair_prepare(&pair, 1);
    pair.a.config.connections_max = 300;
    pair.b.config.connections_max = 400;
    tcp_pair_open(&pair);
    wire_set_filter(pair.wire, drop_syn_acks, NULL);
    static struct tcp_stream clients[150];
    for (uint32_t i = 0; i < 150; i++) {
        tcp_stream_init(&clients[i], &pair.a, 7);
        assert_true(tcp_stream_connect(&clients[i], "10.0.0.2", TCP_PAIR_PORT, pair.now));
    }
    tcp_pair_run_for(&pair, 5 * CLOCK_S);
    assert_int_equal(pair.b.tcp->half_open_count, 100);
    assert_true(tcp_counters(pair.b.tcp)->half_open_full > 0);
    tcp_pair_run_for(&pair, 60 * CLOCK_S);
    assert_int_equal(pair.b.tcp->half_open_count, 0);
    for (uint32_t i = 0; i < 150; i++)
        assert_int_equal(clients[i].failure, TCP_FAILURE_TIMEOUT);
    tcp_pair_close(&pair);
}

static void listeners_are_bounded(void **state)
{
    tcp_pair_prepare(&pair, 1);
    pair.b.config.listeners_max = 3;
    tcp_pair_open(&pair); /* two are there */
    assert_true(tcp_stream_listen(&pair.b, "10.0.0.2", 1, &pair.acceptor));
    assert_false(tcp_stream_listen(&pair.b, "10.0.0.2", 2, &pair.acceptor));
    struct ip_address address;
    assert_true(ip_address_parse("10.0.0.2", &address));
    tcp_unlisten(pair.b.tcp, &address, 1);
    tcp_unlisten(pair.b.tcp, &address, 1); /* harmless */
    assert_true(tcp_stream_listen(&pair.b, "10.0.0.2", 2, &pair.acceptor));
    tcp_pair_close(&pair);
}

static struct tcp_stream many_clients[MANY];
static struct tcp_stream many_servers[MANY];

static void ten_thousand_connections_come_and_go(void **state)
{
    tcp_pair_prepare(&pair, 1);
    struct tcp_config *configs[] = {&pair.a.config, &pair.b.config};
    for (int i = 0; i < 2; i++) {
        configs[i]->connections_max = MANY + 10;
        configs[i]->time_wait_max = MANY;
        configs[i]->spans_max = MANY;
        configs[i]->blocks_max = MANY;
        configs[i]->reassembly_max = 4000;
        configs[i]->connect_timeout_ns = 60 * CLOCK_S;
    }
    tcp_pair_open(&pair);
    pair.acceptor = (struct tcp_acceptor){.streams = many_servers, .room = MANY};
    for (uint32_t i = 0; i < MANY; i++) {
        tcp_stream_init(&many_servers[i], &pair.b, 7);
        many_servers[i].to_send = 300;
        tcp_stream_init(&many_clients[i], &pair.a, 7);
        many_clients[i].to_send = 200;
        many_clients[i].close_after_eof = false;
        assert_true(tcp_stream_connect(&many_clients[i], i % 2 == 0 ? "10.0.0.2" : "fd00::2",
                                       TCP_PAIR_PORT, pair.now));
        if (i % 20 == 0)
            tcp_pair_turn(&pair);
    }
    tcp_pair_run_for(&pair, 20 * CLOCK_S);
    assert_int_equal(pair.acceptor.count, MANY);
    assert_int_equal(tcp_connection_count(pair.b.tcp), MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(many_clients[i].received, 300);
        assert_int_equal(many_servers[i].received, 200);
        assert_false(many_clients[i].corrupt || many_servers[i].corrupt);
        if (i % 3 == 0)
            tcp_abort(many_clients[i].conn);
        else
            tcp_close(many_clients[i].conn);
        many_clients[i].conn = NULL;
        if (i % 20 == 0)
            tcp_pair_turn(&pair);
    }
    tcp_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_spans_and_blocks_is_enough),
        cmocka_unit_test(any_number_of_held_mbufs_is_enough),
        cmocka_unit_test(few_mbufs_delay_and_do_not_hurt),
        cmocka_unit_test(who_starves_is_woken),
        cmocka_unit_test(room_that_was_short_is_announced),
        cmocka_unit_test(room_that_is_short_of_a_record_is_announced),
        cmocka_unit_test(connection_objects_run_out_cleanly),
        cmocka_unit_test(half_open_connections_are_bounded),
        cmocka_unit_test(listeners_are_bounded),
        cmocka_unit_test(ten_thousand_connections_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
