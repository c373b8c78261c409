#include "control/region_rules.h"

#include "control/region_quorum.h"
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *text;
} answers[REGION_ANSWERS] = {
    [REGION_DONE] = {"done", "done"},
    [REGION_FROZE] = {"S3", "rule S3: several regions at once, suspect the observers; frozen"},
    [REGION_REFUSED_S1] = {"S1", "rule S1: too few active regions would be left"},
    [REGION_REFUSED_S2] = {"S2", "rule S2: too many regions down, or too soon after another"},
    [REGION_NO_QUORUM] = {"quorum", "the votes do not ask for it"},
    [REGION_STALE] = {"stale", "the state has changed in between"},
    [REGION_OLDER] = {"older",
                      "the store holds an older state, which is being replaced; try again"},
    [REGION_FROZEN] = {"frozen", "automation is frozen by rule S3"},
    [REGION_WAITS] = {"review", "it waits for an operator: region approve"},
    [REGION_REJECTED] = {"rejected", "an operator has rejected it"},
    [REGION_DRY_RUN] = {"dry_run", "dry_run is on: it is only said"},
    [REGION_MANUAL] = {"manual", "this region is only reported on: force it, or drain it"},
    [REGION_STOPPED] = {"stopped", "automation is switched off by an operator"},
    [REGION_NOT_HELD_HERE] = {"holder", "another node holds the newest state, or too few vote"},
    [REGION_NO_OVERRIDE] = {"override", "there is nothing to undo"},
    [REGION_UNKNOWN] = {"unknown", "the store has no such region"},
};

const char *region_answer_name(enum region_answer answer)
{
    check(answer < REGION_ANSWERS);
    return answers[answer].name;
}

const char *region_answer_text(enum region_answer answer)
{
    check(answer < REGION_ANSWERS);
    return answers[answer].text;
}

static const char *const rule_names[] = {"S1", "S2", "S3", "S4", "S5"};

const char *region_rules_text(uint32_t rules, char out[REGION_RULES_TEXT_MAX])
{
    int used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < array_count(rule_names); i++)
        if ((rules & 1u << i) != 0)
            used += snprintf(out + used, (size_t)(REGION_RULES_TEXT_MAX - used), "%s%s",
                             used == 0 ? "" : ", ", rule_names[i]);
    return out;
}

uint32_t region_rule_of(const char *name)
{
    for (uint32_t i = 0; i < array_count(rule_names); i++)
        if (strcmp(rule_names[i], name) == 0)
            return 1u << i;
    return 0;
}

