/* failover: who decides: each switch of the configuration against a region that fails. */
#include "control/failover.h"

#include "control/region_rules.h"
#include "dataplane/base/check.h"
#include "tests/support/told_node.h"

static int setup(void **state)
{
    *state = told_node_make(3);
    return 0;
}

static int teardown(void **state)
{
    told_end(*state);
    return 0;
}

static bool is(const struct told_node *node, uint32_t region, const char *automatic)
{
    return strcmp(told_region(node, region).automatic, automatic) == 0;
}

static void a_proposal_is_shown_and_approved(void **state)
{
    struct told_node *node = *state;
    const struct failover_order approve = {.command = FAILOVER_APPROVE, .region = 0};
    node->lab.regions[0].on_failure = CONFIG_MODE_REVIEW;
    told_start(node);
    assert_null(told_region(node, 0).proposed);
    told_kill(node, 0, 4);
    told_run(node, 120 * CLOCK_S);
    struct failover_region_view view = told_region(node, 0);
    assert_string_equal(view.on_failure, "review");
    assert_string_equal(view.on_recovery, "auto");
    assert_string_equal(view.automatic, "suspect");
    assert_string_equal(view.proposed, "down");
    assert_non_null(strstr(view.proposal_evidence, "agree"));
    assert_in_range(view.proposal_left_ms, 1, 1800000);
    assert_true(told_said(node, "ALARM: region r0: proposed: down"));
    assert_true(told_order(node, &approve));
    assert_true(is(node, 0, "down"));
    assert_null(told_region(node, 0).proposed);
}

static void a_rejected_proposal_does_not_come_back_for_a_while(void **state)
{
    struct told_node *node = *state;
    const struct failover_order reject = {.command = FAILOVER_REJECT, .region = 0};
    node->lab.regions[0].on_failure = CONFIG_MODE_REVIEW;
    node->lab.config.failover.proposal_ttl_ns = 60 * CLOCK_S;
    told_start(node);
    assert_false(told_order(node, &reject));
    told_kill(node, 0, 4);
    told_run(node, 60 * CLOCK_S);
    assert_true(told_order(node, &reject));
    told_run(node, 50 * CLOCK_S);
    assert_null(told_region(node, 0).proposed);
    assert_non_null(strstr(told_region(node, 0).reason, "rejected"));
    told_run(node, 20 * CLOCK_S);
    assert_non_null(told_region(node, 0).proposed);
}

static void modes_decide_who_takes_a_region_out(void **state)
{
    static const struct {
        enum config_mode mode;
        bool unless_hard;
        const char *after;
    } cases[] = {
        {CONFIG_MODE_AUTO, false, "down"},     {CONFIG_MODE_REVIEW, false, "suspect"},
        {CONFIG_MODE_REVIEW, true, "down"},    {CONFIG_MODE_MANUAL, false, "suspect"},
        {CONFIG_MODE_MANUAL, true, "suspect"},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        if (i > 0) {
            told_end(*state);
            setup(state);
        }
        struct told_node *node = *state;
        node->lab.regions[0].on_failure = cases[i].mode;
        node->lab.config.failover.review_unless_hard = cases[i].unless_hard;
        told_start(node);
        told_kill(node, 0, 4);
        told_run(node, 120 * CLOCK_S);
        assert_string_equal(told_region(node, 0).automatic, cases[i].after);
    }
}

static void modes_decide_who_brings_a_region_back(void **state)
{
    struct told_node *node = *state;
    const struct failover_order approve = {.command = FAILOVER_APPROVE, .region = 0};
    node->lab.regions[0].on_recovery = CONFIG_MODE_REVIEW;
    told_start(node);
    told_kill(node, 0, 4);
    told_run(node, 60 * CLOCK_S);
    told_kill(node, 0, 0);
    told_run(node, 600 * CLOCK_S);
    assert_true(is(node, 0, "down"));
    assert_string_equal(told_region(node, 0).proposed, "recovering");
    assert_true(told_order(node, &approve));
    assert_true(is(node, 0, "recovering"));
}

/* A hundred first bytes a second, each within 2^BUCKET us. */
static void answer_within(struct told_node *node, uint32_t bucket, uint32_t seconds)
{
    for (uint32_t s = 0; s < seconds; s++) {
        node->loads.slots[0].first_bytes.buckets[bucket] += 100;
        told_run(node, CLOCK_S);
    }
}

static void a_region_that_comes_back_slower_goes_down_again(void **state)
{
    struct told_node *node = *state;
    told_start(node);
    answer_within(node, 14, 60);
    told_kill(node, 0, 4);
    told_run(node, 60 * CLOCK_S);
    assert_true(is(node, 0, "down"));
    told_kill(node, 0, 0);
    while (!is(node, 0, "recovering"))
        told_run(node, CLOCK_S);
    answer_within(node, 15, 10); /* not surely twice */
    assert_true(is(node, 0, "recovering"));
    answer_within(node, 20, 10);
    assert_true(is(node, 0, "down"));
    assert_non_null(strstr(told_region(node, 0).reason, "first bytes later than 200 %"));
}

static void note_line(void *context, uint64_t unix_ms, const char *text)
{
    uint32_t *found = context;
    *found += strstr(text, "ALARM: region r0: proposed: down") != NULL && unix_ms > 0;
}

static void what_was_said_can_be_read_again(void **state)
{
    struct told_node *node = *state;
    uint32_t found = 0;
    node->lab.regions[0].on_failure = CONFIG_MODE_REVIEW;
    told_start(node);
    told_kill(node, 0, 4);
    told_run(node, 60 * CLOCK_S);
    failover_lines(node->failover, note_line, &found);
    assert_int_equal(found, 1);
}

