/*
 * The scenario world: the whole data path with N workers, two client hosts and backends in two
 * regions; tests/support/chaos.h says what happens. Every frame on both sides is checked.
 */
#include "dataplane/base/clock.h"
#include "tests/sim/world_weather.h"
#include "tests/support/chaos.h"
#include "tests/support/checks.h"

#define TURNS_MAX   4000u
#define CHECK_EVERY 40u
#define EVERY_END   UINT32_MAX

/* The largest that worker_create.c and tests/support/h2_host.c ever open. */
#define STREAM_WINDOW_MAX     (1 << 20)
#define CONNECTION_WINDOW_MAX (4 << 20)

/* Small, but enough for the few requests at the end. */
static void draw_limits(struct sim *sim, struct worker_limits *limits)
{
    limits->client_connections = sim_draw(sim, 8, 37);
    limits->streams = sim_draw(sim, 16, 215);
    limits->upstream_connections = sim_draw(sim, 2, 17);
    limits->backend_connections = sim_draw(sim, 1, 3);
    limits->flights = sim_draw(sim, 8, 71);
    limits->exchanges = sim_draw(sim, 8, 135);
    limits->segments = sim_draw(sim, 64, 319);
    limits->time_wait = sim_draw(sim, 1, 32);
}

static uint32_t draw_rate(struct sim *sim, uint32_t usual)
{
    return sim_one_in(sim, 4) ? 0 : usual / 4 + sim_draw(sim, 0, usual * 2);
}

static void draw_rates(struct sim *sim, struct chaos_rates *rates)
{
    *rates = chaos_rates;
    rates->leave = draw_rate(sim, rates->leave);
    rates->abort = draw_rate(sim, rates->abort);
    rates->backend = draw_rate(sim, rates->backend);
    rates->region = draw_rate(sim, rates->region);
    rates->publish = draw_rate(sim, rates->publish);
    rates->freeze = draw_rate(sim, rates->freeze);
    rates->misbehave_permille = draw_rate(sim, rates->misbehave_permille);
}

static void draw_config(struct sim *sim, struct world_config *config)
{
    static const uint64_t paces[] = {100 * CLOCK_US, CLOCK_MS, 10 * CLOCK_MS};
    *config = (struct world_config){
        .seed = random_u64(&sim->random) >> 3, /* worlds multiply it */
        .http1_backends = world_http1_draw(sim),
        .workers = (uint16_t)(1u << sim_draw(sim, 0, 2)),
        .limits = world_limits,
        .turn_spread_ns = paces[sim_draw(sim, 0, 2)],
        .lag_permille = sim_one_in(sim, 2) ? 1000 : sim_draw(sim, 1, 500),
    };
    world_tls_draw(sim, config);
    world_weather_draw(sim, &config->front);
    world_weather_draw(sim, &config->back);
    if (sim_one_in(sim, 3))
        draw_limits(sim, &config->limits);
}

static void run_world(struct sim *sim)
{
    struct world_config config;
    struct chaos_rates rates;
    struct chaos chaos;
    draw_config(sim, &config);
    draw_rates(sim, &rates);
    struct world *world = world_open(&config);
    sim->h2_stream_window = STREAM_WINDOW_MAX;
    sim->h2_connection_window = CONNECTION_WINDOW_MAX;
    sim_watch(sim, world->front, EVERY_END);
    sim_watch(sim, world->back, EVERY_END);
    chaos_begin(&chaos, world, &rates);
    uint32_t turns = sim_draw_log(sim, 100, TURNS_MAX);
    for (uint32_t i = 0; i < turns; i += CHECK_EVERY) {
        chaos_turns(&chaos, CHECK_EVERY);
        world_check_stacks(world);
    }
    if (!chaos_end(&chaos))
        sim_fail(sim, "it does not recover");
    if (world->log.count > world_counter(world, "coalesce", "attempts"))
        sim_fail(sim, "%u requests at backends, %llu attempts", world->log.count,
                 (unsigned long long)world_counter(world, "coalesce", "attempts"));
    world_check_stacks(world);
    world_hash_requests(sim, world);
    sim->now = world->now;
    if (!check_and_close(world))
        sim_fail(sim, "the end is not as it has to be");
}

const struct sim_scenario sim_world = {.name = "world", .run = run_world, .seeds = 250};
