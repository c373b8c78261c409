#include "dataplane/base/clock.h"

#include "dataplane/base/check.h"

#include <rte_cycles.h>
#include <stdatomic.h>
#include <time.h>

#define CYCLES_MEASURED_FOR_NS (2 * CLOCK_MS)

static uint64_t raw_now_ns(void)
{
    struct timespec now;
    check(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * CLOCK_S + (uint64_t)now.tv_nsec;
}

/*
 * `start_ns` is set once, by whoever reads the clock first; relaxed is enough, because nothing but
 * its own value depends on it. The first reading is 1, so that 0 is free to mean "never happened".
 */
uint64_t clock_now_ns(void)
{
    static _Atomic uint64_t start_ns;
    uint64_t raw = raw_now_ns();
    uint64_t start = atomic_load_explicit(&start_ns, memory_order_relaxed);
    if (__builtin_expect(start == 0, 0)) {
        if (atomic_compare_exchange_strong(&start_ns, &start, raw))
            start = raw;
    }
    return raw >= start ? raw - start + 1 : 1;
}

uint64_t clock_cycles(void)
{
    return rte_get_tsc_cycles();
}

/* Without an EAL nobody has measured the counter yet: hold it against the monotonic clock. */
static uint64_t cycles_measured(void)
{
    uint64_t start_ns = raw_now_ns();
    uint64_t start = clock_cycles();
    uint64_t elapsed_ns = 0;
    while (elapsed_ns < CYCLES_MEASURED_FOR_NS)
        elapsed_ns = raw_now_ns() - start_ns;
    return (uint64_t)((double)(clock_cycles() - start) * (double)CLOCK_S / (double)elapsed_ns);
}

uint64_t clock_cycles_per_second(void)
{
    static _Atomic uint64_t measured;
    uint64_t known = rte_get_tsc_hz();
    if (known == 0)
        known = atomic_load_explicit(&measured, memory_order_relaxed);
    if (known == 0) {
        known = cycles_measured();
        atomic_store_explicit(&measured, known, memory_order_relaxed);
    }
    return known;
}
