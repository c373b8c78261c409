/* region_local: orders of one node alone: what they do, when they end, what is offered. */
#include "control/region_local.h"

#include "control/region_text.h"
#include "dataplane/base/random.h"
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

/* ---- any orders at any time ---- */

static uint32_t active_at(uint64_t now_ms)
{
    struct region_state routed;
    region_local_route(&local, &rules, &agreed, now_ms, &routed);
    return region_active_count(&routed);
}

static void put_field(void *context, const char *field, const char *value)
{
    assert_true(region_text_take_local(context, field, value));
}

static void expect_the_same_from_disk(void)
{
    struct region_local read = {0};
    region_text_put_local(&local, put_field, &read);
    assert_int_equal(read.count, local.count);
    for (uint32_t i = 0; i < local.count; i++) {
        assert_string_equal(read.orders[i].name, local.orders[i].name);
        assert_string_equal(read.orders[i].by, local.orders[i].by);
        assert_int_equal(read.orders[i].kind, local.orders[i].kind);
        assert_int_equal(read.orders[i].override, local.orders[i].override);
        assert_int_equal(read.orders[i].since_ms, local.orders[i].since_ms);
        assert_int_equal(read.orders[i].expires_ms, local.orders[i].expires_ms);
        assert_int_equal(read.orders[i].offered_ms, local.orders[i].offered_ms);
        assert_int_equal(read.orders[i].ramps, local.orders[i].ramps);
    }
}

/* What ends does so in a few steps, and no end takes the last region. */
static void end_what_is_over(uint64_t now_ms)
{
    uint32_t ends = 0;
    for (uint32_t before = active_at(now_ms); expire_at(now_ms); before = active_at(now_ms)) {
        assert_true(active_at(now_ms) >= before || active_at(now_ms) >= rules.min_active);
        assert_in_range(++ends, 1, 2 * REGION_LOCAL_MAX);
    }
}

static void give_any(struct random *random, uint64_t now_ms)
{
    uint32_t before = active_at(now_ms);
    uint64_t ttl_ms = random_below(random, 2) == 0 ? 0 : 1000 + random_below(random, 300000);
    bool despite = random_below(random, 5) == 0;
    (void)give_for((enum region_request_kind)random_below(random, REGION_REQUESTS),
                   random_below(random, agreed.count + 1), now_ms, ttl_ms,
                   despite ? REGION_RULE_S1 : 0);
    assert_true(despite || active_at(now_ms) >= before || active_at(now_ms) >= rules.min_active);
}

/* The store has moved on: another override, another automatic state. */
static void agree_on_anything(struct random *random)
{
    struct region_record *record = &agreed.regions[random_below(random, agreed.count)];
    record->override = (enum region_override)random_below(random, REGION_OVERRIDES);
    record->automatic = (enum region_automatic)random_below(random, REGION_AUTOMATICS);
}

static void find_the_store(uint64_t now_ms)
{
    struct region_state routed;
    region_local_offer(&local, &agreed, now_ms);
    region_local_route(&local, &rules, &agreed, now_ms, &routed);
    assert_memory_equal(&routed, &agreed, sizeof(routed));
}

static void whatever_is_ordered_a_region_stays_and_nothing_is_lost(void **state)
{
    struct random random;
    uint64_t now_ms = NOW_MS;
    random_seed(&random, 11);
    for (uint32_t step = 0; step < 20000; step++) {
        now_ms += random_below(&random, 8) == 0 ? random_below(&random, 10 * STEP) : 1000;
        end_what_is_over(now_ms);
        give_any(&random, now_ms);
        if (random_below(&random, 20) == 0)
            agree_on_anything(&random);
        if (random_below(&random, 20) == 0)
            find_the_store(now_ms);
        assert_true(local.count <= agreed.count + 1);
        expect_the_same_from_disk();
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
        CASE(whatever_is_ordered_a_region_stays_and_nothing_is_lost),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
