#include "dataplane/h1/h1_violation.h"

#include <stddef.h>

#include "dataplane/base/check.h"
#include "dataplane/base/counter.h"

static const struct {
    const char *name;
    size_t counter; /* in struct h1_counters */
} violations[H1_VIOLATIONS] = {
    [H1_VIOLATION_none] = {"", 0},
#define VIOLATION(name, help) [H1_VIOLATION_##name] = {#name, offsetof(struct h1_counters, name)},
#include "dataplane/h1/h1_violations.def"
#undef VIOLATION
};

void h1_violation_count(struct h1_counters *counters, enum h1_violation violation)
{
    if (violation == H1_VIOLATION_none)
        return;
    uint8_t *base = (uint8_t *)counters;
    counter_add((uint64_t *)(void *)(base + violations[violation].counter), 1);
}

const char *h1_violation_name(enum h1_violation violation)
{
    check(violation < H1_VIOLATIONS);
    return violations[violation].name;
}
