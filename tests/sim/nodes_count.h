/*
 * nodes_count: how votes count by the text of docs/failover.md, "Quorum": fresh, seeing, agreeing.
 * Pure functions, without a line of control/region_*; used by nodes_law.h.
 */
#pragma once

#include "tests/sim/nodes_server.h"

/* Votes as an asker sees them, and who sent each. */
struct nodes_ballot {
    const struct nodes_asker *by;
    const struct region_votes *votes;
    const struct nodes_vote *kept;
};

bool nodes_vote_is_fresh(const struct nodes_ballot *ballot, const struct region_vote *vote);

uint32_t nodes_count_fresh(const struct nodes_ballot *ballot, bool and_seeing);

/* Two, more than half of those that see, half of the roster. */
uint32_t nodes_count_needed(const struct nodes_ballot *ballot);

/* For how long beyond DWELL_MS a quorum has held EVIDENCE of a region; -1: there is no quorum. */
int64_t nodes_count_asked_ms(const struct nodes_ballot *ballot, uint32_t region,
                             enum region_evidence evidence, uint64_t dwell_ms);
