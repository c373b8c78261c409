/* The way out: routes, source addresses, headers, room, a port that is full. */
#include "net_fixture.h"

#include "dataplane/net/net_internal.h"

static void resolve(struct fixture *fixture, const char *neighbour)
{
    struct frame frame;
    bool v4 = strchr(neighbour, ':') == NULL;
    if (v4)
        frame_arp(&frame, &v4_ends, 2, neighbour, "10.0.0.1");
    else
        frame_ndp(&frame, &v6_ends, 136, 0x60000000u, neighbour);
    frame_give_and_free(&fixture->host, &frame, 0);
}

/* Make a neighbour known, and everything that came out gone. */
static void know(struct fixture *fixture, const char *neighbour)
{
    assert_true(send_marked(fixture, neighbour, 0, 0));
    resolve(fixture, neighbour);
    fixture_sent_count(fixture);
}

static struct rte_mbuf *take(struct fixture *fixture, const char *remote_text, uint16_t bytes,
                             struct net_path *path)
{
    struct ip_address remote = address(remote_text);
    assert_true(net_route(fixture->host.net, &remote, path));
    struct rte_mbuf *packet = net_packet_take(fixture->host.net, path);
    assert_non_null(packet);
    memset(rte_pktmbuf_append(packet, bytes), 0, bytes);
    return packet;
}

static void an_ipv4_header_is_as_it_should_be(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct net_path path;
    struct ip_address local = address("10.0.0.1"), remote = address("10.0.0.2");
    fixture_open(&fixture);
    know(&fixture, "10.0.0.2");
    struct rte_mbuf *packet = take(&fixture, "10.0.0.2", 21, &path);
    struct net_send how = {&path, &local, &remote, IPPROTO_TCP, 0x2a};
    net_send(fixture.host.net, &how, packet, 0);
    assert_true(fixture_sent(&fixture, &frame));
    static const uint8_t expected[] = {0x45, 0x2a, 0,  41, 0, 0, 0x40, 0, 64, 6,
                                       0xff, 0xff, 10, 0,  0, 1, 10,   0, 0,  2};
    for (int i = 0; i < 20; i++)
        if (i != 10 && i != 11)
            assert_int_equal(frame.data[14 + i], expected[i]);
    struct frame again;
    memcpy(&again, &frame, sizeof(again));
    frame_fix_ip(&again);
    frame_fix_transport(&again);
    assert_memory_equal(frame.data, again.data, frame.length);
    fixture_close(&fixture);
}

static void an_ipv6_header_is_as_it_should_be(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct net_path path;
    struct ip_address local = address("fd00::1"), remote = address("fd00::2");
    fixture_open(&fixture);
    know(&fixture, "fd00::2");
    struct rte_mbuf *packet = take(&fixture, "fd00::2", 21, &path);
    struct net_send how = {&path, &local, &remote, IPPROTO_TCP, 0x2a};
    net_send(fixture.host.net, &how, packet, 0);
    assert_true(fixture_sent(&fixture, &frame));
    static const uint8_t expected[] = {0x62, 0xa0, 0, 0, 0, 21, 6, 64};
    assert_memory_equal(frame.data + 14, expected, 8);
    assert_memory_equal(frame.data + 22, local.bytes, 16);
    assert_memory_equal(frame.data + 38, remote.bytes, 16);
    struct frame again;
    memcpy(&again, &frame, sizeof(again));
    frame_fix_transport(&again);
    assert_memory_equal(frame.data, again.data, frame.length);
    fixture_close(&fixture);
}

