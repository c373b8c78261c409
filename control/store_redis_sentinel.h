/*
 * store_redis_sentinel: asks Sentinels in turn where the master is. Begins with the one that knew
 * it last, so that all nodes do not lean on the first. Control thread.
 */
#pragma once

#include "control/store_redis_connection.h"

struct redis_sentinel;

struct redis_sentinel_events {
    void (*found)(void *context, const struct redis_address *master);
    /* None knew it. TEXT is what the last one said. */
    void (*failed)(void *context, const char *text);
    void *context;
};

/* What is asked of whom. */
struct redis_sentinel_settings {
    uint32_t count; /* 0: there are none */
    struct redis_target sentinels[CONFIG_SENTINELS_MAX];
    char master[CONFIG_NAME_MAX];
};

/* NULL: no memory. */
struct redis_sentinel *redis_sentinel_create(struct loop *loop,
                                             const struct redis_sentinel_events *events);
void redis_sentinel_destroy(struct redis_sentinel *sentinel);

/* Ask; there is at least one. `found` or `failed` follows, not before this returns. */
void redis_sentinel_ask(struct redis_sentinel *sentinel,
                        const struct redis_sentinel_settings *settings);
/* Give up asking; no event follows. */
void redis_sentinel_stop(struct redis_sentinel *sentinel);
/* The one that was believed was wrong, or no longer right: begin with the next one. */
void redis_sentinel_doubt(struct redis_sentinel *sentinel);
