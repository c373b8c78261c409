/* failover_tell: what workers are told when regions are full, and when all of them look sick. */
#include "control/failover.h"

#include "dataplane/base/check.h"
#include "tests/support/told_node.h"

static int teardown(void **state)
{
    told_end(*state);
    return 0;
}

/* Two regions of 400 flights each, of which 320 may be used. */
static int setup(void **state)
{
    struct told_node *node = told_node_make(2);
    told_capacity(node, 0, 100);
    told_capacity(node, 1, 100);
    told_start(node);
    *state = node;
    return 0;
}

static int setup_without_capacity(void **state)
{
    struct told_node *node = told_node_make(2);
    told_start(node);
    *state = node;
    return 0;
}

static void a_region_may_have_four_fifths_of_its_usable_backends_capacity(void **state)
{
    struct told_node *node = *state;
    assert_int_equal(failover_region_capacity(node->failover, 0), 320);
    told_kill(node, 0, 1);
    told_run(node, 10 * CLOCK_S);
    assert_int_equal(failover_region_capacity(node->failover, 0), 240);
}

static void without_capacity_there_is_no_limit(void **state)
{
    struct told_node *node = *state;
    told_load(node, 0, 100000);
    told_run(node, 5 * CLOCK_S);
    assert_int_equal(failover_region_capacity(node->failover, 0), 0);
    assert_int_equal(failover_region_share(node->failover, 0), 1000);
    told_kill(node, 0, 4);
    told_run(node, 60 * CLOCK_S);
    assert_false(failover_region_active(node->failover, 0));
    assert_int_equal(failover_node_flights(node->failover), 0);
}

/* What a full region cannot take goes on request by request (region/pick.c), and by no plan. */
static void a_full_region_keeps_its_share(void **state)
{
    struct told_node *node = *state;
    told_load(node, 0, 640);
    told_run(node, 30 * CLOCK_S);
    assert_int_equal(failover_region_share(node->failover, 0), 1000);
    told_load(node, 0, 320);
    told_load(node, 1, 320);
    told_run(node, 30 * CLOCK_S);
    assert_int_equal(failover_region_share(node->failover, 0), 1000);
    assert_int_equal(failover_region_share(node->failover, 1), 1000);
}

/* Growth limits only moves that can wait. */
static void a_lost_region_is_followed_at_once_with_a_limit_of_admission(void **state)
{
    struct told_node *node = *state;
    told_load(node, 0, 300);
    told_load(node, 1, 200);
    told_run(node, 5 * CLOCK_S);
    assert_int_equal(failover_node_flights(node->failover), 0);
    told_kill(node, 0, 4);
    told_run(node, 60 * CLOCK_S);
    assert_string_equal(told_region(node, 0).automatic, "down");
    assert_int_equal(failover_node_flights(node->failover), 320);
    assert_int_equal(told_view(node).admit, 320);
    assert_true(told_said(node, "ALARM: rule S4"));
    told_kill(node, 0, 0);
    told_run(node, 300 * CLOCK_S);
    assert_int_equal(failover_node_flights(node->failover), 0);
    assert_true(told_said(node, "no limit of admission any more"));
}

static void panic_is_when_every_active_region_is_below_half(void **state)
{
    struct told_node *node = *state;
    told_kill(node, 0, 3);
    told_run(node, 5 * CLOCK_S);
    assert_false(failover_is_panic(node->failover));
    told_kill(node, 1, 2); /* half is enough */
    told_run(node, 10 * CLOCK_S);
    assert_false(failover_is_panic(node->failover));
    told_kill(node, 1, 3);
    told_run(node, 10 * CLOCK_S);
    assert_true(failover_is_panic(node->failover));
    assert_true(told_view(node).panic);
    assert_true(told_said(node, "ALARM: panic"));
    told_kill(node, 1, 0);
    told_run(node, 30 * CLOCK_S);
    assert_false(failover_is_panic(node->failover));
    assert_true(told_said(node, "panic is over"));
}

/* What is drained has no say: neither does it end panic, nor is it meant by it. */
static void drained_regions_have_no_say_in_panic(void **state)
{
    struct told_node *node = *state;
    const struct failover_order drain = {.command = FAILOVER_DRAIN, .region = 1};
    assert_true(told_order(node, &drain));
    told_kill(node, 0, 3);
    told_run(node, 10 * CLOCK_S);
    assert_true(failover_is_panic(node->failover));
    assert_false(failover_region_active(node->failover, 1));
}

static void panic_can_be_switched_off(void **state)
{
    struct told_node *node = *state;
    node->lab.config.failover.panic_below = 0;
    failover_apply(node->failover, &node->lab.config);
    told_kill(node, 0, 4);
    told_kill(node, 1, 4);
    told_run(node, 30 * CLOCK_S);
    assert_false(failover_is_panic(node->failover));
}

static void a_blind_node_says_so(void **state)
{
    struct told_node *node = *state;
    assert_false(told_view(node).blind);
    told_kill(node, 0, 4);
    told_kill(node, 1, 4);
    told_run(node, 30 * CLOCK_S);
    assert_true(told_view(node).blind);
    assert_true(told_said(node, "ALARM: blind"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name, how) cmocka_unit_test_setup_teardown(name, how, teardown)
        CASE(a_region_may_have_four_fifths_of_its_usable_backends_capacity, setup),
        CASE(without_capacity_there_is_no_limit, setup_without_capacity),
        CASE(a_full_region_keeps_its_share, setup),
        CASE(a_lost_region_is_followed_at_once_with_a_limit_of_admission, setup),
        CASE(panic_is_when_every_active_region_is_below_half, setup),
        CASE(drained_regions_have_no_say_in_panic, setup),
        CASE(panic_can_be_switched_off, setup),
        CASE(a_blind_node_says_so, setup),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
