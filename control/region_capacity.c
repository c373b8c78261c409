#include "control/region_capacity.h"

#include "control/region_quorum.h"

static uint64_t believed(uint64_t flights)
{
    return flights < REGION_FLIGHTS_MAX ? flights : REGION_FLIGHTS_MAX;
}

uint64_t region_load(const struct region_rules *rules, const struct region_votes *votes,
                     uint32_t regions)
{
    uint64_t load = 0;
    for (uint32_t i = 0; i < votes->count; i++)
        for (uint32_t r = 0; r < regions && region_vote_counts(rules, &votes->votes[i]); r++)
            load += believed(votes->votes[i].regions[r].in_flight);
    return load;
}

/* Keep VALUES sorted. */
static void insert(int64_t *values, uint32_t count, int64_t value)
{
    uint32_t at = count;
    for (; at > 0 && values[at - 1] > value; at--)
        values[at] = values[at - 1];
    values[at] = value;
}

int64_t region_capacity(const struct region_rules *rules, const struct region_votes *votes,
                        uint32_t region)
{
    int64_t values[REGION_NODES_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < votes->count; i++)
        if (region_vote_counts(rules, &votes->votes[i]) && !votes->votes[i].blind)
            insert(values, count++, votes->votes[i].regions[region].capacity);
    return count == 0 ? REGION_CAPACITY_UNKNOWN : values[(count - 1) / 2];
}

/* Of the active regions. False: not known of one of them. */
static bool sum_capacity(const struct region_rules *rules, const struct region_state *state,
                         const struct region_votes *votes, uint64_t *out)
{
    *out = 0;
    for (uint32_t i = 0; i < state->count; i++) {
        if (!region_is_active(&state->regions[i]))
            continue;
        int64_t capacity = region_capacity(rules, votes, i);
        if (capacity < 0)
            return false;
        *out += (uint64_t)capacity;
    }
    return true;
}

void region_fit_admission(const struct region_rules *rules, struct region_state *state,
                          const struct region_votes *votes, bool took_out)
{
    uint64_t capacity;
    uint64_t before = state->admit;
    if (!took_out && before == 0)
        return;
    state->admit = 0;
    if (region_active_count(state) == state->count || !sum_capacity(rules, state, votes, &capacity))
        return;
    uint64_t fits = capacity * rules->capacity_percent / 100;
    if (before != 0 || fits < region_load(rules, votes, state->count))
        state->admit = fits > 0 ? fits : 1;
}
