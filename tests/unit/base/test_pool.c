#include "dataplane/base/pool.h"

#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"
#include "dataplane/base/random.h"
#include "dataplane/base/sanitizer.h"
#include "tests/support/cmocka.h"
#include "tests/support/expect_stop.h"

#include <string.h>

#define COUNT 37

static int reset(void **state)
{
    memory_reset();
    return 0;
}

static struct pool pool_of(enum pool_order order, uint32_t count, size_t object_bytes)
{
    struct pool pool;
    assert_true(pool_init(&pool, "objects", order, count, object_bytes, -1));
    return pool;
}

static void objects_are_apart_and_aligned(void **state)
{
    static const struct {
        size_t asked, rounded;
    } sizes[] = {{1, 16}, {16, 16}, {17, 32}, {63, 64}, {64, 64}, {65, 128}, {1000, 1024}};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct pool pool = pool_of(POOL_LIFO, COUNT, sizes[s].asked);
        assert_int_equal(pool.object_bytes, sizes[s].rounded);
        uint8_t *objects[COUNT];
        for (uint32_t i = 0; i < COUNT; i++) {
            objects[i] = pool_take(&pool);
            assert_int_equal((uintptr_t)objects[i] % (sizes[s].rounded < 64 ? 16 : 64), 0);
            memset(objects[i], (int)i, sizes[s].asked);
        }
        for (uint32_t i = 0; i < COUNT; i++)
            for (size_t b = 0; b < sizes[s].asked; b++)
                assert_int_equal(objects[i][b], i);
        memory_reset();
    }
}

static void slots_are_known_by_their_address(void **state)
{
    for (size_t bytes = 16; bytes <= 2048; bytes += 16) {
        struct pool pool = pool_of(POOL_LIFO, COUNT, bytes);
        for (uint32_t i = 0; i < COUNT; i++)
            assert_int_equal(pool_index(&pool, pool.objects + (size_t)i * pool.object_bytes), i);
        memory_reset();
    }
}

static void last_given_is_next_taken_in_lifo_order(void **state)
{
    struct pool pool = pool_of(POOL_LIFO, 4, 32);
    void *a = pool_take(&pool);
    void *b = pool_take(&pool);
    pool_give(&pool, a);
    pool_give(&pool, b);
    assert_ptr_equal(pool_take(&pool), b);
    assert_ptr_equal(pool_take(&pool), a);
}

static void a_resting_slot_is_taken_after_others_were_given(void **state)
{
    struct pool pool = pool_of(POOL_RESTING, 3 * POOL_REST, 32);
    void *objects[2 * POOL_REST];
    for (uint32_t i = 0; i < array_count(objects); i++)
        objects[i] = pool_take(&pool);
    for (uint32_t i = 0; i < POOL_REST; i++)
        pool_give(&pool, objects[i]);
    void *fresh = pool_take(&pool); /* they all rest */
    for (uint32_t i = 0; i < POOL_REST; i++)
        assert_ptr_not_equal(fresh, objects[i]);
    pool_give(&pool, fresh);
    assert_ptr_equal(pool_take(&pool), objects[0]);
}

static void what_rests_is_taken_when_nothing_else_is_free(void **state)
{
    struct pool pool = pool_of(POOL_RESTING, 4, 32);
    void *a = pool_take(&pool);
    void *b = pool_take(&pool);
    pool_give(&pool, b);
    pool_give(&pool, a);
    void *c = pool_take(&pool);
    void *d = pool_take(&pool);
    assert_true(c != a && c != b && d != a && d != b && c != d);
    assert_ptr_equal(pool_take(&pool), b); /* which rested longest */
    assert_ptr_equal(pool_take(&pool), a);
    assert_null(pool_take(&pool));
}

static void a_worker_goes_round_few_objects(void **state)
{
    struct pool pool = pool_of(POOL_RESTING, 1000, 32);
    uint32_t highest = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        void *object = pool_take(&pool);
        highest = pool_index(&pool, object) > highest ? pool_index(&pool, object) : highest;
        pool_give(&pool, object);
    }
    assert_true(highest <= POOL_REST);
}

