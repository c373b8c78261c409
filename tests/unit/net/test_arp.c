/* ARP: what is answered, what is learned, what is refused. */
#include "net_fixture.h"

#define REQUEST 1
#define REPLY   2

static const struct frame_ends to_all = {
    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {2, 0, 0, 0, 1, 0}, 0, "0.0.0.0", "0.0.0.0"};

static void give(struct fixture *fixture, uint16_t operation, const char *sender,
                 const char *target, uint64_t now)
{
    struct frame frame;
    frame_arp(&frame, operation == REQUEST ? &to_all : &v4_ends, operation, sender, target);
    assert_int_equal(frame_give_and_free(&fixture->host, &frame, now), 0);
}

static void assert_answer(struct fixture *fixture, const char *ours)
{
    struct frame frame, expected;
    struct frame_ends ends = {{2, 0, 0, 0, 1, 0}, {2, 0, 0, 0, 0, 0}, 0, NULL, NULL};
    assert_true(fixture_sent(fixture, &frame));
    frame_arp(&expected, &ends, REPLY, ours, "10.0.0.2");
    assert_int_equal(frame.length, expected.length);
    assert_memory_equal(frame.data, expected.data, expected.length);
    assert_false(fixture_sent(fixture, &frame));
}

static void a_question_for_an_address_of_ours_is_answered(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    give(&fixture, REQUEST, "10.0.0.2", "10.0.0.1", 1);
    assert_answer(&fixture, "10.0.0.1");
    give(&fixture, REQUEST, "10.0.0.2", VIP4, 1);
    assert_answer(&fixture, VIP4);
    assert_int_equal(counters_of(&fixture)->arp_answered, 2);
    fixture_close(&fixture);
}

static void a_question_for_another_is_not_answered(void **state)
{
    struct fixture fixture;
    struct frame frame;
    fixture_open(&fixture);
    give(&fixture, REQUEST, "10.0.0.2", "10.0.0.3", 1);
    assert_false(fixture_sent(&fixture, &frame));
    assert_int_equal(counters_of(&fixture)->arp_not_ours, 1);
    fixture_close(&fixture);
}

static void an_address_probe_is_answered_and_teaches_nothing(void **state)
{
    struct fixture fixture;
    struct frame frame;
    fixture_open(&fixture);
    give(&fixture, REQUEST, "0.0.0.0", "10.0.0.1", 1);
    assert_true(fixture_sent(&fixture, &frame));
    assert_int_equal(counters_of(&fixture)->neighbour_seen, 0);
    fixture_close(&fixture);
}

static void who_asks_need_not_be_asked(void **state)
{
    struct fixture fixture;
    struct frame frame;
    fixture_open(&fixture);
    give(&fixture, REQUEST, "10.0.0.2", "10.0.0.1", 1);
    assert_int_equal(fixture_sent_count(&fixture), 1);
    assert_true(send_marked(&fixture, "10.0.0.2", 77, 2));
    assert_true(fixture_sent(&fixture, &frame)); /* hearsay is used, and verified by unicast */
    bool is_question = frame.data[12] == 8 && frame.data[13] == 6;
    assert_true(is_question);
    assert_memory_equal(frame.data, v4_ends.from_mac, 6);
    assert_true(fixture_sent(&fixture, &frame));
    assert_int_equal(mark_of(&frame), 77);
    fixture_close(&fixture);
}

static void a_reply_resolves_and_sends_what_waited(void **state)
{
    struct fixture fixture;
    struct frame frame;
    fixture_open(&fixture);
    assert_true(send_marked(&fixture, "10.0.0.2", 5, 1));
    assert_true(fixture_sent(&fixture, &frame));
    assert_memory_equal(frame.data, to_all.to_mac, 6);
    assert_int_equal(frame.data[21], REQUEST);
    assert_false(fixture_sent(&fixture, &frame));
    give(&fixture, REPLY, "10.0.0.2", "10.0.0.1", 2);
    assert_true(fixture_sent(&fixture, &frame));
    assert_int_equal(mark_of(&frame), 5);
    assert_memory_equal(frame.data, v4_ends.from_mac, 6);
    fixture_close(&fixture);
}

static void a_reply_that_nobody_asked_for_makes_no_entry(void **state)
{
    struct fixture fixture;
    struct frame frame;
    fixture_open(&fixture);
    give(&fixture, REPLY, "10.0.0.2", "10.0.0.1", 1);
    assert_true(send_marked(&fixture, "10.0.0.2", 5, 2));
    assert_true(fixture_sent(&fixture, &frame));
    assert_memory_equal(frame.data, to_all.to_mac, 6); /* the question */
    assert_false(fixture_sent(&fixture, &frame));
    give(&fixture, REPLY, "10.0.0.2", "10.0.0.1", 3);
    assert_int_equal(fixture_sent_count(&fixture), 1);
    fixture_close(&fixture);
}

