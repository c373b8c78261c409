/*
 * store_redis: the agreed state in Redis, shared by the nodes of a cluster.
 *
 * Keys: weir:{cluster}:state (hash), weir:{cluster}:vote:<node> (expires), weir:{cluster}:audit
 * (stream); the braces keep them in one slot. A beat is one MULTI: publish the own vote, then read
 * time, state and all votes; how old a vote is follows from the time it has left. A change is
 * decided by control/region_cas.lua in the server.
 */
#include "control/region_cas_lua.h"
#include "control/region_text.h"
#include "control/store.h"
#include "control/store_redis_link.h"
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX     256
#define WORDS_MAX   1024
#define ARENA_BYTES (192 * 1024)

/* A command under construction. */
struct words {
    int count;
    bool overflow;
    const char *at[WORDS_MAX];
    size_t lengths[WORDS_MAX];
    size_t used;
    char arena[ARENA_BYTES];
};

struct store_redis {
    struct store store;
    const struct config *config;
    const struct region_rules *rules;
    struct store_events events;
    struct redis_link *link;
    bool beating;
    bool changing;
    struct region_state state; /* as read last */
    struct region_votes votes;
    struct words words;
};

static struct store_redis *of(struct store *store)
{
    return container_of(store, struct store_redis, store);
}

/* Commands. */

static void words_begin(struct words *words)
{
    words->count = 0;
    words->used = 0;
    words->overflow = false;
}

__attribute__((format(printf, 2, 3))) static void add(struct words *words, const char *format, ...)
{
    size_t room = sizeof(words->arena) - words->used;
    char *at = words->arena + words->used;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(at, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= room || words->count == WORDS_MAX) {
        words->overflow = true;
        return;
    }
    words->at[words->count] = at;
    words->lengths[words->count++] = (size_t)length;
    words->used += (size_t)length + 1;
}

static void send_words(struct store_redis *redis, redis_link_reply *reply)
{
    const struct words *words = &redis->words;
    check(!words->overflow); /* sized for the largest configuration */
    redis_link_send(redis->link, reply, words->count, words->at, words->lengths);
}

/* The nodes whose votes are read: the roster, which is this node when none is configured. */
static uint32_t node_count(const struct store_redis *redis)
{
    uint32_t count = redis->config->failover.node_count;
    if (count == 0)
        return 1;
    return count < REGION_NODES_MAX ? count : REGION_NODES_MAX;
}

static const char *node_name(const struct store_redis *redis, uint32_t index)
{
    const struct config *config = redis->config;
    return config->failover.node_count == 0 ? config->node : config->failover.nodes[index];
}

static const char *vote_key(const struct store_redis *redis, const char *node, char out[KEY_MAX])
{
    snprintf(out, KEY_MAX, "weir:{%s}:vote:%s", redis->config->store.cluster, node);
    return out;
}

static uint64_t gone_ms(const struct store_redis *redis)
{
    return redis->config->failover.vote_gone_ns / CLOCK_MS;
}

/* Reading. Everything from Redis is checked: another program may have written it. */

static bool is_text(const redisReply *reply)
{
    return (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS) &&
           strlen(reply->str) == (size_t)reply->len;
}

static bool read_u64(const redisReply *reply, uint64_t *out)
{
    char *end;
    if (!is_text(reply) || reply->str[0] < '0' || reply->str[0] > '9')
        return false;
    *out = strtoull(reply->str, &end, 10);
    return *end == '\0';
}

/* A hash, as HGETALL gives it. False: some field cannot be read, and *WHICH names it. */
static bool read_state(struct store_redis *redis, const redisReply *reply, const char **which)
{
    *which = "the hash";
    region_state_init(&redis->state, redis->config);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 0)
        return false;
    for (size_t i = 0; i < reply->elements; i += 2) {
        const redisReply *field = reply->element[i];
        const redisReply *value = reply->element[i + 1];
        if (!is_text(field) || !is_text(value))
            return false;
        *which = field->str;
        if (!region_text_take(&redis->state, field->str, value->str))
            return false;
    }
    return true;
}

