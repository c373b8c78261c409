/* The Toeplitz hash, and what arrivals say about the prediction. */
#include "net_fixture.h"

#include "dataplane/base/random.h"
#include "dataplane/net/net_internal.h"
#include "tests/support/toeplitz.h"

#define WORKERS 4

static struct port_rss rss;

static struct flow_tuple tuple_of(const char *local, uint16_t local_port, const char *remote,
                                  uint16_t remote_port)
{
    return (struct flow_tuple){address(local), address(remote), local_port, remote_port};
}

/* The verification suite of Microsoft's RSS. */
static void known_hashes_are_computed(void **state)
{
    rss = toeplitz_rss(WORKERS);
    const struct {
        struct flow_tuple tuple;
        uint32_t hash;
    } cases[] = {
        {tuple_of("161.142.100.80", 1766, "66.9.149.187", 2794), 0x51ccc178},
        {tuple_of("65.69.140.83", 4739, "199.92.111.2", 14230), 0xc626b0ea},
        {tuple_of("12.22.207.184", 38024, "24.19.198.95", 12898), 0x5c2b394a},
        {tuple_of("209.142.163.6", 2217, "38.27.205.30", 48228), 0xafc7327f},
        {tuple_of("202.188.127.2", 1303, "153.39.163.191", 44251), 0x10e828a2},
        {tuple_of("3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794), 0x40207d3d},
        {tuple_of("ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230), 0xdde51bbf},
        {tuple_of("fe80::200:f8ff:fe21:67cf", 38024, "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251),
         0x02d1feef},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(port_rss_hash(&rss, &cases[i].tuple), cases[i].hash);
}

static void it_agrees_with_dpdk(void **state)
{
    struct random random;
    random_seed(&random, 1);
    rss = toeplitz_rss(WORKERS);
    for (int i = 0; i < 20000; i++) {
        struct frame frame;
        uint32_t hash;
        char remote[64], local[64];
        bool v6 = i % 2 == 1;
        uint16_t from = (uint16_t)random_u64(&random), to = (uint16_t)random_u64(&random);
        snprintf(remote, sizeof(remote), v6 ? "2001:db8:%x:%x::%x" : "%u.%u.%u.9",
                 1 + random_below(&random, 200), random_below(&random, 256),
                 random_below(&random, 256));
        snprintf(local, sizeof(local), v6 ? "fd00:%x:%x::%x" : "%u.%u.%u.7",
                 1 + random_below(&random, 200), random_below(&random, 256),
                 random_below(&random, 256));
        struct frame_ends ends = {{2}, {2}, 0, remote, local};
        frame_tcp(&frame, &ends, from, to, 0);
        assert_true(toeplitz_hash(frame.data, frame.length, &hash));
        struct flow_tuple tuple = tuple_of(local, to, remote, from);
        assert_int_equal(port_rss_hash(&rss, &tuple), hash);
    }
}

static void a_short_key_is_refused(void **state)
{
    assert_false(port_rss_set_key(&rss, toeplitz_key, 39));
    assert_true(port_rss_set_key(&rss, toeplitz_key, 40));
}

static void a_key_that_brings_all_to_few_queues_is_found(void **state)
{
    static const uint8_t no_key[40], first_bytes[40] = {0x6d, 0x5a, 0x56, 0xda};
    for (uint16_t queues = 1; queues <= 16; queues++) {
        rss = toeplitz_rss(queues);
        assert_true(port_rss_spreads(&rss, queues));
        assert_true(port_rss_set_key(&rss, no_key, sizeof(no_key)));
        assert_int_equal(port_rss_spreads(&rss, queues), queues == 1);
        assert_true(port_rss_set_key(&rss, first_bytes, sizeof(first_bytes)));
        rss.v4 = false; /* of which the first bytes are addresses that differ */
        assert_int_equal(port_rss_spreads(&rss, queues), queues == 1);
    }
}

/* ---- arrivals at worker 0 ---- */

static struct fixture fixture;
static uint16_t next_port;

static void open_worker(void)
{
    rss = toeplitz_rss(WORKERS);
    struct wire_config config = {.ends = 2, .queues = WORKERS, .mbufs = 63, .rss = &rss};
    fixture_open_as(&fixture, &config, 0, WORKERS);
    net_host_open(&fixture.host);
    fixture_set_vips(&fixture);
    next_port = 1024;
}

/* A client's packet whose hash leads to QUEUE arrives here; who is its owner? */
static uint16_t arrive(uint16_t queue, const uint32_t *told)
{
    struct frame frame;
    struct net_arrivals arrivals;
    struct flow_tuple tuple = tuple_of(VIP4, 443, "10.0.0.2", next_port);
    while (port_rss_queue(&rss, port_rss_hash(&rss, &tuple)) != queue)
        tuple.remote_port = ++next_port;
    struct frame_ends ends = v4_ends;
    ends.to = VIP4;
    frame_tcp(&frame, &ends, next_port++, 443, 0);
    struct rte_mbuf *packet = rte_pktmbuf_alloc(fixture.host.port->mempool);
    memcpy(rte_pktmbuf_append(packet, frame.length), frame.data, frame.length);
    if (told != NULL) {
        packet->hash.rss = *told != 0 ? *told : port_rss_hash(&rss, &tuple);
        packet->ol_flags |= RTE_MBUF_F_RX_RSS_HASH;
    }
    net_in(fixture.host.net, 0, &packet, 1, 1, &arrivals);
    assert_int_equal(arrivals.own_count + arrivals.foreign_count, 1);
    uint16_t owner = arrivals.own_count == 1 ? 0 : arrivals.foreign_owner[0];
    net_host_free(&arrivals);
    return owner;
}

static enum net_replies replies_to(uint16_t local_port)
{
    struct net_path path;
    struct flow_tuple tuple = tuple_of("10.0.0.1", local_port, "10.0.0.2", 80);
    assert_true(net_route(fixture.host.net, &tuple.remote, &path));
    return net_replies(fixture.host.net, &path, &tuple);
}

static void the_owner_is_the_predicted_queue_whatever_happens(void **state)
{
    open_worker();
    for (int round = 0; round < 200; round++)
        for (uint16_t queue = 0; queue < WORKERS; queue++)
            assert_int_equal(arrive(queue, NULL), queue);
    assert_int_equal(counters_of(&fixture)->rss_proven, 0);
    assert_int_equal(counters_of(&fixture)->rss_contradicted, 600);
    fixture_close(&fixture);
}

static void many_in_a_row_prove_and_one_contradicts(void **state)
{
    open_worker();
    for (int i = 0; i < 63; i++)
        assert_int_equal(arrive(0, NULL), 0);
    assert_int_equal(replies_to(40000), NET_REPLIES_UNKNOWN);
    assert_int_equal(fixture.host.port->spreads, 0);
    assert_int_equal(arrive(0, NULL), 0);
    assert_int_equal(fixture.host.port->spreads, 1);
    assert_int_equal(counters_of(&fixture)->rss_proven, 1);
    uint32_t here = 0;
    for (uint16_t port = 40000; port < 41000; port++) {
        struct flow_tuple tuple = tuple_of("10.0.0.1", port, "10.0.0.2", 80);
        bool is_here = port_rss_queue(&rss, port_rss_hash(&rss, &tuple)) == 0;
        assert_int_equal(replies_to(port), is_here ? NET_REPLIES_HERE : NET_REPLIES_ELSEWHERE);
        here += is_here;
    }
    assert_in_range(here, 200, 300);

    assert_int_equal(arrive(2, NULL), 2);
    assert_int_equal(counters_of(&fixture)->rss_withdrawn, 1);
    assert_int_equal(fixture.host.port->spreads, 0);
    assert_int_equal(replies_to(40000), NET_REPLIES_UNKNOWN);
    for (int i = 0; i < 255; i++)
        arrive(0, NULL);
    assert_int_equal(fixture.host.port->spreads, 0); /* four times as many this time */
    arrive(0, NULL);
    assert_int_equal(fixture.host.port->spreads, 1);
    fixture_close(&fixture);
}

static void a_hash_that_is_told_wrong_is_counted_and_not_believed(void **state)
{
    static const uint32_t right = 0, wrong = 3;
    open_worker();
    for (int i = 0; i < 100; i++)
        assert_int_equal(arrive(0, &right), 0);
    assert_int_equal(counters_of(&fixture)->rss_hash_wrong, 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(arrive((uint16_t)(i % 4), &wrong), i % 4);
    assert_int_equal(counters_of(&fixture)->rss_hash_wrong, 100);
    fixture_close(&fixture);
}

static void one_connection_proves_nothing(void **state)
{
    open_worker();
    arrive(0, NULL);
    for (int i = 0; i < 1000; i++) {
        next_port--;
        arrive(0, NULL);
    }
    assert_int_equal(counters_of(&fixture)->rss_matched, 1001);
    assert_int_equal(counters_of(&fixture)->rss_proven, 0);
    fixture_close(&fixture);
}

/* Cards hash packets with IP options as they like; senders could lead us astray. */
static void unusual_packets_are_no_evidence(void **state)
{
    open_worker();
    for (int i = 0; i < 64; i++)
        arrive(0, NULL);
    for (uint16_t port = 1; port < 300; port++) {
        struct frame frame, with_options;
        struct frame_ends ends = v4_ends;
        ends.to = VIP4;
        frame_tcp(&frame, &ends, port, 443, 0);
        with_options = frame;
        memset(with_options.data + 34, 1, 4); /* four times NOP */
        memcpy(with_options.data + 38, frame.data + 34, frame.length - 34u);
        with_options.length = (uint16_t)(frame.length + 4);
        with_options.data[14] = 0x46;
        with_options.data[17] = (uint8_t)(with_options.data[17] + 4);
        frame_fix_ip(&with_options);
        assert_int_equal(frame_give_and_free(&fixture.host, &with_options, 1), 1);
    }
    assert_int_equal(counters_of(&fixture)->rss_contradicted, 0);
    assert_int_equal(fixture.host.port->spreads, 1);
    assert_true(counters_of(&fixture)->in_foreign > 150);
    fixture_close(&fixture);
}

static void only_the_family_that_is_known_is_predicted(void **state)
{
    open_worker();
    rss.v4 = false;
    for (uint16_t port = 1024; port < 1064; port++) {
        struct frame frame;
        struct net_arrivals arrivals;
        struct frame_ends ends = v4_ends;
        struct flow_tuple tuple = tuple_of(VIP4, 443, "10.0.0.2", port);
        ends.to = VIP4;
        frame_tcp(&frame, &ends, port, 443, 0);
        frame_give(&fixture.host, &frame, 1, &arrivals);
        uint16_t owner = arrivals.own_count == 1 ? 0 : arrivals.foreign_owner[0];
        assert_int_equal(owner, flow_spread(&tuple) % WORKERS);
        net_host_free(&arrivals);
    }
    assert_int_equal(counters_of(&fixture)->rss_matched, 0);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_hashes_are_computed),
        cmocka_unit_test(it_agrees_with_dpdk),
        cmocka_unit_test(a_short_key_is_refused),
        cmocka_unit_test(a_key_that_brings_all_to_few_queues_is_found),
        cmocka_unit_test(the_owner_is_the_predicted_queue_whatever_happens),
        cmocka_unit_test(many_in_a_row_prove_and_one_contradicts),
        cmocka_unit_test(a_hash_that_is_told_wrong_is_counted_and_not_believed),
        cmocka_unit_test(one_connection_proves_nothing),
        cmocka_unit_test(unusual_packets_are_no_evidence),
        cmocka_unit_test(only_the_family_that_is_known_is_predicted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
