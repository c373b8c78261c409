/* Trains: packets with headers made once are those that net_send() would have sent. */
#include "net_fixture.h"

#include "dataplane/net/net_internal.h"

#define TAKEN_MAX 8

/* What the port was given, until taken_free(). */
static struct rte_mbuf *taken[TAKEN_MAX];
static uint16_t taken_count;

static uint16_t take_all(struct port_queue *queue, struct rte_mbuf **packets, uint16_t count)
{
    assert_true(taken_count + count <= TAKEN_MAX);
    memcpy(taken + taken_count, packets, count * sizeof(*packets));
    taken_count = (uint16_t)(taken_count + count);
    return count;
}

static void taken_free(void)
{
    rte_pktmbuf_free_bulk(taken, taken_count);
    taken_count = 0;
}

/* Interface 0 untagged with 10.0.0.1/24 and fd00::1/64, interface 1 with VLAN 5. */
static void open_with(struct fixture *fixture, bool offload)
{
    struct wire_config config = {.ends = 2, .queues = 1, .mbufs = 255};
    config.features.tx_checksum_ip = offload;
    config.features.tx_checksum_tcp = offload;
    fixture_open_as(fixture, &config, 0, 1);
    struct net_config *net = &fixture->host.config;
    net->interfaces[1] = (struct net_interface){.vlan = 5, .mtu = 1500, .mac = {2, 0, 0, 0, 5, 5}};
    net->interfaces[1].address_count = 2;
    assert_true(ip_prefix_parse("10.0.7.1/24", &net->interfaces[1].addresses[0]));
    assert_true(ip_prefix_parse("fd05::1/64", &net->interfaces[1].addresses[1]));
    net->interface_count = 2;
    net_host_open(&fixture->host);
}

/* The neighbour REMOTE answers who asked for it from LOCAL. */
static void resolve(struct fixture *fixture, const char *local, const char *remote, uint16_t vlan)
{
    struct frame frame;
    struct frame_ends ends = {{2, 0, 0, 0, 0, 0}, {2, 0, 0, 0, 1, 9}, vlan, remote, local};
    if (vlan != 0)
        memcpy(ends.to_mac, fixture->host.config.interfaces[1].mac, sizeof(ends.to_mac));
    if (strchr(remote, ':') == NULL)
        frame_arp(&frame, &ends, 2, remote, local);
    else
        frame_ndp(&frame, &ends, 136, 0x60000000u, remote);
    frame_give_and_free(&fixture->host, &frame, 0);
    net_flush(fixture->host.net);
    fixture_sent_count(fixture);
}

static struct rte_mbuf *segment(struct fixture *fixture, const struct net_path *path,
                                uint16_t bytes)
{
    struct rte_mbuf *packet = net_packet_take(fixture->host.net, path);
    assert_non_null(packet);
    uint8_t *at = (uint8_t *)rte_pktmbuf_append(packet, bytes);
    for (uint16_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(i * 7);
    return packet;
}

static void assert_same(const struct rte_mbuf *a, const struct rte_mbuf *b)
{
    assert_int_equal(a->pkt_len, b->pkt_len);
    assert_int_equal(a->data_len, b->data_len);
    assert_int_equal(a->ol_flags, b->ol_flags);
    assert_int_equal(a->tx_offload, b->tx_offload);
    assert_memory_equal(rte_pktmbuf_mtod(a, void *), rte_pktmbuf_mtod(b, void *), a->pkt_len);
}

/* Three packets of a train, each beside the one that net_send() makes. */
static void compare(bool offload, const char *local_text, const char *remote_text, uint16_t vlan)
{
    static const uint16_t lengths[] = {20, 33, 1440};
    struct ip_address local = address(local_text), remote = address(remote_text);
    struct fixture fixture;
    struct net_path path;
    struct net_train train;
    open_with(&fixture, offload);
    struct net *net = fixture.host.net;
    assert_true(net_route(net, &remote, &path));
    struct net_send how = {&path, &local, &remote, IPPROTO_TCP, 0};
    net_send(net, &how, segment(&fixture, &path, 20), 0);
    resolve(&fixture, local_text, remote_text, vlan);
    fixture.host.port->transmit = take_all;
    net_train_begin(net, &how, 0, &train);
    assert_true(train.is_open);
    for (uint32_t i = 0; i < array_count(lengths); i++) {
        how.traffic_class = (uint8_t)(i * 0x2a);
        net_send(net, &how, segment(&fixture, &path, lengths[i]), 0);
        net_train_send(net, &train, how.traffic_class, segment(&fixture, &path, lengths[i]));
    }
    net_flush(net);
    assert_int_equal(taken_count, 2 * array_count(lengths));
    for (uint32_t i = 0; i < taken_count; i += 2)
        assert_same(taken[i], taken[i + 1]);
    taken_free();
    fixture_close(&fixture);
}

static void its_packets_are_those_of_single_sends(void **state)
{
    for (int offload = 0; offload < 2; offload++) {
        compare(offload, "10.0.0.1", "10.0.0.2", 0);
        compare(offload, "fd00::1", "fd00::2", 0);
        compare(offload, "10.0.7.1", "10.0.7.2", 5);
        compare(offload, "fd05::1", "fd05::2", 5);
    }
}

static void it_waits_for_a_next_hop_that_is_not_known(void **state)
{
    struct fixture fixture;
    struct net_path path;
    struct net_train train;
    struct ip_address local = address("10.0.0.1"), remote = address("10.0.0.2");
    open_with(&fixture, false);
    assert_true(net_route(fixture.host.net, &remote, &path));
    struct net_send how = {&path, &local, &remote, IPPROTO_TCP, 0};
    net_train_begin(fixture.host.net, &how, 0, &train);
    assert_false(train.is_open);
    net_train_send(fixture.host.net, &train, 0x02, segment(&fixture, &path, 100));
    assert_int_equal(counters_of(&fixture)->pending_queued, 1);
    assert_int_equal(fixture_sent_count(&fixture), 1); /* who has it? */
    struct frame frame;
    frame_arp(&frame, &v4_ends, 2, "10.0.0.2", "10.0.0.1");
    frame_give_and_free(&fixture.host, &frame, 0);
    assert_true(fixture_sent(&fixture, &frame));
    assert_int_equal(frame.length, 14 + 20 + 100);
    assert_int_equal(frame.data[15], 0x02);
    fixture_close(&fixture);
}

static void a_packet_longer_than_the_mtu_is_dropped(void **state)
{
    struct fixture fixture;
    struct net_path path;
    struct net_train train;
    struct ip_address local = address("10.0.0.1"), remote = address("10.0.0.2");
    open_with(&fixture, false);
    assert_true(net_route(fixture.host.net, &remote, &path));
    struct net_send how = {&path, &local, &remote, IPPROTO_TCP, 0};
    net_send(fixture.host.net, &how, segment(&fixture, &path, 20), 0);
    resolve(&fixture, "10.0.0.1", "10.0.0.2", 0);
    net_train_begin(fixture.host.net, &how, 0, &train);
    for (uint16_t bytes = 1480; bytes <= 1481; bytes++)
        net_train_send(fixture.host.net, &train, 0, segment(&fixture, &path, bytes));
    assert_int_equal(fixture_sent_count(&fixture), 1);
    assert_int_equal(counters_of(&fixture)->out_too_long, 1);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_packets_are_those_of_single_sends),
        cmocka_unit_test(it_waits_for_a_next_hop_that_is_not_known),
        cmocka_unit_test(a_packet_longer_than_the_mtu_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
