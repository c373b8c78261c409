/*
 * region_change: what a request does to the agreed state: transitions, operators' orders, reassert.
 * Whether a transition is due and allowed is said by region_rules.c.
 */
#include "control/region_capacity.h"
#include "control/region_quorum.h"
#include "dataplane/base/check.h"

#include <stdio.h>
#include <string.h>

#define FREEZE_DOUBLINGS 4 /* rule S3: 16 times the first freeze at most */

static uint64_t hold_down_for_ms(const struct region_rules *rules, uint32_t downs)
{
    uint64_t for_ms = rules->hold_down_ms;
    for (uint32_t n = 1; n < downs && for_ms < rules->hold_down_max_ms; n++)
        for_ms *= 2;
    return for_ms < rules->hold_down_max_ms ? for_ms : rules->hold_down_max_ms;
}

/* Quiet time since the last DOWN takes from their number. */
static void forgive(const struct region_rules *rules, struct region_record *record, uint64_t now_ms)
{
    if (now_ms <= record->penalty_at_ms)
        return;
    uint64_t quiet = (now_ms - record->penalty_at_ms) / rules->quiet_ms;
    record->downs -= quiet < record->downs ? (uint32_t)quiet : record->downs;
}

static void punish(const struct region_rules *rules, struct region_record *record, uint64_t now_ms)
{
    forgive(rules, record, now_ms);
    record->downs++;
    record->hold_down_until_ms = now_ms + hold_down_for_ms(rules, record->downs);
    uint32_t penalty = region_penalty(rules, record, now_ms) + rules->penalty;
    record->penalty = penalty < REGION_PENALTY_MAX ? penalty : REGION_PENALTY_MAX;
    record->penalty_at_ms = now_ms;
    record->kept_out |= record->penalty > rules->penalty_out;
}

