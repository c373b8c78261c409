/*
 * h1_violation: what is wrong with a message, as one enum (h1_violations.def), each with a counter.
 * A value, never a check(): peers cause it.
 */
#pragma once

#include "dataplane/h1/h1.h"

enum h1_violation {
    H1_VIOLATION_none,
#define VIOLATION(name, help) H1_VIOLATION_##name,
#include "dataplane/h1/h1_violations.def"
#undef VIOLATION
    H1_VIOLATIONS
};

/* One more of it. H1_VIOLATION_none: nothing. */
void h1_violation_count(struct h1_counters *counters, enum h1_violation violation);

/* As in the counter's name; "" for none. For tests. */
const char *h1_violation_name(enum h1_violation violation);
