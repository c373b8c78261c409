/*
 * The scenario nodes: three to nine Weir nodes with the unmodified control logic of failover, two
 * to five regions, and one store, in virtual time. First anything may break (nodes_weather.h), and
 * nodes_law.h and nodes_check.h hold at every step; then faults stop, and all has to be at rest
 * within the time that the configured lengths add up to.
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/sim/nodes_check.h"
#include "tests/sim/nodes_disk.h"
#include "tests/sim/nodes_orders.h"
#include "tests/sim/nodes_script.h"
#include "tests/sim/nodes_weather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_NS      (5 * CLOCK_S)
#define STABLE_NS    (30 * CLOCK_S) /* at rest for so long */
#define UNIX_AT_MS   1700000000000ull
#define SKEW_MS_MAX  10000
#define SCRIPT_EVERY 6 /* of so many seeds one: a decision takes as long as ten in C */

/* ---- drawing ---- */

static uint64_t seconds(struct sim *sim, uint32_t least, uint32_t most)
{
    return (uint64_t)sim_draw_log(sim, least, most) * CLOCK_S;
}

/* Evidence as in the manual; what follows from it is often shorter, so that more happens. */
static void draw_lengths(struct sim *sim, struct config_failover *failover)
{
    failover->hold_down_ns = seconds(sim, 5, 60);
    failover->hold_down_max_ns = failover->hold_down_ns * sim_draw(sim, 1, 8);
    failover->recover_dwell_ns = seconds(sim, 5, 60);
    failover->ramp_step_ns = seconds(sim, 2, 30);
    failover->up_dwell_ns = seconds(sim, 5, 30);
    failover->quiet_ns = seconds(sim, 60, 1800);
    failover->penalty_half_life_ns = seconds(sim, 20, 300);
    failover->penalty_out = sim_draw(sim, 9, 25) * 100;
    failover->down_interval_ns = seconds(sim, 10, 60);
    failover->freeze_ns = seconds(sim, 10, 60);
    failover->correlated_ns = seconds(sim, 2, 10);
    failover->min_active_regions = 1;
}

/* Who decides; the same for all nodes. */
static void draw_modes(struct sim *sim, struct lab_config *lab)
{
    lab->config.failover.review_unless_hard = sim_one_in(sim, 2);
    lab->config.failover.proposal_ttl_ns = seconds(sim, 20, 1800);
    bool is_reviewed = sim_one_in(sim, 2);
    for (uint32_t r = 0; is_reviewed && r < lab->config.region_count; r++) {
        lab->regions[r].on_failure = sim_one_in(sim, 2) ? CONFIG_MODE_REVIEW : CONFIG_MODE_AUTO;
        lab->regions[r].on_recovery = sim_one_in(sim, 3) ? CONFIG_MODE_REVIEW : CONFIG_MODE_AUTO;
    }
}

/* Known of all backends, of none, or of all but one. */
static void draw_capacities(struct sim *sim, struct lab_config *lab)
{
    if (sim_one_in(sim, 3))
        return;
    for (uint32_t b = 0; b < lab->config.backend_count; b++)
        lab->backends[b].capacity = sim_draw_log(sim, 1, 500);
    if (sim_one_in(sim, 5))
        lab->backends[sim_draw(sim, 0, lab->config.backend_count - 1)].capacity = 0;
}

/* The other configuration: what rule S5 keeps apart. */
static void vary(struct sim *sim, struct lab_config *lab)
{
    struct config_region first = lab->regions[0];
    uint32_t last = lab->config.region_count - 1;
    if (sim_one_in(sim, 2))
        lab->config.failover.suspect_below = 20;
    else
        lab->config.failover.down_dwell_ns = CLOCK_S;
    if (sim_one_in(sim, 2))
        return;
    lab->regions[0] = lab->regions[last];
    lab->regions[last] = first;
    for (uint32_t b = 0; b < lab->config.backend_count; b++) {
        uint16_t region = lab->backends[b].region;
        lab->backends[b].region = region == 0 ? (uint16_t)last : region == last ? 0 : region;
    }
}

