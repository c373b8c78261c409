#include "tests/support/region_random.h"

#include "dataplane/base/check.h"

#include <stdio.h>
#include <string.h>

static uint32_t below(struct region_random *from, uint32_t bound)
{
    return random_below(&from->random, bound);
}

static bool one_in(struct region_random *from, uint32_t count)
{
    return below(from, count) == 0;
}

static uint64_t some_time(struct region_random *from, uint64_t now_ms)
{
    static const int64_t distances[] = {0,      1000,   10000,   59000,   60000,   61000,
                                        600000, 900000, 1799000, 1801000, 3600000, 7200000};
    if (one_in(from, 4))
        return 0;
    int64_t distance = distances[below(from, array_count(distances))];
    return one_in(from, 3) ? now_ms + (uint64_t)distance : now_ms - (uint64_t)distance;
}

static int32_t some_held(struct region_random *from)
{
    static const int32_t dwells[] = {0, 3000, 5000, 6000, 10000, 12000, 30000, 60000, 120000};
    static const int32_t more[] = {-1, 0, 1, 9999, 10000, 10001, 500000};
    if (one_in(from, 3))
        return REGION_NOT_HELD;
    int32_t held_ms =
        dwells[below(from, array_count(dwells))] + more[below(from, array_count(more))];
    return held_ms < 0 ? 0 : held_ms;
}

static void some_id(struct region_random *from, char out[REGION_ID_MAX])
{
    static const char *const ids[] = {"", "aaaaaaaaaaaaaaaa", "cccccccccccccccc"};
    strcpy(out, ids[below(from, array_count(ids))]);
}

static void some_state(struct region_random *from, struct region_state *state, uint64_t now_ms)
{
    region_state_init(state, from->config);
    if (one_in(from, 10))
        return; /* an empty database */
    state->epoch = 1 + below(from, 3);
    strcpy(state->change_id, "aaaaaaaaaaaaaaaa");
    if (!one_in(from, 5))
        strcpy(state->incarnation, "iiiiiiiiiiiiiiii");
    strcpy(state->decided_by, "n9");
    strcpy(state->reason, "before");
    state->stopped = one_in(from, 6);
    state->stopped_until_ms = one_in(from, 2) ? some_time(from, now_ms) : 0;
    state->admit = one_in(from, 3) ? below(from, 1000) : 0;
    state->last_down_ms = one_in(from, 2) ? 0 : some_time(from, now_ms);
    state->frozen_until_ms = one_in(from, 4) ? some_time(from, now_ms) : 0;
    state->frozen_times = below(from, 7);
    for (uint32_t i = 0; i < state->count; i++) {
        struct region_record *record = &state->regions[i];
        record->automatic = (enum region_automatic)below(from, REGION_AUTOMATICS);
        record->before = (enum region_automatic)below(from, REGION_AUTOMATICS);
        record->override = one_in(from, 3) ? (enum region_override)below(from, REGION_OVERRIDES)
                                           : REGION_OVERRIDE_NONE;
        record->expires_ms = some_time(from, now_ms);
        record->since_ms = some_time(from, now_ms);
        record->downs = below(from, 8);
        record->hold_down_until_ms = some_time(from, now_ms);
        record->ramp_step = below(from, 6);
        record->step_since_ms = some_time(from, now_ms);
        record->penalty = below(from, 6000);
        record->penalty_at_ms = some_time(from, now_ms) + below(from, 1000);
        record->kept_out = one_in(from, 2);
        record->proposed = (enum region_automatic)below(from, REGION_AUTOMATICS);
        record->proposed_until_ms = some_time(from, now_ms);
        record->rejected_until_ms = one_in(from, 2) ? some_time(from, now_ms) : 0;
        strcpy(record->evidence, "evidence of before");
        strcpy(record->reason, "before");
    }
}

static int64_t some_capacity(struct region_random *from)
{
    static const int64_t capacities[] = {0, 1, 99, 100, 500, 501, 1000000000};
    if (one_in(from, 8))
        return REGION_CAPACITY_UNKNOWN;
    return one_in(from, 2) ? capacities[below(from, array_count(capacities))] : below(from, 1000);
}

