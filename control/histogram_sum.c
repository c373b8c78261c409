#include "control/histogram_sum.h"

void histogram_sum_add(struct histogram_sum *sum, const struct histogram *histogram)
{
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = counter_read(&histogram->buckets[i]);
        sum->buckets[i] += count;
        sum->count += count;
    }
    sum->sum += counter_read(&histogram->sum);
}

uint64_t histogram_quantile(const struct histogram_sum *sum, double part)
{
    uint64_t below = 0;
    if (sum->count == 0)
        return 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        below += sum->buckets[i];
        if ((double)below >= part * (double)sum->count)
            return histogram_bound(i);
    }
    return histogram_bound(HISTOGRAM_BUCKETS - 1);
}
