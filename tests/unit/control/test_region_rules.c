/* region_rules: every state with every event, dwells, quorum, safety rules, operators, fencing. */
#include "control/region_quorum.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"
#include "tests/support/region_world.h"

#include <stdio.h>
#include <string.h>

#define NO_CHANGE     REGION_AUTOMATICS
#define EVIDENCE_NONE REGION_EVIDENCES

/* All that states do with evidence that has held for ever; with any other they do nothing. */
static const struct {
    enum region_automatic from;
    enum region_evidence evidence;
    enum region_automatic to;
} moves[] = {
    {REGION_UP, REGION_HARD_FAILURE, REGION_SUSPECT},
    {REGION_UP, REGION_BELOW_SUSPECT, REGION_SUSPECT},
    {REGION_UP, REGION_BELOW_DEGRADED, REGION_DEGRADED},
    {REGION_DEGRADED, REGION_HARD_FAILURE, REGION_SUSPECT},
    {REGION_DEGRADED, REGION_BELOW_SUSPECT, REGION_SUSPECT},
    {REGION_DEGRADED, REGION_AT_LEAST_UP, REGION_UP},
    {REGION_SUSPECT, REGION_HARD_FAILURE, REGION_DOWN},
    {REGION_SUSPECT, REGION_BELOW_SUSPECT, REGION_DOWN},
    {REGION_SUSPECT, REGION_AT_LEAST_CLEAR, REGION_DEGRADED},
    {REGION_SUSPECT, REGION_AT_LEAST_UP, REGION_UP},
    {REGION_DOWN, REGION_AT_LEAST_RECOVER, REGION_RECOVERING},
    {REGION_RECOVERING, REGION_HARD_FAILURE, REGION_DOWN},
    {REGION_RECOVERING, REGION_BELOW_RECOVERING, REGION_DOWN},
    {REGION_RECOVERING, REGION_AT_LEAST_KEEP, REGION_RECOVERING},
    {REGION_RECOVERING, REGION_WORSE, REGION_DOWN},
    {REGION_RECOVERING, REGION_SLOWER, REGION_DOWN},
};

/* NO_CHANGE: it stays what it is. */
static enum region_automatic moves_to(enum region_automatic from, unsigned evidence)
{
    for (size_t i = 0; i < array_count(moves); i++)
        if (moves[i].from == from && (unsigned)moves[i].evidence == evidence)
            return moves[i].to;
    return NO_CHANGE;
}

static void expect_move(enum region_automatic from, unsigned evidence, enum region_automatic to)
{
    struct world *world = world_make();
    world->state.regions[1].automatic = from;
    if (evidence != EVIDENCE_NONE)
        all_hold(world, 1, (enum region_evidence)evidence, LONG_MS);
    struct region_proposal proposal = propose(world, 1);
    assert_int_equal(proposal.due, to != NO_CHANGE);
    if (proposal.due)
        assert_int_equal(proposal.to, to);
    assert_false(propose(world, 0).due);
    struct region_state before = world->state;
    enum region_answer answer = decide(world, REGION_MOVE, 1, to);
    assert_int_equal(answer, proposal.due ? REGION_DONE : REGION_NO_QUORUM);
    if (answer != REGION_DONE)
        assert_memory_equal(&before, &world->state, sizeof(before));
    else
        assert_int_equal(world->state.regions[1].automatic, to);
}

static void every_state_with_every_evidence(void **state)
{
    for (unsigned f = 0; f < REGION_AUTOMATICS; f++) {
        enum region_automatic from = (enum region_automatic)f;
        for (unsigned evidence = 0; evidence <= REGION_EVIDENCES; evidence++)
            expect_move(from, evidence, moves_to(from, evidence));
    }
}

