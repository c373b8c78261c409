/* ICMP and ICMPv6: echo and its rate, errors about our TCP packets. */
#include "net_fixture.h"

static void echo_frame(struct frame *frame, const struct frame_ends *ends, uint16_t data)
{
    static uint8_t message[1500] = {[4] = 0x12, [5] = 0x34, [7] = 1};
    bool v4 = strchr(ends->from, ':') == NULL;
    message[0] = v4 ? 8 : 128;
    for (uint16_t i = 0; i < data; i++)
        message[8 + i] = (uint8_t)i;
    frame_icmp(frame, ends, message, (uint16_t)(8 + data));
}

static void assert_echoed(struct fixture *fixture, const struct frame_ends *ends, uint16_t data)
{
    struct frame frame, expected;
    struct frame_ends back = {{0}, {0}, 0, ends->to, ends->from};
    memcpy(back.to_mac, ends->from_mac, 6);
    memcpy(back.from_mac, ends->to_mac, 6);
    echo_frame(&expected, &back, data);
    bool v4 = strchr(ends->from, ':') == NULL;
    uint16_t message = v4 ? 34 : 54;
    expected.data[message] = v4 ? 0 : 129;
    if (v4)
        expected.data[19] = 0; /* no identification */
    else
        expected.data[21] = 64;
    frame_fix_ip(&expected);
    frame_fix_transport(&expected);
    assert_true(fixture_sent(fixture, &frame));
    assert_int_equal(frame.length, expected.length);
    assert_memory_equal(frame.data, expected.data, expected.length);
    assert_false(fixture_sent(fixture, &frame));
}

static void echo_is_answered_for_all_our_addresses(void **state)
{
    struct fixture fixture;
    struct frame frame;
    static const char *const ours[] = {"10.0.0.1", VIP4, "fd00::1", VIP6};
    fixture_open(&fixture);
    for (uint16_t i = 0; i < 4; i++) {
        struct frame_ends ends = i < 2 ? v4_ends : v6_ends;
        ends.to = ours[i];
        for (uint16_t data = 0; data < 66; data = (uint16_t)(data + 13)) {
            echo_frame(&frame, &ends, data);
            assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 0);
            assert_echoed(&fixture, &ends, data);
        }
    }
    fixture_close(&fixture);
}

static void an_answer_goes_back_to_the_router_it_came_from(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct frame_ends ends = v4_ends;
    fixture_open(&fixture);
    ends.from = "198.51.100.1";
    ends.from_mac[5] = 0x77;
    echo_frame(&frame, &ends, 5);
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_echoed(&fixture, &ends, 5);
    fixture_close(&fixture);
}

static void echo_has_a_rate(void **state)
{
    struct fixture fixture;
    struct frame frame;
    fixture_open(&fixture);
    echo_frame(&frame, &v4_ends, 0);
    uint32_t answered = 0;
    for (int i = 0; i < 1000; i++) {
        frame_give_and_free(&fixture.host, &frame, 1);
        answered += fixture_sent_count(&fixture);
    }
    assert_int_equal(answered, 100);
    assert_int_equal(counters_of(&fixture)->echo_over_rate, 900);
    frame_give_and_free(&fixture.host, &frame, 1 + CLOCK_MS);
    assert_int_equal(fixture_sent_count(&fixture), 1);
    fixture_close(&fixture);
}

static void echo_to_a_group_is_not_answered(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct frame_ends ends = {
        {0x33, 0x33, 0, 0, 0, 1}, {2, 0, 0, 0, 1, 0}, 0, "fd00::2", "ff02::1"};
    fixture_open(&fixture);
    echo_frame(&frame, &ends, 0);
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_int_equal(counters_of(&fixture)->in_icmp_group, 1);
    ends = v6_ends;
    ends.from = "::";
    echo_frame(&frame, &ends, 0);
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_int_equal(counters_of(&fixture)->in_ip_martian, 1);
    assert_int_equal(fixture_sent_count(&fixture), 0);
    fixture_close(&fixture);
}

static void wrong_checksums_and_other_types_are_dropped(void **state)
{
    struct fixture fixture;
    struct frame frame;
    static const uint8_t other[8] = {13};
    fixture_open(&fixture);
    for (int v6 = 0; v6 < 2; v6++) {
        echo_frame(&frame, v6 ? &v6_ends : &v4_ends, 3);
        frame.data[frame.length - 1] ^= 1;
        frame_give_and_free(&fixture.host, &frame, 1);
        frame_icmp(&frame, v6 ? &v6_ends : &v4_ends, other, sizeof(other));
        frame_give_and_free(&fixture.host, &frame, 1);
        frame_icmp(&frame, v6 ? &v6_ends : &v4_ends, other, 7);
        frame_give_and_free(&fixture.host, &frame, 1);
    }
    assert_int_equal(counters_of(&fixture)->in_icmp_checksum, 2);
    assert_int_equal(counters_of(&fixture)->in_icmp_ignored, 2);
    assert_int_equal(counters_of(&fixture)->in_icmp_short, 2);
    assert_int_equal(fixture_sent_count(&fixture), 0);
    fixture_close(&fixture);
}

/* An error of TYPE that quotes BYTES of a TCP packet of ours. */
static void error_frame(struct frame *frame, bool v6, uint8_t type, uint16_t bytes)
{
    struct frame quoted;
    struct frame_ends ours = {
        {0}, {0}, 0, v6 ? "fd00::1" : "10.0.0.1", v6 ? "2001:db8:9::1" : "198.51.100.9"};
    uint8_t message[8 + 200] = {type};
    frame_tcp(&quoted, &ours, 40000, 443, 60);
    memcpy(message + 8, quoted.data + 14, bytes);
    frame_icmp(frame, v6 ? &v6_ends : &v4_ends, message, (uint16_t)(8 + bytes));
}

