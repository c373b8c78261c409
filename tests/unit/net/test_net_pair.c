/*
 * Two hosts on a wire: addresses are resolved, TCP packets arrive whole, by IPv4 and IPv6, with
 * checksums made by software and by the port.
 */
#include "dataplane/base/memory.h"
#include "tests/support/cmocka.h"
#include "tests/support/net_host.h"

#include <netinet/in.h>
#include <rte_mbuf.h>

#define TCP_BYTES 20

struct pair {
    struct wire *wire;
    struct net_host a;
    struct net_host b;
};

static void pair_open(struct pair *pair, const struct port_features *features)
{
    struct wire_config config = {.ends = 2, .queues = 1, .mbufs = 255, .features = *features};
    pair->wire = wire_create(&config);
    net_host_start(&pair->a, pair->wire, 0, "10.0.0.1/24", "fd00::1/64");
    net_host_start(&pair->b, pair->wire, 1, "10.0.0.2/24", "fd00::2/64");
}

static void pair_close(struct pair *pair)
{
    assert_int_equal(wire_mbufs_used(pair->wire), 0);
    wire_destroy(pair->wire);
    memory_reset();
}

/* A TCP header with COUNT bytes of data behind it, sent from A to B. */
static void send_tcp(struct pair *pair, const char *local_text, const char *remote_text,
                     uint16_t count, uint64_t now)
{
    struct ip_address local, remote, source;
    struct net_path path;
    assert_true(ip_address_parse(local_text, &local) && ip_address_parse(remote_text, &remote));
    assert_true(net_route(pair->a.net, &remote, &path));
    assert_true(net_source_address(pair->a.net, &path, &remote, &source));
    assert_true(ip_address_equal(&source, &local));
    struct rte_mbuf *packet = net_packet_take(pair->a.net, &path);
    assert_non_null(packet);
    uint8_t *tcp = (uint8_t *)rte_pktmbuf_append(packet, (uint16_t)(TCP_BYTES + count));
    memset(tcp, 0, TCP_BYTES);
    tcp[1] = 80;
    tcp[3] = 90;
    tcp[12] = 5 << 4;
    for (uint16_t i = 0; i < count; i++)
        tcp[TCP_BYTES + i] = (uint8_t)i;
    struct net_send how = {&path, &local, &remote, IPPROTO_TCP, 0};
    net_send(pair->a.net, &how, packet, now);
}

static void assert_arrived(const struct net_arrivals *arrivals, uint16_t count)
{
    assert_int_equal(arrivals->own_count, 1);
    assert_int_equal(arrivals->foreign_count, 0);
    struct rte_mbuf *packet = arrivals->own[0];
    assert_int_equal(packet->packet_type, RTE_PTYPE_L4_TCP);
    assert_int_equal(packet->pkt_len, packet->l2_len + packet->l3_len + TCP_BYTES + count);
    const uint8_t *data = rte_pktmbuf_mtod_offset(packet, const uint8_t *,
                                                  packet->l2_len + packet->l3_len + TCP_BYTES);
    for (uint16_t i = 0; i < count; i++)
        assert_int_equal(data[i], (uint8_t)i);
}

static void exchange(const struct port_features *features, const char *local, const char *remote,
                     uint16_t count)
{
    struct pair pair;
    struct net_arrivals arrivals;
    pair_open(&pair, features);
    send_tcp(&pair, local, remote, count, 1);
    net_flush(pair.a.net);     /* the question */
    net_host_turn(&pair.b, 2); /* the answer */
    net_host_turn(&pair.a, 3); /* the packet that waited */
    net_host_receive(&pair.b, 4, &arrivals);
    assert_arrived(&arrivals, count);
    net_host_free(&arrivals);
    assert_int_equal(net_counters(pair.b.net)->in_tcp_packets, 1);
    assert_int_equal(net_counters(pair.b.net)->in_tcp_verified, features->rx_checksum ? 0 : 1);
    pair_close(&pair);
}

static const struct port_features plain;
static const struct port_features offloading = {
    .rx_checksum = true, .tx_checksum_ip = true, .tx_checksum_tcp = true};

static void a_tcp_packet_arrives_over_ipv4(void **state)
{
    exchange(&plain, "10.0.0.1", "10.0.0.2", 0);
    exchange(&plain, "10.0.0.1", "10.0.0.2", 1460);
    exchange(&offloading, "10.0.0.1", "10.0.0.2", 3);
}

static void a_tcp_packet_arrives_over_ipv6(void **state)
{
    exchange(&plain, "fd00::1", "fd00::2", 0);
    exchange(&plain, "fd00::1", "fd00::2", 1440);
    exchange(&offloading, "fd00::1", "fd00::2", 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tcp_packet_arrives_over_ipv4),
        cmocka_unit_test(a_tcp_packet_arrives_over_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
