/* region_local: orders of one node alone: what they do, when they end, what is offered. */
#include "control/region_local.h"

#include "control/region_text.h"
#include "tests/support/cmocka.h"
#include "tests/support/failover_lab.h"

#include <stdio.h>
#include <string.h>

#define NOW_MS 1700000000000ull
#define STEP   60000ull /* of the ramp */

static struct lab_config lab;
static struct region_rules rules;
static struct region_state agreed;
static struct region_local local;

static int setup(void **state)
{
    lab_config_make(&lab, 3, 1);
    region_rules_init(&rules, &lab.config);
    region_state_init(&agreed, &lab.config);
    agreed.epoch = 5;
    memset(&local, 0, sizeof(local));
    return 0;
}

static enum region_answer give_for(enum region_request_kind kind, uint32_t region, uint64_t now_ms,
                                   uint64_t ttl_ms, uint32_t despite)
{
    struct region_request request = {
        .kind = kind, .region = region, .ttl_ms = ttl_ms, .despite = despite, .by = "uid=0"};
    return region_local_give(&local, &rules, &agreed, now_ms, &request);
}

static enum region_answer give(enum region_request_kind kind, uint32_t region)
{
    return give_for(kind, region, NOW_MS, 0, 0);
}

static struct region_record routed_at(uint32_t region, uint64_t now_ms)
{
    static struct region_state routed;
    region_local_route(&local, &rules, &agreed, now_ms, &routed);
    assert_int_equal(routed.epoch, agreed.epoch);
    return routed.regions[region];
}

static enum region_override override_of(uint32_t region)
{
    return routed_at(region, NOW_MS).override;
}

static bool expire_at(uint64_t now_ms)
{
    struct region_local_order gone;
    return region_local_expire(&local, &rules, &agreed, now_ms, &gone);
}

static void an_order_stands_over_what_is_agreed(void **state)
{
    assert_int_equal(give(REGION_DRAIN, 1), REGION_DONE);
    assert_int_equal(override_of(1), REGION_OVERRIDE_DRAIN);
    assert_int_equal(override_of(0), REGION_OVERRIDE_NONE);
    assert_int_equal(agreed.regions[1].override, REGION_OVERRIDE_NONE);
    assert_int_equal(give(REGION_FORCE_DOWN, 1), REGION_DONE);
    assert_int_equal(override_of(1), REGION_OVERRIDE_FORCE_DOWN);
    assert_int_equal(local.count, 1);
    assert_int_equal(give(REGION_UNDRAIN, 1), REGION_NO_OVERRIDE); /* it is a force */
    assert_int_equal(give(REGION_UNFORCE, 0), REGION_NO_OVERRIDE);
}

static void what_all_nodes_drained_can_be_undrained_here(void **state)
{
    agreed.regions[2].override = REGION_OVERRIDE_DRAIN;
    assert_int_equal(give(REGION_UNDRAIN, 2), REGION_DONE);
    assert_int_equal(override_of(2), REGION_OVERRIDE_NONE);
    assert_int_equal(routed_at(2, NOW_MS).automatic, REGION_RECOVERING);
}

static void the_last_active_region_stays_unless_s1_is_named(void **state)
{
    agreed.regions[0].override = REGION_OVERRIDE_DRAIN;
    assert_int_equal(give(REGION_FORCE_DOWN, 1), REGION_DONE);
    assert_int_equal(give(REGION_DRAIN, 2), REGION_REFUSED_S1);
    assert_int_equal(override_of(2), REGION_OVERRIDE_NONE);
    assert_int_equal(give_for(REGION_DRAIN, 2, NOW_MS, 0, REGION_RULE_S1), REGION_DONE);
    assert_int_equal(override_of(2), REGION_OVERRIDE_DRAIN);
}

static void a_region_comes_back_by_a_ramp_in_time(void **state)
{
    assert_int_equal(give(REGION_DRAIN, 1), REGION_DONE);
    assert_int_equal(give(REGION_UNDRAIN, 1), REGION_DONE);
    for (uint32_t step = 0; step < rules.ramp_steps; step++) {
        struct region_record record = routed_at(1, NOW_MS + step * STEP);
        assert_int_equal(record.automatic, REGION_RECOVERING);
        assert_int_equal(record.ramp_step, step);
    }
    uint64_t end_ms = NOW_MS + rules.ramp_steps * STEP;
    assert_int_equal(routed_at(1, end_ms).automatic, REGION_UP);
    assert_false(expire_at(end_ms - 1));
    assert_true(expire_at(end_ms)); /* as agreed: nothing is left of it */
    assert_int_equal(local.count, 0);
}

static void what_is_down_does_not_come_back_by_an_undrain(void **state)
{
    agreed.regions[1].automatic = REGION_DOWN;
    assert_int_equal(give(REGION_DRAIN, 1), REGION_DONE);
    assert_int_equal(give(REGION_UNDRAIN, 1), REGION_DONE);
    assert_int_equal(routed_at(1, NOW_MS).automatic, REGION_DOWN);
}

