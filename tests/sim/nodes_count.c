#include "tests/sim/nodes_count.h"

#include "dataplane/base/clock.h"

#include <stdlib.h>

bool nodes_vote_is_fresh(const struct nodes_ballot *ballot, const struct region_vote *vote)
{
    return vote->age_ms * CLOCK_MS <= ballot->by->config->failover.vote_fresh_ns;
}

uint32_t nodes_count_fresh(const struct nodes_ballot *ballot, bool and_seeing)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < ballot->votes->count; i++) {
        const struct region_vote *vote = &ballot->votes->votes[i];
        count += nodes_vote_is_fresh(ballot, vote) && !(and_seeing && vote->blind);
    }
    return count;
}

uint32_t nodes_count_needed(const struct nodes_ballot *ballot)
{
    uint32_t needed = nodes_count_fresh(ballot, true) / 2 + 1;
    uint32_t roster = ballot->by->config->failover.node_count;
    if (2 * needed < roster)
        needed = (roster + 1) / 2;
    return needed < 2 ? 2 : needed;
}

/* Rule S5 by what the run knows: who sends from another configuration does not agree. */
static bool agrees(const struct nodes_ballot *ballot, const struct region_vote *vote)
{
    uint32_t node = (uint32_t)strtoul(vote->node + 1, NULL, 10);
    return nodes_vote_is_fresh(ballot, vote) && !vote->blind &&
           ballot->kept[node].variant == ballot->by->variant;
}

static int by_length_longest_first(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return left < right ? 1 : left > right ? -1 : 0;
}

int64_t nodes_count_asked_ms(const struct nodes_ballot *ballot, uint32_t region,
                             enum region_evidence evidence, uint64_t dwell_ms)
{
    int64_t beyond_ms[REGION_NODES_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < ballot->votes->count; i++) {
        const struct region_vote *vote = &ballot->votes->votes[i];
        int64_t held_ms = vote->regions[region].held_ms[evidence];
        if (agrees(ballot, vote) && held_ms >= (int64_t)dwell_ms)
            beyond_ms[count++] = held_ms - (int64_t)dwell_ms;
    }
    uint32_t needed = nodes_count_needed(ballot);
    if (count < needed)
        return -1;
    qsort(beyond_ms, count, sizeof(beyond_ms[0]), by_length_longest_first);
    return beyond_ms[needed - 1];
}
