#include "tests/sim/nodes_orders.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <string.h>

/* Who gave it, and what. */
static void done(void *context, bool ok, const char *text)
{
    struct nodes_world *world = context;
    sim_note(world->sim, "an order %s: %s", ok ? "is done" : "failed", text);
}

static void give(struct nodes_world *world, uint32_t node, struct failover_order order)
{
    static const char *const names[FAILOVER_COMMANDS] = {
        [FAILOVER_DRAIN] = "drain",       [FAILOVER_UNDRAIN] = "undrain",
        [FAILOVER_FORCE_UP] = "force_up", [FAILOVER_FORCE_DOWN] = "force_down",
        [FAILOVER_UNFORCE] = "unforce",   [FAILOVER_APPROVE] = "approve",
        [FAILOVER_REJECT] = "reject",     [FAILOVER_FREEZE] = "freeze",
        [FAILOVER_THAW] = "thaw",
    };
    struct nodes_node *to = &world->nodes[node];
    if (to->failover == NULL || !nodes_node_is_awake(to))
        return;
    order.by = "uid=0";
    sim_note(world->sim, "order to n%u: %s %u, for %llu ms%s", node, names[order.command],
             order.region, (unsigned long long)order.ttl_ms,
             order.despite != 0 ? ", despite some rules" : "");
    nodes_node_turn(to);
    failover_command(to->failover, &order, done, world);
}

static uint32_t some_rules(struct sim *sim)
{
    return sim_one_in(sim, 2) ? REGION_RULE_S1
                              : sim_draw(sim, 0, REGION_RULE_S5 - 1); /* S1 to S4 */
}

void nodes_order_some(struct nodes_world *world)
{
    static const enum failover_command commands[] = {
        FAILOVER_DRAIN,   FAILOVER_UNDRAIN, FAILOVER_FORCE_UP, FAILOVER_FORCE_DOWN,
        FAILOVER_UNFORCE, FAILOVER_APPROVE, FAILOVER_FREEZE,   FAILOVER_THAW,
        FAILOVER_REJECT,  FAILOVER_APPROVE, FAILOVER_REJECT,
    };
    struct sim *sim = world->sim;
    struct failover_order order = {
        .command = commands[sim_draw(sim, 0, array_count(commands) - 1)],
        .region = sim_draw(sim, 0, world->region_count - 1),
        .ttl_ms = sim_one_in(sim, 4) ? 0 : sim_draw_log(sim, 1000, 120000),
        .despite = sim_one_in(sim, 6) ? some_rules(sim) : 0,
    };
    give(world, sim_draw(sim, 0, world->node_count - 1), order);
}

void nodes_order_lift(struct nodes_world *world)
{
    const struct region_state *stored = &world->servers[world->master].state;
    if (stored->stopped != 0)
        give(world, 0, (struct failover_order){.command = FAILOVER_THAW});
    for (uint32_t r = 0; r < stored->count; r++) {
        enum region_override override = stored->regions[r].override;
        if (stored->regions[r].proposed_until_ms != 0 || stored->regions[r].rejected_until_ms != 0)
            give(world, 0, (struct failover_order){.command = FAILOVER_APPROVE, .region = r});
        bool is_drained = override == REGION_OVERRIDE_DRAIN;
        if (override != REGION_OVERRIDE_NONE)
            give(world, 0,
                 (struct failover_order){
                     .command = is_drained ? FAILOVER_UNDRAIN : FAILOVER_UNFORCE,
                     .region = r,
                     .despite = REGION_RULE_S1,
                 });
    }
}
