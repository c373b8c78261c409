/*
 * samples: what rounds of a bench_* program cost, as the line that micro.py reads. One thread.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static inline int samples_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* COUNT rounds of OPERATIONS each, in cycles: the median and the best, for one of WHAT. Sorts. */
static inline void samples_print(const char *name, const char *what, uint64_t *samples,
                                 uint32_t count, uint32_t operations)
{
    qsort(samples, count, sizeof(*samples), samples_compare);
    printf("%-50s %8.1f cycles %s (best %8.1f)\n", name, (double)samples[count / 2] / operations,
           what, (double)samples[0] / operations);
}
