#include "control/region_rules.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <stdio.h>
#include <string.h>

#define QUIET_MS         (30u * 60 * 1000)
#define FREEZE_DOUBLINGS 4 /* rule S3: 16 times the first freeze at most */
#define FREEZE_FORGOTTEN QUIET_MS
#define FEWEST_AGREEING  2u

/* Which length of `struct region_rules` evidence has to hold for. */
enum dwell {
    DWELL_NONE,
    DWELL_HARD,
    DWELL_DOWN,
    DWELL_DEGRADED,
    DWELL_UP,
    DWELL_CLEAR,
    DWELL_RECOVER,
};

/* What else has to be true. */
enum condition {
    CONDITION_NONE,
    CONDITION_HOLD_DOWN_OVER,
    CONDITION_STEP_HELD, /* and there is another one */
    CONDITION_LAST_STEP_HELD,
};

struct row {
    enum region_automatic from;
    enum region_automatic to;
    enum region_evidence evidence;
    enum dwell dwell;
    enum condition condition;
};

/* docs/failover.md, "State". The first row that is due wins. */
static const struct row rows[] = {
    {REGION_UP, REGION_SUSPECT, REGION_HARD_FAILURE, DWELL_NONE, CONDITION_NONE},
    {REGION_UP, REGION_SUSPECT, REGION_BELOW_25, DWELL_NONE, CONDITION_NONE},
    {REGION_UP, REGION_DEGRADED, REGION_BELOW_72, DWELL_DEGRADED, CONDITION_NONE},
    {REGION_DEGRADED, REGION_SUSPECT, REGION_HARD_FAILURE, DWELL_NONE, CONDITION_NONE},
    {REGION_DEGRADED, REGION_SUSPECT, REGION_BELOW_25, DWELL_NONE, CONDITION_NONE},
    {REGION_DEGRADED, REGION_UP, REGION_AT_LEAST_80, DWELL_UP, CONDITION_NONE},
    {REGION_SUSPECT, REGION_DOWN, REGION_HARD_FAILURE, DWELL_HARD, CONDITION_NONE},
    {REGION_SUSPECT, REGION_DOWN, REGION_BELOW_25, DWELL_DOWN, CONDITION_NONE},
    {REGION_SUSPECT, REGION_UP, REGION_AT_LEAST_80, DWELL_CLEAR, CONDITION_NONE},
    {REGION_SUSPECT, REGION_DEGRADED, REGION_AT_LEAST_35, DWELL_CLEAR, CONDITION_NONE},
    {REGION_DOWN, REGION_RECOVERING, REGION_AT_LEAST_50, DWELL_RECOVER, CONDITION_HOLD_DOWN_OVER},
    {REGION_RECOVERING, REGION_DOWN, REGION_HARD_FAILURE, DWELL_HARD, CONDITION_NONE},
    {REGION_RECOVERING, REGION_DOWN, REGION_BELOW_40, DWELL_DOWN, CONDITION_NONE},
    {REGION_RECOVERING, REGION_RECOVERING, REGION_AT_LEAST_40, DWELL_NONE, CONDITION_STEP_HELD},
    {REGION_RECOVERING, REGION_UP, REGION_AT_LEAST_40, DWELL_NONE, CONDITION_LAST_STEP_HELD},
};

static const char *const evidence_texts[REGION_EVIDENCES] = {
    [REGION_HARD_FAILURE] = "nothing succeeds",
    [REGION_BELOW_25] = "availability below 25 %",
    [REGION_BELOW_40] = "availability below 40 %",
    [REGION_BELOW_72] = "availability below 72 %",
    [REGION_AT_LEAST_35] = "availability at least 35 %",
    [REGION_AT_LEAST_40] = "availability at least 40 %",
    [REGION_AT_LEAST_50] = "availability at least 50 %",
    [REGION_AT_LEAST_80] = "availability at least 80 %",
};

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
    [REGION_NOT_HELD_HERE] = {"holder", "another node holds the newest state, or too few vote"},
    [REGION_NO_OVERRIDE] = {"override", "the region is not drained"},
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
        failover->hard_failure_ns,  failover->down_dwell_ns,    failover->degraded_dwell_ns,
        failover->up_dwell_ns,      failover->suspect_clear_ns, failover->hold_down_ns,
        failover->hold_down_max_ns, failover->recover_dwell_ns, failover->ramp_step_ns,
        failover->down_interval_ns, failover->correlated_ns,    failover->freeze_ns,
        failover->vote_fresh_ns,    failover->vote_gone_ns,     failover->min_active_regions,
        failover->single_node,
    };
    uint64_t hash = mix(0xcbf29ce484222325u, lengths, sizeof(lengths));
    hash = mix(hash, failover->ramp_permille, failover->ramp_steps * sizeof(uint32_t));
    for (uint32_t i = 0; i < config->region_count; i++)
        hash = mix(hash, config->regions[i].name, strlen(config->regions[i].name) + 1);
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
        .quiet_ms = QUIET_MS,
        .ramp_step_ms = failover->ramp_step_ns / CLOCK_MS,
        .ramp_steps = failover->ramp_steps,
        .min_active = failover->min_active_regions,
        .down_interval_ms = failover->down_interval_ns / CLOCK_MS,
        .correlated_ms = failover->correlated_ns / CLOCK_MS,
        .freeze_ms = failover->freeze_ns / CLOCK_MS,
        .fresh_ms = failover->vote_fresh_ns / CLOCK_MS,
        .roster = failover->node_count > 0 ? failover->node_count : 1,
        .alone = alone,
        .agreement = agreement_of(config),
    };
    memcpy(rules->ramp_permille, failover->ramp_permille, sizeof(rules->ramp_permille));
    snprintf(rules->self, sizeof(rules->self), "%s", config->node);
}

