/*
 * region_table: the transitions of a region's automatic state as one table: from where to where, by
 * which evidence, for how long it has to hold, and what else has to be true. The first row that is
 * due wins. Constant data.
 */
#pragma once

#include "control/region_state.h"

#include <stdio.h>

/* Which length of `struct region_rules` evidence has to hold for. */
enum region_dwell {
    REGION_DWELL_NONE,
    REGION_DWELL_HARD,
    REGION_DWELL_DOWN,
    REGION_DWELL_DEGRADED,
    REGION_DWELL_UP,
    REGION_DWELL_CLEAR,
    REGION_DWELL_RECOVER,
    REGION_DWELLS
};

/* What else has to be true. */
enum region_condition {
    REGION_ALWAYS,
    REGION_HOLD_DOWN_OVER, /* and a penalty does not keep it out */
    REGION_STEP_HELD,      /* and there is another one */
    REGION_LAST_STEP_HELD,
    REGION_CONDITIONS
};

struct region_row {
    enum region_automatic from;
    enum region_automatic to;
    enum region_evidence evidence;
    enum region_dwell dwell;
    enum region_condition condition;
};

extern const struct region_row region_rows[];
extern const uint32_t region_row_count;

/* The word that the script uses for it. */
const char *region_evidence_name(enum region_evidence evidence);
/* A sentence for people; its %u is the percentage, where evidence has one. */
const char *region_evidence_text(enum region_evidence evidence, uint32_t percent,
                                 char out[REGION_REASON_MAX]);
/* The percentage of the configuration that the evidence is about; 0: none. */
uint32_t region_evidence_percent(const struct config_failover *failover,
                                 enum region_evidence evidence);

/* The table as docs/failover.md holds it: a drawing, then rows. */
void region_table_print(FILE *out);
