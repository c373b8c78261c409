/*
 * store_redis_audit: the cluster's record, the stream weir:{cluster}:audit, as XREVRANGE gives it.
 * Pure; control thread.
 */
#pragma once

#include "control/store.h"

#include <hiredis/hiredis.h>

/* The texts are REPLY's. Unknown fields are skipped. False: that is no such answer. */
bool redis_audit_read(const redisReply *reply, struct store_audit *out);
