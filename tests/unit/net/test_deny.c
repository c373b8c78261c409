/* Denied sources get nothing, but for neighbour discovery. */
#include "net_fixture.h"

#include "dataplane/net/deny.h"

static const struct deny_v4 v4_ranges[] = {{0x0a000002, 0x0a000002}};
static const struct deny_v6 v6_ranges[] = {
    {{0xfd00000000000000, 2}, {0xfd00000000000000, 2}},
};
static uint32_t v4_index[DENY_V4_INDEX];

/* 10.0.0.2 and fd00::2. */
static struct deny_table table_of(void)
{
    for (uint32_t high = 0; high < DENY_V4_INDEX; high++)
        v4_index[high] = high > 0x0a00;
    return (struct deny_table){
        .v4_count = 1, .v6_count = 1, .v4 = v4_ranges, .v6 = v6_ranges, .v4_index = v4_index};
}

static uint16_t give_tcp(struct fixture *fixture, const char *from, const char *to)
{
    struct frame frame;
    struct frame_ends ends = v4_ends;
    ends.from = from;
    ends.to = to;
    frame_tcp(&frame, &ends, 4000, 443, 3);
    return frame_give_and_free(&fixture->host, &frame, 1);
}

static uint32_t give_echo(struct fixture *fixture, const struct frame_ends *ends, uint8_t type)
{
    struct frame frame;
    uint8_t echo[8] = {type};
    frame_icmp(&frame, ends, echo, sizeof(echo));
    frame_give_and_free(&fixture->host, &frame, 1);
    return fixture_sent_count(fixture);
}

static void denied_sources_are_dropped_and_counted(void **state)
{
    struct fixture fixture;
    struct deny_table table = table_of();
    fixture_open(&fixture);
    assert_int_equal(give_tcp(&fixture, "10.0.0.2", VIP4), 1);
    net_set_denied(fixture.host.net, &table);
    assert_int_equal(give_tcp(&fixture, "10.0.0.2", VIP4), 0);
    assert_int_equal(give_tcp(&fixture, "10.0.0.2", "10.0.0.1"), 0);
    assert_int_equal(give_tcp(&fixture, "fd00::2", VIP6), 0);
    assert_int_equal(counters_of(&fixture)->in_denied, 3);
    assert_int_equal(give_tcp(&fixture, "10.0.0.3", VIP4), 1);
    assert_int_equal(give_tcp(&fixture, "10.0.0.1", VIP4), 0); /* ours: another reason */
    assert_int_equal(give_tcp(&fixture, "fd00::3", VIP6), 1);
    assert_int_equal(give_echo(&fixture, &v4_ends, 8), 0);
    assert_int_equal(give_echo(&fixture, &v6_ends, 128), 0);
    assert_int_equal(counters_of(&fixture)->in_denied, 5);
    net_set_denied(fixture.host.net, NULL);
    assert_int_equal(give_tcp(&fixture, "10.0.0.2", VIP4), 1);
    assert_int_equal(give_echo(&fixture, &v4_ends, 8), 1);
    fixture_close(&fixture);
}

static void a_denied_gateway_is_still_found(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct deny_table table = table_of();
    fixture_open(&fixture);
    net_set_denied(fixture.host.net, &table);
    frame_arp(&frame, &v4_ends, 1, "10.0.0.2", "10.0.0.1");
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_int_equal(counters_of(&fixture)->arp_answered, 1);
    frame_ndp(&frame, &v6_ends, 135, 0, "fd00::1");
    frame_give_and_free(&fixture.host, &frame, 1);
    assert_int_equal(counters_of(&fixture)->ndp_answered, 1);
    assert_int_equal(counters_of(&fixture)->in_denied, 0);
    fixture_sent_count(&fixture);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(denied_sources_are_dropped_and_counted),
        cmocka_unit_test(a_denied_gateway_is_still_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
