#include "tests/sim/nodes_weather.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/sim/nodes_disk.h"
#include "tests/sim/nodes_orders.h"

/* One thing that goes wrong for a while. */
struct fault {
    struct nodes_world *world;
    uint32_t node;
    uint32_t region;
    uint64_t until_ns;
};

static struct {
    uint32_t kinds; /* set of indices into faults[] */
    uint32_t pause_ms_max;
} climate;

static uint64_t for_ns(struct sim *sim, uint32_t least_ms, uint32_t most_ms)
{
    return (uint64_t)sim_draw_log(sim, least_ms, most_ms) * CLOCK_MS;
}

static struct nodes_node *some_node(struct nodes_world *world)
{
    return &world->nodes[sim_draw(world->sim, 0, world->node_count - 1)];
}

/* ---- the end of faults: each is put down when it begins ---- */

static void later(struct nodes_world *world, uint64_t after_ns, nodes_happen *end, void *context)
{
    nodes_agenda_put(&world->agenda, world->sim->now + after_ns, end, context, NULL);
}

static void clear_view(void *context, void *item)
{
    struct nodes_node *node = context;
    node->world->truth.views[node->index] = (struct nodes_view){0};
    sim_note(node->world->sim, "weather: n%u sees clearly", node->index);
}

static void clear_way(void *context, void *item)
{
    struct nodes_node *node = context;
    node->link.way = (struct nodes_way){0};
    sim_note(node->world->sim, "weather: the way of n%u is clear", node->index);
}

static void start_again(void *context, void *item)
{
    struct nodes_node *node = context;
    if (node->failover == NULL)
        nodes_node_start(node);
}

/* ---- regions ---- */

static void change_region(struct nodes_world *world)
{
    uint32_t region = sim_draw(world->sim, 0, world->region_count - 1);
    nodes_truth_set(&world->truth, region,
                    (enum nodes_health)sim_draw(world->sim, 0, NODES_HEALTHS - 1));
}

static void lose_regions_together(struct nodes_world *world)
{
    for (uint32_t r = 0; r < world->region_count; r++)
        if (!sim_one_in(world->sim, 4))
            nodes_truth_set(&world->truth, r, NODES_DEAD);
}

static void heal_regions(struct nodes_world *world)
{
    for (uint32_t r = 0; r < world->region_count; r++)
        if (world->truth.regions[r].health != NODES_WELL)
            nodes_truth_set(&world->truth, r, NODES_WELL);
}

/* ---- observers ---- */

static void cloud_view(struct nodes_world *world)
{
    struct sim *sim = world->sim;
    struct nodes_node *node = some_node(world);
    struct nodes_view *view = &world->truth.views[node->index];
    view->is_blind = sim_one_in(sim, 3);
    view->noise_ppm = sim_one_in(sim, 2) ? 0 : sim_draw_log(sim, 1000, 600000);
    view->is_cut[sim_draw(sim, 0, world->region_count - 1)] = true;
    sim_note(sim, "weather: n%u sees badly (%d, %u ppm)", node->index, view->is_blind,
             view->noise_ppm);
    later(world, for_ns(sim, 500, 120000), clear_view, node);
}

/* Several observers lose several regions at once: what rule S3 is for. */
static void cloud_views_together(struct nodes_world *world)
{
    struct sim *sim = world->sim;
    uint64_t length_ns = for_ns(sim, 2000, 60000);
    for (uint32_t n = 0; n < world->node_count; n++) {
        if (sim_one_in(sim, 3))
            continue;
        for (uint32_t r = 0; r < world->region_count; r++)
            world->truth.views[n].is_cut[r] = !sim_one_in(sim, 3);
        later(world, length_ns, clear_view, &world->nodes[n]);
    }
    sim_note(sim, "weather: observers lose regions together");
}

/* ---- the way to the store ---- */

