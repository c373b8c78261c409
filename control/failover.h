/*
 * failover: health of backends, verdict and agreed state of regions (the three layers of
 * docs/failover.md), on the control thread.
 *
 * It is told what happens (probe results, passive counts, operator commands, store events) and the
 * time; it orders probes and says when a new snapshot is due. The rules are pure functions of
 * (state, votes, now) in files of their own; the store is behind store.h.
 */
#pragma once

#include "control/config.h"
#include "control/loop.h"
#include "control/region_explain.h"
#include "dataplane/region/backend_load.h"
#include "dataplane/worker/control_mail.h"

struct failover;

struct failover_host {
    /* Ask some worker to probe. False: not possible now (asked again later). */
    bool (*probe)(void *context, const struct probe_order *order);
    /* Health or region state changed in a way that workers must see: publish a snapshot. */
    void (*changed)(void *context);
    /* One line for the log: an event worth an operator's attention. */
    void (*event)(void *context, const char *text);
    void *context;
    uint64_t seed; /* of jitter and the names of changes; 0: from the kernel */
};

/* NULL with MESSAGE when the store's settings cannot be used. Starts timers on LOOP. */
struct failover *failover_create(struct loop *loop, const struct config *config,
                                 const struct failover_host *host, char *message,
                                 size_t message_size);
void failover_destroy(struct failover *failover);

/* The configuration was replaced: backends keep their health by (slot, generation). */
void failover_apply(struct failover *failover, const struct config *config);

void failover_probed(struct failover *failover, const struct probe_result *result);

/* Passive observation: the sums over all workers, some times a second. */
void failover_observe(struct failover *failover, const struct backend_loads *sums);

/* The loop goes on after not having been run for so long (loop_on_resume()). */
void failover_resumed(struct failover *failover, uint64_t absent_for_ns);

/* What the next snapshot says. */
bool failover_backend_usable(const struct failover *failover, uint32_t slot);
uint32_t failover_backend_weight(const struct failover *failover, uint32_t slot);
bool failover_region_active(const struct failover *failover, uint32_t region);
bool failover_region_suspect(const struct failover *failover, uint32_t region);
uint16_t failover_region_share(const struct failover *failover, uint32_t region);
/* Attempts of this node in flight there at most; 0: no limit. */
uint32_t failover_region_capacity(const struct failover *failover, uint32_t region);
/* Every active region looks sick. */
bool failover_is_panic(const struct failover *failover);
/* Flights of this node at most (rule S4); 0: no limit. */
uint32_t failover_node_flights(const struct failover *failover);

/* An order of this node alone, in force while the store is away, or offered since it is back. */
struct failover_local_view {
    const char *order; /* drain, undrain, force_up, force_down, unforce, freeze; NULL: none */
    bool offered;      /* in force no more */
    uint64_t left_ms;  /* of the order; 0: no end */
    char by[128];
};

/* What operators see; indices as in the configuration. */
struct failover_region_view {
    const char *name;
    const char *automatic; /* up, degraded, suspect, down, recovering */
    const char *override;  /* none, drain, force_up, force_down */
    const char *effective;
    bool active;
    uint16_t share_permille;
    uint64_t since_ms; /* unix time of the last change of automatic */
    uint64_t epoch;
    double availability; /* this node's, 0..1 */
    uint32_t usable_backends;
    uint32_t backends;
    uint64_t hold_down_left_ms;
    uint32_t votes_fresh;
    uint32_t votes_agreeing;
    uint32_t votes_blind;   /* of the fresh ones */
    uint32_t votes_stale;   /* seen, and too old to count */
    const char *on_failure; /* who decides: auto, review, manual */
    const char *on_recovery;
    uint32_t capacity;    /* attempts of this node there at most; 0: no limit */
    const char *proposed; /* what waits for review: the state it should go to; NULL: nothing */
    uint64_t proposal_left_ms;
    char proposal_evidence[128];
    uint64_t override_left_ms; /* 0: until undone */
    struct failover_local_view local;
    char reason[128];
};

struct failover_view {
    const char *store;       /* memory, redis */
    const char *store_state; /* connected, connecting, lost */
    bool frozen;
    char frozen_reason[128];
    uint64_t epoch;
    uint32_t nodes_live;
    bool panic; /* every active region looks sick to this node */
    bool blind; /* this node reaches no region: its vote does not count */
    bool dry_run;
    uint64_t admit;                   /* flights of all nodes at most (rule S4); 0: no limit */
    uint32_t node_flights;            /* ... of this node */
    uint64_t expiries_held;           /* overrides that had expired and stayed (rule S1), ever */
    struct failover_local_view local; /* automation off */
};

struct failover_backend_view {
    const char *state; /* up, doubt, down */
    bool ejected;
    uint64_t ejected_left_ms;
    uint32_t weight;     /* as it is while it warms up */
    char last_probe[64]; /* ok, connect failed, timeout, status 503 ... */
    uint64_t last_probe_took_ns;
    uint64_t since_ms; /* unix time of the last change */
};

/* Where the region can go, and what holds it. */
void failover_explain(const struct failover *failover, uint32_t region,
                      struct region_explanation *out);
/* What was said last (failover_host.event), the oldest first; at most FAILOVER_LINES. */
#define FAILOVER_LINES 256
void failover_lines(const struct failover *failover,
                    void (*line)(void *context, uint64_t unix_ms, const char *text), void *context);
/*
 * The cluster's record of changes, or why it cannot be had (`failure`): then failover_lines() is
 * what there is. DONE is called once in any case, and not kept after a failover_destroy().
 */
struct store_audit;
typedef void failover_audited(void *context, const struct store_audit *audit);
void failover_audit(struct failover *failover, failover_audited *done, void *context);
/* The votes as read last. */
const struct region_votes *failover_votes(const struct failover *failover);

void failover_region_view(const struct failover *failover, uint32_t region,
                          struct failover_region_view *out);
void failover_backend_view(const struct failover *failover, uint32_t slot,
                           struct failover_backend_view *out);
void failover_view(const struct failover *failover, struct failover_view *out);

/* Operators' commands. */
enum failover_command {
    FAILOVER_DRAIN,
    FAILOVER_UNDRAIN,
    FAILOVER_FORCE_UP,
    FAILOVER_FORCE_DOWN,
    FAILOVER_UNFORCE,
    FAILOVER_APPROVE, /* the transition that waits for review */
    FAILOVER_REJECT,
    FAILOVER_FREEZE, /* of all regions: automation is switched off */
    FAILOVER_THAW,
    FAILOVER_COMMANDS
};

struct failover_order {
    enum failover_command command;
    uint32_t region;  /* not of freeze and thaw */
    uint64_t ttl_ms;  /* 0: until undone */
    uint32_t despite; /* enum region_rule: what the operator has named does not refuse */
    bool local;       /* on this node alone, while the store is away */
    const char *by;   /* who (peer credentials), for the audit */
};

typedef void failover_done(void *context, bool ok, const char *text);

/* The result comes by DONE, after the store has decided: ok, or the reason in TEXT. */
void failover_command(struct failover *failover, const struct failover_order *order,
                      failover_done *done, void *context);
