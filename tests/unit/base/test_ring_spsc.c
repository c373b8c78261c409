#include "dataplane/base/ring_spsc.h"

#include "dataplane/base/memory.h"
#include "dataplane/base/random.h"
#include "tests/support/cmocka.h"

#include <pthread.h>
#include <sched.h>

#define STRESS_ITEMS 300000u

struct item {
    uint64_t number;
    uint64_t twice;
    uint64_t inverse;
};

static struct item item_of(uint64_t number)
{
    return (struct item){number, 2 * number, ~number};
}

static void assert_item(struct item item, uint64_t number)
{
    assert_int_equal(item.number, number);
    assert_int_equal(item.twice, 2 * number);
    assert_int_equal(item.inverse, ~number);
}

static int reset(void **state)
{
    memory_reset();
    return 0;
}

static void count_is_rounded_up_to_a_power_of_two(void **state)
{
    static const uint32_t cases[][2] = {{1, 1}, {2, 2}, {3, 4}, {100, 128}, {128, 128}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ring_spsc ring;
        assert_true(ring_spsc_init(&ring, "ring", cases[i][0], 4, -1));
        uint32_t n = 0;
        while (ring_spsc_push(&ring, &n))
            n++;
        assert_int_equal(n, cases[i][1]);
        assert_int_equal(ring_spsc_count(&ring), n);
    }
}

static void items_come_out_in_order_and_once(void **state)
{
    struct ring_spsc ring;
    assert_true(ring_spsc_init(&ring, "ring", 8, sizeof(struct item), -1));
    struct random random;
    random_seed(&random, 3);
    uint64_t in = 0;
    uint64_t out = 0;
    for (int step = 0; step < 50000; step++) {
        struct item item = item_of(in);
        if (random_below(&random, 2) == 0) {
            bool pushed = ring_spsc_push(&ring, &item);
            assert_int_equal(pushed, in - out < 8);
            in += pushed;
        } else {
            bool popped = ring_spsc_pop(&ring, &item);
            assert_int_equal(popped, in > out);
            if (popped)
                assert_item(item, out++);
        }
        assert_int_equal(ring_spsc_count(&ring), in - out);
    }
    assert_true(out > 1000);
}

/* As if 2^32 - 3 items had passed already. */
static void counters_wrap(void **state)
{
    struct ring_spsc ring;
    assert_true(ring_spsc_init(&ring, "ring", 4, sizeof(struct item), -1));
    ring.head = ring.tail = ring.head_seen = ring.tail_seen = UINT32_MAX - 2;
    for (uint64_t round = 0; round < 8; round++) {
        for (uint64_t n = 0; n < 4; n++)
            assert_true(ring_spsc_push(&ring, &(struct item){n, 2 * n, ~n}));
        assert_false(ring_spsc_push(&ring, &(struct item){9, 18, ~9ull}));
        assert_int_equal(ring_spsc_count(&ring), 4);
        for (uint64_t n = 0; n < 4; n++) {
            struct item item;
            assert_true(ring_spsc_pop(&ring, &item));
            assert_item(item, n);
        }
        assert_int_equal(ring_spsc_count(&ring), 0);
    }
}

static void init_without_memory_fails(void **state)
{
    struct ring_spsc ring;
    memory_fail_after(0);
    assert_false(ring_spsc_init(&ring, "ring", 4, 4, -1));
}

static void *produce(void *context)
{
    struct ring_spsc *ring = context;
    for (uint64_t n = 0; n < STRESS_ITEMS; n++) {
        struct item item = item_of(n);
        while (!ring_spsc_push(ring, &item))
            sched_yield();
    }
    return NULL;
}

static void consume_all(struct ring_spsc *ring)
{
    for (uint64_t n = 0; n < STRESS_ITEMS; n++) {
        struct item item;
        while (!ring_spsc_pop(ring, &item))
            sched_yield();
        assert_item(item, n);
    }
}

/* Torn or repeated items would show as a wrong number or a wrong companion of it. */
static void two_threads_lose_and_tear_nothing(void **state)
{
    static const uint32_t counts[] = {1, 4, 1024};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct ring_spsc ring;
        struct item item;
        pthread_t producer;
        assert_true(ring_spsc_init(&ring, "ring", counts[i], sizeof(struct item), -1));
        assert_int_equal(pthread_create(&producer, NULL, produce, &ring), 0);
        consume_all(&ring);
        assert_int_equal(pthread_join(producer, NULL), 0);
        assert_false(ring_spsc_pop(&ring, &item));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(count_is_rounded_up_to_a_power_of_two, reset),
        cmocka_unit_test_teardown(items_come_out_in_order_and_once, reset),
        cmocka_unit_test_teardown(counters_wrap, reset),
        cmocka_unit_test_teardown(init_without_memory_fails, reset),
        cmocka_unit_test_teardown(two_threads_lose_and_tear_nothing, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
