/*
 * region_explain: where a region can go from its state, what the votes say to each way, what holds
 * it back, and when it would be due if the votes stay as they are. For people; decides nothing.
 *
 * Pure functions of (rules, state, votes, now), as region_rules.h. Cost: some microseconds.
 */
#pragma once

#include "control/region_rules.h"

#define REGION_WAYS_MAX 8

/* One row of the table (region_table.h) that begins at the region's state. */
struct region_way {
    enum region_automatic to;
    char evidence[REGION_REASON_MAX]; /* "availability below 25 %" */
    uint32_t dwell_ms;                /* for which it has to hold */
    uint32_t holding;                 /* votes that hold it now */
    uint32_t agreeing;                /* ... for the dwell */
    bool asked;                       /* enough votes hold it: only time is missing, or a rule */
    uint64_t wait_ms;                 /* if asked: until dwell, hold-down, penalty and step allow */
    enum region_answer answer;        /* what the safety rules say to it */
};

struct region_explanation {
    uint32_t fresh;   /* votes that count */
    uint32_t seeing;  /* of them, not blind */
    uint32_t needed;  /* that must agree */
    uint32_t penalty; /* what is left of it */
    bool kept_out;    /* by the penalty */
    uint32_t way_count;
    struct region_way ways[REGION_WAYS_MAX];
};

void region_explain(const struct region_rules *rules, const struct region_state *state,
                    const struct region_votes *votes, uint64_t now_ms, uint32_t region,
                    struct region_explanation *out);

/* What holds the way back, as a sentence: votes, time or a rule. Returns OUT. */
const char *region_way_text(const struct region_way *way, uint32_t needed,
                            char out[REGION_REASON_MAX]);
