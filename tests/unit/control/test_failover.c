/*
 * failover: whole nodes on one loop and one real Redis, with backends that a test can kill and
 * lengths shortened to tenths of seconds. Waits on conditions.
 */
#include "control/failover.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"
#include "tests/support/failover_lab.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NODES_MAX  3
#define PROBES_MAX 256
#define BACKENDS   4 /* of a region */

/* A node: its failover, and a host that answers probes at the next turn. */
struct node {
    struct lab_config lab;
    struct failover *failover;
    struct loop_timer *answer_timer;
    uint32_t probe_count;
    struct probe_order probes[PROBES_MAX];
    bool cut[LAB_REGIONS_MAX]; /* this node does not reach the region */
    uint32_t changed_count;
    uint32_t alarm_count;
    char last_event[512];
};

static struct world {
    struct loop *loop;
    struct lab_redis redis;
    uint32_t node_count;
    struct node nodes[NODES_MAX];
    bool dead[LAB_BACKENDS_MAX];
    char state_dir[64];
    uint32_t done_count;
    bool done_ok;
    char done_text[256];
    uint64_t resumed_at_ns;
} world;

static bool take_probe(void *context, const struct probe_order *order)
{
    struct node *node = context;
    if (node->probe_count == PROBES_MAX)
        return false;
    node->probes[node->probe_count++] = *order;
    loop_timer_at(node->answer_timer, 0);
    return true;
}

static void answer_probes(void *context, uint64_t now)
{
    struct node *node = context;
    for (uint32_t i = 0; i < node->probe_count; i++) {
        uint32_t slot = node->probes[i].slot;
        bool fails = world.dead[slot] || node->cut[slot / BACKENDS];
        struct probe_result result = {.slot = slot,
                                      .generation = node->probes[i].generation,
                                      .outcome = fails ? PROBE_CONNECT_FAILED : PROBE_OK,
                                      .took_ns = CLOCK_MS};
        failover_probed(node->failover, &result);
    }
    node->probe_count = 0;
}

static void note_changed(void *context)
{
    ((struct node *)context)->changed_count++;
}

static void note_event(void *context, const char *text)
{
    struct node *node = context;
    node->alarm_count += strstr(text, "ALARM") != NULL;
    snprintf(node->last_event, sizeof(node->last_event), "%s", text);
}

static int setup(void **state)
{
    memset(&world, 0, sizeof(world));
    lab_redis_make(&world.redis);
    world.loop = loop_create();
    strcpy(world.state_dir, "/tmp/weir-state-XXXXXX");
    return mkdtemp(world.state_dir) == NULL;
}

static int teardown(void **state)
{
    char path[128];
    for (uint32_t n = 0; n < NODES_MAX; n++) {
        failover_destroy(world.nodes[n].failover);
        loop_timer_destroy(world.nodes[n].answer_timer);
    }
    lab_redis_destroy(&world.redis);
    loop_destroy(world.loop);
    snprintf(path, sizeof(path), "%s/regions.state", world.state_dir);
    unlink(path);
    return rmdir(world.state_dir);
}

static void shorten(struct lab_config *lab)
{
    struct config_health *health = &lab->service.health;
    struct config_failover *failover = &lab->config.failover;
    health->interval_up_ns = 30 * CLOCK_MS;
    health->interval_doubt_ns = 10 * CLOCK_MS;
    health->interval_down_ns = 30 * CLOCK_MS;
    failover->hard_failure_ns = 100 * CLOCK_MS;
    failover->down_dwell_ns = 150 * CLOCK_MS;
    failover->degraded_dwell_ns = 100 * CLOCK_MS;
    failover->up_dwell_ns = 100 * CLOCK_MS;
    failover->suspect_clear_ns = 100 * CLOCK_MS;
    failover->hold_down_ns = 200 * CLOCK_MS;
    failover->hold_down_max_ns = 1000 * CLOCK_MS;
    failover->recover_dwell_ns = 100 * CLOCK_MS;
    failover->ramp_step_ns = 100 * CLOCK_MS;
    failover->down_interval_ns = 200 * CLOCK_MS;
    failover->correlated_ns = 100 * CLOCK_MS;
    failover->freeze_ns = 100 * CLOCK_MS;
    failover->store_lost_ns = 600 * CLOCK_MS;
    failover->vote_interval_ns = 40 * CLOCK_MS;
    failover->vote_fresh_ns = 400 * CLOCK_MS;
    failover->vote_gone_ns = 800 * CLOCK_MS;
}

static void create_node(struct node *node)
{
    const struct failover_host host = {take_probe, note_changed, note_event, node, 0};
    char message[512];
    if (node->answer_timer == NULL)
        node->answer_timer = loop_timer(world.loop, answer_probes, node);
    node->probe_count = 0;
    node->failover =
        failover_create(world.loop, &node->lab.config, &host, message, sizeof(message));
    if (node->failover == NULL)
        fail_msg("%s", message);
}

static void destroy_node(struct node *node)
{
    failover_destroy(node->failover);
    node->failover = NULL;
    loop_timer_stop(node->answer_timer);
}

