/*
 * A timer due in tick T sits at the level of the highest byte in which T differs from the current
 * tick, in the slot of that byte of T. So all timers of a lower level are due before those of a
 * higher one, and the first occupied slot tells the next tick at which there is work: empty ticks
 * are skipped, whatever the jump in time. When the current tick arrives at the start of a slot of a
 * higher level, its timers move to lower levels; the tick does not go on before all have moved.
 * Timers beyond the top level wait in its last slot and are placed again from there.
 */
#include "dataplane/base/timer_wheel.h"

#define SLOT_BITS       8
#define MOVES_PER_FIRE  16
#define TICKS_IN_WHEEL  (1ull << (SLOT_BITS * TIMER_WHEEL_LEVELS))
#define WORDS_PER_LEVEL (TIMER_WHEEL_SLOTS / 64)

_Static_assert(TIMER_WHEEL_SLOTS == 1 << SLOT_BITS, "a slot index is one byte of the tick");

/* One call of timer_wheel_advance(). */
struct advance {
    struct list expired; /* to be fired in this call */
    uint64_t now;
    uint32_t fires_left;
    uint64_t moves_left;
};

/* A slot with work and the tick at which it begins. */
struct step {
    uint64_t tick;
    unsigned level;
    unsigned slot;
};

/* The first tick that begins at or after the due time. */
static inline uint64_t tick_of(uint64_t due_at_ns)
{
    uint64_t part = due_at_ns & ((1ull << TIMER_WHEEL_TICK_SHIFT) - 1);
    return (due_at_ns >> TIMER_WHEEL_TICK_SHIFT) + (part != 0);
}

static inline unsigned slot_of(uint64_t tick, unsigned level)
{
    return (tick >> (SLOT_BITS * level)) & (TIMER_WHEEL_SLOTS - 1);
}

/* The highest byte in which two ticks of the same turn of the wheel differ. */
static inline unsigned level_of(uint64_t a, uint64_t b)
{
    uint64_t difference = a ^ b;
    return difference == 0 ? 0 : (unsigned)(63 - __builtin_clzll(difference)) / SLOT_BITS;
}

static inline bool is_occupied(const struct timer_wheel *wheel, unsigned level, unsigned slot)
{
    return (wheel->occupied[level][slot / 64] >> (slot % 64) & 1) != 0;
}

static inline void set_occupied(struct timer_wheel *wheel, unsigned level, unsigned slot)
{
    wheel->occupied[level][slot / 64] |= 1ull << (slot % 64);
}

