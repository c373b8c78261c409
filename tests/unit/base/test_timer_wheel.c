#include "dataplane/base/timer_wheel.h"

#include "dataplane/base/clock.h"
#include "dataplane/base/random.h"
#include "tests/support/cmocka.h"

#include <stdlib.h>
#include <string.h>

#define TICK_NS     (1ull << TIMER_WHEEL_TICK_SHIFT)
#define WHEEL_NS    (TICK_NS << 32)
#define MODEL_COUNT 64
#define FLOOD_COUNT 10000

static struct timer_wheel wheel;

/* The tick at whose start a timer may fire. */
static uint64_t tick_of(uint64_t due_at_ns)
{
    return due_at_ns / TICK_NS + (due_at_ns % TICK_NS != 0);
}

static void count_fire(struct timer *timer, void *context, uint64_t now)
{
    assert_false(timer_is_armed(timer));
    assert_true(now >= timer->due_at_ns);
    ++*(uint32_t *)context;
}

static void timer_fires_at_its_time_and_never_before(void **state)
{
    static const uint64_t distances[] = {0,
                                         1,
                                         TICK_NS - 1,
                                         TICK_NS,
                                         TICK_NS + 1,
                                         255 * TICK_NS,
                                         256 * TICK_NS,
                                         CLOCK_S,
                                         65536 * TICK_NS + 5,
                                         3600 * CLOCK_S,
                                         TICK_NS << 24,
                                         WHEEL_NS - 1,
                                         WHEEL_NS,
                                         3 * WHEEL_NS + 12345};
    static const uint64_t starts[] = {0, 1, TICK_NS * 255, WHEEL_NS - 3 * TICK_NS, 77 * CLOCK_S};
    for (size_t s = 0; s < array_count(starts); s++) {
        for (size_t d = 0; d < array_count(distances); d++) {
            uint32_t fired = 0;
            struct timer timer;
            uint64_t due = starts[s] + distances[d];
            timer_wheel_init(&wheel, starts[s]);
            timer_init(&timer, count_fire, &fired);
            timer_arm(&wheel, &timer, due);
            if (due > starts[s])
                assert_int_equal(timer_wheel_advance(&wheel, due - 1, 10), 0);
            assert_true(timer_is_armed(&timer));
            assert_true(timer_wheel_next_ns(&wheel) < due + TICK_NS);
            assert_int_equal(timer_wheel_advance(&wheel, due + TICK_NS - 1, 10), 1);
            assert_int_equal(fired, 1);
            assert_int_equal(timer_wheel_next_ns(&wheel), CLOCK_NEVER);
        }
    }
}

static void past_timer_fires_at_the_next_advance(void **state)
{
    uint32_t fired = 0;
    struct timer timer;
    timer_wheel_init(&wheel, 50 * CLOCK_S);
    timer_init(&timer, count_fire, &fired);
    timer_arm(&wheel, &timer, 0);
    assert_true(timer_wheel_next_ns(&wheel) <= 50 * CLOCK_S);
    assert_int_equal(timer_wheel_advance(&wheel, 50 * CLOCK_S, 10), 1);
}

static void cancelled_timer_does_not_fire(void **state)
{
    uint32_t fired = 0;
    struct timer timer;
    timer_wheel_init(&wheel, 0);
    timer_init(&timer, count_fire, &fired);
    timer_cancel(&wheel, &timer);
    timer_arm(&wheel, &timer, CLOCK_S);
    timer_cancel(&wheel, &timer);
    timer_cancel(&wheel, &timer);
    assert_false(timer_is_armed(&timer));
    assert_int_equal(wheel.armed_count, 0);
    assert_int_equal(timer_wheel_next_ns(&wheel), CLOCK_NEVER);
    assert_int_equal(timer_wheel_advance(&wheel, 2 * CLOCK_S, 10), 0);
}

static void armed_timer_is_moved_by_arming_again(void **state)
{
    uint32_t fired = 0;
    struct timer timer;
    timer_wheel_init(&wheel, 0);
    timer_init(&timer, count_fire, &fired);
    timer_arm(&wheel, &timer, CLOCK_S);
    timer_arm(&wheel, &timer, 3 * CLOCK_S);
    assert_int_equal(wheel.armed_count, 1);
    assert_int_equal(timer_wheel_advance(&wheel, 2 * CLOCK_S, 10), 0);
    timer_arm(&wheel, &timer, 2 * CLOCK_S + CLOCK_MS);
    assert_int_equal(timer_wheel_advance(&wheel, 2 * CLOCK_S + 2 * CLOCK_MS, 10), 1);
    assert_int_equal(timer_wheel_advance(&wheel, 4 * CLOCK_S, 10), 0);
}

