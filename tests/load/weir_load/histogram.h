/*
 * histogram: durations in buckets whose width grows with the value (as HdrHistogram's), some 1.6 %
 * wide: fixed memory, O(1) to add, any quantile afterwards.
 */
#pragma once

#include <stdint.h>

#define HISTOGRAM_SHIFT   6 /* 2^6 buckets for each power of two */
#define HISTOGRAM_BUCKETS ((41 - HISTOGRAM_SHIFT + 1) << HISTOGRAM_SHIFT) /* up to 2^41 ns */

struct histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t min; /* of no value: 0 */
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Values above the last bucket are counted in it; min, max and sum stay exact. */
void histogram_add(struct histogram *histogram, uint64_t value);

/* The value that PERMYRIAD of 10,000 values do not exceed, 1.6 % too high at most; 0: no values. */
uint64_t histogram_quantile(const struct histogram *histogram, uint32_t permyriad);

double histogram_mean(const struct histogram *histogram);
