#include "dataplane/request/panic_gate.h"

#include "dataplane/base/clock.h"
#include "dataplane/base/random.h"
#include "dataplane/request/request.h"

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

static uint64_t good_answers(const struct request_counters *counters)
{
    return counters->answered_1xx + counters->answered_2xx + counters->answered_3xx +
           counters->answered_4xx;
}

/* What was not tried says nothing about backends. */
static uint64_t bad_answers(const struct request_counters *counters)
{
    uint64_t refused = counters->local_requests + counters->local_principal_requests +
                       counters->local_principal_share + counters->local_no_memory +
                       counters->local_shut + counters->local_panic;
    return counters->answered_5xx > refused ? counters->answered_5xx - refused : 0;
}

/* Half of it from before: a second may be short. */
static void look(struct panic_gate *gate, const struct request_counters *counters, uint64_t now)
{
    uint64_t good = good_answers(counters) - gate->good;
    uint64_t bad = bad_answers(counters) - gate->bad;
    bool first = gate->looked_at_ns == 0;
    if (!first && (now - gate->looked_at_ns < LOOK_NS || good + bad < SAMPLES_MIN))
        return;
    gate->looked_at_ns = now;
    gate->good += good;
    gate->bad += bad;
    if (!first)
        gate->success_permille =
            (gate->success_permille + (uint32_t)(good * 1000 / (good + bad))) / 2;
}

bool panic_gate_admits(struct panic_gate *gate, const struct request_counters *counters,
                       enum priority priority, struct random *random, uint64_t now)
{
    if (!gate->on)
        return true;
    look(gate, counters, now);
    uint32_t permille = HOPE * gate->success_permille;
    permille = permille < LEAST_PERMILLE ? LEAST_PERMILLE : permille;
    permille = permille > 1000 ? 1000 : permille;
    return random_below(random, 1000) < priority_part(priority, permille);
}
