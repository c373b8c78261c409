/*
 * ejection: what traffic says of one backend (docs/failover.md, "Backend health"): five failures in
 * a row, or half of at least 20 requests in 10 s, take it out for 30 s x times ejected. How many of
 * a region may be out is the caller's matter (health.h).
 *
 * Counts come as sums every 100 ms or so: where successes and failures fall into one such interval,
 * the successes are taken for the later ones. Plain values; control thread.
 */
#pragma once

#include "control/config.h"
#include "dataplane/base/random.h"

#define EJECTION_SLICES 10 /* of a second each */

struct ejection_slice {
    uint32_t successes;
    uint32_t failures;
};

struct ejection {
    uint32_t row; /* failures since the last success */
    uint32_t times;
    uint64_t until_ns;    /* ejected before this time; 0: never was */
    uint64_t slice_at_ns; /* when the newest slice began */
    uint32_t newest;
    struct ejection_slice slices[EJECTION_SLICES];
};

void ejection_note(struct ejection *ejection, uint64_t now, uint64_t successes, uint64_t failures);

/* Whether what was noted is enough to eject. */
bool ejection_is_due(const struct ejection *ejection, const struct config_health *health);

/* What was noted is over: the backend was away and has come back. */
void ejection_forget(struct ejection *ejection, uint64_t now);

bool ejection_is_out(const struct ejection *ejection, uint64_t now);

/* Out from now on; what was noted is forgotten. */
void ejection_begin(struct ejection *ejection, uint64_t now, const struct config_health *health,
                    struct random *random);
