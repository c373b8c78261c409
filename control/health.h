/*
 * health: which backends may be used, as this node sees it: probes that workers make when told to,
 * and what traffic experiences (docs/failover.md, "Backend health").
 *
 * A backend that probes or failed connects have found down is out without limit. One that only
 * traffic speaks against is ejected for a while, at most 30 % of a region's backends at a time (but
 * one may always be), and never the last usable one that its service has in the region.
 *
 * Backends are known by (slot, generation). Control thread; each call costs at most one walk over
 * the configured backends, some microseconds.
 */
#pragma once

#include "control/config.h"
#include "control/ejection.h"
#include "control/failover.h"
#include "control/verdict.h"

enum health_state {
    HEALTH_NEW, /* not probed yet; usable, and of no weight in the verdict */
    HEALTH_UP,
    HEALTH_DOUBT, /* a probe failed or the path fell silent; usable until probes say otherwise */
    HEALTH_DOWN,
    HEALTH_RISING, /* was down, probes succeed; not usable until enough have */
    HEALTH_STATES
};

enum health_event {
    HEALTH_OK,              /* a probe succeeded */
    HEALTH_OK_ENOUGH,       /* ... the rise-th in a row */
    HEALTH_FAILED,          /* a probe failed */
    HEALTH_FAILED_ENOUGH,   /* ... the fall-th in a row */
    HEALTH_CONNECTS_FAILED, /* of traffic, several in a row */
    HEALTH_SILENT,          /* the path under open attempts fell silent */
    HEALTH_EVENTS
};

/* The table of transitions. */
enum health_state health_next(enum health_state state, enum health_event event);

struct health;

/* HOST outlives it: `probe` and `event` are used. SEED: of jitter. */
struct health *health_create(const struct failover_host *host, uint64_t seed);
void health_destroy(struct health *health);

/* CONFIG is used until the next call. Backends that stay keep their health. */
void health_apply(struct health *health, const struct config *config, uint64_t now);

/* Order probes that are due, take ejected backends back. */
void health_tick(struct health *health, uint64_t now);
/* When health_tick() is to be called next. */
uint64_t health_due_ns(const struct health *health);

void health_probed(struct health *health, const struct probe_result *result, uint64_t now);
void health_observe(struct health *health, const struct backend_loads *sums, uint64_t now);

bool health_is_usable(const struct health *health, uint32_t slot);
/* Its weight while it warms up, else the configured one; whether or not it is usable. */
uint32_t health_weight(const struct health *health, uint32_t slot);
/* Whether usability or weight of any backend has changed since the last call. */
bool health_take_changed(struct health *health);

/* What the regions consist of now. One walk for all. */
void health_members(const struct health *health, struct verdict_members out[SNAPSHOT_REGIONS_MAX]);

/* What has ended in a region since the last call. */
struct health_tries {
    uint64_t successes; /* of probes and traffic */
    uint64_t failures;
    uint64_t requests; /* of traffic alone */
    uint64_t errors;
    uint64_t first_bytes[HISTOGRAM_BUCKETS]; /* so many came within 2^i us */
};

struct health_tries health_take_tries(struct health *health, uint32_t region);

/* UNIX_MS_AT_ZERO: the unix time of time 0. */
void health_view(const struct health *health, uint32_t slot, uint64_t now, uint64_t unix_ms_at_zero,
                 struct failover_backend_view *out);
