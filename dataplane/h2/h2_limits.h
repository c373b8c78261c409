/*
 * h2_limits: the bounds of h2_limits.def, and the budgets as leaky buckets, some 2 bytes each.
 */
#pragma once

#include "dataplane/h2/h2_violation.h"

enum h2_limit {
#define LIMIT(name, value, unit, what) H2_LIMIT_##name = value,
#define BUDGET(name, burst, per_second, violation, what)
#include "dataplane/h2/h2_limits.def"
#undef LIMIT
#undef BUDGET
};

enum h2_budget {
#define LIMIT(name, value, unit, what)
#define BUDGET(name, burst, per_second, violation, what) H2_BUDGET_##name,
#include "dataplane/h2/h2_limits.def"
#undef LIMIT
#undef BUDGET
    H2_BUDGETS
};

struct h2_budgets {
    uint64_t drained_at_ns;    /* until when the buckets have leaked, whole seconds after opening */
    uint16_t used[H2_BUDGETS]; /* 0..burst */
};

void h2_budgets_init(struct h2_budgets *budgets, uint64_t now);

/* One more; the violation if that is too many. O(1). */
enum h2_violation h2_budget_charge(struct h2_budgets *budgets, enum h2_budget budget, uint64_t now);

/* COUNT of them were explained by what we did. */
static inline void h2_budget_refund(struct h2_budgets *budgets, enum h2_budget budget,
                                    uint32_t count)
{
    uint16_t used = budgets->used[budget];
    budgets->used[budget] = count < used ? (uint16_t)(used - count) : 0;
}
