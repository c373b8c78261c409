#include "tests/sim/coalesce_check.h"

#include "dataplane/base/clock.h"
#include "tests/sim/coalesce_cause.h"
#include "tests/sim/coalesce_pace.h"

#include <string.h>

/* A cancelled attempt is heard of later than the one after it begins, by so much. */
#define OVERLAP_CALM_NS (50 * CLOCK_MS)
#define OVERLAP_NS      (20 * CLOCK_S)
#define MOVES_ON_NS     (2 * CLOCK_S) /* from a region that fell silent */
#define WINDOW_BYTES    (64 * 1024)   /* of a backend's stream, at first */

/* ---- attempts ---- */

/* C14: there is another only because the one before it broke. */
static void check_second(const struct round *round, const struct backend_seen *first,
                         const struct backend_seen *second)
{
    if (cause_broke_at(round, first) > second->at_ns)
        sim_fail(round->sim, "%s: asked for %s again, and nothing had broken answer %llu",
                 first->path, first->referer, (unsigned long long)first->serial);
}

/* The attempts of a flight do not meet. One whose end nobody could tell the backend is dead. */
static void check_overlap(const struct round *round, const struct backend_seen *first,
                          const struct backend_seen *second)
{
    uint64_t allowed_ns = round->calm ? OVERLAP_CALM_NS : OVERLAP_NS;
    uint64_t over_at_ns = first->over_at_ns != 0 ? first->over_at_ns : CLOCK_NEVER;
    if (over_at_ns > second->at_ns && over_at_ns - second->at_ns > allowed_ns)
        sim_fail(round->sim, "%s: two attempts at a time: %llu until %llu, and %llu", first->path,
                 (unsigned long long)first->serial, (unsigned long long)over_at_ns,
                 (unsigned long long)second->serial);
}

static bool is_tried_elsewhere(const struct round *round, const struct backend_seen *seen,
                               uint64_t until_ns)
{
    for (uint32_t i = 0; i < round_seen_count(round); i++) {
        const struct backend_seen *other = round_seen(round, i);
        if (other != seen && cause_same_flight(other, seen) && other->at_ns <= until_ns)
            return true;
    }
    return false;
}

/* Suspicion (failover.md): a region that falls silent is noticed by that, and not by a time-out of
 * minutes: flights of which nobody was told move on. */
static void check_moves_on(const struct round *round, const struct backend_seen *seen)
{
    uint64_t lost_at_ns = round->happened_at_ns;
    bool was_there =
        seen->at_ns <= lost_at_ns && (seen->over_at_ns == 0 || seen->over_at_ns >= lost_at_ns);
    if (!round->calm || !round->dies || lost_at_ns == 0 || !was_there ||
        round_region_of(round, seen) != round->region || cause_may_be_told(round, seen))
        return;
    if (!is_tried_elsewhere(round, seen, lost_at_ns + MOVES_ON_NS))
        sim_fail(round->sim, "%s: region %u fell silent, and the flight of %s waits for it",
                 seen->path, round->region, seen->referer);
}

static void check_attempts_of(const struct round *round, uint32_t index)
{
    const struct backend_seen *seen = round_seen(round, index);
    uint32_t attempts = 1;
    for (uint32_t i = 0; i < index; i++) {
        const struct backend_seen *before = round_seen(round, i);
        if (!cause_same_flight(before, seen))
            continue;
        attempts++;
        check_second(round, before, seen);
        check_overlap(round, before, seen);
    }
    if (attempts > FLIGHT_ATTEMPTS)
        sim_fail(round->sim, "%s: %u attempts of the flight of %s", seen->path, attempts,
                 seen->referer);
}

/* ---- flights ---- */

/* Who asks what is being answered joins it. */
static void check_flight(const struct round *round, uint32_t index)
{
    const struct story *story = round->story;
    bool apart = !round->calm || (story->apart != NULL && story->apart(round));
    if (!apart && cause_meets_another(round, index))
        sim_fail(round->sim, "%s: a flight of %s beside another", round_seen(round, index)->path,
                 round_seen(round, index)->referer);
}

/* ---- what clients were told ---- */

/* C2, C4: whose answer it may be, and to what. */
static const char *foreign_to(const struct asker *asker, const struct backend_seen *seen)
{
    if (strcmp(seen->authorization, asker->principal != NULL ? asker->principal : "") != 0)
        return "an answer to another principal";
    return strcmp(seen->path, asker->path) != 0 ? "an answer to another question" : NULL;
}

