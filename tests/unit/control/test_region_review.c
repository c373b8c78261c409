/* region_change: what waits for an operator: proposals are kept, approved, rejected, and expire. */
#include "control/region_rules.h"
#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"
#include "tests/support/region_world.h"

#define PROPOSAL_MS (30 * MINUTE_MS)

/* Region 0 is SUSPECT, reviewed, and all nodes ask for DOWN. */
static struct world *world_with_a_due_review(void)
{
    struct world *world = world_make();
    world->rules.on_failure[0] = CONFIG_MODE_REVIEW;
    world->state.regions[0].automatic = REGION_SUSPECT;
    all_hold(world, 0, REGION_BELOW_SUSPECT, 60000);
    return world;
}

static enum region_answer order(struct world *world, enum region_request_kind kind,
                                uint32_t despite)
{
    applied(world);
    world->request.despite = despite;
    return decide(world, kind, 0, REGION_DOWN);
}

static enum region_answer propose_at(struct world *world, uint64_t now_ms)
{
    applied(world);
    world->request.kind = REGION_PROPOSE;
    world->request.to = REGION_DOWN;
    return region_rules_decide(&world->rules, &world->state, &world->votes, now_ms,
                               &world->request);
}

static void a_proposal_is_kept_once_with_its_evidence(void **state)
{
    struct world *world = world_with_a_due_review();
    const struct region_record *record = &world->state.regions[0];
    assert_int_equal(propose(world, 0).answer, REGION_WAITS);
    assert_int_equal(order(world, REGION_MOVE, 0), REGION_WAITS);
    assert_false(region_is_proposed(record, NOW_MS));
    assert_int_equal(order(world, REGION_PROPOSE, 0), REGION_DONE);
    assert_int_equal(world->state.epoch, 11);
    assert_true(region_is_proposed(record, NOW_MS));
    assert_int_equal(record->proposed, REGION_DOWN);
    assert_non_null(strstr(record->evidence, "availability below 25 %"));
    assert_non_null(strstr(record->evidence, "3 of 3 agree"));
    assert_int_equal(record->automatic, REGION_SUSPECT);
    assert_int_equal(order(world, REGION_PROPOSE, 0), REGION_STALE);
}

static void only_what_is_due_and_waits_is_proposed(void **state)
{
    struct world *world = world_with_a_due_review();
    world->rules.on_failure[0] = CONFIG_MODE_AUTO;
    assert_int_equal(order(world, REGION_PROPOSE, 0), REGION_STALE);
    world->rules.on_failure[0] = CONFIG_MODE_MANUAL;
    assert_int_equal(order(world, REGION_PROPOSE, 0), REGION_MANUAL);
    world->rules.on_failure[0] = CONFIG_MODE_REVIEW;
    all_hold(world, 0, REGION_BELOW_SUSPECT, REGION_NOT_HELD);
    assert_int_equal(order(world, REGION_PROPOSE, 0), REGION_NO_QUORUM);
}

static void a_proposal_expires_and_is_made_again(void **state)
{
    struct world *world = world_with_a_due_review();
    assert_int_equal(order(world, REGION_PROPOSE, 0), REGION_DONE);
    assert_true(region_is_proposed(&world->state.regions[0], NOW_MS + PROPOSAL_MS - 1));
    assert_false(region_is_proposed(&world->state.regions[0], NOW_MS + PROPOSAL_MS));
    assert_int_equal(propose_at(world, NOW_MS + PROPOSAL_MS - 1), REGION_STALE);
    assert_int_equal(propose_at(world, NOW_MS + PROPOSAL_MS), REGION_DONE);
}

static void an_approval_does_what_is_proposed_and_takes_it_away(void **state)
{
    struct world *world = world_with_a_due_review();
    assert_int_equal(order(world, REGION_PROPOSE, 0), REGION_DONE);
    assert_int_equal(order(world, REGION_APPROVE, 0), REGION_DONE);
    assert_int_equal(world->state.regions[0].automatic, REGION_DOWN);
    assert_false(region_is_proposed(&world->state.regions[0], NOW_MS));
    assert_non_null(strstr(world->state.reason, "; approved by me"));
}

static void an_approval_does_not_outlive_its_evidence(void **state)
{
    struct world *world = world_with_a_due_review();
    assert_int_equal(order(world, REGION_PROPOSE, 0), REGION_DONE);
    all_hold(world, 0, REGION_BELOW_SUSPECT, REGION_NOT_HELD);
    assert_int_equal(order(world, REGION_APPROVE, 0), REGION_NO_QUORUM);
}