static void make_configs(struct nodes_world *world)
{
    struct nodes_node *first = &world->nodes[0];
    for (uint32_t v = 0; v < NODES_VARIANTS; v++) {
        lab_config_make(&first->configs[v], world->region_count, world->truth.backends);
        lab_config_cluster(&first->configs[v], world->node_count, 0, "unix:/nowhere");
    }
    draw_lengths(world->sim, &first->configs[0].config.failover);
    draw_modes(world->sim, &first->configs[0]);
    draw_capacities(world->sim, &first->configs[0]);
    memcpy(first->configs[1].regions, first->configs[0].regions, sizeof(first->configs[0].regions));
    memcpy(first->configs[1].backends, first->configs[0].backends,
           sizeof(first->configs[0].backends));
    char(*nodes)[CONFIG_NAME_MAX] = first->configs[1].config.failover.nodes;
    first->configs[1].config.failover = first->configs[0].config.failover;
    first->configs[1].config.failover.nodes = nodes;
    vary(world->sim, &first->configs[1]);
}

/* The same for a node of its own name, in its own memory. */
static void copy_config(struct lab_config *to, const struct lab_config *from, uint32_t node)
{
    struct config_failover failover = from->config.failover;
    lab_config_make(to, from->config.region_count,
                    from->config.backend_count / from->config.region_count);
    memcpy(to->regions, from->regions, sizeof(to->regions));
    memcpy(to->backends, from->backends, sizeof(to->backends));
    lab_config_cluster(to, failover.node_count, node, "unix:/nowhere");
    failover.nodes = to->config.failover.nodes;
    to->config.failover = failover;
    snprintf(to->config.state_dir, sizeof(to->config.state_dir), "n%u", node);
}

static void make_nodes(struct nodes_world *world)
{
    make_configs(world);
    for (uint32_t n = 0; n < world->node_count; n++) {
        struct nodes_node *node = &world->nodes[n];
        node->world = world;
        node->index = n;
        node->drift_ppm = (int32_t)sim_draw(world->sim, 0, 400) - 200;
        node->wall_offset_ms = (int64_t)sim_draw(world->sim, 0, 2 * SKEW_MS_MAX) - SKEW_MS_MAX;
        if (sim_one_in(world->sim, 8))
            node->drift_ppm *= 50; /* up to 1 % */
        nodes_link_begin(&node->link, world, n);
    }
    for (uint32_t n = world->node_count; n-- > 0;)
        for (uint32_t v = 0; v < NODES_VARIANTS; v++) {
            const struct lab_config from = world->nodes[0].configs[v];
            copy_config(&world->nodes[n].configs[v], &from, n);
        }
}

static struct nodes_world *open_world(struct sim *sim)
{
    static struct nodes_world world; /* large; one at a time */
    memset(&world, 0, sizeof(world));
    world.sim = sim;
    world.node_count = sim_draw(sim, 3, NODES_MAX);
    world.region_count = sim_draw(sim, 2, NODES_REGIONS_MAX);
    world.flights_max = sim_draw_log(sim, 1, 200);
    nodes_truth_begin(&world.truth, sim, world.region_count, sim_draw(sim, 1, NODES_BACKENDS_MAX));
    nodes_law_begin(&world.law, sim, &world.truth);
    nodes_disk_begin();
    make_nodes(&world);
    for (uint32_t s = 0; s < NODES_SERVERS; s++)
        nodes_server_begin(&world.servers[s], nodes_world_config(&world),
                           UNIX_AT_MS + sim_draw(sim, 0, SKEW_MS_MAX),
                           (int32_t)sim_draw(sim, 0, 400) - 200);
    world.script = sim->seed % SCRIPT_EVERY == 0 ? nodes_script_open(sim) : NULL;
    for (uint32_t s = 0; s < NODES_SERVERS; s++)
        world.servers[s].script = world.script;
    world.replica = world.servers[0];
    return &world;
}

static void close_world(struct nodes_world *world)
{
    for (uint32_t n = 0; n < world->node_count; n++)
        nodes_node_stop(&world->nodes[n]);
    nodes_agenda_free(&world->agenda);
    nodes_law_end(&world->law);
    nodes_script_close(world->script);
}

/* ---- running ---- */

const struct config *nodes_world_config(const struct nodes_world *world)
{
    return &world->nodes[0].configs[0].config;
}

static struct nodes_node *find_first(struct nodes_world *world, uint64_t *at_ns)
{
    struct nodes_node *first = NULL;
    *at_ns = CLOCK_NEVER;
    for (uint32_t n = 0; n < world->node_count; n++) {
        uint64_t due_ns = nodes_node_due_ns(&world->nodes[n]);
        if (due_ns >= *at_ns)
            continue;
        *at_ns = due_ns;
        first = &world->nodes[n];
    }
    return first;
}

