/* region_explain: each way out of a state, what is missing for it, and when it is due. */
#include "control/region_explain.h"

#include "control/region_table.h"
#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"
#include "tests/support/failover_lab.h"

#include <stdio.h>
#include <string.h>

#define NOW_MS 1700000000000ull
#define NODES  3

struct world {
    struct lab_config lab;
    struct region_rules rules;
    struct region_state state;
    struct region_votes votes;
    struct region_explanation explanation;
};

static struct world *world_make(enum region_automatic automatic)
{
    static struct world world;
    memset(&world, 0, sizeof(world));
    lab_config_make(&world.lab, 3, 1);
    lab_config_cluster(&world.lab, NODES, 0, "127.0.0.1:6379");
    region_rules_init(&world.rules, &world.lab.config);
    region_state_init(&world.state, &world.lab.config);
    world.state.regions[0].automatic = automatic;
    world.votes.count = NODES;
    for (uint32_t n = 0; n < NODES; n++) {
        struct region_vote *vote = &world.votes.votes[n];
        vote->agreement = world.rules.agreement;
        for (uint32_t r = 0; r < 3; r++)
            for (int e = 0; e < REGION_EVIDENCES; e++)
                vote->regions[r].held_ms[e] = REGION_NOT_HELD;
    }
    return &world;
}

static void hold(struct world *world, uint32_t node, enum region_evidence evidence, int32_t for_ms)
{
    world->votes.votes[node].regions[0].held_ms[evidence] = for_ms;
}

/* The way to TO by what TEXT says. */
static const struct region_way *way(struct world *world, enum region_automatic to, const char *text)
{
    struct region_explanation *explanation = &world->explanation;
    region_explain(&world->rules, &world->state, &world->votes, NOW_MS, 0, explanation);
    for (uint32_t i = 0; i < explanation->way_count; i++)
        if (explanation->ways[i].to == to && strstr(explanation->ways[i].evidence, text) != NULL)
            return &explanation->ways[i];
    fail_msg("no way to %s by %s", region_automatic_name(to), text);
    return NULL;
}

static void assert_text(struct world *world, enum region_automatic to, const char *evidence,
                        const char *text)
{
    char out[REGION_REASON_MAX];
    assert_string_equal(region_way_text(way(world, to, evidence), 2, out), text);
}

static void every_row_is_a_way_from_its_state(void **state)
{
    for (unsigned a = 0; a < REGION_AUTOMATICS; a++) {
        struct world *world = world_make((enum region_automatic)a);
        uint32_t rows = 0;
        for (uint32_t r = 0; r < region_row_count; r++)
            rows += region_rows[r].from == (enum region_automatic)a;
        region_explain(&world->rules, &world->state, &world->votes, NOW_MS, 0, &world->explanation);
        bool ramp = a == REGION_RECOVERING; /* one of two: a further step, or the last one */
        assert_int_equal(world->explanation.way_count, rows - ramp);
        assert_int_equal(world->explanation.needed, 2);
        assert_int_equal(world->explanation.seeing, 3);
    }
}

static void votes_then_time_then_rules_hold_a_way(void **state)
{
    struct world *world = world_make(REGION_SUSPECT);
    assert_text(world, REGION_DOWN, "25 %", "0 of 2 votes needed say so");
    hold(world, 0, REGION_BELOW_SUSPECT, 9000);
    assert_text(world, REGION_DOWN, "25 %", "1 of 2 votes needed say so");
    hold(world, 1, REGION_BELOW_SUSPECT, 2000);
    assert_text(world, REGION_DOWN, "25 %", "due in 4.0 s if the votes stay so");
    hold(world, 2, REGION_BELOW_SUSPECT, 5900);
    assert_text(world, REGION_DOWN, "25 %", "due in 0.1 s if the votes stay so");
    hold(world, 2, REGION_BELOW_SUSPECT, 6000);
    assert_text(world, REGION_DOWN, "25 %", "due now");
    world->state.regions[1].automatic = REGION_DOWN;
    world->state.regions[2].override = REGION_OVERRIDE_DRAIN;
    assert_text(world, REGION_DOWN, "25 %", region_answer_text(REGION_REFUSED_S1));
}

/* What is said to be due at a time is due then, and not a millisecond before. */
static void due_is_when_the_rules_would_do_it(void **state)
{
    struct world *world = world_make(REGION_DOWN);
    struct region_record *record = &world->state.regions[0];
    record->hold_down_until_ms = NOW_MS + 100000;
    record->penalty = 3000;
    record->penalty_at_ms = NOW_MS - 1000;
    record->kept_out = 1;
    for (uint32_t n = 0; n < NODES; n++)
        hold(world, n, REGION_AT_LEAST_RECOVER, 900000);
    uint64_t wait_ms = way(world, REGION_RECOVERING, "50 %")->wait_ms;
    assert_true(world->explanation.kept_out);
    assert_true(wait_ms > 1000000);
    assert_true(
        region_rules_propose(&world->rules, &world->state, &world->votes, NOW_MS + wait_ms, 0).due);
    assert_false(
        region_rules_propose(&world->rules, &world->state, &world->votes, NOW_MS + wait_ms - 1, 0)
            .due);
    record->kept_out = 0;
    assert_int_equal(way(world, REGION_RECOVERING, "50 %")->wait_ms, 100000);
}

static void a_step_of_the_ramp_waits_for_its_end(void **state)
{
    struct world *world = world_make(REGION_RECOVERING);
    world->state.regions[0].step_since_ms = NOW_MS - 20000;
    for (uint32_t n = 0; n < NODES; n++)
        hold(world, n, REGION_AT_LEAST_KEEP, 0);
    assert_int_equal(way(world, REGION_RECOVERING, "40 %")->wait_ms, 40000);
    world->state.regions[0].ramp_step = world->rules.ramp_steps - 1;
    assert_int_equal(way(world, REGION_UP, "40 %")->wait_ms, 40000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_a_way_from_its_state),
        cmocka_unit_test(votes_then_time_then_rules_hold_a_way),
        cmocka_unit_test(due_is_when_the_rules_would_do_it),
        cmocka_unit_test(a_step_of_the_ramp_waits_for_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
