#include "control/warm_up.h"

#include "dataplane/base/clock.h"

static uint64_t step_ns(const struct config_health *health)
{
    return health->warm_up_ns / WARM_UP_STEPS;
}

static uint32_t steps_done(const struct warm_up *warm_up, uint64_t now,
                           const struct config_health *health)
{
    uint64_t for_ns = now > warm_up->since_ns ? now - warm_up->since_ns : 0;
    uint64_t steps = step_ns(health) == 0 ? WARM_UP_STEPS : for_ns / step_ns(health);
    return steps < WARM_UP_STEPS ? (uint32_t)steps : WARM_UP_STEPS;
}

void warm_up_begin(struct warm_up *warm_up, uint64_t now, const struct config_health *health)
{
    *warm_up = (struct warm_up){.warming = true, .since_ns = now};
    (void)warm_up_step(warm_up, now, health);
}

void warm_up_stop(struct warm_up *warm_up)
{
    warm_up->warming = false;
}

bool warm_up_step(struct warm_up *warm_up, uint64_t now, const struct config_health *health)
{
    if (!warm_up->warming)
        return false;
    uint32_t before = warm_up->permille;
    uint32_t first = health->warm_up_percent * 10;
    warm_up->steps = steps_done(warm_up, now, health);
    warm_up->permille = first + (WARM_UP_FULL - first) * warm_up->steps / WARM_UP_STEPS;
    warm_up->warming = warm_up->steps < WARM_UP_STEPS;
    return warm_up->permille != before;
}

uint64_t warm_up_due_ns(const struct warm_up *warm_up, const struct config_health *health)
{
    if (!warm_up->warming)
        return CLOCK_NEVER;
    return warm_up->since_ns + (warm_up->steps + 1) * step_ns(health);
}

uint32_t warm_up_weight(const struct warm_up *warm_up, uint32_t weight)
{
    if (!warm_up->warming)
        return weight;
    uint32_t part = (uint32_t)((uint64_t)weight * warm_up->permille / WARM_UP_FULL);
    return part > 0 ? part : 1;
}
