#include "control/region_explain.h"

#include "control/region_quorum.h"
#include "dataplane/base/check.h"

#include <inttypes.h>
#include <stdio.h>

#define HALVES_MAX 32u /* nothing is left of a penalty after so many half-lives */

static uint64_t left_ms(uint64_t until_ms, uint64_t now_ms)
{
    return until_ms > now_ms ? until_ms - now_ms : 0;
}

/* The time at which the penalty lets the region back: it only falls, so halve the interval. */
static uint64_t penalty_over_ms(const struct region_rules *rules,
                                const struct region_record *record)
{
    uint64_t low = record->penalty_at_ms;
    uint64_t high = low + HALVES_MAX * rules->penalty_half_life_ms;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (region_penalty(rules, record, middle) < rules->penalty_back)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static uint64_t condition_wait_ms(const struct region_rules *rules,
                                  const struct region_record *record,
                                  enum region_condition condition, uint64_t now_ms)
{
    uint64_t hold_ms = left_ms(record->hold_down_until_ms, now_ms);
    uint64_t out_ms = record->kept_out ? left_ms(penalty_over_ms(rules, record), now_ms) : 0;
    switch (condition) {
    case REGION_HOLD_DOWN_OVER:
        return hold_ms > out_ms ? hold_ms : out_ms;
    case REGION_STEP_HELD:
    case REGION_LAST_STEP_HELD:
        return left_ms(record->step_since_ms + rules->ramp_step_ms, now_ms);
    case REGION_ALWAYS:
    case REGION_CONDITIONS:
        break;
    }
    return 0;
}

/* Which of the two ends of a step the region is at. */
static bool is_possible(const struct region_rules *rules, const struct region_record *record,
                        enum region_condition condition)
{
    bool last = record->ramp_step + 1 >= rules->ramp_steps;
    return !(condition == REGION_STEP_HELD && last) &&
           !(condition == REGION_LAST_STEP_HELD && !last);
}

/* How long the quorum's youngest vote has held EVIDENCE; it is held by a quorum. */
static uint64_t held_by_quorum_ms(const struct region_rules *rules,
                                  const struct region_votes *votes, uint32_t region,
                                  enum region_evidence evidence, uint32_t needed)
{
    uint64_t longest = 0;
    for (uint32_t i = 0; i < votes->count; i++) {
        int32_t held_ms = votes->votes[i].regions[region].held_ms[evidence];
        if (held_ms > 0 && (uint64_t)held_ms > longest &&
            region_quorum_agreeing(rules, votes, region, evidence, (uint64_t)held_ms) >= needed)
            longest = (uint64_t)held_ms;
    }
    return longest;
}

static void explain_way(const struct region_rules *rules, const struct region_state *state,
                        const struct region_votes *votes, uint64_t now_ms, uint32_t region,
                        const struct region_row *row, uint32_t needed, struct region_way *out)
{
    uint32_t dwell_ms = region_dwell_ms(rules, row->dwell);
    *out = (struct region_way){
        .to = row->to,
        .dwell_ms = dwell_ms,
        .holding = region_quorum_agreeing(rules, votes, region, row->evidence, 0),
        .agreeing = region_quorum_agreeing(rules, votes, region, row->evidence, dwell_ms),
        .answer = region_judge_row(rules, state, votes, region, row, now_ms),
    };
    region_evidence_text(row->evidence, rules->percents[row->evidence], out->evidence);
    out->asked = out->holding >= needed;
    if (!out->asked)
        return;
    uint64_t held_ms = held_by_quorum_ms(rules, votes, region, row->evidence, needed);
    uint64_t wait_ms = condition_wait_ms(rules, &state->regions[region], row->condition, now_ms);
    out->wait_ms = left_ms(dwell_ms, held_ms) > wait_ms ? left_ms(dwell_ms, held_ms) : wait_ms;
}

void region_explain(const struct region_rules *rules, const struct region_state *state,
                    const struct region_votes *votes, uint64_t now_ms, uint32_t region,
                    struct region_explanation *out)
{
    const struct region_record *record = &state->regions[region];
    uint32_t seeing = region_quorum_fresh(rules, votes, true);
    *out = (struct region_explanation){
        .fresh = region_quorum_fresh(rules, votes, false),
        .seeing = seeing,
        .needed = region_quorum_needed(rules, seeing),
        .penalty = region_penalty(rules, record, now_ms),
    };
    out->kept_out = record->kept_out != 0 && out->penalty >= rules->penalty_back;
    for (uint32_t r = 0; r < region_row_count; r++) {
        const struct region_row *row = &region_rows[r];
        if (row->from != record->automatic || !is_possible(rules, record, row->condition))
            continue;
        check(out->way_count < REGION_WAYS_MAX);
        explain_way(rules, state, votes, now_ms, region, row, out->needed,
                    &out->ways[out->way_count++]);
    }
}

const char *region_way_text(const struct region_way *way, uint32_t needed,
                            char out[REGION_REASON_MAX])
{
    if (!way->asked)
        snprintf(out, REGION_REASON_MAX, "%u of %u votes needed say so", way->holding, needed);
    else if (way->wait_ms > 0 && way->answer == REGION_DONE)
        snprintf(out, REGION_REASON_MAX, "due in %" PRIu64 ".%" PRIu64 " s if the votes stay so",
                 way->wait_ms / 1000, way->wait_ms % 1000 / 100);
    else
        snprintf(out, REGION_REASON_MAX, "%s",
                 way->answer == REGION_DONE ? "due now" : region_answer_text(way->answer));
    return out;
}
