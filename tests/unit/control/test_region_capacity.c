/* region_capacity: rule S4: what cannot be carried is not admitted. */
#include "control/region_capacity.h"

#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"
#include "tests/support/region_world.h"

/* Each of the four regions can carry 1000 flights, 800 of which may be used. */
static struct world *world_with_load(uint64_t flights_of_each_node)
{
    struct world *world = world_make();
    for (uint32_t n = 0; n < NODES; n++) {
        world->votes.votes[n].regions[0].in_flight = flights_of_each_node;
        for (uint32_t r = 0; r < REGIONS; r++)
            world->votes.votes[n].regions[r].capacity = 1000;
    }
    return world;
}

static void send_down(struct world *world, uint32_t region)
{
    applied(world);
    world->state.last_down_ms = 0;
    world->state.regions[region].automatic = REGION_SUSPECT;
    all_hold(world, region, REGION_BELOW_SUSPECT, LONG_MS);
    assert_int_equal(decide(world, REGION_MOVE, region, REGION_DOWN), REGION_DONE);
    all_hold(world, region, REGION_BELOW_SUSPECT, REGION_NOT_HELD);
}

static enum region_answer order(struct world *world, enum region_request_kind kind, uint32_t region,
                                uint32_t despite)
{
    applied(world);
    world->request.despite = despite;
    enum region_answer answer = decide(world, kind, region, REGION_DOWN);
    world->request.despite = 0;
    return answer;
}

static void down_comes_with_the_limit_that_fits(void **state)
{
    static const struct {
        uint64_t flights; /* of each of three nodes */
        uint64_t admit;
    } cases[] = {{0, 0}, {800, 0}, {801, 2400}, {100000, 2400}};
    for (size_t i = 0; i < array_count(cases); i++) {
        struct world *world = world_with_load(cases[i].flights);
        send_down(world, 0);
        assert_int_equal(world->state.admit, cases[i].admit);
    }
}

static void orders_that_take_a_region_out_come_with_it_too(void **state)
{
    static const enum region_request_kind kinds[] = {REGION_DRAIN, REGION_FORCE_DOWN};
    for (size_t i = 0; i < array_count(kinds); i++) {
        struct world *world = world_with_load(2000);
        assert_int_equal(order(world, kinds[i], 0, 0), REGION_DONE);
        assert_int_equal(world->state.admit, 2400);
        world = world_with_load(2000);
        assert_int_equal(order(world, kinds[i], 0, REGION_RULE_S4), REGION_DONE);
        assert_int_equal(world->state.admit, 0);
        assert_string_equal(world->state.regions[0].reason,
                            i == 0 ? "drained despite S4 by me" : "forced down despite S4 by me");
    }
}

/* While load is shed it always seems to fit: only more capacity moves the limit. */
static void the_limit_moves_with_the_regions_and_ends_with_the_last_that_comes_back(void **state)
{
    struct world *world = world_with_load(2000);
    send_down(world, 0);
    world->votes.votes[0].regions[0].in_flight = 1;
    world->votes.votes[1].regions[0].in_flight = 1;
    world->votes.votes[2].regions[0].in_flight = 1;
    send_down(world, 1);
    assert_int_equal(world->state.admit, 1600);
    applied(world);
    all_hold(world, 1, REGION_AT_LEAST_RECOVER, LONG_MS);
    world->state.regions[1].hold_down_until_ms = 0;
    assert_int_equal(decide(world, REGION_MOVE, 1, REGION_RECOVERING), REGION_DONE);
    assert_int_equal(world->state.admit, 2400);
    applied(world);
    all_hold(world, 0, REGION_AT_LEAST_RECOVER, LONG_MS);
    world->state.regions[0].hold_down_until_ms = 0;
    assert_int_equal(decide(world, REGION_MOVE, 0, REGION_RECOVERING), REGION_DONE);
    assert_int_equal(world->state.admit, 0);
}

static void what_is_not_known_limits_nothing(void **state)
{
    struct world *world = world_with_load(100000);
    for (uint32_t n = 0; n < 2; n++) /* two of three know nothing */
        world->votes.votes[n].regions[2].capacity = REGION_CAPACITY_UNKNOWN;
    send_down(world, 0);
    assert_int_equal(world->state.admit, 0);
}

static void one_node_that_sees_a_region_badly_does_not_decide(void **state)
{
    struct world *world = world_with_load(100000);
    world->votes.votes[0].regions[1].capacity = 10;
    world->votes.votes[1].regions[2].capacity = 5000;
    world->votes.votes[2].regions[3].capacity = 10;
    assert_int_equal(region_capacity(&world->rules, &world->votes, 1), 1000);
    assert_int_equal(region_capacity(&world->rules, &world->votes, 2), 1000);
    world->votes.votes[0].blind = true; /* of two the lesser */
    assert_int_equal(region_capacity(&world->rules, &world->votes, 3), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(down_comes_with_the_limit_that_fits),
        cmocka_unit_test(orders_that_take_a_region_out_come_with_it_too),
        cmocka_unit_test(the_limit_moves_with_the_regions_and_ends_with_the_last_that_comes_back),
        cmocka_unit_test(what_is_not_known_limits_nothing),
        cmocka_unit_test(one_node_that_sees_a_region_badly_does_not_decide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
