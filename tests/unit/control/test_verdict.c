/* verdict: availability, hard failure, and for how long evidence has held. */
#include "control/verdict.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"

#include <string.h>

static const struct config_failover limits = {
    .hard_failure_ns = 3 * CLOCK_S,
    .suspect_below = 25,
    .degraded_below = 72,
    .recovering_below = 40,
    .clear_at = 35,
    .recover_at = 50,
    .up_at = 80,
    .worse_percent = 200,
    .worse_samples = 200,
    .worse_at_least = 5,
    .hard_tries = 5,
    .hard_tries_per_backend = 3,
};

static struct verdict_members of_four(uint32_t usable)
{
    return (struct verdict_members){
        .backends = 4, .usable = usable, .weight = 400, .usable_weight = 100ull * usable};
}

static void availability_is_usable_of_configured_weight(void **state)
{
    static const struct {
        uint64_t usable;
        uint64_t weight;
        uint32_t permille;
    } cases[] = {{0, 100, 0}, {50, 200, 250}, {1, 3, 333}, {100, 100, 1000}, {0, 0, 1000}};
    for (size_t i = 0; i < array_count(cases); i++) {
        struct verdict verdict;
        struct verdict_members members = {
            .backends = 1, .weight = cases[i].weight, .usable_weight = cases[i].usable};
        verdict_init(&verdict, 0);
        verdict_update(&verdict, CLOCK_S, &members, &limits);
        assert_int_equal(verdict_available_permille(&verdict), cases[i].permille);
    }
}

/* Exactly the evidence whose border lies on the right side, at every percentage. */
static void evidence_follows_availability_exactly_at_the_borders(void **state)
{
    static const struct {
        enum region_evidence evidence;
        uint32_t border;
        bool below;
    } borders[] = {
        {REGION_BELOW_SUSPECT, 25, true},  {REGION_BELOW_RECOVERING, 40, true},
        {REGION_BELOW_DEGRADED, 72, true}, {REGION_AT_LEAST_CLEAR, 35, false},
        {REGION_AT_LEAST_KEEP, 40, false}, {REGION_AT_LEAST_RECOVER, 50, false},
        {REGION_AT_LEAST_UP, 80, false},
    };
    for (uint32_t percent = 0; percent <= 100; percent++) {
        struct verdict verdict;
        struct verdict_members members = {
            .backends = 100, .usable = percent, .weight = 100, .usable_weight = percent};
        verdict_init(&verdict, 0);
        verdict_update(&verdict, CLOCK_S, &members, &limits);
        struct region_opinion opinion = verdict_opinion(&verdict, CLOCK_S);
        for (size_t b = 0; b < array_count(borders); b++) {
            bool held = opinion.held_ms[borders[b].evidence] != REGION_NOT_HELD;
            assert_int_equal(held, borders[b].below ? percent < borders[b].border
                                                    : percent >= borders[b].border);
        }
    }
}

static void evidence_counts_from_when_it_began_to_hold_without_a_break(void **state)
{
    struct verdict verdict;
    struct verdict_members none = of_four(0);
    struct verdict_members half = of_four(2);
    verdict_init(&verdict, 0);
    verdict_update(&verdict, 1 * CLOCK_S, &none, &limits);
    verdict_update(&verdict, 4 * CLOCK_S, &none, &limits);
    struct region_opinion opinion = verdict_opinion(&verdict, 5 * CLOCK_S);
    assert_int_equal(opinion.held_ms[REGION_BELOW_SUSPECT], 4000);
    verdict_update(&verdict, 6 * CLOCK_S, &half, &limits); /* 50 %: still below 72 */
    verdict_update(&verdict, 7 * CLOCK_S, &none, &limits);
    opinion = verdict_opinion(&verdict, 9 * CLOCK_S);
    assert_int_equal(opinion.held_ms[REGION_BELOW_SUSPECT], 2000);
    assert_int_equal(opinion.held_ms[REGION_BELOW_DEGRADED], 8000);
    assert_int_equal(opinion.held_ms[REGION_AT_LEAST_RECOVER], REGION_NOT_HELD);
}

static void a_region_whose_backends_were_never_probed_has_no_evidence(void **state)
{
    struct verdict verdict;
    struct verdict_members unproven = {.backends = 4, .usable = 4};
    verdict_init(&verdict, 0);
    verdict_tried(&verdict, 0, 0, 100);
    verdict_update(&verdict, 100 * CLOCK_S, &unproven, &limits);
    struct region_opinion opinion = verdict_opinion(&verdict, 200 * CLOCK_S);
    for (int e = 0; e < REGION_EVIDENCES; e++)
        assert_int_equal(opinion.held_ms[e], REGION_NOT_HELD);
}

/* Of 4 usable backends 12 tries are needed; of none, 5. And 3 s. And no success. */
static void hard_failure_needs_time_and_tries_and_no_success(void **state)
{
    static const struct {
        uint32_t usable;
        uint64_t tries;
        uint64_t at_ns;
        bool hard;
    } cases[] = {
        {4, 12, 3 * CLOCK_S, true}, {4, 11, 30 * CLOCK_S, false}, {4, 12, 3 * CLOCK_S - 1, false},
        {1, 5, 3 * CLOCK_S, true},  {1, 4, 3 * CLOCK_S, false},   {0, 5, 3 * CLOCK_S, true},
        {0, 4, 3 * CLOCK_S, false},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct verdict verdict;
        struct verdict_members members = of_four(cases[i].usable);
        verdict_init(&verdict, 0);
        verdict_tried(&verdict, CLOCK_S, 0, cases[i].tries);
        verdict_update(&verdict, cases[i].at_ns, &members, &limits);
        struct region_opinion opinion = verdict_opinion(&verdict, cases[i].at_ns);
        assert_int_equal(opinion.held_ms[REGION_HARD_FAILURE] != REGION_NOT_HELD, cases[i].hard);
    }
}

