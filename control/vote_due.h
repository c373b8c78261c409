/*
 * vote_due: when a vote says what the one before could not: evidence that could move the region has
 * begun, or has held for as long as it has to. Votes at these moments make the agreed state follow
 * its dwell, and not the dwell and a vote interval or two. Pure.
 */
#pragma once

#include "control/region_rules.h"
#include "control/verdict.h"

/* The first such moment after VOTED_AT_NS; CLOCK_NEVER: none in sight. */
uint64_t vote_due_ns(const struct region_rules *rules, const struct verdict *verdict,
                     enum region_automatic automatic, uint64_t voted_at_ns);