/* CLOCK_NEVER is as good as any other time that does not come. */
static void timer_for_never_stays_armed(void **state)
{
    uint32_t fired = 0;
    struct timer timer;
    timer_wheel_init(&wheel, 0);
    timer_init(&timer, count_fire, &fired);
    timer_arm(&wheel, &timer, CLOCK_NEVER);
    assert_int_equal(timer_wheel_advance(&wheel, 300 * WHEEL_NS, 10), 0);
    assert_true(timer_is_armed(&timer));
    timer_cancel(&wheel, &timer);
    assert_int_equal(timer_wheel_next_ns(&wheel), CLOCK_NEVER);
}

/* A walk over each tick would not end within the time limit of the test. */
static void jumps_of_centuries_cost_nothing(void **state)
{
    uint32_t fired = 0;
    struct timer timer;
    timer_wheel_init(&wheel, 0);
    timer_init(&timer, count_fire, &fired);
    for (uint64_t i = 1; i <= 1000; i++) {
        uint64_t now = i * (UINT64_MAX / 1001);
        assert_int_equal(timer_wheel_advance(&wheel, now, 10), i > 1 ? 1 : 0);
        timer_arm(&wheel, &timer, now + CLOCK_MS);
    }
    assert_int_equal(timer_wheel_advance(&wheel, UINT64_MAX - 1, 10), 1);
}

static void time_that_goes_back_is_harmless(void **state)
{
    uint32_t fired = 0;
    struct timer timer;
    timer_wheel_init(&wheel, 10 * CLOCK_S);
    timer_init(&timer, count_fire, &fired);
    timer_wheel_advance(&wheel, 20 * CLOCK_S, 10);
    timer_arm(&wheel, &timer, 21 * CLOCK_S);
    assert_int_equal(timer_wheel_advance(&wheel, 5 * CLOCK_S, 10), 0);
    assert_int_equal(timer_wheel_advance(&wheel, 20 * CLOCK_S, 10), 0);
    assert_int_equal(timer_wheel_advance(&wheel, 22 * CLOCK_S, 10), 1);
}

static void flood_is_fired_in_portions(void **state)
{
    uint32_t fired = 0;
    struct timer *timers = calloc(FLOOD_COUNT, sizeof(*timers));
    timer_wheel_init(&wheel, 0);
    for (int i = 0; i < FLOOD_COUNT; i++) {
        timer_init(&timers[i], count_fire, &fired);
        timer_arm(&wheel, &timers[i], CLOCK_MS);
    }
    assert_int_equal(timer_wheel_advance(&wheel, CLOCK_S, 0), 0);
    for (int i = 0; i < FLOOD_COUNT / 10; i++) {
        assert_true(timer_wheel_next_ns(&wheel) <= CLOCK_S);
        assert_int_equal(timer_wheel_advance(&wheel, CLOCK_S, 10), 10);
    }
    assert_int_equal(fired, FLOOD_COUNT);
    assert_int_equal(timer_wheel_advance(&wheel, CLOCK_S, 10), 0);
    free(timers);
}

/* All share one slot of a high level; when its time comes they are moved in portions. */
static void moving_is_bounded_like_firing(void **state)
{
    uint32_t fired = 0;
    uint32_t calls = 0;
    struct timer *timers = calloc(FLOOD_COUNT, sizeof(*timers));
    timer_wheel_init(&wheel, 0);
    uint64_t slot_start = 3 * (TICK_NS << 16);
    for (uint64_t i = 0; i < FLOOD_COUNT; i++) {
        timer_init(&timers[i], count_fire, &fired);
        timer_arm(&wheel, &timers[i], slot_start + (1000 + i) * TICK_NS);
    }
    while (timer_wheel_next_ns(&wheel) <= slot_start) {
        assert_int_equal(timer_wheel_advance(&wheel, slot_start, 10), 0);
        calls++;
    }
    assert_true(calls >= FLOOD_COUNT / 160);
    while (timer_wheel_next_ns(&wheel) < slot_start + 20000 * TICK_NS)
        timer_wheel_advance(&wheel, slot_start + 20000 * TICK_NS, 1000);
    assert_int_equal(fired, FLOOD_COUNT);
    free(timers);
}

