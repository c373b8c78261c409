/* Answers in the packet's own mbuf: back the way it came, whatever the port and the frame are. */
#include "net_fixture.h"

#include "dataplane/net/net_internal.h"

#define SEGMENT_BYTES 44

static const struct frame_ends far_v4 = {
    {2, 0, 0, 0, 0, 0}, {2, 0, 0, 0, 7, 0}, 0, "203.0.113.9", VIP4};
static const struct frame_ends far_v6 = {
    {2, 0, 0, 0, 0, 0}, {2, 0, 0, 0, 7, 0}, 0, "2001:db8:9::9", VIP6};

/* A TCP header, without checksum, of a segment from port 80 to port 4000. */
static struct bytes segment_of(uint8_t at[SEGMENT_BYTES])
{
    memset(at, 0, SEGMENT_BYTES);
    at[1] = 80;
    at[2] = 4000 >> 8;
    at[3] = 4000 & 0xff;
    at[12] = SEGMENT_BYTES / 4 << 4;
    at[13] = 0x12;
    for (int i = 20; i < SEGMENT_BYTES; i++)
        at[i] = 1; /* NOP */
    return bytes_of(at, SEGMENT_BYTES);
}

/* Without gateways, so that no route leads to who asks. */
static void open_with(struct fixture *fixture, uint16_t queues, bool offload)
{
    struct wire_config config = {.ends = 2, .queues = queues, .mbufs = 255};
    config.features = (struct port_features){
        .rx_checksum = offload, .tx_checksum_ip = offload, .tx_checksum_tcp = offload};
    fixture->wire = wire_create(&config);
    net_host_prepare(&fixture->host, fixture->wire, 0, 0, 1);
    net_host_add_address(&fixture->host, "10.0.0.1/24");
    struct net_interface *tagged = &fixture->host.config.interfaces[1];
    *tagged = (struct net_interface){.vlan = 42, .mtu = 1400, .mac = {2, 0, 0, 0, 0, 0}};
    fixture->host.config.interface_count = 2;
    net_host_open(&fixture->host);
    fixture_set_vips(fixture);
}

static struct rte_mbuf *arrive(struct fixture *fixture, const struct frame_ends *ends,
                               uint16_t data)
{
    struct frame frame;
    struct net_arrivals arrivals;
    frame_tcp(&frame, ends, 4000, 80, data);
    frame_give(&fixture->host, &frame, 0, &arrivals);
    assert_int_equal(arrivals.own_count, 1);
    return arrivals.own[0];
}

static void answer(struct fixture *fixture, const struct frame_ends *ends, struct rte_mbuf *packet)
{
    uint8_t segment[SEGMENT_BYTES];
    struct ip_address local = address(ends->to), remote = address(ends->from);
    net_send_back(fixture->host.net, &local, &remote, segment_of(segment), packet);
}

static void assert_answered(struct fixture *fixture, const struct frame_ends *asked)
{
    struct frame sent, wanted;
    uint8_t segment[SEGMENT_BYTES];
    struct frame_ends back = {.vlan = asked->vlan, .from = asked->to, .to = asked->from};
    memcpy(back.to_mac, asked->from_mac, 6);
    memcpy(back.from_mac, asked->to_mac, 6);
    frame_ip(&wanted, &back, IPPROTO_TCP, segment_of(segment).data, SEGMENT_BYTES);
    assert_true(fixture_sent(fixture, &sent));
    assert_int_equal(sent.length, wanted.length);
    uint16_t ip = frame_ip_offset(&wanted);
    struct ip_address local = address(asked->to);
    if (ip_address_is_v4(&local)) {
        wanted.data[ip + 6] = 0x40; /* do not fragment */
        wanted.data[ip + 8] = NET_HOP_LIMIT;
        memset(wanted.data + ip + 4, 0, 2);
        frame_fix_ip(&wanted);
    } else {
        wanted.data[ip + 7] = NET_HOP_LIMIT;
    }
    frame_fix_transport(&wanted);
    assert_memory_equal(sent.data, wanted.data, wanted.length);
    assert_false(fixture_sent(fixture, &sent));
}

static void the_answer_goes_back_the_way_it_came(void **state)
{
    for (int mix = 0; mix < 16; mix++) {
        struct fixture fixture;
        struct frame_ends ends = mix & 1 ? far_v6 : far_v4;
        open_with(&fixture, 1, mix & 2);
        ends.vlan = mix & 4 ? 42 : 0;
        struct rte_mbuf *packet = arrive(&fixture, &ends, mix & 8 ? 1000 : 0);
        assert_int_equal(net_arrival_mtu(fixture.host.net, packet), mix & 4 ? 1400 : 1500);
        answer(&fixture, &ends, packet);
        assert_int_equal(wire_mbufs_used(fixture.wire), 1); /* its own, until it is sent */
        assert_answered(&fixture, &ends);
        assert_int_equal(counters_of(&fixture)->neighbour_asked, 0);
        assert_int_equal(counters_of(&fixture)->out_no_route, 0);
        fixture_close(&fixture);
    }
}

static void another_queues_packet_is_replaced(void **state)
{
    struct fixture fixture;
    open_with(&fixture, 2, false);
    struct rte_mbuf *packet = arrive(&fixture, &far_v4, 0);
    struct rte_mbuf *foreign = rte_pktmbuf_alloc(wire_queue(fixture.wire, 0, 1)->mempool);
    memcpy(rte_pktmbuf_append(foreign, packet->data_len), rte_pktmbuf_mtod(packet, void *),
           packet->data_len);
    foreign->tx_offload = packet->tx_offload;
    foreign->port = packet->port;
    rte_pktmbuf_free(packet);
    answer(&fixture, &far_v4, foreign);
    assert_answered(&fixture, &far_v4);
    fixture_close(&fixture);
}

static void a_packet_that_others_hold_is_replaced(void **state)
{
    struct fixture fixture;
    open_with(&fixture, 1, false);
    struct rte_mbuf *packet = arrive(&fixture, &far_v6, 0);
    uint8_t before[64];
    memcpy(before, rte_pktmbuf_mtod(packet, void *), sizeof(before));
    rte_mbuf_refcnt_update(packet, 1);
    answer(&fixture, &far_v6, packet);
    assert_answered(&fixture, &far_v6);
    assert_memory_equal(before, rte_pktmbuf_mtod(packet, void *), sizeof(before));
    rte_pktmbuf_free(packet);
    fixture_close(&fixture);
}

static void nobody_at_a_group_address_is_answered(void **state)
{
    struct fixture fixture;
    struct frame_ends ends = far_v4;
    open_with(&fixture, 1, false);
    ends.from_mac[0] = 3;
    answer(&fixture, &ends, arrive(&fixture, &ends, 0));
    assert_int_equal(counters_of(&fixture)->out_back_group, 1);
    assert_int_equal(fixture_sent_count(&fixture), 0);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_goes_back_the_way_it_came),
        cmocka_unit_test(another_queues_packet_is_replaced),
        cmocka_unit_test(a_packet_that_others_hold_is_replaced),
        cmocka_unit_test(nobody_at_a_group_address_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