static void an_announcement_moves_a_known_neighbour(void **state)
{
    struct fixture fixture;
    struct frame frame;
    fixture_open(&fixture);
    assert_true(send_marked(&fixture, "10.0.0.254", 5, 1));
    assert_int_equal(fixture_sent_count(&fixture), 1);
    struct frame_ends moved = to_all;
    moved.from_mac[5] = 0x99;
    frame_arp(&frame, &moved, REQUEST, "10.0.0.254", "10.0.0.254");
    frame_give_and_free(&fixture.host, &frame, 2);
    assert_true(fixture_sent(&fixture, &frame));
    assert_memory_equal(frame.data, moved.from_mac, 6);
    frame_arp(&frame, &moved, REPLY, "10.0.0.3", "10.0.0.3"); /* a stranger: nothing to update */
    frame_give_and_free(&fixture.host, &frame, 3);
    assert_int_equal(counters_of(&fixture)->neighbour_seen, 1);
    fixture_close(&fixture);
}

static void addresses_beyond_the_link_are_not_learned(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    give(&fixture, REQUEST, "198.51.100.9", "10.0.0.1", 1);
    assert_int_equal(fixture_sent_count(&fixture), 1); /* answered all the same */
    assert_int_equal(counters_of(&fixture)->neighbour_off_link, 1);
    assert_int_equal(counters_of(&fixture)->neighbour_seen, 0);
    fixture_close(&fixture);
}

static void another_host_with_our_address_is_a_conflict(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    give(&fixture, REQUEST, "10.0.0.1", "10.0.0.2", 1);
    give(&fixture, REQUEST, VIP4, VIP4, 1);
    assert_int_equal(counters_of(&fixture)->address_conflict, 2);
    assert_int_equal(fixture_sent_count(&fixture), 0);
    fixture_close(&fixture);
}

static void impossible_senders_are_martians(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct frame_ends ends = to_all;
    fixture_open(&fixture);
    static const char *const senders[] = {"127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.9"};
    for (int i = 0; i < 4; i++)
        give(&fixture, REQUEST, senders[i], "10.0.0.1", 1);
    ends.from_mac[0] = 3;
    frame_arp(&frame, &ends, REQUEST, "10.0.0.2", "10.0.0.1");
    frame_give_and_free(&fixture.host, &frame, 1);
    memset(ends.from_mac, 0, 6);
    frame_arp(&frame, &ends, REQUEST, "10.0.0.2", "10.0.0.1");
    frame_give_and_free(&fixture.host, &frame, 1);
    give(&fixture, REPLY, "0.0.0.0", "10.0.0.1", 1);
    assert_int_equal(counters_of(&fixture)->arp_martian, 7);
    assert_int_equal(fixture_sent_count(&fixture), 0);
    fixture_close(&fixture);
}

static void questions_cut_anywhere_and_flipped_anywhere_do_no_harm(void **state)
{
    struct fixture fixture;
    struct frame whole, frame;
    fixture_open(&fixture);
    frame_arp(&whole, &to_all, REQUEST, "10.0.0.2", "10.0.0.1");
    for (uint16_t length = 1; length < whole.length; length++) {
        memcpy(&frame, &whole, sizeof(frame));
        frame.length = length;
        frame_give_and_free(&fixture.host, &frame, 1);
        assert_int_equal(fixture_sent_count(&fixture), 0);
    }
    for (uint32_t bit = 0; bit < whole.length * 8u; bit++) {
        memcpy(&frame, &whole, sizeof(frame));
        frame.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        frame_give_and_free(&fixture.host, &frame, 1);
        assert_in_range(fixture_sent_count(&fixture), 0, 1);
    }
    fixture_close(&fixture);
}

