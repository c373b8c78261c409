#include "dataplane/request/admission.h"

#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"
#include "dataplane/coalesce/principal.h"
#include "dataplane/region/snapshot.h"
#include "tests/support/cmocka.h"

static struct principals principals;

static int set_up(void **state)
{
    return principals_init(&principals, 16, (struct siphash_key){1, 2}, -1) ? 0 : -1;
}

static int tear_down(void **state)
{
    assert_int_equal(principals_count(&principals), 0);
    memory_reset();
    return 0;
}

static struct admission with(uint32_t requests, uint32_t of_a_principal)
{
    struct admission admission;
    struct snapshot_admission limits = {.requests = requests,
                                        .requests_per_principal = of_a_principal};
    admission_init(&admission, 160);
    admission_set(&admission, &limits);
    return admission;
}

/* As many as get in. */
static uint32_t fill(struct admission *admission, struct principal *principal,
                     enum admission_verdict *out_last)
{
    uint32_t count = 0;
    while ((*out_last = admission_ask(admission, principal, PRIORITY_CRITICAL)) == ADMISSION_OK)
        count++;
    return count;
}

static void empty(struct admission *admission, struct principal *principal)
{
    while (principal->requests > 0)
        admission_end(admission, principal);
    principal_drop(principal);
}

static void c29_limits_are_what_the_snapshot_says(void **state)
{
    static const struct {
        uint32_t requests;
        uint32_t of_a_principal;
        uint32_t first;  /* that a first principal gets */
        uint32_t second; /* and a second one afterwards */
    } cases[] = {
        {0, 0, 113, 28},    /* 150 of 160 exchanges; three quarters of what is left */
        {100, 0, 75, 19},   /* likewise */
        {1000, 0, 113, 28}, /* no more than there are exchanges for */
        {100, 10, 10, 10},  {100, 1000, 75, 19}, {4, 0, 3, 1}, {1, 0, 1, 0},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct admission admission = with(cases[i].requests, cases[i].of_a_principal);
        struct principal *first = principals_take(&principals, 1, 0, 8);
        struct principal *second = principals_take(&principals, 2, 0, 8);
        enum admission_verdict verdict;
        assert_int_equal(fill(&admission, first, &verdict), cases[i].first);
        assert_int_equal(fill(&admission, second, &verdict), cases[i].second);
        assert_int_equal(admission.in_progress, cases[i].first + cases[i].second);
        empty(&admission, first);
        empty(&admission, second);
        assert_int_equal(admission.in_progress, 0);
    }
}

static void c29_a_refusal_names_its_limit(void **state)
{
    struct admission admission = with(2, 1);
    struct principal *first = principals_take(&principals, 1, 0, 8);
    struct principal *second = principals_take(&principals, 2, 0, 8);
    enum admission_verdict verdict;
    assert_int_equal(fill(&admission, first, &verdict), 1);
    assert_int_equal(verdict, ADMISSION_PRINCIPAL);
    assert_int_equal(fill(&admission, second, &verdict), 1);
    assert_int_equal(verdict, ADMISSION_FULL);
    admission_end(&admission, first);
    assert_int_equal(admission_ask(&admission, first, PRIORITY_CRITICAL), ADMISSION_OK);
    empty(&admission, first);
    empty(&admission, second);
}

static void c29_a_smaller_limit_ends_nothing(void **state)
{
    struct admission admission = with(0, 0);
    struct principal *first = principals_take(&principals, 1, 0, 8);
    enum admission_verdict verdict;
    fill(&admission, first, &verdict);
    admission_set(&admission, &(struct snapshot_admission){.requests = 5});
    assert_int_equal(first->requests, 113);
    assert_int_equal(admission_ask(&admission, first, PRIORITY_CRITICAL), ADMISSION_FULL);
    empty(&admission, first);
}

static void c29_refusals_have_their_own_room(void **state)
{
    struct admission admission = with(0, 0);
    uint32_t count = 0;
    while (admission_refusal_begins(&admission))
        count++;
    assert_int_equal(count, 160 / REFUSALS_SHARE);
    admission_refusal_ends(&admission);
    assert_true(admission_refusal_begins(&admission));
    assert_false(admission_refusal_begins(&admission));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void who_matters_less_finds_the_worker_full_sooner(void **state)
{
    static const struct {
        uint32_t limit;
        enum priority priority;
        uint32_t expected;
    } cases[] = {
        {100, PRIORITY_CRITICAL, 100}, {100, PRIORITY_NORMAL, 90}, {100, PRIORITY_SHEDDABLE, 70},
        {1, PRIORITY_SHEDDABLE, 1},    {2, PRIORITY_SHEDDABLE, 2}, {4, PRIORITY_SHEDDABLE, 3},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct admission admission = with(cases[i].limit, 0);
        struct principal *some[100];
        uint32_t count = 0;
        for (;; count++) { /* each asks once */
            struct principal *principal = principals_take(&principals, 1 + count % 12, 0, 8);
            principal->requests = 0;
            if (admission_ask(&admission, principal, cases[i].priority) != ADMISSION_OK) {
                principal_drop(principal);
                break;
            }
            some[count] = principal;
        }
        assert_int_equal(count, cases[i].expected);
        for (uint32_t c = 0; c < count; c++) {
            some[c]->requests = 0;
            principal_drop(some[c]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(c29_limits_are_what_the_snapshot_says),
        CASE(c29_a_refusal_names_its_limit),
        CASE(c29_a_smaller_limit_ends_nothing),
        CASE(c29_refusals_have_their_own_room),
        cmocka_unit_test_setup_teardown(who_matters_less_finds_the_worker_full_sooner, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