static void begin_ramp(struct region_record *record, uint64_t now_ms)
{
    record->automatic = REGION_RECOVERING;
    record->kept_out = 0;
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
    record->proposed_until_ms = 0;
    record->rejected_until_ms = 0;
    if (to == REGION_SUSPECT)
        record->before = from;
    if (to == REGION_DOWN) {
        punish(rules, record, now_ms);
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
    if (now_ms > state->frozen_until_ms + rules->quiet_ms)
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
    if (rules->dry_run)
        return REGION_DRY_RUN;
    if (proposal.answer == REGION_FROZE) {
        freeze(rules, state, now_ms);
        return commit(rules, state, request, region_answer_text(REGION_FROZE), REGION_FROZE);
    }
    if (proposal.answer != REGION_DONE)
        return proposal.answer;
    move(rules, state, request->region, request->to, now_ms);
    return commit_region(rules, state, request, proposal.reason);
}

/* Keep what waits for review, with its evidence, once. */
static enum region_answer decide_propose(const struct region_rules *rules,
                                         struct region_state *state,
                                         const struct region_votes *votes, uint64_t now_ms,
                                         const struct region_request *request)
{
    struct region_record *record = &state->regions[request->region];
    char reason[2 * REGION_REASON_MAX];
    struct region_proposal proposal =
        region_rules_propose(rules, state, votes, now_ms, request->region);
    if (!proposal.due || proposal.to != request->to)
        return REGION_NO_QUORUM;
    if (proposal.answer == REGION_FROZE)
        return REGION_FROZEN; /* that is for a move to write */
    if (proposal.answer != REGION_WAITS)
        return proposal.answer == REGION_DONE ? REGION_STALE : proposal.answer;
    if (region_is_proposed(record, now_ms) && record->proposed == proposal.to)
        return REGION_STALE;
    record->proposed = proposal.to;
    record->proposed_until_ms = now_ms + rules->proposal_ms;
    snprintf(record->evidence, sizeof(record->evidence), "%s", proposal.reason);
    snprintf(reason, sizeof(reason), "proposed: %s, as %s", region_automatic_name(proposal.to),
             proposal.reason);
    return commit(rules, state, request, reason, REGION_DONE);
}

static const char *despite_text(uint32_t despite, char out[REGION_RULES_TEXT_MAX + 16])
{
    char rules[REGION_RULES_TEXT_MAX];
    snprintf(out, REGION_RULES_TEXT_MAX + 16, "%s%s", despite == 0 ? "" : " despite ",
             region_rules_text(despite, rules));
    return out;
}

/*
 * The evidence must hold now as well: an approval does not outlive what it was given for. It ends a
 * freeze by rule S3: the operator believes the observers.
 */
static enum region_answer decide_approve(const struct region_rules *rules,
                                         struct region_state *state,
                                         const struct region_votes *votes, uint64_t now_ms,
                                         const struct region_request *request)
{
    char why[REGION_REASON_MAX];
    char despite[REGION_RULES_TEXT_MAX + 16];
    char reason[2 * REGION_REASON_MAX + 64];
    struct region_rules relaxed = *rules;
    relaxed.any_agreement = (request->despite & REGION_RULE_S5) != 0;
    const struct region_row *row =
        region_due_row(&relaxed, state, votes, now_ms, request->region, why);
    if (row == NULL)
        return REGION_NO_QUORUM;
    enum region_answer answer =
        region_judge_approval(rules, state, votes, request->region, row, request->despite, now_ms);
    if (answer != REGION_DONE)
        return answer;
    move(rules, state, request->region, row->to, now_ms);
    state->frozen_until_ms = 0;
    snprintf(reason, sizeof(reason), "%s; approved%s by %s", why,
             despite_text(request->despite, despite), request->by);
    return commit_region(rules, state, request, reason);
}

static enum region_answer decide_reject(const struct region_rules *rules,
                                        struct region_state *state, uint64_t now_ms,
                                        const struct region_request *request)
{
    struct region_record *record = &state->regions[request->region];
    char reason[2 * REGION_REASON_MAX];
    if (!region_is_proposed(record, now_ms))
        return REGION_NO_OVERRIDE;
    record->proposed_until_ms = 0;
    record->rejected_until_ms = now_ms + rules->proposal_ms;
    snprintf(reason, sizeof(reason), "%s rejected by %s", region_automatic_name(record->proposed),
             request->by);
    return commit(rules, state, request, reason, REGION_DONE);
}

/* Operators' orders. */

static const struct {
    enum region_override override;
    const char *text;
} orders[REGION_REQUESTS] = {
    [REGION_DRAIN] = {REGION_OVERRIDE_DRAIN, "drained"},
    [REGION_UNDRAIN] = {REGION_OVERRIDE_DRAIN, "undrained"},
    [REGION_FORCE_UP] = {REGION_OVERRIDE_FORCE_UP, "forced up"},
    [REGION_FORCE_DOWN] = {REGION_OVERRIDE_FORCE_DOWN, "forced down"},
    [REGION_UNFORCE] = {REGION_OVERRIDE_FORCE_UP, "unforced"}, /* or down */
    [REGION_FREEZE] = {REGION_OVERRIDE_NONE, "automation switched off"},
    [REGION_THAW] = {REGION_OVERRIDE_NONE, "automation switched on"},
};

static const char *order_text(const struct region_request *request, char out[REGION_REASON_MAX])
{
    char despite[REGION_RULES_TEXT_MAX + 16];
    snprintf(out, REGION_REASON_MAX, "%s%s by %s", orders[request->kind].text,
             despite_text(request->despite, despite), request->by);
    return out;
}

static bool heeds_s1(const struct region_request *request)
{
    return (request->despite & REGION_RULE_S1) == 0;
}

/* The region would stop taking flights, and too few would be left. */
static bool would_leave_too_few(const struct region_rules *rules, const struct region_state *state,
                                const struct region_record *record, bool active_then)
{
    return region_is_active(record) && !active_then && region_is_last_active(rules, state);
}

static enum region_answer decide_override(const struct region_rules *rules,
                                          struct region_state *state, uint64_t now_ms,
                                          const struct region_request *request)
{
    struct region_record *record = &state->regions[request->region];
    bool active_then = request->kind == REGION_FORCE_UP;
    char text[REGION_REASON_MAX];
    if (heeds_s1(request) && would_leave_too_few(rules, state, record, active_then))
        return REGION_REFUSED_S1;
    record->override = orders[request->kind].override;
    record->expires_ms = request->ttl_ms == 0 ? 0 : now_ms + request->ttl_ms;
    return commit_region(rules, state, request, order_text(request, text));
}

/* A region that was out for an operator comes back slowly; what automation has found stands. */
static void lift_override(struct region_record *record, uint64_t now_ms)
{
    bool was_out = record->override != REGION_OVERRIDE_FORCE_UP;
    record->override = REGION_OVERRIDE_NONE;
    record->expires_ms = 0;
    if (was_out && (record->automatic == REGION_UP || record->automatic == REGION_DEGRADED))
        begin_ramp(record, now_ms);
}

static enum region_answer decide_lift(const struct region_rules *rules, struct region_state *state,
                                      uint64_t now_ms, const struct region_request *request,
                                      const char *text)
{
    struct region_record *record = &state->regions[request->region];
    if (heeds_s1(request) &&
        would_leave_too_few(rules, state, record, record->automatic != REGION_DOWN))
        return REGION_REFUSED_S1;
    lift_override(record, now_ms);
    return commit_region(rules, state, request, text);
}

static enum region_answer decide_undo(const struct region_rules *rules, struct region_state *state,
                                      uint64_t now_ms, const struct region_request *request)
{
    enum region_override override = state->regions[request->region].override;
    bool drained = override == REGION_OVERRIDE_DRAIN;
    char text[REGION_REASON_MAX];
    if (override == REGION_OVERRIDE_NONE || drained != (request->kind == REGION_UNDRAIN))
        return REGION_NO_OVERRIDE;
    return decide_lift(rules, state, now_ms, request, order_text(request, text));
}

static enum region_answer decide_expire(const struct region_rules *rules,
                                        struct region_state *state, uint64_t now_ms,
                                        const struct region_request *request)
{
    const struct region_record *record = &state->regions[request->region];
    if (record->override == REGION_OVERRIDE_NONE || record->expires_ms == 0 ||
        now_ms < record->expires_ms)
        return REGION_NO_OVERRIDE;
    return decide_lift(rules, state, now_ms, request, "the override expired");
}

static enum region_answer decide_freeze(const struct region_rules *rules,
                                        struct region_state *state, uint64_t now_ms,
                                        const struct region_request *request)
{
    char text[REGION_REASON_MAX];
    state->stopped = 1;
    state->stopped_until_ms = request->ttl_ms == 0 ? 0 : now_ms + request->ttl_ms;
    return commit(rules, state, request, order_text(request, text), REGION_DONE);
}

static enum region_answer decide_thaw(const struct region_rules *rules, struct region_state *state,
                                      uint64_t now_ms, const struct region_request *request)
{
    char text[REGION_REASON_MAX];
    if (!region_is_stopped(state, now_ms) && now_ms >= state->frozen_until_ms)
        return REGION_NO_OVERRIDE;
    state->stopped = 0;
    state->stopped_until_ms = 0;
    state->frozen_until_ms = 0;
    state->frozen_times = 0;
    return commit(rules, state, request, order_text(request, text), REGION_DONE);
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
        if (!region_vote_counts(rules, vote))
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
        if (!region_vote_counts(rules, vote))
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
    uint32_t quorum = region_quorum_needed(rules, 0) < rules->roster
                          ? region_quorum_needed(rules, 0)
                          : rules->roster;
    if (!is_older(rules, state, votes))
        return REGION_STALE;
    if (!holds_newest(rules, votes, request->content) ||
        region_quorum_fresh(rules, votes, false) < quorum)
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

bool region_request_is_of_region(enum region_request_kind kind)
{
    return kind != REGION_INIT && kind != REGION_REASSERT && kind != REGION_FREEZE &&
           kind != REGION_THAW;
}

const char *region_request_name(enum region_request_kind kind)
{
    static const char *const names[REGION_REQUESTS] = {
        [REGION_FORCE_UP] = "force_up", [REGION_FORCE_DOWN] = "force_down",
        [REGION_UNFORCE] = "unforce",   [REGION_APPROVE] = "approve",
        [REGION_FREEZE] = "freeze",     [REGION_THAW] = "thaw",
        [REGION_INIT] = "init",         [REGION_MOVE] = "move",
        [REGION_DRAIN] = "drain",       [REGION_UNDRAIN] = "undrain",
        [REGION_EXPIRE] = "expire",     [REGION_REASSERT] = "reassert",
        [REGION_PROPOSE] = "propose",   [REGION_REJECT] = "reject",
    };
    check(kind < REGION_REQUESTS);
    return names[kind];
}

static enum region_answer act(const struct region_rules *rules, struct region_state *state,
                              const struct region_votes *votes, uint64_t now_ms,
                              const struct region_request *request)
{
    switch (request->kind) {
    case REGION_INIT:
        return decide_init(rules, state, request);
    case REGION_MOVE:
        return decide_move(rules, state, votes, now_ms, request);
    case REGION_DRAIN:
    case REGION_FORCE_UP:
    case REGION_FORCE_DOWN:
        return decide_override(rules, state, now_ms, request);
    case REGION_UNDRAIN:
    case REGION_UNFORCE:
        return decide_undo(rules, state, now_ms, request);
    case REGION_FREEZE:
        return decide_freeze(rules, state, now_ms, request);
    case REGION_THAW:
        return decide_thaw(rules, state, now_ms, request);
    case REGION_APPROVE:
        return decide_approve(rules, state, votes, now_ms, request);
    case REGION_REJECT:
        return decide_reject(rules, state, now_ms, request);
    case REGION_PROPOSE:
        return decide_propose(rules, state, votes, now_ms, request);
    case REGION_EXPIRE:
        return decide_expire(rules, state, now_ms, request);
    case REGION_REASSERT:
        return decide_reassert(rules, state, votes, request);
    case REGION_REQUESTS:
        break;
    }
    return REGION_UNKNOWN;
}

/* Rule S4, unless the operator has named it. */
static void fit_admission(const struct region_rules *rules, struct region_state *state,
                          const struct region_votes *votes, const struct region_request *request,
                          bool took_out)
{
    if ((request->despite & REGION_RULE_S4) == 0)
        region_fit_admission(rules, state, votes, took_out);
    else if (took_out)
        state->admit = 0;
}

enum region_answer region_rules_decide(const struct region_rules *rules, struct region_state *state,
                                       const struct region_votes *votes, uint64_t now_ms,
                                       const struct region_request *request)
{
    bool compares = request->kind == REGION_MOVE || request->kind == REGION_EXPIRE ||
                    request->kind == REGION_PROPOSE;
    if (region_request_is_of_region(request->kind) && request->region >= state->count)
        return REGION_UNKNOWN;
    if (request->kind != REGION_REASSERT && is_older(rules, state, votes))
        return REGION_OLDER;
    if (compares &&
        (request->epoch != state->epoch || strcmp(request->change_id, state->change_id) != 0))
        return REGION_STALE;
    uint32_t active = region_active_count(state);
    enum region_answer answer = act(rules, state, votes, now_ms, request);
    if (answer == REGION_DONE && region_request_is_of_region(request->kind))
        fit_admission(rules, state, votes, request, region_active_count(state) < active);
    return answer;
}
