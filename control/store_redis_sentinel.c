#include "control/store_redis_sentinel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct redis_sentinel {
    struct redis_sentinel_events events;
    struct redis_sentinel_settings settings;
    struct redis_connection *connection;
    uint32_t at;    /* who is asked */
    uint32_t asked; /* in this round */
};

static void ask_one(struct redis_sentinel *sentinel)
{
    sentinel->at %= sentinel->settings.count;
    redis_connection_open(sentinel->connection, &sentinel->settings.sentinels[sentinel->at]);
}

/* This one does not help. */
static void on_down(void *context, const char *text)
{
    struct redis_sentinel *sentinel = context;
    char whole[REDIS_TEXT_MAX + REDIS_ADDRESS_TEXT];
    snprintf(whole, sizeof(whole), "sentinel %s: %s",
             sentinel->settings.sentinels[sentinel->at].address.text, text);
    sentinel->at++;
    if (++sentinel->asked < sentinel->settings.count)
        ask_one(sentinel);
    else
        sentinel->events.failed(sentinel->events.context, whole);
}

static bool is_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING && strlen(reply->str) == (size_t)reply->len;
}

/* {address, port}; nil when it does not watch such a master. */
static void on_master(void *context, const redisReply *reply)
{
    struct redis_sentinel *sentinel = context;
    struct redis_address master;
    if (reply->type == REDIS_REPLY_ERROR)
        redis_connection_fail(sentinel->connection, "%s", reply->str);
    else if (reply->type == REDIS_REPLY_NIL)
        redis_connection_fail(sentinel->connection, "knows no master \"%s\"",
                              sentinel->settings.master);
    else if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
             !is_text(reply->element[0]) || !is_text(reply->element[1]))
        redis_connection_fail(sentinel->connection, "its answer cannot be read");
    else if (!redis_address_make(reply->element[0]->str, reply->element[1]->str, &master))
        redis_connection_fail(sentinel->connection, "names \"%s\", which is no IP address",
                              reply->element[0]->str);
    else {
        redis_connection_close(sentinel->connection);
        sentinel->events.found(sentinel->events.context, &master);
    }
}

static void on_up(void *context)
{
    struct redis_sentinel *sentinel = context;
    const char *words[] = {"SENTINEL", "get-master-addr-by-name", sentinel->settings.master};
    redis_connection_send(sentinel->connection, on_master, sentinel, 3, words, NULL);
}

void redis_sentinel_ask(struct redis_sentinel *sentinel,
                        const struct redis_sentinel_settings *settings)
{
    redis_sentinel_stop(sentinel);
    sentinel->settings = *settings;
    sentinel->asked = 0;
    ask_one(sentinel);
}

void redis_sentinel_stop(struct redis_sentinel *sentinel)
{
    redis_connection_close(sentinel->connection);
}

void redis_sentinel_doubt(struct redis_sentinel *sentinel)
{
    sentinel->at++;
}

struct redis_sentinel *redis_sentinel_create(struct loop *loop,
                                             const struct redis_sentinel_events *events)
{
    struct redis_sentinel *sentinel = calloc(1, sizeof(*sentinel));
    if (sentinel == NULL)
        return NULL;
    const struct redis_connection_events connection_events = {on_up, on_down, sentinel};
    sentinel->events = *events;
    sentinel->connection = redis_connection_create(loop, &connection_events);
    if (sentinel->connection == NULL) {
        free(sentinel);
        return NULL;
    }
    return sentinel;
}

void redis_sentinel_destroy(struct redis_sentinel *sentinel)
{
    if (sentinel == NULL)
        return;
    redis_connection_destroy(sentinel->connection);
    free(sentinel);
}