static void dry_run_changes_nothing_and_says_what_it_would_do(void **state)
{
    struct told_node *node = *state;
    const struct failover_order drain = {.command = FAILOVER_DRAIN, .region = 1};
    node->lab.config.failover.dry_run = true;
    told_start(node);
    told_kill(node, 0, 4);
    told_run(node, 120 * CLOCK_S);
    assert_true(is(node, 0, "up"));
    assert_true(told_view(node).dry_run);
    assert_true(told_said(node, "region r0 should be suspect"));
    assert_non_null(strstr(told_region(node, 0).reason, "dry_run"));
    assert_true(told_order(node, &drain));
}

/* Its end would leave no region active: that is said, and must not keep another one from coming
 * back. */
static void a_force_that_cannot_end_holds_nothing_up(void **state)
{
    struct told_node *node = *state;
    const struct failover_order drain = {.command = FAILOVER_DRAIN, .region = 2};
    const struct failover_order force = {
        .command = FAILOVER_FORCE_UP, .region = 0, .ttl_ms = 300 * 1000};
    told_start(node);
    assert_true(told_order(node, &drain));
    told_kill(node, 1, 4);
    told_run(node, 60 * CLOCK_S);
    assert_true(is(node, 1, "down"));
    assert_true(told_order(node, &force)); /* beneath it r0 fails, too */
    told_kill(node, 0, 4);
    told_run(node, 400 * CLOCK_S);
    assert_true(
        told_said(node, "ALARM: region r0: its override has expired and stays, for rule S1"));
    assert_non_null(strstr(told_region(node, 0).reason, "its override has expired and stays"));
    assert_int_equal(told_view(node).expiries_held, 1);
    told_kill(node, 1, 0);
    told_run(node, 600 * CLOCK_S);
    assert_true(is(node, 1, "up"));
    assert_int_equal(told_view(node).expiries_held, 1);
    assert_null(strstr(told_region(node, 0).reason, "its override has expired and stays"));
    assert_string_equal(told_region(node, 0).override, "none");
    assert_true(is(node, 0, "down"));
}

static void s1_names_the_regions_that_could_be_brought_back(void **state)
{
    struct told_node *node = *state;
    struct failover_order order = {.command = FAILOVER_DRAIN, .region = 1};
    told_start(node);
    assert_true(told_order(node, &order));
    order = (struct failover_order){.command = FAILOVER_FORCE_DOWN, .region = 2};
    assert_true(told_order(node, &order));
    told_kill(node, 0, 4);
    told_run(node, 60 * CLOCK_S);
    assert_true(failover_region_active(node->failover, 0));
    assert_true(told_said(node,
                          "rule S1: too few active regions would be left; out by an operator, "
                          "but healthy: r1, r2"));
}

static void hard_failure_is_what_the_configuration_says(void **state)
{
    struct told_node *node = *state;
    node->lab.config.failover.hard_tries = 100000;
    node->lab.config.failover.suspect_below = 0; /* nothing else takes it out */
    node->lab.config.failover.degraded_below = 0;
    told_start(node);
    told_kill(node, 0, 4);
    told_run(node, 300 * CLOCK_S);
    assert_true(is(node, 0, "up"));
    node->lab.config.failover.hard_tries = 5;
    failover_apply(node->failover, &node->lab.config);
    told_run(node, 60 * CLOCK_S);
    assert_true(is(node, 0, "down"));
}

static void min_active_regions_is_what_the_configuration_says(void **state)
{
    struct told_node *node = *state;
    node->lab.config.failover.min_active_regions = 3;
    told_start(node);
    told_kill(node, 0, 4);
    told_run(node, 120 * CLOCK_S);
    assert_true(is(node, 0, "suspect"));
    assert_true(told_said(node, "rule S1"));
    node->lab.config.failover.min_active_regions = 2;
    failover_apply(node->failover, &node->lab.config);
    told_run(node, 60 * CLOCK_S);
    assert_true(is(node, 0, "down"));
}

/* One after the other, each with what the rules ask for in between. */
static void an_interval_between_downs_is_kept(void **state)
{
    struct told_node *node = *state;
    node->lab.config.failover.down_interval_ns = 600 * CLOCK_S;
    node->lab.config.failover.correlated_ns = CLOCK_S;
    told_start(node);
    told_kill(node, 0, 4);
    told_run(node, 60 * CLOCK_S);
    assert_true(is(node, 0, "down"));
    told_kill(node, 0, 0);
    told_run(node, 300 * CLOCK_S);
    told_kill(node, 1, 4);
    told_run(node, 120 * CLOCK_S);
    assert_true(is(node, 1, "suspect"));
    assert_true(told_said(node, "rule S2"));
    told_run(node, 600 * CLOCK_S);
    assert_true(is(node, 1, "down"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(a_proposal_is_shown_and_approved),
        CASE(a_rejected_proposal_does_not_come_back_for_a_while),
        CASE(modes_decide_who_takes_a_region_out),
        CASE(modes_decide_who_brings_a_region_back),
        CASE(a_region_that_comes_back_slower_goes_down_again),
        CASE(what_was_said_can_be_read_again),
        CASE(dry_run_changes_nothing_and_says_what_it_would_do),
        CASE(a_force_that_cannot_end_holds_nothing_up),
        CASE(s1_names_the_regions_that_could_be_brought_back),
        CASE(hard_failure_is_what_the_configuration_says),
        CASE(min_active_regions_is_what_the_configuration_says),
        CASE(an_interval_between_downs_is_kept),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
