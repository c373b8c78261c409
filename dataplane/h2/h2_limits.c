#include "dataplane/h2/h2_limits.h"

#include "dataplane/base/clock.h"

struct budget_rule {
    uint16_t burst;
    uint16_t per_second;
    enum h2_violation violation;
};

static const struct budget_rule budget_rules[H2_BUDGETS] = {
#define LIMIT(name, value, unit, what)
#define BUDGET(name, burst, per_second, violation, what)                                           \
    [H2_BUDGET_##name] = {burst, per_second, H2_VIOLATION_##violation},
#include "dataplane/h2/h2_limits.def"
#undef LIMIT
#undef BUDGET
};

void h2_budgets_init(struct h2_budgets *budgets, uint64_t now)
{
    *budgets = (struct h2_budgets){.drained_at_ns = now};
}

static void drain(struct h2_budgets *budgets, uint64_t seconds)
{
    budgets->drained_at_ns += seconds * CLOCK_S;
    for (uint32_t i = 0; i < H2_BUDGETS; i++) {
        uint64_t leaked = seconds * budget_rules[i].per_second;
        budgets->used[i] = leaked < budgets->used[i] ? (uint16_t)(budgets->used[i] - leaked) : 0;
    }
}

enum h2_violation h2_budget_charge(struct h2_budgets *budgets, enum h2_budget budget, uint64_t now)
{
    if (now >= budgets->drained_at_ns + CLOCK_S)
        drain(budgets, (now - budgets->drained_at_ns) / CLOCK_S);
    if (budgets->used[budget] >= budget_rules[budget].burst)
        return budget_rules[budget].violation;
    budgets->used[budget]++;
    return H2_VIOLATION_none;
}
