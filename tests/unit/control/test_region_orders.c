/* region_change: what operators order: drain, force, freeze, and what rule S1 says to it. */
#include "control/region_rules.h"
#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"
#include "tests/support/failover_lab.h"

#include <stdio.h>
#include <string.h>

#define NOW_MS  1700000000000ull
#define HOUR_MS 3600000ull

struct world {
    struct lab_config lab;
    struct region_rules rules;
    struct region_state state;
    struct region_votes votes; /* the own one */
};

/* A node that is alone, with two regions. */
static struct world *world_make(void)
{
    static struct world world;
    memset(&world, 0, sizeof(world));
    lab_config_make(&world.lab, 2, 1);
    region_rules_init(&world.rules, &world.lab.config);
    region_state_init(&world.state, &world.lab.config);
    world.state.epoch = 1;
    world.votes.count = 1;
    struct region_vote *vote = &world.votes.votes[0];
    strcpy(vote->node, "n0");
    vote->agreement = world.rules.agreement;
    for (uint32_t r = 0; r < 2; r++)
        for (int e = 0; e < REGION_EVIDENCES; e++)
            vote->regions[r].held_ms[e] = REGION_NOT_HELD;
    return &world;
}

static enum region_answer decide_at(struct world *world, const struct region_request *request,
                                    uint64_t now_ms)
{
    world->votes.votes[0].epoch = world->state.epoch; /* applied */
    strcpy(world->votes.votes[0].change_id, world->state.change_id);
    return region_rules_decide(&world->rules, &world->state, &world->votes, now_ms, request);
}

static enum region_answer order(struct world *world, enum region_request_kind kind, uint32_t region,
                                uint32_t despite)
{
    struct region_request request = {
        .kind = kind, .region = region, .despite = despite, .by = "me"};
    return decide_at(world, &request, NOW_MS);
}

static void what_is_forced_is_so_whatever_was_found(void **state)
{
    for (unsigned a = 0; a < REGION_AUTOMATICS; a++) {
        struct world *world = world_make();
        struct region_record *record = &world->state.regions[0];
        record->automatic = (enum region_automatic)a;
        assert_int_equal(order(world, REGION_FORCE_UP, 0, 0), REGION_DONE);
        assert_true(region_is_active(record));
        assert_string_equal(region_effective_name(record), "force_up");
        assert_string_equal(record->reason, "forced up by me");
        assert_int_equal(order(world, REGION_FORCE_DOWN, 0, 0), REGION_DONE);
        assert_false(region_is_active(record));
        assert_int_equal(record->automatic, a);
    }
}

/* What has taken no flights comes back slowly; what had full share does not fall to the first step.
 */
static void an_end_of_force_leads_on_from_what_was_served(void **state)
{
    static const struct {
        enum region_request_kind force;
        enum region_automatic beneath;
        enum region_automatic after;
    } cases[] = {
        {REGION_FORCE_UP, REGION_UP, REGION_UP},
        {REGION_FORCE_UP, REGION_DEGRADED, REGION_DEGRADED},
        {REGION_FORCE_UP, REGION_DOWN, REGION_DOWN},
        {REGION_FORCE_DOWN, REGION_UP, REGION_RECOVERING},
        {REGION_FORCE_DOWN, REGION_DEGRADED, REGION_RECOVERING},
        {REGION_FORCE_DOWN, REGION_DOWN, REGION_DOWN},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct world *world = world_make();
        world->state.regions[0].automatic = cases[i].beneath;
        assert_int_equal(order(world, cases[i].force, 0, 0), REGION_DONE);
        assert_int_equal(order(world, REGION_UNFORCE, 0, 0), REGION_DONE);
        assert_int_equal(world->state.regions[0].automatic, cases[i].after);
        assert_int_equal(world->state.regions[0].override, REGION_OVERRIDE_NONE);
    }
}

