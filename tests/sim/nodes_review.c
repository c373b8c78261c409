#include "tests/sim/nodes_review.h"

#include "dataplane/base/clock.h"

static enum config_mode mode_of(const struct nodes_ballot *ballot, uint32_t region,
                                enum region_automatic from, enum region_automatic to)
{
    const struct config_region *config = &ballot->by->config->regions[region];
    if (to == REGION_DOWN)
        return config->on_failure;
    return from == REGION_DOWN ? config->on_recovery : CONFIG_MODE_AUTO;
}

/* `review_unless_hard`: it does not wait when nothing succeeds any more. */
static bool acts_alone(const struct nodes_ballot *ballot, uint32_t region, enum region_automatic to)
{
    const struct config_failover *failover = &ballot->by->config->failover;
    return to == REGION_DOWN && failover->review_unless_hard &&
           nodes_count_asked_ms(ballot, region, REGION_HARD_FAILURE,
                                failover->hard_failure_ns / CLOCK_MS) >= 0;
}

static const char *judge_move(const struct nodes_ballot *ballot,
                              const struct nodes_decision *decision)
{
    uint32_t region = decision->request->region;
    const struct region_record *from = &decision->before->regions[region];
    const struct region_record *to = &decision->after->regions[region];
    enum config_mode mode = mode_of(ballot, region, from->automatic, to->automatic);
    if (decision->answer != REGION_DONE || mode == CONFIG_MODE_AUTO)
        return NULL;
    if (mode == CONFIG_MODE_REVIEW && acts_alone(ballot, region, to->automatic))
        return NULL;
    return "automation did what is for an operator to approve";
}

static uint64_t lasts_until_ms(const struct nodes_ballot *ballot,
                               const struct nodes_decision *decision)
{
    return decision->now_ms + ballot->by->config->failover.proposal_ttl_ns / CLOCK_MS;
}

static const char *judge_proposal(const struct nodes_ballot *ballot,
                                  const struct nodes_decision *decision)
{
    uint32_t region = decision->request->region;
    const struct region_record *from = &decision->before->regions[region];
    const struct region_record *to = &decision->after->regions[region];
    if (mode_of(ballot, region, from->automatic, to->proposed) != CONFIG_MODE_REVIEW)
        return "a proposal that needs no review";
    if (nodes_law_asked_ms(ballot, region, from->automatic, to->proposed) < 0)
        return "a proposal without a quorum";
    if (decision->now_ms < from->rejected_until_ms)
        return "a proposal that an operator has rejected";
    if (decision->now_ms < decision->before->frozen_until_ms)
        return "a proposal while automation is frozen";
    if (to->proposed_until_ms != lasts_until_ms(ballot, decision))
        return "a proposal of another length";
    if (to->evidence[0] == '\0')
        return "a proposal without evidence";
    return to->automatic != from->automatic ? "a proposal was acted on" : NULL;
}

static const char *judge_rejection(const struct nodes_ballot *ballot,
                                   const struct nodes_decision *decision)
{
    uint32_t region = decision->request->region;
    const struct region_record *from = &decision->before->regions[region];
    const struct region_record *to = &decision->after->regions[region];
    if (decision->now_ms >= from->proposed_until_ms)
        return "nothing was there to be rejected";
    if (to->proposed_until_ms != 0)
        return "the proposal outlives its rejection";
    if (to->rejected_until_ms != lasts_until_ms(ballot, decision))
        return "a rejection of another length";
    return to->automatic != from->automatic ? "a rejection moved the region" : NULL;
}

const char *nodes_review_wrong(const struct nodes_ballot *ballot,
                               const struct nodes_decision *decision)
{
    if (decision->request->kind == REGION_MOVE)
        return judge_move(ballot, decision);
    if (decision->request->kind == REGION_PROPOSE)
        return judge_proposal(ballot, decision);
    return decision->request->kind == REGION_REJECT ? judge_rejection(ballot, decision) : NULL;
}
