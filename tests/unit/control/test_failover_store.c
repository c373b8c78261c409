/*
 * The store fails, forgets and comes back; nodes restart, are not run for a while, and are given
 * another configuration.
 */
#include "tests/unit/control/failover_case.h"

#include "control/store.h"

static void without_the_store_everything_stays_as_agreed(void **state)
{
    struct node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 2);
    wait_for_begin();
    kill_region(1, true);
    wait_for(1, "down");
    uint64_t epoch = whole_view(node).epoch;
    lab_redis_kill(&world.redis);
    lab_run_until(world.loop, is_frozen, node, "frozen");
    assert_true(world.nodes[0].alarm_count > 0);
    kill_region(1, false);
    world.dead[0] = world.dead[1] = true; /* health goes on, agreed states do not */
    lab_run_for(world.loop, 1000 * CLOCK_MS);
    assert_string_equal(view_of(node, 1).automatic, "down");
    assert_string_equal(view_of(node, 0).automatic, "up");
    assert_false(failover_backend_usable(node->failover, 0));
    order(node, FAILOVER_DRAIN, 0, 0);
    assert_false(world.done_ok);
    assert_non_null(strstr(world.done_text, "store cannot be reached"));
    lab_redis_start(&world.redis, NULL); /* empty: nothing was saved */
    lab_run_until(world.loop, is_thawed, node, "the thaw");
    wait_for(0, "degraded");
    wait_for(1, "recovering");
    assert_true(whole_view(node).epoch > epoch);
}

static void a_wiped_store_gets_back_what_was_agreed(void **state)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 2);
    wait_for_begin();
    order(&world.nodes[0], FAILOVER_DRAIN, 0, 0);
    wait_for_override(0, "drain");
    uint64_t epoch = whole_view(&world.nodes[0]).epoch;
    wipe_redis();
    lab_run_for(world.loop, 1500 * CLOCK_MS);
    assert_in_redis("region:r0:override", "drain");
    assert_in_redis("reason", "reasserted");
    assert_int_equal(whole_view(&world.nodes[0]).epoch, epoch + 1);
    assert_int_equal(whole_view(&world.nodes[1]).epoch, epoch + 1);
    assert_false(failover_region_active(world.nodes[1].failover, 0));
}

static void a_store_that_comes_back_older_is_corrected(void **state)
{
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 2);
    wait_for_begin();
    order(&world.nodes[0], FAILOVER_DRAIN, 0, 0);
    wait_for_override(0, "drain");
    redisContext *context = lab_redis_connect(&world.redis);
    redisReply *reply = redisCommand(
        context, "HSET weir:{test}:state epoch 1 change_id old region:r0:override none");
    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    freeReplyObject(reply);
    redisFree(context);
    lab_run_for(world.loop, 1500 * CLOCK_MS);
    assert_in_redis("region:r0:override", "drain");
    assert_in_redis("reason", "reasserted");
    assert_false(failover_region_active(world.nodes[1].failover, 0));
}

static void it_starts_without_the_store_as_configured(void **state)
{
    struct node *node = &world.nodes[0];
    make_nodes(2, 2);
    assert_true(failover_region_active(node->failover, 0));
    assert_int_equal(failover_region_share(node->failover, 0), 1000);
    assert_true(failover_backend_usable(node->failover, 0));
    lab_run_until(world.loop, is_frozen, node, "frozen");
    assert_true(failover_region_active(node->failover, 0));
    lab_redis_start(&world.redis, NULL);
    lab_run_until(world.loop, is_connected, node, "the store");
    wait_for_begin();
}

static void a_restart_without_the_store_remembers_what_was_agreed(void **state)
{
    struct node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    strcpy(node->lab.config.state_dir, "");
    make_nodes(2, 2);
    destroy_node(node);
    strcpy(node->lab.config.state_dir, world.state_dir);
    create_node(node);
    wait_for_begin();
    order(&world.nodes[0], FAILOVER_DRAIN, 1, 0);
    wait_for_override(1, "drain");
    uint64_t epoch = whole_view(node).epoch;
    destroy_node(node);
    lab_redis_kill(&world.redis);
    create_node(node);
    assert_false(failover_region_active(node->failover, 1));
    assert_int_equal(whole_view(node).epoch, epoch);
    lab_redis_start(&world.redis, NULL); /* and brings it to an empty store */
    wait_for_override(1, "drain");
    wait_for_begin();
    lab_run_for(world.loop, 500 * CLOCK_MS);
    assert_in_redis("region:r1:override", "drain");
}

