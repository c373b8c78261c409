#include "control/region_table.h"

#include "dataplane/base/check.h"

#include <stdio.h>

/* docs/failover.md, "State". The first row that is due wins. */
const struct region_row region_rows[] = {
    {REGION_UP, REGION_SUSPECT, REGION_HARD_FAILURE, REGION_DWELL_NONE, REGION_ALWAYS},
    {REGION_UP, REGION_SUSPECT, REGION_BELOW_SUSPECT, REGION_DWELL_NONE, REGION_ALWAYS},
    {REGION_UP, REGION_DEGRADED, REGION_BELOW_DEGRADED, REGION_DWELL_DEGRADED, REGION_ALWAYS},
    {REGION_DEGRADED, REGION_SUSPECT, REGION_HARD_FAILURE, REGION_DWELL_NONE, REGION_ALWAYS},
    {REGION_DEGRADED, REGION_SUSPECT, REGION_BELOW_SUSPECT, REGION_DWELL_NONE, REGION_ALWAYS},
    {REGION_DEGRADED, REGION_UP, REGION_AT_LEAST_UP, REGION_DWELL_UP, REGION_ALWAYS},
    {REGION_SUSPECT, REGION_DOWN, REGION_HARD_FAILURE, REGION_DWELL_HARD, REGION_ALWAYS},
    {REGION_SUSPECT, REGION_DOWN, REGION_BELOW_SUSPECT, REGION_DWELL_DOWN, REGION_ALWAYS},
    {REGION_SUSPECT, REGION_UP, REGION_AT_LEAST_UP, REGION_DWELL_CLEAR, REGION_ALWAYS},
    {REGION_SUSPECT, REGION_DEGRADED, REGION_AT_LEAST_CLEAR, REGION_DWELL_CLEAR, REGION_ALWAYS},
    {REGION_DOWN, REGION_RECOVERING, REGION_AT_LEAST_RECOVER, REGION_DWELL_RECOVER,
     REGION_HOLD_DOWN_OVER},
    {REGION_RECOVERING, REGION_DOWN, REGION_HARD_FAILURE, REGION_DWELL_HARD, REGION_ALWAYS},
    {REGION_RECOVERING, REGION_DOWN, REGION_BELOW_RECOVERING, REGION_DWELL_DOWN, REGION_ALWAYS},
    {REGION_RECOVERING, REGION_DOWN, REGION_WORSE, REGION_DWELL_NONE, REGION_ALWAYS},
    {REGION_RECOVERING, REGION_DOWN, REGION_SLOWER, REGION_DWELL_NONE, REGION_ALWAYS},
    {REGION_RECOVERING, REGION_RECOVERING, REGION_AT_LEAST_KEEP, REGION_DWELL_NONE,
     REGION_STEP_HELD},
    {REGION_RECOVERING, REGION_UP, REGION_AT_LEAST_KEEP, REGION_DWELL_NONE, REGION_LAST_STEP_HELD},
};

const uint32_t region_row_count = sizeof(region_rows) / sizeof(region_rows[0]);

static const struct {
    const char *name;
    const char *text; /* its %u is the percentage */
} evidences[REGION_EVIDENCES] = {
    [REGION_HARD_FAILURE] = {"hard", "nothing succeeds"},
    [REGION_BELOW_SUSPECT] = {"below_suspect", "availability below %u %%"},
    [REGION_BELOW_RECOVERING] = {"below_recovering", "availability below %u %%"},
    [REGION_BELOW_DEGRADED] = {"below_degraded", "availability below %u %%"},
    [REGION_AT_LEAST_CLEAR] = {"least_clear", "availability at least %u %%"},
    [REGION_AT_LEAST_KEEP] = {"least_keep", "availability at least %u %%"},
    [REGION_AT_LEAST_RECOVER] = {"least_recover", "availability at least %u %%"},
    [REGION_AT_LEAST_UP] = {"least_up", "availability at least %u %%"},
    [REGION_WORSE] = {"worse", "errors above %u %% of those before the failure"},
    [REGION_SLOWER] = {"slower", "first bytes later than %u %% of before the failure"},
};

const char *region_evidence_name(enum region_evidence evidence)
{
    check(evidence < REGION_EVIDENCES);
    return evidences[evidence].name;
}

const char *region_evidence_text(enum region_evidence evidence, uint32_t percent,
                                 char out[REGION_REASON_MAX])
{
    check(evidence < REGION_EVIDENCES);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(out, REGION_REASON_MAX, evidences[evidence].text, percent);
#pragma GCC diagnostic pop
    return out;
}

uint32_t region_evidence_percent(const struct config_failover *failover,
                                 enum region_evidence evidence)
{
    switch (evidence) {
    case REGION_BELOW_SUSPECT:
        return failover->suspect_below;
    case REGION_BELOW_DEGRADED:
        return failover->degraded_below;
    case REGION_BELOW_RECOVERING:
    case REGION_AT_LEAST_KEEP:
        return failover->recovering_below;
    case REGION_AT_LEAST_CLEAR:
        return failover->clear_at;
    case REGION_AT_LEAST_RECOVER:
        return failover->recover_at;
    case REGION_AT_LEAST_UP:
        return failover->up_at;
    case REGION_WORSE:
    case REGION_SLOWER:
        return failover->worse_percent;
    case REGION_HARD_FAILURE:
    case REGION_EVIDENCES:
        break;
    }
    return 0;
}
