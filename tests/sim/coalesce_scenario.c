/*
 * The scenario coalesce: many ask the same at the same time, and something goes wrong. Each seed
 * tells one story of coalesce_story.h, in several rounds. Stories that are told for each offset of
 * an answer go on from seed to seed, so that the seeds of an ordinary run leave none out.
 */
#include "dataplane/base/clock.h"
#include "tests/sim/coalesce_story.h"
#include "tests/sim/world_weather.h"
#include "tests/support/checks.h"

#define ROUNDS    4
#define EVERY_END UINT32_MAX

/* The largest that worker_create.c and tests/support/h2_host.c ever open. */
#define STREAM_WINDOW_MAX     (1 << 20)
#define CONNECTION_WINDOW_MAX (4 << 20)

/* Which story a seed tells: the first nine each one, and those with most steps come oftener. */
static const struct story *const stories[] = {
    &story_region,     &story_truncation, &story_leavers, &story_second,     &story_slow,
    &story_principals, &story_full,       &story_stall,   &story_late,       &story_region,
    &story_truncation, &story_leavers,    &story_region,  &story_truncation,
};

/* From one round to the next: an offset far from it, and none is left out, as they have no common
 * divisor with the steps of a story. */
#define STRIDE 67

/* How many of the seeds before this one tell the same story. */
static uint64_t told_before(uint64_t seed)
{
    const struct story *story = stories[seed % array_count(stories)];
    uint64_t each = 0, before = 0;
    for (uint64_t i = 0; i < array_count(stories); i++) {
        each += stories[i] == story;
        before += stories[i] == story && i < seed % array_count(stories);
    }
    return seed / array_count(stories) * each + before;
}

static void draw_config(struct sim *sim, const struct story *story, struct world_config *config)
{
    static const uint32_t segment_bytes[] = {64, 1024, 4096};
    *config = (struct world_config){
        .seed = random_u64(&sim->random) >> 3, /* worlds multiply it */
        .http1_backends = world_http1_draw(sim),
        .workers = (uint16_t)(1u << sim_draw(sim, 0, 2)),
        .limits = world_limits,
        .lag_permille = sim_one_in(sim, 2) ? 1000 : sim_draw(sim, 1, 300),
    };
    world_tls_draw(sim, config);
    config->limits.segment_bytes = segment_bytes[sim_draw(sim, 0, 2)];
    if (story->configure != NULL)
        story->configure(sim, config);
}

/* Of one seed in three; never while the world is made. */
static void draw_weather(struct sim *sim, struct world *world)
{
    if (!sim_one_in(sim, 3))
        return;
    world_weather_draw(sim, &world->config.front);
    world_weather_draw(sim, &world->config.back);
}

static void prepare_routes(struct world *world, const struct story *story)
{
    static const enum world_route used[] = {WORLD_ROUTE_SHARE, WORLD_ROUTE_ASK};
    for (size_t i = 0; i < array_count(used); i++) {
        struct snapshot_route *route = &world->draft.routes[used[i]];
        route->replay_safe = true;
        route->hold_stream_ns = CLOCK_S;
        if (story->flight_bytes != 0)
            route->coalesce.flight_bytes = story->flight_bytes;
    }
    world_publish(world);
}

static void run_coalesce(struct sim *sim)
{
    static struct round rounds[ROUNDS]; /* scripts point into them */
    struct world_config config;
    const struct story *story = stories[sim->seed % array_count(stories)];
    uint64_t told = told_before(sim->seed) * ROUNDS;
    draw_config(sim, story, &config);
    sim->h2_stream_window = STREAM_WINDOW_MAX;
    sim->h2_connection_window = CONNECTION_WINDOW_MAX;
    struct world *world = world_open(&config);
    draw_weather(sim, world);
    prepare_routes(world, story);
    sim_watch(sim, world->front, EVERY_END);
    sim_watch(sim, world->back, EVERY_END);
    for (uint32_t i = 0; i < ROUNDS; i++)
        round_run(&rounds[i], sim, world, story, i, (uint32_t)((told + i) * STRIDE % story->steps));
    world_check_stacks(world);
    world_hash_requests(sim, world);
    sim->now = world->now;
    if (!check_and_close(world))
        sim_fail(sim, "the end is not as it has to be");
}

const struct sim_scenario sim_coalesce = {.name = "coalesce", .run = run_coalesce, .seeds = 476};
