#include "tests/sim/nodes_law.h"

#include "control/region_text.h"
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/sim/nodes_review.h"
#include "tests/sim/nodes_shed.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PENALTY_ROUNDED 10 /* by whole numbers, all DOWNs together */

void nodes_law_begin(struct nodes_law *law, struct sim *sim, const struct nodes_truth *truth)
{
    *law = (struct nodes_law){.sim = sim, .truth = truth};
}

void nodes_law_end(struct nodes_law *law)
{
    free(law->pasts);
}

/* ---- what is remembered ---- */

static void add_field(void *context, const char *field, const char *value)
{
    uint64_t hash = 0xcbf29ce484222325u;
    if (strcmp(field, "incarnation") == 0)
        return; /* is the database's, and not the state's */
    for (const char *at = field; *at != '\0'; at++)
        hash = (hash ^ (uint8_t)*at) * 0x100000001b3u;
    for (const char *at = value; *at != '\0'; at++)
        hash = (hash ^ (uint8_t)*at) * 0x100000001b3u;
    *(uint64_t *)context += hash ^ hash >> 31; /* regions in any order */
}

static uint64_t content_of(const struct region_state *state)
{
    uint64_t content = 0;
    region_text_put(state, add_field, &content);
    return content;
}

static struct nodes_past *find_past(struct nodes_law *law, uint64_t epoch, const char *change_id)
{
    for (uint32_t i = law->count; i-- > 0;)
        if (law->pasts[i].epoch == epoch && strcmp(law->pasts[i].change_id, change_id) == 0)
            return &law->pasts[i];
    return NULL;
}

/* An empty database has no past. */
static struct nodes_past past_of(struct nodes_law *law, const struct region_state *state)
{
    struct nodes_past *found = find_past(law, state->epoch, state->change_id);
    if (state->epoch == 0)
        return (struct nodes_past){0};
    if (found == NULL)
        sim_fail(law->sim, "epoch %" PRIu64 " (%s) was never decided", state->epoch,
                 state->change_id);
    return *found;
}

static void remember(struct nodes_law *law, const struct nodes_past *past)
{
    if (law->count == law->room) {
        law->room = law->room == 0 ? 64 : 2 * law->room;
        law->pasts = realloc(law->pasts, law->room * sizeof(law->pasts[0]));
        check(law->pasts != NULL);
    }
    law->pasts[law->count++] = *past;
}

void nodes_law_is_known(struct nodes_law *law, uint32_t node, const struct region_state *state)
{
    if (state->epoch == 0)
        return;
    const struct nodes_past past = past_of(law, state);
    if (past.content != content_of(state))
        sim_fail(law->sim, "node n%u: two states at epoch %" PRIu64 " (%s)", node, state->epoch,
                 state->change_id);
}

/* ---- the text ---- */

bool nodes_law_is_active(const struct region_record *record)
{
    if (record->override == REGION_OVERRIDE_FORCE_UP)
        return true;
    return record->override == REGION_OVERRIDE_NONE && record->automatic != REGION_DOWN;
}

static uint32_t count_active(const struct region_state *state)
{
    uint32_t active = 0;
    for (uint32_t i = 0; i < state->count; i++)
        active += nodes_law_is_active(&state->regions[i]);
    return active;
}

/* The table of docs/failover.md, "State": what each move has to be asked for by. */
struct law_row {
    enum region_automatic from;
    enum region_automatic to;
    enum region_evidence evidence;
    size_t dwell; /* where its length stands in the configuration; AT_ONCE */
};

#define AT_ONCE    SIZE_MAX
#define FOR(field) offsetof(struct config_failover, field)

