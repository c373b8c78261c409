/*
 * store_redis: the agreed state in Redis, shared by the nodes of a cluster.
 *
 * A beat is one MULTI: publish the own vote, then read time, state and all votes; how old a vote is
 * follows from the time it has left. A change is decided by control/region_cas.lua in the server.
 * Keys and commands: redis_words.h.
 */
#include "control/redis_words.h"
#include "control/region_text.h"
#include "control/store.h"
#include "control/store_redis_link.h"
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    struct redis_words words;
};

static struct store_redis *of(struct store *store)
{
    return container_of(store, struct store_redis, store);
}

/* Commands. */

static void send_words(struct store_redis *redis, redis_link_reply *reply)
{
    const struct redis_words *words = &redis->words;
    redis_link_send(redis->link, reply, words->count, words->at, words->lengths);
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
    vote->age_ms =
        left_ms < redis_vote_ms(redis->config) ? redis_vote_ms(redis->config) - left_ms : 0;
    snprintf(vote->node, sizeof(vote->node), "%s", redis_node_name(redis->config, node));
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
    if (reply->type != REDIS_REPLY_ARRAY ||
        reply->elements != 3 + 2 * (size_t)redis_node_count(redis->config))
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
    for (uint32_t i = 0; i < redis_node_count(redis->config); i++)
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
    char key[REDIS_KEY_MAX];
    char text[REGION_VOTE_MAX];
    struct region_state names;
    region_state_init(&names, redis->config);
    redis_words_begin(&redis->words);
    redis_words_add(&redis->words, "SET");
    redis_words_add(&redis->words, "%s", redis_vote_key(redis->config, redis->config->node, key));
    redis_words_add(&redis->words, "%s", region_text_put_vote(vote, &names, text));
    redis_words_add(&redis->words, "PX");
    redis_words_add(&redis->words, "%" PRIu64, redis_vote_ms(redis->config));
    send_words(redis, on_queued);
}

static void send_one(struct store_redis *redis, redis_link_reply *reply, const char *command,
                     const char *key)
{
    redis_words_begin(&redis->words);
    redis_words_add(&redis->words, "%s", command);
    if (key != NULL)
        redis_words_add(&redis->words, "%s", key);
    send_words(redis, reply);
}

static void beat(struct store *store, const struct region_vote *vote)
{
    struct store_redis *redis = of(store);
    char key[REDIS_KEY_MAX];
    if (!redis_link_is_ready(redis->link) || redis->beating)
        return;
    redis->beating = true;
    send_one(redis, NULL, "MULTI", NULL);
    send_vote(redis, vote);
    send_one(redis, on_queued, "TIME", NULL);
    send_one(redis, on_queued, "HGETALL", redis_state_key(redis->config, key));
    for (uint32_t i = 0; i < redis_node_count(redis->config); i++) {
        send_one(redis, on_queued, "GET",
                 redis_vote_key(redis->config, redis_node_name(redis->config, i), key));
        send_one(redis, on_queued, "PTTL", key);
    }
    send_one(redis, on_beat, "EXEC", NULL);
}

/* Changes. */

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
    redis_words_change(&redis->words, redis->config, redis->rules, request);
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
