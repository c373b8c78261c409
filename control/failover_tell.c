/*
 * failover_tell: what workers are told of regions: which take flights, which part of them, how many
 * at most, and whether health can be believed at all.
 *
 * Shares are made anew with each beat, and at once when a region's part changes by state or health.
 * Small changes of what a region may hold are not worth a snapshot.
 */
#include "control/failover_internal.h"

#include "control/region_quorum.h"
#include "dataplane/base/check.h"

#include <string.h>

#define NEWS_PART 16u /* of a capacity: a smaller change is not told */

static uint16_t spill_permille(const struct failover *failover, uint32_t region)
{
    uint32_t share = verdict_available_permille(&failover->verdicts[region]) *
                     failover->config->failover.spill_percent / 100;
    return (uint16_t)(share < REGION_SHARE_FULL ? share : REGION_SHARE_FULL);
}

static uint16_t ramp_permille(const struct failover *failover, uint32_t step)
{
    uint32_t steps = failover->rules.ramp_steps;
    if (steps == 0)
        return REGION_SHARE_FULL;
    return (uint16_t)failover->rules.ramp_permille[step < steps ? step : steps - 1];
}

/* What the region is wanted for by its state. */
static uint16_t share_permille(const struct failover *failover, uint32_t region)
{
    const struct region_record *record = &failover->routed.regions[region];
    if (record->override == REGION_OVERRIDE_FORCE_UP)
        return REGION_SHARE_FULL;
    if (!region_is_active(record))
        return 0;
    switch (record->automatic) {
    case REGION_UP:
        return REGION_SHARE_FULL;
    case REGION_DEGRADED:
        return spill_permille(failover, region);
    case REGION_SUSPECT:
        return record->before == REGION_DEGRADED ? spill_permille(failover, region)
                                                 : REGION_SHARE_FULL;
    case REGION_RECOVERING:
        return ramp_permille(failover, record->ramp_step);
    case REGION_DOWN:
    case REGION_AUTOMATICS:
        break;
    }
    return 0;
}

/* The part of a capacity of the cluster that is this node's. */
static uint64_t part_of(const struct failover *failover, uint64_t capacity)
{
    const struct region_votes *votes = &failover->votes;
    uint64_t own = 0;
    uint64_t all = 0;
    bool counted = false;
    for (uint32_t i = 0; i < votes->count; i++) {
        const struct region_vote *vote = &votes->votes[i];
        if (!region_vote_counts(&failover->rules, vote))
            continue;
        bool is_own = strcmp(vote->node, failover->config->node) == 0;
        uint64_t flights = region_vote_flights(vote, failover->config->region_count);
        all += flights;
        own += is_own ? flights : 0;
        counted |= is_own;
    }
    return region_capacity_part(capacity, own, all,
                                region_quorum_fresh(&failover->rules, votes, false),
                                counted && !failover->lost);
}

/* What this node may have in a region: at least one, so that a part that is small is not "any". */
static uint32_t may_have(const struct failover *failover, uint64_t capacity)
{
    uint64_t part = part_of(failover, capacity);
    if (part == 0)
        return 1;
    return part < UINT32_MAX ? (uint32_t)part : UINT32_MAX;
}

static struct region_demand demand_of(const struct failover *failover, uint32_t region)
{
    const struct verdict_members *members = &failover->verdicts[region].members;
    struct region_demand demand = {
        .serves = region_is_active(&failover->routed.regions[region]) && members->usable > 0,
        .share_permille = share_permille(failover, region),
        .in_flight = members->in_flight,
    };
    if (members->capacity > 0)
        demand.capacity = may_have(failover, (uint64_t)members->capacity *
                                                 failover->config->failover.capacity_percent / 100);
    return demand;
}