static const struct law_row law_rows[] = {
    {REGION_UP, REGION_DEGRADED, REGION_BELOW_DEGRADED, FOR(degraded_dwell_ns)},
    {REGION_UP, REGION_SUSPECT, REGION_BELOW_SUSPECT, AT_ONCE},
    {REGION_UP, REGION_SUSPECT, REGION_HARD_FAILURE, AT_ONCE},
    {REGION_DEGRADED, REGION_UP, REGION_AT_LEAST_UP, FOR(up_dwell_ns)},
    {REGION_DEGRADED, REGION_SUSPECT, REGION_BELOW_SUSPECT, AT_ONCE},
    {REGION_DEGRADED, REGION_SUSPECT, REGION_HARD_FAILURE, AT_ONCE},
    {REGION_SUSPECT, REGION_DOWN, REGION_BELOW_SUSPECT, FOR(down_dwell_ns)},
    {REGION_SUSPECT, REGION_DOWN, REGION_HARD_FAILURE, FOR(hard_failure_ns)},
    {REGION_SUSPECT, REGION_UP, REGION_AT_LEAST_CLEAR, FOR(suspect_clear_ns)},
    {REGION_SUSPECT, REGION_DEGRADED, REGION_AT_LEAST_CLEAR, FOR(suspect_clear_ns)},
    {REGION_DOWN, REGION_RECOVERING, REGION_AT_LEAST_RECOVER, FOR(recover_dwell_ns)},
    {REGION_RECOVERING, REGION_RECOVERING, REGION_AT_LEAST_KEEP, AT_ONCE},
    {REGION_RECOVERING, REGION_UP, REGION_AT_LEAST_KEEP, AT_ONCE},
    {REGION_RECOVERING, REGION_DOWN, REGION_BELOW_RECOVERING, FOR(down_dwell_ns)},
    {REGION_RECOVERING, REGION_DOWN, REGION_HARD_FAILURE, FOR(hard_failure_ns)},
    {REGION_RECOVERING, REGION_DOWN, REGION_WORSE, AT_ONCE},
    {REGION_RECOVERING, REGION_DOWN, REGION_SLOWER, AT_ONCE},
};

static uint64_t dwell_ms(const struct config_failover *failover, const struct law_row *row)
{
    uint64_t dwell_ns = 0;
    if (row->dwell != AT_ONCE)
        memcpy(&dwell_ns, (const char *)failover + row->dwell, sizeof(dwell_ns));
    return dwell_ns / CLOCK_MS;
}

int64_t nodes_law_asked_ms(const struct nodes_ballot *ballot, uint32_t region,
                           enum region_automatic from, enum region_automatic to)
{
    int64_t longest = -1;
    for (size_t r = 0; r < array_count(law_rows); r++) {
        const struct law_row *row = &law_rows[r];
        if (row->from != from || row->to != to)
            continue;
        int64_t asked = nodes_count_asked_ms(ballot, region, row->evidence,
                                             dwell_ms(&ballot->by->config->failover, row));
        longest = asked > longest ? asked : longest;
    }
    return longest;
}

/* S3: for how long a quorum has asked to take this active region out. */
static int64_t down_asked_ms(const struct nodes_ballot *ballot, const struct region_record *record,
                             uint32_t region)
{
    if (record->override != REGION_OVERRIDE_NONE || record->automatic == REGION_DOWN)
        return -1;
    enum region_automatic from =
        record->automatic == REGION_RECOVERING ? REGION_RECOVERING : REGION_SUSPECT;
    return nodes_law_asked_ms(ballot, region, from, REGION_DOWN);
}

static bool is_correlated(const struct nodes_ballot *ballot, const struct region_state *state,
                          uint32_t region)
{
    int64_t own = down_asked_ms(ballot, &state->regions[region], region);
    for (uint32_t i = 0; i < state->count; i++) {
        int64_t other = i == region ? -1 : down_asked_ms(ballot, &state->regions[i], i);
        uint64_t apart_ms = (uint64_t)llabs(own - other);
        if (own >= 0 && other >= 0 &&
            apart_ms * CLOCK_MS <= ballot->by->config->failover.correlated_ns)
            return true;
    }
    return false;
}

static bool is_more_than_half(const struct region_state *state)
{
    uint32_t down = 0;
    for (uint32_t i = 0; i < state->count; i++)
        down += state->regions[i].automatic == REGION_DOWN;
    return 2 * down > state->count;
}

bool nodes_law_is_correlated(const struct nodes_asker *by, const struct region_state *state,
                             const struct region_votes *votes, uint32_t region)
{
    static const struct nodes_vote same[NODES_MAX]; /* all of one configuration */
    const struct nodes_ballot ballot = {by, votes, same};
    return is_correlated(&ballot, state, region);
}

