/*
 * deny: which sources get nothing. Networks as sorted ranges that do not touch, looked up by binary
 * search; for IPv4 the high 16 bits lead to the few ranges that can matter.
 *
 * Immutable once built (control/deny_build.c); read by all workers through the snapshot.
 */
#pragma once

#include "dataplane/base/ip_address.h"

#include <stddef.h>

#define DENY_V4_INDEX ((1u << 16) + 1)

struct deny_v4 {
    uint32_t first; /* host order, both inclusive */
    uint32_t last;
};

struct deny_v6 {
    uint64_t first[2]; /* host order, high half first */
    uint64_t last[2];
};

struct deny_table {
    uint32_t v4_count;
    uint32_t v6_count; /* of all, IPv4 in its mapped form */
    const struct deny_v4 *v4;
    const struct deny_v6 *v6;
    const uint32_t *v4_index; /* at H: the first range that ends in H.H or later; DENY_V4_INDEX */
};

/* NULL: nothing is denied. Cost: none to some 17 steps. */
bool deny_has(const struct deny_table *table, const struct ip_address *source);