static void evidence_has_to_hold_for_its_dwell_and_not_a_millisecond_less(void **state)
{
    static const struct {
        enum region_automatic from;
        enum region_automatic to;
        enum region_evidence evidence;
        int32_t dwell_ms;
    } cases[] = {
        {REGION_UP, REGION_SUSPECT, REGION_BELOW_SUSPECT, 0},
        {REGION_UP, REGION_SUSPECT, REGION_HARD_FAILURE, 0},
        {REGION_UP, REGION_DEGRADED, REGION_BELOW_DEGRADED, 6000},
        {REGION_DEGRADED, REGION_UP, REGION_AT_LEAST_UP, 30000},
        {REGION_SUSPECT, REGION_DOWN, REGION_BELOW_SUSPECT, 6000},
        {REGION_SUSPECT, REGION_DOWN, REGION_HARD_FAILURE, 3000},
        {REGION_SUSPECT, REGION_UP, REGION_AT_LEAST_UP, 5000},
        {REGION_SUSPECT, REGION_DEGRADED, REGION_AT_LEAST_CLEAR, 5000},
        {REGION_DOWN, REGION_RECOVERING, REGION_AT_LEAST_RECOVER, 60000},
        {REGION_RECOVERING, REGION_DOWN, REGION_BELOW_RECOVERING, 6000},
        {REGION_RECOVERING, REGION_DOWN, REGION_HARD_FAILURE, 3000},
        {REGION_RECOVERING, REGION_DOWN, REGION_WORSE, 0},
    };
    for (int alone = 0; alone < 2; alone++) {
        for (size_t i = 0; i < array_count(cases); i++) {
            struct world *world = world_make();
            int32_t dwell_ms = cases[i].dwell_ms * (alone ? 2 : 1);
            world->lab.config.failover.single_node = alone;
            region_rules_init(&world->rules, &world->lab.config);
            for (uint32_t n = 0; n < NODES; n++)
                world->votes.votes[n].agreement = world->rules.agreement;
            world->state.regions[2].automatic = cases[i].from;
            all_hold(world, 2, cases[i].evidence, dwell_ms);
            assert_true(propose(world, 2).due);
            assert_int_equal(propose(world, 2).to, cases[i].to);
            if (dwell_ms == 0)
                continue;
            all_hold(world, 2, cases[i].evidence, dwell_ms - 1);
            assert_false(propose(world, 2).due);
        }
    }
}

static void a_change_needs_a_quorum(void **state)
{
    static const struct {
        uint32_t roster;
        uint32_t agreeing;
        uint32_t against;
        uint32_t blind;
        uint32_t stale;
        bool due;
    } cases[] = {
        {3, 2, 0, 0, 0, true},  {3, 2, 1, 0, 0, true},  {3, 1, 0, 0, 0, false},
        {3, 1, 2, 0, 0, false}, {2, 2, 0, 0, 0, true},  {2, 1, 0, 0, 0, false},
        {4, 2, 0, 0, 0, true},  {4, 2, 1, 0, 0, true},  {4, 2, 2, 0, 0, false},
        {5, 2, 0, 0, 0, false}, {5, 3, 0, 0, 0, true},  {5, 3, 2, 0, 0, true},
        {5, 2, 0, 3, 0, false}, {5, 3, 0, 2, 0, true},  {5, 2, 0, 0, 3, false},
        {5, 3, 0, 0, 2, true},  {6, 3, 0, 0, 0, true},  {6, 3, 3, 0, 0, false},
        {6, 4, 2, 0, 0, true},  {1, 1, 0, 0, 0, false}, {3, 0, 0, 3, 0, false},
        {8, 4, 3, 1, 0, true},  {8, 4, 3, 0, 1, true},  {8, 4, 4, 0, 0, false},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct world *world = world_make();
        world->rules.roster = cases[i].roster;
        struct region_vote empty = world->votes.votes[0];
        world->votes.count = 0;
        uint32_t total = cases[i].agreeing + cases[i].against + cases[i].blind + cases[i].stale;
        for (uint32_t n = 0; n < total; n++) {
            struct region_vote *vote = &world->votes.votes[world->votes.count++];
            bool against = n >= cases[i].agreeing && n < cases[i].agreeing + cases[i].against;
            *vote = empty;
            snprintf(vote->node, sizeof(vote->node), "n%u", n);
            vote->regions[0].held_ms[REGION_BELOW_SUSPECT] = against ? REGION_NOT_HELD : LONG_MS;
            uint32_t rest = cases[i].agreeing + cases[i].against;
            vote->blind = n >= rest && n < rest + cases[i].blind;
            vote->age_ms = n >= rest + cases[i].blind ? 3001 : 3000;
        }
        assert_int_equal(propose(world, 0).due, cases[i].due);
    }
}

static void voters_with_other_thresholds_do_not_agree_but_count_against(void **state)
{
    struct world *world = world_make();
    all_hold(world, 0, REGION_BELOW_SUSPECT, LONG_MS);
    world->votes.votes[2].agreement++;
    assert_true(propose(world, 0).due); /* 2 of 3 */
    world->votes.votes[1].agreement++;
    assert_false(propose(world, 0).due);
}

static void send_down(struct world *world, uint64_t now_ms)
{
    world->state.regions[1].automatic = REGION_SUSPECT;
    world->state.last_down_ms = 0;
    all_hold(world, 1, REGION_HARD_FAILURE, LONG_MS);
    world->request.region = 1;
    world->request.to = REGION_DOWN;
    assert_int_equal(
        region_rules_decide(&world->rules, &world->state, &world->votes, now_ms, &world->request),
        REGION_DONE);
    world->state.epoch = 10; /* the votes are of this one */
    strcpy(world->state.change_id, "aaaaaaaaaaaaaaaa");
}