static void what_is_not_there_cannot_be_undone(void **state)
{
    static const struct {
        enum region_override override;
        enum region_request_kind undo;
        enum region_answer answer;
    } cases[] = {
        {REGION_OVERRIDE_NONE, REGION_UNDRAIN, REGION_NO_OVERRIDE},
        {REGION_OVERRIDE_NONE, REGION_UNFORCE, REGION_NO_OVERRIDE},
        {REGION_OVERRIDE_DRAIN, REGION_UNFORCE, REGION_NO_OVERRIDE},
        {REGION_OVERRIDE_FORCE_UP, REGION_UNDRAIN, REGION_NO_OVERRIDE},
        {REGION_OVERRIDE_FORCE_DOWN, REGION_UNDRAIN, REGION_NO_OVERRIDE},
        {REGION_OVERRIDE_FORCE_DOWN, REGION_UNFORCE, REGION_DONE},
        {REGION_OVERRIDE_DRAIN, REGION_UNDRAIN, REGION_DONE},
        {REGION_OVERRIDE_NONE, REGION_THAW, REGION_NO_OVERRIDE},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct world *world = world_make();
        world->state.regions[0].override = cases[i].override;
        assert_int_equal(order(world, cases[i].undo, 0, 0), cases[i].answer);
    }
}

static void s1_refuses_unless_it_is_named(void **state)
{
    static const enum region_request_kind kinds[] = {REGION_DRAIN, REGION_FORCE_DOWN};
    for (size_t i = 0; i < array_count(kinds); i++) {
        struct world *world = world_make();
        world->state.regions[1].automatic = REGION_DOWN;
        assert_int_equal(order(world, kinds[i], 0, 0), REGION_REFUSED_S1);
        assert_int_equal(order(world, kinds[i], 1, 0), REGION_DONE); /* takes none anyway */
        assert_int_equal(order(world, kinds[i], 0, REGION_RULE_S1), REGION_DONE);
        assert_int_equal(region_active_count(&world->state), 0);
        assert_non_null(strstr(world->state.reason, "despite S1 by me"));
    }
}

static void a_force_that_holds_the_last_region_up_does_not_end_by_itself(void **state)
{
    struct world *world = world_make();
    struct region_request expire = {.kind = REGION_EXPIRE, .epoch = 1};
    world->state.regions[0].automatic = REGION_DOWN;
    world->state.regions[0].override = REGION_OVERRIDE_FORCE_UP;
    world->state.regions[0].expires_ms = NOW_MS;
    world->state.regions[1].automatic = REGION_DOWN;
    assert_int_equal(order(world, REGION_UNFORCE, 0, 0), REGION_REFUSED_S1);
    assert_int_equal(decide_at(world, &expire, NOW_MS), REGION_REFUSED_S1);
    world->state.regions[1].automatic = REGION_UP;
    assert_int_equal(decide_at(world, &expire, NOW_MS), REGION_DONE);
}

static enum region_answer proposed_at(struct world *world, uint64_t now_ms)
{
    world->votes.votes[0].regions[0].held_ms[REGION_BELOW_SUSPECT] = 1000000;
    struct region_proposal proposal =
        region_rules_propose(&world->rules, &world->state, &world->votes, now_ms, 0);
    assert_true(proposal.due);
    return proposal.answer;
}

static void automation_that_is_off_changes_nothing_until_it_is_on(void **state)
{
    struct world *world = world_make();
    struct region_request move = {.kind = REGION_MOVE, .to = REGION_SUSPECT};
    assert_int_equal(proposed_at(world, NOW_MS), REGION_DONE);
    assert_int_equal(order(world, REGION_FREEZE, 0, 0), REGION_DONE);
    assert_string_equal(world->state.reason, "automation switched off by me");
    assert_int_equal(proposed_at(world, NOW_MS + 1000 * HOUR_MS), REGION_STOPPED);
    move.epoch = world->state.epoch;
    assert_int_equal(decide_at(world, &move, NOW_MS), REGION_STOPPED);
    assert_int_equal(order(world, REGION_THAW, 0, 0), REGION_DONE);
    assert_int_equal(proposed_at(world, NOW_MS), REGION_DONE);
}

static void automation_that_is_off_for_a_while_comes_back_by_itself(void **state)
{
    struct world *world = world_make();
    struct region_request freeze = {.kind = REGION_FREEZE, .ttl_ms = HOUR_MS, .by = "me"};
    assert_int_equal(decide_at(world, &freeze, NOW_MS), REGION_DONE);
    assert_int_equal(proposed_at(world, NOW_MS + HOUR_MS - 1), REGION_STOPPED);
    assert_int_equal(proposed_at(world, NOW_MS + HOUR_MS), REGION_DONE);
}

