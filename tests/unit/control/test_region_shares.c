/* region_shares: shares are what states ask for, and steady, and none grows too fast. */
#include "control/region_shares.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"

#include <string.h>

#define REGIONS 2

static const struct config_failover limits = {
    .capacity_percent = 80, .grow_percent = 25, .grow_interval_ns = 5 * CLOCK_S};

static struct fixture {
    struct region_shares shares;
    struct region_demand demands[REGIONS];
    uint16_t told[SNAPSHOT_REGIONS_MAX];
    uint64_t now;
} fixture;

/* Two regions that serve, the first one wanted for all, of 1000 flights; no capacity is known. */
static int setup(void **state)
{
    memset(&fixture, 0, sizeof(fixture));
    fixture.now = 1000 * CLOCK_S;
    for (uint32_t i = 0; i < REGIONS; i++)
        fixture.demands[i] = (struct region_demand){.serves = true, .share_permille = 1000};
    fixture.demands[0].in_flight = 1000;
    return 0;
}

static void update(uint64_t after_ns)
{
    fixture.now += after_ns;
    region_shares_update(&fixture.shares, fixture.demands, REGIONS, &limits, fixture.now,
                         fixture.told);
}

/* What goes where, of 1000 flights. */
static uint64_t part(uint32_t region)
{
    return fixture.shares.plan[region] / 1000;
}

/* Flights have gone where the plan said. */
static void settle(void)
{
    for (uint32_t i = 0; i < REGIONS; i++)
        fixture.demands[i].in_flight = part(i);
}

static void without_capacities_a_share_is_what_the_state_says(void **state)
{
    update(0);
    assert_int_equal(fixture.told[0], 1000);
    assert_int_equal(fixture.told[1], 1000);
    fixture.demands[0].share_permille = 700;
    update(CLOCK_S);
    assert_int_equal(fixture.told[0], 700);
    assert_int_equal(fixture.told[1], 1000);
    fixture.demands[0].share_permille = 50;
    update(CLOCK_S);
    assert_int_equal(fixture.told[0], 50);
}

/*
 * A second of LOAD new flights: as many as it can carry stay in the first region, each for
 * FIRST_MS, as its share says; the others go on, for SECOND_MS.
 */
static void serve_a_second(uint64_t load, uint64_t first_ms, uint64_t second_ms)
{
    uint64_t wanted = load * fixture.told[0] / 1000 * first_ms / 1000;
    uint64_t first = wanted;
    if (fixture.demands[0].capacity > 0 && first > fixture.demands[0].capacity)
        first = fixture.demands[0].capacity;
    fixture.demands[0].in_flight = first;
    fixture.demands[1].in_flight = (load - first * 1000 / first_ms) * second_ms / 1000;
}

/* Regions that are fast and slow, one of them full: whatever is in flight, shares stay. */
static void shares_stay_under_a_steady_load(void **state)
{
    static const uint64_t took_ms[][2] = {{100, 100}, {100, 2000}, {2000, 100}, {1000, 50}};
    static const uint32_t share[] = {1000, 700};
    for (size_t i = 0; i < array_count(took_ms) * array_count(share); i++) {
        setup(state);
        fixture.demands[0].share_permille = share[i % 2];
        fixture.demands[0].capacity = 50;
        fixture.demands[1].capacity = 100000;
        update(0);
        for (int second = 0; second < 120; second++) {
            serve_a_second(900 + (uint64_t)second * 7 % 200, took_ms[i / 2][0], took_ms[i / 2][1]);
            update(CLOCK_S);
            assert_int_equal(fixture.told[0], share[i % 2]);
            assert_int_equal(fixture.told[1], 1000);
        }
    }
}

/* Two nodes that are both at their part of a capacity: the parts come to rest, from whatever. */
static void parts_of_a_capacity_come_to_rest(void **state)
{
    for (uint64_t begin = 0; begin <= 1000; begin += 50) {
        uint64_t own = begin;
        uint64_t other = 1000 - begin;
        uint64_t apart = own > other ? own - other : other - own;
        for (int second = 0; second < 100; second++) {
            uint64_t next = region_capacity_part(1000, own, own + other, 2, true);
            other = region_capacity_part(1000, other, own + other, 2, true);
            own = next;
            uint64_t now_apart = own > other ? own - other : other - own;
            assert_true(now_apart <= apart && own + other <= 1000);
            apart = now_apart;
        }
        assert_in_range(own, 490, 510);
        assert_in_range(other, 490, 510);
    }
}

/* Spill: it has nothing, its whole capacity is 1000: 500 and a quarter at first. */
static void a_receiver_grows_by_a_quarter_in_each_interval(void **state)
{
    fixture.demands[1].capacity = 800;
    update(0);
    fixture.demands[0].share_permille = 100;
    update(CLOCK_S);
    assert_int_equal(part(1), 625);
    assert_int_equal(part(0), 375); /* what may not go yet stays */
    settle();
    update(CLOCK_S); /* in the same interval: no more */
    assert_int_equal(part(1), 625);
    update(4 * CLOCK_S);
    assert_int_equal(part(1), 781);
    settle();
    update(5 * CLOCK_S);
    assert_int_equal(part(1), 900);
    assert_int_equal(part(0), 100);
}

/* What is left over goes where there is room: who is picked for a request knows. */
static void a_region_that_recovers_alone_is_told_its_step(void **state)
{
    fixture.demands[0].share_permille = 50;
    fixture.demands[1].serves = false;
    update(0);
    assert_int_equal(fixture.told[0], 50);
}

static void a_lost_region_is_replaced_at_once(void **state)
{
    fixture.demands[1].capacity = 4000;
    fixture.demands[1].in_flight = 0;
    update(0);
    fixture.demands[0].serves = false;
    update(CLOCK_S);
    assert_int_equal(part(0), 0);
    assert_int_equal(part(1), 1000);
    settle();
    update(CLOCK_S);
    assert_int_equal(part(1), 1000);
}

/* Growth is about moves: what a region always had may grow with the load. */
static void more_clients_are_no_move(void **state)
{
    fixture.demands[0].capacity = 8000;
    fixture.demands[0].in_flight = 1;
    update(0);
    fixture.demands[0].in_flight = 7000;
    update(CLOCK_S);
    assert_int_equal(fixture.told[0], 1000);
}

static void a_node_has_the_part_of_a_capacity_that_its_flights_are(void **state)
{
    assert_int_equal(region_capacity_part(1000, 0, 0, 4, true), 250);
    assert_int_equal(region_capacity_part(1000, 50, 100, 4, false), 250);
    assert_int_equal(region_capacity_part(1000, 50, 100, 4, true), 25 + 450);
    assert_int_equal(region_capacity_part(1000, 0, 100, 4, true), 25);
    assert_int_equal(region_capacity_part(1000, 9, 9, 1, true), 1000);
    assert_int_equal(region_capacity_part(1000, 9, 9, 0, false), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_capacities_a_share_is_what_the_state_says, setup),
        cmocka_unit_test_setup(shares_stay_under_a_steady_load, setup),
        cmocka_unit_test_setup(parts_of_a_capacity_come_to_rest, setup),
        cmocka_unit_test_setup(a_receiver_grows_by_a_quarter_in_each_interval, setup),
        cmocka_unit_test_setup(a_region_that_recovers_alone_is_told_its_step, setup),
        cmocka_unit_test_setup(a_lost_region_is_replaced_at_once, setup),
        cmocka_unit_test_setup(more_clients_are_no_move, setup),
        cmocka_unit_test(a_node_has_the_part_of_a_capacity_that_its_flights_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
