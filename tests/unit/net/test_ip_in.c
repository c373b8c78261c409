/*
 * Ethernet, VLAN, IPv4 and IPv6 on the way in: what is taken, what is dropped under which name, and
 * every frame cut at every byte and flipped at every bit.
 */
#include "net_fixture.h"

static void take_both(struct frame_ends *v4, struct frame_ends *v6)
{
    *v4 = v4_ends;
    *v6 = v6_ends;
}

static void a_tcp_packet_to_an_address_of_ours_is_taken(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct frame_ends v4, v6;
    fixture_open(&fixture);
    take_both(&v4, &v6);
    for (uint16_t count = 0; count < 70; count++) {
        frame_tcp(&frame, &v4, 1000, 443, count);
        assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 1);
        frame_tcp(&frame, &v6, 1000, 443, count);
        assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 1);
    }
    v4.to = VIP4;
    v6.to = VIP6;
    frame_tcp(&frame, &v4, 1000, 443, 1);
    assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 1);
    frame_tcp(&frame, &v6, 1000, 443, 1);
    assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 1);
    fixture_close(&fixture);
}

static void padding_is_cut_off(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct net_arrivals arrivals;
    static const uint8_t padding[6] = {1, 2, 3, 4, 5, 6};
    fixture_open(&fixture);
    frame_tcp(&frame, &v4_ends, 1000, 443, 0);
    frame_append(&frame, padding, sizeof(padding));
    frame_give(&fixture.host, &frame, 1, &arrivals);
    assert_int_equal(arrivals.own_count, 1);
    assert_int_equal(arrivals.own[0]->pkt_len, 14 + 20 + 20);
    assert_int_equal(arrivals.own[0]->data_len, 14 + 20 + 20);
    net_host_free(&arrivals);
    fixture_close(&fixture);
}

static void ipv4_options_are_skipped(void **state)
{
    struct fixture fixture;
    struct frame frame, plain;
    struct net_arrivals arrivals;
    static const uint8_t options[40] = {1, 1, 1, 0};
    fixture_open(&fixture);
    for (uint16_t bytes = 4; bytes <= 40; bytes += 4) {
        frame_tcp(&plain, &v4_ends, 1000, 443, 9);
        memcpy(&frame, &plain, sizeof(frame));
        frame.length = 34;
        frame.data[14] = (uint8_t)(0x40 | (5 + bytes / 4));
        frame.data[17] = (uint8_t)(20 + bytes + 29);
        frame_append(&frame, options, bytes);
        frame_append(&frame, plain.data + 34, 29);
        frame_fix_ip(&frame);
        frame_give(&fixture.host, &frame, 1, &arrivals);
        assert_int_equal(arrivals.own_count, 1);
        assert_int_equal(arrivals.own[0]->l3_len, 20 + bytes);
        net_host_free(&arrivals);
    }
    fixture_close(&fixture);
}

/* An IPv6 TCP packet with extension headers between: NEXT is the first one's number. */
static void with_extensions(struct frame *frame, uint8_t next, const uint8_t *bytes,
                            uint16_t length)
{
    struct frame plain;
    frame_tcp(&plain, &v6_ends, 1000, 443, 9);
    memcpy(frame, &plain, sizeof(*frame));
    frame->length = 54;
    frame->data[14 + 6] = next;
    frame->data[14 + 5] = (uint8_t)(length + 29);
    frame_append(frame, bytes, length);
    frame_append(frame, plain.data + 54, 29);
}

static void ipv6_extension_headers_are_skipped(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct net_arrivals arrivals;
    /* Hop-by-hop, destination options (16 bytes), routing without a segment left. */
    static const uint8_t chain[] = {60, 0, 1, 4, 0, 0, 0, 0, 43, 1, 1, 12, 0, 0, 0, 0,
                                    0,  0, 0, 0, 0, 0, 0, 0, 6,  0, 0, 0,  0, 0, 0, 0};
    fixture_open(&fixture);
    with_extensions(&frame, IPPROTO_HOPOPTS, chain, sizeof(chain));
    frame_give(&fixture.host, &frame, 1, &arrivals);
    assert_int_equal(arrivals.own_count, 1);
    assert_int_equal(arrivals.own[0]->l3_len, 40 + sizeof(chain));
    net_host_free(&arrivals);
    fixture_close(&fixture);
}

