#include "tests/sim/nodes_truth.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#define MILLION 1000000u

void nodes_truth_begin(struct nodes_truth *truth, struct sim *sim, uint32_t region_count,
                       uint32_t backends)
{
    *truth = (struct nodes_truth){.sim = sim, .region_count = region_count, .backends = backends};
}

const char *nodes_health_name(enum nodes_health health)
{
    static const char *const names[NODES_HEALTHS] = {
        [NODES_WELL] = "well",   [NODES_DEAD] = "dead", [NODES_PARTIAL] = "partly dead",
        [NODES_FLAPS] = "flaps", [NODES_ERRS] = "errs",
    };
    check(health < NODES_HEALTHS);
    return names[health];
}

void nodes_truth_set(struct nodes_truth *truth, uint32_t region, enum nodes_health health)
{
    struct nodes_region *of = &truth->regions[region];
    *of = (struct nodes_region){.health = health, .since_ns = truth->sim->now};
    if (health == NODES_PARTIAL)
        of->dead_backends = sim_draw(truth->sim, 1, truth->backends);
    if (health == NODES_FLAPS)
        of->half_ns = sim_draw_log(truth->sim, 200, 60000) * CLOCK_MS;
    sim_note(truth->sim, "truth: region r%u %s (%u)", region, nodes_health_name(health),
             of->dead_backends);
}

static bool is_alive(const struct nodes_truth *truth, uint32_t region, uint32_t backend)
{
    const struct nodes_region *of = &truth->regions[region];
    switch (of->health) {
    case NODES_WELL:
    case NODES_ERRS:
        return true;
    case NODES_DEAD:
        return false;
    case NODES_PARTIAL:
        return backend >= of->dead_backends;
    case NODES_FLAPS:
        return (truth->sim->now - of->since_ns) / of->half_ns % 2 == 1;
    case NODES_HEALTHS:
        break;
    }
    return false;
}

bool nodes_truth_answers(struct nodes_truth *truth, uint32_t node, uint32_t region,
                         uint32_t backend)
{
    const struct nodes_view *view = &truth->views[node];
    bool answers = !view->is_blind && !view->is_cut[region] && is_alive(truth, region, backend) &&
                   random_below(&truth->sim->random, MILLION) >= view->noise_ppm;
    if (!answers)
        truth->doubted_at_ns[region] = truth->sim->now;
    return answers;
}

bool nodes_truth_serves(struct nodes_truth *truth, uint32_t node, uint32_t region, uint32_t backend)
{
    if (!nodes_truth_answers(truth, node, region, backend))
        return false;
    if (truth->regions[region].health != NODES_ERRS)
        return true;
    truth->doubted_at_ns[region] = truth->sim->now;
    return sim_one_in(truth->sim, 2);
}

void nodes_truth_clear(struct nodes_truth *truth)
{
    for (uint32_t n = 0; n < NODES_MAX; n++)
        truth->views[n] = (struct nodes_view){0};
}
