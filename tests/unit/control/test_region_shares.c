/* region_shares: no region gets more than it can carry, and none grows too fast. */
#include "control/region_shares.h"

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

static void a_region_is_clipped_at_its_capacity_and_the_rest_goes_on(void **state)
{
    fixture.demands[0].capacity = 400;
    update(0);
    assert_int_equal(fixture.told[0], 400);
    assert_int_equal(fixture.told[1], 1000);
    assert_int_equal(part(1), 600);
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
    assert_int_equal(part(1), 800);
    assert_int_equal(part(0), 200); /* 100 fit nowhere else */
}

static void a_region_that_recovers_counts_in_full_before_anything_is_shed(void **state)
{
    fixture.demands[0].share_permille = 50;
    fixture.demands[1].capacity = 500;
    update(0);
    assert_int_equal(part(0), 500);
    assert_int_equal(part(1), 500);
    fixture.demands[0].capacity = 300;
    update(CLOCK_S);
    assert_int_equal(part(0), 300);
    assert_int_equal(part(1), 500);
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
        cmocka_unit_test_setup(a_region_is_clipped_at_its_capacity_and_the_rest_goes_on, setup),
        cmocka_unit_test_setup(a_receiver_grows_by_a_quarter_in_each_interval, setup),
        cmocka_unit_test_setup(a_region_that_recovers_counts_in_full_before_anything_is_shed,
                               setup),
        cmocka_unit_test_setup(a_lost_region_is_replaced_at_once, setup),
        cmocka_unit_test_setup(more_clients_are_no_move, setup),
        cmocka_unit_test(a_node_has_the_part_of_a_capacity_that_its_flights_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