static void one_success_ends_a_hard_failure(void **state)
{
    struct verdict verdict;
    struct verdict_members members = of_four(4);
    verdict_init(&verdict, 0);
    verdict_tried(&verdict, 0, 0, 100);
    verdict_update(&verdict, 4 * CLOCK_S, &members, &limits);
    struct region_opinion opinion = verdict_opinion(&verdict, 6 * CLOCK_S);
    assert_int_equal(opinion.held_ms[REGION_HARD_FAILURE], 2000);
    /* However healthy the backends look. */
    assert_int_equal(opinion.held_ms[REGION_AT_LEAST_UP], REGION_NOT_HELD);
    verdict_tried(&verdict, 6 * CLOCK_S, 1, 50);
    verdict_update(&verdict, 6 * CLOCK_S, &members, &limits);
    opinion = verdict_opinion(&verdict, 7 * CLOCK_S);
    assert_int_equal(opinion.held_ms[REGION_HARD_FAILURE], REGION_NOT_HELD);
    assert_int_equal(opinion.held_ms[REGION_AT_LEAST_UP], 1000);
}

static void sums_do_not_overflow(void **state)
{
    struct verdict verdict;
    struct verdict_members members = of_four(0);
    verdict_init(&verdict, 0);
    verdict_tried(&verdict, 0, 0, UINT32_MAX);
    verdict_tried(&verdict, 0, 0, UINT64_MAX / 2);
    verdict_update(&verdict, 4 * CLOCK_S, &members, &limits);
    struct region_opinion opinion = verdict_opinion(&verdict, 400ull * 24 * 3600 * CLOCK_S);
    assert_int_equal(opinion.held_ms[REGION_HARD_FAILURE], 1000000000);
}

static void what_is_forgotten_holds_from_then_on_only(void **state)
{
    struct verdict verdict;
    struct verdict_members members = of_four(0);
    verdict_init(&verdict, 0);
    verdict_tried(&verdict, CLOCK_S, 0, 100);
    verdict_update(&verdict, 5 * CLOCK_S, &members, &limits);
    assert_int_equal(verdict_opinion(&verdict, 9 * CLOCK_S).held_ms[REGION_HARD_FAILURE], 4000);
    verdict_forget(&verdict, 9 * CLOCK_S);
    for (int e = 0; e < REGION_EVIDENCES; e++)
        assert_int_equal(verdict_opinion(&verdict, 9 * CLOCK_S).held_ms[e], REGION_NOT_HELD);
    assert_int_equal(verdict_available_permille(&verdict), 0);
    verdict_update(&verdict, 9 * CLOCK_S, &members, &limits);
    struct region_opinion opinion = verdict_opinion(&verdict, 10 * CLOCK_S);
    assert_int_equal(opinion.held_ms[REGION_BELOW_SUSPECT], 1000);
    assert_int_equal(opinion.held_ms[REGION_HARD_FAILURE], REGION_NOT_HELD);
}

/* A region that came back worse and slower, and that rule S2 kept in, gets well. */
static void worse_and_slower_end_when_the_region_is_well(void **state)
{
    static const uint64_t quick[HISTOGRAM_BUCKETS] = {[10] = 100};
    static const uint64_t slow[HISTOGRAM_BUCKETS] = {[20] = 100};
    struct verdict verdict;
    struct verdict_members members = of_four(4);
    verdict_init(&verdict, 0);
    for (uint64_t s = 1; s <= 180; s++) {
        bool is_ill = s > 60 && s <= 90;
        enum region_automatic automatic = s > 60 ? REGION_RECOVERING : REGION_UP;
        verdict_asked(&verdict, s * CLOCK_S, automatic, 100, is_ill ? 50 : 0);
        verdict_answered(&verdict, s * CLOCK_S, automatic, is_ill ? slow : quick);
        verdict_update(&verdict, s * CLOCK_S, &members, &limits);
        if (s != 90 && s != 180)
            continue;
        assert_int_equal(verdict.since_ns[REGION_WORSE] != CLOCK_NEVER, is_ill);
        assert_int_equal(verdict.since_ns[REGION_SLOWER] != CLOCK_NEVER, is_ill);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(availability_is_usable_of_configured_weight),
        cmocka_unit_test(evidence_follows_availability_exactly_at_the_borders),
        cmocka_unit_test(evidence_counts_from_when_it_began_to_hold_without_a_break),
        cmocka_unit_test(a_region_whose_backends_were_never_probed_has_no_evidence),
        cmocka_unit_test(hard_failure_needs_time_and_tries_and_no_success),
        cmocka_unit_test(one_success_ends_a_hard_failure),
        cmocka_unit_test(sums_do_not_overflow),
        cmocka_unit_test(what_is_forgotten_holds_from_then_on_only),
        cmocka_unit_test(worse_and_slower_end_when_the_region_is_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
