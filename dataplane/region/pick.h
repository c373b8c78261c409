/*
 * pick: which backend serves a flight. A pure function of snapshot, load and one random number.
 *
 * Regions in order of preference, each by its share; inside a region weighted power of two choices
 * on in-flight attempts per weight. What was tried already is excluded. A region without a usable
 * backend is detoured (failover.md, "Valves"). Backends whose path is silent for this worker, and
 * regions where all are, come last. A region at its capacity gets nothing more; what fits nowhere
 * is refused, the lowest priority first. In panic backends are picked whether they are found usable
 * or not, for those who do not trust probes. O(regions), and where nothing speaks against any of
 * the service's backends O(log backends), else O(backends).
 */
#pragma once

#include "dataplane/base/random.h"
#include "dataplane/region/backend_load.h"

#define PICK_TRIED_MAX 6 /* of two attempts, three each (C14a) */

struct pick_request {
    uint16_t service;
    uint16_t tried_count;
    uint32_t tried_slots[PICK_TRIED_MAX]; /* backends not to pick again */
    int16_t avoid_region;                 /* leave this region if another one can serve; -1: none */
    bool trusts_probes;                   /* in panic, too: only backends found usable */
    enum priority priority;               /* of the capacity, it may find so much in use */
};

enum pick_failure {
    PICK_OK,
    PICK_NO_SERVICE_BACKEND, /* the service has no backend in any active region */
    PICK_NONE_USABLE,        /* all of them are down, drained, or were tried */
    PICK_FULL,               /* those that are left have no capacity for it */
};

/*
 * For snapshot_group.weight_ends, of COUNT backends: the weight of those up to each that are usable
 * and not drained. When a snapshot is made. O(backends)
 */
void pick_sum_weights(const struct snapshot_backend *backends, uint32_t count, uint32_t *out_ends);

/* On PICK_OK the index into snapshot->backends is in *out_backend. */
enum pick_failure pick_backend(const struct snapshot *snapshot, const struct backend_loads *loads,
                               const struct pick_request *request, struct random *random,
                               uint32_t *out_backend);