static bool may_recover(struct world *world, uint64_t now_ms)
{
    all_hold(world, 1, REGION_HARD_FAILURE, REGION_NOT_HELD);
    all_hold(world, 1, REGION_AT_LEAST_RECOVER, LONG_MS);
    return region_rules_propose(&world->rules, &world->state, &world->votes, now_ms, 1).due;
}

static void a_penalty_halves_with_every_half_life(void **state)
{
    static const struct {
        uint64_t after_ms;
        uint32_t left;
    } cases[] = {{0, 1000},      {300000, 750}, {600000, 500}, {900000, 375},       {1200000, 250},
                 {1800000, 125}, {6000000, 0},  {1, 1000},     {100 * 600000ull, 0}};
    struct world *world = world_make();
    struct region_record *record = &world->state.regions[0];
    record->penalty = 1000;
    record->penalty_at_ms = NOW_MS;
    for (size_t i = 0; i < array_count(cases); i++)
        assert_int_equal(region_penalty(&world->rules, record, NOW_MS + cases[i].after_ms),
                         cases[i].left);
    assert_int_equal(region_penalty(&world->rules, record, NOW_MS - 5), 1000);
}

/* 1000 a time at once: the third makes 3000, above 2500. 750 is two half-lives away. */
static void a_region_that_flaps_stays_out_until_its_penalty_is_small(void **state)
{
    struct world *world = world_make();
    send_down(world, NOW_MS);
    send_down(world, NOW_MS);
    assert_int_equal(world->state.regions[1].penalty, 2000);
    assert_true(may_recover(world, NOW_MS + 900 * 1000));
    send_down(world, NOW_MS);
    assert_int_equal(world->state.regions[1].penalty, 3000);
    assert_false(may_recover(world, NOW_MS + 1200 * 1000)); /* 750 */
    assert_true(may_recover(world, NOW_MS + 1210 * 1000));
}

static void a_region_that_came_back_starts_without_the_mark(void **state)
{
    struct world *world = world_make();
    for (int i = 0; i < 3; i++)
        send_down(world, NOW_MS);
    assert_int_equal(world->state.regions[1].kept_out, 1);
    assert_true(may_recover(world, NOW_MS + 1210 * 1000));
    world->request.to = REGION_RECOVERING;
    assert_int_equal(region_rules_decide(&world->rules, &world->state, &world->votes,
                                         NOW_MS + 1210 * 1000, &world->request),
                     REGION_DONE);
    assert_int_equal(world->state.regions[1].kept_out, 0);
}

static void alone_only_the_own_vote_counts(void **state)
{
    struct world *world = world_make();
    world->rules.alone = true;
    hold(world, 1, 0, REGION_BELOW_SUSPECT, LONG_MS);
    hold(world, 2, 0, REGION_BELOW_SUSPECT, LONG_MS);
    assert_false(propose(world, 0).due);
    hold(world, 0, 0, REGION_BELOW_SUSPECT, LONG_MS);
    assert_true(propose(world, 0).due);
    world->votes.votes[0].blind = true;
    assert_false(propose(world, 0).due);
}

static void s1_the_last_active_regions_stay(void **state)
{
    struct world *world = world_make();
    for (uint32_t r = 1; r < REGIONS; r++)
        world->state.regions[r].override = REGION_OVERRIDE_DRAIN;
    world->state.regions[0].automatic = REGION_SUSPECT;
    all_hold(world, 0, REGION_BELOW_SUSPECT, LONG_MS);
    assert_true(propose(world, 0).due);
    assert_int_equal(propose(world, 0).answer, REGION_REFUSED_S1);
    assert_int_equal(decide(world, REGION_MOVE, 0, REGION_DOWN), REGION_REFUSED_S1);
    assert_int_equal(decide(world, REGION_DRAIN, 0, REGION_UP), REGION_REFUSED_S1);
    world->state.regions[1].override = REGION_OVERRIDE_FORCE_UP; /* active whatever is found */
    assert_int_equal(decide(world, REGION_MOVE, 0, REGION_DOWN), REGION_DONE);
}

static void s1_holds_for_the_configured_number(void **state)
{
    for (uint32_t min = 1; min <= REGIONS; min++) {
        struct world *world = world_make();
        world->rules.min_active = min;
        for (uint32_t r = 0; r < REGIONS; r++) {
            enum region_answer answer = decide(world, REGION_DRAIN, r, REGION_UP);
            assert_int_equal(answer, r < REGIONS - min ? REGION_DONE : REGION_REFUSED_S1);
            for (uint32_t n = 0; n < NODES; n++) { /* applied everywhere */
                world->votes.votes[n].epoch = world->state.epoch;
                strcpy(world->votes.votes[n].change_id, world->state.change_id);
            }
        }
    }
}

