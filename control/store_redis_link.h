/*
 * store_redis_link: keeps a connection to the master, for store_redis.c: asks the Sentinels where
 * it is when there are some, connects, checks ROLE, and when it is lost, begins again: after 0.2 to
 * 0.4 s, and after five failures in a row every 2 s, with jitter. Control thread.
 *
 * A failure is counted until redis_link_good(): a Redis that lets us in and refuses every command
 * (LOADING, OOM, MISCONF, NOPERM) is not asked more often than one that is away.
 */
#pragma once

#include "control/store.h"
#include "control/store_redis_connection.h"

struct redis_link;

struct redis_link_events {
    /* ROLE has said master: commands may be sent. */
    void (*ready)(void *context);
    /* Lost, or not found: what was sent gets no answer any more. TEXT says why. */
    void (*lost)(void *context, enum store_link link, const char *text);
    void *context;
};

/* Begins to connect at the next turn. NULL: MESSAGE says what is wrong with the settings. */
struct redis_link *redis_link_create(struct loop *loop, const struct config_store *config,
                                     const struct redis_link_events *events, char *message,
                                     size_t message_size);
void redis_link_destroy(struct redis_link *link);

/* Other settings. 0, or -1 with MESSAGE: the old ones stay. A connection elsewhere is given up. */
int redis_link_apply(struct redis_link *link, const struct config_store *config, char *message,
                     size_t message_size);

bool redis_link_is_ready(const struct redis_link *link);
/* Why there is no connection, or none that was good yet; "" when there is. */
const char *redis_link_text(const struct redis_link *link);
/* Where the master is, for a second connection. It is ready. */
const struct redis_target *redis_link_target(const struct redis_link *link);

/* Send a command; it is ready. REPLY (NULL: nobody) is told the answer, unless it is lost first. */
void redis_link_send(struct redis_link *link, redis_connection_reply *reply, int count,
                     const char *const *words, const size_t *lengths);

/* What came could be used: failures are counted from here. */
void redis_link_good(struct redis_link *link);
/* Is this the answer to ROLE of a master? */
bool redis_link_is_master(const redisReply *role);
/* Give the connection up: what came cannot be used. It is ready. Safe inside callbacks. */
__attribute__((format(printf, 2, 3))) void redis_link_fail(struct redis_link *link,
                                                           const char *format, ...);
