/*
 * nodes_review: who decides, by the text of docs/failover.md, without a line of control/region_*:
 * proposals are kept for review with their evidence, rejected for a while, and not acted on.
 */
#pragma once

#include "tests/sim/nodes_count.h"
#include "tests/sim/nodes_law.h"

/* What is wrong with a move, a proposal or a rejection that was granted, or NULL. */
const char *nodes_review_wrong(const struct nodes_ballot *ballot,
                               const struct nodes_decision *decision);