static void drop_with_extensions(struct fixture *fixture, uint8_t next, const uint8_t *bytes,
                                 uint16_t length, const uint64_t *counter)
{
    struct frame frame;
    uint64_t before = *counter;
    with_extensions(&frame, next, bytes, length);
    assert_int_equal(frame_give_and_free(&fixture->host, &frame, 1), 0);
    assert_int_equal(*counter, before + 1);
}

static void ipv6_extension_headers_have_bounds(void **state)
{
    struct fixture fixture;
    static const uint8_t many[] = {60, 0, 1, 4, 0,  0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4,
                                   0,  0, 0, 0, 60, 0, 1, 4, 0,  0, 0, 0, 6, 0, 1, 4, 0,  0, 0, 0};
    static const uint8_t long_one[200] = {6, 24};
    static const uint8_t too_long[16] = {6, 200};
    static const uint8_t unfinished[8] = {6, 0, 4, 1};
    static const uint8_t fragment[8] = {6, 0, 0, 1, 0, 0, 0, 9};
    static const uint8_t late_hop_by_hop[16] = {0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4};
    fixture_open(&fixture);
    struct net_counters *counters = counters_of(&fixture);
    drop_with_extensions(&fixture, IPPROTO_DSTOPTS, many, sizeof(many), &counters->in_ip_extension);
    drop_with_extensions(&fixture, IPPROTO_DSTOPTS, long_one, sizeof(long_one),
                         &counters->in_ip_extension);
    drop_with_extensions(&fixture, IPPROTO_DSTOPTS, too_long, sizeof(too_long),
                         &counters->in_ip_short);
    drop_with_extensions(&fixture, IPPROTO_ROUTING, unfinished, sizeof(unfinished),
                         &counters->in_ip_routing);
    drop_with_extensions(&fixture, IPPROTO_FRAGMENT, fragment, sizeof(fragment),
                         &counters->in_ip_fragment);
    drop_with_extensions(&fixture, IPPROTO_DSTOPTS, late_hop_by_hop, sizeof(late_hop_by_hop),
                         &counters->in_protocol_unknown);
    fixture_close(&fixture);
}

/* One byte of a good packet is changed; the checksums are made right again. */
struct drop_case {
    const char *what;
    bool v6;
    uint16_t at;
    uint8_t value;
    size_t counter; /* offset in net_counters */
};

#define C(name) offsetof(struct net_counters, name)

static const struct drop_case drop_cases[] = {
    {"another's MAC address", false, 5, 9, C(in_frame_not_ours)},
    {"broadcast frame", false, 0, 3, C(in_frame_group)},
    {"multicast frame", true, 0, 3, C(in_frame_group)},
    {"unknown Ethernet type", false, 12, 9, C(in_ethertype_unknown)},
    {"IPv6 said to be IPv4", false, 14, 0x65, C(in_ip_version)},
    {"IPv4 said to be IPv6", true, 14, 0x45, C(in_ip_version)},
    {"header of 16 bytes", false, 14, 0x44, C(in_ip_header_length)},
    {"total length beyond the end", false, 17, 200, C(in_ip_short)},
    {"total length shorter than the header", false, 17, 19, C(in_ip_header_length)},
    {"payload length beyond the end", true, 19, 200, C(in_ip_short)},
    {"more fragments", false, 20, 0x20, C(in_ip_fragment)},
    {"fragment offset", false, 21, 1, C(in_ip_fragment)},
    {"fragment offset, high bits", false, 20, 0x10, C(in_ip_fragment)},
    {"time to live 0", false, 22, 0, C(in_ip_ttl)},
    {"hop limit 0", true, 21, 0, C(in_ip_ttl)},
    {"UDP", false, 23, 17, C(in_protocol_unknown)},
    {"UDP over IPv6", true, 20, 17, C(in_protocol_unknown)},
    {"ICMPv6 in IPv4", false, 23, 58, C(in_protocol_unknown)},
    {"ICMP in IPv6", true, 20, 1, C(in_protocol_unknown)},
    {"from 0.0.0.2", false, 26, 0, C(in_ip_martian)},
    {"from 127.0.0.2", false, 26, 127, C(in_ip_martian)},
    {"from 224.0.0.2", false, 26, 224, C(in_ip_martian)},
    {"from 240.0.0.2", false, 26, 240, C(in_ip_martian)},
    {"from us", false, 29, 1, C(in_ip_from_us)},
    {"from ff00::2", true, 22, 0xff, C(in_ip_martian)},
    {"from us by IPv6", true, 37, 1, C(in_ip_from_us)},
    {"to another", false, 33, 9, C(in_ip_not_ours)},
    {"to another by IPv6", true, 53, 9, C(in_ip_not_ours)},
    {"to the network's broadcast", false, 33, 255, C(in_ip_not_ours)},
    {"to multicast by IPv6", true, 38, 0xff, C(in_ip_not_ours)},
};