static void s2_one_down_a_minute_and_never_more_than_half(void **state)
{
    struct world *world = world_make();
    world->state.regions[0].automatic = REGION_SUSPECT;
    all_hold(world, 0, REGION_BELOW_SUSPECT, LONG_MS);
    world->state.last_down_ms = NOW_MS - MINUTE_MS + 1;
    assert_int_equal(propose(world, 0).answer, REGION_REFUSED_S2);
    world->state.last_down_ms = NOW_MS - MINUTE_MS;
    assert_int_equal(propose(world, 0).answer, REGION_DONE);
    world->state.regions[1].automatic = REGION_DOWN;
    assert_int_equal(propose(world, 0).answer, REGION_DONE); /* 2 of 4 */
    world->state.regions[2].automatic = REGION_DOWN;
    assert_int_equal(propose(world, 0).answer, REGION_REFUSED_S2);
}

static void s2_has_no_interval_for_a_region_that_was_recovering(void **state)
{
    struct world *world = world_make();
    world->state.regions[0].automatic = REGION_RECOVERING;
    all_hold(world, 0, REGION_BELOW_RECOVERING, LONG_MS);
    world->state.last_down_ms = NOW_MS - 1;
    assert_int_equal(decide(world, REGION_MOVE, 0, REGION_DOWN), REGION_DONE);
    assert_int_equal(world->state.last_down_ms, NOW_MS - 1);
}

static void s3_two_regions_at_once_freeze_both(void **state)
{
    static const struct {
        int32_t apart_ms;
        enum region_answer answer;
    } cases[] = {{0, REGION_FROZE}, {10000, REGION_FROZE}, {10001, REGION_DONE}};
    for (size_t i = 0; i < array_count(cases); i++) {
        struct world *world = world_make();
        world->state.regions[0].automatic = REGION_SUSPECT;
        all_hold(world, 0, REGION_BELOW_SUSPECT, 6000 + cases[i].apart_ms);
        all_hold(world, 1, REGION_HARD_FAILURE, 3000); /* still UP, and would be SUSPECT next */
        assert_int_equal(propose(world, 0).answer, cases[i].answer);
        assert_int_equal(decide(world, REGION_MOVE, 0, REGION_DOWN), cases[i].answer);
        if (cases[i].answer != REGION_FROZE)
            continue;
        assert_int_equal(world->state.regions[0].automatic, REGION_SUSPECT);
        assert_int_equal(world->state.frozen_until_ms, NOW_MS + MINUTE_MS);
        assert_int_equal(world->state.epoch, 11);
        assert_int_equal(propose(world, 0).answer, REGION_FROZEN);
        assert_int_equal(propose(world, 1).answer, REGION_FROZEN);
    }
}

/* When the quorum was reached counts, not when the first node said so. */
static void s3_measures_from_the_vote_that_made_the_quorum(void **state)
{
    struct world *world = world_make();
    world->state.regions[0].automatic = REGION_SUSPECT;
    hold(world, 0, 0, REGION_BELOW_SUSPECT, 6000 + 60000);
    hold(world, 1, 0, REGION_BELOW_SUSPECT, 6000 + 5000);
    hold(world, 0, 1, REGION_BELOW_SUSPECT, 6000 + 40000);
    hold(world, 1, 1, REGION_BELOW_SUSPECT, 6000);
    assert_int_equal(propose(world, 0).answer, REGION_FROZE);
    hold(world, 1, 0, REGION_BELOW_SUSPECT, 6000 + 20000);
    assert_int_equal(propose(world, 0).answer, REGION_DONE);
}

static void s3_does_not_see_drained_and_down_regions(void **state)
{
    struct world *world = world_make();
    world->state.regions[0].automatic = REGION_SUSPECT;
    all_hold(world, 0, REGION_BELOW_SUSPECT, 6000);
    all_hold(world, 1, REGION_BELOW_SUSPECT, 6000);
    all_hold(world, 2, REGION_BELOW_SUSPECT, 6000);
    world->state.regions[1].override = REGION_OVERRIDE_DRAIN;
    world->state.regions[2].automatic = REGION_DOWN;
    assert_int_equal(propose(world, 0).answer, REGION_DONE);
}

