/*
 * counter: a number written by one worker and read by any thread. Each layer lists its counters
 * and drop reasons in `<layer>_counters.def`, one line each:
 *
 *     COUNTER(name, "unit", "what it counts, as the manual says it")
 *
 * from which the layer's struct (counter_struct.h), the metric names and the manual are derived.
 */
#pragma once

#include <stdint.h>

static inline void counter_add(uint64_t *counter, uint64_t amount)
{
    __atomic_store_n(counter, *counter + amount, __ATOMIC_RELAXED);
}

static inline void counter_set(uint64_t *counter, uint64_t value)
{
    __atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

static inline uint64_t counter_read(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}