static void empty_pool_gives_null_and_low_water_remembers(void **state)
{
    for (enum pool_order order = POOL_LIFO; order <= POOL_RESTING; order++) {
        struct pool pool = pool_of(order, 3, 32);
        assert_int_equal(pool.low_water, 3);
        void *object = pool_take(&pool);
        pool_give(&pool, object);
        assert_int_equal(pool.low_water, 2);
        for (int i = 0; i < 3; i++)
            object = pool_take(&pool);
        assert_null(pool_take(&pool));
        assert_int_equal(pool_used(&pool), 3);
        pool_give(&pool, object);
        assert_int_equal(pool_used(&pool), 2);
        assert_int_equal(pool.low_water, 0);
        assert_non_null(pool_take(&pool));
        memory_reset();
    }
}

static void pool_without_objects_is_legal(void **state)
{
    struct pool pool = pool_of(POOL_RESTING, 0, 32);
    assert_null(pool_take(&pool));
    assert_null(pool_get(&pool, handle_make(0, 1)));
    assert_null(pool_at(&pool, 0));
    assert_int_equal(pool_used(&pool), 0);
}

static void handle_ends_with_its_object(void **state)
{
    struct pool pool = pool_of(POOL_LIFO, 2, 32);
    void *object = pool_take(&pool);
    handle first = pool_handle(&pool, object);
    assert_true(first != HANDLE_NONE);
    assert_ptr_equal(pool_get(&pool, first), object);
    pool_give(&pool, object);
    assert_null(pool_get(&pool, first));
    assert_ptr_equal(pool_take(&pool), object);
    assert_null(pool_get(&pool, first));
    assert_true(pool_handle(&pool, object) != first);
}

static void handles_of_nonsense_find_nothing(void **state)
{
    struct pool pool = pool_of(POOL_LIFO, 2, 32);
    void *object = pool_take(&pool);
    uint32_t index = pool_index(&pool, object);
    assert_null(pool_get(&pool, HANDLE_NONE));
    assert_null(pool_get(&pool, handle_make(2, 1)));
    assert_null(pool_get(&pool, handle_make(UINT32_MAX, 1)));
    assert_null(pool_get(&pool, handle_make(index, 0)));
    assert_null(pool_get(&pool, handle_make(index, 2)));
    assert_null(pool_get(&pool, handle_make(index, 3)));
    assert_null(pool_get(&pool, handle_make(1 - index, 0)));
    assert_ptr_equal(pool_get(&pool, handle_make(index, 1)), object);
}

static void generation_wraps_past_zero(void **state)
{
    struct pool pool = pool_of(POOL_RESTING, 1, 32);
    pool.generations[0] = UINT32_MAX - 1;
    void *object = pool_take(&pool);
    handle last = pool_handle(&pool, object);
    assert_int_equal(handle_generation(last), UINT32_MAX);
    assert_ptr_equal(pool_get(&pool, last), object);
    pool_give(&pool, object);
    assert_null(pool_get(&pool, last));
    assert_null(pool_get(&pool, HANDLE_NONE));
    object = pool_take(&pool);
    assert_int_equal(handle_generation(pool_handle(&pool, object)), 1);
}

static void walk_meets_exactly_what_is_in_use(void **state)
{
    struct pool pool = pool_of(POOL_LIFO, 4, 32);
    void *a = pool_take(&pool);
    void *b = pool_take(&pool);
    void *c = pool_take(&pool);
    pool_give(&pool, b);
    unsigned met = 0;
    for (uint32_t i = 0; i < 6; i++) {
        void *object = pool_at(&pool, i);
        if (object == NULL)
            continue;
        assert_true(object == a || object == c);
        met++;
    }
    assert_int_equal(met, 2);
}

struct misuse {
    struct pool *pool;
    void *object;
};

static void give(void *context)
{
    struct misuse *misuse = context;
    pool_give(misuse->pool, misuse->object);
}

static void name(void *context)
{
    struct misuse *misuse = context;
    (void)pool_handle(misuse->pool, misuse->object);
}

