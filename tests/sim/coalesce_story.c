#include "tests/sim/coalesce_story.h"

#include "dataplane/base/clock.h"

#include <string.h>

/* Steps of a story told at each offset, in so many ways: before the head, and behind 0..STORY_BYTES
 * bytes of the body. */
#define OFFSETS (STORY_BYTES + 2)

static void draw_offset(struct round *round, uint32_t ways, uint32_t *out_way)
{
    round->offset = (int64_t)(round->step / ways) - 1;
    *out_way = round->step % ways;
}

/* PLAN ends like this at the round's offset. */
static struct backend_plan broken(const struct round *round, enum backend_act act)
{
    struct backend_plan plan = round->answer;
    plan.act = act;
    plan.act_late = round->offset >= 0;
    plan.act_after_bytes = round->offset >= 0 ? (uint64_t)round->offset : 0;
    return plan;
}

/* ---- a region is lost ---- */

enum { REGION_GET_RESET, REGION_GET_SILENT, REGION_POST_RESET, REGION_POST_SILENT, REGION_WAYS };

static void region_begin(struct round *round)
{
    uint32_t way;
    draw_offset(round, REGION_WAYS, &way);
    round->posts = way == REGION_POST_RESET || way == REGION_POST_SILENT;
    round->dies = way == REGION_GET_SILENT || way == REGION_POST_SILENT;
    round->patience_ns = sim_one_in(round->sim, 2) ? 0 : 50 * CLOCK_MS;
    round->is_event_stream = sim_one_in(round->sim, 3);
    if (round->is_event_stream)
        round->answer.name = "content-type", round->answer.value = "text/event-stream";
}

static struct backend_plan region_answer(struct round *round, const struct backend_seen *seen)
{
    uint16_t region = round_region_of(round, seen);
    if (round_seen_count(round) == 1)
        round->region = region;
    bool lost = region == round->region && round->happened_at_ns == 0;
    return lost ? broken(round, BACKEND_HANGS) : round->answer;
}

static bool has_reached_offset(const struct round *round)
{
    if (round_seen_count(round) == 0)
        return false;
    const struct backend_seen *seen = round_seen(round, 0);
    return round->offset < 0 || (seen->head_sent && seen->sent_bytes >= (uint64_t)round->offset);
}

static void region_turn(struct round *round)
{
    uint64_t now = round->world->now;
    if (round->happened_at_ns != 0 || !has_reached_offset(round))
        return;
    if (round->reached_at_ns == 0) {
        round->reached_at_ns = now;
        round->wakes_at_ns = now + round->patience_ns;
    }
    if (now < round->reached_at_ns + round->patience_ns)
        return;
    round->happened_at_ns = now;
    round->wakes_at_ns = CLOCK_NEVER;
    sim_tell(round->sim, "region %u is lost, %s", round->region, round->dies ? "silent" : "reset");
    if (round->dies)
        world_region_die(round->world, round->region);
    else
        world_region_crash(round->world, round->region);
}

const struct story story_region = {
    .name = "region",
    .steps = OFFSETS * REGION_WAYS,
    .begin = region_begin,
    .answer = region_answer,
    .turn = region_turn,
};

/* ---- attempts fail before the head ---- */

static const enum backend_act failures[] = {BACKEND_RESETS, BACKEND_REFUSES, BACKEND_ABORTS,
                                            BACKEND_CLOSES, BACKEND_HANGS,   BACKEND_CUTS};

/* Each act at GET and POST, once and twice; and a region that falls silent, at GET and POST. */
#define SECOND_ACTS (array_count(failures) * 2 * 2)
#define SECOND_WAYS (SECOND_ACTS + 4)

static void second_silent(struct round *round)
{
    round->posts = round->step % 2 == 1;
    round->dies = true;
    round->offset = -1;
    round->patience_ns = sim_draw(round->sim, 0, 1) * 50 * CLOCK_MS;
}

static void second_begin(struct round *round)
{
    if (round->step >= SECOND_ACTS) {
        second_silent(round);
        return;
    }
    round->act = failures[round->step % array_count(failures)];
    round->posts = round->step / array_count(failures) % 2 == 1;
    round->failures = 1 + round->step / array_count(failures) / 2;
    round->offset = -1;
}

/* SEEN is in the log already. */
static uint32_t attempts_of(const struct round *round, const struct backend_seen *seen)
{
    uint32_t attempts = 0;
    for (uint32_t i = 0; i < round_seen_count(round); i++)
        attempts += strcmp(round_seen(round, i)->referer, seen->referer) == 0;
    return attempts;
}

static struct backend_plan second_answer(struct round *round, const struct backend_seen *seen)
{
    if (round->dies)
        return region_answer(round, seen);
    bool fails = attempts_of(round, seen) <= round->failures;
    return fails ? broken(round, round->act) : round->answer;
}

static void second_turn(struct round *round)
{
    if (round->dies)
        region_turn(round);
}