bool nodes_law_keeps(const struct nodes_asker *by, const struct region_state *state,
                     uint32_t region)
{
    struct region_state then = *state;
    then.regions[region].automatic = REGION_DOWN;
    return is_more_than_half(&then) ||
           count_active(&then) < by->config->failover.min_active_regions;
}

/* ---- judging ---- */

/* The numbers in names: r3, n5. */
static uint32_t number_of(const struct region_record *record)
{
    return (uint32_t)strtoul(record->name + 1, NULL, 10);
}

static uint32_t node_of(const struct region_vote *vote)
{
    return (uint32_t)strtoul(vote->node + 1, NULL, 10);
}

struct judging {
    struct nodes_law *law;
    const struct nodes_decision *decision;
    const struct config_failover *limits;
    struct nodes_ballot ballot;
    struct nodes_past past; /* of the state before; becomes that of the state after */
};

_Noreturn static void broken(const struct judging *judging, const char *rule)
{
    const struct nodes_decision *decision = judging->decision;
    const struct region_request *request = decision->request;
    sim_fail(judging->law->sim,
             "%s: request %d of node n%u for region %u (to %d) at epoch %" PRIu64 " was granted",
             rule, request->kind, decision->by.node, request->region, request->to,
             decision->before->epoch);
}

static void require(const struct judging *judging, bool holds, const char *rule)
{
    if (!holds)
        broken(judging, rule);
}

static void judge_text(const struct judging *judging, const char *wrong)
{
    if (wrong != NULL)
        broken(judging, wrong);
}

/* Votes are as young in truth as by the clock, unless that was set back since they came. */
static void judge_votes(const struct judging *judging)
{
    const struct nodes_server *server = judging->decision->server;
    const struct region_votes *votes = judging->decision->votes;
    uint64_t most_ns = judging->limits->vote_fresh_ns + 10 * CLOCK_MS; /* drift, whole ms */
    for (uint32_t i = 0; i < votes->count; i++) {
        uint64_t came_at_ns = server->votes[node_of(&votes->votes[i])].came_at_ns;
        require(judging,
                !nodes_vote_is_fresh(&judging->ballot, &votes->votes[i]) ||
                    judging->law->sim->now <= came_at_ns + most_ns ||
                    server->set_back_at_ns >= came_at_ns,
                "an old vote counts");
    }
}

static bool is_same_text(uint64_t epoch, const char *id, const struct region_state *state)
{
    return epoch == state->epoch && strcmp(id, state->change_id) == 0;
}

/* Epochs: one more than all that is known; an older store takes nothing but a reassertion. */
static void judge_epoch(const struct judging *judging)
{
    const struct nodes_decision *decision = judging->decision;
    uint64_t newest = decision->before->epoch;
    bool is_older = false;
    for (uint32_t i = 0; i < decision->votes->count; i++) {
        const struct region_vote *vote = &decision->votes->votes[i];
        if (!nodes_vote_is_fresh(&judging->ballot, vote))
            continue;
        newest = vote->epoch > newest ? vote->epoch : newest;
        is_older |= vote->epoch >= decision->before->epoch && vote->epoch != 0 &&
                    !is_same_text(vote->epoch, vote->change_id, decision->before);
    }
    require(judging, decision->after->epoch == newest + 1, "the epoch is not the next one");
    require(judging, !is_older || decision->request->kind == REGION_REASSERT,
            "a node has applied something newer");
    require(judging,
            find_past(judging->law, decision->after->epoch, decision->after->change_id) == NULL,
            "the change has the name of another");
}

/* Nothing but this region, and not its override. */
static void judge_reach(const struct judging *judging)
{
    const struct nodes_decision *decision = judging->decision;
    for (uint32_t i = 0; i < decision->before->count; i++) {
        const struct region_record *from = &decision->before->regions[i];
        const struct region_record *to = &decision->after->regions[i];
        bool asked = i == decision->request->region && decision->answer == REGION_DONE;
        require(judging, asked || memcmp(from, to, sizeof(*from)) == 0,
                "a region changed that nobody asked for");
        require(judging, from->override == to->override && from->expires_ms == to->expires_ms,
                "automation changed an override");
    }
}

