/*
 * warm_up: a backend that comes back is given its weight in steps (docs/failover.md, "Backend
 * health"): caches are cold, and all who waited would come at once. Plain values; control thread.
 */
#pragma once

#include "control/config.h"

#define WARM_UP_STEPS 10u
#define WARM_UP_FULL  1000u

struct warm_up {
    bool warming;
    uint64_t since_ns;
    uint32_t steps;    /* done, as of the last warm_up_step() */
    uint32_t permille; /* of its weight, likewise; when warming */
};

/* It is usable again, or not any more. */
void warm_up_begin(struct warm_up *warm_up, uint64_t now, const struct config_health *health);
void warm_up_stop(struct warm_up *warm_up);

/* Take the step that is due. Whether the weight has changed. */
bool warm_up_step(struct warm_up *warm_up, uint64_t now, const struct config_health *health);
/* When the next step is due; CLOCK_NEVER when it is warm. */
uint64_t warm_up_due_ns(const struct warm_up *warm_up, const struct config_health *health);

/* What is left of WEIGHT now, at least 1. */
uint32_t warm_up_weight(const struct warm_up *warm_up, uint32_t weight);