/* Votes. */

static bool counts(const struct region_rules *rules, const struct region_vote *vote)
{
    return vote->age_ms <= rules->fresh_ms &&
           (!rules->alone || strcmp(vote->node, rules->self) == 0);
}

static uint32_t count_fresh(const struct region_rules *rules, const struct region_votes *votes,
                            bool and_seeing)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < votes->count; i++)
        if (counts(rules, &votes->votes[i]) && !(and_seeing && votes->votes[i].blind))
            count++;
    return count;
}

/* The votes a change needs: two, more than half of those that see, and half of the roster. */
static uint32_t needed(const struct region_rules *rules, uint32_t seeing)
{
    if (rules->alone)
        return 1;
    uint32_t most = seeing / 2 + 1;
    uint32_t half_of_roster = (rules->roster + 1) / 2;
    if (most < half_of_roster)
        most = half_of_roster;
    return most < FEWEST_AGREEING ? FEWEST_AGREEING : most;
}

static uint32_t dwell_ms(const struct region_rules *rules, enum dwell dwell)
{
    switch (dwell) {
    case DWELL_NONE:
        return 0;
    case DWELL_HARD:
        return rules->hard_ms;
    case DWELL_DOWN:
        return rules->down_ms;
    case DWELL_DEGRADED:
        return rules->degraded_ms;
    case DWELL_UP:
        return rules->up_ms;
    case DWELL_CLEAR:
        return rules->clear_ms;
    case DWELL_RECOVER:
        return rules->recover_ms;
    }
    return 0;
}

/* Votes in which EVIDENCE has held for at least FOR_MS. */
static uint32_t count_agreeing(const struct region_rules *rules, const struct region_votes *votes,
                               uint32_t region, enum region_evidence evidence, uint64_t for_ms)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < votes->count; i++) {
        const struct region_vote *vote = &votes->votes[i];
        int32_t held_ms = vote->regions[region].held_ms[evidence];
        if (counts(rules, vote) && !vote->blind && vote->agreement == rules->agreement &&
            held_ms != REGION_NOT_HELD && (uint64_t)held_ms >= for_ms)
            count++;
    }
    return count;
}

struct region_count region_rules_count(const struct region_rules *rules,
                                       const struct region_state *state,
                                       const struct region_votes *votes, uint32_t region)
{
    struct region_count count = {.fresh = count_fresh(rules, votes, false),
                                 .seeing = count_fresh(rules, votes, true)};
    uint32_t against = 0;
    for (size_t r = 0; r < array_count(rows); r++) {
        if (rows[r].from != state->regions[region].automatic ||
            rows[r].condition == CONDITION_STEP_HELD ||
            rows[r].condition == CONDITION_LAST_STEP_HELD)
            continue;
        uint32_t holding = count_agreeing(rules, votes, region, rows[r].evidence, 0);
        if (holding > against)
            against = holding;
    }
    count.agreeing = count.seeing - against;
    return count;
}

/* Transitions. */

static bool condition_holds(const struct region_rules *rules, const struct region_record *record,
                            enum condition condition, uint64_t now_ms)
{
    bool last = record->ramp_step + 1 >= rules->ramp_steps;
    bool step_held = now_ms >= record->step_since_ms + rules->ramp_step_ms;
    switch (condition) {
    case CONDITION_NONE:
        return true;
    case CONDITION_HOLD_DOWN_OVER:
        return now_ms >= record->hold_down_until_ms;
    case CONDITION_STEP_HELD:
        return step_held && !last;
    case CONDITION_LAST_STEP_HELD:
        return step_held && last;
    }
    return false;
}

