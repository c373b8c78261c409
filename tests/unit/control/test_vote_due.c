/* vote_due: the moments at which a vote says something new. */
#include "control/vote_due.h"

#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"
#include "tests/support/failover_lab.h"

static struct lab_config lab;
static struct region_rules rules;
static struct verdict verdict;

static int setup(void **state)
{
    lab_config_make(&lab, 1, 1);
    lab_config_cluster(&lab, 3, 0, "");
    region_rules_init(&rules, &lab.config);
    verdict_init(&verdict, 0);
    for (int e = 0; e < REGION_EVIDENCES; e++)
        verdict.since_ns[e] = CLOCK_NEVER;
    return 0;
}

static void nothing_that_holds_is_nothing_to_say(void **state)
{
    assert_true(vote_due_ns(&rules, &verdict, REGION_UP, 0) == CLOCK_NEVER);
}

static void what_has_begun_since_the_last_vote_is_due_from_then(void **state)
{
    verdict.since_ns[REGION_BELOW_SUSPECT] = 7 * CLOCK_S;
    assert_true(vote_due_ns(&rules, &verdict, REGION_UP, 6 * CLOCK_S) == 7 * CLOCK_S);
    assert_true(vote_due_ns(&rules, &verdict, REGION_UP, 7 * CLOCK_S) == CLOCK_NEVER);
}

static void what_leads_nowhere_from_this_state_is_not_said(void **state)
{
    verdict.since_ns[REGION_AT_LEAST_UP] = 7 * CLOCK_S;
    assert_true(vote_due_ns(&rules, &verdict, REGION_UP, 0) == CLOCK_NEVER);
    assert_true(vote_due_ns(&rules, &verdict, REGION_DEGRADED, 0) == 37 * CLOCK_S);
}

static void of_several_dwells_the_first_to_end_counts(void **state)
{
    verdict.since_ns[REGION_BELOW_SUSPECT] = 10 * CLOCK_S; /* 6 s */
    verdict.since_ns[REGION_HARD_FAILURE] = 12 * CLOCK_S;  /* 3 s */
    assert_true(vote_due_ns(&rules, &verdict, REGION_SUSPECT, 12 * CLOCK_S) == 15 * CLOCK_S);
    assert_true(vote_due_ns(&rules, &verdict, REGION_SUSPECT, 15 * CLOCK_S) == 16 * CLOCK_S);
    assert_true(vote_due_ns(&rules, &verdict, REGION_SUSPECT, 16 * CLOCK_S) == CLOCK_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup(name, setup)
        CASE(nothing_that_holds_is_nothing_to_say),
        CASE(what_has_begun_since_the_last_vote_is_due_from_then),
        CASE(what_leads_nowhere_from_this_state_is_not_said),
        CASE(of_several_dwells_the_first_to_end_counts),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