static void wrong_gives_stop_the_process(void **state)
{
    for (enum pool_order order = POOL_LIFO; order <= POOL_RESTING; order++) {
        struct pool pool = pool_of(order, 4, 64);
        uint8_t *object = pool_take(&pool);
        uint8_t *given = pool_take(&pool);
        assert_false(stops_the_process(give, &(struct misuse){&pool, given}));
        pool_give(&pool, given);
        assert_true(stops_the_process(give, &(struct misuse){&pool, given}));
        assert_true(stops_the_process(name, &(struct misuse){&pool, given}));
        assert_true(stops_the_process(give, &(struct misuse){&pool, object + 16}));
        assert_true(stops_the_process(give, &(struct misuse){&pool, pool.objects - 64}));
        assert_true(stops_the_process(give, &(struct misuse){&pool, pool.objects + 4 * 64}));
        assert_true(stops_the_process(give, &(struct misuse){&pool, NULL}));
        memory_reset();
    }
}

static void init_fails_cleanly_when_memory_runs_out(void **state)
{
    for (uint32_t n = 0; n < 3; n++) {
        struct pool pool;
        memory_fail_after(n);
        assert_false(pool_init(&pool, "objects", POOL_LIFO, 8, 32, -1));
        memory_reset();
    }
    struct pool pool;
    memory_fail_after(3);
    assert_true(pool_init(&pool, "objects", POOL_LIFO, 8, 32, -1));
}

static void free_objects_are_poisoned_for_the_sanitizer(void **state)
{
    if (!SANITIZER_ADDRESS) {
        print_message("built without AddressSanitizer: nothing is poisoned\n");
        skip();
    }
    struct pool pool = pool_of(POOL_LIFO, 2, 32);
    assert_true(sanitizer_is_poisoned(pool.objects));
    uint8_t *object = pool_take(&pool);
    assert_false(sanitizer_is_poisoned(object));
    assert_false(sanitizer_is_poisoned(object + 31));
    pool_give(&pool, object);
    assert_true(sanitizer_is_poisoned(object));
    assert_true(sanitizer_is_poisoned(object + 31));
}

/* What is taken is free before, what is given is found no more; a shadow array knows the truth. */
static void random_takes_and_gives_agree_with_a_model(void **state)
{
    struct random random;
    random_seed(&random, 1);
    for (enum pool_order order = POOL_LIFO; order <= POOL_RESTING; order++) {
        struct pool pool = pool_of(order, COUNT, 48);
        handle held[COUNT];
        uint32_t held_count = 0;
        for (int step = 0; step < 20000; step++) {
            if (random_below(&random, 2) == 0) {
                void *object = pool_take(&pool);
                assert_int_equal(object == NULL, held_count == COUNT);
                if (object == NULL)
                    continue;
                handle h = pool_handle(&pool, object);
                for (uint32_t i = 0; i < held_count; i++)
                    assert_int_not_equal(handle_index(held[i]), handle_index(h));
                held[held_count++] = h;
            } else if (held_count > 0) {
                uint32_t at = random_below(&random, held_count);
                handle h = held[at];
                held[at] = held[--held_count];
                pool_give(&pool, pool_get(&pool, h));
                assert_null(pool_get(&pool, h));
            }
            assert_int_equal(pool_used(&pool), held_count);
        }
        memory_reset();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(objects_are_apart_and_aligned, reset),
        cmocka_unit_test_teardown(slots_are_known_by_their_address, reset),
        cmocka_unit_test_teardown(last_given_is_next_taken_in_lifo_order, reset),
        cmocka_unit_test_teardown(a_resting_slot_is_taken_after_others_were_given, reset),
        cmocka_unit_test_teardown(what_rests_is_taken_when_nothing_else_is_free, reset),
        cmocka_unit_test_teardown(a_worker_goes_round_few_objects, reset),
        cmocka_unit_test_teardown(empty_pool_gives_null_and_low_water_remembers, reset),
        cmocka_unit_test_teardown(pool_without_objects_is_legal, reset),
        cmocka_unit_test_teardown(handle_ends_with_its_object, reset),
        cmocka_unit_test_teardown(handles_of_nonsense_find_nothing, reset),
        cmocka_unit_test_teardown(generation_wraps_past_zero, reset),
        cmocka_unit_test_teardown(walk_meets_exactly_what_is_in_use, reset),
        cmocka_unit_test_teardown(wrong_gives_stop_the_process, reset),
        cmocka_unit_test_teardown(init_fails_cleanly_when_memory_runs_out, reset),
        cmocka_unit_test_teardown(free_objects_are_poisoned_for_the_sanitizer, reset),
        cmocka_unit_test_teardown(random_takes_and_gives_agree_with_a_model, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