/* Interface 0: 10.0.0.0/24, interface 1 (VLAN 7): 192.0.2.0/24. */
static void a_vip_is_answered_for_where_its_network_is(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct wire_config config = {.ends = 2, .queues = 1, .mbufs = 255};
    fixture_open_as(&fixture, &config, 0, 1);
    struct net_config *net = &fixture.host.config;
    net->interfaces[1] = (struct net_interface){.vlan = 7, .mtu = 1500, .mac = {2, 0, 0, 0, 7, 7}};
    net->interfaces[1].address_count = 1;
    assert_true(ip_prefix_parse("192.0.2.1/24", &net->interfaces[1].addresses[0]));
    net->interface_count = 2;
    net_host_open(&fixture.host);
    struct ip_address vips[2] = {address(VIP4), address("203.0.113.1")};
    net_set_vips(fixture.host.net, vips, 2);

    struct frame_ends tagged = to_all;
    tagged.vlan = 7;
    frame_arp(&frame, &to_all, REQUEST, "10.0.0.2", VIP4);
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_int_equal(fixture_sent_count(&fixture), 0);
    frame_arp(&frame, &tagged, REQUEST, "192.0.2.2", VIP4);
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_true(fixture_sent(&fixture, &frame));
    assert_int_equal(frame.data[12], 0x81);
    assert_int_equal(frame.data[15], 7);
    assert_memory_equal(frame.data + 6, net->interfaces[1].mac, 6);
    frame_arp(&frame, &to_all, REQUEST, "10.0.0.2", "203.0.113.1"); /* in no network: anywhere */
    frame_give_and_free(&fixture.host, &frame, 1);
    frame_arp(&frame, &tagged, REQUEST, "192.0.2.2", "203.0.113.1");
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_int_equal(fixture_sent_count(&fixture), 2);
    frame_arp(&frame, &tagged, REQUEST, "192.0.2.2", "10.0.0.1"); /* another interface's own */
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_int_equal(fixture_sent_count(&fixture), 0);
    fixture_close(&fixture);
}

static void assert_announced(struct fixture *fixture, uint64_t reports)
{
    struct frame frame;
    int arp = 0, ndp = 0;
    while (fixture_sent(fixture, &frame)) {
        bool is_arp = frame.data[12] == 8 && frame.data[13] == 6;
        arp += is_arp && memcmp(frame.data + 28, frame.data + 38, 4) == 0;
        ndp += frame.data[12] == 0x86 && frame.data[54] == 136 && (frame.data[58] & 0x60) == 0x20;
    }
    assert_int_equal(arp, 2);
    assert_int_equal(ndp, 2);
    assert_int_equal(counters_of(fixture)->mld_reports, reports);
}

/* A neighbour whose link is not up yet misses the first time. */
static void all_addresses_are_announced_three_times(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    net_announce(fixture.host.net, 1);
    assert_announced(&fixture, 1);
    for (uint64_t i = 1; i < 3; i++) {
        timer_wheel_advance(&fixture.host.wheel, i * (CLOCK_S + 10 * CLOCK_MS), 100);
        assert_announced(&fixture, 1 + i);
    }
    timer_wheel_advance(&fixture.host.wheel, 90 * CLOCK_S, 100);
    assert_int_equal(fixture_sent_count(&fixture), 0);
    fixture_close(&fixture);
}

static void many_vips_are_announced_in_several_flushes(void **state)
{
    struct fixture fixture;
    struct ip_address vips[NET_VIPS_MAX];
    fixture_open(&fixture);
    for (int i = 0; i < NET_VIPS_MAX; i++) {
        vips[i] = address("203.0.113.0");
        vips[i].bytes[15] = (uint8_t)i;
    }
    net_set_vips(fixture.host.net, vips, NET_VIPS_MAX);
    net_announce(fixture.host.net, 1);
    assert_int_equal(fixture_sent_count(&fixture), NET_VIPS_MAX + 3); /* and MLD */
    assert_int_equal(counters_of(&fixture)->out_queue_full, 0);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_for_an_address_of_ours_is_answered),
        cmocka_unit_test(a_question_for_another_is_not_answered),
        cmocka_unit_test(an_address_probe_is_answered_and_teaches_nothing),
        cmocka_unit_test(who_asks_need_not_be_asked),
        cmocka_unit_test(a_reply_resolves_and_sends_what_waited),
        cmocka_unit_test(a_reply_that_nobody_asked_for_makes_no_entry),
        cmocka_unit_test(an_announcement_moves_a_known_neighbour),
        cmocka_unit_test(addresses_beyond_the_link_are_not_learned),
        cmocka_unit_test(another_host_with_our_address_is_a_conflict),
        cmocka_unit_test(impossible_senders_are_martians),
        cmocka_unit_test(questions_cut_anywhere_and_flipped_anywhere_do_no_harm),
        cmocka_unit_test(a_vip_is_answered_for_where_its_network_is),
        cmocka_unit_test(all_addresses_are_announced_three_times),
        cmocka_unit_test(many_vips_are_announced_in_several_flushes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
