#include "control/ejection.h"

#include "dataplane/base/clock.h"

#include <string.h>

#define SLICE_NS      CLOCK_S
#define REQUESTS_MIN  20u
#define JITTER_PART   6 /* of the first ejection: 5 s of 30 s */
#define JITTER_MAX_NS (5 * CLOCK_S)

/* Advance to the slice of NOW, emptying those that were passed. */
static void advance(struct ejection *ejection, uint64_t now)
{
    if (now >= ejection->slice_at_ns + EJECTION_SLICES * SLICE_NS) {
        memset(ejection->slices, 0, sizeof(ejection->slices));
        ejection->slice_at_ns = now;
        return;
    }
    while (now >= ejection->slice_at_ns + SLICE_NS) {
        ejection->slice_at_ns += SLICE_NS;
        ejection->newest = (ejection->newest + 1) % EJECTION_SLICES;
        ejection->slices[ejection->newest] = (struct ejection_slice){0, 0};
    }
}

static uint32_t add(uint32_t a, uint64_t b)
{
    return b < UINT32_MAX - a ? a + (uint32_t)b : UINT32_MAX;
}

void ejection_note(struct ejection *ejection, uint64_t now, uint64_t successes, uint64_t failures)
{
    advance(ejection, now);
    struct ejection_slice *slice = &ejection->slices[ejection->newest];
    slice->successes = add(slice->successes, successes);
    slice->failures = add(slice->failures, failures);
    ejection->row = successes > 0 ? 0 : add(ejection->row, failures);
}

bool ejection_is_due(const struct ejection *ejection, const struct config_health *health)
{
    uint64_t successes = 0;
    uint64_t failures = 0;
    if (ejection->row >= health->eject_failures)
        return true;
    for (int i = 0; i < EJECTION_SLICES; i++) {
        successes += ejection->slices[i].successes;
        failures += ejection->slices[i].failures;
    }
    return successes + failures >= REQUESTS_MIN && failures >= successes;
}

void ejection_forget(struct ejection *ejection, uint64_t now)
{
    ejection->row = 0;
    memset(ejection->slices, 0, sizeof(ejection->slices));
    ejection->slice_at_ns = now;
}

bool ejection_is_out(const struct ejection *ejection, uint64_t now)
{
    return now < ejection->until_ns;
}

void ejection_begin(struct ejection *ejection, uint64_t now, const struct config_health *health,
                    struct random *random)
{
    /* Well for as long as the longest ejection: it begins anew. */
    if (ejection->until_ns != 0 && now >= ejection->until_ns + health->eject_max_ns)
        ejection->times = 0;
    ejection->times++;
    uint64_t for_ns = health->eject_ns * ejection->times;
    if (for_ns > health->eject_max_ns)
        for_ns = health->eject_max_ns;
    uint64_t jitter_ns = health->eject_ns / JITTER_PART;
    if (jitter_ns > JITTER_MAX_NS)
        jitter_ns = JITTER_MAX_NS;
    ejection->until_ns = now + for_ns + jitter_ns / 1000 * random_below(random, 1001);
    ejection_forget(ejection, now);
}
