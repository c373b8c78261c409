/*
 * store_redis_hint: a subscription to the hints that changes publish, on a connection of its own.
 * It only makes news come sooner: without it, for whatever reason, nothing is said and nothing is
 * lost. Tried again every 2 s. Control thread.
 */
#pragma once

#include "control/store_redis_connection.h"

struct redis_hint;

/* NULL: no memory. HINTED is called when something was published, or may have been. */
struct redis_hint *redis_hint_create(struct loop *loop, void (*hinted)(void *context),
                                     void *context);
void redis_hint_destroy(struct redis_hint *hint);

/* Subscribe to CHANNEL at TARGET, from now until redis_hint_stop(). */
void redis_hint_start(struct redis_hint *hint, const struct redis_target *target,
                      const char *channel);
void redis_hint_stop(struct redis_hint *hint);