static void s3_freezes_twice_as_long_each_time_and_forgets(void **state)
{
    static const uint64_t minutes[] = {1, 2, 4, 8, 16, 16, 16};
    struct world *world = world_make();
    uint64_t now_ms = NOW_MS;
    world->state.regions[0].automatic = REGION_SUSPECT;
    all_hold(world, 0, REGION_BELOW_SUSPECT, LONG_MS);
    all_hold(world, 1, REGION_BELOW_SUSPECT, LONG_MS);
    world->request.to = REGION_DOWN;
    for (size_t i = 0; i < array_count(minutes) + 1; i++) {
        uint64_t expected = i < array_count(minutes) ? minutes[i] : 1;
        if (i == array_count(minutes))
            now_ms += 31 * MINUTE_MS;
        world->request.epoch = world->state.epoch;
        strcpy(world->request.change_id, world->state.change_id);
        assert_int_equal(region_rules_decide(&world->rules, &world->state, &world->votes, now_ms,
                                             &world->request),
                         REGION_FROZE);
        assert_int_equal(world->state.frozen_until_ms, now_ms + expected * MINUTE_MS);
        now_ms = world->state.frozen_until_ms;
        for (uint32_t n = 0; n < NODES; n++) {
            world->votes.votes[n].epoch = world->state.epoch;
            strcpy(world->votes.votes[n].change_id, world->state.change_id);
        }
    }
}

static void frozen_means_no_automatic_change_at_all_but_operators_may(void **state)
{
    struct world *world = world_make();
    world->state.frozen_until_ms = NOW_MS + 1;
    world->state.regions[0].automatic = REGION_DEGRADED;
    all_hold(world, 0, REGION_AT_LEAST_UP, LONG_MS);
    assert_int_equal(decide(world, REGION_MOVE, 0, REGION_UP), REGION_FROZEN);
    assert_int_equal(decide(world, REGION_DRAIN, 0, REGION_UP), REGION_DONE);
    world->state.frozen_until_ms = NOW_MS;
    world->request.epoch = world->state.epoch;
    strcpy(world->request.change_id, world->state.change_id);
    assert_int_equal(decide(world, REGION_MOVE, 0, REGION_UP), REGION_DONE);
}

static void the_hold_down_doubles_to_its_bound_and_is_forgiven(void **state)
{
    static const uint64_t seconds[] = {60, 120, 240, 480, 900, 900};
    struct world *world = world_make();
    struct region_record *record = &world->state.regions[0];
    for (size_t i = 0; i < array_count(seconds); i++) {
        record->automatic = REGION_SUSPECT;
        record->since_ms = NOW_MS;
        world->state.last_down_ms = 0;
        world->request.epoch = world->state.epoch;
        strcpy(world->request.change_id, world->state.change_id);
        all_hold(world, 0, REGION_BELOW_SUSPECT, LONG_MS);
        world->votes.votes[0].epoch = world->state.epoch;
        strcpy(world->votes.votes[0].change_id, world->state.change_id);
        assert_int_equal(decide(world, REGION_MOVE, 0, REGION_DOWN), REGION_DONE);
        assert_int_equal(record->hold_down_until_ms, NOW_MS + seconds[i] * 1000);
        assert_int_equal(record->downs, i + 1);
    }
    record->automatic = REGION_SUSPECT;
    record->since_ms = NOW_MS - MINUTE_MS; /* SUSPECT and back took nothing from ... */
    record->penalty_at_ms = NOW_MS - 3 * 30 * MINUTE_MS; /* ... three half hours without a DOWN */
    world->state.last_down_ms = 0;
    world->request.epoch = world->state.epoch;
    assert_int_equal(decide(world, REGION_MOVE, 0, REGION_DOWN), REGION_DONE);
    assert_int_equal(record->downs, 4);
}

static void down_is_not_left_before_the_hold_down_is_over(void **state)
{
    struct world *world = world_make();
    world->state.regions[0].automatic = REGION_DOWN;
    world->state.regions[0].hold_down_until_ms = NOW_MS + 1;
    all_hold(world, 0, REGION_AT_LEAST_RECOVER, LONG_MS);
    assert_false(propose(world, 0).due);
    world->state.regions[0].hold_down_until_ms = NOW_MS;
    assert_true(propose(world, 0).due);
}

static void the_ramp_goes_step_by_step_to_up(void **state)
{
    struct world *world = world_make();
    struct region_record *record = &world->state.regions[0];
    uint64_t now_ms = NOW_MS;
    record->automatic = REGION_RECOVERING;
    record->since_ms = now_ms;
    record->step_since_ms = now_ms;
    all_hold(world, 0, REGION_AT_LEAST_KEEP, 0);
    for (uint32_t step = 0; step < 5; step++) {
        assert_int_equal(record->automatic, REGION_RECOVERING);
        assert_int_equal(record->ramp_step, step);
        assert_int_equal(record->since_ms, NOW_MS);
        now_ms += MINUTE_MS;
        assert_false(
            region_rules_propose(&world->rules, &world->state, &world->votes, now_ms - 1, 0).due);
        world->request.to = step < 4 ? REGION_RECOVERING : REGION_UP;
        world->request.epoch = world->state.epoch;
        strcpy(world->request.change_id, world->state.change_id);
        world->votes.votes[0].epoch = world->state.epoch;
        strcpy(world->votes.votes[0].change_id, world->state.change_id);
        assert_int_equal(region_rules_decide(&world->rules, &world->state, &world->votes, now_ms,
                                             &world->request),
                         REGION_DONE);
    }
    assert_int_equal(record->automatic, REGION_UP);
    assert_int_equal(record->since_ms, now_ms);
}

