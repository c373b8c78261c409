/* loop: descriptors, timers, and what may be done inside a callback. */
#include "control/loop.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MANY 100

struct world {
    struct loop *loop;
    int pipe[2];
    struct loop_watch *watch;
    struct loop_watch *second;
    struct loop_timer *timers[MANY];
    uint32_t fired[MANY]; /* in this order */
    uint32_t fired_count;
    uint32_t ready_count;
    uint32_t ready_events;
    uint32_t resumed_count;
    uint32_t fired_before_resume;
    uint64_t absent_for_ns;
};

struct numbered {
    struct world *world;
    uint32_t number;
};

static int setup(void **state)
{
    static struct world world;
    memset(&world, 0, sizeof(world));
    world.loop = loop_create();
    if (world.loop == NULL || pipe(world.pipe) != 0)
        return -1;
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < MANY; i++)
        loop_timer_destroy(world->timers[i]);
    loop_destroy(world->loop);
    close(world->pipe[0]);
    close(world->pipe[1]);
    return 0;
}

static void note_fire(void *context, uint64_t now)
{
    const struct numbered *numbered = context;
    struct world *world = numbered->world;
    assert_int_equal(now, loop_now_ns(world->loop));
    world->fired[world->fired_count++] = numbered->number;
}

static void stop(void *context, uint64_t now)
{
    loop_stop(((struct world *)context)->loop);
}

/* Run until LAST_AT_NS has passed. */
static void run_until(struct world *world, uint64_t last_at_ns)
{
    struct loop_timer *end = loop_timer(world->loop, stop, world);
    loop_timer_at(end, last_at_ns);
    loop_run(world->loop);
    loop_timer_destroy(end);
}

static void timers_fire_in_order_of_their_times_and_never_early(void **state)
{
    struct world *world = *state;
    static const uint32_t order[] = {3, 0, 4, 1, 2};
    struct numbered numbered[5];
    uint64_t start = loop_now_ns(world->loop);
    for (uint32_t i = 0; i < 5; i++) {
        numbered[i] = (struct numbered){world, order[i]};
        world->timers[i] = loop_timer(world->loop, note_fire, &numbered[i]);
        loop_timer_at(world->timers[i], start + (order[i] + 1) * 2 * CLOCK_MS);
    }
    run_until(world, start + 12 * CLOCK_MS);
    assert_true(loop_now_ns(world->loop) >= start + 12 * CLOCK_MS);
    assert_int_equal(world->fired_count, 5);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(world->fired[i], i);
}