/* The others of its roster are not there, and are not waited for. */
static void a_single_node_decides_alone_with_redis_as_well(void **state)
{
    struct node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    make_nodes(1, 2);
    lab_config_cluster(&node->lab, 3, 0, world.redis.address);
    failover_apply(node->failover, &node->lab.config);
    wait_for_begin();
    kill_region(1, true);
    lab_run_for(world.loop, 1000 * CLOCK_MS);
    assert_string_equal(view_of(node, 1).automatic, "up"); /* one of three has no quorum */
    node->lab.config.failover.single_node = true;
    failover_apply(node->failover, &node->lab.config);
    wait_for(1, "down");
    assert_in_redis("region:r1:auto", "down");
}

static void a_node_alone_decides_alone(void **state)
{
    struct node *node = &world.nodes[0];
    make_lonely_node(2);
    wait_for_begin();
    assert_string_equal(whole_view(node).store, "memory");
    assert_string_equal(whole_view(node).store_state, "connected");
    kill_region(0, true);
    wait_for(0, "down");
    assert_true(view_of(node, 0).hold_down_left_ms <= 200);
    kill_region(0, false);
    wait_for(0, "up");
    order(node, FAILOVER_DRAIN, 0, 0);
    assert_true(world.done_ok);
    assert_false(failover_region_active(node->failover, 0));
}

static void resume(void *context, uint64_t absent_for_ns)
{
    struct node *node = context;
    world.resumed_at_ns = loop_now_ns(world.loop);
    failover_resumed(node->failover, absent_for_ns);
}

static void sleep_long(void *context, uint64_t now)
{
    nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
}

static bool has_resumed(void *context)
{
    return world.resumed_at_ns != 0;
}

static void no_region_goes_down_on_evidence_of_before_an_absence(void **state)
{
    struct node *node = &world.nodes[0];
    make_lonely_node(2);
    node->lab.config.failover.hard_failure_ns = 3600 * CLOCK_S;
    node->lab.config.failover.down_dwell_ns = 700 * CLOCK_MS; /* twice that: alone */
    failover_apply(node->failover, &node->lab.config);
    wait_for_begin();
    kill_region(0, true);
    wait_for(0, "suspect");
    struct loop_timer *sleeper = loop_timer(world.loop, sleep_long, NULL);
    loop_on_resume(world.loop, resume, node);
    loop_timer_at(sleeper, 0);
    lab_run_until(world.loop, has_resumed, NULL, "the end of the absence");
    wait_for(0, "down");
    assert_true(loop_now_ns(world.loop) >= world.resumed_at_ns + 1400 * CLOCK_MS);
    loop_on_resume(world.loop, NULL, NULL);
    loop_timer_destroy(sleeper);
}

static void a_restart_with_the_memory_store_remembers_what_was_agreed(void **state)
{
    struct node *node = &world.nodes[0];
    make_lonely_node(2);
    destroy_node(node);
    strcpy(node->lab.config.state_dir, world.state_dir);
    create_node(node);
    wait_for_begin();
    order(node, FAILOVER_DRAIN, 0, 0);
    destroy_node(node);
    create_node(node);
    assert_false(failover_region_active(node->failover, 0));
    order(node, FAILOVER_UNDRAIN, 0, 0);
    assert_true(world.done_ok);
}

static void regions_and_backends_keep_their_state_over_a_new_configuration(void **state)
{
    struct node *node = &world.nodes[0];
    static struct lab_config next;
    make_lonely_node(2);
    wait_for_begin();
    kill_region(0, true);
    wait_for(0, "down");
    lab_config_make(&next, 3, BACKENDS);
    shorten(&next);
    strcpy(next.regions[0].name, "new");
    strcpy(next.regions[2].name, "r0");
    for (uint32_t b = 0; b < BACKENDS; b++) {
        next.backends[b].generation = 2; /* others, in the slots of before */
        next.backends[b].slot = 8 + b;
        next.backends[8 + b].slot = b;
    }
    failover_apply(node->failover, &next.config);
    assert_true(failover_region_active(node->failover, 0));
    assert_false(failover_region_active(node->failover, 2));
    assert_false(failover_backend_usable(node->failover, 0));
    assert_true(failover_backend_usable(node->failover, 8));
    assert_string_equal(view_of(node, 2).name, "r0");
    assert_string_equal(view_of(node, 2).automatic, "down");
    lab_run_for(world.loop, 300 * CLOCK_MS);
    assert_string_equal(view_of(node, 2).automatic, "down");
    kill_region(0, false);
    wait_for(2, "up");
    failover_destroy(node->failover);
    node->failover = NULL;
}