static void chained_packets_get_right_checksums(void **state)
{
    struct fixture fixture;
    struct frame frame, again;
    struct net_path path;
    struct wire_config config = {.ends = 2, .queues = 1, .mbufs = 255};
    config.features.multi_segment_tx = true;
    struct ip_address local = address("10.0.0.1"), remote = address("10.0.0.2");
    fixture_open_as(&fixture, &config, 0, 1);
    net_host_open(&fixture.host);
    know(&fixture, "10.0.0.2");
    struct rte_mbuf *packet = take(&fixture, "10.0.0.2", 23, &path);
    struct rte_mbuf *tail = net_packet_take(fixture.host.net, &path);
    memset(rte_pktmbuf_append(tail, 100), 0x5a, 100);
    rte_pktmbuf_chain(packet, tail);
    struct net_send how = {&path, &local, &remote, IPPROTO_TCP, 0};
    net_send(fixture.host.net, &how, packet, 0);
    assert_true(fixture_sent(&fixture, &frame));
    assert_int_equal(frame.length, 14 + 20 + 123);
    memcpy(&again, &frame, sizeof(again));
    frame_fix_transport(&again);
    assert_memory_equal(frame.data, again.data, frame.length);
    fixture_close(&fixture);
}

static void a_packet_longer_than_the_mtu_is_dropped(void **state)
{
    struct fixture fixture;
    struct net_path path;
    struct ip_address local = address("10.0.0.1"), remote = address("10.0.0.2");
    fixture_open(&fixture);
    know(&fixture, "10.0.0.2");
    for (uint16_t bytes = 1480; bytes <= 1481; bytes++) {
        struct rte_mbuf *packet = take(&fixture, "10.0.0.2", bytes, &path);
        struct net_send how = {&path, &local, &remote, IPPROTO_TCP, 0};
        net_send(fixture.host.net, &how, packet, 0);
        assert_int_equal(fixture_sent_count(&fixture), bytes == 1480);
    }
    assert_int_equal(counters_of(&fixture)->out_too_long, 1);
    fixture_close(&fixture);
}

static void room_is_counted_and_kept(void **state)
{
    struct fixture fixture;
    struct net_path path;
    struct ip_address remote = address("10.0.0.2");
    fixture_open(&fixture);
    know(&fixture, "10.0.0.2");
    assert_true(net_route(fixture.host.net, &remote, &path));
    uint32_t room = net_send_room(fixture.host.net, &path);
    assert_int_equal(room, NET_TRANSMIT_MAX - NET_TRANSMIT_RESERVE);
    for (uint32_t i = 0; i < room; i++)
        assert_true(send_marked(&fixture, "10.0.0.2", i, 0));
    assert_int_equal(net_send_room(fixture.host.net, &path), 0);
    for (uint32_t i = 0; i < NET_TRANSMIT_RESERVE + 3; i++)
        assert_true(send_marked(&fixture, "10.0.0.2", i, 0));
    assert_int_equal(counters_of(&fixture)->out_queue_full, 3);
    net_flush(fixture.host.net);
    assert_int_equal(net_send_room(fixture.host.net, &path), room);
    fixture_close(&fixture);
}

/* A port that takes some packets a call, and at some time none. */
static uint32_t port_takes_in_all;

static uint16_t take_some(struct port_queue *queue, struct rte_mbuf **packets, uint16_t count)
{
    uint16_t taken = (uint16_t)RTE_MIN(RTE_MIN(count, 3u), port_takes_in_all);
    port_takes_in_all -= taken;
    rte_pktmbuf_free_bulk(packets, taken);
    return taken;
}

static void what_a_port_does_not_take_is_dropped(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    know(&fixture, "10.0.0.2");
    uint64_t before = counters_of(&fixture)->out_packets;
    struct port_queue *port = (struct port_queue *)fixture.host.port;
    port->transmit = take_some;
    port_takes_in_all = 50;
    for (uint32_t i = 0; i < 100; i++)
        assert_true(send_marked(&fixture, "10.0.0.2", i, 0));
    net_flush(fixture.host.net);
    assert_int_equal(counters_of(&fixture)->out_packets - before, 50);
    assert_int_equal(counters_of(&fixture)->out_port_full, 50);
    fixture_close(&fixture);
}

static void an_empty_pool_is_counted(void **state)
{
    struct fixture fixture;
    struct rte_mbuf *all[2000];
    struct net_path path;
    struct ip_address remote = address("10.0.0.2");
    fixture_open(&fixture);
    assert_true(net_route(fixture.host.net, &remote, &path));
    uint32_t taken = 0;
    while ((all[taken] = net_packet_take(fixture.host.net, &path)) != NULL)
        taken++;
    assert_int_equal(taken, 1535);
    assert_int_equal(counters_of(&fixture)->out_no_mbuf, 1);
    rte_pktmbuf_free_bulk(all, taken);
    fixture_close(&fixture);
}