static const char *lie_to(const struct round *round, uint32_t index)
{
    const struct client_request *request = round->askers[index].request;
    const struct backend_seen *seen = round_answer_of(round, index);
    const char *foreign = seen != NULL ? foreign_to(&round->askers[index], seen) : NULL;
    bool collapsed = strstr(request->cache_status, "collapsed") != NULL;
    if (seen == NULL && request->status != 0)
        return request->status >= 502 && request->status <= 504 ? NULL : "an unexpected status";
    if (seen == NULL)
        return request->complete ? "END_STREAM without an answer" : NULL;
    if (foreign != NULL)
        return foreign;
    if (cause_breaks_with_its_head(round, seen))
        return "the beginning of an answer that was wrong already";
    if (request->complete && !seen->answered)
        return "END_STREAM though the backend did not end its answer";
    if (collapsed == (round_leader_of(round, seen) == index))
        return collapsed ? "the leader, and collapsed" : "another's flight, and not collapsed";
    return NULL;
}

/* All of it, or there is a reason. */
static void check_loss(const struct round *round, uint32_t index)
{
    const struct client_request *request = round->askers[index].request;
    bool whole = request->outcome == CLIENT_FINISHED && client_is_whole(request, 200, round->size);
    if (whole || cause_of_loss(round, index) != NULL)
        return;
    sim_fail(round->sim,
             "%s, %s: outcome %d, status %u, reset %u, %llu bytes of answer %llu, '%s': nothing "
             "explains it",
             request->path, round->askers[index].tag, request->outcome, request->status,
             request->reset.code, (unsigned long long)request->received,
             (unsigned long long)request->serial, request->text);
}

/* What the story wanted it to do, it did. */
static void check_leaving(const struct round *round, uint32_t index)
{
    const struct asker *asker = &round->askers[index];
    if (asker->leaves_at_ns != 0 && asker->leaves_at_ns < asker->request->ended_at_ns)
        sim_fail(round->sim, "%s, %s: had to leave and did not", asker->path, asker->tag);
}

static void check_client(const struct round *round, uint32_t index)
{
    const struct client_request *request = round->askers[index].request;
    const char *lie = lie_to(round, index);
    if (lie != NULL)
        sim_fail(round->sim, "%s, %s: %s", request->path, round->askers[index].tag, lie);
    check_leaving(round, index);
    check_loss(round, index);
}

static void tell_round(const struct round *round)
{
    for (uint32_t i = 0; i < round->count; i++) {
        const struct client_request *request = round->askers[i].request;
        sim_tell(round->sim, "%s of %s: outcome %d, status %u, reset %u, %llu bytes of answer %llu",
                 round->askers[i].tag,
                 round->askers[i].principal != NULL ? round->askers[i].principal : "nobody",
                 request->outcome, request->status, request->reset.code,
                 (unsigned long long)request->received, (unsigned long long)request->serial);
    }
}

void coalesce_check_round(const struct round *round)
{
    tell_round(round);
    for (uint32_t i = 0; i < round->count; i++)
        check_client(round, i);
    for (uint32_t i = 0; i < round_seen_count(round); i++) {
        round_leader_of(round, round_seen(round, i));
        check_attempts_of(round, i);
        check_moves_on(round, round_seen(round, i));
        check_flight(round, i);
    }
}

/* ---- memory ---- */

static uint64_t fastest_of(const struct round *round, const struct backend_seen *seen)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < round->count; i++) {
        const struct client_request *request = round->askers[i].request;
        if (request != NULL && request->serial == seen->serial && request->received > most)
            most = request->received;
    }
    return most;
}

/* The flight's bound, and what a window lets in beyond it. */
static uint64_t held_max(const struct round *round)
{
    const struct world *world = round->world;
    const struct worker_limits *limits = &world->config.limits;
    uint64_t grown = (uint64_t)limits->segments * limits->segment_bytes / 2;
    return world->draft.routes[WORLD_ROUTE_SHARE].coalesce.flight_bytes + WINDOW_BYTES + grown;
}

/* Segments that something is in, of all workers. A relay's readers read those of the owner. */
static void check_memory(const struct round *round)
{
    const struct world *world = round->world;
    const struct worker_limits *limits = &world->config.limits;
    uint64_t all = (uint64_t)limits->segments * world->config.workers;
    uint64_t used = all - world_counter(world, "worker", "free_segments");
    uint64_t most = held_max(round) + world->clients[0].host.config.stream_window_bytes;
    if (round->calm && round_seen_count(round) == 1 && used * limits->segment_bytes > most)
        sim_fail(round->sim, "%llu segments are in use for one flight", (unsigned long long)used);
}

void coalesce_check_turn(const struct round *round)
{
    uint64_t client_window = round->world->clients[0].host.config.stream_window_bytes;
    check_memory(round);
    coalesce_check_pace(round);
    for (uint32_t i = 0; i < round_seen_count(round); i++) {
        const struct backend_seen *seen = round_seen(round, i);
        if (seen->over_at_ns == 0 &&
            seen->sent_bytes > fastest_of(round, seen) + held_max(round) + client_window)
            sim_fail(round->sim, "%s: answer %llu: %llu bytes taken from the backend", seen->path,
                     (unsigned long long)seen->serial, (unsigned long long)seen->sent_bytes);
    }
}