static void rearm_now(struct timer *timer, void *context, uint64_t now)
{
    ++*(uint32_t *)context;
    timer_arm(&wheel, timer, now);
}

/* It must not keep one advance busy for ever. */
static void timer_that_rearms_for_now_fires_once_an_advance(void **state)
{
    uint32_t fired = 0;
    struct timer timer;
    timer_wheel_init(&wheel, 0);
    timer_init(&timer, rearm_now, &fired);
    timer_arm(&wheel, &timer, 0);
    for (uint32_t i = 1; i <= 20; i++) {
        timer_wheel_advance(&wheel, i * 4 * TICK_NS, 1000);
        assert_in_range(fired, i, 2 * i);
    }
}

struct pair {
    struct timer *other;
    uint32_t fired;
};

static void cancel_other(struct timer *timer, void *context, uint64_t now)
{
    struct pair *pair = context;
    pair->fired++;
    timer_cancel(&wheel, pair->other);
}

static void firing_timer_may_cancel_one_that_expired_with_it(void **state)
{
    struct timer a, b;
    struct pair first = {.other = &b};
    struct pair second = {.other = &a};
    timer_wheel_init(&wheel, 0);
    timer_init(&a, cancel_other, &first);
    timer_init(&b, cancel_other, &second);
    timer_arm(&wheel, &a, CLOCK_MS);
    timer_arm(&wheel, &b, CLOCK_MS);
    assert_int_equal(timer_wheel_advance(&wheel, CLOCK_S, 10), 1);
    assert_int_equal(first.fired + second.fired, 1);
    assert_int_equal(wheel.armed_count, 0);
}

/* Sleeping until next_ns each time reaches every timer on time in few wake-ups. */
static void next_ns_leads_to_each_timer(void **state)
{
    struct random random;
    random_seed(&random, 5);
    for (int round = 0; round < 500; round++) {
        uint32_t fired = 0;
        struct timer timer;
        uint64_t now = random_u64(&random) >> 8;
        uint64_t due = now + (random_u64(&random) >> (14 + random_below(&random, 49)));
        timer_wheel_init(&wheel, now);
        timer_init(&timer, count_fire, &fired);
        timer_arm(&wheel, &timer, due);
        uint32_t wakeups = 0;
        while (fired == 0) {
            uint64_t next = timer_wheel_next_ns(&wheel);
            now = next > now ? next : now;
            assert_true(now < due + TICK_NS);
            timer_wheel_advance(&wheel, now, 10);
            wakeups++;
        }
        assert_true(wakeups <= TIMER_WHEEL_LEVELS + 4 * (due / WHEEL_NS + 1));
    }
}

/* The model: what is armed and for when. The wheel must fire the same, earliest tick first. */
static struct {
    struct random random;
    struct timer timers[MODEL_COUNT];
    bool armed[MODEL_COUNT];
    bool past[MODEL_COUNT]; /* armed for a tick that was done: not in order with the others */
    uint32_t armed_count;
    uint32_t fired;
    uint64_t now;
} model;

static uint64_t random_distance(void)
{
    static const uint64_t scales[] = {2,
                                      3 * TICK_NS,
                                      300 * TICK_NS,
                                      CLOCK_S,
                                      20 * CLOCK_S,
                                      3600 * CLOCK_S,
                                      TICK_NS << 24,
                                      2 * WHEEL_NS};
    uint64_t scale = scales[random_below(&model.random, array_count(scales))];
    return random_u64(&model.random) % scale;
}

static void model_arm(uint32_t i, uint64_t due_at_ns)
{
    model.armed_count += !model.armed[i];
    model.armed[i] = true;
    model.past[i] = tick_of(due_at_ns) < wheel.current_tick;
    timer_arm(&wheel, &model.timers[i], due_at_ns);
}

static void model_cancel(uint32_t i)
{
    model.armed_count -= model.armed[i];
    model.armed[i] = false;
    timer_cancel(&wheel, &model.timers[i]);
}