void nodes_world_run(struct nodes_world *world, uint64_t until_ns)
{
    for (;;) {
        uint64_t node_at_ns;
        struct nodes_node *node = find_first(world, &node_at_ns);
        uint64_t event_at_ns = nodes_agenda_next_ns(&world->agenda);
        uint64_t at_ns = event_at_ns <= node_at_ns ? event_at_ns : node_at_ns;
        if (at_ns > until_ns)
            break;
        world->sim->now = at_ns;
        if (event_at_ns <= node_at_ns)
            nodes_agenda_run(&world->agenda);
        else
            nodes_node_turn(node);
        nodes_check_all(world);
    }
    world->sim->now = until_ns;
}

/* All that may have to pass one after the other, longer where the clock was set back. */
static uint64_t rest_within_ns(const struct nodes_world *world)
{
    const struct config_failover *failover = &nodes_world_config(world)->failover;
    uint64_t each_ns = failover->hold_down_max_ns + failover->recover_dwell_ns +
                       (failover->ramp_steps + 1) * failover->ramp_step_ns + failover->up_dwell_ns;
    return 120 * CLOCK_S + world->servers[world->master].set_back_ms * CLOCK_MS + each_ns +
           world->region_count * failover->down_interval_ns + 5 * failover->penalty_half_life_ns +
           17 * failover->freeze_ns;
}

static void tell_regions(const struct nodes_world *world)
{
    const struct nodes_server *server = &world->servers[world->master];
    uint64_t now_ms = nodes_server_now_ms(server, world->sim->now);
    for (uint32_t r = 0; r < server->state.count; r++) {
        const struct region_record *record = &server->state.regions[r];
        sim_tell(world->sim,
                 "%s is %s, and %s for %lld ms, override %s; hold-down over in %lld ms, penalty %u "
                 "of %lld ms ago, kept out %u",
                 record->name, nodes_health_name(world->truth.regions[r].health),
                 region_automatic_name(record->automatic), (long long)(now_ms - record->since_ms),
                 region_override_name(record->override),
                 (long long)(record->hold_down_until_ms - now_ms), record->penalty,
                 (long long)(now_ms - record->penalty_at_ms), record->kept_out);
    }
}

static void come_to_rest(struct nodes_world *world)
{
    struct sim *sim = world->sim;
    uint64_t limit_ns = sim->now + rest_within_ns(world);
    uint64_t rest_since_ns = 0;
    while (rest_since_ns == 0 || sim->now < rest_since_ns + STABLE_NS) {
        nodes_order_lift(world);
        nodes_world_run(world, sim->now + STEP_NS);
        const char *wrong = nodes_check_rest(world);
        if (wrong != NULL && sim->now > limit_ns) {
            tell_regions(world);
            sim_fail(sim, "not at rest: %s", wrong);
        }
        if (wrong != NULL)
            rest_since_ns = 0;
        else if (rest_since_ns == 0)
            rest_since_ns = sim->now;
    }
}

static void run_nodes(struct sim *sim)
{
    struct nodes_world *world = open_world(sim);
    for (uint32_t n = 0; n < world->node_count; n++)
        nodes_node_start(&world->nodes[n]);
    nodes_weather_begin(world);
    nodes_world_run(world, sim->now + seconds(sim, 60, 900));
    nodes_weather_calm(world);
    come_to_rest(world);
    for (uint32_t a = 0; a < REGION_ANSWERS; a++)
        sim_tell(sim, "%s: %llu", region_answer_name((enum region_answer)a),
                 (unsigned long long)world->law.answers[a]);
    for (uint32_t k = 0; k < REGION_REQUESTS; k++)
        sim_tell(sim, "granted %s: %llu", region_request_name((enum region_request_kind)k),
                 (unsigned long long)world->law.granted[k]);
    sim_tell(sim, "limits of admission: %llu", (unsigned long long)world->law.limits);
    sim_tell(sim, "panics: %llu", (unsigned long long)world->panics);
    sim_hash(sim, world->law.changes);
    close_world(world);
}

const struct sim_scenario sim_nodes = {.name = "nodes", .run = run_nodes, .seeds = 200};