/* Half of it goes in a half-life. The program's falls evenly in between: it is never less. */
static double penalty_now(const struct judging *judging, uint32_t number)
{
    const struct nodes_past *past = &judging->past;
    uint64_t now_ms = judging->decision->now_ms;
    uint64_t since_ms = past->down_at_ms[number];
    uint64_t elapsed_ms = now_ms > since_ms ? now_ms - since_ms : 0; /* a clock may be set back */
    double half_life_ms = (double)judging->limits->penalty_half_life_ns / (double)CLOCK_MS;
    return past->penalty[number] * exp2(-(double)elapsed_ms / half_life_ms);
}

/* Too many DOWNs keep a region out until most of its penalty has gone. */
static void judge_penalty(struct judging *judging, uint32_t number, enum region_automatic from,
                          enum region_automatic to)
{
    struct nodes_past *past = &judging->past;
    if (from == REGION_DOWN) {
        require(judging,
                !past->is_kept_out[number] ||
                    penalty_now(judging, number) < judging->limits->penalty_back + PENALTY_ROUNDED,
                "its penalty keeps it out");
        past->is_kept_out[number] = false;
    }
    if (to != REGION_DOWN)
        return;
    past->penalty[number] = penalty_now(judging, number) + judging->limits->penalty;
    past->is_kept_out[number] =
        past->penalty[number] > judging->limits->penalty_out + PENALTY_ROUNDED;
}

static void judge_hold_down(struct judging *judging, uint32_t number, enum region_automatic from,
                            enum region_automatic to)
{
    struct nodes_past *past = &judging->past;
    uint64_t now_ms = judging->decision->now_ms;
    uint64_t least_ms = judging->limits->hold_down_ns / CLOCK_MS;
    uint64_t most_ms = judging->limits->hold_down_max_ns / CLOCK_MS;
    if (from == REGION_DOWN)
        require(judging, now_ms >= past->down_at_ms[number] + past->hold_down_ms[number],
                "the hold-down is not over");
    if (to != REGION_DOWN)
        return;
    if (from == REGION_RECOVERING && past->hold_down_ms[number] != 0 &&
        now_ms < past->down_at_ms[number] + judging->limits->quiet_ns / CLOCK_MS)
        least_ms = 2 * past->hold_down_ms[number]; /* it had no quiet time */
    past->down_at_ms[number] = now_ms;
    past->hold_down_ms[number] = least_ms < most_ms ? least_ms : most_ms;
}

/* An approval that names a rule is not held by it. */
static bool is_named(const struct nodes_decision *decision, enum region_rule rule)
{
    return decision->request->kind == REGION_APPROVE && (decision->request->despite & rule) != 0;
}

static void judge_down(struct judging *judging, const struct region_record *from, uint32_t region)
{
    const struct nodes_decision *decision = judging->decision;
    struct nodes_past *past = &judging->past;
    if (from->override != REGION_OVERRIDE_NONE)
        return; /* loses nothing */
    require(judging,
            is_named(decision, REGION_RULE_S1) ||
                count_active(decision->after) >= judging->limits->min_active_regions,
            "rule S1");
    require(judging, is_named(decision, REGION_RULE_S2) || !is_more_than_half(decision->after),
            "rule S2, half of the regions");
    require(judging,
            decision->request->kind == REGION_APPROVE ||
                !is_correlated(&judging->ballot, decision->before, region),
            "rule S3");
    if (from->automatic == REGION_RECOVERING)
        return;
    require(judging,
            is_named(decision, REGION_RULE_S2) || past->last_down_ms == 0 ||
                decision->now_ms >=
                    past->last_down_ms + judging->limits->down_interval_ns / CLOCK_MS,
            "rule S2, the interval");
    past->last_down_ms = decision->now_ms;
}

/* No region that was well for everybody is taken out. */
static void judge_cause(const struct judging *judging, uint32_t number)
{
    const struct nodes_law *law = judging->law;
    const uint64_t memory_ns = 90 * CLOCK_S; /* probes, votes, dwells, a node that stood still */
    if (law->sim->now > law->truth->doubted_at_ns[number] + memory_ns)
        broken(judging, "the region was well for all nodes");
}