static void assert_nothing_earlier_is_armed(uint32_t fired)
{
    uint64_t tick = tick_of(model.timers[fired].due_at_ns);
    for (uint32_t i = 0; i < MODEL_COUNT && !model.past[fired]; i++)
        if (model.armed[i] && !model.past[i])
            assert_true(tick_of(model.timers[i].due_at_ns) >= tick);
}

static void model_fire(struct timer *timer, void *context, uint64_t now)
{
    uint32_t i = (uint32_t)(timer - model.timers);
    assert_true(model.armed[i]);
    assert_int_equal(now, model.now);
    assert_true(tick_of(timer->due_at_ns) <= now / TICK_NS);
    model.armed[i] = false;
    model.armed_count--;
    model.fired++;
    assert_nothing_earlier_is_armed(i);
    uint32_t other = random_below(&model.random, MODEL_COUNT);
    switch (random_below(&model.random, 5)) {
    case 0:
        model_arm(i, now + random_distance());
        break;
    case 1:
        model_arm(other, now + random_distance());
        break;
    case 2:
        model_cancel(other);
        break;
    case 3:
        model_arm(i, now - random_below(&model.random, 1000000000) % (now + 1));
        break;
    }
}

static void assert_wheel_agrees_with_model(void)
{
    uint64_t earliest = CLOCK_NEVER;
    for (uint32_t i = 0; i < MODEL_COUNT; i++) {
        assert_int_equal(timer_is_armed(&model.timers[i]), model.armed[i]);
        if (model.armed[i] && tick_of(model.timers[i].due_at_ns) * TICK_NS < earliest)
            earliest = tick_of(model.timers[i].due_at_ns) * TICK_NS;
    }
    assert_int_equal(wheel.armed_count, model.armed_count);
    assert_true(timer_wheel_next_ns(&wheel) <= earliest);
    assert_int_equal(timer_wheel_next_ns(&wheel) == CLOCK_NEVER, model.armed_count == 0);
}

static void model_advance(void)
{
    model.now += random_distance();
    uint32_t max = 1 + random_below(&model.random, 20);
    do {
        uint32_t before = model.fired;
        uint32_t fired = timer_wheel_advance(&wheel, model.now, max);
        assert_int_equal(model.fired - before, fired);
        assert_true(fired <= max);
    } while (timer_wheel_next_ns(&wheel) <= model.now);
    for (uint32_t i = 0; i < MODEL_COUNT; i++)
        assert_true(!model.armed[i] || tick_of(model.timers[i].due_at_ns) > model.now / TICK_NS);
}

static void model_start(uint64_t seed)
{
    memset(&model, 0, sizeof(model));
    random_seed(&model.random, seed);
    model.now = random_distance();
    timer_wheel_init(&wheel, model.now);
    for (uint32_t i = 0; i < MODEL_COUNT; i++)
        timer_init(&model.timers[i], model_fire, NULL);
}

static void random_operations_agree_with_a_model(void **state)
{
    uint32_t fired = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        model_start(seed);
        for (int step = 0; step < 500; step++) {
            uint32_t i = random_below(&model.random, MODEL_COUNT);
            uint32_t choice = random_below(&model.random, 10);
            if (choice < 5)
                model_arm(i, model.now + random_distance());
            else if (choice < 6)
                model_arm(i, random_u64(&model.random) % (model.now + 1));
            else if (choice < 8)
                model_cancel(i);
            else
                model_advance();
            assert_wheel_agrees_with_model();
        }
        fired += model.fired;
    }
    assert_true(fired > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timer_fires_at_its_time_and_never_before),
        cmocka_unit_test(past_timer_fires_at_the_next_advance),
        cmocka_unit_test(cancelled_timer_does_not_fire),
        cmocka_unit_test(armed_timer_is_moved_by_arming_again),
        cmocka_unit_test(timer_for_never_stays_armed),
        cmocka_unit_test(jumps_of_centuries_cost_nothing),
        cmocka_unit_test(time_that_goes_back_is_harmless),
        cmocka_unit_test(flood_is_fired_in_portions),
        cmocka_unit_test(moving_is_bounded_like_firing),
        cmocka_unit_test(timer_that_rearms_for_now_fires_once_an_advance),
        cmocka_unit_test(firing_timer_may_cancel_one_that_expired_with_it),
        cmocka_unit_test(next_ns_leads_to_each_timer),
        cmocka_unit_test(random_operations_agree_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