static void assert_error_arrives(struct fixture *fixture, const struct frame *frame, uint16_t l3)
{
    struct net_arrivals arrivals;
    frame_give(&fixture->host, frame, 1, &arrivals);
    assert_int_equal(arrivals.own_count, 1);
    struct rte_mbuf *packet = arrivals.own[0];
    assert_int_equal(packet->packet_type, RTE_PTYPE_L4_ICMP);
    assert_int_equal(packet->l4_len, 8 + l3);
    const uint8_t *tcp = rte_pktmbuf_mtod_offset(packet, const uint8_t *,
                                                 packet->l2_len + packet->l3_len + packet->l4_len);
    assert_int_equal(tcp[0] << 8 | tcp[1], 40000);
    assert_int_equal(tcp[2] << 8 | tcp[3], 443);
    assert_true(packet->l2_len + packet->l3_len + packet->l4_len + 8u <= packet->pkt_len);
    net_host_free(&arrivals);
}

static void errors_about_our_tcp_packets_arrive(void **state)
{
    struct fixture fixture;
    struct frame frame;
    static const uint8_t v4_types[] = {3, 11, 12};
    static const uint8_t v6_types[] = {1, 2, 3, 4};
    fixture_open(&fixture);
    for (int i = 0; i < 3; i++) {
        error_frame(&frame, false, v4_types[i], 28);
        assert_error_arrives(&fixture, &frame, 20);
    }
    for (int i = 0; i < 4; i++) {
        error_frame(&frame, true, v6_types[i], 100);
        assert_error_arrives(&fixture, &frame, 40);
    }
    assert_int_equal(counters_of(&fixture)->in_icmp_errors, 7);
    fixture_close(&fixture);
}

static void errors_that_quote_too_little_are_dropped(void **state)
{
    struct fixture fixture;
    struct frame frame;
    fixture_open(&fixture);
    for (uint16_t bytes = 0; bytes < 28; bytes++) {
        error_frame(&frame, false, 3, bytes);
        assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 0);
    }
    for (uint16_t bytes = 0; bytes < 48; bytes++) {
        error_frame(&frame, true, 2, bytes);
        assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 0);
    }
    assert_int_equal(counters_of(&fixture)->in_icmp_error_short, 28 + 48);
    fixture_close(&fixture);
}

/* One byte of a good error is changed, the checksum made right; the place is in the quoted packet.
 */
static uint64_t dropped_under(struct fixture *fixture, bool v6, uint16_t at, uint8_t value,
                              const uint64_t *counter)
{
    struct frame frame;
    uint64_t before = *counter;
    error_frame(&frame, v6, v6 ? 2 : 3, 60);
    frame.data[(v6 ? 54 : 34) + 8 + at] = value;
    frame_fix_transport(&frame);
    assert_int_equal(frame_give_and_free(&fixture->host, &frame, 1), 0);
    return *counter - before;
}

static void errors_about_other_packets_are_dropped(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct net_counters *c = counters_of(&fixture);
    assert_int_equal(dropped_under(&fixture, false, 9, 17, &c->in_icmp_error_not_tcp), 1);
    assert_int_equal(dropped_under(&fixture, true, 6, 17, &c->in_icmp_error_not_tcp), 1);
    assert_int_equal(dropped_under(&fixture, false, 15, 9, &c->in_icmp_error_not_ours), 1);
    assert_int_equal(dropped_under(&fixture, true, 23, 9, &c->in_icmp_error_not_ours), 1);
    assert_int_equal(dropped_under(&fixture, false, 0, 0x65, &c->in_icmp_error_short), 1);
    assert_int_equal(dropped_under(&fixture, true, 0, 0x40, &c->in_icmp_error_short), 1);
    assert_int_equal(dropped_under(&fixture, false, 0, 0x44, &c->in_icmp_error_short), 1);
    assert_int_equal(dropped_under(&fixture, false, 0, 0x4f, &c->in_icmp_error_short), 1);
    assert_int_equal(dropped_under(&fixture, false, 7, 1, &c->in_icmp_error_short), 1);
    fixture_close(&fixture);
}

static void errors_flipped_anywhere_do_no_harm(void **state)
{
    struct fixture fixture;
    struct frame whole, frame;
    fixture_open(&fixture);
    for (int v6 = 0; v6 < 2; v6++) {
        error_frame(&whole, v6, v6 ? 2 : 3, 68);
        uint32_t from = v6 ? 54 : 34;
        for (uint32_t bit = from * 8; bit < whole.length * 8u; bit++) {
            memcpy(&frame, &whole, sizeof(frame));
            frame.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(frame_give_and_free(&fixture.host, &frame, 1), 0);
            frame_fix_transport(&frame);
            assert_in_range(frame_give_and_free(&fixture.host, &frame, 1), 0, 1);
            fixture_sent_count(&fixture);
        }
    }
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo_is_answered_for_all_our_addresses),
        cmocka_unit_test(an_answer_goes_back_to_the_router_it_came_from),
        cmocka_unit_test(echo_has_a_rate),
        cmocka_unit_test(echo_to_a_group_is_not_answered),
        cmocka_unit_test(wrong_checksums_and_other_types_are_dropped),
        cmocka_unit_test(errors_about_our_tcp_packets_arrive),
        cmocka_unit_test(errors_that_quote_too_little_are_dropped),
        cmocka_unit_test(errors_about_other_packets_are_dropped),
        cmocka_unit_test(errors_flipped_anywhere_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
