#include "control/store_redis_hint.h"

#include "dataplane/base/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define AGAIN_NS    (2 * CLOCK_S)
#define CHANNEL_MAX 256

struct redis_hint {
    struct loop *loop;
    void (*hinted)(void *context);
    void *context;
    struct redis_connection *connection;
    struct loop_timer *again;
    struct redis_target target;
    char channel[CHANNEL_MAX];
};

static void try_again(struct redis_hint *hint)
{
    loop_timer_at(hint->again, loop_now_ns(hint->loop) + AGAIN_NS);
}

static void on_down(void *context, const char *text)
{
    try_again(context);
}

static void on_message(void *context, const redisReply *reply)
{
    struct redis_hint *hint = context;
    if (reply->type != REDIS_REPLY_ERROR)
        hint->hinted(hint->context);
}

/* What was published before it came is not heard of: a look tells. */
static void on_subscribed(void *context, const redisReply *reply)
{
    struct redis_hint *hint = context;
    if (reply->type == REDIS_REPLY_ERROR)
        redis_connection_fail(hint->connection, "%s", reply->str);
    else
        hint->hinted(hint->context);
}

static void on_up(void *context)
{
    struct redis_hint *hint = context;
    const char *words[] = {"SUBSCRIBE", hint->channel};
    redis_connection_listen(hint->connection, on_message, hint);
    redis_connection_send(hint->connection, on_subscribed, hint, 2, words, NULL);
}

static void open_connection(void *context, uint64_t now_ns)
{
    struct redis_hint *hint = context;
    redis_connection_open(hint->connection, &hint->target);
}

void redis_hint_start(struct redis_hint *hint, const struct redis_target *target,
                      const char *channel)
{
    redis_hint_stop(hint);
    hint->target = *target;
    snprintf(hint->channel, sizeof(hint->channel), "%s", channel);
    loop_timer_at(hint->again, loop_now_ns(hint->loop));
}

void redis_hint_stop(struct redis_hint *hint)
{
    loop_timer_stop(hint->again);
    redis_connection_close(hint->connection);
}

struct redis_hint *redis_hint_create(struct loop *loop, void (*hinted)(void *context),
                                     void *context)
{
    struct redis_hint *hint = calloc(1, sizeof(*hint));
    if (hint == NULL)
        return NULL;
    const struct redis_connection_events events = {on_up, on_down, hint};
    hint->loop = loop;
    hint->hinted = hinted;
    hint->context = context;
    hint->connection = redis_connection_create(loop, &events);
    hint->again = loop_timer(loop, open_connection, hint);
    if (hint->connection == NULL || hint->again == NULL) {
        redis_hint_destroy(hint);
        return NULL;
    }
    return hint;
}

void redis_hint_destroy(struct redis_hint *hint)
{
    if (hint == NULL)
        return;
    redis_connection_destroy(hint->connection);
    loop_timer_destroy(hint->again);
    free(hint);
}
