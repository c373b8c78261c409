/*
 * failover_case: whole nodes on one loop and one real Redis, with backends that a test can kill and
 * lengths shortened to tenths of seconds. Tests wait on conditions. For one file each.
 */
#pragma once

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

static inline bool take_probe(void *context, const struct probe_order *order)
{
    struct node *node = context;
    if (node->probe_count == PROBES_MAX)
        return false;
    node->probes[node->probe_count++] = *order;
    loop_timer_at(node->answer_timer, 0);
    return true;
}

static inline void answer_probes(void *context, uint64_t now)
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

static inline void note_changed(void *context)
{
    ((struct node *)context)->changed_count++;
}

static inline void note_event(void *context, const char *text)
{
    struct node *node = context;
    node->alarm_count += strstr(text, "ALARM") != NULL;
    snprintf(node->last_event, sizeof(node->last_event), "%s", text);
}

static inline int setup(void **state)
{
    memset(&world, 0, sizeof(world));
    lab_redis_make(&world.redis);
    world.loop = loop_create();
    strcpy(world.state_dir, "/tmp/weir-state-XXXXXX");
    return mkdtemp(world.state_dir) == NULL;
}

static inline int teardown(void **state)
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

static inline void shorten(struct lab_config *lab)
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

static inline void create_node(struct node *node)
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

static inline void destroy_node(struct node *node)
{
    failover_destroy(node->failover);
    node->failover = NULL;
    loop_timer_stop(node->answer_timer);
}

static inline void make_nodes(uint32_t count, uint32_t regions)
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

static inline void make_lonely_node(uint32_t regions)
{
    world.node_count = 1;
    lab_config_make(&world.nodes[0].lab, regions, BACKENDS);
    shorten(&world.nodes[0].lab);
    create_node(&world.nodes[0]);
}

static inline void kill_region(uint32_t region, bool dead)
{
    for (uint32_t b = 0; b < BACKENDS; b++)
        world.dead[region * BACKENDS + b] = dead;
}

static inline struct failover_region_view view_of(const struct node *node, uint32_t region)
{
    struct failover_region_view view;
    failover_region_view(node->failover, region, &view);
    return view;
}

static inline struct failover_view whole_view(const struct node *node)
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

static inline bool all_show(void *context)
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

static inline void wait_for(uint32_t region, const char *automatic)
{
    struct wanted wanted = {.region = region, .automatic = automatic};
    lab_run_until(world.loop, all_show, &wanted, automatic);
}

static inline void wait_for_override(uint32_t region, const char *override)
{
    struct wanted wanted = {.region = region, .override = override};
    lab_run_until(world.loop, all_show, &wanted, override);
}

static inline bool all_have_begun(void *context)
{
    for (uint32_t n = 0; n < world.node_count; n++) {
        struct failover_view view = whole_view(&world.nodes[n]);
        if (view.epoch == 0 || view.nodes_live != world.node_count)
            return false;
    }
    return true;
}

static inline void wait_for_begin(void)
{
    lab_run_until(world.loop, all_have_begun, NULL, "the first epoch");
}

static inline bool is_frozen(void *context)
{
    return whole_view(context).frozen;
}

static inline bool is_frozen_by_s3(void *context)
{
    return strstr(whole_view(context).frozen_reason, "S3") != NULL;
}

static inline bool is_thawed(void *context)
{
    return !is_frozen(context);
}

static inline bool is_connected(void *context)
{
    return strcmp(whole_view(context).store_state, "connected") == 0;
}

static inline bool is_done(void *context)
{
    return world.done_count > 0;
}

static inline void note_done(void *context, bool ok, const char *text)
{
    world.done_count++;
    world.done_ok = ok;
    snprintf(world.done_text, sizeof(world.done_text), "%s", text);
}

static inline void order(struct node *node, enum failover_command command, uint32_t region,
                         uint64_t ttl_ms)
{
    struct failover_order given = {
        .command = command, .region = region, .ttl_ms = ttl_ms, .by = "uid=0 tester"};
    world.done_count = 0;
    failover_command(node->failover, &given, note_done, NULL);
    lab_run_until(world.loop, is_done, NULL, "the command's end");
    assert_int_equal(world.done_count, 1);
}

static inline void assert_in_redis(const char *field, const char *value)
{
    redisContext *context = lab_redis_connect(&world.redis);
    redisReply *reply = redisCommand(context, "HGET weir:{test}:state %s", field);
    assert_non_null(reply);
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    assert_string_equal(reply->str, value);
    freeReplyObject(reply);
    redisFree(context);
}

static inline void wipe_redis(void)
{
    redisContext *context = lab_redis_connect(&world.redis);
    redisReply *reply = redisCommand(context, "FLUSHALL");
    assert_non_null(reply);
    freeReplyObject(reply);
    redisFree(context);
}
