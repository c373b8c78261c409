/*
 * priority: who is turned away first when there is not room for all. Each class may fill a limit
 * up to its part of it: what is left above is for those who matter more.
 */
#pragma once

#include <stdint.h>

enum priority {
    PRIORITY_NORMAL, /* what a route has that says nothing */
    PRIORITY_CRITICAL,
    PRIORITY_SHEDDABLE,
    PRIORITIES
};

/* Of LIMIT, in whole; at least 1 of what is not 0. Pure. */
static inline uint64_t priority_part(enum priority priority, uint64_t limit)
{
    static const uint16_t permille[PRIORITIES] = {
        [PRIORITY_CRITICAL] = 1000,
        [PRIORITY_NORMAL] = 900,
        [PRIORITY_SHEDDABLE] = 700,
    };
    return (limit * permille[priority] + 999) / 1000;
}