static void an_order_ends_by_its_time_and_the_ramp_follows(void **state)
{
    assert_int_equal(give_for(REGION_FORCE_DOWN, 1, NOW_MS, 5000, 0), REGION_DONE);
    assert_false(expire_at(NOW_MS + 4999));
    assert_true(expire_at(NOW_MS + 5000));
    assert_false(expire_at(NOW_MS + 5000));
    struct region_record record = routed_at(1, NOW_MS + 5000);
    assert_int_equal(record.override, REGION_OVERRIDE_NONE);
    assert_int_equal(record.automatic, REGION_RECOVERING);
    assert_int_equal(record.ramp_step, 0);
}

static void a_force_that_holds_the_last_region_does_not_end_by_itself(void **state)
{
    for (uint32_t r = 0; r < 3; r++)
        agreed.regions[r].override = REGION_OVERRIDE_DRAIN;
    assert_int_equal(give_for(REGION_FORCE_UP, 1, NOW_MS, 5000, 0), REGION_DONE);
    assert_false(expire_at(NOW_MS + 5000));
    assert_int_equal(override_of(1), REGION_OVERRIDE_FORCE_UP);
    agreed.regions[0].override = REGION_OVERRIDE_NONE;
    assert_true(expire_at(NOW_MS + 5000));
    assert_int_equal(override_of(1), REGION_OVERRIDE_DRAIN); /* as agreed */
}

static void what_differs_is_offered_and_acts_no_more(void **state)
{
    assert_int_equal(give(REGION_DRAIN, 0), REGION_DONE);
    assert_int_equal(give(REGION_DRAIN, 1), REGION_DONE);
    agreed.regions[0].override = REGION_OVERRIDE_DRAIN; /* others ordered the same */
    region_local_offer(&local, &agreed, NOW_MS);
    assert_int_equal(local.count, 1);
    assert_null(region_local_find(&local, "r0"));
    assert_int_equal(region_local_find(&local, "r1")->offered_ms, NOW_MS);
    assert_int_equal(override_of(1), REGION_OVERRIDE_NONE);
    assert_false(expire_at(NOW_MS + rules.proposal_ms - 1));
    assert_true(expire_at(NOW_MS + rules.proposal_ms));
    assert_int_equal(local.count, 0);
}

static void automation_off_is_kept_to_be_offered(void **state)
{
    assert_int_equal(give(REGION_THAW, 0), REGION_NO_OVERRIDE);
    assert_int_equal(give(REGION_FREEZE, 0), REGION_DONE);
    region_local_offer(&local, &agreed, NOW_MS);
    assert_int_equal(region_local_find(&local, REGION_LOCAL_ALL)->offered_ms, NOW_MS);
    assert_int_equal(give(REGION_THAW, 0), REGION_DONE);
    assert_int_equal(local.count, 0);
    assert_int_equal(give(REGION_FREEZE, 0), REGION_DONE);
    agreed.stopped = 1;
    region_local_offer(&local, &agreed, NOW_MS);
    assert_int_equal(local.count, 0);
}

static void what_is_not_an_order_is_not_taken(void **state)
{
    for (unsigned k = 0; k < REGION_REQUESTS; k++)
        if (!region_local_takes((enum region_request_kind)k))
            assert_int_equal(give((enum region_request_kind)k, 0), REGION_UNKNOWN);
    assert_int_equal(give(REGION_DRAIN, 3), REGION_UNKNOWN);
    assert_int_equal(local.count, 0);
}

static void orders_for_regions_that_are_gone_end(void **state)
{
    assert_int_equal(give(REGION_DRAIN, 2), REGION_DONE);
    agreed.count = 2;
    assert_true(expire_at(NOW_MS));
    assert_int_equal(local.count, 0);
}

static void wrong_fields_are_refused_and_others_skipped(void **state)
{
    assert_true(region_text_take_local(&local, "epoch", "7"));
    assert_true(region_text_take_local(&local, "region:r1:override", "drain"));
    assert_int_equal(local.count, 0);
    assert_true(region_text_take_local(&local, "local:r1:order", "drain"));
    assert_true(region_text_take_local(&local, "local:r1:of a later version", "1"));
    assert_false(region_text_take_local(&local, "local:r1:order", "approve"));
    assert_false(region_text_take_local(&local, "local:r1:override", "drained"));
    assert_false(region_text_take_local(&local, "local:r1:since", "-1"));
    assert_int_equal(local.count, 1);
    for (int i = 0; i < REGION_LOCAL_MAX; i++) {
        char field[32];
        snprintf(field, sizeof(field), "local:x%d:order", i);
        bool room = i + 1 < REGION_LOCAL_MAX;
        assert_int_equal(region_text_take_local(&local, field, "drain"), room);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup(name, setup)
        CASE(an_order_stands_over_what_is_agreed),
        CASE(what_all_nodes_drained_can_be_undrained_here),
        CASE(the_last_active_region_stays_unless_s1_is_named),
        CASE(a_region_comes_back_by_a_ramp_in_time),
        CASE(what_is_down_does_not_come_back_by_an_undrain),
        CASE(an_order_ends_by_its_time_and_the_ramp_follows),
        CASE(a_force_that_holds_the_last_region_does_not_end_by_itself),
        CASE(what_differs_is_offered_and_acts_no_more),
        CASE(automation_off_is_kept_to_be_offered),
        CASE(what_is_not_an_order_is_not_taken),
        CASE(orders_for_regions_that_are_gone_end),
        CASE(wrong_fields_are_refused_and_others_skipped),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