static void judge_step(const struct judging *judging, const struct region_record *from,
                       const struct region_record *to)
{
    const struct config_failover *limits = judging->limits;
    bool is_last = from->ramp_step + 1 >= limits->ramp_steps;
    if (from->automatic != REGION_RECOVERING || to->automatic == REGION_DOWN)
        return;
    require(judging,
            judging->decision->now_ms >= from->step_since_ms + limits->ramp_step_ns / CLOCK_MS,
            "the step was not held");
    require(judging, is_last == (to->automatic == REGION_UP), "a step was left out");
}

/* What an approval need not have: it is an operator's. */
static void judge_automation(const struct judging *judging)
{
    const struct nodes_decision *decision = judging->decision;
    const struct region_request *request = decision->request;
    const struct nodes_past *past = &judging->past;
    require(judging, is_same_text(request->epoch, request->change_id, decision->before),
            "it was found for another state");
    require(judging,
            !past->stopped ||
                (past->stopped_until_ms != 0 && decision->now_ms >= past->stopped_until_ms),
            "automation is switched off");
    require(judging, decision->now_ms >= judging->past.frozen_until_ms, "rule S3, frozen");
    require(judging,
            decision->answer != REGION_DONE ||
                decision->after->regions[request->region].automatic == request->to,
            "another move than was asked for");
}

static void judge_freezing(struct judging *judging)
{
    const struct nodes_decision *decision = judging->decision;
    uint64_t least_ms = decision->now_ms + judging->limits->freeze_ns / CLOCK_MS;
    require(judging, is_correlated(&judging->ballot, decision->before, decision->request->region),
            "frozen without a reason");
    require(judging, decision->after->frozen_until_ms >= least_ms, "frozen for too short");
    judging->past.frozen_until_ms = decision->after->frozen_until_ms;
}

static void judge_move(struct judging *judging)
{
    const struct nodes_decision *decision = judging->decision;
    uint32_t region = decision->request->region;
    const struct region_record *from = &decision->before->regions[region];
    const struct region_record *to = &decision->after->regions[region];
    judge_reach(judging);
    if (decision->request->kind == REGION_MOVE)
        judge_automation(judging);
    if (decision->answer == REGION_FROZE) {
        judge_freezing(judging);
        return;
    }
    require(judging,
            nodes_law_asked_ms(&judging->ballot, region, from->automatic, to->automatic) >= 0,
            "no quorum");
    if (decision->request->kind == REGION_APPROVE)
        judging->past.frozen_until_ms = 0; /* the operator believes the observers */
    judge_step(judging, from, to);
    judge_penalty(judging, number_of(from), from->automatic, to->automatic);
    judge_hold_down(judging, number_of(from), from->automatic, to->automatic);
    if (to->automatic != REGION_DOWN)
        return;
    judge_cause(judging, number_of(from));
    judge_down(judging, from, region);
}

/* What operators order; automation does not hide behind it. */
static void judge_order(struct judging *judging)
{
    static const enum region_override ordered[REGION_REQUESTS] = {
        [REGION_DRAIN] = REGION_OVERRIDE_DRAIN,
        [REGION_FORCE_UP] = REGION_OVERRIDE_FORCE_UP,
        [REGION_FORCE_DOWN] = REGION_OVERRIDE_FORCE_DOWN,
    };
    const struct nodes_decision *decision = judging->decision;
    const struct region_record *from = &decision->before->regions[decision->request->region];
    const struct region_record *to = &decision->after->regions[decision->request->region];
    uint32_t active = count_active(decision->after);
    require(judging,
            (decision->request->despite & REGION_RULE_S1) != 0 ||
                active >= judging->limits->min_active_regions ||
                active >= count_active(decision->before),
            "rule S1, by an order that does not name it");
    require(judging, to->override == ordered[decision->request->kind], "another override");
    require(judging,
            from->automatic == to->automatic ||
                (to->automatic == REGION_RECOVERING && to->ramp_step == 0 &&
                 (from->automatic == REGION_UP || from->automatic == REGION_DEGRADED)),
            "an order changed what was found");
    if (decision->request->kind == REGION_EXPIRE)
        require(judging, from->expires_ms != 0 && decision->now_ms >= from->expires_ms,
                "the override has not expired");
}

