/*
 * histogram_sum: one histogram of all workers, and what can be said about it. Any thread.
 */
#pragma once

#include "dataplane/worker/histograms.h"

struct histogram_sum {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t sum;
};

/* Add a worker's, which goes on counting: COUNT is the sum of the buckets as they were read. */
void histogram_sum_add(struct histogram_sum *sum, const struct histogram *histogram);

/* What the values of a bucket are at most; the last one has no bound. */
static inline uint64_t histogram_bound(uint32_t bucket)
{
    return 1ull << bucket;
}

/* The bound of the bucket in which the part PART (0..1) of all values ends; 0: there are none. */
uint64_t histogram_quantile(const struct histogram_sum *sum, double part);
