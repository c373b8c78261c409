/*
 * Orders of one node alone: they act while the store is away, also over a restart; when it is back
 * they act no more and wait for an operator.
 */
#include "tests/unit/control/failover_case.h"

static void order_here(struct node *node, enum failover_command command, uint32_t region)
{
    struct failover_order given = {
        .command = command, .region = region, .local = true, .by = "uid=0 tester"};
    world.done_count = 0;
    failover_command(node->failover, &given, note_done, NULL);
    lab_run_until(world.loop, is_done, NULL, "the command's end");
    assert_int_equal(world.done_count, 1);
}

/* Two nodes that have begun, and then no store. */
static void lose_the_store(struct node *node)
{
    lab_redis_start(&world.redis, NULL);
    strcpy(node->lab.config.state_dir, "");
    make_nodes(2, 2);
    destroy_node(node);
    strcpy(node->lab.config.state_dir, world.state_dir);
    create_node(node);
    wait_for_begin();
    lab_redis_kill(&world.redis);
    lab_run_until(world.loop, is_frozen, node, "frozen");
}

static bool is_offered(void *context)
{
    struct failover_region_view view = view_of(context, 0);
    return view.local.order != NULL && view.local.offered;
}

static bool is_done_with(void *context)
{
    return view_of(context, 0).local.order == NULL;
}

static void find_alarm(void *context, uint64_t unix_ms, const char *text)
{
    bool *found = context;
    *found |= strstr(text, "ALARM: the store is back: `region drain r0` by uid=0 tester") != NULL;
}

static void find_the_store(struct node *node)
{
    lab_redis_start(&world.redis, NULL);
    lab_run_until(world.loop, is_offered, node, "the offer");
    bool alarmed = false;
    failover_lines(node->failover, find_alarm, &alarmed);
    assert_true(alarmed);
    assert_true(failover_region_active(node->failover, 0)); /* as agreed */
    wait_for_begin();
}

static void while_the_store_is_there_orders_are_for_all(void **state)
{
    struct node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 2);
    wait_for_begin();
    order_here(node, FAILOVER_DRAIN, 0);
    assert_false(world.done_ok);
    assert_non_null(strstr(world.done_text, "the store is connected"));
    assert_true(failover_region_active(node->failover, 0));
    order_here(node, FAILOVER_APPROVE, 0);
    assert_false(world.done_ok);
    assert_non_null(strstr(world.done_text, "no order of this node alone is offered"));
}

static void without_the_store_they_act_here_and_nowhere_else(void **state)
{
    struct node *node = &world.nodes[0];
    lose_the_store(node);
    order_here(node, FAILOVER_DRAIN, 0);
    assert_true(world.done_ok);
    assert_string_equal(world.done_text,
                        "`region drain r0` on this node only, until the store is back");
    assert_false(failover_region_active(node->failover, 0));
    assert_int_equal(failover_region_share(node->failover, 0), 0);
    assert_true(failover_region_active(world.nodes[1].failover, 0));
    assert_string_equal(view_of(node, 0).override, "none");
    assert_string_equal(view_of(node, 0).effective, "drain");
    assert_string_equal(view_of(node, 0).local.order, "drain");
    assert_false(view_of(node, 0).local.offered);
    order_here(node, FAILOVER_DRAIN, 1); /* the last one */
    assert_false(world.done_ok);
    assert_true(failover_region_active(node->failover, 1));
}

static void they_outlive_a_restart_without_the_store(void **state)
{
    struct node *node = &world.nodes[0];
    lose_the_store(node);
    order_here(node, FAILOVER_DRAIN, 0);
    order_here(node, FAILOVER_FREEZE, 0);
    destroy_node(node);
    create_node(node);
    assert_false(failover_region_active(node->failover, 0));
    assert_string_equal(view_of(node, 0).local.by, "uid=0 tester");
    assert_string_equal(whole_view(node).local.order, "freeze");
    find_the_store(node);
    assert_true(whole_view(node).local.offered);
    destroy_node(node); /* an offer, too */
    create_node(node);
    assert_true(is_offered(node));
    assert_true(failover_region_active(node->failover, 0));
}

static void what_is_taken_back_does_not_return_with_a_restart(void **state)
{
    struct node *node = &world.nodes[0];
    lose_the_store(node);
    order_here(node, FAILOVER_FREEZE, 0);
    assert_string_equal(whole_view(node).local.order, "freeze");
    order_here(node, FAILOVER_THAW, 0);
    assert_true(world.done_ok);
    assert_null(whole_view(node).local.order);
    destroy_node(node);
    create_node(node);
    assert_null(whole_view(node).local.order);
}

static void what_is_approved_holds_for_all_nodes(void **state)
{
    struct node *node = &world.nodes[0];
    lose_the_store(node);
    order_here(node, FAILOVER_DRAIN, 0);
    find_the_store(node);
    assert_true(failover_region_active(world.nodes[1].failover, 0));
    order_here(node, FAILOVER_APPROVE, 0);
    assert_true(world.done_ok);
    wait_for_override(0, "drain");
    lab_run_until(world.loop, is_done_with, node, "the end of the offer");
    assert_in_redis("region:r0:override", "drain");
}

static void what_is_rejected_is_forgotten(void **state)
{
    struct node *node = &world.nodes[0];
    lose_the_store(node);
    order_here(node, FAILOVER_DRAIN, 0);
    find_the_store(node);
    order_here(node, FAILOVER_REJECT, 0);
    assert_true(world.done_ok);
    assert_true(is_done_with(node));
    assert_in_redis("region:r0:override", "none");
}

static void an_order_for_all_ends_the_offer(void **state)
{
    struct node *node = &world.nodes[0];
    lose_the_store(node);
    order_here(node, FAILOVER_DRAIN, 0);
    find_the_store(node);
    order(&world.nodes[1], FAILOVER_FORCE_UP, 0, 0);
    assert_true(world.done_ok);
    lab_run_until(world.loop, is_done_with, node, "the end of the offer");
}

static void an_order_ends_by_its_time(void **state)
{
    struct node *node = &world.nodes[0];
    lose_the_store(node);
    const struct failover_order brief = {
        .command = FAILOVER_FORCE_DOWN, .ttl_ms = 300, .local = true, .by = "uid=0 tester"};
    failover_command(node->failover, &brief, note_done, NULL);
    assert_true(world.done_ok);
    assert_false(failover_region_active(node->failover, 0));
    assert_true(view_of(node, 0).local.left_ms > 0);
    lab_run_until(world.loop, is_done_with, node, "the end of the order and its ramp");
    assert_true(failover_region_active(node->failover, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(while_the_store_is_there_orders_are_for_all),
        CASE(without_the_store_they_act_here_and_nowhere_else),
        CASE(they_outlive_a_restart_without_the_store),
        CASE(what_is_taken_back_does_not_return_with_a_restart),
        CASE(what_is_approved_holds_for_all_nodes),
        CASE(what_is_rejected_is_forgotten),
        CASE(an_order_for_all_ends_the_offer),
        CASE(an_order_ends_by_its_time),
#undef CASE
    };
    if (!lab_redis_is_installed()) {
        print_message("redis-server is missing: install it to run this test\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
