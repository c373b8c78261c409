/* IPv6 neighbour discovery: RFC 4861's rules of validity, answers, and what advertisements change.
 */
#include "net_fixture.h"

#define NS         135
#define NA         136
#define SOLICITED  0x40000000u
#define OVERRIDE   0x20000000u
#define GROUP_OF_1 "ff02::1:ff00:1"

/* To the solicited-node group of fd00::1, from a link-local address. */
static const struct frame_ends to_group = {
    {0x33, 0x33, 0xff, 0, 0, 1}, {2, 0, 0, 0, 1, 0}, 0, "fd00::2", GROUP_OF_1};

static void assert_answer(struct fixture *fixture, const char *ours, const char *to)
{
    struct frame frame, expected;
    struct frame_ends ends = {{2, 0, 0, 0, 1, 0}, {2, 0, 0, 0, 0, 0}, 0, ours, to};
    assert_true(fixture_sent(fixture, &frame));
    frame_ndp(&expected, &ends, NA, SOLICITED | OVERRIDE, ours);
    assert_int_equal(frame.length, expected.length);
    assert_memory_equal(frame.data, expected.data, expected.length);
    assert_false(fixture_sent(fixture, &frame));
}

static void a_question_by_group_or_unicast_is_answered(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct frame_ends ends = to_group;
    fixture_open(&fixture);
    frame_ndp(&frame, &to_group, NS, 0, "fd00::1");
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_answer(&fixture, "fd00::1", "fd00::2");
    frame_ndp(&frame, &v6_ends, NS, 0, "fd00::1");
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_answer(&fixture, "fd00::1", "fd00::2");
    ends.from = "fe80::2";
    ends.to = "ff02::1:ff00:80";
    frame_ndp(&frame, &ends, NS, 0, VIP6);
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_answer(&fixture, VIP6, "fe80::2");
    fixture_close(&fixture);
}

static void a_question_without_the_option_is_answered_to_its_sender(void **state)
{
    struct fixture fixture;
    struct frame frame;
    uint8_t message[24] = {NS};
    struct ip_address ours = address("fd00::1");
    fixture_open(&fixture);
    memcpy(message + 8, ours.bytes, 16);
    frame_icmp(&frame, &v6_ends, message, sizeof(message));
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_answer(&fixture, "fd00::1", "fd00::2");
    fixture_close(&fixture);
}

static void duplicate_address_detection_is_told_that_the_address_is_taken(void **state)
{
    struct fixture fixture;
    struct frame frame;
    uint8_t message[32] = {NS, [24] = 14, [25] = 1}; /* with a nonce (RFC 7527) */
    struct ip_address ours = address("fd00::1");
    struct frame_ends ends = to_group;
    fixture_open(&fixture);
    memcpy(message + 8, ours.bytes, 16);
    ends.from = "::";
    frame_icmp(&frame, &ends, message, sizeof(message));
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_true(fixture_sent(&fixture, &frame));
    struct ip_address all_nodes = address("ff02::1");
    assert_memory_equal(frame.data + 38, all_nodes.bytes, 16);
    assert_int_equal(frame.data[58] & 0x60, 0x20);
    frame_ndp(&frame, &ends, NS, 0, "fd00::1"); /* with a source option: invalid */
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_int_equal(counters_of(&fixture)->ndp_malformed, 1);
    ends.to = "fd00::1"; /* not to the group: invalid */
    memcpy(ends.to_mac, v6_ends.to_mac, 6);
    frame_icmp(&frame, &ends, message, sizeof(message));
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_int_equal(counters_of(&fixture)->ndp_malformed, 2);
    assert_int_equal(fixture_sent_count(&fixture), 0);
    fixture_close(&fixture);
}

static void questions_for_others_are_not_answered(void **state)
{
    struct fixture fixture;
    struct frame frame;
    fixture_open(&fixture);
    frame_ndp(&frame, &to_group, NS, 0, "fd00:1::1"); /* another address of the same group */
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_int_equal(counters_of(&fixture)->ndp_not_ours, 1);
    struct frame_ends ends = to_group;
    ends.to = "ff02::1:ff00:2";
    frame_ndp(&frame, &ends, NS, 0, "fd00::1");
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_int_equal(counters_of(&fixture)->in_ip_not_ours, 1);
    assert_int_equal(fixture_sent_count(&fixture), 0);
    fixture_close(&fixture);
}

/* One byte of a good question is changed, the checksum made right. */
static void give_changed(struct fixture *fixture, uint16_t at, uint8_t value)
{
    struct frame frame;
    frame_ndp(&frame, &to_group, NS, 0, "fd00::1");
    frame.data[at] = value;
    frame_fix_transport(&frame);
    frame_give_and_free(&fixture->host, &frame, 1);
}

static void invalid_messages_are_dropped(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    give_changed(&fixture, 21, 254);  /* hop limit: it was forwarded */
    give_changed(&fixture, 55, 1);    /* code */
    give_changed(&fixture, 62, 0xff); /* a group as target */
    give_changed(&fixture, 79, 0);    /* an option without length */
    give_changed(&fixture, 79, 2);    /* an option longer than the message */
    assert_int_equal(counters_of(&fixture)->ndp_malformed, 5);
    assert_int_equal(fixture_sent_count(&fixture), 0);
    fixture_close(&fixture);
}

static void router_messages_and_redirects_are_ignored(void **state)
{
    struct fixture fixture;
    struct frame frame;
    fixture_open(&fixture);
    for (uint8_t type = 133; type <= 137; type++) {
        if (type == NS || type == NA)
            continue;
        frame_ndp(&frame, &v6_ends, type, 0, "fd00::1");
        frame_give_and_free(&fixture.host, &frame, 1);
    }
    assert_int_equal(counters_of(&fixture)->ndp_ignored, 3);
    fixture_close(&fixture);
}

