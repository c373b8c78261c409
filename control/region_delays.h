/*
 * region_delays: whether the first bytes of a region that comes back are later than they were
 * before it failed: the 99th percentile, against twice (`worse_percent`) its own baseline.
 *
 * While a region is UP or DEGRADED each window of delays goes into its baseline; the one that is
 * open when it fails is thrown away. While it is RECOVERING the window is held against the
 * baseline, and fades as that of region_errors does. Delays are known by the power of two above
 * them: longer means surely longer. Without a baseline nothing is said. Plain values.
 */
#pragma once

#include "control/region_state.h"
#include "dataplane/base/histogram.h"

struct region_delays {
    uint64_t baseline[HISTOGRAM_BUCKETS]; /* of the windows before, the older the less */
    enum region_automatic during;         /* the state that the window belongs to */
    uint64_t window_since_ns;
    uint64_t window[HISTOGRAM_BUCKETS];
};

void region_delays_init(struct region_delays *delays, uint64_t now);

/* The window begins anew; the baseline stays. */
void region_delays_forget(struct region_delays *delays, uint64_t now);

/* First bytes that came while the region was in AUTOMATIC. */
void region_delays_count(struct region_delays *delays, uint64_t now,
                         enum region_automatic automatic,
                         const uint64_t first_bytes[HISTOGRAM_BUCKETS]);

/* While RECOVERING: half of the window goes, every 10 s while enough samples stay. */
void region_delays_fade(struct region_delays *delays, uint64_t now,
                        const struct config_failover *limits);

/* Enough samples (`worse_samples`) on both sides, and the 99th percentile is surely above. */
bool region_delays_are_longer(const struct region_delays *delays,
                              const struct config_failover *limits);
