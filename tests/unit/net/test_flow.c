/* Owners of packets: which worker gets what. */
#include "net_fixture.h"

#define WORKERS 4

static void a_source_port_belongs_to_its_slice(void **state)
{
    for (uint32_t port = FLOW_SOURCE_PORT_FIRST; port <= UINT16_MAX; port++)
        assert_int_equal(flow_port_owner((uint16_t)port, 3), port % 3);
}

static struct flow_tuple tuple_of(const char *local, const char *remote, uint16_t remote_port)
{
    return (struct flow_tuple){address(local), address(remote), 443, remote_port};
}

static void the_hash_spreads_ports_and_addresses_evenly(void **state)
{
    uint32_t by_port[WORKERS] = {0};
    uint32_t by_address[WORKERS] = {0};
    for (uint32_t i = 0; i < 40000; i++) {
        struct flow_tuple tuple = tuple_of(VIP4, "198.51.100.1", (uint16_t)(i + 1024));
        by_port[flow_spread(&tuple) % WORKERS]++;
        tuple = tuple_of(VIP6, "2001:db8:1::", 40000);
        tuple.remote.bytes[14] = (uint8_t)(i >> 8);
        tuple.remote.bytes[15] = (uint8_t)i;
        by_address[flow_spread(&tuple) % WORKERS]++;
    }
    for (int i = 0; i < WORKERS; i++) {
        assert_in_range(by_port[i], 9000, 11000);
        assert_in_range(by_address[i], 9000, 11000);
    }
}

/* Who gets a TCP packet to TO_PORT of TO; the worker asked is 0. */
static uint16_t owner(struct fixture *fixture, const char *to, uint16_t from_port, uint16_t to_port)
{
    struct frame frame;
    struct net_arrivals arrivals;
    bool v4 = strchr(to, ':') == NULL;
    struct frame_ends ends = v4 ? v4_ends : v6_ends;
    ends.to = to;
    frame_tcp(&frame, &ends, from_port, to_port, 0);
    frame_give(&fixture->host, &frame, 1, &arrivals);
    assert_int_equal(arrivals.own_count + arrivals.foreign_count, 1);
    net_host_free(&arrivals);
    return arrivals.own_count == 1 ? 0 : arrivals.foreign_owner[0];
}

static void open_workers(struct fixture *fixture)
{
    struct wire_config config = {.ends = 2, .queues = WORKERS, .mbufs = 63};
    fixture_open_as(fixture, &config, 0, WORKERS);
    net_host_open(&fixture->host);
    fixture_set_vips(fixture);
}

static void replies_to_our_connections_go_to_the_owner_of_the_port(void **state)
{
    struct fixture fixture;
    open_workers(&fixture);
    for (uint16_t i = 0; i < 16; i++) {
        uint16_t port = (uint16_t)(FLOW_SOURCE_PORT_FIRST + i);
        assert_int_equal(owner(&fixture, "10.0.0.1", 80, port), port % WORKERS);
        assert_int_equal(owner(&fixture, "fd00::1", 80, port), port % WORKERS);
    }
    assert_true(counters_of(&fixture)->in_foreign > 0);
    fixture_close(&fixture);
}

static void clients_are_spread_by_the_tuple(void **state)
{
    struct fixture fixture;
    open_workers(&fixture);
    for (uint16_t port = 1024; port < 1064; port++) {
        struct flow_tuple tuple = tuple_of(VIP4, "10.0.0.2", port);
        assert_int_equal(owner(&fixture, VIP4, port, 443), flow_spread(&tuple) % WORKERS);
        tuple = tuple_of(VIP6, "fd00::2", port);
        assert_int_equal(owner(&fixture, VIP6, port, 443), flow_spread(&tuple) % WORKERS);
    }
    fixture_close(&fixture);
}

static void a_high_port_of_a_vip_is_a_listener_not_a_source_port(void **state)
{
    struct fixture fixture;
    open_workers(&fixture);
    struct flow_tuple tuple = {address(VIP4), address("10.0.0.2"), 40001, 1024};
    assert_int_equal(owner(&fixture, VIP4, 1024, 40001), flow_spread(&tuple) % WORKERS);
    fixture_close(&fixture);
}

static void an_icmp_error_goes_where_the_packet_that_it_quotes_came_from(void **state)
{
    struct fixture fixture;
    struct frame quoted, frame;
    struct net_arrivals arrivals;
    struct frame_ends ours = {{0}, {0}, 0, "10.0.0.1", "10.0.0.9"};
    open_workers(&fixture);
    frame_tcp(&quoted, &ours, 32768 + 2, 80, 0);
    uint8_t message[8 + 28] = {3, 4, [6] = 1300 >> 8, [7] = 1300 & 0xff};
    memcpy(message + 8, quoted.data + 14, 28);
    frame_icmp(&frame, &v4_ends, message, sizeof(message));
    frame_give(&fixture.host, &frame, 1, &arrivals);
    assert_int_equal(arrivals.foreign_count, 1);
    assert_int_equal(arrivals.foreign_owner[0], 2);
    assert_int_equal(arrivals.foreign[0]->packet_type, RTE_PTYPE_L4_ICMP);
    net_host_free(&arrivals);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_port_belongs_to_its_slice),
        cmocka_unit_test(the_hash_spreads_ports_and_addresses_evenly),
        cmocka_unit_test(replies_to_our_connections_go_to_the_owner_of_the_port),
        cmocka_unit_test(clients_are_spread_by_the_tuple),
        cmocka_unit_test(a_high_port_of_a_vip_is_a_listener_not_a_source_port),
        cmocka_unit_test(an_icmp_error_goes_where_the_packet_that_it_quotes_came_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