static void suspect_remembers_where_it_came_from(void **state)
{
    static const enum region_automatic from[] = {REGION_UP, REGION_DEGRADED};
    for (size_t i = 0; i < array_count(from); i++) {
        struct world *world = world_make();
        world->state.regions[0].automatic = from[i];
        all_hold(world, 0, REGION_BELOW_SUSPECT, 0);
        assert_int_equal(decide(world, REGION_MOVE, 0, REGION_SUSPECT), REGION_DONE);
        assert_int_equal(world->state.regions[0].before, from[i]);
    }
}

static void a_change_has_a_new_epoch_a_name_and_a_reason(void **state)
{
    struct world *world = world_make();
    all_hold(world, 0, REGION_BELOW_DEGRADED, 6000);
    assert_int_equal(decide(world, REGION_MOVE, 0, REGION_DEGRADED), REGION_DONE);
    assert_int_equal(world->state.epoch, 11);
    assert_string_equal(world->state.change_id, "bbbbbbbbbbbbbbbb");
    assert_string_equal(world->state.incarnation, "iiiiiiiiiiiiiiii");
    assert_string_equal(world->state.decided_by, "n0");
    assert_string_equal(world->state.reason, "availability below 72 % for 6000 ms, 3 of 3 agree");
    assert_string_equal(world->state.regions[0].reason, world->state.reason);
    assert_int_equal(world->state.regions[0].since_ms, NOW_MS);
}

static void a_change_found_for_another_state_is_stale(void **state)
{
    struct world *world = world_make();
    all_hold(world, 0, REGION_BELOW_DEGRADED, 6000);
    world->request.epoch = 9;
    assert_int_equal(decide(world, REGION_MOVE, 0, REGION_DEGRADED), REGION_STALE);
    world->request.epoch = 10;
    world->request.change_id[0] = 'x';
    assert_int_equal(decide(world, REGION_MOVE, 0, REGION_DEGRADED), REGION_STALE);
    assert_int_equal(world->state.epoch, 10);
}

static void drain_and_undrain(void **state)
{
    static const struct {
        enum region_automatic beneath;
        enum region_automatic after;
    } cases[] = {{REGION_UP, REGION_RECOVERING},
                 {REGION_DEGRADED, REGION_RECOVERING},
                 {REGION_SUSPECT, REGION_SUSPECT},
                 {REGION_DOWN, REGION_DOWN},
                 {REGION_RECOVERING, REGION_RECOVERING}};
    for (size_t i = 0; i < array_count(cases); i++) {
        struct world *world = world_make();
        struct region_record *record = &world->state.regions[0];
        record->automatic = cases[i].beneath;
        record->ramp_step = 3;
        assert_int_equal(decide(world, REGION_UNDRAIN, 0, REGION_UP), REGION_NO_OVERRIDE);
        assert_int_equal(decide(world, REGION_DRAIN, 0, REGION_UP), REGION_DONE);
        assert_false(region_is_active(record));
        assert_string_equal(region_effective_name(record), "drain");
        assert_int_equal(record->automatic, cases[i].beneath);
        assert_int_equal(record->expires_ms, 0);
        assert_string_equal(record->reason, "drained by me");
        assert_int_equal(decide(world, REGION_UNDRAIN, 0, REGION_UP), REGION_DONE);
        assert_int_equal(record->override, REGION_OVERRIDE_NONE);
        assert_int_equal(record->automatic, cases[i].after);
        bool begins = cases[i].beneath == REGION_UP || cases[i].beneath == REGION_DEGRADED;
        assert_int_equal(record->ramp_step, begins ? 0 : 3);
    }
}

static void a_drain_with_a_time_ends_by_itself_and_not_before(void **state)
{
    struct world *world = world_make();
    world->request.ttl_ms = 5000;
    assert_int_equal(decide(world, REGION_DRAIN, 0, REGION_UP), REGION_DONE);
    assert_int_equal(world->state.regions[0].expires_ms, NOW_MS + 5000);
    world->request.epoch = world->state.epoch;
    strcpy(world->request.change_id, world->state.change_id);
    assert_int_equal(decide(world, REGION_EXPIRE, 0, REGION_UP), REGION_NO_OVERRIDE);
    assert_int_equal(decide(world, REGION_EXPIRE, 1, REGION_UP), REGION_NO_OVERRIDE);
    world->state.regions[0].expires_ms = NOW_MS;
    assert_int_equal(decide(world, REGION_EXPIRE, 0, REGION_UP), REGION_DONE);
    assert_int_equal(world->state.regions[0].automatic, REGION_RECOVERING);
    assert_true(region_is_active(&world->state.regions[0]));
}