static uint64_t counter_at(struct fixture *fixture, size_t offset)
{
    uint64_t value;
    memcpy(&value, (uint8_t *)counters_of(fixture) + offset, sizeof(value));
    return value;
}

static void each_reason_to_drop_has_its_counter(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    for (size_t i = 0; i < sizeof(drop_cases) / sizeof(drop_cases[0]); i++) {
        const struct drop_case *c = &drop_cases[i];
        struct frame frame;
        frame_tcp(&frame, c->v6 ? &v6_ends : &v4_ends, 1000, 443, 9);
        frame.data[c->at] = c->value;
        if (!c->v6 && (frame.data[14] & 0xf) == 5)
            frame_fix_ip(&frame);
        uint64_t before = counter_at(&fixture, c->counter);
        assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 0);
        if (counter_at(&fixture, c->counter) != before + 1)
            fail_msg("%s: dropped under another counter", c->what);
    }
    fixture_close(&fixture);
}

static void wrong_checksums_are_dropped(void **state)
{
    struct fixture fixture;
    struct frame frame;
    fixture_open(&fixture);
    frame_tcp(&frame, &v4_ends, 1000, 443, 9);
    frame.data[24] ^= 1;
    assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 0);
    assert_int_equal(counters_of(&fixture)->in_ip_checksum, 1);
    frame_tcp(&frame, &v4_ends, 1000, 443, 9);
    frame.data[frame.length - 1] ^= 1;
    assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 0);
    frame_tcp(&frame, &v6_ends, 1000, 443, 9);
    frame.data[frame.length - 1] ^= 1;
    assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 0);
    assert_int_equal(counters_of(&fixture)->in_tcp_checksum, 2);
    fixture_close(&fixture);
}

static void ipv4_in_disguise_is_a_martian(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct frame_ends ends = v6_ends;
    fixture_open(&fixture);
    ends.from = "::ffff:10.0.0.2";
    frame_tcp(&frame, &ends, 1000, 443, 0);
    assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 0);
    ends.from = "fd00::2";
    ends.to = "::ffff:10.0.0.1";
    frame_tcp(&frame, &ends, 1000, 443, 0);
    assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 0);
    ends = v6_ends;
    ends.from = "::1";
    frame_tcp(&frame, &ends, 1000, 443, 0);
    assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 0);
    ends.from = "::";
    frame_tcp(&frame, &ends, 1000, 443, 0);
    assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 0);
    assert_int_equal(counters_of(&fixture)->in_ip_martian, 4);
    fixture_close(&fixture);
}

static void a_short_tcp_header_is_dropped(void **state)
{
    struct fixture fixture;
    struct frame frame;
    static const uint8_t bytes[19];
    fixture_open(&fixture);
    for (uint16_t length = 0; length <= sizeof(bytes); length++) {
        frame_ip(&frame, &v4_ends, IPPROTO_TCP, bytes, length);
        assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 0);
        frame_ip(&frame, &v6_ends, IPPROTO_TCP, bytes, length);
        assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 0);
    }
    assert_int_equal(counters_of(&fixture)->in_tcp_short, 40);
    fixture_close(&fixture);
}

