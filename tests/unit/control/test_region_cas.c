/*
 * region_cas: a change on its whole way, through the store and a real Redis, and by the rules in C:
 * random states, votes and requests must end alike. test_region_bulk does it for many more.
 */
#include "control/region_text.h"
#include "control/store.h"
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"
#include "tests/support/failover_lab.h"
#include "tests/support/region_random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CASES_A_SHAPE 50
#define STATE_BYTES   65536
#define GIVE_UP_NS    (30 * CLOCK_S)

struct world {
    struct lab_redis redis;
    redisContext *test;
    struct loop *loop;
    struct loop_timer *give_up;
    struct store *store;
    struct lab_config lab;
    struct region_rules rules;
    struct region_random random;
    enum store_link link;
    bool answered;
    bool failed;
    enum region_answer answer;
    char text[512];
    uint64_t now_ms;
    struct region_state after;
};

static struct world world;

static void on_news(void *context, const struct store_news *news)
{
}

static void on_changed(void *context, bool failed, const struct store_change *change)
{
    world.answered = true;
    world.failed = failed;
    world.answer = change->answer;
    world.now_ms = change->now_ms;
    snprintf(world.text, sizeof(world.text), "%s", change->text);
    if (change->state != NULL)
        world.after = *change->state;
    loop_stop(world.loop);
}

static void on_link(void *context, enum store_link link, const char *text)
{
    world.link = link;
    snprintf(world.text, sizeof(world.text), "%s", text);
    if (link == STORE_CONNECTED)
        loop_stop(world.loop);
}

static void on_due(void *context)
{
    const struct region_vote vote = {0};
    if (world.link != STORE_CONNECTED) /* votes are the cases' from then on */
        store_beat(world.store, &vote);
}

static void on_give_up(void *context, uint64_t now)
{
    fail_msg("Redis did not answer: %s", world.text);
}

static void run(void)
{
    loop_timer_at(world.give_up, clock_now_ns() + GIVE_UP_NS);
    loop_run(world.loop);
    loop_timer_stop(world.give_up);
}

static int setup(void **state)
{
    lab_redis_make(&world.redis);
    lab_redis_start(&world.redis, NULL);
    world.test = lab_redis_connect(&world.redis);
    world.loop = loop_create();
    world.give_up = loop_timer(world.loop, on_give_up, NULL);
    random_seed(&world.random.random, 20221122);
    world.random.config = &world.lab.config;
    world.random.rules = &world.rules;
    return 0;
}

static int teardown(void **state)
{
    store_destroy(world.store);
    loop_timer_destroy(world.give_up);
    loop_destroy(world.loop);
    redisFree(world.test);
    lab_redis_destroy(&world.redis);
    return 0;
}

static void command_end(redisReply *reply)
{
    assert_non_null(reply);
    assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
}

/* The number and size of things. */
static void open_store(uint32_t regions, uint32_t nodes, bool alone)
{
    const struct store_events events = {on_news, on_changed, on_link, on_due, NULL, NULL};
    char message[512];
    store_destroy(world.store);
    world.link = STORE_CONNECTING;
    command_end(redisCommand(world.test, "FLUSHALL"));
    lab_config_make(&world.lab, regions, 1);
    lab_config_cluster(&world.lab, nodes, 0, world.redis.address);
    world.lab.config.failover.single_node = alone;
    world.lab.config.store.command_timeout_ns = GIVE_UP_NS;
    region_rules_init(&world.rules, &world.lab.config);
    world.store = store_redis_create(world.loop, &world.lab.config, &world.rules, &events, message,
                                     sizeof(message));
    assert_non_null(world.store);
    run();
    assert_int_equal(world.link, STORE_CONNECTED);
}

/* Put them into Redis. */

static void append_field(void *context, const char *field, const char *value)
{
    uint32_t *count = context;
    redisAppendCommand(world.test, "HSET weir:{test}:state %s %s", field, value);
    ++*count;
}

static void store_all(const struct region_state *state, const struct region_votes *votes)
{
    uint32_t count = 1;
    char text[REGION_VOTE_MAX];
    redisAppendCommand(world.test, "FLUSHALL");
    if (state->epoch != 0)
        region_text_put(state, append_field, &count);
    for (uint32_t i = 0; i < votes->count; i++, count++)
        redisAppendCommand(world.test, "SET weir:{test}:vote:%s %s PX %u", votes->votes[i].node,
                           region_text_put_vote(&votes->votes[i], state, text),
                           6000 - (uint32_t)votes->votes[i].age_ms);
    for (uint32_t i = 0; i < count; i++) {
        redisReply *reply;
        assert_int_equal(redisGetReply(world.test, (void **)&reply), REDIS_OK);
        command_end(reply);
    }
}

static uint64_t server_ms(void)
{
    redisReply *reply = redisCommand(world.test, "TIME");
    uint64_t now_ms = strtoull(reply->element[0]->str, NULL, 10) * 1000 +
                      strtoull(reply->element[1]->str, NULL, 10) / 1000;
    freeReplyObject(reply);
    return now_ms;
}

static void append_text(void *context, const char *field, const char *value)
{
    char *out = context;
    size_t used = strlen(out);
    snprintf(out + used, STATE_BYTES - used, "%s=%s\n", field, value);
}

