/* Nodes that agree on the state of regions, by evidence and by order. */
#include "tests/unit/control/failover_case.h"

static void two_nodes_agree_that_a_region_is_down_and_that_it_is_back(void **state)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 3);
    wait_for_begin();
    for (uint32_t n = 0; n < 2; n++) {
        assert_true(failover_region_active(world.nodes[n].failover, 0));
        assert_int_equal(failover_region_share(world.nodes[n].failover, 0), 1000);
    }
    kill_region(0, true);
    wait_for(0, "down");
    for (uint32_t n = 0; n < 2; n++) {
        assert_false(failover_region_active(world.nodes[n].failover, 0));
        assert_int_equal(failover_region_share(world.nodes[n].failover, 0), 0);
        assert_true(failover_region_active(world.nodes[n].failover, 1));
        assert_int_equal(view_of(&world.nodes[n], 0).votes_fresh, 2);
        assert_true(world.nodes[n].changed_count > 0);
    }
    assert_in_redis("region:r0:auto", "down");
    assert_in_redis("region:r1:auto", "up");
    kill_region(0, false);
    wait_for(0, "recovering");
    assert_true(failover_region_active(world.nodes[0].failover, 0));
    assert_in_range(failover_region_share(world.nodes[0].failover, 0), 50, 1000);
    wait_for(0, "up");
    assert_int_equal(failover_region_share(world.nodes[1].failover, 0), 1000);
    assert_int_equal(view_of(&world.nodes[0], 0).epoch, view_of(&world.nodes[1], 0).epoch);
}

/* One of two does not reach the region: its valves work, the agreed state does not move. */
static void one_node_of_two_cannot_take_a_region_down(void **state)
{
    struct node *blinded = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 2);
    wait_for_begin();
    blinded->cut[0] = true;
    lab_run_for(world.loop, 1500 * CLOCK_MS);
    assert_false(failover_backend_usable(blinded->failover, 0));
    assert_true(failover_backend_usable(world.nodes[1].failover, 0));
    assert_string_equal(view_of(blinded, 0).automatic, "up");
    assert_true(failover_region_active(blinded->failover, 0));
    assert_int_equal(view_of(blinded, 0).votes_agreeing, 1);
    assert_true(view_of(blinded, 0).availability == 0);
    world.nodes[1].cut[0] = true;
    wait_for(0, "down");
}

static void the_majority_of_three_decides_for_the_third(void **state)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(3, 2);
    wait_for_begin();
    world.nodes[1].cut[0] = true;
    world.nodes[2].cut[0] = true;
    wait_for(0, "down");
    assert_false(failover_region_active(world.nodes[0].failover, 0));
    assert_true(failover_backend_usable(world.nodes[0].failover, 0));
}

/* Beats are an hour apart: what is decided rests on votes that came when there was something new.
 */
static void votes_are_told_when_evidence_begins_and_when_it_has_held(void **state)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 2);
    wait_for_begin();
    for (uint32_t n = 0; n < 2; n++) {
        struct config_failover *failover = &world.nodes[n].lab.config.failover;
        failover->vote_interval_ns = 3600 * CLOCK_S;
        failover->vote_fresh_ns = failover->vote_gone_ns = 2 * 3600 * CLOCK_S;
        failover_apply(world.nodes[n].failover, &world.nodes[n].lab.config);
    }
    lab_run_for(world.loop, 50 * CLOCK_MS);
    kill_region(0, true);
    wait_for(0, "down");
}

static void a_part_of_a_region_makes_it_spill_in_proportion(void **state)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 2);
    wait_for_begin();
    world.dead[0] = world.dead[1] = true;
    wait_for(0, "degraded");
    assert_true(failover_region_active(world.nodes[0].failover, 0));
    assert_int_equal(failover_region_share(world.nodes[0].failover, 0), 700); /* 50 % x 1.4 */
    world.dead[0] = world.dead[1] = false;
    wait_for(0, "up");
}

static void nodes_that_reach_nothing_abstain(void **state)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 2);
    wait_for_begin();
    kill_region(0, true);
    kill_region(1, true);
    lab_run_for(world.loop, 1500 * CLOCK_MS);
    for (uint32_t n = 0; n < 2; n++) {
        assert_true(failover_region_active(world.nodes[n].failover, 0));
        assert_true(failover_region_active(world.nodes[n].failover, 1));
        assert_int_equal(view_of(&world.nodes[n], 0).votes_fresh, 2);
        assert_int_equal(view_of(&world.nodes[n], 0).votes_blind, 2);
    }
}

static void the_last_region_stays_active_with_an_alarm(void **state)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 2);
    wait_for_begin();
    kill_region(1, true);
    wait_for(1, "down");
    for (uint32_t b = 1; b < BACKENDS; b++)
        world.dead[b] = true;
    world.nodes[0].lab.backends[0].weight = 1; /* one that lives: 1 of 301 */
    world.nodes[1].lab.backends[0].weight = 1;
    wait_for(0, "suspect");
    assert_true(failover_region_suspect(world.nodes[0].failover, 0));
    lab_run_for(world.loop, 1000 * CLOCK_MS);
    assert_string_equal(view_of(&world.nodes[0], 0).automatic, "suspect");
    assert_true(failover_region_active(world.nodes[0].failover, 0));
    assert_non_null(strstr(view_of(&world.nodes[0], 0).reason, "S1"));
    assert_true(world.nodes[0].alarm_count > 0);
}