/* Automation goes on beneath an override, and S1 to S3 have nothing to say to what changes nothing.
 */
static void beneath_an_override_automation_goes_on(void **state)
{
    struct world *world = world_make();
    world->state.regions[0].override = REGION_OVERRIDE_DRAIN;
    world->state.regions[0].automatic = REGION_SUSPECT;
    world->state.last_down_ms = NOW_MS - 1;
    all_hold(world, 0, REGION_BELOW_SUSPECT, LONG_MS);
    all_hold(world, 1, REGION_BELOW_SUSPECT, LONG_MS);
    assert_int_equal(decide(world, REGION_MOVE, 0, REGION_DOWN), REGION_DONE);
    assert_int_equal(world->state.regions[0].override, REGION_OVERRIDE_DRAIN);
    assert_int_equal(world->state.last_down_ms, NOW_MS - 1);
}

static void an_older_state_in_the_store_is_only_reasserted(void **state)
{
    struct world *world = world_make();
    struct region_state newest = world->state;
    newest.epoch = 12;
    strcpy(newest.change_id, "cccccccccccccccc");
    newest.regions[3].automatic = REGION_DOWN;
    world->votes.votes[0].epoch = 12;
    strcpy(world->votes.votes[0].change_id, "cccccccccccccccc");
    all_hold(world, 0, REGION_BELOW_DEGRADED, LONG_MS);
    world->request.content = &newest;
    assert_int_equal(decide(world, REGION_MOVE, 0, REGION_DEGRADED), REGION_OLDER);
    assert_int_equal(decide(world, REGION_DRAIN, 0, REGION_UP), REGION_OLDER);
    assert_int_equal(decide(world, REGION_INIT, 0, REGION_UP), REGION_OLDER);
    assert_int_equal(decide(world, REGION_REASSERT, 0, REGION_UP), REGION_DONE);
    assert_int_equal(world->state.epoch, 13);
    assert_string_equal(world->state.change_id, "bbbbbbbbbbbbbbbb");
    assert_string_equal(world->state.incarnation, "iiiiiiiiiiiiiiii");
    assert_int_equal(world->state.regions[3].automatic, REGION_DOWN);
    assert_int_equal(decide(world, REGION_REASSERT, 0, REGION_UP), REGION_STALE);
}

static void only_who_has_applied_the_newest_may_reassert(void **state)
{
    struct world *world = world_make();
    struct region_state mine = world->state;
    mine.epoch = 11;
    strcpy(mine.change_id, "cccccccccccccccc");
    world->request.content = &mine;
    world->votes.votes[1].epoch = 12;
    assert_int_equal(decide(world, REGION_REASSERT, 0, REGION_UP), REGION_NOT_HELD_HERE);
    world->votes.votes[1].epoch = 10;
    world->votes.votes[2].epoch = 11; /* the same epoch with another name, not mine */
    assert_int_equal(decide(world, REGION_REASSERT, 0, REGION_UP), REGION_NOT_HELD_HERE);
    world->votes.votes[0].epoch = 11;
    strcpy(world->votes.votes[0].change_id, "cccccccccccccccc");
    assert_int_equal(decide(world, REGION_REASSERT, 0, REGION_UP), REGION_DONE); /* c > a */
}

static void reassert_needs_half_of_the_roster_to_vote(void **state)
{
    struct world *world = world_make();
    struct region_state mine = world->state;
    region_state_init(&world->state, &world->lab.config); /* wiped */
    world->request.content = &mine;
    world->votes.votes[1].age_ms = 3001;
    world->votes.votes[2].age_ms = 3001;
    assert_int_equal(decide(world, REGION_REASSERT, 0, REGION_UP), REGION_NOT_HELD_HERE);
    world->votes.votes[1].age_ms = 3000;
    assert_int_equal(decide(world, REGION_REASSERT, 0, REGION_UP), REGION_DONE);
    assert_int_equal(world->state.epoch, 11);
    assert_string_equal(world->state.incarnation, "jjjjjjjjjjjjjjjj");
}

