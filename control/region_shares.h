/*
 * region_shares: which part of this node's new flights each region is given, in order of
 * preference, so that none grows too fast.
 *
 * A plan is parts of the node's new flights, by region: what each is wanted for by its state.
 * Voluntary moves (spill, ramp, undrain) give a region at most `grow_percent` more in each
 * `grow_interval`, counted from what it has or half of its capacity; what it may not have yet stays
 * where it was. When a region was lost nothing is held back. Regions whose capacity is not known
 * are not limited.
 *
 * That no region gets more than it can carry is seen to for each request, by what is in flight
 * there (region/pick.c), and by no plan: of flights in flight a slow region has more than of new
 * ones, so a plan made from them would be wrong and, made anew each second, swing.
 *
 * Pure functions of plain values; control thread. Cost: some tens of operations a region.
 */
#pragma once

#include "control/region_state.h"

/* What is known of one region. */
struct region_demand {
    bool serves;             /* active, and it has a usable backend */
    uint32_t share_permille; /* wanted, of what reaches it */
    uint64_t in_flight;      /* of this node */
    uint64_t capacity;       /* this node's part of what may be used of it; 0: not known */
};

struct region_shares {
    bool began;
    bool known[SNAPSHOT_REGIONS_MAX];    /* it served when the plan was made */
    uint64_t plan[SNAPSHOT_REGIONS_MAX]; /* millionths of the node's flights */
    uint64_t base[SNAPSHOT_REGIONS_MAX]; /* flights that growth counts from */
    uint64_t base_at_ns;
};

/*
 * The shares to tell, in thousandths of what reaches each region. LIMITS gives grow_percent,
 * grow_interval and capacity_percent.
 */
void region_shares_update(struct region_shares *shares, const struct region_demand *demands,
                          uint32_t count, const struct config_failover *limits, uint64_t now,
                          uint16_t out_permille[SNAPSHOT_REGIONS_MAX]);

/*
 * This node's part of a capacity of the whole cluster: nine tenths by its part of all flights in
 * the votes that count, one tenth evenly, so that a node without flights can begin. Evenly when
 * COUNTED is false (the votes are old) or nobody has flights.
 */
uint64_t region_capacity_part(uint64_t capacity, uint64_t own_flights, uint64_t all_flights,
                              uint32_t nodes, bool counted);
