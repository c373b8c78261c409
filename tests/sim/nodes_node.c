#include "tests/sim/nodes_node.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/sim/nodes_check.h"
#include "tests/sim/nodes_world.h"

#include <stdlib.h>
#include <string.h>

#define UNIX_ZERO_MS  1700000000000ull
#define LOCAL_ZERO    CLOCK_S
#define OBSERVE_NS    (500 * CLOCK_MS)
#define LOOK_AGAIN_NS (100 * CLOCK_MS)
#define REQUESTS      20 /* of traffic to a backend between two looks */
#define PPM           1000000

static struct sim *sim_of(const struct nodes_node *node)
{
    return node->world->sim;
}

const struct config *nodes_node_config(const struct nodes_node *node)
{
    return &node->configs[node->variant].config;
}

/* ---- time ---- */

static uint64_t local_ns(const struct nodes_node *node, uint64_t now)
{
    int64_t since = (int64_t)(now - node->started_at_ns); /* some hours at most */
    return LOCAL_ZERO + (uint64_t)(since + since * node->drift_ppm / PPM);
}

static uint64_t world_ns(const struct nodes_node *node, uint64_t local)
{
    int64_t since = (int64_t)(local - LOCAL_ZERO);
    uint64_t at = node->started_at_ns + (uint64_t)(since * PPM / (PPM + node->drift_ppm));
    while (local_ns(node, at) < local) /* rounding */
        at += local - local_ns(node, at);
    return at;
}

bool nodes_node_is_awake(const struct nodes_node *node)
{
    return sim_of(node)->now >= node->wakes_at_ns;
}

uint64_t nodes_node_later_ns(const struct nodes_node *node)
{
    uint64_t soon_ns = sim_of(node)->now + LOOK_AGAIN_NS;
    return node->wakes_at_ns < soon_ns ? node->wakes_at_ns : soon_ns;
}

uint64_t nodes_node_due_ns(const struct nodes_node *node)
{
    if (node->failover == NULL || loop_due_ns(node->loop) == CLOCK_NEVER)
        return CLOCK_NEVER;
    uint64_t at_ns = sim_of(node)->now;
    if (loop_due_ns(node->loop) > loop_now_ns(node->loop))
        at_ns = world_ns(node, loop_due_ns(node->loop));
    return at_ns > node->wakes_at_ns ? at_ns : node->wakes_at_ns;
}

void nodes_node_turn(struct nodes_node *node)
{
    loop_advance(node->loop, local_ns(node, sim_of(node)->now));
}

/* ---- probes and traffic ---- */

struct probe {
    uint32_t life;
    struct probe_result result;
};

static void probed(void *context, void *item)
{
    struct nodes_node *node = context;
    struct probe *probe = item;
    if (probe->life != node->life || node->failover == NULL)
        return;
    if (!nodes_node_is_awake(node)) {
        struct probe *later = malloc(sizeof(*later));
        check(later != NULL);
        *later = *probe;
        nodes_agenda_put(&node->world->agenda, nodes_node_later_ns(node), probed, node, later);
        return;
    }
    nodes_node_turn(node);
    failover_probed(node->failover, &probe->result);
}

/* Slots are those of the truth in every variant of the configuration. */
static bool take_probe(void *context, const struct probe_order *order)
{
    struct nodes_node *node = context;
    struct nodes_truth *truth = &node->world->truth;
    struct sim *sim = sim_of(node);
    struct probe *probe = malloc(sizeof(*probe));
    check(probe != NULL);
    bool answers = nodes_truth_answers(truth, node->index, order->slot / truth->backends,
                                       order->slot % truth->backends);
    bool refused = !answers && sim_one_in(sim, 2);
    uint64_t took_ns = (uint64_t)sim_draw(sim, 1, 40) * CLOCK_MS;
    if (!answers && !refused)
        took_ns = nodes_node_config(node)->services[0].health.timeout_ns;
    *probe = (struct probe){node->life,
                            {.slot = order->slot,
                             .generation = order->generation,
                             .outcome = answers   ? PROBE_OK
                                        : refused ? PROBE_CONNECT_FAILED
                                                  : PROBE_TIMEOUT,
                             .took_ns = took_ns}};
    nodes_agenda_put(&node->world->agenda, sim->now + took_ns, probed, node, probe);
    return true;
}