static void a_new_database_is_written_once(void **state)
{
    struct world *world = world_make();
    struct region_state configured;
    region_state_init(&configured, &world->lab.config);
    world->state = configured;
    for (uint32_t n = 0; n < NODES; n++) {
        world->votes.votes[n].epoch = 0;
        world->votes.votes[n].change_id[0] = '\0';
    }
    world->request.content = &configured;
    assert_int_equal(decide(world, REGION_INIT, 0, REGION_UP), REGION_DONE);
    assert_int_equal(world->state.epoch, 1);
    assert_string_equal(world->state.incarnation, "jjjjjjjjjjjjjjjj");
    assert_int_equal(decide(world, REGION_INIT, 0, REGION_UP), REGION_STALE);
}

static void a_region_that_is_not_there_is_refused(void **state)
{
    struct world *world = world_make();
    assert_int_equal(decide(world, REGION_DRAIN, REGIONS, REGION_UP), REGION_UNKNOWN);
    assert_int_equal(decide(world, REGION_REQUESTS, 0, REGION_UP), REGION_UNKNOWN);
}

static void counts_tell_who_is_fresh_and_who_holds_nothing_against_the_state(void **state)
{
    struct world *world = world_make();
    struct region_count count = region_rules_count(&world->rules, &world->state, &world->votes, 0);
    assert_int_equal(count.fresh, 3);
    assert_int_equal(count.agreeing, 3);
    hold(world, 1, 0, REGION_BELOW_SUSPECT, 0);
    world->votes.votes[2].blind = true;
    count = region_rules_count(&world->rules, &world->state, &world->votes, 0);
    assert_int_equal(count.fresh, 3);
    assert_int_equal(count.seeing, 2);
    assert_int_equal(count.agreeing, 1);
}

static void thresholds_and_regions_make_the_agreement(void **state)
{
    struct world *world = world_make();
    uint64_t before = world->rules.agreement;
    world->lab.config.failover.down_dwell_ns++;
    region_rules_init(&world->rules, &world->lab.config);
    assert_int_not_equal(world->rules.agreement, before);
    world->lab.config.failover.down_dwell_ns--;
    strcpy(world->lab.config.node, "n1"); /* of no matter */
    region_rules_init(&world->rules, &world->lab.config);
    assert_int_equal(world->rules.agreement, before);
    strcpy(world->lab.regions[0].name, "other");
    region_rules_init(&world->rules, &world->lab.config);
    assert_int_not_equal(world->rules.agreement, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_with_every_evidence),
        cmocka_unit_test(evidence_has_to_hold_for_its_dwell_and_not_a_millisecond_less),
        cmocka_unit_test(a_change_needs_a_quorum),
        cmocka_unit_test(voters_with_other_thresholds_do_not_agree_but_count_against),
        cmocka_unit_test(a_penalty_halves_with_every_half_life),
        cmocka_unit_test(a_region_that_flaps_stays_out_until_its_penalty_is_small),
        cmocka_unit_test(a_region_that_came_back_starts_without_the_mark),
        cmocka_unit_test(alone_only_the_own_vote_counts),
        cmocka_unit_test(s1_the_last_active_regions_stay),
        cmocka_unit_test(s1_holds_for_the_configured_number),
        cmocka_unit_test(s2_one_down_a_minute_and_never_more_than_half),
        cmocka_unit_test(s2_has_no_interval_for_a_region_that_was_recovering),
        cmocka_unit_test(s3_two_regions_at_once_freeze_both),
        cmocka_unit_test(s3_measures_from_the_vote_that_made_the_quorum),
        cmocka_unit_test(s3_does_not_see_drained_and_down_regions),
        cmocka_unit_test(s3_freezes_twice_as_long_each_time_and_forgets),
        cmocka_unit_test(frozen_means_no_automatic_change_at_all_but_operators_may),
        cmocka_unit_test(the_hold_down_doubles_to_its_bound_and_is_forgiven),
        cmocka_unit_test(down_is_not_left_before_the_hold_down_is_over),
        cmocka_unit_test(the_ramp_goes_step_by_step_to_up),
        cmocka_unit_test(suspect_remembers_where_it_came_from),
        cmocka_unit_test(a_change_has_a_new_epoch_a_name_and_a_reason),
        cmocka_unit_test(a_change_found_for_another_state_is_stale),
        cmocka_unit_test(drain_and_undrain),
        cmocka_unit_test(a_drain_with_a_time_ends_by_itself_and_not_before),
        cmocka_unit_test(beneath_an_override_automation_goes_on),
        cmocka_unit_test(an_older_state_in_the_store_is_only_reasserted),
        cmocka_unit_test(only_who_has_applied_the_newest_may_reassert),
        cmocka_unit_test(reassert_needs_half_of_the_roster_to_vote),
        cmocka_unit_test(a_new_database_is_written_once),
        cmocka_unit_test(a_region_that_is_not_there_is_refused),
        cmocka_unit_test(counts_tell_who_is_fresh_and_who_holds_nothing_against_the_state),
        cmocka_unit_test(thresholds_and_regions_make_the_agreement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
