/*
 * region_rules: when the agreed state of a region changes: the table of docs/failover.md, quorum
 * and the safety rules, as pure functions of (state, votes, now).
 *
 * They propose, explain, and decide where the store is this process's memory. Where it is Redis,
 * control/region_cas.lua decides by the same rules; a test compares the two over random states.
 * Costs: regions x rows x votes comparisons, some microseconds. Any thread; no state.
 */
#pragma once

#include "control/region_state.h"

struct region_rules {
    /* For how long evidence has to hold, in ms; doubled when this node decides alone. */
    uint32_t hard_ms;
    uint32_t down_ms;
    uint32_t degraded_ms;
    uint32_t up_ms;
    uint32_t clear_ms;
    uint32_t recover_ms;
    uint64_t hold_down_ms;
    uint64_t hold_down_max_ms;
    uint64_t quiet_ms; /* so long without a change takes one from `downs` */
    uint32_t penalty;  /* of one DOWN */
    uint32_t penalty_out;
    uint32_t penalty_back;
    uint64_t penalty_half_life_ms;
    uint32_t percents[REGION_EVIDENCES]; /* what evidence is about; 0: no percentage */
    uint64_t ramp_step_ms;
    uint32_t ramp_steps;
    uint32_t ramp_permille[8];
    uint32_t min_active;
    uint64_t down_interval_ms;
    uint64_t correlated_ms;
    uint64_t freeze_ms;
    uint64_t fresh_ms;
    enum config_mode on_failure[SNAPSHOT_REGIONS_MAX];
    enum config_mode on_recovery[SNAPSHOT_REGIONS_MAX];
    bool review_unless_hard;
    bool dry_run;              /* automation changes nothing */
    bool any_agreement;        /* rule S5 was named: votes with other rules agree, too */
    uint32_t capacity_percent; /* rule S4: of the capacity that may be used */
    uint64_t proposal_ms;      /* a proposal, and a rejection, hold for so long */
    uint32_t roster;           /* nodes in the configuration */
    bool alone;                /* only the own vote counts */
    uint64_t agreement;        /* votes with another one never agree: rule S5 */
    char self[CONFIG_NAME_MAX];
};

void region_rules_init(struct region_rules *rules, const struct config *config);

/* The safety rules, as bits: those that an operator has named do not refuse. */
enum region_rule {
    REGION_RULE_S1 = 1u << 0,
    REGION_RULE_S2 = 1u << 1,
    REGION_RULE_S3 = 1u << 2,
    REGION_RULE_S4 = 1u << 3,
    REGION_RULE_S5 = 1u << 4,
};

#define REGION_RULES_TEXT_MAX 24

/* "S1, S4". Returns OUT. */
const char *region_rules_text(uint32_t rules, char out[REGION_RULES_TEXT_MAX]);
/* One of them by its name; 0: there is none of that name. */
uint32_t region_rule_of(const char *name);

enum region_request_kind {
    REGION_INIT,  /* the database is empty: write what is configured */
    REGION_MOVE,  /* an automatic transition */
    REGION_DRAIN, /* an operator's orders, here to thaw */
    REGION_UNDRAIN,
    REGION_FORCE_UP,
    REGION_FORCE_DOWN,
    REGION_UNFORCE,
    REGION_FREEZE,   /* no automatic change of any region */
    REGION_THAW,     /* ends that, and a freeze by rule S3 */
    REGION_APPROVE,  /* an operator's order: the transition that is due and waits for review */
    REGION_REJECT,   /* ... is not wanted, and not proposed again for a while */
    REGION_PROPOSE,  /* keep the transition that is due for review */
    REGION_EXPIRE,   /* the override's time is over */
    REGION_REASSERT, /* the store holds an older state than was applied */
    REGION_REQUESTS
};

struct region_request {
    enum region_request_kind kind;
    uint32_t region;            /* where region_request_is_of_region() */
    enum region_automatic to;   /* move */
    uint64_t ttl_ms;            /* of an order; 0: until undone */
    uint32_t despite;           /* enum region_rule: named by the operator, not heeded */
    char by[REGION_REASON_MAX]; /* who, for the audit */
    uint64_t epoch;             /* move, expire: the state this was found for */
    char change_id[REGION_ID_MAX];
    char new_change_id[REGION_ID_MAX];
    char new_incarnation[REGION_ID_MAX];
    const struct region_state *content; /* init, reassert: what to write */
};

bool region_request_is_of_region(enum region_request_kind kind);
/* The word the script and files use for it. */
const char *region_request_name(enum region_request_kind kind);

enum region_answer {
    REGION_DONE,
    REGION_FROZE,         /* rule S3: nothing moved, automation is frozen for a while; written */
    REGION_REFUSED_S1,    /* too few active regions would be left */
    REGION_REFUSED_S2,    /* too many DOWN, or too soon after another */
    REGION_NO_QUORUM,     /* the votes do not ask for it */
    REGION_STALE,         /* the state has changed in between */
    REGION_OLDER,         /* a node has applied a newer state: only reassert is accepted */
    REGION_FROZEN,        /* by rule S3, before */
    REGION_WAITS,         /* for an operator's approval */
    REGION_REJECTED,      /* an operator does not want it */
    REGION_DRY_RUN,       /* it would be done */
    REGION_MANUAL,        /* this region is not moved by automation */
    REGION_STOPPED,       /* by an operator: automation is switched off */
    REGION_NOT_HELD_HERE, /* reassert: another node holds the newest state, or too few vote */
    REGION_NO_OVERRIDE,   /* there is nothing to undo, or its time is not over */
    REGION_UNKNOWN,       /* the store has no such region or request */
    REGION_ANSWERS
};

/* The word the script uses for it, and a sentence for people. */
const char *region_answer_name(enum region_answer answer);
const char *region_answer_text(enum region_answer answer);

/*
 * Do what the request asks to STATE if the rules allow it. Changed on REGION_DONE and REGION_FROZE
 * only.
 */
enum region_answer region_rules_decide(const struct region_rules *rules, struct region_state *state,
                                       const struct region_votes *votes, uint64_t now_ms,
                                       const struct region_request *request);

/* What a region should do now. */
struct region_proposal {
    bool due; /* by quorum; what the safety rules say is in `answer` */
    enum region_automatic to;
    enum region_answer answer; /* what region_rules_decide() would say to it */
    char reason[REGION_REASON_MAX];
};

struct region_proposal region_rules_propose(const struct region_rules *rules,
                                            const struct region_state *state,
                                            const struct region_votes *votes, uint64_t now_ms,
                                            uint32_t region);

/* Votes that count now; and of them, those that hold nothing against the region's state. */
struct region_count {
    uint32_t fresh;
    uint32_t seeing; /* fresh and not blind */
    uint32_t agreeing;
};

struct region_count region_rules_count(const struct region_rules *rules,
                                       const struct region_state *state,
                                       const struct region_votes *votes, uint32_t region);
