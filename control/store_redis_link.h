/*
 * store_redis_link: the connection to Redis, for store_redis.c: connect, AUTH, ROLE, commands with
 * time-outs, and when it is lost, connect again: after 0.2 to 0.4 s, and after five failures in a
 * row every 2 s, with jitter. Never blocks but for reading the password file. Control thread.
 */
#pragma once

#include "control/store.h"

#include <hiredis/hiredis.h>

struct redis_link;

struct redis_link_events {
    /* ROLE has said master: commands may be sent. */
    void (*ready)(void *context);
    /* Lost, or not found: what was sent gets no answer any more. TEXT says why. */
    void (*lost)(void *context, enum store_link link, const char *text);
    void *context;
};

/* REPLY is never NULL and lives for the call; it may be an error. */
typedef void redis_link_reply(void *context, const redisReply *reply);

/* Begins to connect at the next turn. NULL: MESSAGE says what is wrong with the settings. */
struct redis_link *redis_link_create(struct loop *loop, const struct config_store *config,
                                     const struct redis_link_events *events, char *message,
                                     size_t message_size);
void redis_link_destroy(struct redis_link *link);

/* Other settings. 0, or -1 with MESSAGE: the old ones stay. A connection elsewhere is given up. */
int redis_link_apply(struct redis_link *link, const struct config_store *config, char *message,
                     size_t message_size);

bool redis_link_is_ready(const struct redis_link *link);
/* Why there is no connection; "" when there is. */
const char *redis_link_text(const struct redis_link *link);

/* Send a command. REPLY (NULL: nobody) is told the answer, unless the connection is lost first. */
void redis_link_send(struct redis_link *link, redis_link_reply *reply, int count,
                     const char *const *words, const size_t *lengths);

/* Give the connection up: what came cannot be used. Safe inside callbacks. */
__attribute__((format(printf, 2, 3))) void redis_link_fail(struct redis_link *link,
                                                           const char *format, ...);