static void ask_backend(struct nodes_node *node, const struct config_backend *backend)
{
    struct nodes_truth *truth = &node->world->truth;
    struct backend_load *load = &node->loads.slots[backend->slot];
    load->generation = backend->generation;
    load->in_flight = 0;
    if (!node->active[backend->region] ||
        (!failover_backend_usable(node->failover, backend->slot) &&
         !failover_is_panic(node->failover)))
        return;
    load->in_flight = sim_draw(sim_of(node), 0, node->world->flights_max);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        bool served = nodes_truth_serves(truth, node->index, backend->slot / truth->backends,
                                         backend->slot % truth->backends);
        load->outcomes[served ? BACKEND_SUCCESS : BACKEND_BAD_STATUS]++;
    }
}

static void observe(void *context, void *item)
{
    struct nodes_node *node = context;
    uint64_t next_ns = sim_of(node)->now + OBSERVE_NS;
    nodes_agenda_put(&node->world->agenda, next_ns, observe, node, NULL);
    if (node->failover == NULL || !nodes_node_is_awake(node))
        return;
    const struct config *config = nodes_node_config(node);
    for (uint32_t i = 0; i < config->backend_count; i++)
        ask_backend(node, &config->backends[i]);
    nodes_node_turn(node);
    failover_observe(node->failover, &node->loads);
}

/* ---- what workers are told ---- */

static void publish(void *context)
{
    struct nodes_node *node = context;
    const struct config *config = nodes_node_config(node);
    for (uint32_t i = 0; i < config->region_count; i++)
        node->active[i] = failover_region_active(node->failover, i);
}

static void note_event(void *context, const char *text)
{
    const struct nodes_node *node = context;
    sim_note(sim_of(node), "n%u: %s", node->index, text);
}

static void resumed(void *context, uint64_t absent_for_ns)
{
    struct nodes_node *node = context;
    failover_resumed(node->failover, absent_for_ns);
}

/* ---- life ---- */

void nodes_node_start(struct nodes_node *node)
{
    char message[512];
    struct sim *sim = sim_of(node);
    const struct failover_host host = {take_probe, publish, note_event, node,
                                       random_u64(&sim->random) | 1};
    bool is_first = node->life++ == 0;
    node->started_at_ns = sim->now;
    node->wakes_at_ns = sim->now;
    node->loads = (struct backend_loads){0};
    uint64_t unix_ms = UNIX_ZERO_MS + sim->now / CLOCK_MS + (uint64_t)node->wall_offset_ms;
    node->loop = loop_create_told(LOCAL_ZERO, unix_ms);
    check(node->loop != NULL);
    nodes_link_opens(&node->link);
    node->failover =
        failover_create(node->loop, nodes_node_config(node), &host, message, sizeof(message));
    if (node->failover == NULL)
        sim_fail(sim, "node n%u does not start: %s", node->index, message);
    loop_on_resume(node->loop, resumed, node);
    publish(node);
    nodes_check_started(node);
    sim_note(sim, "n%u: started, epoch %llu", node->index,
             (unsigned long long)node->failover->agreed.epoch);
    if (is_first)
        observe(node, NULL);
}

void nodes_node_stop(struct nodes_node *node)
{
    if (node->failover == NULL)
        return;
    sim_note(sim_of(node), "n%u: stopped", node->index);
    failover_destroy(node->failover);
    loop_destroy(node->loop);
    node->failover = NULL;
    node->loop = NULL;
}

void nodes_node_apply(struct nodes_node *node, uint32_t variant)
{
    node->variant = variant;
    if (node->failover == NULL)
        return;
    sim_note(sim_of(node), "n%u: configuration %u", node->index, variant);
    nodes_node_turn(node);
    failover_apply(node->failover, nodes_node_config(node));
    publish(node);
    nodes_check_started(node);
}