/* Two interfaces: 0 untagged 10.0.0.1/16, 1 VLAN 5 with 10.0.7.1/24 and fd05::1/64. */
static void open_two(struct fixture *fixture)
{
    struct wire_config config = {.ends = 2, .queues = 1, .mbufs = 255};
    fixture_open_as(fixture, &config, 0, 1);
    struct net_config *net = &fixture->host.config;
    net->interfaces[0].addresses[0].bits = 96 + 16;
    net->interfaces[1] = (struct net_interface){.vlan = 5, .mtu = 1400, .mac = {2, 0, 0, 0, 5, 5}};
    net->interfaces[1].address_count = 2;
    assert_true(ip_prefix_parse("10.0.7.1/24", &net->interfaces[1].addresses[0]));
    assert_true(ip_prefix_parse("fd05::1/64", &net->interfaces[1].addresses[1]));
    net->interface_count = 2;
    net_host_open(&fixture->host);
}

static void assert_route(struct fixture *fixture, const char *remote_text, int interface,
                         const char *source_text)
{
    struct net_path path;
    struct ip_address remote = address(remote_text), source, expected = address(source_text);
    assert_true(net_route(fixture->host.net, &remote, &path));
    assert_int_equal(path.interface, interface);
    assert_int_equal(path.mtu, interface == 0 ? 1500 : 1400);
    assert_true(net_source_address(fixture->host.net, &path, &remote, &source));
    assert_true(ip_address_equal(&source, &expected));
}

static void the_longest_prefix_wins_then_the_gateway(void **state)
{
    struct fixture fixture;
    open_two(&fixture);
    assert_route(&fixture, "10.0.9.9", 0, "10.0.0.1");
    assert_route(&fixture, "10.0.7.9", 1, "10.0.7.1");
    assert_route(&fixture, "fd05::9", 1, "fd05::1");
    assert_route(&fixture, "fd00::9", 0, "fd00::1");
    assert_route(&fixture, "198.51.100.1", 0, "10.0.0.1");
    assert_route(&fixture, "2001:db8:9::1", 0, "fd00::1");
    fixture_close(&fixture);
}

static void there_is_no_route_to_ourselves_or_without_a_gateway(void **state)
{
    struct fixture fixture;
    struct net_path path;
    struct wire_config config = {.ends = 1, .queues = 1, .mbufs = 63};
    fixture.wire = wire_create(&config);
    net_host_start(&fixture.host, fixture.wire, 0, "10.0.0.1/24", "fd00::1/64");
    struct ip_address ours = address("10.0.0.1"), far4 = address("198.51.100.1");
    struct ip_address far6 = address("2001:db8::1"), near = address("10.0.0.2");
    assert_false(net_route(fixture.host.net, &ours, &path));
    assert_false(net_route(fixture.host.net, &far4, &path));
    assert_false(net_route(fixture.host.net, &far6, &path));
    struct ip_address network = address("10.0.0.0"), broadcast = address("10.0.0.255");
    assert_false(net_route(fixture.host.net, &network, &path));
    assert_false(net_route(fixture.host.net, &broadcast, &path));
    assert_true(net_route(fixture.host.net, &near, &path));
    assert_int_equal(counters_of(&fixture)->out_no_route, 5);
    fixture_close(&fixture);
}

