/* Multicast listener reports: the groups of our IPv6 addresses, when announced, asked and in time.
 */
#include "net_fixture.h"

static const struct frame_ends query_ends = {
    {0x33, 0x33, 0, 0, 0, 1}, {2, 0, 0, 0, 1, 0}, 0, "fe80::9", "ff02::1"};

/* The next report that came out; false: none did. */
static bool next_report(struct fixture *fixture, struct frame *out)
{
    while (fixture_sent(fixture, out))
        if (out->data[12] == 0x86 && out->data[20] == IPPROTO_HOPOPTS && out->data[62] == 143)
            return true;
    return false;
}

static void assert_report(struct fixture *fixture, uint8_t record_type)
{
    struct frame frame, again;
    static const uint8_t mac[6] = {0x33, 0x33, 0, 0, 0, 0x16};
    static const uint8_t alert[8] = {IPPROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0};
    struct ip_address none = {{0}}, to = address("ff02::16");
    struct ip_address groups[2] = {address("ff02::1:ff00:1"), address("ff02::1:ff00:80")};
    assert_true(next_report(fixture, &frame));
    assert_int_equal(frame.length, 14 + 40 + 8 + 8 + 2 * 20);
    assert_memory_equal(frame.data, mac, 6);
    assert_int_equal(frame.data[21], 1); /* hop limit */
    assert_memory_equal(frame.data + 22, none.bytes, 16);
    assert_memory_equal(frame.data + 38, to.bytes, 16);
    assert_memory_equal(frame.data + 54, alert, 8);
    assert_int_equal(frame.data[69], 2);
    bool swapped = frame.data[70 + 19] == 0x80;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(frame.data[70 + 20 * i], record_type);
        assert_int_equal(frame.data[70 + 20 * i + 3], 0);
        assert_memory_equal(frame.data + 70 + 20 * i + 4, groups[swapped ? 1 - i : i].bytes, 16);
    }
    memcpy(&again, &frame, sizeof(again));
    frame_fix_transport(&again);
    assert_memory_equal(again.data, frame.data, frame.length);
    assert_false(next_report(fixture, &frame));
}

static void groups_are_reported_when_addresses_are_announced_and_again_in_time(void **state)
{
    struct fixture fixture;
    struct frame frame;
    fixture_open(&fixture);
    net_announce(fixture.host.net, 0);
    assert_report(&fixture, 4);
    for (uint64_t i = 1; i < 3; i++) {
        timer_wheel_advance(&fixture.host.wheel, i * (CLOCK_S + 10 * CLOCK_MS), 100);
        assert_report(&fixture, 4);
    }
    timer_wheel_advance(&fixture.host.wheel, 99 * CLOCK_S, 100);
    assert_false(next_report(&fixture, &frame));
    for (uint64_t i = 1; i < 4; i++) {
        timer_wheel_advance(&fixture.host.wheel, i * 103 * CLOCK_S, 100);
        assert_report(&fixture, 2);
    }
    fixture_close(&fixture);
}

static void give_query(struct fixture *fixture, const struct frame_ends *ends, uint8_t hop_limit,
                       uint64_t now)
{
    struct frame frame;
    static const uint8_t query[28] = {130, [4] = 0x27, [5] = 0x10};
    frame_icmp(&frame, ends, query, sizeof(query));
    frame.data[21] = hop_limit;
    frame_give_and_free(&fixture->host, &frame, now);
}

static void a_query_is_answered_within_a_rate(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    for (int i = 0; i < 10; i++)
        give_query(&fixture, &query_ends, 1, 1);
    assert_int_equal(counters_of(&fixture)->mld_reports, 4);
    assert_int_equal(counters_of(&fixture)->mld_over_rate, 6);
    fixture_sent_count(&fixture);
    give_query(&fixture, &query_ends, 1, CLOCK_S);
    assert_report(&fixture, 2);
    fixture_close(&fixture);
}

static void a_query_from_afar_is_not_answered(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct frame_ends ends = query_ends;
    fixture_open(&fixture);
    give_query(&fixture, &ends, 2, 1);
    ends.from = "fd00::9";
    give_query(&fixture, &ends, 1, 1);
    ends.from = "::";
    give_query(&fixture, &ends, 1, 1);
    assert_int_equal(counters_of(&fixture)->mld_malformed, 3);
    assert_false(next_report(&fixture, &frame));
    fixture_close(&fixture);
}

static void many_groups_take_several_reports(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct ip_address vips[NET_VIPS_MAX];
    fixture_open(&fixture);
    for (int i = 0; i < NET_VIPS_MAX; i++) {
        vips[i] = address("2001:db8::1:0");
        vips[i].bytes[15] = (uint8_t)i;
    }
    net_set_vips(fixture.host.net, vips, NET_VIPS_MAX);
    give_query(&fixture, &query_ends, 1, 1);
    uint32_t records = 0;
    while (next_report(&fixture, &frame)) {
        records += frame.data[69];
        assert_int_equal(frame.length, 70 + 20 * frame.data[69]);
        assert_in_range(frame.length, 70, 1294);
    }
    assert_int_equal(records, NET_VIPS_MAX + 1);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_reported_when_addresses_are_announced_and_again_in_time),
        cmocka_unit_test(a_query_is_answered_within_a_rate),
        cmocka_unit_test(a_query_from_afar_is_not_answered),
        cmocka_unit_test(many_groups_take_several_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