/* Whether state or health ask for other shares than the last time. */
static bool take_demands(struct failover *failover)
{
    bool differs = false;
    for (uint32_t i = 0; i < failover->config->region_count; i++) {
        struct region_demand demand = demand_of(failover, i);
        struct region_demand *before = &failover->demands[i];
        differs |= demand.serves != before->serves ||
                   demand.share_permille != before->share_permille ||
                   (demand.capacity == 0) != (before->capacity == 0);
        *before = demand;
    }
    return differs;
}

static uint32_t told_capacity(uint32_t before, uint64_t now)
{
    uint64_t apart = now > before ? now - before : before - now;
    bool is_news = (now == 0) != (before == 0) || apart * NEWS_PART > before;
    return is_news ? (uint32_t)now : before;
}

static struct failover_told tell(const struct failover *failover, uint32_t region,
                                 uint16_t share_permille)
{
    const struct region_record *record = &failover->routed.regions[region];
    bool active = region_is_active(record);
    return (struct failover_told){
        .active = active,
        .suspect = active && record->override == REGION_OVERRIDE_NONE &&
                   record->automatic == REGION_SUSPECT,
        .share_permille = share_permille,
        .capacity =
            told_capacity(failover->told[region].capacity, failover->demands[region].capacity),
    };
}

/* Every active region looks sick: that is more likely wrong, or of no use to know. */
static bool is_panic(const struct failover *failover)
{
    uint32_t below_permille = failover->config->failover.panic_below * 10;
    uint32_t active = 0;
    for (uint32_t i = 0; i < failover->config->region_count; i++) {
        if (!region_is_active(&failover->routed.regions[i]))
            continue;
        active++;
        if (verdict_available_permille(&failover->verdicts[i]) >= below_permille)
            return false;
    }
    return active > 0;
}

static bool tell_panic(struct failover *failover)
{
    bool panic = is_panic(failover);
    if (panic == failover->panic)
        return false;
    failover->panic = panic;
    failover_say(failover,
                 panic ? "ALARM: panic: every active region is below %u %%: health inside them is "
                         "not believed"
                       : "panic is over: an active region is at %u %% or above",
                 failover->config->failover.panic_below);
    return true;
}

/* This node's part of the limit that was agreed with the last change (rule S4). */
static bool tell_admission(struct failover *failover)
{
    uint32_t flights = 0;
    if (failover->agreed.admit > 0)
        flights = told_capacity(failover->node_flights, may_have(failover, failover->agreed.admit));
    bool differs = flights != failover->node_flights;
    failover->node_flights = flights;
    return differs;
}

bool failover_tell(struct failover *failover, bool again)
{
    uint64_t now = loop_now_ns(failover->loop);
    bool differs = health_take_changed(failover->health);
    failover_local_route(failover);
    if (take_demands(failover) || again)
        region_shares_update(&failover->shares, failover->demands, failover->config->region_count,
                             &failover->config->failover, now, failover->shares_permille);
    for (uint32_t i = 0; i < failover->config->region_count; i++) {
        struct failover_told told = tell(failover, i, failover->shares_permille[i]);
        struct failover_told *before = &failover->told[i];
        differs |= told.active != before->active || told.suspect != before->suspect ||
                   told.share_permille != before->share_permille ||
                   told.capacity != before->capacity;
        *before = told;
    }
    differs |= tell_panic(failover);
    differs |= tell_admission(failover);
    return differs;
}

bool failover_region_active(const struct failover *failover, uint32_t region)
{
    check(region < failover->config->region_count);
    return failover->told[region].active;
}

bool failover_region_suspect(const struct failover *failover, uint32_t region)
{
    check(region < failover->config->region_count);
    return failover->told[region].suspect;
}

uint16_t failover_region_share(const struct failover *failover, uint32_t region)
{
    check(region < failover->config->region_count);
    return failover->told[region].share_permille;
}

uint32_t failover_region_capacity(const struct failover *failover, uint32_t region)
{
    check(region < failover->config->region_count);
    return failover->told[region].capacity;
}

bool failover_is_panic(const struct failover *failover)
{
    return failover->panic;
}

uint32_t failover_node_flights(const struct failover *failover)
{
    return failover->node_flights;
}