static void some_opinions(struct region_random *from, struct region_vote *vote, uint32_t regions)
{
    for (uint32_t r = 0; r < regions; r++) {
        vote->regions[r].in_flight = one_in(from, 50) ? 2000000000 : below(from, 600);
        vote->regions[r].capacity = some_capacity(from);
        for (int e = 0; e < REGION_EVIDENCES; e++)
            vote->regions[r].held_ms[e] = some_held(from);
    }
}

/* Two opinions that most share make more quorums, and half quorums, than pure chance. */
static void some_votes(struct region_random *from, struct region_votes *votes,
                       const struct region_state *state)
{
    struct region_vote common[2] = {{.agreement = from->rules->agreement},
                                    {.agreement = from->rules->agreement}};
    bool one_opinion = one_in(from, 2);
    some_opinions(from, &common[0], state->count);
    some_opinions(from, &common[1], state->count);
    votes->count = 0;
    for (uint32_t n = 0; n < from->config->failover.node_count; n++) {
        if (one_in(from, 10))
            continue;
        struct region_vote *vote = &votes->votes[votes->count++];
        *vote = common[one_opinion ? 0 : below(from, 2)];
        snprintf(vote->node, sizeof(vote->node), "n%u", n);
        vote->age_ms = one_in(from, 5) ? 3500 + below(from, 1500) : below(from, 2000);
        vote->epoch = state->epoch;
        strcpy(vote->change_id, state->change_id);
        if (one_in(from, 10))
            vote->epoch = below(from, 5);
        if (one_in(from, 12))
            some_id(from, vote->change_id);
        vote->blind = one_in(from, 8);
        vote->agreement += one_in(from, 10);
        for (uint32_t r = 0; r < state->count && one_in(from, 2); r++)
            vote->regions[r].held_ms[below(from, REGION_EVIDENCES)] = some_held(from);
        vote->regions[0].capacity = some_capacity(from);
        vote->regions[0].in_flight = below(from, 1000);
    }
}

static void some_request(struct region_random *from, struct region_request *request,
                         const struct region_state *state, const struct region_votes *votes,
                         struct region_state *content, uint64_t now_ms)
{
    *request = (struct region_request){
        .kind =
            one_in(from, 2) ? REGION_MOVE : (enum region_request_kind)below(from, REGION_REQUESTS),
        .region = below(from, state->count),
        .to = (enum region_automatic)below(from, REGION_AUTOMATICS),
        .ttl_ms = one_in(from, 2) ? 0 : below(from, 100000),
        .despite = one_in(from, 2) ? 0 : below(from, 32),
        .by = "uid=0 = someone",
        .epoch = state->epoch + one_in(from, 20),
        .content = content,
    };
    strcpy(request->change_id, state->change_id);
    if (one_in(from, 20))
        some_id(from, request->change_id);
    strcpy(request->new_change_id, "bbbbbbbbbbbbbbbb");
    strcpy(request->new_incarnation, "jjjjjjjjjjjjjjjj");
    struct region_proposal proposal =
        region_rules_propose(from->rules, state, votes, now_ms, request->region);
    if (proposal.due && !one_in(from, 20))
        request->to = proposal.to;
    some_state(from, content, now_ms);
    if (votes->count > 0 && !one_in(from, 4)) {
        const struct region_vote *vote = &votes->votes[below(from, votes->count)];
        content->epoch = vote->epoch;
        strcpy(content->change_id, vote->change_id);
    }
    if (request->kind == REGION_INIT)
        content->epoch = 0; /* as the one caller does */
}

void region_random_case(struct region_random *from, uint64_t now_ms, struct region_case *out)
{
    out->now_ms = now_ms;
    some_state(from, &out->state, now_ms);
    some_votes(from, &out->votes, &out->state);
    some_request(from, &out->request, &out->state, &out->votes, &out->content, now_ms);
}