static void a_frame_cut_anywhere_is_dropped(void **state)
{
    struct fixture fixture;
    struct frame whole, frame;
    fixture_open(&fixture);
    for (int v6 = 0; v6 < 2; v6++) {
        frame_tcp(&whole, v6 ? &v6_ends : &v4_ends, 1000, 443, 30);
        for (uint16_t length = 1; length < whole.length; length++) {
            memcpy(&frame, &whole, sizeof(frame));
            frame.length = length;
            assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 0);
        }
        assert_int_equal(frame_give_and_free(&fixture.host, &whole, 1), 1);
    }
    fixture_close(&fixture);
}

/* Fields that no checksum covers and nobody looks at here. */
static bool may_flip(const struct frame *frame, uint32_t bit)
{
    uint32_t byte = bit / 8;
    if (byte >= 6 && byte < 12)
        return true; /* the sender's MAC address */
    bool v6 = frame->data[14] >> 4 == 6;
    return v6 && ((byte >= 14 && byte < 18 && bit >= 14 * 8 + 4) || /* class and flow label */
                  byte == 21);                                      /* hop limit */
}

static void one_flipped_bit_is_found(void **state)
{
    struct fixture fixture;
    struct frame whole, frame;
    fixture_open(&fixture);
    for (int v6 = 0; v6 < 2; v6++) {
        frame_tcp(&whole, v6 ? &v6_ends : &v4_ends, 1000, 443, 12);
        if (v6)
            whole.data[21] = 65; /* a hop limit that no flip makes 0 */
        for (uint32_t bit = 0; bit < whole.length * 8u; bit++) {
            memcpy(&frame, &whole, sizeof(frame));
            frame.data[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
            uint16_t taken = frame_give_and_free(&fixture.host, &frame, 1);
            if (taken != may_flip(&whole, bit))
                fail_msg("bit %u of byte %u: taken %u", bit % 8, bit / 8, taken);
        }
    }
    fixture_close(&fixture);
}

static void chained_packets_are_dropped(void **state)
{
    struct fixture fixture;
    struct net_arrivals arrivals;
    fixture_open(&fixture);
    struct rte_mbuf *packet = rte_pktmbuf_alloc(fixture.host.port->mempool);
    struct rte_mbuf *tail = rte_pktmbuf_alloc(fixture.host.port->mempool);
    rte_pktmbuf_append(packet, 60);
    rte_pktmbuf_append(tail, 60);
    rte_pktmbuf_chain(packet, tail);
    net_in(fixture.host.net, 0, &packet, 1, 1, &arrivals);
    assert_int_equal(arrivals.own_count, 0);
    assert_int_equal(counters_of(&fixture)->in_chained, 1);
    fixture_close(&fixture);
}

/* Interface 1 is VLAN 7 with 10.7.0.1/24. */
static void fixture_open_vlan(struct fixture *fixture)
{
    struct wire_config config = {.ends = 2, .queues = 1, .mbufs = 255};
    fixture_open_as(fixture, &config, 0, 1);
    struct net_config *net = &fixture->host.config;
    net->interfaces[1] = (struct net_interface){.vlan = 7, .mtu = 1500, .mac = {2, 0, 0, 0, 7, 7}};
    net->interfaces[1].address_count = 1;
    assert_true(ip_prefix_parse("10.7.0.1/24", &net->interfaces[1].addresses[0]));
    net->interface_count = 2;
    net_host_open(&fixture->host);
}

static void the_vlan_tag_selects_the_interface(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct net_arrivals arrivals;
    struct frame_ends ends = {{2, 0, 0, 0, 7, 7}, {2, 0, 0, 0, 1, 0}, 7, "10.7.0.2", "10.7.0.1"};
    fixture_open_vlan(&fixture);
    frame_tcp(&frame, &ends, 1000, 443, 5);
    frame_give(&fixture.host, &frame, 1, &arrivals);
    assert_int_equal(arrivals.own_count, 1);
    assert_int_equal(arrivals.own[0]->l2_len, 18);
    net_host_free(&arrivals);
    ends.vlan = 0xe007; /* priority bits are not part of the number */
    frame_tcp(&frame, &ends, 1000, 443, 5);
    assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 1);
    ends.vlan = 8;
    frame_tcp(&frame, &ends, 1000, 443, 5);
    assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 0);
    assert_int_equal(counters_of(&fixture)->in_vlan_unknown, 1);
    ends.vlan = 0; /* untagged: the other interface, with another MAC address */
    frame_tcp(&frame, &ends, 1000, 443, 5);
    assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 0);
    assert_int_equal(counters_of(&fixture)->in_frame_not_ours, 1);
    fixture_close(&fixture);
}

