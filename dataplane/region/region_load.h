/*
 * region_load: attempts in flight in each region, of all workers, for limits that are the node's.
 *
 * Each worker counts its own and looks at the others' now and then (REGION_LOOK_NS): that costs a
 * few cache lines a look, not one a request. So workers may together pass a limit by what they
 * begin within that time; limits are a part of what there is (capacity_percent) for such reasons.
 */
#pragma once

#include "dataplane/base/clock.h"
#include "dataplane/region/backend_load.h"

#define REGION_LOOK_NS (1 * CLOCK_MS)

/* What is in flight there now, as far as this worker knows. */
static inline uint64_t region_in_flight(const struct backend_loads *loads, uint32_t region)
{
    return loads->regions[region] + loads->others[region];
}

/* Another snapshot: regions have other numbers, backends come and go. O(backends). */
void region_loads_recount(struct backend_loads *loads, const struct snapshot *snapshot);

/* Look at the others: forget what they had, then hear each of them. O(regions). */
void region_loads_forget_others(struct backend_loads *loads);
void region_loads_hear(struct backend_loads *loads, const struct backend_loads *other,
                       uint32_t region_count);
