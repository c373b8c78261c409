/*
 * nodes_shed: rule S4 of docs/failover.md by its text, without a line of control/region_*: what is
 * active carries the load, or admission is limited to what fits.
 */
#pragma once

#include "tests/sim/nodes_count.h"
#include "tests/sim/nodes_law.h"

/* What is wrong with the limit of a change that was granted to a request for a region, or NULL. */
const char *nodes_shed_wrong(const struct nodes_ballot *ballot,
                             const struct nodes_decision *decision);