static inline void set_empty(struct timer_wheel *wheel, unsigned level, unsigned slot)
{
    wheel->occupied[level][slot / 64] &= ~(1ull << (slot % 64));
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now)
{
    *wheel = (struct timer_wheel){.current_tick = now >> TIMER_WHEEL_TICK_SHIFT};
    for (unsigned level = 0; level < TIMER_WHEEL_LEVELS; level++)
        for (unsigned slot = 0; slot < TIMER_WHEEL_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    list_init(&wheel->due);
}

static inline void note_work(struct timer_wheel *wheel, uint64_t tick)
{
    uint64_t at_ns = tick << TIMER_WHEEL_TICK_SHIFT;
    if (at_ns < wheel->quiet_until_ns)
        wheel->quiet_until_ns = at_ns;
}

/* Link an unlinked timer where its due time belongs. */
static void wheel_place(struct timer_wheel *wheel, struct timer *timer)
{
    uint64_t current = wheel->current_tick;
    uint64_t tick = tick_of(timer->due_at_ns);
    if (tick < current) {
        list_push_back(&wheel->due, &timer->link);
        wheel->quiet_until_ns = 0;
        return;
    }
    if ((tick ^ current) >= TICKS_IN_WHEEL)
        tick = current | (TICKS_IN_WHEEL - 1);
    unsigned level = level_of(tick, current);
    unsigned slot = slot_of(tick, level);
    list_push_back(&wheel->slots[level][slot], &timer->link);
    set_occupied(wheel, level, slot);
    note_work(wheel, tick >> (SLOT_BITS * level) << (SLOT_BITS * level));
}

/* Unlink; a link alone in its list has the list's head on both sides, which tells the slot. */
static void wheel_unlink(struct timer_wheel *wheel, struct timer *timer)
{
    const struct list *head = timer->link.next;
    bool alone = head == timer->link.previous;
    list_remove(&timer->link);
    uintptr_t offset = (uintptr_t)head - (uintptr_t)wheel->slots;
    if (!alone || offset >= sizeof(wheel->slots))
        return;
    unsigned index = (unsigned)(offset / sizeof(struct list));
    set_empty(wheel, index / TIMER_WHEEL_SLOTS, index % TIMER_WHEEL_SLOTS);
}

void timer_arm(struct timer_wheel *wheel, struct timer *timer, uint64_t due_at_ns)
{
    if (timer_is_armed(timer))
        wheel_unlink(wheel, timer);
    else
        wheel->armed_count++;
    timer->due_at_ns = due_at_ns;
    wheel_place(wheel, timer);
}

void timer_disarm(struct timer_wheel *wheel, struct timer *timer)
{
    wheel_unlink(wheel, timer);
    wheel->armed_count--;
}

/* The first occupied slot of a level from FROM on, or TIMER_WHEEL_SLOTS. */
static unsigned occupied_from(const struct timer_wheel *wheel, unsigned level, unsigned from)
{
    uint64_t mask = UINT64_MAX << (from % 64);
    for (unsigned word = from / 64; word < WORDS_PER_LEVEL; word++) {
        uint64_t bits = wheel->occupied[level][word] & mask;
        if (bits != 0)
            return word * 64 + (unsigned)__builtin_ctzll(bits);
        mask = UINT64_MAX;
    }
    return TIMER_WHEEL_SLOTS;
}

/* A higher slot that the current tick has arrived at must be emptied before anything fires. */
static bool wheel_arrived_at(const struct timer_wheel *wheel, struct step *step)
{
    for (unsigned level = TIMER_WHEEL_LEVELS - 1; level > 0; level--) {
        unsigned slot = slot_of(wheel->current_tick, level);
        if (is_occupied(wheel, level, slot)) {
            *step = (struct step){wheel->current_tick, level, slot};
            return true;
        }
    }
    return false;
}

/* The next slot with work; false when there is none. */
static bool wheel_next_step(const struct timer_wheel *wheel, struct step *step)
{
    if (wheel_arrived_at(wheel, step))
        return true;
    for (unsigned level = 0; level < TIMER_WHEEL_LEVELS; level++) {
        unsigned slot = occupied_from(wheel, level, slot_of(wheel->current_tick, level));
        if (slot == TIMER_WHEEL_SLOTS)
            continue;
        uint64_t turn = wheel->current_tick >> (SLOT_BITS * (level + 1)) << SLOT_BITS;
        *step = (struct step){(turn | slot) << (SLOT_BITS * level), level, slot};
        return true;
    }
    return false;
}

/* Move the timers of a higher slot, whose start is the current tick, to lower levels. */
static void wheel_cascade(struct timer_wheel *wheel, struct advance *advance,
                          const struct step *step)
{
    struct list *slot = &wheel->slots[step->level][step->slot];
    while (!list_is_empty(slot) && advance->moves_left > 0) {
        wheel_place(wheel, list_entry(list_pop_front(slot), struct timer, link));
        advance->moves_left--;
    }
    if (list_is_empty(slot))
        set_empty(wheel, step->level, step->slot);
}

/* The current tick's timers have expired; the next tick begins. */
static void wheel_expire(struct timer_wheel *wheel, struct advance *advance,
                         const struct step *step)
{
    list_append_all(&advance->expired, &wheel->slots[0][step->slot]);
    set_empty(wheel, 0, step->slot);
    wheel->current_tick++;
}

static void fire_expired(struct timer_wheel *wheel, struct advance *advance)
{
    while (advance->fires_left > 0 && advance->moves_left > 0) {
        struct list *link = list_pop_front(&advance->expired);
        if (link == NULL)
            return;
        struct timer *timer = list_entry(link, struct timer, link);
        if (tick_of(timer->due_at_ns) >= wheel->current_tick) { /* was beyond the top level */
            wheel_place(wheel, timer);
            advance->moves_left--;
            continue;
        }
        wheel->armed_count--;
        advance->fires_left--;
        timer->fire(timer, timer->context, advance->now);
    }
}

/* Do the next slot's work if it begins by LAST_TICK; false when nothing is left until then. */
static bool wheel_step(struct timer_wheel *wheel, struct advance *advance, uint64_t last_tick)
{
    struct step step;
    if (!wheel_next_step(wheel, &step) || step.tick > last_tick) {
        if (last_tick >= wheel->current_tick)
            wheel->current_tick = last_tick + 1;
        return false;
    }
    wheel->current_tick = step.tick;
    if (step.level > 0)
        wheel_cascade(wheel, advance, &step);
    else
        wheel_expire(wheel, advance, &step);
    return true;
}

uint32_t timer_wheel_advance(struct timer_wheel *wheel, uint64_t now, uint32_t max)
{
    if (now < wheel->quiet_until_ns)
        return 0;
    struct advance advance = {
        .now = now, .fires_left = max, .moves_left = (uint64_t)max * MOVES_PER_FIRE};
    uint64_t last_tick = now >> TIMER_WHEEL_TICK_SHIFT;
    list_init(&advance.expired);
    list_append_all(&advance.expired, &wheel->due);
    do {
        fire_expired(wheel, &advance);
    } while (advance.fires_left > 0 && advance.moves_left > 0 &&
             wheel_step(wheel, &advance, last_tick));
    list_prepend_all(&wheel->due, &advance.expired);
    wheel->quiet_until_ns = timer_wheel_next_ns(wheel);
    return max - advance.fires_left;
}

uint64_t timer_wheel_next_ns(const struct timer_wheel *wheel)
{
    struct step step;
    if (!list_is_empty(&wheel->due))
        return 0;
    if (!wheel_next_step(wheel, &step))
        return CLOCK_NEVER;
    return step.tick << TIMER_WHEEL_TICK_SHIFT;
}