static bool read_time(const redisReply *reply, uint64_t *out_ms)
{
    uint64_t seconds;
    uint64_t micros;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        !read_u64(reply->element[0], &seconds) || !read_u64(reply->element[1], &micros))
        return false;
    *out_ms = seconds * 1000 + micros / 1000;
    return true;
}

/* One node's vote and what it has left of its life. Votes that cannot be read do not count. */
static void read_vote(struct store_redis *redis, uint32_t node, const redisReply *text,
                      const redisReply *left)
{
    struct region_vote *vote = &redis->votes.votes[redis->votes.count];
    if (!is_text(text) || left->type != REDIS_REPLY_INTEGER || left->integer < 0 ||
        !region_text_take_vote(vote, &redis->state, text->str))
        return;
    uint64_t left_ms = (uint64_t)left->integer;
    vote->age_ms = left_ms < gone_ms(redis) ? gone_ms(redis) - left_ms : 0;
    snprintf(vote->node, sizeof(vote->node), "%s", node_name(redis, node));
    redis->votes.count++;
}

/* The answers to a beat: SET, TIME, HGETALL, then GET and PTTL for each node. */
static void on_beat(void *context, const redisReply *reply)
{
    struct store_redis *redis = context;
    const char *which;
    uint64_t now_ms;
    redis->beating = false;
    if (reply->type == REDIS_REPLY_ERROR) {
        redis_link_fail(redis->link, "%s", reply->str);
        return;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 + 2 * (size_t)node_count(redis))
        return; /* the roster has changed in between */
    if (reply->element[0]->type == REDIS_REPLY_ERROR) {
        redis_link_fail(redis->link, "%s", reply->element[0]->str);
        return;
    }
    if (!read_state(redis, reply->element[2], &which) || !read_time(reply->element[1], &now_ms)) {
        redis_link_fail(redis->link, "the state in Redis cannot be read: %s", which);
        return;
    }
    redis->votes.count = 0;
    for (uint32_t i = 0; i < node_count(redis); i++)
        read_vote(redis, i, reply->element[3 + 2 * i], reply->element[4 + 2 * i]);
    struct store_news news = {.now_ms = now_ms,
                              .empty = redis->state.epoch == 0,
                              .state = &redis->state,
                              .votes = &redis->votes};
    redis->events.news(redis->events.context, &news);
}

/* Answers before EXEC are "QUEUED", or the error that makes EXEC fail. */
static void on_queued(void *context, const redisReply *reply)
{
    struct store_redis *redis = context;
    if (reply->type == REDIS_REPLY_ERROR)
        redis_link_fail(redis->link, "%s", reply->str);
}

static void send_vote(struct store_redis *redis, const struct region_vote *vote)
{
    char key[KEY_MAX];
    char text[REGION_VOTE_MAX];
    struct region_state names;
    region_state_init(&names, redis->config);
    words_begin(&redis->words);
    add(&redis->words, "SET");
    add(&redis->words, "%s", vote_key(redis, redis->config->node, key));
    add(&redis->words, "%s", region_text_put_vote(vote, &names, text));
    add(&redis->words, "PX");
    add(&redis->words, "%" PRIu64, gone_ms(redis));
    send_words(redis, on_queued);
}

static void send_one(struct store_redis *redis, redis_link_reply *reply, const char *command,
                     const char *key)
{
    words_begin(&redis->words);
    add(&redis->words, "%s", command);
    if (key != NULL)
        add(&redis->words, "%s", key);
    send_words(redis, reply);
}

static const char *state_key(const struct store_redis *redis, char out[KEY_MAX])
{
    snprintf(out, KEY_MAX, "weir:{%s}:state", redis->config->store.cluster);
    return out;
}

static void beat(struct store *store, const struct region_vote *vote)
{
    struct store_redis *redis = of(store);
    char key[KEY_MAX];
    if (!redis_link_is_ready(redis->link) || redis->beating)
        return;
    redis->beating = true;
    send_one(redis, NULL, "MULTI", NULL);
    send_vote(redis, vote);
    send_one(redis, on_queued, "TIME", NULL);
    send_one(redis, on_queued, "HGETALL", state_key(redis, key));
    for (uint32_t i = 0; i < node_count(redis); i++) {
        send_one(redis, on_queued, "GET", vote_key(redis, node_name(redis, i), key));
        send_one(redis, on_queued, "PTTL", key);
    }
    send_one(redis, on_beat, "EXEC", NULL);
}