static void advertise(struct fixture *fixture, uint32_t flags, uint8_t mac, uint64_t now)
{
    struct frame frame;
    struct frame_ends ends = v6_ends;
    ends.from_mac[5] = mac;
    frame_ndp(&frame, &ends, NA, flags, "fd00::2");
    frame_give_and_free(&fixture->host, &frame, now);
}

/* Send something to fd00::2 and see where it goes; 256: it was held back. */
static int next_hop_mac(struct fixture *fixture, uint64_t now)
{
    struct frame frame;
    int found = 256;
    assert_true(send_marked(fixture, "fd00::2", 9, now));
    while (fixture_sent(fixture, &frame))
        if (frame.data[20] == IPPROTO_TCP)
            found = frame.data[5];
    return found;
}

static void a_question_goes_to_the_group_of_its_target(void **state)
{
    struct fixture fixture;
    struct frame frame;
    static const uint8_t mac[6] = {0x33, 0x33, 0xff, 0, 0, 2};
    struct ip_address group = address("ff02::1:ff00:2");
    struct ip_address target = address("fd00::2");
    fixture_open(&fixture);
    assert_true(send_marked(&fixture, "fd00::2", 9, 1));
    assert_true(fixture_sent(&fixture, &frame));
    assert_memory_equal(frame.data, mac, 6);
    assert_int_equal(frame.data[21], 255);
    assert_memory_equal(frame.data + 38, group.bytes, 16);
    assert_int_equal(frame.data[54], NS);
    assert_memory_equal(frame.data + 62, target.bytes, 16);
    assert_int_equal(frame.data[78], 1);
    assert_memory_equal(frame.data + 80, v6_ends.to_mac, 6);
    advertise(&fixture, SOLICITED | OVERRIDE, 0, 2);
    assert_true(fixture_sent(&fixture, &frame));
    assert_int_equal(mark_of(&frame), 9);
    fixture_close(&fixture);
}

static void flags_decide_whether_an_advertisement_replaces_what_is_known(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    assert_int_equal(next_hop_mac(&fixture, 1), 256);
    advertise(&fixture, SOLICITED, 7, 2); /* the first answer counts without override */
    assert_int_equal(next_hop_mac(&fixture, 3), 7);
    advertise(&fixture, SOLICITED, 8, 4);
    assert_int_equal(next_hop_mac(&fixture, 5), 7);
    advertise(&fixture, SOLICITED | OVERRIDE, 8, 6);
    assert_int_equal(next_hop_mac(&fixture, 7), 8);
    advertise(&fixture, 0, 9, 8);
    assert_int_equal(counters_of(&fixture)->ndp_ignored, 1);
    advertise(&fixture, OVERRIDE, 9, 10);
    assert_int_equal(next_hop_mac(&fixture, 11), 9);
    fixture_close(&fixture);
}

static void a_solicited_answer_to_everybody_is_invalid(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct frame_ends ends = {
        {0x33, 0x33, 0, 0, 0, 1}, {2, 0, 0, 0, 1, 0}, 0, "fd00::2", "ff02::1"};
    fixture_open(&fixture);
    frame_ndp(&frame, &ends, NA, SOLICITED, "fd00::2");
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_int_equal(counters_of(&fixture)->ndp_malformed, 1);
    frame_ndp(&frame, &ends, NA, OVERRIDE, "fd00::1");
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_int_equal(counters_of(&fixture)->address_conflict, 1);
    fixture_close(&fixture);
}

static void messages_cut_anywhere_and_flipped_anywhere_do_no_harm(void **state)
{
    struct fixture fixture;
    struct frame whole, frame;
    fixture_open(&fixture);
    for (uint8_t type = NS; type <= NA; type++) {
        frame_ndp(&whole, &v6_ends, type, SOLICITED, type == NS ? "fd00::1" : "fd00::2");
        for (uint16_t length = 0; length < 32; length++) {
            struct frame_ends ends = v6_ends;
            frame_icmp(&frame, &ends, whole.data + 54, length < 4 ? 4 : length);
            frame_give_and_free(&fixture.host, &frame, 1);
            assert_in_range(fixture_sent_count(&fixture), 0, 1);
        }
        for (uint32_t bit = 14 * 8; bit < whole.length * 8u; bit++) {
            memcpy(&frame, &whole, sizeof(frame));
            frame.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            frame_give_and_free(&fixture.host, &frame, 1); /* checksum wrong: dropped early */
            if (bit >= 54 * 8)
                frame_fix_transport(&frame);
            frame_give_and_free(&fixture.host, &frame, 1);
            assert_in_range(fixture_sent_count(&fixture), 0, 2);
        }
    }
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_by_group_or_unicast_is_answered),
        cmocka_unit_test(a_question_without_the_option_is_answered_to_its_sender),
        cmocka_unit_test(duplicate_address_detection_is_told_that_the_address_is_taken),
        cmocka_unit_test(questions_for_others_are_not_answered),
        cmocka_unit_test(invalid_messages_are_dropped),
        cmocka_unit_test(router_messages_and_redirects_are_ignored),
        cmocka_unit_test(a_question_goes_to_the_group_of_its_target),
        cmocka_unit_test(flags_decide_whether_an_advertisement_replaces_what_is_known),
        cmocka_unit_test(a_solicited_answer_to_everybody_is_invalid),
        cmocka_unit_test(messages_cut_anywhere_and_flipped_anywhere_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
