/*
 * store_redis: the agreed state in Redis, shared by the nodes of a cluster.
 *
 * A beat is one MULTI: publish the own vote, then read time, role, state and all votes; how old a
 * vote is follows from the time it has left. A change is decided by control/region_cas.lua in the
 * server. The store counts as connected from the first beat that was answered whole. What a change
 * publishes asks for a beat at once. Keys and commands: redis_words.h.
 */
#include "control/redis_words.h"
#include "control/region_text.h"
#include "control/store.h"
#include "control/store_redis_audit.h"
#include "control/store_redis_hint.h"
#include "control/store_redis_link.h"
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Hints make no beat sooner than that after the last one, and not all nodes' at the same time. */
#define HINT_SPACING_NS (20 * CLOCK_MS)
#define HINT_JITTER_MS  10u

/* Before the votes in the answer to a beat. */
enum beat_answer { BEAT_SET, BEAT_TIME, BEAT_ROLE, BEAT_STATE, BEAT_ANSWERS };

struct store_redis {
    struct store store;
    struct loop *loop;
    const struct config *config;
    const struct region_rules *rules;
    struct store_events events;
    struct redis_link *link;
    struct redis_hint *hint;
    struct loop_timer *hinted; /* when to ask for the beat that a hint has announced */
    struct random random;
    uint64_t beat_at_ns;
    bool connected; /* a beat was answered on this connection */
    bool beating;
    bool outdated; /* the beat under way was sent under another configuration */
    bool changing;
    bool auditing;
    struct region_state state; /* as read last */
    struct region_votes votes;
    struct redis_words words;
    struct store_audit audit;
};

static struct store_redis *of(struct store *store)
{
    return container_of(store, struct store_redis, store);
}

/* Commands. */

static void send_words(struct store_redis *redis, redis_connection_reply *reply)
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

/*
 * One node's vote and what it has left of its life. Votes that cannot be read do not count, nor do
 * those with more left than a vote can have: the server's clock was set back, and they are older
 * than they look.
 */
static void read_vote(struct store_redis *redis, uint32_t node, const redisReply *text,
                      const redisReply *left)
{
    struct region_vote *vote = &redis->votes.votes[redis->votes.count];
    uint64_t life_ms = redis_vote_ms(redis->config);
    if (!is_text(text) || left->type != REDIS_REPLY_INTEGER || left->integer < 0 ||
        (uint64_t)left->integer > life_ms || !region_text_take_vote(vote, &redis->state, text->str))
        return;
    vote->age_ms = life_ms - (uint64_t)left->integer;
    snprintf(vote->node, sizeof(vote->node), "%s", redis_node_name(redis->config, node));
    redis->votes.count++;
}

/* From here on commands may be asked for, and hints are listened to. */
static void become_connected(struct store_redis *redis)
{
    char channel[REDIS_KEY_MAX];
    redis_link_good(redis->link);
    if (redis->connected)
        return;
    redis->connected = true;
    redis_hint_start(redis->hint, redis_link_target(redis->link),
                     redis_hint_channel(redis->config, channel));
    redis->events.link(redis->events.context, STORE_CONNECTED, "");
}

/* False: the beat cannot be used, and the connection was given up. */
static bool read_beat(struct store_redis *redis, const redisReply *reply, uint64_t *now_ms)
{
    const char *which;
    for (int i = 0; i < BEAT_ANSWERS; i++) {
        if (reply->element[i]->type != REDIS_REPLY_ERROR)
            continue;
        redis_link_fail(redis->link, "%s", reply->element[i]->str);
        return false;
    }
    if (!redis_link_is_master(reply->element[BEAT_ROLE])) {
        redis_link_fail(redis->link, "it is not a master any more");
        return false;
    }
    if (!read_state(redis, reply->element[BEAT_STATE], &which)) {
        redis_link_fail(redis->link, "the state in Redis cannot be read: %s", which);
        return false;
    }
    if (!read_time(reply->element[BEAT_TIME], now_ms)) {
        redis_link_fail(redis->link, "the time of Redis cannot be read");
        return false;
    }
    return true;
}

/* The answers to a beat: those of enum beat_answer, then GET and PTTL for each node. */
static void on_beat(void *context, const redisReply *reply)
{
    struct store_redis *redis = context;
    uint64_t now_ms;
    redis->beating = false;
    if (reply->type == REDIS_REPLY_ERROR) {
        redis_link_fail(redis->link, "%s", reply->str);
        return;
    }
    if (redis->outdated) {
        redis->events.due(redis->events.context);
        return;
    }
    uint32_t nodes = redis_node_count(redis->config);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != BEAT_ANSWERS + 2 * (size_t)nodes) {
        redis_link_fail(redis->link, "the answer of Redis cannot be read");
        return;
    }
    if (!read_beat(redis, reply, &now_ms))
        return;
    redis->votes.count = 0;
    for (uint32_t i = 0; i < nodes; i++)
        read_vote(redis, i, reply->element[BEAT_ANSWERS + 2 * i],
                  reply->element[BEAT_ANSWERS + 2 * i + 1]);
    struct store_news news = {.now_ms = now_ms,
                              .empty = redis->state.epoch == 0,
                              .state = &redis->state,
                              .votes = &redis->votes};
    become_connected(redis);
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