const struct story story_second = {
    .name = "second",
    .steps = SECOND_WAYS,
    .begin = second_begin,
    .answer = second_answer,
    .turn = second_turn,
};

/* ---- the answer is cut ---- */

static const enum backend_act cuts[] = {BACKEND_SENDS_LESS, BACKEND_RESETS, BACKEND_ABORTS,
                                        BACKEND_CLOSES};

/* Who speaks TLS has other ways to do the same. */
static enum backend_act cut_by(struct sim *sim, enum backend_act act)
{
    bool other = sim_one_in(sim, 2);
    if (act == BACKEND_CLOSES && other)
        return BACKEND_CUTS;
    return act == BACKEND_ABORTS && other ? BACKEND_RENEGOTIATES : act;
}

static void truncation_begin(struct round *round)
{
    uint32_t way;
    draw_offset(round, array_count(cuts), &way);
    round->act = cut_by(round->sim, cuts[way]);
    if (sim_one_in(round->sim, 2)) /* head, body and end in one packet */
        round->answer.chunk_bytes = 0;
    if (round->act == BACKEND_SENDS_LESS) {
        round->answer.no_length = false; /* else it would be a good answer */
        round->answer.trailers = false;
        round->offset = round->offset < 0 ? 0 : round->offset;
    }
}

static struct backend_plan truncation_answer(struct round *round, const struct backend_seen *seen)
{
    return broken(round, round->act);
}

const struct story story_truncation = {
    .name = "truncation",
    .steps = OFFSETS * array_count(cuts),
    .begin = truncation_begin,
    .answer = truncation_answer,
};

/* ---- the leader leaves, then the others ---- */

/* Steps: at once; when a backend has seen it; when the leader has got so many bytes. */
static void leavers_begin(struct round *round)
{
    round->posts = round->step % 2 == 1;
    round->principals = 0;
    round->late = 0;
}

/* Who leads; before anybody knows, who asked first. */
static uint32_t leader_of(const struct round *round)
{
    return round_seen_count(round) == 0 ? 0 : round_leader_of(round, round_seen(round, 0));
}

static bool leader_goes(const struct round *round)
{
    uint32_t step = round->step / 2;
    if (step == 0)
        return round->askers[0].request != NULL;
    if (step == 1 || round_seen_count(round) == 0)
        return round_seen_count(round) > 0;
    const struct client_request *leader = round->askers[leader_of(round)].request;
    return leader->status != 0 && leader->received >= step - 2;
}

static void leavers_turn(struct round *round)
{
    struct sim *sim = round->sim;
    if (round->happened_at_ns != 0 || !leader_goes(round))
        return;
    uint64_t now = round->happened_at_ns = round->world->now;
    uint32_t leader = leader_of(round);
    uint32_t others = sim_draw(sim, 0, round->count - 1);
    uint64_t every_ns = sim_draw(sim, 0, 50) * CLOCK_MS;
    round->askers[leader].leaves_at_ns = now;
    for (uint32_t i = 1; i <= others; i++)
        round->askers[(leader + i) % round->count].leaves_at_ns = now + i * every_ns;
}

const struct story story_leavers = {
    .name = "leavers",
    .steps = OFFSETS * 2,
    .begin = leavers_begin,
    .turn = leavers_turn,
};

/* ---- slow readers ---- */

#define SLOW_FLIGHT_BYTES (32 * 1024)
#define SOON_NS           (150 * CLOCK_MS) /* nobody is cut off for that */

static void slow_configure(struct sim *sim, struct world_config *config)
{
    config->client_window = UINT16_MAX;
    config->limits.segment_bytes = 1024;
    config->limits.segments = 512; /* more than one flight may hold */
}

static void slow_begin(struct round *round)
{
    round->size = sim_draw_log(round->sim, 30000, 800000);
    round->late = 0;
    round->answer.chunk_bytes = sim_draw_log(round->sim, 2000, 50000);
    round->unshareable = !round->answer.no_length && round->size > SLOW_FLIGHT_BYTES; /* C6 */
}

static void slow_asker(struct round *round, struct asker *asker)
{
    struct sim *sim = round->sim;
    asker->is_slow = sim_one_in(sim, 2);
    if (!asker->is_slow || sim_one_in(sim, 3))
        return;
    uint64_t most_ms = sim_one_in(sim, 2) ? SOON_NS / CLOCK_MS : 3000;
    asker->resumes_at_ns = asker->asks_at_ns + sim_draw(sim, 1, (uint32_t)most_ms) * CLOCK_MS;
}

static bool is_unshareable(const struct round *round)
{
    return round->unshareable;
}

const struct story story_slow = {
    .name = "slow",
    .steps = 1,
    .flight_bytes = SLOW_FLIGHT_BYTES,
    .configure = slow_configure,
    .begin = slow_begin,
    .asker = slow_asker,
    .apart = is_unshareable,
};

