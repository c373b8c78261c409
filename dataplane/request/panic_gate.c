#include "dataplane/request/panic_gate.h"

#include "dataplane/base/clock.h"
#include "dataplane/base/random.h"

#define LOOK_NS        (1 * CLOCK_S)
#define SAMPLES_MIN    10u /* answers between two looks, or the next look is later */
#define HOPE           2u  /* times the success that was seen */
#define LEAST_PERMILLE 50u

void panic_gate_set(struct panic_gate *gate, bool panic)
{
    if (gate->on == panic)
        return;
    *gate = (struct panic_gate){.on = panic, .success_permille = 1000};
}

void panic_gate_saw(struct panic_gate *gate, bool good)
{
    gate->good += good;
    gate->bad += !good;
}

/* Half of it from before: a second may be short. */
static void look(struct panic_gate *gate, uint64_t now)
{
    uint32_t all = gate->good + gate->bad;
    bool first = gate->looked_at_ns == 0;
    if (!first && (now - gate->looked_at_ns < LOOK_NS || all < SAMPLES_MIN))
        return;
    if (!first)
        gate->success_permille =
            (gate->success_permille + (uint32_t)(gate->good * 1000ull / all)) / 2;
    gate->looked_at_ns = now;
    gate->good = 0;
    gate->bad = 0;
}

bool panic_gate_admits(struct panic_gate *gate, enum priority priority, struct random *random,
                       uint64_t now)
{
    if (!gate->on)
        return true;
    look(gate, now);
    uint32_t permille = HOPE * gate->success_permille;
    permille = permille < LEAST_PERMILLE ? LEAST_PERMILLE : permille;
    return random_below(random, 1000) < priority_part(priority, permille);
}