static void an_interface_without_addresses_has_no_source_but_asks_from_a_vip(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct net_path path;
    struct ip_address vip = address(VIP4), far = address("198.51.100.1"), source;
    struct wire_config config = {.ends = 2, .queues = 1, .mbufs = 63};
    fixture.wire = wire_create(&config);
    net_host_prepare(&fixture.host, fixture.wire, 0, 0, 1);
    net_host_set_gateway(&fixture.host, "192.0.2.1");
    net_host_open(&fixture.host);
    assert_true(net_route(fixture.host.net, &far, &path));
    assert_false(net_source_address(fixture.host.net, &path, &far, &source));
    net_set_vips(fixture.host.net, &vip, 1);
    struct rte_mbuf *packet = net_packet_take(fixture.host.net, &path);
    memset(rte_pktmbuf_append(packet, 20), 0, 20);
    struct net_send how = {&path, &vip, &far, IPPROTO_TCP, 0};
    net_send(fixture.host.net, &how, packet, 0);
    assert_true(fixture_sent(&fixture, &frame));
    assert_memory_equal(frame.data + 28, vip.bytes + 12, 4);
    frame_arp(&frame, &v4_ends, 2, "192.0.2.1", VIP4);
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_true(fixture_sent(&fixture, &frame));
    assert_int_equal(frame.data[23], IPPROTO_TCP);
    fixture_close(&fixture);
}

static void vips_can_be_replaced(void **state)
{
    struct fixture fixture;
    struct ip_address vip4 = address(VIP4), vip6 = address(VIP6), own = address("10.0.0.1");
    fixture_open(&fixture);
    assert_true(net_is_local(fixture.host.net, &vip4));
    assert_true(net_is_local(fixture.host.net, &vip6));
    net_set_vips(fixture.host.net, &vip6, 1);
    assert_false(net_is_local(fixture.host.net, &vip4));
    assert_true(net_is_local(fixture.host.net, &vip6));
    net_set_vips(fixture.host.net, NULL, 0);
    assert_false(net_is_local(fixture.host.net, &vip6));
    assert_true(net_is_local(fixture.host.net, &own));
    fixture_close(&fixture);
}

static void tagged_interfaces_send_tagged_frames(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct net_path path;
    struct ip_address local = address("10.0.7.1"), remote = address("10.0.7.9");
    struct frame_ends ends = {{2, 0, 0, 0, 5, 5}, {2, 0, 0, 0, 1, 9}, 5, NULL, NULL};
    open_two(&fixture);
    struct rte_mbuf *packet = take(&fixture, "10.0.7.9", 20, &path);
    struct net_send how = {&path, &local, &remote, IPPROTO_TCP, 0};
    net_send(fixture.host.net, &how, packet, 0);
    frame_arp(&frame, &ends, 2, "10.0.7.9", "10.0.7.1");
    frame_give_and_free(&fixture.host, &frame, 0);
    assert_true(fixture_sent(&fixture, &frame));
    assert_true(fixture_sent(&fixture, &frame));
    static const uint8_t header[] = {2, 0, 0, 0, 1, 9, 2, 0, 0, 0, 5, 5, 0x81, 0, 0, 5, 8, 0, 0x45};
    assert_memory_equal(frame.data, header, sizeof(header));
    fixture_close(&fixture);
}

static void the_nth_allocation_fails_cleanly(void **state)
{
    struct wire_config config = {.ends = 1, .queues = 1, .mbufs = 63};
    struct net_host host;
    struct wire *wire = wire_create(&config);
    uint32_t takes = 0;
    for (struct net *net = NULL; net == NULL; takes++) {
        memory_fail_after(takes);
        net_host_prepare(&host, wire, 0, 0, 1);
        net = net_create(&host.config);
        memory_reset();
    }
    assert_true(takes > 2);
    wire_destroy(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ipv4_header_is_as_it_should_be),
        cmocka_unit_test(an_ipv6_header_is_as_it_should_be),
        cmocka_unit_test(chained_packets_get_right_checksums),
        cmocka_unit_test(a_packet_longer_than_the_mtu_is_dropped),
        cmocka_unit_test(room_is_counted_and_kept),
        cmocka_unit_test(what_a_port_does_not_take_is_dropped),
        cmocka_unit_test(an_empty_pool_is_counted),
        cmocka_unit_test(the_longest_prefix_wins_then_the_gateway),
        cmocka_unit_test(there_is_no_route_to_ourselves_or_without_a_gateway),
        cmocka_unit_test(an_interface_without_addresses_has_no_source_but_asks_from_a_vip),
        cmocka_unit_test(vips_can_be_replaced),
        cmocka_unit_test(tagged_interfaces_send_tagged_frames),
        cmocka_unit_test(the_nth_allocation_fails_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
