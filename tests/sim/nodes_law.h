/*
 * nodes_law: the safety rules of docs/failover.md, written a second time from the text and without
 * a line of control/region_*: each decision of a server is held against them. What follows from
 * earlier decisions (hold-downs, penalties, freezes, the last DOWN) is remembered here for every
 * state by its (epoch, change_id), so that a store that lost writes is measured by what it still
 * knows.
 */
#pragma once

#include "tests/sim/nodes_count.h"

/* A request, what was answered, and what the server had to decide by. */
struct nodes_decision {
    struct nodes_asker by;
    const struct region_request *request;
    enum region_answer answer;
    uint64_t now_ms;
    const struct region_state *before; /* regions in the asker's order; votes too */
    const struct region_state *after;
    const struct region_votes *votes;
    const struct nodes_server *server;
};

/* What follows from the decisions that led to a state. */
struct nodes_past {
    uint64_t epoch;
    char change_id[REGION_ID_MAX];
    uint64_t content; /* hash of the state */
    uint64_t last_down_ms;
    uint64_t frozen_until_ms;
    bool stopped;                           /* an operator has switched automation off ... */
    uint64_t stopped_until_ms;              /* ... until then; 0: for ever */
    uint64_t down_at_ms[NODES_REGIONS_MAX]; /* by the regions' numbers; 0: never */
    uint64_t hold_down_ms[NODES_REGIONS_MAX];
    double penalty[NODES_REGIONS_MAX];   /* as of down_at_ms ... */
    bool is_kept_out[NODES_REGIONS_MAX]; /* ... by which it stays out */
};

struct nodes_law {
    struct sim *sim;
    const struct nodes_truth *truth;
    struct nodes_past *pasts; /* grows */
    uint32_t count;
    uint32_t room;
    uint64_t answers[REGION_ANSWERS]; /* how often each was given */
    uint64_t changes;
    uint64_t granted[REGION_REQUESTS]; /* by what was asked for */
    uint64_t limits;                   /* of admission (S4) that began */
};

void nodes_law_begin(struct nodes_law *law, struct sim *sim, const struct nodes_truth *truth);
void nodes_law_end(struct nodes_law *law);

/* Fails the run if the decision breaks a rule; remembers it. */
void nodes_law_judge(struct nodes_law *law, const struct nodes_decision *decision);

/* Fails the run unless a server has decided STATE, and exactly so. */
void nodes_law_is_known(struct nodes_law *law, uint32_t node, const struct region_state *state);

/* Active by the text: effective UP, DEGRADED, SUSPECT, RECOVERING, or forced up. */
bool nodes_law_is_active(const struct region_record *record);

/* For how long a quorum has asked for this move; -1: it does not. */
int64_t nodes_law_asked_ms(const struct nodes_ballot *ballot, uint32_t region,
                           enum region_automatic from, enum region_automatic to);

/* Rule S3 by STATE and VOTES: another region is to go down together with this one. */
bool nodes_law_is_correlated(const struct nodes_asker *by, const struct region_state *state,
                             const struct region_votes *votes, uint32_t region);

/* Whether S1 or S2's half of the regions keeps this region from going down. */
bool nodes_law_keeps(const struct nodes_asker *by, const struct region_state *state,
                     uint32_t region);