static const char *all_text(const struct region_state *state, char out[STATE_BYTES])
{
    out[0] = '\0';
    region_text_put(state, append_text, out);
    return out;
}

static void one_case(void)
{
    static struct region_case one;
    static char by_lua[STATE_BYTES];
    static char by_c[STATE_BYTES];
    region_random_case(&world.random, server_ms(), &one);
    store_all(&one.state, &one.votes);
    world.answered = false;
    store_change(world.store, &one.request);
    run();
    assert_true(world.answered);
    if (world.failed)
        fail_msg("the script failed: %s", world.text);
    enum region_answer answer =
        region_rules_decide(&world.rules, &one.state, &one.votes, world.now_ms, &one.request);
    if (answer != world.answer)
        fail_msg("C says %s, Lua says %s to request %d of region %u", region_answer_name(answer),
                 region_answer_name(world.answer), one.request.kind, one.request.region);
    assert_string_equal(all_text(&world.after, by_lua), all_text(&one.state, by_c));
}

static void redis_and_the_rules_in_c_decide_alike(void **state)
{
    for (size_t i = 0; i < array_count(region_shapes); i++) {
        open_store(region_shapes[i].regions, region_shapes[i].nodes, region_shapes[i].alone);
        for (uint32_t n = 0; n < CASES_A_SHAPE; n++)
            one_case();
    }
}

/* Two nodes that say of r0 what takes it out. */
static void store_agreement(void)
{
    struct region_state state;
    static struct region_votes votes;
    region_state_init(&state, &world.lab.config);
    state.epoch = 1;
    strcpy(state.change_id, "aaaaaaaaaaaaaaaa");
    state.regions[0].automatic = REGION_SUSPECT;
    votes = (struct region_votes){.count = 2};
    for (uint32_t n = 0; n < 2; n++) {
        struct region_vote *vote = &votes.votes[n];
        *vote = (struct region_vote){.epoch = 1, .agreement = world.rules.agreement};
        snprintf(vote->node, sizeof(vote->node), "n%u", n);
        strcpy(vote->change_id, state.change_id);
        for (uint32_t r = 0; r < 2; r++)
            for (int e = 0; e < REGION_EVIDENCES; e++)
                vote->regions[r].held_ms[e] = REGION_NOT_HELD;
        vote->regions[0].held_ms[REGION_HARD_FAILURE] = 60000;
    }
    store_all(&state, &votes);
}

static enum region_answer ask_down(void)
{
    struct region_request request = {.kind = REGION_MOVE, .to = REGION_DOWN, .epoch = 1};
    strcpy(request.change_id, "aaaaaaaaaaaaaaaa");
    strcpy(request.new_change_id, "bbbbbbbbbbbbbbbb");
    store_change(world.store, &request);
    run();
    assert_false(world.failed);
    return world.answer;
}

/* A vote with more left of its life than it began with was written before the clock was set back.
 */
static void votes_from_before_the_clock_was_set_back_do_not_count(void **state)
{
    open_store(2, 2, false);
    store_agreement();
    command_end(redisCommand(world.test, "PEXPIRE weir:{test}:vote:n1 60000"));
    assert_int_equal(ask_down(), REGION_NO_QUORUM);
    command_end(redisCommand(world.test, "PERSIST weir:{test}:vote:n1")); /* none at all */
    assert_int_equal(ask_down(), REGION_NO_QUORUM);
    command_end(redisCommand(world.test, "PEXPIRE weir:{test}:vote:n1 2000")); /* 4 s old */
    assert_int_equal(ask_down(), REGION_NO_QUORUM);
    store_agreement();
    assert_int_equal(ask_down(), REGION_DONE);
}

static void a_change_leaves_an_audit_entry(void **state)
{
    struct region_state configured;
    struct region_request request = {.kind = REGION_INIT, .content = &configured, .by = "me"};
    open_store(2, 1, true);
    command_end(redisCommand(world.test, "FLUSHALL"));
    region_state_init(&configured, &world.lab.config);
    strcpy(request.new_change_id, "bbbbbbbbbbbbbbbb");
    store_change(world.store, &request);
    run();
    assert_int_equal(world.answer, REGION_DONE);
    request = (struct region_request){.kind = REGION_DRAIN, .region = 1, .by = "uid=7 somebody"};
    strcpy(request.new_change_id, "cccccccccccccccc");
    store_change(world.store, &request);
    run();
    assert_int_equal(world.answer, REGION_DONE);
    redisReply *reply = redisCommand(world.test, "XREVRANGE weir:{test}:audit + - COUNT 1");
    assert_int_equal(reply->elements, 1);
    const redisReply *fields = reply->element[0]->element[1];
    bool found = false;
    for (size_t i = 0; i + 1 < fields->elements; i += 2)
        found |= strcmp(fields->element[i]->str, "by") == 0 &&
                 strcmp(fields->element[i + 1]->str, "uid=7 somebody") == 0;
    assert_true(found);
    freeReplyObject(reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redis_and_the_rules_in_c_decide_alike),
        cmocka_unit_test(votes_from_before_the_clock_was_set_back_do_not_count),
        cmocka_unit_test(a_change_leaves_an_audit_entry),
    };
    if (!lab_redis_is_installed()) {
        print_message("redis-server is missing: install it to run this test\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
