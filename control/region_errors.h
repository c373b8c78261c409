/*
 * region_errors: whether a region that comes back fails more requests than it did before it failed.
 *
 * While a region is UP or DEGRADED each window of requests goes into its baseline; the one that is
 * open when it fails is thrown away. While it is RECOVERING the window is held against the
 * baseline, and fades: a region that cannot be taken out is not for ever what it was when the ramp
 * began. Without a baseline (this node was started in between) nothing is said. Plain values.
 */
#pragma once

#include "control/region_state.h"

struct region_errors {
    bool known; /* there is a baseline */
    uint32_t baseline_permille;
    enum region_automatic during; /* the state that the window belongs to */
    uint64_t window_since_ns;
    uint64_t requests; /* of the window */
    uint64_t errors;
};

void region_errors_init(struct region_errors *errors, uint64_t now);

/* The window begins anew; the baseline stays. */
void region_errors_forget(struct region_errors *errors, uint64_t now);

/* Requests that have ended, and those of them that failed, while the region was in AUTOMATIC. */
void region_errors_count(struct region_errors *errors, uint64_t now,
                         enum region_automatic automatic, uint64_t requests, uint64_t failed);

/* While RECOVERING: half of the window goes, every 10 s while enough samples stay. */
void region_errors_fade(struct region_errors *errors, uint64_t now,
                        const struct config_failover *limits);

/* Enough samples while RECOVERING, and too many of them failed. */
bool region_errors_are_worse(const struct region_errors *errors,
                             const struct config_failover *limits);
