/*
 * snapshot_build: configuration and failover state as one immutable block for the workers.
 * Control thread.
 */
#pragma once

#include "control/config.h"
#include "control/cookie_secret.h"
#include "control/failover.h"

/* NULL: no memory. */
const struct snapshot *snapshot_build(const struct config *config, const struct failover *failover,
                                      const struct cookie_secrets *secrets,
                                      uint64_t generation, bool draining);

/* NULL is allowed. Only after every worker has passed it (publisher.h). */
void snapshot_free(const struct snapshot *snapshot);