static void trouble_way(struct nodes_world *world)
{
    struct sim *sim = world->sim;
    struct nodes_node *node = some_node(world);
    node->link.way = (struct nodes_way){
        .is_cut = sim_one_in(sim, 2),
        .loss_ppm = sim_one_in(sim, 2) ? 0 : sim_draw_log(sim, 1000, 500000),
        .delay_max_us = sim_one_in(sim, 2) ? 0 : sim_draw_log(sim, 1000, 2000000),
    };
    sim_note(sim, "weather: way of n%u cut %d, loss %u ppm, delay %u us", node->index,
             node->link.way.is_cut, node->link.way.loss_ppm, node->link.way.delay_max_us);
    later(world, for_ns(sim, 100, 60000), clear_way, node);
}

static void part_the_nodes(struct nodes_world *world)
{
    struct sim *sim = world->sim;
    uint64_t length_ns = for_ns(sim, 1000, 60000);
    for (uint32_t n = 0; n < world->node_count; n++) {
        if (sim_one_in(sim, 2))
            continue;
        world->nodes[n].link.way.is_cut = true;
        later(world, length_ns, clear_way, &world->nodes[n]);
    }
    sim_note(sim, "weather: a part of the nodes is cut from the store");
}

/* ---- the store ---- */

static void stall_server(struct nodes_world *world)
{
    world->server_stalls_until_ns = world->sim->now + for_ns(world->sim, 50, 20000);
    sim_note(world->sim, "weather: the store stands still");
}

static void turn_all(struct nodes_world *world)
{
    for (uint32_t n = 0; n < world->node_count; n++)
        nodes_link_turn_to(&world->nodes[n].link, world->master);
}

static void copy_to_replica(void *context, void *item)
{
    struct nodes_world *world = context;
    if (world->split_until_ns == 0)
        world->replica = world->servers[world->master];
    later(world, for_ns(world->sim, 10, 5000), copy_to_replica, world);
}

static void end_split(void *context, void *item)
{
    struct nodes_world *world = context;
    world->split_until_ns = 0;
    sim_note(world->sim, "weather: one master again");
    turn_all(world);
}

/* The replica, which lags behind, takes the master's place; some nodes may find out later. */
static void promote_replica(struct nodes_world *world)
{
    struct sim *sim = world->sim;
    if (world->split_until_ns != 0)
        return;
    uint32_t other = (world->master + 1) % NODES_SERVERS;
    uint64_t now_ms = nodes_server_now_ms(&world->servers[world->master], sim->now);
    struct nodes_server *server = &world->servers[other];
    *server = world->replica;
    server->drift_ppm = (int32_t)sim_draw(sim, 0, 400) - 200;
    nodes_server_jump(server, (int64_t)(now_ms - nodes_server_now_ms(server, sim->now)), sim->now);
    nodes_server_jump(server, (int64_t)sim_draw(sim, 0, 400) - 200, sim->now);
    world->master = other;
    sim_note(sim, "weather: the replica is promoted, at epoch %llu",
             (unsigned long long)world->replica.state.epoch);
    if (!sim_one_in(sim, 3)) {
        turn_all(world);
        return;
    }
    uint64_t length_ns = for_ns(sim, 500, 30000);
    world->split_until_ns = sim->now + length_ns;
    for (uint32_t n = 0; n < world->node_count; n++)
        if (sim_one_in(sim, 2))
            nodes_link_turn_to(&world->nodes[n].link, other);
    later(world, length_ns, end_split, world);
}

static void wipe_server(struct nodes_world *world)
{
    nodes_server_wipe(&world->servers[world->master], nodes_world_config(world));
    sim_note(world->sim, "weather: the store is wiped");
}

static void jump_clock(struct nodes_world *world)
{
    struct sim *sim = world->sim;
    uint64_t ms = sim_draw_log(sim, 10, 600000);
    struct nodes_server *server = &world->servers[world->master];
    bool back = sim_one_in(sim, 2);
    nodes_server_jump(server, back ? -(int64_t)ms : (int64_t)ms, sim->now);
    sim_note(sim, "weather: the store's clock jumps %s by %llu ms", back ? "back" : "forth",
             (unsigned long long)ms);
}

/* ---- nodes ---- */

static void pause_node(struct nodes_world *world)
{
    struct nodes_node *node = some_node(world);
    node->wakes_at_ns = world->sim->now + for_ns(world->sim, 10, 30000);
    sim_note(world->sim, "weather: n%u stands still", node->index);
}