/* Changes. */

static const char *operation(enum region_request_kind kind)
{
    static const char *const names[REGION_REQUESTS] = {
        [REGION_INIT] = "init",       [REGION_MOVE] = "move",     [REGION_DRAIN] = "drain",
        [REGION_UNDRAIN] = "undrain", [REGION_EXPIRE] = "expire", [REGION_REASSERT] = "reassert",
    };
    check(kind < REGION_REQUESTS);
    return names[kind];
}

static void add_keys(struct store_redis *redis)
{
    char key[KEY_MAX];
    struct words *words = &redis->words;
    add(words, "%u", 2 + node_count(redis));
    add(words, "%s", state_key(redis, key));
    add(words, "weir:{%s}:audit", redis->config->store.cluster);
    for (uint32_t i = 0; i < node_count(redis); i++)
        add(words, "%s", vote_key(redis, node_name(redis, i), key));
}

static void add_rules(struct store_redis *redis)
{
    const struct region_rules *rules = redis->rules;
    struct words *words = &redis->words;
    add(words, "none_ms=0");
    add(words, "hard_ms=%u", rules->hard_ms);
    add(words, "down_ms=%u", rules->down_ms);
    add(words, "degraded_ms=%u", rules->degraded_ms);
    add(words, "up_ms=%u", rules->up_ms);
    add(words, "clear_ms=%u", rules->clear_ms);
    add(words, "recover_ms=%u", rules->recover_ms);
    add(words, "hold_down_ms=%" PRIu64, rules->hold_down_ms);
    add(words, "hold_down_max_ms=%" PRIu64, rules->hold_down_max_ms);
    add(words, "ramp_step_ms=%" PRIu64, rules->ramp_step_ms);
    add(words, "ramp_steps=%u", rules->ramp_steps);
    add(words, "min_active=%u", rules->min_active);
    add(words, "down_interval_ms=%" PRIu64, rules->down_interval_ms);
    add(words, "correlated_ms=%" PRIu64, rules->correlated_ms);
    add(words, "freeze_ms=%" PRIu64, rules->freeze_ms);
    add(words, "fresh_ms=%" PRIu64, rules->fresh_ms);
    add(words, "gone_ms=%" PRIu64, gone_ms(redis));
    add(words, "roster=%u", rules->roster);
    add(words, "alone=%d", rules->alone);
    add(words, "agreement=%016" PRIx64, rules->agreement);
}

static void add_names(struct store_redis *redis)
{
    char regions[SNAPSHOT_REGIONS_MAX * (CONFIG_NAME_MAX + 1)] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < redis->config->region_count; i++)
        used += (size_t)snprintf(regions + used, sizeof(regions) - used, "%s ",
                                 redis->config->regions[i].name);
    add(&redis->words, "regions=%s", regions);
    add(&redis->words, "node=%s", redis->config->node);
    for (uint32_t i = 0; i < node_count(redis); i++)
        if (strcmp(node_name(redis, i), redis->config->node) == 0)
            add(&redis->words, "self=%u", 3 + i); /* the index of its key, from 1 */
}

static void add_field(void *context, const char *field, const char *value)
{
    struct words *words = context;
    add(words, "field:%s=%s", field, value);
}

static void add_request(struct store_redis *redis, const struct region_request *request)
{
    struct words *words = &redis->words;
    bool of_a_region = request->kind != REGION_INIT && request->kind != REGION_REASSERT;
    add(words, "op=%s", operation(request->kind));
    if (of_a_region)
        add(words, "region=%s", redis->config->regions[request->region].name);
    add(words, "to=%s", region_automatic_name(request->to));
    add(words, "ttl_ms=%" PRIu64, request->ttl_ms);
    add(words, "by=%s", request->by);
    add(words, "epoch=%" PRIu64, request->epoch);
    add(words, "change_id=%s", request->change_id);
    add(words, "new_change_id=%s", request->new_change_id);
    add(words, "new_incarnation=%s", request->new_incarnation);
    if (request->content != NULL)
        region_text_put(request->content, add_field, words);
}

