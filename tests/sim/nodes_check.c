#include "tests/sim/nodes_check.h"

#include "dataplane/base/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HONOURED_NS   (2 * CLOCK_S) /* docs/failover.md, "Promised bounds" */
#define SLOW_DELAY_US 100000

void nodes_check_started(struct nodes_node *node)
{
    node->memory.agreed = node->failover->agreed;
    node->memory.is_heard = false;
    node->memory.troubled_at_ns = node->world->sim->now;
    nodes_law_is_known(&node->world->law, node->index, &node->failover->agreed);
}

/* What a node routes by changes by what it hears of the store alone, and never goes back. */
static void check_agreed(struct nodes_node *node)
{
    struct nodes_memory *memory = &node->memory;
    const struct region_state *agreed = &node->failover->agreed;
    struct sim *sim = node->world->sim;
    bool is_heard = memory->is_heard;
    memory->is_heard = false;
    if (memcmp(agreed, &memory->agreed, sizeof(*agreed)) == 0)
        return;
    if (!is_heard)
        sim_fail(sim, "node n%u changed what was agreed by itself", node->index);
    if (agreed->epoch < memory->agreed.epoch ||
        (agreed->epoch == memory->agreed.epoch &&
         strcmp(agreed->change_id, memory->agreed.change_id) != 0))
        sim_fail(sim, "node n%u went from epoch %" PRIu64 " (%s) to %" PRIu64 " (%s)", node->index,
                 memory->agreed.epoch, memory->agreed.change_id, agreed->epoch, agreed->change_id);
    nodes_law_is_known(&node->world->law, node->index, agreed);
    memory->agreed = *agreed;
}

/* Workers are told of regions what was agreed, at the next turn at the latest. */
static void check_told(const struct nodes_node *node)
{
    const struct region_state *agreed = &node->failover->agreed;
    struct sim *sim = node->world->sim;
    bool is_published = nodes_node_due_ns(node) > sim->now;
    for (uint32_t i = 0; i < agreed->count; i++) {
        bool active = nodes_law_is_active(&agreed->regions[i]);
        if (failover_region_active(node->failover, i) != active ||
            (is_published && node->active[i] != active))
            sim_fail(sim, "node n%u sends flights to %s: %d, which is not what was agreed",
                     node->index, agreed->regions[i].name, !active);
    }
}

/* Panic: every active region is below half for this node; and then only. */
static void check_panic(struct nodes_node *node)
{
    const struct region_state *agreed = &node->failover->agreed;
    const struct config_failover *limits = &nodes_node_config(node)->failover;
    uint32_t active = 0;
    uint32_t sick = 0;
    for (uint32_t i = 0; i < agreed->count; i++) {
        struct failover_region_view view;
        if (!nodes_law_is_active(&agreed->regions[i]))
            continue;
        failover_region_view(node->failover, i, &view);
        active++;
        sick += view.availability * 100 < limits->panic_below;
    }
    bool wanted = active > 0 && sick == active;
    if (failover_is_panic(node->failover) != wanted)
        sim_fail(node->world->sim, "node n%u: panic %d, with %u of %u active regions sick",
                 node->index, !wanted, sick, active);
    node->world->panics += wanted && !node->memory.was_panic;
    node->memory.was_panic = wanted;
}

/* Rule S4: the node has a part of the limit that was agreed, and none when there is none. */
static void check_admission(const struct nodes_node *node)
{
    uint64_t admit = node->failover->agreed.admit;
    uint64_t here = failover_node_flights(node->failover);
    if ((admit == 0) != (here == 0) || here > admit + admit / 15)
        sim_fail(node->world->sim, "node n%u admits %llu flights of %llu", node->index,
                 (unsigned long long)here, (unsigned long long)admit);
}

static bool is_well_connected(const struct nodes_node *node)
{
    const struct nodes_link *link = &node->link;
    return link->phase == NODES_LINK_READY && !link->is_deaf && !link->way.is_cut &&
           link->way.delay_max_us <= SLOW_DELAY_US && nodes_node_is_awake(node) &&
           node->world->sim->now >= node->world->server_stalls_until_ns;
}

/* A change is honoured within two seconds by who is connected. */
static void check_honoured(struct nodes_node *node)
{
    struct nodes_memory *memory = &node->memory;
    uint64_t now = node->world->sim->now;
    uint64_t stored = node->world->servers[node->link.server].state.epoch;
    if (!is_well_connected(node))
        memory->troubled_at_ns = now;
    if (stored <= node->failover->agreed.epoch)
        memory->newer_since_ns = 0;
    else if (memory->newer_since_ns == 0)
        memory->newer_since_ns = now;
    if (memory->newer_since_ns != 0 && now > memory->newer_since_ns + HONOURED_NS &&
        now > memory->troubled_at_ns + HONOURED_NS)
        sim_fail(node->world->sim, "node n%u is connected and does not honour epoch %" PRIu64,
                 node->index, stored);
}

void nodes_check_all(struct nodes_world *world)
{
    for (uint32_t n = 0; n < world->node_count; n++) {
        struct nodes_node *node = &world->nodes[n];
        if (node->failover == NULL)
            continue;
        check_agreed(node);
        check_told(node);
        check_panic(node);
        check_admission(node);
        check_honoured(node);
    }
}

/* ---- the end ---- */

static bool is_one_state(const struct nodes_world *world)
{
    const struct region_state *stored = &world->servers[world->master].state;
    for (uint32_t n = 0; n < world->node_count; n++) {
        const struct nodes_node *node = &world->nodes[n];
        if (node->failover == NULL || node->failover->agreed.epoch != stored->epoch ||
            strcmp(node->failover->agreed.change_id, stored->change_id) != 0)
            return false;
    }
    return stored->epoch != 0;
}

static bool is_any_well(const struct nodes_world *world)
{
    for (uint32_t r = 0; r < world->region_count; r++)
        if (world->truth.regions[r].health == NODES_WELL)
            return true;
    return false;
}

/* Everybody is of the right configuration now: the first node's order is the world's. */
static struct nodes_asker asker_of(const struct nodes_node *node)
{
    return (struct nodes_asker){node->index, 0, nodes_node_config(node)};
}

/* Rule S3 freezes again and again while two regions that died together ask to go down. */
static bool is_frozen_for_good(const struct nodes_world *world)
{
    const struct nodes_node *node = &world->nodes[0];
    const struct nodes_asker by = asker_of(node);
    for (uint32_t r = 0; r < world->region_count; r++)
        if (world->truth.regions[r].health == NODES_DEAD &&
            nodes_law_is_correlated(&by, &node->failover->agreed, &node->failover->votes, r))
            return true;
    return false;
}

static const char *check_region(const struct nodes_world *world, uint32_t region)
{
    const struct nodes_node *node = &world->nodes[0];
    const struct nodes_asker by = asker_of(node);
    const struct region_state *agreed = &node->failover->agreed;
    const struct region_record *record = &agreed->regions[region];
    if (record->override != REGION_OVERRIDE_NONE)
        return "an override is left";
    if (is_frozen_for_good(world))
        return NULL;
    if (world->truth.regions[region].health == NODES_WELL)
        return record->automatic == REGION_UP ? NULL : "a region that is well is not up";
    if (record->automatic == REGION_DOWN || nodes_law_keeps(&by, agreed, region))
        return NULL;
    return "a dead region is not down";
}

const char *nodes_check_rest(struct nodes_world *world)
{
    if (!is_one_state(world))
        return "the nodes differ";
    for (uint32_t r = 0; is_any_well(world) && r < world->region_count; r++) {
        const char *wrong = check_region(world, r);
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}
