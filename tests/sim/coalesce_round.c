#include "tests/sim/coalesce_round.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/worker/worker_internal.h"
#include "tests/sim/coalesce_check.h"
#include "tests/sim/world_weather.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FAULTS_NS   (45 * CLOCK_S) /* how long a story may take */
#define END_NS      (70 * CLOCK_S) /* everybody has an end then: their own time is 60 s */
#define REST_NS     (2 * CLOCK_S)  /* backends hear of the end; GET lingers for half a second */
#define BAD_REST_NS (30 * CLOCK_S) /* after bad weather */
#define CHECK_EVERY 64             /* turns */
#define PATIENT_NS  (150 * CLOCK_MS)

/* ---- who asks what ---- */

static void draw_answer(struct round *round)
{
    struct sim *sim = round->sim;
    round->answer = (struct backend_plan){
        .interim = sim_one_in(sim, 8),
        .trailers = sim_one_in(sim, 4),
        .no_length = sim_one_in(sim, 2),
        .head_after_ns = sim_draw(sim, 50, 150) * CLOCK_MS,
        .chunk_bytes = sim_draw(sim, 1, 20),
        .chunk_every_ns = sim_draw(sim, 1, 4) * CLOCK_MS,
    };
}

static void draw_asker(struct round *round, uint32_t index)
{
    static const char *const principals[] = {"Bearer a", "Bearer b"};
    struct sim *sim = round->sim;
    struct asker *asker = &round->askers[index];
    *asker = (struct asker){.asks_at_ns = round->began_at_ns, .resumes_at_ns = CLOCK_NEVER};
    snprintf(asker->tag, sizeof(asker->tag), "r%u-%u", round->number, index);
    snprintf(asker->path, sizeof(asker->path), "/%s/%u/%u?size=%u", round->posts ? "ask" : "share",
             round->number, index % round->groups, round->size);
    if (round->principals > 0)
        asker->principal = principals[sim_draw(sim, 0, round->principals - 1)];
    asker->is_late = index >= round->count - round->late;
    if (asker->is_late)
        asker->asks_at_ns += sim_draw(sim, 1, 600) * CLOCK_MS;
    if (round->story->asker != NULL)
        round->story->asker(round, asker);
}

static void draw(struct round *round)
{
    struct sim *sim = round->sim;
    round->count = sim_draw(sim, 2, 10);
    round->late = sim_one_in(sim, 2) ? 0 : sim_draw(sim, 0, round->count - 2);
    round->groups = 1;
    round->principals = sim_one_in(sim, 3) ? 2 : sim_draw(sim, 0, 1);
    round->posts = sim_one_in(sim, 3);
    round->size = 100;
    round->wakes_at_ns = CLOCK_NEVER;
    draw_answer(round);
    round->story->begin(round);
    for (uint32_t i = 0; i < round->count; i++)
        draw_asker(round, i);
}

/* ---- what was seen ---- */

uint32_t round_seen_count(const struct round *round)
{
    return round->world->log.count - round->first_seen;
}

const struct backend_seen *round_seen(const struct round *round, uint32_t index)
{
    check(index < round_seen_count(round));
    return &round->world->log.seen[round->first_seen + index];
}

const struct backend_seen *round_answer_of(const struct round *round, uint32_t asker)
{
    uint64_t serial = round->askers[asker].request->serial;
    if (serial == 0)
        return NULL;
    if (serial <= round->first_seen || serial > round->world->log.count)
        sim_fail(round->sim, "%s: an answer from elsewhere", round->askers[asker].path);
    return &round->world->log.seen[serial - 1];
}

uint32_t round_leader_of(const struct round *round, const struct backend_seen *seen)
{
    for (uint32_t i = 0; i < round->count; i++)
        if (strcmp(round->askers[i].tag, seen->referer) == 0)
            return i;
    sim_fail(round->sim, "%s: a request of nobody: '%s'", seen->path, seen->referer);
}

uint16_t round_region_of(const struct round *round, const struct backend_seen *seen)
{
    return (uint16_t)(seen->backend - round->world->backends) * WORLD_REGIONS / WORLD_BACKENDS_MAX;
}

bool round_is_too_slow(const struct round *round, uint32_t asker)
{
    const struct asker *who = &round->askers[asker];
    return who->is_slow && who->resumes_at_ns > who->asks_at_ns + PATIENT_NS;
}

static struct backend_plan choose(void *context, const struct backend_seen *seen)
{
    struct round *round = context;
    sim_tell(round->sim, "%s sees %s of %s as %" PRIu64, seen->backend->name, seen->path,
             seen->referer, seen->serial);
    return round->story->answer != NULL ? round->story->answer(round, seen) : round->answer;
}

/* ---- turns ---- */

static void ask(struct round *round, uint32_t index)
{
    struct asker *asker = &round->askers[index];
    struct client_script script = {
        .method = round->posts ? "POST" : "GET",
        .path = asker->path,
        .names = {"referer", asker->principal != NULL ? "authorization" : NULL},
        .values = {asker->tag, asker->principal},
        .body_bytes = round->posts ? 300 : 0,
        .holds_credit = asker->is_slow,
    };
    asker->request = world_send(round->world, round->conns[index % ROUND_CONNS], &script);
    sim_tell(round->sim, "%s asks for %s%s", asker->tag, asker->path,
             asker->is_slow ? ", and is slow" : "");
}