static void make_nodes(uint32_t count, uint32_t regions)
{
    world.node_count = count;
    for (uint32_t n = 0; n < count; n++) {
        struct node *node = &world.nodes[n];
        lab_config_make(&node->lab, regions, BACKENDS);
        lab_config_cluster(&node->lab, count, n, world.redis.address);
        shorten(&node->lab);
        create_node(node);
    }
}

static void make_lonely_node(uint32_t regions)
{
    world.node_count = 1;
    lab_config_make(&world.nodes[0].lab, regions, BACKENDS);
    shorten(&world.nodes[0].lab);
    create_node(&world.nodes[0]);
}

static void kill_region(uint32_t region, bool dead)
{
    for (uint32_t b = 0; b < BACKENDS; b++)
        world.dead[region * BACKENDS + b] = dead;
}

static struct failover_region_view view_of(const struct node *node, uint32_t region)
{
    struct failover_region_view view;
    failover_region_view(node->failover, region, &view);
    return view;
}

static struct failover_view whole_view(const struct node *node)
{
    struct failover_view view;
    failover_view(node->failover, &view);
    return view;
}

/* Conditions. */

struct wanted {
    uint32_t region;
    const char *automatic;
    const char *override;
};

static bool all_show(void *context)
{
    const struct wanted *wanted = context;
    for (uint32_t n = 0; n < world.node_count; n++) {
        struct failover_region_view view = view_of(&world.nodes[n], wanted->region);
        if ((wanted->automatic != NULL && strcmp(view.automatic, wanted->automatic) != 0) ||
            (wanted->override != NULL && strcmp(view.override, wanted->override) != 0))
            return false;
    }
    return true;
}

static void wait_for(uint32_t region, const char *automatic)
{
    struct wanted wanted = {.region = region, .automatic = automatic};
    lab_run_until(world.loop, all_show, &wanted, automatic);
}

static void wait_for_override(uint32_t region, const char *override)
{
    struct wanted wanted = {.region = region, .override = override};
    lab_run_until(world.loop, all_show, &wanted, override);
}

static bool all_have_begun(void *context)
{
    for (uint32_t n = 0; n < world.node_count; n++) {
        struct failover_view view = whole_view(&world.nodes[n]);
        if (view.epoch == 0 || view.nodes_live != world.node_count)
            return false;
    }
    return true;
}

static void wait_for_begin(void)
{
    lab_run_until(world.loop, all_have_begun, NULL, "the first epoch");
}

static bool is_frozen(void *context)
{
    return whole_view(context).frozen;
}

static bool is_frozen_by_s3(void *context)
{
    return strstr(whole_view(context).frozen_reason, "S3") != NULL;
}

static bool is_thawed(void *context)
{
    return !is_frozen(context);
}

static bool is_connected(void *context)
{
    return strcmp(whole_view(context).store_state, "connected") == 0;
}

static bool is_done(void *context)
{
    return world.done_count > 0;
}

static void note_done(void *context, bool ok, const char *text)
{
    world.done_count++;
    world.done_ok = ok;
    snprintf(world.done_text, sizeof(world.done_text), "%s", text);
}

static void order(struct node *node, enum failover_command command, uint32_t region,
                  uint64_t ttl_ms)
{
    struct failover_order given = {
        .command = command, .region = region, .ttl_ms = ttl_ms, .by = "uid=0 tester"};
    world.done_count = 0;
    failover_command(node->failover, &given, note_done, NULL);
    lab_run_until(world.loop, is_done, NULL, "the command's end");
    assert_int_equal(world.done_count, 1);
}

static void assert_in_redis(const char *field, const char *value)
{
    redisContext *context = lab_redis_connect(&world.redis);
    redisReply *reply = redisCommand(context, "HGET weir:{test}:state %s", field);
    assert_non_null(reply);
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    assert_string_equal(reply->str, value);
    freeReplyObject(reply);
    redisFree(context);
}

static void wipe_redis(void)
{
    redisContext *context = lab_redis_connect(&world.redis);
    redisReply *reply = redisCommand(context, "FLUSHALL");
    assert_non_null(reply);
    freeReplyObject(reply);
    redisFree(context);
}

/* Cases. */

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

/* Beats are an hour apart: what is decided rests on votes that came when there was something new. */
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
        CASE(without_the_store_everything_stays_as_agreed),
        CASE(a_wiped_store_gets_back_what_was_agreed),
        CASE(a_store_that_comes_back_older_is_corrected),
        CASE(it_starts_without_the_store_as_configured),
        CASE(a_restart_without_the_store_remembers_what_was_agreed),
        CASE(a_node_alone_decides_alone),
        CASE(no_region_goes_down_on_evidence_of_before_an_absence),
        CASE(a_restart_with_the_memory_store_remembers_what_was_agreed),
        CASE(regions_and_backends_keep_their_state_over_a_new_configuration),
        CASE(every_command_ends_once_whatever_happens),
        CASE(settings_that_cannot_be_used_are_told),
#undef CASE
    };
    if (!lab_redis_is_installed()) {
        print_message("redis-server is missing: install it to run this test\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
