#include "tests/sim/nodes_shed.h"

#include <stdlib.h>

#define UNKNOWN (-1)

static int by_size(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* The middle one of what those say that see; the lesser of two. */
static int64_t capacity_of(const struct nodes_ballot *ballot, uint32_t region)
{
    int64_t said[REGION_NODES_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < ballot->votes->count; i++) {
        const struct region_vote *vote = &ballot->votes->votes[i];
        if (nodes_vote_is_fresh(ballot, vote) && !vote->blind)
            said[count++] = vote->regions[region].capacity;
    }
    if (count == 0)
        return UNKNOWN;
    qsort(said, count, sizeof(said[0]), by_size);
    return said[(count - 1) / 2];
}

static int64_t fits(const struct nodes_ballot *ballot, const struct region_state *state)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < state->count; i++) {
        if (!nodes_law_is_active(&state->regions[i]))
            continue;
        int64_t capacity = capacity_of(ballot, i);
        if (capacity == UNKNOWN)
            return UNKNOWN;
        sum += capacity;
    }
    return sum * ballot->by->config->failover.capacity_percent / 100;
}

static int64_t flights(const struct nodes_ballot *ballot, uint32_t regions)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < ballot->votes->count; i++)
        for (uint32_t r = 0; r < regions; r++)
            if (nodes_vote_is_fresh(ballot, &ballot->votes->votes[i]))
                sum += (int64_t)ballot->votes->votes[i].regions[r].in_flight;
    return sum;
}

static uint32_t count_active(const struct region_state *state)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < state->count; i++)
        count += nodes_law_is_active(&state->regions[i]);
    return count;
}

const char *nodes_shed_wrong(const struct nodes_ballot *ballot,
                             const struct nodes_decision *decision)
{
    const struct region_state *before = decision->before;
    const struct region_state *after = decision->after;
    bool took_out = count_active(after) < count_active(before);
    int64_t room = fits(ballot, after);
    int64_t limit = (int64_t)after->admit;
    if ((decision->request->despite & REGION_RULE_S4) != 0)
        return took_out && limit != 0 ? "rule S4 was named, and there is a limit" : NULL;
    if (!took_out && before->admit == 0)
        return limit != 0 ? "a limit, and nothing was taken out" : NULL;
    if (count_active(after) == after->count)
        return limit != 0 ? "all regions are active, and there is a limit" : NULL;
    if (room == UNKNOWN)
        return limit != 0 ? "a limit, and the capacity is not known" : NULL;
    if (before->admit == 0 && room >= flights(ballot, after->count))
        return limit != 0 ? "a limit, and the load fits" : NULL;
    int64_t least = room > 0 ? room : 1; /* none would be no limit */
    return limit == least ? NULL : "rule S4: not the limit that fits";
}
