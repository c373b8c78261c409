/*
 * What waits for an operator, on nodes that share a real Redis: proposals approved and rejected
 * from any node, regions that die together, nodes that are taken out of the roster.
 */
#include "tests/unit/control/failover_case.h"

static void begin_review(uint32_t nodes)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(nodes, 2);
    for (uint32_t n = 0; n < nodes; n++) {
        struct lab_config *lab = &world.nodes[n].lab;
        lab->regions[1].on_failure = CONFIG_MODE_REVIEW;
        lab->config.failover.proposal_ttl_ns = 3600 * CLOCK_S;
        failover_apply(world.nodes[n].failover, &lab->config);
    }
    wait_for_begin();
}

static bool all_propose_down(void *context)
{
    for (uint32_t n = 0; n < world.node_count; n++) {
        struct failover_region_view view = view_of(&world.nodes[n], 1);
        if (view.proposed == NULL || strcmp(view.proposed, "down") != 0)
            return false;
    }
    return true;
}

static bool none_proposes(void *context)
{
    for (uint32_t n = 0; n < world.node_count; n++)
        if (view_of(&world.nodes[n], 1).proposed != NULL)
            return false;
    return true;
}

static void wait_for_proposal(void)
{
    kill_region(1, true);
    lab_run_until(world.loop, all_propose_down, NULL, "the proposal at every node");
    assert_non_null(strstr(view_of(&world.nodes[0], 1).proposal_evidence, "agree"));
}

static void a_proposal_is_kept_in_redis_and_approved_from_another_node(void **state)
{
    begin_review(3);
    order(&world.nodes[0], FAILOVER_APPROVE, 1, 0);
    assert_false(world.done_ok); /* the votes do not ask for it */
    wait_for_proposal();
    assert_in_redis("region:r1:proposed", "down");
    assert_in_redis("region:r1:auto", "suspect");
    lab_run_for(world.loop, 500 * CLOCK_MS); /* longer than any dwell */
    assert_in_redis("region:r1:auto", "suspect");
    order(&world.nodes[2], FAILOVER_APPROVE, 1, 0);
    assert_true(world.done_ok);
    assert_non_null(strstr(world.done_text, "approved by uid=0 tester"));
    wait_for(1, "down");
    assert_in_redis("decided_by", "n2");
    assert_in_redis("region:r1:proposed_until", "0");
    lab_run_until(world.loop, none_proposes, NULL, "the end of the proposal");
}

static void what_a_node_rejects_no_node_proposes_again(void **state)
{
    begin_review(3);
    order(&world.nodes[0], FAILOVER_REJECT, 1, 0);
    assert_false(world.done_ok); /* nothing is proposed */
    wait_for_proposal();
    order(&world.nodes[1], FAILOVER_REJECT, 1, 0);
    assert_true(world.done_ok);
    lab_run_until(world.loop, none_proposes, NULL, "the end of the proposal");
    lab_run_for(world.loop, 500 * CLOCK_MS);
    assert_true(none_proposes(NULL));
    assert_in_redis("region:r1:auto", "suspect");
    assert_in_redis("region:r1:proposed_until", "0");
    assert_non_null(strstr(view_of(&world.nodes[2], 1).reason, "rejected"));
    order(&world.nodes[2], FAILOVER_APPROVE, 1, 0); /* another operator may know better */
    assert_true(world.done_ok);
    wait_for(1, "down");
}

static void an_approval_does_not_outlive_its_evidence(void **state)
{
    begin_review(2);
    wait_for_proposal();
    kill_region(1, false);
    wait_for(1, "up");
    order(&world.nodes[0], FAILOVER_APPROVE, 1, 0);
    assert_false(world.done_ok);
    assert_in_redis("region:r1:auto", "up");
}

