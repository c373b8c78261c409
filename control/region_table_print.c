/*
 * region_table_print: the table of transitions as a drawing and as rows, as docs/failover.md holds
 * them; names of keys stand for their numbers.
 */
#include "control/region_table.h"

static const char *const evidences[REGION_EVIDENCES] = {
    [REGION_HARD_FAILURE] = "nothing succeeds",
    [REGION_BELOW_SUSPECT] = "A below suspect_below",
    [REGION_BELOW_RECOVERING] = "A below recovering_below",
    [REGION_BELOW_DEGRADED] = "A below degraded_below",
    [REGION_AT_LEAST_CLEAR] = "A at least clear_at",
    [REGION_AT_LEAST_KEEP] = "A at least recovering_below",
    [REGION_AT_LEAST_RECOVER] = "A at least recover_at",
    [REGION_AT_LEAST_UP] = "A at least up_at",
    [REGION_WORSE] = "more errors than before",
    [REGION_SLOWER] = "later first bytes than before",
};

static const char *const dwells[REGION_DWELLS] = {
    [REGION_DWELL_NONE] = "at once",          [REGION_DWELL_HARD] = "hard_failure",
    [REGION_DWELL_DOWN] = "down_dwell",       [REGION_DWELL_DEGRADED] = "degraded_dwell",
    [REGION_DWELL_UP] = "up_dwell",           [REGION_DWELL_CLEAR] = "suspect_clear",
    [REGION_DWELL_RECOVER] = "recover_dwell",
};

static const char *const conditions[REGION_CONDITIONS] = {
    [REGION_ALWAYS] = "",
    [REGION_HOLD_DOWN_OVER] = "hold-down and penalty over",
    [REGION_STEP_HELD] = "ramp_step over, not the last one",
    [REGION_LAST_STEP_HELD] = "the last ramp_step over",
};

static void print_drawing(FILE *out)
{
    fprintf(out, "```mermaid\nstateDiagram-v2\n    [*] --> up\n");
    for (uint32_t r = 0; r < region_row_count; r++) {
        const struct region_row *row = &region_rows[r];
        const char *condition = conditions[row->condition];
        fprintf(out, "    %s --> %s: %s%s%s\n", region_automatic_name(row->from),
                region_automatic_name(row->to), evidences[row->evidence],
                condition[0] == '\0' ? "" : ", ", condition);
    }
    fprintf(out, "```\n\n");
}

void region_table_print(FILE *out)
{
    print_drawing(out);
    fprintf(out, "| from | to | when a quorum holds | for | and |\n|---|---|---|---|---|\n");
    for (uint32_t r = 0; r < region_row_count; r++) {
        const struct region_row *row = &region_rows[r];
        fprintf(out, "| %s | %s | %s | %s | %s |\n", region_automatic_name(row->from),
                region_automatic_name(row->to), evidences[row->evidence], dwells[row->dwell],
                conditions[row->condition]);
    }
}