static void a_rejection_holds_for_a_while_and_can_be_thought_over(void **state)
{
    struct world *world = world_with_a_due_review();
    assert_int_equal(order(world, REGION_REJECT, 0), REGION_NO_OVERRIDE);
    assert_int_equal(order(world, REGION_PROPOSE, 0), REGION_DONE);
    assert_int_equal(order(world, REGION_REJECT, 0), REGION_DONE);
    assert_string_equal(world->state.reason, "down rejected by me");
    assert_false(region_is_proposed(&world->state.regions[0], NOW_MS));
    assert_int_equal(propose(world, 0).answer, REGION_REJECTED);
    assert_int_equal(propose_at(world, NOW_MS + PROPOSAL_MS - 1), REGION_REJECTED);
    struct world later = *world;
    assert_int_equal(propose_at(&later, NOW_MS + PROPOSAL_MS), REGION_DONE);
    assert_int_equal(order(world, REGION_APPROVE, 0), REGION_DONE);
}

/* Two regions at once: suspect the observers. The operator does not. */
static void an_approval_ends_a_freeze_by_rule_s3(void **state)
{
    struct world *world = world_make();
    for (uint32_t r = 0; r < 2; r++) {
        world->state.regions[r].automatic = REGION_SUSPECT;
        all_hold(world, r, REGION_BELOW_SUSPECT, 60000);
    }
    assert_int_equal(order(world, REGION_MOVE, 0), REGION_FROZE);
    assert_int_equal(order(world, REGION_MOVE, 0), REGION_FROZEN);
    assert_int_equal(order(world, REGION_APPROVE, 0), REGION_DONE);
    assert_int_equal(world->state.regions[0].automatic, REGION_DOWN);
    assert_int_equal(world->state.frozen_until_ms, 0);
}

static void an_approval_heeds_every_rule_that_is_not_named(void **state)
{
    struct world *world = world_with_a_due_review();
    for (uint32_t r = 1; r < REGIONS; r++)
        world->state.regions[r].override = REGION_OVERRIDE_DRAIN;
    assert_int_equal(order(world, REGION_APPROVE, REGION_RULE_S2), REGION_REFUSED_S1);
    world->state.last_down_ms = NOW_MS;
    assert_int_equal(order(world, REGION_APPROVE, REGION_RULE_S1), REGION_REFUSED_S2);
    assert_int_equal(order(world, REGION_APPROVE, REGION_RULE_S1 | REGION_RULE_S2), REGION_DONE);
    assert_non_null(strstr(world->state.reason, "; approved despite S1, S2 by me"));
}

static void s5_named_counts_votes_of_nodes_with_other_rules(void **state)
{
    struct world *world = world_with_a_due_review();
    for (uint32_t n = 1; n < NODES; n++)
        world->votes.votes[n].agreement++;
    assert_int_equal(order(world, REGION_APPROVE, 0), REGION_NO_QUORUM);
    assert_int_equal(order(world, REGION_APPROVE, REGION_RULE_S5), REGION_DONE);
}

static void dry_run_only_says_what_it_would_do(void **state)
{
    struct world *world = world_with_a_due_review();
    world->rules.on_failure[0] = CONFIG_MODE_AUTO;
    world->rules.dry_run = true;
    struct region_proposal proposal = propose(world, 0);
    assert_true(proposal.due);
    assert_int_equal(proposal.to, REGION_DOWN);
    assert_int_equal(proposal.answer, REGION_DRY_RUN);
    assert_int_equal(order(world, REGION_MOVE, 0), REGION_DRY_RUN);
    assert_int_equal(world->state.epoch, 10);
    world->state.regions[1].automatic = REGION_SUSPECT;
    all_hold(world, 1, REGION_BELOW_SUSPECT, 60000);
    assert_int_equal(propose(world, 0).answer, REGION_FROZE);
    assert_int_equal(order(world, REGION_MOVE, 0), REGION_DRY_RUN); /* nor is it frozen */
    assert_int_equal(world->state.frozen_until_ms, 0);
    assert_int_equal(order(world, REGION_DRAIN, 0), REGION_DONE);
}

static void rules_have_names(void **state)
{
    char text[REGION_RULES_TEXT_MAX];
    assert_string_equal(region_rules_text(0, text), "");
    assert_string_equal(region_rules_text(0x1f, text), "S1, S2, S3, S4, S5");
    assert_int_equal(region_rule_of("S4"), REGION_RULE_S4);
    assert_int_equal(region_rule_of("S6"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proposal_is_kept_once_with_its_evidence),
        cmocka_unit_test(only_what_is_due_and_waits_is_proposed),
        cmocka_unit_test(a_proposal_expires_and_is_made_again),
        cmocka_unit_test(an_approval_does_what_is_proposed_and_takes_it_away),
        cmocka_unit_test(an_approval_does_not_outlive_its_evidence),
        cmocka_unit_test(a_rejection_holds_for_a_while_and_can_be_thought_over),
        cmocka_unit_test(an_approval_ends_a_freeze_by_rule_s3),
        cmocka_unit_test(an_approval_heeds_every_rule_that_is_not_named),
        cmocka_unit_test(s5_named_counts_votes_of_nodes_with_other_rules),
        cmocka_unit_test(dry_run_only_says_what_it_would_do),
        cmocka_unit_test(rules_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