/* ---- late joiners of a stream ---- */

#define LATE_CHUNK_BYTES 40u
#define LATE_CHUNK_NS    (10 * CLOCK_MS)

/* Room enough: nobody is spared the pace for lack of memory (C17). */
static void late_configure(struct sim *sim, struct world_config *config)
{
    config->limits.segment_bytes = 1024;
    config->limits.segments = 2048;
}

/* It goes on when the last of them has caught up, or ends before. */
static void late_begin(struct round *round)
{
    round->late = sim_draw(round->sim, 1, round->count - 1);
    round->is_event_stream = true;
    round->answer.name = "content-type", round->answer.value = "text/event-stream";
    round->answer.chunk_bytes = sim_draw_log(round->sim, LATE_CHUNK_BYTES, 100 * LATE_CHUNK_BYTES);
    round->answer.chunk_every_ns = sim_draw(round->sim, 1, 3) * LATE_CHUNK_NS;
    round->size = round->answer.chunk_bytes * sim_draw(round->sim, 40, 200);
}

static void late_asker(struct round *round, struct asker *asker)
{
    if (asker->is_late)
        asker->asks_at_ns += sim_draw(round->sim, 0, 600) * CLOCK_MS;
}

const struct story story_late = {
    .name = "late",
    .steps = 1,
    .flight_bytes = 2 << 20,
    .is_steady = true,
    .configure = late_configure,
    .begin = late_begin,
    .asker = late_asker,
};

/* ---- no room ---- */

static bool always(const struct round *round)
{
    return true;
}

static void full_configure(struct sim *sim, struct world_config *config)
{
    config->table_keys = config->workers * sim_draw(sim, 1, 3);
    config->limits.client_connections = 16;
    config->limits.streams = sim_draw(sim, 16, 64);
    config->limits.upstream_connections = sim_draw(sim, 1, 4);
    config->limits.backend_connections = sim_draw(sim, 1, 2);
    config->limits.flights = sim_draw(sim, 2, 8);
    config->limits.exchanges = sim_draw(sim, 4, 16);
    config->limits.segments = sim_draw(sim, 32, 128);
    config->limits.segment_bytes = 1024;
}

static void full_begin(struct round *round)
{
    round->count = sim_draw(round->sim, 2, ROUND_ASKERS_MAX);
    round->late = sim_draw(round->sim, 0, round->count);
    round->groups = sim_draw(round->sim, 1, 8);
    const struct worker_limits *limits = &round->world->config.limits;
    round->size = sim_draw_log(round->sim, 1, limits->segments * limits->segment_bytes);
    round->answer.chunk_bytes = sim_draw_log(round->sim, 1000, 20000);
}

const struct story story_full = {
    .name = "full",
    .steps = 1,
    .bounded = true,
    .configure = full_configure,
    .begin = full_begin,
    .apart = always,
};

/* ---- workers stand still ---- */

#define STALLS_NS (1500 * CLOCK_MS)

static void stall_configure(struct sim *sim, struct world_config *config)
{
    config->workers = sim_one_in(sim, 2) ? 2 : 4;
}

/* A stream longer than a worker stands still. */
static void stall_begin(struct round *round)
{
    round->size = 20000;
    round->answer.chunk_bytes = 200;
    round->answer.chunk_every_ns = 10 * CLOCK_MS;
    round->wakes_at_ns = round->began_at_ns;
}

static void stall_turn(struct round *round)
{
    struct sim *sim = round->sim;
    struct world *world = round->world;
    if (world->now < round->wakes_at_ns)
        return;
    uint32_t worker = sim_draw(sim, 0, world->config.workers - 1u);
    uint64_t length_ns = sim_draw_log(sim, 10, 500) * CLOCK_MS;
    sim_tell(sim, "worker %u stands still for %u ms", worker, (uint32_t)(length_ns / CLOCK_MS));
    world_freeze(world, worker, length_ns);
    round->wakes_at_ns = world->now + length_ns + sim_draw(sim, 1, 100) * CLOCK_MS;
    if (world->now > round->began_at_ns + STALLS_NS)
        round->wakes_at_ns = CLOCK_NEVER;
}

const struct story story_stall = {
    .name = "stall",
    .steps = 1,
    .configure = stall_configure,
    .begin = stall_begin,
    .turn = stall_turn,
};

/* ---- two principals ---- */

static void principals_begin(struct round *round)
{
    round->principals = 2;
    round->size = sim_draw_log(round->sim, 1, 50000);
    round->answer.chunk_bytes = sim_draw_log(round->sim, 100, 10000);
    round->unshareable = sim_one_in(round->sim, 4);
    if (round->unshareable)
        round->answer.name = "cache-control", round->answer.value = "no-store";
}

const struct story story_principals = {
    .name = "principals",
    .steps = 1,
    .begin = principals_begin,
    .apart = is_unshareable,
};