static void judge_reassert(struct judging *judging)
{
    const struct nodes_decision *decision = judging->decision;
    const struct region_state *content = decision->request->content;
    uint32_t roster = decision->by.config->failover.node_count;
    uint32_t fresh = nodes_count_fresh(&judging->ballot, false);
    require(judging, fresh >= 2 && 2 * fresh >= roster, "no quorum of votes");
    judging->past = past_of(judging->law, content);
    require(judging, judging->past.content == content_of(content), "another content");
    for (uint32_t i = 0; i < decision->votes->count; i++) {
        const struct region_vote *vote = &decision->votes->votes[i];
        require(judging,
                !nodes_vote_is_fresh(&judging->ballot, vote) || vote->epoch <= content->epoch,
                "a node holds something newer than what is reasserted");
    }
    for (uint32_t i = 0; i < content->count; i++)
        require(judging,
                memcmp(&content->regions[i], &decision->after->regions[i],
                       sizeof(content->regions[i])) == 0,
                "something else was written");
}

static void judge_init(struct judging *judging)
{
    require(judging, judging->decision->before->epoch == 0, "it was not empty");
}

/* Automation is switched, and nothing else is done. */
static void judge_switch(struct judging *judging)
{
    const struct nodes_decision *decision = judging->decision;
    const struct region_request *request = decision->request;
    const struct region_state *after = decision->after;
    struct nodes_past *past = &judging->past;
    bool off = request->kind == REGION_FREEZE;
    past->stopped = off;
    past->stopped_until_ms = off && request->ttl_ms != 0 ? decision->now_ms + request->ttl_ms : 0;
    past->frozen_until_ms = off ? past->frozen_until_ms : 0;
    require(judging, after->stopped_until_ms == past->stopped_until_ms,
            "automation is switched for another time");
    require(judging, off || after->frozen_until_ms == 0, "still frozen, by rule S3");
    require(judging, memcmp(decision->before->regions, after->regions, sizeof(after->regions)) == 0,
            "a switch of automation changed a region");
}

/* Nobody but an operator switches automation off, or on. */
static void judge_stopped(struct judging *judging)
{
    require(judging, (judging->decision->after->stopped != 0) == judging->past.stopped,
            "automation was switched, and by no order");
}

/* Requests without a judge have nothing but an epoch to keep. */
static void (*const judges[REGION_REQUESTS])(struct judging *judging) = {
    [REGION_INIT] = judge_init,         [REGION_MOVE] = judge_move,
    [REGION_APPROVE] = judge_move,      [REGION_THAW] = judge_switch,
    [REGION_DRAIN] = judge_order,       [REGION_UNDRAIN] = judge_order,
    [REGION_FORCE_UP] = judge_order,    [REGION_FORCE_DOWN] = judge_order,
    [REGION_UNFORCE] = judge_order,     [REGION_EXPIRE] = judge_order,
    [REGION_REASSERT] = judge_reassert, [REGION_FREEZE] = judge_switch,
};

void nodes_law_judge(struct nodes_law *law, const struct nodes_decision *decision)
{
    struct judging judging = {
        .law = law,
        .decision = decision,
        .limits = &decision->by.config->failover,
        .ballot = {&decision->by, decision->votes, decision->server->votes},
        .past = past_of(law, decision->before),
    };
    law->answers[decision->answer]++;
    if (decision->answer != REGION_DONE && decision->answer != REGION_FROZE) {
        require(&judging, memcmp(decision->before, decision->after, sizeof(*decision->after)) == 0,
                "refused, and changed");
        return;
    }
    law->changes++;
    law->granted[decision->request->kind]++;
    law->limits += decision->after->admit != 0 && decision->before->admit == 0;
    judge_votes(&judging);
    judge_epoch(&judging);
    if (judges[decision->request->kind] != NULL)
        judges[decision->request->kind](&judging);
    judge_stopped(&judging);
    judge_text(&judging, nodes_review_wrong(&judging.ballot, decision));
    if (decision->answer == REGION_DONE && region_request_is_of_region(decision->request->kind))
        judge_text(&judging, nodes_shed_wrong(&judging.ballot, decision));
    judging.past.epoch = decision->after->epoch;
    strcpy(judging.past.change_id, decision->after->change_id);
    judging.past.content = content_of(decision->after);
    remember(law, &judging.past);
}