/* What ASKER has to do at this time; when it has to do more. */
static uint64_t act(struct round *round, uint32_t index)
{
    struct asker *asker = &round->askers[index];
    uint64_t now = round->world->now;
    if (asker->request == NULL && asker->asks_at_ns <= now)
        ask(round, index);
    if (asker->request == NULL)
        return asker->asks_at_ns;
    if (asker->leaves_at_ns != 0 && asker->leaves_at_ns <= now) {
        sim_tell(round->sim, "%s leaves", asker->tag);
        client_leave(asker->request, now);
        asker->leaves_at_ns = 0;
    }
    if (asker->is_slow && asker->resumes_at_ns <= now && asker->request->script.holds_credit) {
        sim_tell(round->sim, "%s reads on", asker->tag);
        client_resume(asker->request);
    }
    if (asker->leaves_at_ns != 0)
        return asker->leaves_at_ns;
    return asker->is_slow && asker->resumes_at_ns > now ? asker->resumes_at_ns : CLOCK_NEVER;
}

static bool all_have_ended(const struct round *round)
{
    for (uint32_t i = 0; i < round->count; i++) {
        const struct client_request *request = round->askers[i].request;
        if (request == NULL || request->outcome == CLIENT_OPEN)
            return false;
    }
    return true;
}

/* What is due now; when more is, of those who ask or of the story. */
static uint64_t act_all(struct round *round)
{
    uint64_t next = round->wakes_at_ns;
    for (uint32_t i = 0; i < round->count; i++) {
        uint64_t more = act(round, i);
        next = more < next ? more : next;
    }
    return next;
}

/* The clock must not jump over what a turn has put on the list. */
static bool turn(struct world *world, void *context)
{
    struct round *round = context;
    round->sim->now = world->now;
    if (round->story->turn != NULL)
        round->story->turn(round);
    uint64_t next = act_all(round);
    if (world->turns % CHECK_EVERY == 0) {
        world_check_stacks(world);
        coalesce_check_turn(round);
    }
    return all_have_ended(round) || (next > world->now && next < round->plays_until_ns);
}

/* Until UNTIL_NS, or everybody has an end. */
static bool play(struct round *round, uint64_t until_ns)
{
    struct world *world = round->world;
    while (!all_have_ended(round) && world->now < until_ns) {
        uint64_t next = act_all(round);
        next = next < until_ns ? next : until_ns;
        round->plays_until_ns = next > world->now ? next : world->now + 1;
        world_run_until(world, turn, round, round->plays_until_ns - world->now);
    }
    return all_have_ended(round);
}

/* ---- the whole ---- */

/* Connections that are there, in turn to each worker. */
static void connect_all(struct round *round)
{
    struct world *world = round->world;
    for (uint32_t i = 0; i < ROUND_CONNS; i++)
        round->conns[i] =
            world_connect_to(world, (uint16_t)(i % world->config.workers), i % 2 == 0);
}

static void disconnect_all(struct round *round)
{
    for (uint32_t i = 0; i < ROUND_CONNS; i++)
        client_conn_close(round->conns[i], round->world->now);
}

/* No connection to a backend is older than the round: none is half dead. */
static void renew_backends(struct world *world)
{
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX; i++)
        world->draft.backends[i].generation++;
    world_publish(world);
}

static void calm_all(struct round *round)
{
    const struct wire_faults none = {0};
    world_set_faults(round->world, &none, &none);
    for (uint16_t i = 0; i < WORLD_REGIONS; i++)
        world_region_up(round->world, i);
}

static void check_rest(const struct round *round)
{
    for (uint32_t i = 0; i < round_seen_count(round); i++)
        if (round_seen(round, i)->over_at_ns == 0)
            sim_fail(round->sim, "%s: a backend works for nobody", round_seen(round, i)->path);
    for (uint16_t i = 0; i < round->world->config.workers; i++) {
        uint32_t flights = coalesce_flight_count(round->world->shared.members[i]->coalesce);
        if (flights > 0)
            sim_fail(round->sim, "%u flights for nobody at worker %u", flights, i);
    }
}

void round_run(struct round *round, struct sim *sim, struct world *world, const struct story *story,
               uint32_t number, uint32_t step)
{
    *round = (struct round){
        .sim = sim,
        .world = world,
        .story = story,
        .number = number,
        .step = step,
        .first_seen = world->log.count,
        .calm = world->config.front.delay_ns == 0 && world->config.back.delay_ns == 0,
    };
    world_choose(world, choose, round);
    connect_all(round);
    round->began_at_ns = world->now;
    draw(round);
    sim_tell(sim, "round %u of %s, step %u", number, story->name, step);
    world_set_faults(world, &world->config.front, &world->config.back);
    bool over = play(round, world->now + FAULTS_NS);
    calm_all(round);
    if (!over && !play(round, world->now + END_NS))
        sim_fail(sim, "%s: not everybody has an end", round->askers[0].path);
    world_run_for(world, round->calm ? REST_NS : BAD_REST_NS);
    coalesce_check_round(round);
    check_rest(round);
    disconnect_all(round);
    renew_backends(world);
    world_run_for(world, REST_NS);
}