/* The row that a region should follow now, or NULL. */
static const struct row *find_due(const struct region_rules *rules,
                                  const struct region_state *state,
                                  const struct region_votes *votes, uint64_t now_ms,
                                  uint32_t region, char reason[REGION_REASON_MAX])
{
    const struct region_record *record = &state->regions[region];
    uint32_t seeing = count_fresh(rules, votes, true);
    for (size_t r = 0; r < array_count(rows); r++) {
        const struct row *row = &rows[r];
        uint32_t for_ms = dwell_ms(rules, row->dwell);
        if (row->from != record->automatic ||
            !condition_holds(rules, record, row->condition, now_ms))
            continue;
        uint32_t agreeing = count_agreeing(rules, votes, region, row->evidence, for_ms);
        if (agreeing < needed(rules, seeing))
            continue;
        snprintf(reason, REGION_REASON_MAX, "%s for %u ms, %u of %u agree",
                 evidence_texts[row->evidence], for_ms, agreeing, seeing);
        return row;
    }
    return NULL;
}

/* For how long a quorum has asked for this row, in ms; -1: it does not. */
static int64_t asked_for_ms(const struct region_rules *rules, const struct region_votes *votes,
                            uint32_t region, const struct row *row)
{
    int64_t longest = -1;
    uint32_t dwell = dwell_ms(rules, row->dwell);
    uint32_t quorum = needed(rules, count_fresh(rules, votes, true));
    for (uint32_t i = 0; i < votes->count; i++) {
        int32_t held_ms = votes->votes[i].regions[region].held_ms[row->evidence];
        if (held_ms == REGION_NOT_HELD || (uint32_t)held_ms < dwell)
            continue;
        if ((int64_t)held_ms - dwell > longest &&
            count_agreeing(rules, votes, region, row->evidence, (uint64_t)held_ms) >= quorum)
            longest = (int64_t)held_ms - dwell;
    }
    return longest;
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
    for (size_t r = 0; r < array_count(rows); r++) {
        if (rows[r].from != from || rows[r].to != REGION_DOWN)
            continue;
        int64_t asked_ms = asked_for_ms(rules, votes, region, &rows[r]);
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

static bool is_last_active(const struct region_rules *rules, const struct region_state *state)
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
                                enum region_automatic to, uint64_t now_ms)
{
    if (now_ms < state->frozen_until_ms)
        return REGION_FROZEN;
    if (to != REGION_DOWN || state->regions[region].override != REGION_OVERRIDE_NONE)
        return REGION_DONE;
    if (is_correlated(rules, state, votes, region))
        return REGION_FROZE;
    if (is_last_active(rules, state))
        return REGION_REFUSED_S1;
    return is_too_fast(rules, state, region, now_ms) ? REGION_REFUSED_S2 : REGION_DONE;
}

struct region_proposal region_rules_propose(const struct region_rules *rules,
                                            const struct region_state *state,
                                            const struct region_votes *votes, uint64_t now_ms,
                                            uint32_t region)
{
    struct region_proposal proposal = {.answer = REGION_NO_QUORUM};
    const struct row *row = find_due(rules, state, votes, now_ms, region, proposal.reason);
    if (row == NULL)
        return proposal;
    proposal.due = true;
    proposal.to = row->to;
    proposal.answer = judge(rules, state, votes, region, row->to, now_ms);
    return proposal;
}

/* Changes. */

static uint64_t hold_down_for_ms(const struct region_rules *rules, uint32_t downs)
{
    uint64_t for_ms = rules->hold_down_ms;
    for (uint32_t n = 1; n < downs && for_ms < rules->hold_down_max_ms; n++)
        for_ms *= 2;
    return for_ms < rules->hold_down_max_ms ? for_ms : rules->hold_down_max_ms;
}

/* Quiet time takes from the number of downs. */
static void forgive(const struct region_rules *rules, struct region_record *record, uint64_t now_ms)
{
    if (now_ms <= record->since_ms)
        return;
    uint64_t quiet = (now_ms - record->since_ms) / rules->quiet_ms;
    record->downs -= quiet < record->downs ? (uint32_t)quiet : record->downs;
}

static void begin_ramp(struct region_record *record, uint64_t now_ms)
{
    record->automatic = REGION_RECOVERING;
    record->ramp_step = 0;
    record->since_ms = now_ms;
    record->step_since_ms = now_ms;
}

/* The one function that changes the automatic state by evidence. */
static void move(const struct region_rules *rules, struct region_state *state, uint32_t region,
                 enum region_automatic to, uint64_t now_ms)
{
    struct region_record *record = &state->regions[region];
    enum region_automatic from = record->automatic;
    if (from == REGION_RECOVERING && to == REGION_RECOVERING) {
        record->ramp_step++;
        record->step_since_ms = now_ms;
        return;
    }
    forgive(rules, record, now_ms);
    if (to == REGION_SUSPECT)
        record->before = from;
    if (to == REGION_DOWN) {
        record->downs++;
        record->hold_down_until_ms = now_ms + hold_down_for_ms(rules, record->downs);
        if (from != REGION_RECOVERING && record->override == REGION_OVERRIDE_NONE)
            state->last_down_ms = now_ms;
    }
    record->automatic = to;
    record->since_ms = now_ms;
    if (to == REGION_RECOVERING)
        begin_ramp(record, now_ms);
}

/* Every change ends here: a new epoch with a name of its own. */
static enum region_answer commit(const struct region_rules *rules, struct region_state *state,
                                 const struct region_request *request, const char *reason,
                                 enum region_answer answer)
{
    state->epoch++;
    snprintf(state->change_id, sizeof(state->change_id), "%s", request->new_change_id);
    if (state->incarnation[0] == '\0')
        snprintf(state->incarnation, sizeof(state->incarnation), "%s", request->new_incarnation);
    snprintf(state->decided_by, sizeof(state->decided_by), "%s", rules->self);
    snprintf(state->reason, sizeof(state->reason), "%s", reason);
    return answer;
}

static enum region_answer commit_region(const struct region_rules *rules,
                                        struct region_state *state,
                                        const struct region_request *request, const char *reason)
{
    struct region_record *record = &state->regions[request->region];
    snprintf(record->reason, sizeof(record->reason), "%s", reason);
    return commit(rules, state, request, reason, REGION_DONE);
}

static void freeze(const struct region_rules *rules, struct region_state *state, uint64_t now_ms)
{
    if (now_ms > state->frozen_until_ms + FREEZE_FORGOTTEN)
        state->frozen_times = 0;
    uint32_t doublings =
        state->frozen_times < FREEZE_DOUBLINGS ? state->frozen_times : FREEZE_DOUBLINGS;
    state->frozen_until_ms = now_ms + (rules->freeze_ms << doublings);
    state->frozen_times++;
}

static enum region_answer decide_move(const struct region_rules *rules, struct region_state *state,
                                      const struct region_votes *votes, uint64_t now_ms,
                                      const struct region_request *request)
{
    struct region_proposal proposal =
        region_rules_propose(rules, state, votes, now_ms, request->region);
    if (!proposal.due || proposal.to != request->to)
        return REGION_NO_QUORUM;
    if (proposal.answer == REGION_FROZE) {
        freeze(rules, state, now_ms);
        return commit(rules, state, request, answers[REGION_FROZE].text, REGION_FROZE);
    }
    if (proposal.answer != REGION_DONE)
        return proposal.answer;
    move(rules, state, request->region, request->to, now_ms);
    return commit_region(rules, state, request, proposal.reason);
}

static enum region_answer decide_drain(const struct region_rules *rules, struct region_state *state,
                                       uint64_t now_ms, const struct region_request *request)
{
    struct region_record *record = &state->regions[request->region];
    if (region_is_active(record) && is_last_active(rules, state))
        return REGION_REFUSED_S1;
    record->override = REGION_OVERRIDE_DRAIN;
    record->expires_ms = request->ttl_ms == 0 ? 0 : now_ms + request->ttl_ms;
    char reason[REGION_REASON_MAX];
    snprintf(reason, sizeof(reason), "drained by %s", request->by);
    return commit_region(rules, state, request, reason);
}

/* A region that was out for an operator comes back slowly; what automation has found stands. */
static void lift_override(const struct region_rules *rules, struct region_record *record,
                          uint64_t now_ms)
{
    record->override = REGION_OVERRIDE_NONE;
    record->expires_ms = 0;
    if (record->automatic != REGION_UP && record->automatic != REGION_DEGRADED)
        return;
    forgive(rules, record, now_ms);
    begin_ramp(record, now_ms);
}

static enum region_answer decide_undrain(const struct region_rules *rules,
                                         struct region_state *state, uint64_t now_ms,
                                         const struct region_request *request)
{
    struct region_record *record = &state->regions[request->region];
    if (record->override != REGION_OVERRIDE_DRAIN)
        return REGION_NO_OVERRIDE;
    lift_override(rules, record, now_ms);
    char reason[REGION_REASON_MAX];
    snprintf(reason, sizeof(reason), "undrained by %s", request->by);
    return commit_region(rules, state, request, reason);
}

static enum region_answer decide_expire(const struct region_rules *rules,
                                        struct region_state *state, uint64_t now_ms,
                                        const struct region_request *request)
{
    struct region_record *record = &state->regions[request->region];
    if (record->override == REGION_OVERRIDE_NONE || record->expires_ms == 0 ||
        now_ms < record->expires_ms)
        return REGION_NO_OVERRIDE;
    lift_override(rules, record, now_ms);
    return commit_region(rules, state, request, "the override expired");
}

/* Whether (epoch, id) is newer. Of two changes with one epoch the greater id wins everywhere. */
static bool is_newer(uint64_t epoch, const char *id, uint64_t than_epoch, const char *than_id)
{
    return epoch != than_epoch ? epoch > than_epoch : strcmp(id, than_id) > 0;
}

/* A fresh vote has applied something else that is not behind the stored state. */
static bool is_older(const struct region_rules *rules, const struct region_state *state,
                     const struct region_votes *votes)
{
    for (uint32_t i = 0; i < votes->count; i++) {
        const struct region_vote *vote = &votes->votes[i];
        if (!counts(rules, vote))
            continue;
        if (vote->epoch > state->epoch ||
            (vote->epoch == state->epoch && strcmp(vote->change_id, state->change_id) != 0))
            return true;
    }
    return false;
}

/* The content is what this node's fresh vote has applied, and no fresh vote has newer. */
static bool holds_newest(const struct region_rules *rules, const struct region_votes *votes,
                         const struct region_state *content)
{
    bool own = false;
    for (uint32_t i = 0; i < votes->count; i++) {
        const struct region_vote *vote = &votes->votes[i];
        if (!counts(rules, vote))
            continue;
        if (is_newer(vote->epoch, vote->change_id, content->epoch, content->change_id))
            return false;
        if (strcmp(vote->node, rules->self) == 0)
            own = vote->epoch == content->epoch && strcmp(vote->change_id, content->change_id) == 0;
    }
    return own;
}

static enum region_answer decide_reassert(const struct region_rules *rules,
                                          struct region_state *state,
                                          const struct region_votes *votes,
                                          const struct region_request *request)
{
    uint32_t quorum = needed(rules, 0) < rules->roster ? needed(rules, 0) : rules->roster;
    if (!is_older(rules, state, votes))
        return REGION_STALE;
    if (!holds_newest(rules, votes, request->content) || count_fresh(rules, votes, false) < quorum)
        return REGION_NOT_HELD_HERE;
    char incarnation[REGION_ID_MAX];
    memcpy(incarnation, state->incarnation, sizeof(incarnation));
    *state = *request->content;
    memcpy(state->incarnation, incarnation, sizeof(incarnation));
    return commit(rules, state, request, "reasserted", REGION_DONE);
}

static enum region_answer decide_init(const struct region_rules *rules, struct region_state *state,
                                      const struct region_request *request)
{
    if (state->epoch != 0)
        return REGION_STALE;
    *state = *request->content;
    return commit(rules, state, request, "first start", REGION_DONE);
}

enum region_answer region_rules_decide(const struct region_rules *rules, struct region_state *state,
                                       const struct region_votes *votes, uint64_t now_ms,
                                       const struct region_request *request)
{
    bool of_a_region = request->kind != REGION_INIT && request->kind != REGION_REASSERT;
    bool compares = request->kind == REGION_MOVE || request->kind == REGION_EXPIRE;
    if (of_a_region && request->region >= state->count)
        return REGION_UNKNOWN;
    if (request->kind != REGION_REASSERT && is_older(rules, state, votes))
        return REGION_OLDER;
    if (compares &&
        (request->epoch != state->epoch || strcmp(request->change_id, state->change_id) != 0))
        return REGION_STALE;
    switch (request->kind) {
    case REGION_INIT:
        return decide_init(rules, state, request);
    case REGION_MOVE:
        return decide_move(rules, state, votes, now_ms, request);
    case REGION_DRAIN:
        return decide_drain(rules, state, now_ms, request);
    case REGION_UNDRAIN:
        return decide_undrain(rules, state, now_ms, request);
    case REGION_EXPIRE:
        return decide_expire(rules, state, now_ms, request);
    case REGION_REASSERT:
        return decide_reassert(rules, state, votes, request);
    case REGION_REQUESTS:
        break;
    }
    return REGION_UNKNOWN;
}
