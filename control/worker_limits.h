/* worker_limits: what the configured limits are for a worker. Any thread; pure. */
#pragma once

#include "control/config.h"
#include "dataplane/worker/worker.h"

struct worker_limits worker_limits_of(const struct config *config);
