/*
 * region_capacity: rule S4: what the active regions can carry, what they are asked to carry, and
 * the limit of admission that a change comes with when the one is less than the other.
 *
 * A region's capacity is the median of what the votes that count say of it: one node that sees too
 * much or too little of the region does not decide. A region of unknown capacity makes the sum
 * unknown, and then nothing is limited. Pure functions; private to the rules (region_rules.h).
 */
#pragma once

#include "control/region_rules.h"

#define REGION_FLIGHTS_MAX 1000000000u /* more is not believed of one node and region */

/* Flights of all nodes whose votes count. */
uint64_t region_load(const struct region_rules *rules, const struct region_votes *votes,
                     uint32_t regions);

/* What a region can carry, by the votes; REGION_CAPACITY_UNKNOWN. */
int64_t region_capacity(const struct region_rules *rules, const struct region_votes *votes,
                        uint32_t region);

/*
 * Set the limit that fits STATE as it is after a change. TOOK_OUT: the change took a region out. A
 * limit is set only by such a change; others move it, and the last region that comes back ends it.
 */
void region_fit_admission(const struct region_rules *rules, struct region_state *state,
                          const struct region_votes *votes, bool took_out);