/* Regions 0 and 1 of four fail within the same moment. */
static void let_two_die_together(void)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 4);
    for (uint32_t n = 0; n < 2; n++) {
        struct lab_config *lab = &world.nodes[n].lab;
        lab->config.failover.correlated_ns = 3600 * CLOCK_S;
        failover_apply(world.nodes[n].failover, &lab->config);
    }
    wait_for_begin();
    kill(world.redis.pid, SIGSTOP);
    kill_region(0, true);
    kill_region(1, true);
    lab_run_for(world.loop, 1000 * CLOCK_MS);
    kill(world.redis.pid, SIGCONT);
    lab_run_until(world.loop, is_frozen_by_s3, &world.nodes[0], "rule S3");
}

static bool has_frozen_thrice(void *context)
{
    redisContext *link = lab_redis_connect(&world.redis);
    redisReply *reply = redisCommand(link, "HGET weir:{test}:state frozen_times");
    bool thrice = reply != NULL && reply->type == REDIS_REPLY_STRING && atoi(reply->str) >= 3;
    freeReplyObject(reply);
    redisFree(link);
    return thrice;
}

/* docs/failover.md, "Two regions at once": one command. */
static void of_regions_that_died_together_one_approval_takes_both_out(void **state)
{
    let_two_die_together();
    lab_run_until(world.loop, has_frozen_thrice, NULL, "freezes that repeat");
    for (uint32_t r = 0; r < 2; r++) {
        struct failover_region_view view = view_of(&world.nodes[0], r);
        assert_string_equal(view.automatic, "suspect");
        assert_non_null(strstr(view.reason, "should be down"));
        assert_true(failover_region_active(world.nodes[0].failover, r));
    }
    order(&world.nodes[1], FAILOVER_APPROVE, 0, 0);
    assert_true(world.done_ok);
    wait_for(0, "down");
    wait_for(1, "down"); /* by itself: rule S3 has nothing to say to one region */
    assert_string_equal(view_of(&world.nodes[0], 2).automatic, "up");
}

static void of_two_regions_the_last_one_stays_whatever_is_approved(void **state)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 2);
    wait_for_begin();
    kill(world.redis.pid, SIGSTOP);
    kill_region(0, true);
    kill_region(1, true);
    lab_run_for(world.loop, 1000 * CLOCK_MS);
    kill(world.redis.pid, SIGCONT);
    lab_run_for(world.loop, 1000 * CLOCK_MS);
    assert_true(whole_view(&world.nodes[0]).blind); /* nothing answers: nobody may speak of it */
    order(&world.nodes[0], FAILOVER_APPROVE, 0, 0);
    assert_false(world.done_ok);
    assert_true(failover_region_active(world.nodes[0].failover, 0));
    assert_true(failover_region_active(world.nodes[0].failover, 1));
}

/* What node.remove does to a configuration. */
static void set_roster(uint32_t count)
{
    for (uint32_t n = 0; n < world.node_count; n++) {
        struct node *node = &world.nodes[n];
        lab_config_cluster(&node->lab, count, n, world.redis.address);
        failover_apply(node->failover, &node->lab.config);
    }
}

static void nodes_that_are_gone_for_good_are_removed_so_that_others_can_decide(void **state)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 2);
    wait_for_begin();
    set_roster(5);
    kill_region(1, true);
    wait_for(1, "up"); /* two of five */
    lab_run_for(world.loop, 1000 * CLOCK_MS);
    assert_string_equal(view_of(&world.nodes[0], 1).automatic, "up");
    set_roster(3);
    wait_for(1, "down");
    assert_in_redis("region:r1:auto", "down");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(a_proposal_is_kept_in_redis_and_approved_from_another_node),
        CASE(what_a_node_rejects_no_node_proposes_again),
        CASE(an_approval_does_not_outlive_its_evidence),
        CASE(of_regions_that_died_together_one_approval_takes_both_out),
        CASE(of_two_regions_the_last_one_stays_whatever_is_approved),
        CASE(nodes_that_are_gone_for_good_are_removed_so_that_others_can_decide),
#undef CASE
    };
    if (!lab_redis_is_installed()) {
        print_message("redis-server is missing: install it to run this test\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