static void end_change(struct store_redis *redis, bool failed, const struct store_change *change)
{
    if (!redis->changing)
        return;
    redis->changing = false;
    redis->events.changed(redis->events.context, failed, change);
}

static void fail_change(struct store_redis *redis, const char *text)
{
    struct store_change change = {.answer = REGION_UNKNOWN, .text = text};
    end_change(redis, true, &change);
}

static bool read_answer(const redisReply *reply, enum region_answer *out)
{
    if (!is_text(reply))
        return false;
    for (unsigned i = 0; i < REGION_ANSWERS; i++) {
        if (strcmp(reply->str, region_answer_name((enum region_answer)i)) != 0)
            continue;
        *out = (enum region_answer)i;
        return true;
    }
    return false;
}

/* {answer, reason, time, state}, as the script gives it. */
static void on_change(void *context, const redisReply *reply)
{
    struct store_redis *redis = context;
    struct store_change change = {0};
    const char *which;
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_change(redis, reply->str);
        return;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 4 ||
        !read_answer(reply->element[0], &change.answer) || !is_text(reply->element[1]) ||
        !read_u64(reply->element[2], &change.now_ms) ||
        !read_state(redis, reply->element[3], &which)) {
        fail_change(redis, "the answer of Redis cannot be read");
        return;
    }
    change.state = &redis->state;
    change.text =
        change.answer == REGION_DONE ? reply->element[1]->str : region_answer_text(change.answer);
    end_change(redis, false, &change);
}

static void change(struct store *store, const struct region_request *request)
{
    struct store_redis *redis = of(store);
    check(!redis->changing);
    redis->changing = true;
    if (!redis_link_is_ready(redis->link)) {
        fail_change(redis, redis_link_text(redis->link));
        return;
    }
    words_begin(&redis->words);
    add(&redis->words, "EVAL");
    add(&redis->words, "%s", region_cas_lua);
    add_keys(redis);
    add_rules(redis);
    add_names(redis);
    add_request(redis, request);
    send_words(redis, on_change);
}

/* The link. */

static void on_ready(void *context)
{
    struct store_redis *redis = context;
    redis->beating = false;
    redis->events.link(redis->events.context, STORE_CONNECTED, "");
}

static void on_lost(void *context, enum store_link link, const char *text)
{
    struct store_redis *redis = context;
    redis->beating = false;
    redis->events.link(redis->events.context, link, text);
    fail_change(redis, text);
}

static void apply(struct store *store, const struct config *config,
                  const struct region_rules *rules)
{
    struct store_redis *redis = of(store);
    char message[512];
    redis->config = config;
    redis->rules = rules;
    region_state_init(&redis->state, config);
    redis->votes.count = 0;
    if (redis_link_apply(redis->link, &config->store, message, sizeof(message)) != 0)
        redis->events.link(redis->events.context,
                           redis_link_is_ready(redis->link) ? STORE_CONNECTED : STORE_CONNECTING,
                           message);
}

static void destroy(struct store *store)
{
    struct store_redis *redis = of(store);
    redis_link_destroy(redis->link);
    free(redis);
}

struct store *store_redis_create(struct loop *loop, const struct config *config,
                                 const struct region_rules *rules,
                                 const struct store_events *events, char *message,
                                 size_t message_size)
{
    static const struct store_operations operations = {beat, change, apply, destroy};
    struct store_redis *redis = calloc(1, sizeof(*redis));
    if (redis == NULL) {
        snprintf(message, message_size, "no memory");
        return NULL;
    }
    redis->store = (struct store){&operations, "redis"};
    redis->config = config;
    redis->rules = rules;
    redis->events = *events;
    const struct redis_link_events link_events = {on_ready, on_lost, redis};
    redis->link = redis_link_create(loop, &config->store, &link_events, message, message_size);
    if (redis->link == NULL) {
        free(redis);
        return NULL;
    }
    return &redis->store;
}