static void crash(struct nodes_node *node)
{
    struct sim *sim = node->world->sim;
    if (node->failover == NULL)
        return;
    nodes_node_stop(node);
    nodes_disk_suffer(node->index, sim_one_in(sim, 2) ? NODES_DISK_KEPT
                                                      : (enum nodes_disk_fate)sim_draw(
                                                            sim, 0, NODES_DISK_FATES - 1));
    node->wall_offset_ms += sim_one_in(sim, 8) ? 3600000 : 0;
    later(node->world, for_ns(sim, 50, 30000), start_again, node);
}

static void crash_node(struct nodes_world *world)
{
    crash(some_node(world));
}

static void crash_all(struct nodes_world *world)
{
    for (uint32_t n = 0; n < world->node_count; n++)
        crash(&world->nodes[n]);
}

static void back_up(struct nodes_world *world)
{
    nodes_disk_back_up(some_node(world)->index);
}

static void configure_node(struct nodes_world *world)
{
    struct nodes_node *node = some_node(world);
    if (nodes_node_is_awake(node))
        nodes_node_apply(node, sim_draw(world->sim, 0, NODES_VARIANTS - 1));
}

/* ---- the climate ---- */

static const struct {
    void (*begin)(struct nodes_world *world);
    uint32_t weight;
} faults[] = {
    {change_region, 12},
    {lose_regions_together, 1},
    {heal_regions, 3},
    {cloud_view, 6},
    {cloud_views_together, 2},
    {trouble_way, 8},
    {part_the_nodes, 2},
    {stall_server, 2},
    {promote_replica, 3},
    {wipe_server, 1},
    {jump_clock, 2},
    {pause_node, 3},
    {crash_node, 4},
    {crash_all, 1},
    {back_up, 2},
    {configure_node, 3},
    {nodes_order_some, 6},
};

/* One of those that the climate has, by weight. */
static uint32_t draw_fault(struct sim *sim)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < array_count(faults); i++)
        sum += climate.kinds >> i & 1 ? faults[i].weight : 0;
    uint32_t at = sim_draw(sim, 1, sum);
    for (uint32_t i = 0; i < array_count(faults); i++) {
        uint32_t weight = climate.kinds >> i & 1 ? faults[i].weight : 0;
        if (at <= weight)
            return i;
        at -= weight;
    }
    return 0;
}

static void turn(void *context, void *item)
{
    struct nodes_world *world = context;
    if (world->is_calm)
        return;
    faults[draw_fault(world->sim)].begin(world);
    later(world, for_ns(world->sim, 100, 20000), turn, world);
}

void nodes_weather_begin(struct nodes_world *world)
{
    struct sim *sim = world->sim;
    climate.kinds = 1; /* regions change in every climate */
    for (uint32_t i = 1; i < array_count(faults); i++)
        climate.kinds |= sim_one_in(sim, 2) ? 1u << i : 0;
    sim_note(sim, "weather: %u nodes, %u regions of %u, climate %x", world->node_count,
             world->region_count, world->truth.backends, climate.kinds);
    copy_to_replica(world, NULL);
    later(world, for_ns(sim, 1000, 20000), turn, world);
}

static void settle_regions(struct nodes_world *world)
{
    for (uint32_t r = 0; r < world->region_count; r++) {
        enum nodes_health health = world->truth.regions[r].health;
        bool dead = health == NODES_DEAD || sim_one_in(world->sim, 8);
        if (health != NODES_WELL || dead)
            nodes_truth_set(&world->truth, r, dead ? NODES_DEAD : NODES_WELL);
    }
}

void nodes_weather_calm(struct nodes_world *world)
{
    sim_note(world->sim, "weather: calm");
    world->is_calm = true;
    world->server_stalls_until_ns = 0;
    if (world->split_until_ns != 0)
        end_split(world, NULL);
    nodes_truth_clear(&world->truth);
    settle_regions(world);
    for (uint32_t n = 0; n < world->node_count; n++) {
        struct nodes_node *node = &world->nodes[n];
        node->link.way = (struct nodes_way){0};
        node->wakes_at_ns = world->sim->now;
        if (node->failover == NULL)
            nodes_node_start(node);
        nodes_node_apply(node, 0);
    }
}
