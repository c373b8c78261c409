#include "tests/load/weir_load/histogram.h"

#define SUB (1u << HISTOGRAM_SHIFT)

/* Below 2 * SUB one bucket a value; above SUB buckets for each power of two. */
static uint32_t bucket_of(uint64_t value)
{
    uint32_t power = value < SUB ? 0 : 63 - (uint32_t)__builtin_clzll(value) - HISTOGRAM_SHIFT;
    uint64_t bucket = ((uint64_t)power << HISTOGRAM_SHIFT) + (value >> power);
    return bucket < HISTOGRAM_BUCKETS ? (uint32_t)bucket : HISTOGRAM_BUCKETS - 1;
}

/* The largest value in the bucket. */
static uint64_t bucket_end(uint32_t bucket)
{
    uint32_t power = bucket < 2 * SUB ? 0 : (bucket >> HISTOGRAM_SHIFT) - 1;
    uint64_t first = (uint64_t)(bucket - (power << HISTOGRAM_SHIFT)) << power;
    return first + (1ull << power) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    if (histogram->count == 0 || value < histogram->min)
        histogram->min = value;
    if (value > histogram->max)
        histogram->max = value;
    histogram->count++;
    histogram->sum += value;
    histogram->buckets[bucket_of(value)]++;
}

uint64_t histogram_quantile(const struct histogram *histogram, uint32_t permyriad)
{
    uint64_t wanted = (histogram->count * permyriad + 9999) / 10000;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS && wanted > 0; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted)
            return bucket_end(i) < histogram->max ? bucket_end(i) : histogram->max;
    }
    return histogram->max;
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->count > 0 ? (double)histogram->sum / (double)histogram->count : 0;
}
