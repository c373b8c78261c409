/*
 * clock: nanoseconds on a monotonic scale that starts near zero with the process.
 *
 * Only the worker loop and the control loop read it, once a turn; everything below is handed
 * `now` (uint64_t nanoseconds). Any thread; some 10 ns.
 */
#pragma once

#include <stdint.h>

#define CLOCK_US 1000ull
#define CLOCK_MS 1000000ull
#define CLOCK_S  1000000000ull

#define CLOCK_NEVER UINT64_MAX

/* The monotonic time in nanoseconds. */
uint64_t clock_now_ns(void);

/* The time stamp counter's ticks, for the busy share only: never compared with clock_now_ns(). */
uint64_t clock_cycles(void);
uint64_t clock_cycles_per_second(void);
