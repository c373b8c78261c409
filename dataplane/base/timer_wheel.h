/*
 * timer_wheel: hierarchical timing wheel (Varghese, Lauck 1987), one per worker, 128 us a tick.
 *
 * A timer is embedded in its object and fires at or after its time, never before, at most one tick
 * late when the wheel is advanced often enough. Arming and cancelling are O(1). A firing timer is
 * already disarmed: its function may arm it again, cancel others or give its object back.
 */
#pragma once

#include "dataplane/base/clock.h"
#include "dataplane/base/list.h"

#include <stdbool.h>
#include <stdint.h>

#define TIMER_WHEEL_TICK_SHIFT 17 /* 2^17 ns = 131 us a tick */
#define TIMER_WHEEL_SLOTS      256
#define TIMER_WHEEL_LEVELS     4

struct timer;

typedef void timer_fire(struct timer *timer, void *context, uint64_t now);

struct timer {
    struct list link;
    uint64_t due_at_ns;
    timer_fire *fire;
    void *context; /* handed to fire */
};

struct timer_wheel {
    struct list slots[TIMER_WHEEL_LEVELS][TIMER_WHEEL_SLOTS];
    uint64_t occupied[TIMER_WHEEL_LEVELS][TIMER_WHEEL_SLOTS / 64]; /* a bit for each slot in use */
    struct list due;         /* expired, not fired yet because of the cap */
    uint64_t current_tick;   /* all earlier ticks are done */
    uint64_t quiet_until_ns; /* there is no work before that */
    uint32_t armed_count;
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now);

static inline void timer_init(struct timer *timer, timer_fire *fire, void *context)
{
    list_init(&timer->link);
    timer->due_at_ns = CLOCK_NEVER;
    timer->fire = fire;
    timer->context = context;
}

static inline bool timer_is_armed(const struct timer *timer)
{
    return list_is_linked(&timer->link);
}

/* Arm, or move if armed. A due time in the past fires at the next advance. */
void timer_arm(struct timer_wheel *wheel, struct timer *timer, uint64_t due_at_ns);

/* Of one that is armed. */
void timer_disarm(struct timer_wheel *wheel, struct timer *timer);

/* Harmless when it is not armed, as most are not. */
static inline void timer_cancel(struct timer_wheel *wheel, struct timer *timer)
{
    if (timer_is_armed(timer))
        timer_disarm(wheel, timer);
}

/*
 * Fire what is due at NOW, at most MAX of them, so that a flood of expiries cannot starve
 * receiving. Returns how many fired. There is more to do at once when timer_wheel_next_ns() is not
 * after NOW: MAX have fired, or 16 * MAX were moved to finer slots. What a firing function arms for
 * the past waits for the next advance. NOW may lie any distance after the last one; O(timers fired
 * and moved), one comparison when there is nothing to do. Programmer's error from within a firing
 * function.
 */
uint32_t timer_wheel_advance(struct timer_wheel *wheel, uint64_t now, uint32_t max);

/* The earliest time at which advance could have work (may be early), or CLOCK_NEVER. O(1). */
uint64_t timer_wheel_next_ns(const struct timer_wheel *wheel);