static void send_one(struct store_redis *redis, redis_connection_reply *reply, const char *command,
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
    redis->outdated = false;
    redis->beat_at_ns = loop_now_ns(redis->loop);
    send_one(redis, on_queued, "MULTI", NULL);
    send_vote(redis, vote);
    send_one(redis, on_queued, "TIME", NULL);
    send_one(redis, on_queued, "ROLE", NULL);
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

/* The record. */

static void end_audit(struct store_redis *redis, const char *failure)
{
    if (!redis->auditing)
        return;
    redis->auditing = false;
    redis->audit.failure = failure;
    if (failure != NULL)
        redis->audit.count = 0;
    redis->events.audited(redis->events.context, &redis->audit);
}

/* One who may not read the record can do all the rest. */
static void on_audit(void *context, const redisReply *reply)
{
    struct store_redis *redis = context;
    if (reply->type == REDIS_REPLY_ERROR)
        end_audit(redis, reply->str);
    else if (!redis_audit_read(reply, &redis->audit))
        end_audit(redis, "the record in Redis cannot be read");
    else
        end_audit(redis, NULL);
}

static void audit(struct store *store)
{
    struct store_redis *redis = of(store);
    char key[REDIS_KEY_MAX];
    check(!redis->auditing);
    redis->auditing = true;
    if (!redis_link_is_ready(redis->link)) {
        end_audit(redis, redis_link_text(redis->link));
        return;
    }
    redis_words_begin(&redis->words);
    redis_words_add(&redis->words, "XREVRANGE");
    redis_words_add(&redis->words, "%s", redis_audit_key(redis->config, key));
    redis_words_add(&redis->words, "+");
    redis_words_add(&redis->words, "-");
    redis_words_add(&redis->words, "COUNT");
    redis_words_add(&redis->words, "%u", STORE_AUDIT_MAX);
    send_words(redis, on_audit);
}

/* Hints. */

static void on_hinted(void *context)
{
    struct store_redis *redis = context;
    uint64_t soonest = redis->beat_at_ns + HINT_SPACING_NS;
    uint64_t now = loop_now_ns(redis->loop);
    uint64_t jitter_ns = random_below(&redis->random, HINT_JITTER_MS + 1) * CLOCK_MS;
    loop_timer_at(redis->hinted, (soonest > now ? soonest : now) + jitter_ns);
}

/* A beat that is under way may have been answered before the change: another one follows it. */
static void look_now(void *context, uint64_t now_ns)
{
    struct store_redis *redis = context;
    if (redis->beating)
        loop_timer_at(redis->hinted, now_ns + HINT_SPACING_NS);
    else
        redis->events.due(redis->events.context);
}

/* The link. */

static void on_ready(void *context)
{
    struct store_redis *redis = context;
    redis->events.due(redis->events.context);
}

static void on_lost(void *context, enum store_link link, const char *text)
{
    struct store_redis *redis = context;
    redis->connected = false;
    redis->beating = false;
    redis_hint_stop(redis->hint);
    loop_timer_stop(redis->hinted);
    redis->events.link(redis->events.context, link, text);
    fail_change(redis, text);
    end_audit(redis, text);
}

static void apply(struct store *store, const struct config *config,
                  const struct region_rules *rules)
{
    struct store_redis *redis = of(store);
    char message[512];
    redis->config = config;
    redis->rules = rules;
    redis->outdated = redis->beating;
    region_state_init(&redis->state, config);
    redis->votes.count = 0;
    if (redis_link_apply(redis->link, &config->store, message, sizeof(message)) != 0)
        redis->events.link(redis->events.context,
                           redis->connected ? STORE_CONNECTED : STORE_CONNECTING, message);
}

/* Life. */

static void destroy(struct store *store)
{
    struct store_redis *redis = of(store);
    redis_link_destroy(redis->link);
    redis_hint_destroy(redis->hint);
    loop_timer_destroy(redis->hinted);
    free(redis);
}

static bool create_parts(struct store_redis *redis, char *message, size_t message_size)
{
    const struct redis_link_events events = {on_ready, on_lost, redis};
    uint64_t seed;
    random_secret(&seed, sizeof(seed));
    random_seed(&redis->random, seed);
    snprintf(message, message_size, "no memory");
    redis->hint = redis_hint_create(redis->loop, on_hinted, redis);
    redis->hinted = loop_timer(redis->loop, look_now, redis);
    if (redis->hint == NULL || redis->hinted == NULL)
        return false;
    redis->link =
        redis_link_create(redis->loop, &redis->config->store, &events, message, message_size);
    return redis->link != NULL;
}

struct store *store_redis_create(struct loop *loop, const struct config *config,
                                 const struct region_rules *rules,
                                 const struct store_events *events, char *message,
                                 size_t message_size)
{
    static const struct store_operations operations = {beat, change, apply, audit, destroy};
    struct store_redis *redis = calloc(1, sizeof(*redis));
    if (redis == NULL) {
        snprintf(message, message_size, "no memory");
        return NULL;
    }
    redis->store = (struct store){&operations, "redis"};
    redis->loop = loop;
    redis->config = config;
    redis->rules = rules;
    redis->events = *events;
    if (!create_parts(redis, message, message_size)) {
        destroy(&redis->store);
        return NULL;
    }
    return &redis->store;
}