static void every_command_ends_once_whatever_happens(void **state)
{
    struct node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 2);
    wait_for_begin();
    world.done_count = 0;
    const struct failover_order first = {.command = FAILOVER_DRAIN, .by = "me"};
    const struct failover_order unknown = {.command = FAILOVER_DRAIN, .region = 7, .by = "me"};
    for (int i = 0; i < 20; i++) /* four too many */
        failover_command(node->failover, &first, note_done, NULL);
    assert_int_equal(world.done_count, 4);
    failover_command(node->failover, &unknown, note_done, NULL);
    assert_int_equal(world.done_count, 5);
    assert_false(world.done_ok);
    failover_apply(node->failover, &node->lab.config);
    assert_int_equal(world.done_count, 21);
    failover_command(node->failover, &first, note_done, NULL);
    destroy_node(node);
    assert_int_equal(world.done_count, 22);
    assert_false(world.done_ok);
}

static struct record {
    uint32_t count;
    uint32_t entries;
    bool drained;
    char failure[128];
} record;

static void note_record(void *context, const struct store_audit *audit)
{
    record.count++;
    record.entries = audit->count;
    snprintf(record.failure, sizeof(record.failure), "%s",
             audit->failure == NULL ? "" : audit->failure);
    for (uint32_t i = 0; i < audit->count; i++)
        record.drained |= strcmp(audit->entries[i].why, "drained by uid=0 tester") == 0 &&
                          strcmp(audit->entries[i].node, "n1") == 0;
}

static bool is_read_twice(void *context)
{
    return record.count == 2;
}

static void the_record_is_of_all_nodes_and_is_answered_in_any_case(void **state)
{
    struct node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    make_nodes(2, 2);
    wait_for_begin();
    order(&world.nodes[1], FAILOVER_DRAIN, 0, 0);
    memset(&record, 0, sizeof(record));
    failover_audit(node->failover, note_record, NULL);
    failover_audit(node->failover, note_record, NULL);
    lab_run_until(world.loop, is_read_twice, NULL, "the record");
    assert_string_equal(record.failure, "");
    assert_true(record.drained);
    memset(&record, 0, sizeof(record));
    for (int i = 0; i < 20; i++) /* four too many */
        failover_audit(node->failover, note_record, NULL);
    assert_int_equal(record.count, 4);
    destroy_node(node);
    assert_int_equal(record.count, 20);
    assert_string_equal(record.failure, "the process ends");
    create_node(node);
    failover_audit(node->failover, note_record, NULL);
    assert_int_equal(record.count, 21);
    assert_string_equal(record.failure, "not connected yet");
}

static void settings_that_cannot_be_used_are_told(void **state)
{
    struct node *node = &world.nodes[0];
    const struct failover_host host = {take_probe, note_changed, note_event, node, 0};
    char message[512] = "";
    lab_config_make(&node->lab, 1, 1);
    lab_config_cluster(&node->lab, 1, 0, "nowhere");
    assert_null(failover_create(world.loop, &node->lab.config, &host, message, sizeof(message)));
    assert_non_null(strstr(message, "store.address"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(without_the_store_everything_stays_as_agreed),
        CASE(a_wiped_store_gets_back_what_was_agreed),
        CASE(a_store_that_comes_back_older_is_corrected),
        CASE(it_starts_without_the_store_as_configured),
        CASE(a_restart_without_the_store_remembers_what_was_agreed),
        CASE(a_node_alone_decides_alone),
        CASE(a_single_node_decides_alone_with_redis_as_well),
        CASE(no_region_goes_down_on_evidence_of_before_an_absence),
        CASE(a_restart_with_the_memory_store_remembers_what_was_agreed),
        CASE(regions_and_backends_keep_their_state_over_a_new_configuration),
        CASE(every_command_ends_once_whatever_happens),
        CASE(the_record_is_of_all_nodes_and_is_answered_in_any_case),
        CASE(settings_that_cannot_be_used_are_told),
#undef CASE
    };
    if (!lab_redis_is_installed()) {
        print_message("redis-server is missing: install it to run this test\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