static void timers_of_one_time_fire_in_the_order_of_arming(void **state)
{
    struct world *world = *state;
    struct numbered numbered[MANY];
    uint64_t at = loop_now_ns(world->loop) + CLOCK_MS;
    for (uint32_t i = 0; i < MANY; i++) {
        numbered[i] = (struct numbered){world, i};
        world->timers[i] = loop_timer(world->loop, note_fire, &numbered[i]);
        loop_timer_at(world->timers[i], at);
    }
    run_until(world, at);
    assert_int_equal(world->fired_count, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(world->fired[i], i);
}

static void a_timer_moved_fires_once_and_a_stopped_one_never(void **state)
{
    struct world *world = *state;
    struct numbered numbered[2] = {{world, 0}, {world, 1}};
    uint64_t start = loop_now_ns(world->loop);
    for (int i = 0; i < 2; i++)
        world->timers[i] = loop_timer(world->loop, note_fire, &numbered[i]);
    loop_timer_at(world->timers[0], start + 3600 * CLOCK_S);
    loop_timer_at(world->timers[0], start + CLOCK_MS);
    loop_timer_at(world->timers[1], start + CLOCK_MS);
    loop_timer_stop(world->timers[1]);
    loop_timer_stop(world->timers[1]);
    run_until(world, start + 3 * CLOCK_MS);
    assert_int_equal(world->fired_count, 1);
    assert_int_equal(world->fired[0], 0);
}

struct pair {
    struct world *world;
    struct loop_timer *other;
};

static void stop_the_other(void *context, uint64_t now)
{
    struct pair *pair = context;
    pair->world->fired_count++;
    loop_timer_stop(pair->other);
}

static void a_timer_stopped_by_one_due_in_the_same_turn_does_not_fire(void **state)
{
    struct world *world = *state;
    struct pair pairs[2] = {{.world = world}, {.world = world}};
    uint64_t at = loop_now_ns(world->loop) + CLOCK_MS;
    for (int i = 0; i < 2; i++)
        world->timers[i] = loop_timer(world->loop, stop_the_other, &pairs[i]);
    pairs[0].other = world->timers[1];
    pairs[1].other = world->timers[0];
    loop_timer_at(world->timers[0], at);
    loop_timer_at(world->timers[1], at);
    run_until(world, at + CLOCK_MS);
    assert_int_equal(world->fired_count, 1);
}

struct again {
    struct world *world;
    struct loop_timer *timer;
    uint64_t turns_seen[MANY];
};

static void arm_for_the_past(void *context, uint64_t now)
{
    struct again *again = context;
    struct world *world = again->world;
    again->turns_seen[world->fired_count++] = now;
    if (world->fired_count < 10)
        loop_timer_at(again->timer, 0);
    else
        loop_stop(world->loop);
}

static void a_timer_armed_for_the_past_waits_for_the_next_turn(void **state)
{
    struct world *world = *state;
    struct again again = {.world = world};
    again.timer = world->timers[0] = loop_timer(world->loop, arm_for_the_past, &again);
    loop_timer_at(again.timer, 0);
    loop_run(world->loop);
    assert_int_equal(world->fired_count, 10);
    for (int i = 1; i < 10; i++)
        assert_true(again.turns_seen[i] > again.turns_seen[i - 1]);
}

static void destroy_itself(void *context, uint64_t now)
{
    struct pair *pair = context;
    loop_timer_destroy(pair->other);
    pair->world->fired_count++;
    loop_stop(pair->world->loop);
}

static void a_timer_may_destroy_itself(void **state)
{
    struct world *world = *state;
    struct pair pair = {.world = world};
    pair.other = loop_timer(world->loop, destroy_itself, &pair);
    loop_timer_at(pair.other, 0);
    loop_run(world->loop);
    assert_int_equal(world->fired_count, 1);
    loop_timer_destroy(NULL);
}

static void note_ready(void *context, uint32_t events)
{
    struct world *world = context;
    char byte;
    world->ready_count++;
    world->ready_events = events;
    if (events & EPOLLIN)
        assert_int_equal(read(world->pipe[0], &byte, 1), 1);
    loop_stop(world->loop);
}

static void a_descriptor_is_told_when_it_is_ready(void **state)
{
    struct world *world = *state;
    world->watch = loop_watch(world->loop, world->pipe[0], EPOLLIN, note_ready, world);
    assert_non_null(world->watch);
    assert_int_equal(write(world->pipe[1], "ab", 2), 2);
    loop_run(world->loop);
    assert_int_equal(world->ready_events, EPOLLIN);
    loop_run(world->loop); /* level triggered: one byte is left */
    assert_int_equal(world->ready_count, 2);
    loop_unwatch(world->watch);
}

static void without_interest_nothing_is_told(void **state)
{
    struct world *world = *state;
    world->watch = loop_watch(world->loop, world->pipe[0], EPOLLIN, note_ready, world);
    loop_watch_events(world->watch, 0);
    assert_int_equal(write(world->pipe[1], "a", 1), 1);
    run_until(world, loop_now_ns(world->loop) + 2 * CLOCK_MS);
    assert_int_equal(world->ready_count, 0);
    loop_watch_events(world->watch, EPOLLIN);
    loop_run(world->loop);
    assert_int_equal(world->ready_count, 1);
    loop_unwatch(world->watch);
}

static void unwatch_both(void *context, uint32_t events)
{
    struct world *world = context;
    world->ready_count++;
    loop_unwatch(world->watch);
    loop_unwatch(world->second);
    loop_stop(world->loop);
}

static void what_is_unwatched_hears_nothing_more_of_the_same_turn(void **state)
{
    struct world *world = *state;
    int copy = dup(world->pipe[0]);
    assert_true(copy >= 0);
    world->watch = loop_watch(world->loop, world->pipe[0], EPOLLIN, unwatch_both, world);
    world->second = loop_watch(world->loop, copy, EPOLLIN, unwatch_both, world);
    assert_int_equal(write(world->pipe[1], "a", 1), 1);
    loop_run(world->loop);
    assert_int_equal(world->ready_count, 1);
    run_until(world, loop_now_ns(world->loop) + 2 * CLOCK_MS);
    assert_int_equal(world->ready_count, 1);
    close(copy);
}

static void a_closed_descriptor_may_be_unwatched_and_a_bad_one_is_refused(void **state)
{
    struct world *world = *state;
    int copy = dup(world->pipe[0]);
    struct loop_watch *watch = loop_watch(world->loop, copy, EPOLLIN, note_ready, world);
    close(copy);
    loop_unwatch(watch);
    errno = 0;
    assert_null(loop_watch(world->loop, copy, EPOLLIN, note_ready, world));
    assert_int_equal(errno, EBADF);
}

static void stall(void *context, uint64_t now)
{
    struct world *world = context;
    nanosleep(&(struct timespec){.tv_nsec = 30 * 1000 * 1000}, NULL);
    loop_stop(world->loop);
}

static void a_turn_of_more_than_20_ms_is_counted_as_a_stall(void **state)
{
    struct world *world = *state;
    uint64_t before = loop_stall_count(world->loop);
    world->timers[0] = loop_timer(world->loop, stall, world);
    loop_timer_at(world->timers[0], 0);
    loop_run(world->loop);
    assert_int_equal(loop_stall_count(world->loop), before + 1);
    assert_true(loop_stall_max_ns(world->loop) >= 30 * CLOCK_MS);
}

static void sleep_past_the_limit(void *context, uint64_t now)
{
    nanosleep(&(struct timespec){.tv_nsec = 700 * 1000 * 1000}, NULL);
}

static void note_resume(void *context, uint64_t absent_for_ns)
{
    struct world *world = context;
    world->resumed_count++;
    world->absent_for_ns = absent_for_ns;
    world->fired_before_resume = world->fired_count;
}

static void who_listens_hears_of_an_absence_before_timers_fire(void **state)
{
    struct world *world = *state;
    struct numbered numbered = {world, 1};
    uint64_t now = loop_now_ns(world->loop);
    world->timers[0] = loop_timer(world->loop, sleep_past_the_limit, NULL);
    world->timers[1] = loop_timer(world->loop, note_fire, &numbered);
    loop_on_resume(world->loop, note_resume, world);
    loop_timer_at(world->timers[0], now);
    loop_timer_at(world->timers[1], now + 100 * CLOCK_MS);
    run_until(world, now + 110 * CLOCK_MS);
    assert_int_equal(world->resumed_count, 1);
    assert_true(world->absent_for_ns >= LOOP_ABSENT_NS);
    assert_int_equal(world->fired_before_resume, 0);
    assert_int_equal(world->fired_count, 1);
}

/* However long: with a timer far away nobody was to be there. */
static void waiting_for_a_descriptor_is_no_absence(void **state)
{
    struct world *world = *state;
    loop_on_resume(world->loop, note_resume, world);
    world->watch = loop_watch(world->loop, world->pipe[0], EPOLLIN, note_ready, world);
    world->timers[0] = loop_timer(world->loop, note_fire, NULL);
    loop_timer_at(world->timers[0], loop_now_ns(world->loop) + 3600 * CLOCK_S);
    pid_t writer = fork();
    if (writer == 0) {
        nanosleep(&(struct timespec){.tv_nsec = 700 * 1000 * 1000}, NULL);
        _exit(write(world->pipe[1], "a", 1) == 1 ? 0 : 1);
    }
    loop_run(world->loop);
    assert_int_equal(waitpid(writer, NULL, 0), writer);
    assert_int_equal(world->ready_count, 1);
    assert_int_equal(world->resumed_count, 0);
    loop_unwatch(world->watch);
}

static void a_told_loop_turns_when_told_and_sleeps_through_nothing(void **state)
{
    struct world *world = *state;
    struct numbered numbered[2] = {{world, 0}, {world, 1}};
    struct loop *loop = loop_create_told(CLOCK_S, 5000);
    loop_destroy(world->loop);
    world->loop = loop;
    assert_int_equal(loop_due_ns(loop), CLOCK_NEVER);
    for (uint32_t i = 0; i < 2; i++) {
        world->timers[i] = loop_timer(loop, note_fire, &numbered[i]);
        loop_timer_at(world->timers[i], (2 + i) * CLOCK_S);
    }
    loop_on_resume(loop, note_resume, world);
    assert_int_equal(loop_due_ns(loop), 2 * CLOCK_S);
    loop_advance(loop, 2 * CLOCK_S - 1);
    assert_int_equal(world->fired_count, 0);
    loop_advance(loop, 2 * CLOCK_S);
    assert_int_equal(world->fired_count, 1);
    assert_int_equal(world->resumed_count, 0);
    assert_int_equal(loop_due_ns(loop), 3 * CLOCK_S);
    assert_int_equal(loop_unix_ms(loop), 6000);
    loop_advance(loop, 4 * CLOCK_S);
    assert_int_equal(world->fired_count, 2);
    assert_int_equal(world->resumed_count, 1);
    assert_int_equal(world->absent_for_ns, CLOCK_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(timers_fire_in_order_of_their_times_and_never_early),
        CASE(timers_of_one_time_fire_in_the_order_of_arming),
        CASE(a_timer_moved_fires_once_and_a_stopped_one_never),
        CASE(a_timer_stopped_by_one_due_in_the_same_turn_does_not_fire),
        CASE(a_timer_armed_for_the_past_waits_for_the_next_turn),
        CASE(a_timer_may_destroy_itself),
        CASE(a_descriptor_is_told_when_it_is_ready),
        CASE(without_interest_nothing_is_told),
        CASE(what_is_unwatched_hears_nothing_more_of_the_same_turn),
        CASE(a_closed_descriptor_may_be_unwatched_and_a_bad_one_is_refused),
        CASE(a_turn_of_more_than_20_ms_is_counted_as_a_stall),
        CASE(who_listens_hears_of_an_absence_before_timers_fire),
        CASE(waiting_for_a_descriptor_is_no_absence),
        CASE(a_told_loop_turns_when_told_and_sleeps_through_nothing),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
