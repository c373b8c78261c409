#include "control/verdict.h"

#include "control/region_table.h"
#include "dataplane/base/clock.h"

#define HELD_MAX_MS 1000000000u

void verdict_init(struct verdict *verdict, uint64_t now)
{
    *verdict = (struct verdict){.last_success_ns = now};
    for (int e = 0; e < REGION_EVIDENCES; e++)
        verdict->since_ns[e] = CLOCK_NEVER;
    region_errors_init(&verdict->errors, now);
    region_delays_init(&verdict->delays, now);
}

void verdict_forget(struct verdict *verdict, uint64_t now)
{
    struct verdict before = *verdict;
    verdict_init(verdict, now);
    verdict->members = before.members;
    verdict->errors = before.errors;
    verdict->delays = before.delays;
    region_errors_forget(&verdict->errors, now);
    region_delays_forget(&verdict->delays, now);
}

void verdict_tried(struct verdict *verdict, uint64_t now, uint64_t successes, uint64_t failures)
{
    if (successes > 0) {
        verdict->last_success_ns = now;
        verdict->tries = 0;
        return; /* which of them came last is not known: the kinder order */
    }
    uint64_t tries = verdict->tries + failures;
    verdict->tries = tries < UINT32_MAX ? (uint32_t)tries : UINT32_MAX;
}

void verdict_asked(struct verdict *verdict, uint64_t now, enum region_automatic automatic,
                   uint64_t requests, uint64_t failed)
{
    region_errors_count(&verdict->errors, now, automatic, requests, failed);
}

void verdict_answered(struct verdict *verdict, uint64_t now, enum region_automatic automatic,
                      const uint64_t first_bytes[HISTOGRAM_BUCKETS])
{
    region_delays_count(&verdict->delays, now, automatic, first_bytes);
}

static bool is_hard_failure(const struct verdict *verdict, uint64_t now,
                            const struct config_failover *limits)
{
    uint32_t enough = verdict->members.usable * limits->hard_tries_per_backend;
    if (enough < limits->hard_tries)
        enough = limits->hard_tries;
    return verdict->tries >= enough && now >= verdict->last_success_ns + limits->hard_failure_ns;
}

uint32_t verdict_available_permille(const struct verdict *verdict)
{
    const struct verdict_members *members = &verdict->members;
    return members->weight == 0 ? 1000
                                : (uint32_t)(members->usable_weight * 1000 / members->weight);
}

static bool below(const struct verdict *verdict, uint64_t percent)
{
    return verdict->members.usable_weight * 100 < verdict->members.weight * percent;
}

static bool holds(const struct verdict *verdict, enum region_evidence evidence, bool hard,
                  const struct config_failover *limits)
{
    uint32_t percent = region_evidence_percent(limits, evidence);
    switch (evidence) {
    case REGION_HARD_FAILURE:
        return hard;
    case REGION_BELOW_SUSPECT:
    case REGION_BELOW_RECOVERING:
    case REGION_BELOW_DEGRADED:
        return below(verdict, percent);
    case REGION_AT_LEAST_CLEAR:
    case REGION_AT_LEAST_KEEP:
    case REGION_AT_LEAST_RECOVER:
    case REGION_AT_LEAST_UP:
        return !hard && !below(verdict, percent);
    case REGION_WORSE:
        return region_errors_are_worse(&verdict->errors, limits);
    case REGION_SLOWER:
        return region_delays_are_longer(&verdict->delays, limits);
    case REGION_EVIDENCES:
        break;
    }
    return false;
}

void verdict_update(struct verdict *verdict, uint64_t now, const struct verdict_members *members,
                    const struct config_failover *limits)
{
    verdict->members = *members;
    region_errors_fade(&verdict->errors, now, limits);
    region_delays_fade(&verdict->delays, now, limits);
    bool known = members->weight > 0;
    bool hard = is_hard_failure(verdict, now, limits);
    for (int e = 0; e < REGION_EVIDENCES; e++) {
        if (!known || !holds(verdict, (enum region_evidence)e, hard, limits))
            verdict->since_ns[e] = CLOCK_NEVER;
        else if (verdict->since_ns[e] == CLOCK_NEVER)
            verdict->since_ns[e] = now;
    }
}

struct region_opinion verdict_opinion(const struct verdict *verdict, uint64_t now)
{
    struct region_opinion opinion = {
        .available_permille = verdict_available_permille(verdict),
        .usable = verdict->members.usable,
        .in_flight = verdict->members.in_flight,
        .capacity = verdict->members.capacity,
    };
    for (int e = 0; e < REGION_EVIDENCES; e++) {
        uint64_t since_ns = verdict->since_ns[e];
        uint64_t held_ms = since_ns == CLOCK_NEVER ? 0 : (now - since_ns) / CLOCK_MS;
        if (since_ns == CLOCK_NEVER)
            opinion.held_ms[e] = REGION_NOT_HELD;
        else
            opinion.held_ms[e] = (int32_t)(held_ms < HELD_MAX_MS ? held_ms : HELD_MAX_MS);
    }
    return opinion;
}
