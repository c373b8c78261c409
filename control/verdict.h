/*
 * verdict: this node's opinion of one region: its availability, whether nothing succeeds any more,
 * and for how long each piece of evidence (region_state.h) has held.
 *
 * A = usable weight / configured weight: a region cannot look healthy by losing members. Hard
 * failure: no success for `hard_failure`, with at least `hard_tries_per_backend` tries for each
 * usable backend and `hard_tries` in all since then; probes and traffic both count. Plain values;
 * control thread.
 */
#pragma once

#include "control/region_delays.h"
#include "control/region_errors.h"

/* What a region consists of, as health sees it now. */
struct verdict_members {
    uint32_t backends;      /* configured */
    uint32_t usable;        /* of them */
    uint64_t weight;        /* expected, of backends that were probed once; 0: no opinion */
    uint64_t usable_weight; /* of the same */
    uint64_t in_flight;
    int64_t capacity; /* flights that the usable ones can carry; -1: not known of some backend */
};

struct verdict {
    struct verdict_members members;
    uint64_t last_success_ns;
    uint32_t tries; /* since then */
    struct region_errors errors;
    struct region_delays delays;
    uint64_t since_ns[REGION_EVIDENCES]; /* CLOCK_NEVER: does not hold */
};

void verdict_init(struct verdict *verdict, uint64_t now);

/* Nobody has looked for a while: what held before it is known no more. Members stay,
 * and the baseline of errors. */
void verdict_forget(struct verdict *verdict, uint64_t now);

/* Tries that have ended. */
void verdict_tried(struct verdict *verdict, uint64_t now, uint64_t successes, uint64_t failures);

/* Requests of traffic that have ended while the agreed state was AUTOMATIC. */
void verdict_asked(struct verdict *verdict, uint64_t now, enum region_automatic automatic,
                   uint64_t requests, uint64_t failed);

/* First bytes that came meanwhile, by their delay: the buckets of a histogram of microseconds. */
void verdict_answered(struct verdict *verdict, uint64_t now, enum region_automatic automatic,
                      const uint64_t first_bytes[HISTOGRAM_BUCKETS]);

/* Look again, by these limits. */
void verdict_update(struct verdict *verdict, uint64_t now, const struct verdict_members *members,
                    const struct config_failover *limits);

/* In thousandths; 1000 for a region without backends. */
uint32_t verdict_available_permille(const struct verdict *verdict);

struct region_opinion verdict_opinion(const struct verdict *verdict, uint64_t now);