/* FNV-1a, over values and not over structs: padding would differ. */
static uint64_t mix(uint64_t hash, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

/* What voters must have in common: regions, their order, and thresholds. */
static uint64_t agreement_of(const struct config *config)
{
    const struct config_failover *failover = &config->failover;
    const uint64_t lengths[] = {
        failover->hard_failure_ns,
        failover->down_dwell_ns,
        failover->degraded_dwell_ns,
        failover->up_dwell_ns,
        failover->suspect_clear_ns,
        failover->hold_down_ns,
        failover->hold_down_max_ns,
        failover->recover_dwell_ns,
        failover->ramp_step_ns,
        failover->down_interval_ns,
        failover->correlated_ns,
        failover->freeze_ns,
        failover->vote_fresh_ns,
        failover->vote_gone_ns,
        failover->min_active_regions,
        failover->single_node,
        failover->suspect_below,
        failover->degraded_below,
        failover->recovering_below,
        failover->clear_at,
        failover->recover_at,
        failover->up_at,
        failover->quiet_ns,
        failover->penalty,
        failover->penalty_out,
        failover->penalty_back,
        failover->penalty_half_life_ns,
        failover->review_unless_hard,
        failover->worse_percent,
        failover->worse_samples,
        failover->worse_at_least,
        failover->hard_tries,
        failover->hard_tries_per_backend,
        failover->proposal_ttl_ns,
        failover->capacity_percent,
        failover->dry_run,
    };
    uint64_t hash = mix(0xcbf29ce484222325u, lengths, sizeof(lengths));
    hash = mix(hash, failover->ramp_permille, failover->ramp_steps * sizeof(uint32_t));
    for (uint32_t i = 0; i < config->region_count; i++) {
        const struct config_region *region = &config->regions[i];
        const uint32_t modes[] = {(uint32_t)region->on_failure, (uint32_t)region->on_recovery};
        hash = mix(hash, region->name, strlen(region->name) + 1);
        hash = mix(hash, modes, sizeof(modes));
    }
    return hash;
}

void region_rules_init(struct region_rules *rules, const struct config *config)
{
    const struct config_failover *failover = &config->failover;
    bool alone = failover->single_node || config->store.kind == CONFIG_STORE_MEMORY;
    uint32_t times = alone ? 2 : 1;
    *rules = (struct region_rules){
        .hard_ms = (uint32_t)(failover->hard_failure_ns / CLOCK_MS) * times,
        .down_ms = (uint32_t)(failover->down_dwell_ns / CLOCK_MS) * times,
        .degraded_ms = (uint32_t)(failover->degraded_dwell_ns / CLOCK_MS) * times,
        .up_ms = (uint32_t)(failover->up_dwell_ns / CLOCK_MS) * times,
        .clear_ms = (uint32_t)(failover->suspect_clear_ns / CLOCK_MS) * times,
        .recover_ms = (uint32_t)(failover->recover_dwell_ns / CLOCK_MS) * times,
        .hold_down_ms = failover->hold_down_ns / CLOCK_MS,
        .hold_down_max_ms = failover->hold_down_max_ns / CLOCK_MS,
        .quiet_ms = failover->quiet_ns / CLOCK_MS,
        .penalty = failover->penalty,
        .penalty_out = failover->penalty_out,
        .penalty_back = failover->penalty_back,
        .penalty_half_life_ms = failover->penalty_half_life_ns / CLOCK_MS,
        .ramp_step_ms = failover->ramp_step_ns / CLOCK_MS,
        .ramp_steps = failover->ramp_steps,
        .min_active = failover->min_active_regions,
        .down_interval_ms = failover->down_interval_ns / CLOCK_MS,
        .correlated_ms = failover->correlated_ns / CLOCK_MS,
        .freeze_ms = failover->freeze_ns / CLOCK_MS,
        .review_unless_hard = failover->review_unless_hard,
        .dry_run = failover->dry_run,
        .capacity_percent = failover->capacity_percent,
        .proposal_ms = failover->proposal_ttl_ns / CLOCK_MS,
        .fresh_ms = failover->vote_fresh_ns / CLOCK_MS,
        .roster = failover->node_count > 0 ? failover->node_count : 1,
        .alone = alone,
        .agreement = agreement_of(config),
    };
    for (int e = 0; e < REGION_EVIDENCES; e++)
        rules->percents[e] = region_evidence_percent(failover, (enum region_evidence)e);
    for (uint32_t i = 0; i < config->region_count; i++) {
        rules->on_failure[i] = config->regions[i].on_failure;
        rules->on_recovery[i] = config->regions[i].on_recovery;
    }
    memcpy(rules->ramp_permille, failover->ramp_permille, sizeof(rules->ramp_permille));
    snprintf(rules->self, sizeof(rules->self), "%s", config->node);
}

struct region_count region_rules_count(const struct region_rules *rules,
                                       const struct region_state *state,
                                       const struct region_votes *votes, uint32_t region)
{
    struct region_count count = {.fresh = region_quorum_fresh(rules, votes, false),
                                 .seeing = region_quorum_fresh(rules, votes, true)};
    uint32_t against = 0;
    for (uint32_t r = 0; r < region_row_count; r++) {
        if (region_rows[r].from != state->regions[region].automatic ||
            region_rows[r].condition == REGION_STEP_HELD ||
            region_rows[r].condition == REGION_LAST_STEP_HELD)
            continue;
        uint32_t holding = region_quorum_agreeing(rules, votes, region, region_rows[r].evidence, 0);
        if (holding > against)
            against = holding;
    }
    count.agreeing = count.seeing - against;
    return count;
}

/* Transitions. */

static bool is_kept_out(const struct region_rules *rules, const struct region_record *record,
                        uint64_t now_ms)
{
    return record->kept_out != 0 && region_penalty(rules, record, now_ms) >= rules->penalty_back;
}

static bool condition_holds(const struct region_rules *rules, const struct region_record *record,
                            enum region_condition condition, uint64_t now_ms)
{
    bool last = record->ramp_step + 1 >= rules->ramp_steps;
    bool step_held = now_ms >= record->step_since_ms + rules->ramp_step_ms;
    switch (condition) {
    case REGION_ALWAYS:
        return true;
    case REGION_HOLD_DOWN_OVER:
        return now_ms >= record->hold_down_until_ms && !is_kept_out(rules, record, now_ms);
    case REGION_STEP_HELD:
        return step_held && !last;
    case REGION_LAST_STEP_HELD:
        return step_held && last;
    case REGION_CONDITIONS:
        break;
    }
    return false;
}

const struct region_row *region_due_row(const struct region_rules *rules,
                                        const struct region_state *state,
                                        const struct region_votes *votes, uint64_t now_ms,
                                        uint32_t region, char reason[REGION_REASON_MAX])
{
    const struct region_record *record = &state->regions[region];
    uint32_t seeing = region_quorum_fresh(rules, votes, true);
    for (uint32_t r = 0; r < region_row_count; r++) {
        const struct region_row *row = &region_rows[r];
        uint32_t for_ms = region_dwell_ms(rules, row->dwell);
        if (row->from != record->automatic ||
            !condition_holds(rules, record, row->condition, now_ms))
            continue;
        uint32_t agreeing = region_quorum_agreeing(rules, votes, region, row->evidence, for_ms);
        if (agreeing < region_quorum_needed(rules, seeing))
            continue;
        char evidence[REGION_REASON_MAX];
        snprintf(reason, REGION_REASON_MAX, "%.60s for %u ms, %u of %u agree",
                 region_evidence_text(row->evidence, rules->percents[row->evidence], evidence),
                 for_ms, agreeing, seeing);
        return row;
    }
    return NULL;
}

/* For how long a quorum has asked to take this active region out; UP counts as SUSPECT. */
static int64_t down_asked_for_ms(const struct region_rules *rules, const struct region_state *state,
                                 const struct region_votes *votes, uint32_t region)
{
    const struct region_record *record = &state->regions[region];
    if (record->override != REGION_OVERRIDE_NONE || record->automatic == REGION_DOWN)
        return -1;
    enum region_automatic from =
        record->automatic == REGION_RECOVERING ? REGION_RECOVERING : REGION_SUSPECT;
    int64_t longest = -1;
    for (uint32_t r = 0; r < region_row_count; r++) {
        if (region_rows[r].from != from || region_rows[r].to != REGION_DOWN)
            continue;
        int64_t asked_ms = region_quorum_asked_for_ms(rules, votes, region, &region_rows[r]);
        if (asked_ms > longest)
            longest = asked_ms;
    }
    return longest;
}

/* Rule S3: a second region reached its quorum within `correlated_ms` of this one. */
static bool is_correlated(const struct region_rules *rules, const struct region_state *state,
                          const struct region_votes *votes, uint32_t region)
{
    int64_t own_ms = down_asked_for_ms(rules, state, votes, region);
    if (own_ms < 0)
        return false;
    for (uint32_t i = 0; i < state->count; i++) {
        int64_t other_ms = i == region ? -1 : down_asked_for_ms(rules, state, votes, i);
        if (other_ms < 0)
            continue;
        uint64_t apart_ms = (uint64_t)(own_ms > other_ms ? own_ms - other_ms : other_ms - own_ms);
        if (apart_ms <= rules->correlated_ms)
            return true;
    }
    return false;
}

bool region_is_last_active(const struct region_rules *rules, const struct region_state *state)
{
    return region_active_count(state) <= rules->min_active;
}

/* Rule S2. A region that was recovering had little traffic: no interval for it. */
static bool is_too_fast(const struct region_rules *rules, const struct region_state *state,
                        uint32_t region, uint64_t now_ms)
{
    uint32_t down = 1;
    for (uint32_t i = 0; i < state->count; i++)
        down += i != region && state->regions[i].automatic == REGION_DOWN;
    if (down * 2 > state->count)
        return true;
    return state->regions[region].automatic != REGION_RECOVERING && state->last_down_ms != 0 &&
           now_ms < state->last_down_ms + rules->down_interval_ms;
}

/* What the safety rules say to a due move. A region under an override loses nothing. */
static enum region_answer judge(const struct region_rules *rules, const struct region_state *state,
                                const struct region_votes *votes, uint32_t region,
                                enum region_automatic to, uint32_t despite, uint64_t now_ms)
{
    bool heeds_s3 = (despite & REGION_RULE_S3) == 0;
    if (region_is_stopped(state, now_ms))
        return REGION_STOPPED;
    if (heeds_s3 && now_ms < state->frozen_until_ms)
        return REGION_FROZEN;
    if (to != REGION_DOWN || state->regions[region].override != REGION_OVERRIDE_NONE)
        return REGION_DONE;
    if (heeds_s3 && is_correlated(rules, state, votes, region))
        return REGION_FROZE;
    if ((despite & REGION_RULE_S1) == 0 && region_is_last_active(rules, state))
        return REGION_REFUSED_S1;
    if ((despite & REGION_RULE_S2) == 0 && is_too_fast(rules, state, region, now_ms))
        return REGION_REFUSED_S2;
    return REGION_DONE;
}

/* What the mode of the region says to a transition. */
static enum region_answer mode_answer(const struct region_rules *rules,
                                      const struct region_record *record, uint32_t region,
                                      const struct region_row *row, uint64_t now_ms)
{
    enum config_mode mode = CONFIG_MODE_AUTO;
    if (row->to == REGION_DOWN)
        mode = rules->on_failure[region];
    else if (row->from == REGION_DOWN)
        mode = rules->on_recovery[region];
    bool urgent =
        row->to == REGION_DOWN && row->evidence == REGION_HARD_FAILURE && rules->review_unless_hard;
    switch (mode) {
    case CONFIG_MODE_REVIEW:
        if (urgent)
            return REGION_DONE;
        return now_ms < record->rejected_until_ms ? REGION_REJECTED : REGION_WAITS;
    case CONFIG_MODE_MANUAL:
        return REGION_MANUAL;
    case CONFIG_MODE_AUTO:
    case CONFIG_MODES:
        break;
    }
    return REGION_DONE;
}

enum region_answer region_judge_row(const struct region_rules *rules,
                                    const struct region_state *state,
                                    const struct region_votes *votes, uint32_t region,
                                    const struct region_row *row, uint64_t now_ms)
{
    enum region_answer answer = judge(rules, state, votes, region, row->to, 0, now_ms);
    if (answer == REGION_DONE)
        answer = mode_answer(rules, &state->regions[region], region, row, now_ms);
    return answer == REGION_DONE && rules->dry_run ? REGION_DRY_RUN : answer;
}

/* An operator says that the observers are right: rule S3 has nothing to add. */
enum region_answer region_judge_approval(const struct region_rules *rules,
                                         const struct region_state *state,
                                         const struct region_votes *votes, uint32_t region,
                                         const struct region_row *row, uint32_t despite,
                                         uint64_t now_ms)
{
    enum region_answer answer =
        judge(rules, state, votes, region, row->to, despite | REGION_RULE_S3, now_ms);
    if (answer == REGION_DONE)
        answer = mode_answer(rules, &state->regions[region], region, row, now_ms);
    return answer == REGION_WAITS || answer == REGION_REJECTED ? REGION_DONE : answer;
}

struct region_proposal region_rules_propose(const struct region_rules *rules,
                                            const struct region_state *state,
                                            const struct region_votes *votes, uint64_t now_ms,
                                            uint32_t region)
{
    struct region_proposal proposal = {.answer = REGION_NO_QUORUM};
    const struct region_row *row =
        region_due_row(rules, state, votes, now_ms, region, proposal.reason);
    if (row == NULL)
        return proposal;
    proposal.due = true;
    proposal.to = row->to;
    proposal.answer = region_judge_row(rules, state, votes, region, row, now_ms);
    return proposal;
}
