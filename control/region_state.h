/*
 * region_state: the cluster's agreed state of all regions, and the votes it is decided by. Plain
 * values: what the store keeps, the disk snapshot holds and the rules (region_rules.h) work on.
 *
 * Times are unix milliseconds by the store's clock. No thread of its own; any one thread.
 */
#pragma once

#include "control/config.h"

#define REGION_ID_MAX      17 /* 16 hexadecimal digits */
#define REGION_REASON_MAX  128
#define REGION_NODES_MAX   64
#define REGION_SHARE_FULL  1000u
#define REGION_PENALTY_MAX 100000u

/* What the cluster has found. */
enum region_automatic {
    REGION_UP,         /* full share */
    REGION_DEGRADED,   /* first choice, but spills in proportion to what is missing */
    REGION_SUSPECT,    /* as before; retries prefer other regions */
    REGION_DOWN,       /* no new flights */
    REGION_RECOVERING, /* a growing share */
    REGION_AUTOMATICS
};

/* What an operator has ordered. The automatic state goes on beneath it. */
enum region_override {
    REGION_OVERRIDE_NONE,
    REGION_OVERRIDE_DRAIN,      /* no new flights, the existing ones end */
    REGION_OVERRIDE_FORCE_UP,   /* full share, whatever is found */
    REGION_OVERRIDE_FORCE_DOWN, /* no new flights, whatever is found */
    REGION_OVERRIDES
};

struct region_record {
    char name[CONFIG_NAME_MAX];
    enum region_automatic automatic;
    enum region_automatic before; /* SUSPECT came from there: UP or DEGRADED */
    enum region_override override;
    uint64_t expires_ms;         /* of the override; 0: never */
    uint64_t since_ms;           /* of the automatic state */
    uint32_t downs;              /* n of the hold-down's doubling */
    uint64_t hold_down_until_ms; /* DOWN may not be left before */
    uint32_t ramp_step;          /* RECOVERING: index into the ramp */
    uint64_t step_since_ms;
    uint32_t penalty; /* of its DOWNs, as of `penalty_at_ms`; decays */
    uint64_t penalty_at_ms;
    uint32_t kept_out;              /* 1: not back before the penalty is small */
    char reason[REGION_REASON_MAX]; /* of the last change */

    /* What waits for an operator's review. */
    enum region_automatic proposed;   /* the state it should go to */
    uint64_t proposed_until_ms;       /* 0: nothing is proposed */
    uint64_t rejected_until_ms;       /* not proposed again before; 0: not rejected */
    char evidence[REGION_REASON_MAX]; /* of the proposal */
};

struct region_state {
    uint64_t epoch;                   /* grows by every change; 0: nothing was agreed yet */
    char change_id[REGION_ID_MAX];    /* random per change */
    char incarnation[REGION_ID_MAX];  /* random per database; compared for equality only */
    char decided_by[CONFIG_NAME_MAX]; /* node */
    char reason[REGION_REASON_MAX];   /* of the last change of anything */
    uint32_t stopped;                 /* 1: an operator has switched automation off */
    uint64_t stopped_until_ms;        /* ... until then; 0: for ever */
    uint64_t admit;                   /* rule S4: flights of all nodes at most; 0: no limit */
    uint64_t last_down_ms;            /* rule S2: the last automatic DOWN */
    uint64_t frozen_until_ms;         /* rule S3 */
    uint32_t frozen_times;            /* rule S3: doubles */
    uint32_t count;
    struct region_record regions[SNAPSHOT_REGIONS_MAX]; /* in the configuration's order */
};

/* What a node can claim of a region. A vote says for how long each has held. */
enum region_evidence {
    REGION_HARD_FAILURE,     /* nothing succeeds any more (verdict.h) */
    REGION_BELOW_SUSPECT,    /* availability below `suspect_below` */
    REGION_BELOW_RECOVERING, /* ... `recovering_below` */
    REGION_BELOW_DEGRADED,   /* ... `degraded_below` */
    REGION_AT_LEAST_CLEAR,   /* at least `clear_at`, and no hard failure, here and below */
    REGION_AT_LEAST_KEEP,    /* ... `recovering_below` */
    REGION_AT_LEAST_RECOVER, /* ... `recover_at` */
    REGION_AT_LEAST_UP,      /* ... `up_at` */
    REGION_WORSE,            /* more errors than before the failure (region_errors.h) */
    REGION_SLOWER,           /* later first bytes than before the failure (region_delays.h) */
    REGION_EVIDENCES
};

#define REGION_NOT_HELD         (-1)
#define REGION_CAPACITY_UNKNOWN (-1)

struct region_opinion {
    uint32_t available_permille;
    uint32_t usable;                   /* backends */
    uint64_t in_flight;                /* of this node */
    int64_t capacity;                  /* flights it can carry; REGION_CAPACITY_UNKNOWN */
    int32_t held_ms[REGION_EVIDENCES]; /* REGION_NOT_HELD, or for how long; at most 1e9 */
};

struct region_vote {
    char node[CONFIG_NAME_MAX];
    uint64_t age_ms; /* by the store's clock */
    uint64_t epoch;  /* applied by the node */
    char change_id[REGION_ID_MAX];
    bool blind;         /* abstains */
    uint64_t agreement; /* hash of what voters must have in common: rule S5 */
    struct region_opinion regions[SNAPSHOT_REGIONS_MAX];
};

struct region_votes {
    uint32_t count;
    struct region_vote votes[REGION_NODES_MAX];
};

/* Nothing agreed: every region UP, epoch 0. */
void region_state_init(struct region_state *state, const struct config *config);

/* The same state for another configuration's regions, by name; new ones are UP. */
void region_state_reorder(struct region_state *state, const struct config *config);

/* The index of a region, or -1. */
int region_state_find(const struct region_state *state, const char *name);

/* Whether a region takes new flights. */
bool region_is_active(const struct region_record *record);

/* Whether an operator's order stops every automatic change now. */
bool region_is_stopped(const struct region_state *state, uint64_t now_ms);

/* Whether it is as it should be, more or less: what is measured then is what is usual. */
bool region_is_steady(enum region_automatic automatic);

/* Whether something waits for an operator's review. */
bool region_is_proposed(const struct region_record *record, uint64_t now_ms);

uint32_t region_active_count(const struct region_state *state);

const char *region_automatic_name(enum region_automatic automatic);
const char *region_override_name(enum region_override override);
const char *region_effective_name(const struct region_record *record);
const char *region_mode_name(enum config_mode mode);
