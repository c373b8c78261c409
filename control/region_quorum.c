#include "control/region_quorum.h"

#include <string.h>

#define FEWEST_AGREEING 2u

bool region_vote_counts(const struct region_rules *rules, const struct region_vote *vote)
{
    return vote->age_ms <= rules->fresh_ms &&
           (!rules->alone || strcmp(vote->node, rules->self) == 0);
}

uint64_t region_vote_flights(const struct region_vote *vote, uint32_t regions)
{
    uint64_t flights = 0;
    for (uint32_t r = 0; r < regions; r++)
        flights += vote->regions[r].in_flight;
    return flights;
}

uint32_t region_quorum_fresh(const struct region_rules *rules, const struct region_votes *votes,
                             bool and_seeing)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < votes->count; i++)
        if (region_vote_counts(rules, &votes->votes[i]) && !(and_seeing && votes->votes[i].blind))
            count++;
    return count;
}

uint32_t region_quorum_needed(const struct region_rules *rules, uint32_t seeing)
{
    if (rules->alone)
        return 1;
    uint32_t most = seeing / 2 + 1;
    uint32_t half_of_roster = (rules->roster + 1) / 2;
    if (most < half_of_roster)
        most = half_of_roster;
    return most < FEWEST_AGREEING ? FEWEST_AGREEING : most;
}

uint32_t region_dwell_ms(const struct region_rules *rules, enum region_dwell dwell)
{
    switch (dwell) {
    case REGION_DWELL_NONE:
        return 0;
    case REGION_DWELL_HARD:
        return rules->hard_ms;
    case REGION_DWELL_DOWN:
        return rules->down_ms;
    case REGION_DWELL_DEGRADED:
        return rules->degraded_ms;
    case REGION_DWELL_UP:
        return rules->up_ms;
    case REGION_DWELL_CLEAR:
        return rules->clear_ms;
    case REGION_DWELL_RECOVER:
        return rules->recover_ms;
    case REGION_DWELLS:
        break;
    }
    return 0;
}

uint32_t region_quorum_agreeing(const struct region_rules *rules, const struct region_votes *votes,
                                uint32_t region, enum region_evidence evidence, uint64_t for_ms)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < votes->count; i++) {
        const struct region_vote *vote = &votes->votes[i];
        int32_t held_ms = vote->regions[region].held_ms[evidence];
        if (region_vote_counts(rules, vote) && !vote->blind &&
            (vote->agreement == rules->agreement || rules->any_agreement) && held_ms != REGION_NOT_HELD &&
            (uint64_t)held_ms >= for_ms)
            count++;
    }
    return count;
}

int64_t region_quorum_asked_for_ms(const struct region_rules *rules,
                                   const struct region_votes *votes, uint32_t region,
                                   const struct region_row *row)
{
    int64_t longest = -1;
    uint32_t dwell = region_dwell_ms(rules, row->dwell);
    uint32_t quorum = region_quorum_needed(rules, region_quorum_fresh(rules, votes, true));
    for (uint32_t i = 0; i < votes->count; i++) {
        int32_t held_ms = votes->votes[i].regions[region].held_ms[row->evidence];
        if (held_ms == REGION_NOT_HELD || (uint32_t)held_ms < dwell)
            continue;
        if ((int64_t)held_ms - dwell > longest &&
            region_quorum_agreeing(rules, votes, region, row->evidence, (uint64_t)held_ms) >=
                quorum)
            longest = (int64_t)held_ms - dwell;
    }
    return longest;
}

/* Halves every half-life, and falls evenly within one: whole numbers, as in the script. */
uint32_t region_penalty(const struct region_rules *rules, const struct region_record *record,
                        uint64_t now_ms)
{
    uint64_t elapsed_ms = now_ms > record->penalty_at_ms ? now_ms - record->penalty_at_ms : 0;
    uint64_t halves = elapsed_ms / rules->penalty_half_life_ms;
    uint64_t rest_ms = elapsed_ms % rules->penalty_half_life_ms;
    if (halves >= 32)
        return 0;
    uint64_t penalty =
        (record->penalty < REGION_PENALTY_MAX ? record->penalty : REGION_PENALTY_MAX) >> halves;
    return (uint32_t)(penalty - penalty * rest_ms / (2 * rules->penalty_half_life_ms));
}
