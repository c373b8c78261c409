/*
 * histogram: how often values of each size came, written by one worker and read by any thread.
 * Bucket I holds what is at most 2^I and above the bucket before; the last one all the rest. Each
 * layer lists its histograms in `<layer>_histograms.def`, one line each:
 *
 *     HISTOGRAM(name, "unit", "of what, as the manual says it")
 *
 * from which the layer's struct (histogram_struct.h), metrics and manual are derived.
 */
#pragma once

#include "dataplane/base/counter.h"

#define HISTOGRAM_BUCKETS 32

struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t sum;
};

static inline uint32_t histogram_bucket(uint64_t value)
{
    uint32_t bucket = value > 1 ? 64 - (uint32_t)__builtin_clzll(value - 1) : 0;
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    counter_add(&histogram->buckets[histogram_bucket(value)], 1);
    counter_add(&histogram->sum, value);
}