static void a_tag_without_a_number_is_none(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct frame_ends ends = v4_ends;
    fixture_open_vlan(&fixture);
    ends.vlan = 0xe000;
    frame_tcp(&frame, &ends, 1000, 443, 5);
    assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 1);
    fixture_close(&fixture);
}

static void a_stripped_tag_counts_as_well(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct net_arrivals arrivals;
    struct frame_ends ends = {{2, 0, 0, 0, 7, 7}, {2, 0, 0, 0, 1, 0}, 0, "10.7.0.2", "10.7.0.1"};
    fixture_open_vlan(&fixture);
    frame_tcp(&frame, &ends, 1000, 443, 5);
    struct rte_mbuf *packet = rte_pktmbuf_alloc(fixture.host.port->mempool);
    memcpy(rte_pktmbuf_append(packet, frame.length), frame.data, frame.length);
    packet->ol_flags |= RTE_MBUF_F_RX_VLAN_STRIPPED;
    packet->vlan_tci = 0x2007;
    net_in(fixture.host.net, 0, &packet, 1, 1, &arrivals);
    assert_int_equal(arrivals.own_count, 1);
    assert_int_equal(arrivals.own[0]->l2_len, 14);
    net_host_free(&arrivals);
    fixture_close(&fixture);
}

static void only_a_port_that_promised_it_is_trusted_with_checksums(void **state)
{
    for (int round = 0; round < 4; round++) {
        bool trusted = round % 2 != 0;
        struct fixture fixture;
        struct frame frame;
        struct net_arrivals arrivals;
        struct wire_config config = {.ends = 2, .queues = 1, .mbufs = 63};
        config.features.rx_checksum = trusted;
        fixture_open_as(&fixture, &config, 0, 1);
        net_host_open(&fixture.host);
        frame_tcp(&frame, &v4_ends, 1000, 443, 5);
        frame.data[frame.length - 1] ^= 1;
        struct rte_mbuf *packet = rte_pktmbuf_alloc(fixture.host.port->mempool);
        memcpy(rte_pktmbuf_append(packet, frame.length), frame.data, frame.length);
        packet->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD;
        packet->ol_flags |= round < 2 ? RTE_MBUF_F_RX_L4_CKSUM_GOOD : RTE_MBUF_F_RX_L4_CKSUM_NONE;
        net_in(fixture.host.net, 0, &packet, 1, 1, &arrivals);
        assert_int_equal(arrivals.own_count, trusted);
        net_host_free(&arrivals);
        fixture_close(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tcp_packet_to_an_address_of_ours_is_taken),
        cmocka_unit_test(padding_is_cut_off),
        cmocka_unit_test(ipv4_options_are_skipped),
        cmocka_unit_test(ipv6_extension_headers_are_skipped),
        cmocka_unit_test(ipv6_extension_headers_have_bounds),
        cmocka_unit_test(each_reason_to_drop_has_its_counter),
        cmocka_unit_test(wrong_checksums_are_dropped),
        cmocka_unit_test(ipv4_in_disguise_is_a_martian),
        cmocka_unit_test(a_short_tcp_header_is_dropped),
        cmocka_unit_test(a_frame_cut_anywhere_is_dropped),
        cmocka_unit_test(one_flipped_bit_is_found),
        cmocka_unit_test(chained_packets_are_dropped),
        cmocka_unit_test(the_vlan_tag_selects_the_interface),
        cmocka_unit_test(a_tag_without_a_number_is_none),
        cmocka_unit_test(a_stripped_tag_counts_as_well),
        cmocka_unit_test(only_a_port_that_promised_it_is_trusted_with_checksums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