/* While the store hangs both regions fall due: the first change that is asked for finds two. */
static void two_regions_at_once_freeze_automation(void **state)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 3);
    wait_for_begin();
    for (uint32_t n = 0; n < 2; n++) {
        struct node *node = &world.nodes[n];
        node->lab.config.failover.freeze_ns = 60 * CLOCK_S;
        node->lab.config.failover.correlated_ns = 10 * CLOCK_S;
        failover_apply(node->failover, &node->lab.config);
    }
    kill(world.redis.pid, SIGSTOP);
    kill_region(0, true);
    kill_region(1, true);
    lab_run_for(world.loop, 1000 * CLOCK_MS);
    kill(world.redis.pid, SIGCONT);
    lab_run_until(world.loop, is_frozen_by_s3, &world.nodes[0], "rule S3");
    lab_run_for(world.loop, 500 * CLOCK_MS);
    assert_true(failover_region_active(world.nodes[0].failover, 0));
    assert_true(failover_region_active(world.nodes[0].failover, 1));
    assert_true(world.nodes[0].alarm_count > 0);
}

/* Two that are dead for good freeze automation again and again; in between others move. */
static void freezes_that_repeat_let_another_region_recover(void **state)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 3);
    wait_for_begin();
    kill_region(2, true);
    wait_for(2, "down");
    kill(world.redis.pid, SIGSTOP);
    kill_region(2, false);
    kill_region(0, true);
    kill_region(1, true);
    lab_run_for(world.loop, 500 * CLOCK_MS);
    kill(world.redis.pid, SIGCONT);
    lab_run_until(world.loop, is_frozen_by_s3, &world.nodes[0], "rule S3");
    wait_for(2, "recovering");
    wait_for(2, "up");
    assert_true(failover_region_active(world.nodes[0].failover, 0));
    assert_true(failover_region_active(world.nodes[0].failover, 1));
}

static void a_drain_at_one_node_is_honoured_by_both_and_undone(void **state)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 2);
    wait_for_begin();
    order(&world.nodes[0], FAILOVER_DRAIN, 0, 0);
    assert_true(world.done_ok);
    wait_for_override(0, "drain");
    for (uint32_t n = 0; n < 2; n++) {
        assert_false(failover_region_active(world.nodes[n].failover, 0));
        assert_string_equal(view_of(&world.nodes[n], 0).effective, "drain");
        assert_string_equal(view_of(&world.nodes[n], 0).automatic, "up");
        assert_string_equal(view_of(&world.nodes[n], 0).reason, "drained by uid=0 tester");
    }
    order(&world.nodes[1], FAILOVER_DRAIN, 1, 0);
    assert_false(world.done_ok);
    assert_non_null(strstr(world.done_text, "S1"));
    order(&world.nodes[1], FAILOVER_UNDRAIN, 0, 0);
    assert_true(world.done_ok);
    wait_for(0, "recovering");
    wait_for(0, "up");
    order(&world.nodes[1], FAILOVER_UNDRAIN, 0, 0);
    assert_false(world.done_ok);
}

static void automation_that_is_off_lets_no_region_fail_until_it_is_on(void **state)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 2);
    wait_for_begin();
    order(&world.nodes[0], FAILOVER_FREEZE, 0, 0);
    assert_true(world.done_ok);
    kill_region(0, true);
    lab_run_for(world.loop, 2000 * CLOCK_MS); /* it takes a third of that to be down otherwise */
    for (uint32_t n = 0; n < 2; n++) {
        struct failover_view view;
        failover_view(world.nodes[n].failover, &view);
        assert_true(view.frozen);
        assert_non_null(strstr(view.frozen_reason, "switched off"));
        assert_true(failover_region_active(world.nodes[n].failover, 0));
    }
    order(&world.nodes[1], FAILOVER_THAW, 0, 0);
    assert_true(world.done_ok);
    wait_for(0, "down");
}

static void a_region_that_is_forced_down_takes_nothing_and_comes_back(void **state)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 2);
    wait_for_begin();
    order(&world.nodes[0], FAILOVER_FORCE_DOWN, 0, 0);
    wait_for_override(0, "force_down");
    assert_false(failover_region_active(world.nodes[1].failover, 0));
    order(&world.nodes[1], FAILOVER_FORCE_UP, 0, 0);
    wait_for_override(0, "force_up");
    assert_int_equal(failover_region_share(world.nodes[0].failover, 0), 1000);
    order(&world.nodes[1], FAILOVER_UNFORCE, 0, 0);
    wait_for_override(0, "none");
}

static void a_drain_with_a_time_ends_by_itself(void **state)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 2);
    wait_for_begin();
    order(&world.nodes[0], FAILOVER_DRAIN, 0, 300);
    assert_true(world.done_ok);
    wait_for_override(0, "drain");
    wait_for_override(0, "none");
    wait_for(0, "up");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(two_nodes_agree_that_a_region_is_down_and_that_it_is_back),
        CASE(one_node_of_two_cannot_take_a_region_down),
        CASE(the_majority_of_three_decides_for_the_third),
        CASE(votes_are_told_when_evidence_begins_and_when_it_has_held),
        CASE(a_part_of_a_region_makes_it_spill_in_proportion),
        CASE(nodes_that_reach_nothing_abstain),
        CASE(the_last_region_stays_active_with_an_alarm),
        CASE(two_regions_at_once_freeze_automation),
        CASE(freezes_that_repeat_let_another_region_recover),
        CASE(a_drain_at_one_node_is_honoured_by_both_and_undone),
        CASE(a_drain_with_a_time_ends_by_itself),
        CASE(automation_that_is_off_lets_no_region_fail_until_it_is_on),
        CASE(a_region_that_is_forced_down_takes_nothing_and_comes_back),
#undef CASE
    };
    if (!lab_redis_is_installed()) {
        print_message("redis-server is missing: install it to run this test\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
