#include "dataplane/base/memory.h"
#include "dataplane/request/plan.h"
#include "tests/support/cmocka.h"

static struct plans plans;
static uint8_t section_room[4096], found_room[4096], key_room[COALESCE_KEY_BYTES];

static int set_up(void **state)
{
    (void)state;
    return plans_init(&plans, -1) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    memory_reset();
    return 0;
}

static struct fields section(size_t value_bytes)
{
    static uint8_t value[2048];
    struct fields fields;
    fields_init(&fields, section_room, sizeof(section_room));
    memset(value, 'v', sizeof(value));
    fields_add_token(&fields, FIELD_METHOD, bytes_text("GET"));
    fields.part_ends[PART_OWN] = fields.part_ends[PART_FIELDS] = fields.used;
    fields_add_token(&fields, FIELD_ACCEPT, bytes_of(value, value_bytes));
    return fields;
}

static const struct plan *find(struct plan_of of)
{
    struct fields found;
    fields_init(&found, found_room, sizeof(found_room));
    return plans_find(&plans, &of, &found, key_room);
}

/* A plan for it, whose route tells it from others. */
static void keep(struct plan_of of, uint16_t route, size_t value_bytes, size_t key_bytes)
{
    struct fields forwarded = section(value_bytes);
    struct plan plan = {.route = route, .key = bytes_of(key_room, key_bytes)};
    plans_keep(&plans, &of, &plan, &forwarded);
}

static void a_plan_is_found_for_the_same_section_only(void **state)
{
    const struct plan_of of = {7, 1, false};
    assert_null(find(of));
    keep(of, 3, 10, 0);
    assert_int_equal(find(of)->route, 3);
    assert_null(find((struct plan_of){8, 1, false}));
    assert_null(find((struct plan_of){7, 2, false}));
    assert_null(find((struct plan_of){7, 1, true}));
    assert_null(find((struct plan_of){7 + PLAN_PLACES, 1, false}));
}

static void what_is_forwarded_and_the_key_are_copies(void **state)
{
    const struct plan_of of = {7, 1, false};
    struct fields found;
    memset(key_room, 'k', 40);
    keep(of, 3, 10, 40);
    struct fields wanted = section(10);
    memset(key_room, 'x', sizeof(key_room));
    fields_init(&found, found_room, sizeof(found_room));
    const struct plan *plan = plans_find(&plans, &of, &found, key_room);
    assert_int_equal(plan->key.length, 40);
    assert_int_equal(plan->key.data[39], 'k');
    assert_int_equal(found.used, wanted.used);
    assert_memory_equal(found.data, wanted.data, wanted.used);
    assert_int_equal(found.part_ends[PART_FIELDS], wanted.part_ends[PART_FIELDS]);
    assert_true(fields_may_have(&found, FIELD_ACCEPT));
    fields_add_token(&found, FIELD_ACCEPT, bytes_text("another")); /* does not change the plan */
    fields_init(&found, found_room, sizeof(found_room));
    assert_non_null(plans_find(&plans, &of, &found, key_room));
    assert_int_equal(found.count, wanted.count);
}

static void later_plans_take_places_over(void **state)
{
    const struct plan_of first = {7, 1, false};
    const struct plan_of second = {7 + PLAN_PLACES, 1, false};
    keep(first, 1, 10, 0);
    keep(second, 2, 10, 0);
    assert_null(find(first));
    assert_int_equal(find(second)->route, 2);
    keep((struct plan_of){7, 2, false}, 3, 10, 0);
    assert_int_equal(find((struct plan_of){7, 2, false})->route, 3);
}

static void sections_without_name_and_large_ones_have_none(void **state)
{
    keep((struct plan_of){0, 1, false}, 1, 10, 0);
    assert_null(find((struct plan_of){0, 1, false}));
    keep((struct plan_of){7, 1, false}, 1, PLAN_SECTION_BYTES, 0);
    assert_null(find((struct plan_of){7, 1, false}));
    keep((struct plan_of){7, 1, false}, 1, 10, PLAN_KEY_BYTES + 1);
    assert_null(find((struct plan_of){7, 1, false}));
    keep((struct plan_of){7, 1, false}, 1, 10, PLAN_KEY_BYTES);
    assert_non_null(find((struct plan_of){7, 1, false}));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_plan_is_found_for_the_same_section_only),
        CASE(what_is_forwarded_and_the_key_are_copies),
        CASE(later_plans_take_places_over),
        CASE(sections_without_name_and_large_ones_have_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