static void a_thaw_ends_a_freeze_by_rule_s3(void **state)
{
    struct world *world = world_make();
    world->state.frozen_until_ms = NOW_MS + 5;
    world->state.frozen_times = 3;
    assert_int_equal(proposed_at(world, NOW_MS), REGION_FROZEN);
    assert_int_equal(order(world, REGION_THAW, 0, 0), REGION_DONE);
    assert_int_equal(proposed_at(world, NOW_MS), REGION_DONE);
    assert_int_equal(world->state.frozen_times, 0);
}

static void review_waits_for_approval_and_manual_for_more(void **state)
{
    static const struct {
        enum config_mode mode;
        enum region_evidence evidence;
        bool unless_hard;
        enum region_answer proposed;
        enum region_answer approved;
    } cases[] = {
        {CONFIG_MODE_AUTO, REGION_BELOW_SUSPECT, false, REGION_DONE, REGION_DONE},
        {CONFIG_MODE_REVIEW, REGION_BELOW_SUSPECT, false, REGION_WAITS, REGION_DONE},
        {CONFIG_MODE_REVIEW, REGION_HARD_FAILURE, false, REGION_WAITS, REGION_DONE},
        {CONFIG_MODE_REVIEW, REGION_HARD_FAILURE, true, REGION_DONE, REGION_DONE},
        {CONFIG_MODE_REVIEW, REGION_BELOW_SUSPECT, true, REGION_WAITS, REGION_DONE},
        {CONFIG_MODE_MANUAL, REGION_HARD_FAILURE, true, REGION_MANUAL, REGION_MANUAL},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct world *world = world_make();
        struct region_request move = {.kind = REGION_MOVE, .to = REGION_DOWN, .epoch = 1};
        world->state.regions[0].automatic = REGION_SUSPECT;
        world->rules.on_failure[0] = cases[i].mode;
        world->rules.review_unless_hard = cases[i].unless_hard;
        assert_int_equal(order(world, REGION_APPROVE, 0, 0), REGION_NO_QUORUM);
        world->votes.votes[0].regions[0].held_ms[cases[i].evidence] = 1000000;
        struct region_proposal proposal =
            region_rules_propose(&world->rules, &world->state, &world->votes, NOW_MS, 0);
        assert_int_equal(proposal.answer, cases[i].proposed);
        if (proposal.answer != REGION_DONE)
            assert_int_equal(decide_at(world, &move, NOW_MS), cases[i].proposed);
        assert_int_equal(order(world, REGION_APPROVE, 0, 0), cases[i].approved);
        if (cases[i].approved != REGION_DONE)
            continue;
        assert_int_equal(world->state.regions[0].automatic, REGION_DOWN);
        assert_non_null(strstr(world->state.reason, "; approved by me"));
    }
}

static void the_mode_is_of_one_direction(void **state)
{
    struct world *world = world_make();
    struct region_request move = {.kind = REGION_MOVE, .to = REGION_RECOVERING, .epoch = 1};
    world->rules.on_failure[0] = CONFIG_MODE_MANUAL;
    world->rules.on_recovery[1] = CONFIG_MODE_MANUAL;
    world->state.regions[0].automatic = REGION_DOWN;
    world->votes.votes[0].regions[0].held_ms[REGION_AT_LEAST_RECOVER] = 1000000;
    assert_int_equal(decide_at(world, &move, NOW_MS), REGION_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_forced_is_so_whatever_was_found),
        cmocka_unit_test(an_end_of_force_leads_on_from_what_was_served),
        cmocka_unit_test(what_is_not_there_cannot_be_undone),
        cmocka_unit_test(s1_refuses_unless_it_is_named),
        cmocka_unit_test(a_force_that_holds_the_last_region_up_does_not_end_by_itself),
        cmocka_unit_test(automation_that_is_off_changes_nothing_until_it_is_on),
        cmocka_unit_test(automation_that_is_off_for_a_while_comes_back_by_itself),
        cmocka_unit_test(a_thaw_ends_a_freeze_by_rule_s3),
        cmocka_unit_test(review_waits_for_approval_and_manual_for_more),
        cmocka_unit_test(the_mode_is_of_one_direction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
