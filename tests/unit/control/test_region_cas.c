/*
 * region_cas: the rules in C and in Lua are the same: thousands of random states, votes and
 * requests are decided by region_rules_decide() and by a real Redis, and must end alike.
 */
#include "control/region_text.h"
#include "control/store.h"
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/random.h"
#include "tests/support/cmocka.h"
#include "tests/support/failover_lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CASES_A_SHAPE 350
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
    struct random random;
    enum store_link link;
    bool answered;
    bool failed;
    enum region_answer answer;
    char text[512];
    uint64_t now_ms;
    struct region_state after;
    uint32_t seen[REGION_ANSWERS];
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
    random_seed(&world.random, 20221122);
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

static uint32_t below(uint32_t bound)
{
    return random_below(&world.random, bound);
}

static bool one_in(uint32_t count)
{
    return below(count) == 0;
}

/* The number and size of things. */
static void open_store(uint32_t regions, uint32_t nodes, bool alone)
{
    const struct store_events events = {on_news, on_changed, on_link, NULL};
    char message[512];
    store_destroy(world.store);
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

/* Random values, with a taste for the borders. */

static uint64_t some_time(uint64_t now_ms)
{
    static const int64_t distances[] = {0,      1000,   10000,   59000,   60000,   61000,
                                        600000, 900000, 1799000, 1801000, 3600000, 7200000};
    if (one_in(4))
        return 0;
    int64_t distance = distances[below(array_count(distances))];
    return one_in(3) ? now_ms + (uint64_t)distance : now_ms - (uint64_t)distance;
}

static int32_t some_held(void)
{
    static const int32_t dwells[] = {0, 3000, 5000, 6000, 10000, 12000, 30000, 60000, 120000};
    static const int32_t more[] = {-1, 0, 1, 9999, 10000, 10001, 500000};
    if (one_in(3))
        return REGION_NOT_HELD;
    int32_t held_ms = dwells[below(array_count(dwells))] + more[below(array_count(more))];
    return held_ms < 0 ? 0 : held_ms;
}

static void some_id(char out[REGION_ID_MAX])
{
    static const char *const ids[] = {"", "aaaaaaaaaaaaaaaa", "cccccccccccccccc"};
    strcpy(out, ids[below(array_count(ids))]);
}

static void some_state(struct region_state *state, uint64_t now_ms)
{
    region_state_init(state, &world.lab.config);
    if (one_in(10))
        return; /* an empty database */
    state->epoch = 1 + below(3);
    strcpy(state->change_id, "aaaaaaaaaaaaaaaa");
    if (!one_in(5))
        strcpy(state->incarnation, "iiiiiiiiiiiiiiii");
    strcpy(state->decided_by, "n9");
    strcpy(state->reason, "before");
    state->last_down_ms = one_in(2) ? 0 : some_time(now_ms);
    state->frozen_until_ms = one_in(4) ? some_time(now_ms) : 0;
    state->frozen_times = below(7);
    for (uint32_t i = 0; i < state->count; i++) {
        struct region_record *record = &state->regions[i];
        record->automatic = (enum region_automatic)below(REGION_AUTOMATICS);
        record->before = (enum region_automatic)below(REGION_AUTOMATICS);
        record->override =
            one_in(3) ? (enum region_override)below(REGION_OVERRIDES) : REGION_OVERRIDE_NONE;
        record->expires_ms = some_time(now_ms);
        record->since_ms = some_time(now_ms);
        record->downs = below(8);
        record->hold_down_until_ms = some_time(now_ms);
        record->ramp_step = below(6);
        record->step_since_ms = some_time(now_ms);
        strcpy(record->reason, "before");
    }
}

static void some_opinions(struct region_vote *vote, uint32_t regions)
{
    for (uint32_t r = 0; r < regions; r++)
        for (int e = 0; e < REGION_EVIDENCES; e++)
            vote->regions[r].held_ms[e] = some_held();
}

/* Two opinions that most share make more quorums, and half quorums, than pure chance. */
static void some_votes(struct region_votes *votes, const struct region_state *state)
{
    struct region_vote common[2] = {{.agreement = world.rules.agreement},
                                    {.agreement = world.rules.agreement}};
    bool one_opinion = one_in(2);
    some_opinions(&common[0], state->count);
    some_opinions(&common[1], state->count);
    votes->count = 0;
    for (uint32_t n = 0; n < world.lab.config.failover.node_count; n++) {
        if (one_in(10))
            continue;
        struct region_vote *vote = &votes->votes[votes->count++];
        *vote = common[one_opinion ? 0 : below(2)];
        snprintf(vote->node, sizeof(vote->node), "n%u", n);
        vote->age_ms = one_in(5) ? 3500 + below(1500) : below(2000);
        vote->epoch = state->epoch;
        strcpy(vote->change_id, state->change_id);
        if (one_in(10))
            vote->epoch = below(5);
        if (one_in(12))
            some_id(vote->change_id);
        vote->blind = one_in(8);
        vote->agreement += one_in(10);
        for (uint32_t r = 0; r < state->count && one_in(2); r++)
            vote->regions[r].held_ms[below(REGION_EVIDENCES)] = some_held();
    }
}

static void some_request(struct region_request *request, const struct region_state *state,
                         const struct region_votes *votes, struct region_state *content,
                         uint64_t now_ms)
{
    *request = (struct region_request){
        .kind = one_in(2) ? REGION_MOVE : (enum region_request_kind)below(REGION_REQUESTS),
        .region = below(state->count),
        .to = (enum region_automatic)below(REGION_AUTOMATICS),
        .ttl_ms = one_in(2) ? 0 : below(100000),
        .by = "uid=0 = someone",
        .epoch = state->epoch + one_in(20),
        .content = content,
    };
    strcpy(request->change_id, state->change_id);
    if (one_in(20))
        some_id(request->change_id);
    strcpy(request->new_change_id, "bbbbbbbbbbbbbbbb");
    strcpy(request->new_incarnation, "jjjjjjjjjjjjjjjj");
    struct region_proposal proposal =
        region_rules_propose(&world.rules, state, votes, now_ms, request->region);
    if (proposal.due && !one_in(20))
        request->to = proposal.to;
    some_state(content, now_ms);
    if (votes->count > 0 && !one_in(4)) {
        const struct region_vote *vote = &votes->votes[below(votes->count)];
        content->epoch = vote->epoch;
        strcpy(content->change_id, vote->change_id);
    }
    if (request->kind == REGION_INIT)
        content->epoch = 0; /* as the one caller does */
}

/* Put them into Redis. */

static void command_end(redisReply *reply)
{
    assert_non_null(reply);
    assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
}

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
    static struct region_votes votes;
    static struct region_state content;
    static char by_lua[STATE_BYTES];
    static char by_c[STATE_BYTES];
    struct region_state state;
    struct region_request request;
    uint64_t now_ms = server_ms();
    some_state(&state, now_ms);
    some_votes(&votes, &state);
    some_request(&request, &state, &votes, &content, now_ms);
    store_all(&state, &votes);
    world.answered = false;
    store_change(world.store, &request);
    run();
    assert_true(world.answered);
    if (world.failed)
        fail_msg("the script failed: %s", world.text);
    enum region_answer answer =
        region_rules_decide(&world.rules, &state, &votes, world.now_ms, &request);
    world.seen[answer]++;
    if (answer != world.answer)
        fail_msg("C says %s, Lua says %s to request %d of region %u", region_answer_name(answer),
                 region_answer_name(world.answer), request.kind, request.region);
    assert_string_equal(all_text(&world.after, by_lua), all_text(&state, by_c));
}

static void the_rules_in_lua_and_in_c_decide_alike(void **state)
{
    static const struct {
        uint32_t regions;
        uint32_t nodes;
        bool alone;
    } shapes[] = {{1, 1, true},  {2, 1, true},  {4, 3, true},  {1, 3, false},
                  {2, 2, false}, {2, 3, false}, {3, 3, false}, {4, 3, false},
                  {2, 4, false}, {3, 4, false}, {4, 5, false}, {8, 8, false}};
    for (size_t i = 0; i < array_count(shapes); i++) {
        open_store(shapes[i].regions, shapes[i].nodes, shapes[i].alone);
        for (uint32_t n = 0; n < CASES_A_SHAPE; n++)
            one_case();
    }
    for (unsigned a = 0; a < REGION_ANSWERS; a++)
        if (a != REGION_UNKNOWN) /* random states have met every answer but this */
            assert_true(world.seen[a] > 0);
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
        cmocka_unit_test(the_rules_in_lua_and_in_c_decide_alike),
        cmocka_unit_test(a_change_leaves_an_audit_entry),
    };
    if (!lab_redis_is_installed()) {
        print_message("redis-server is missing: install it to run this test\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
