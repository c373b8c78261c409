#include "tests/sim/coalesce_cause.h"

#include "dataplane/base/clock.h"

#include <string.h>

/* A backend hears so much later that nobody wants its answer any more. */
#define HEARD_AFTER_NS (50 * CLOCK_MS)

bool cause_same_question(const struct backend_seen *one, const struct backend_seen *other)
{
    return strcmp(one->path, other->path) == 0 &&
           strcmp(one->authorization, other->authorization) == 0;
}

bool cause_same_flight(const struct backend_seen *one, const struct backend_seen *other)
{
    return strcmp(one->referer, other->referer) == 0;
}

/* ---- attempts ---- */

uint64_t cause_broke_at(const struct round *round, const struct backend_seen *seen)
{
    if (seen->hurt_at_ns != 0)
        return seen->hurt_at_ns;
    return round->calm || seen->over_at_ns == 0 ? CLOCK_NEVER : seen->over_at_ns;
}

/* Its end came with its head, in one packet, whatever of its body lay between them, and said that
 * it is wrong. That of HTTP/1.1 is an end of its connection, in a packet of its own. */
bool cause_breaks_with_its_head(const struct round *round, const struct backend_seen *seen)
{
    bool in_one_packet = !seen->backend->speaks_http1 &&
                         (round->act == BACKEND_SENDS_LESS || round->act == BACKEND_RESETS);
    return round->calm && in_one_packet && seen->hurt_at_ns == seen->head_at_ns && !seen->answered;
}

/* Weir passes a head on when the packet that it came in has been read, unless it is known to be of
 * no use then; that of an event stream waits for a byte behind it. */
bool cause_may_be_told(const struct round *round, const struct backend_seen *seen)
{
    if (!seen->head_sent || cause_breaks_with_its_head(round, seen))
        return false;
    return seen->sent_bytes > 0 || !round->is_event_stream;
}

/* Attempts of the flight of SEEN that broke before UNTIL_NS. There is none behind one that somebody
 * may have been told of (C14). */
static uint32_t broken_attempts(const struct round *round, const struct backend_seen *seen,
                                uint64_t until_ns)
{
    uint32_t broken = 0;
    for (uint32_t i = 0; i < round_seen_count(round); i++) {
        const struct backend_seen *attempt = round_seen(round, i);
        if (!cause_same_flight(attempt, seen) || cause_broke_at(round, attempt) > until_ns)
            continue;
        broken += cause_may_be_told(round, attempt) ? FLIGHT_ATTEMPTS : 1;
    }
    return broken;
}

/* ---- answers ---- */

static bool asks_for(const struct asker *asker, const struct backend_seen *seen)
{
    const char *principal = asker->principal != NULL ? asker->principal : "";
    return strcmp(seen->path, asker->path) == 0 && strcmp(seen->authorization, principal) == 0;
}

/* Some flight that could be ASKER's has tried all that it may. */
static bool has_no_attempt_left(const struct round *round, uint32_t asker)
{
    const struct asker *who = &round->askers[asker];
    for (uint32_t i = 0; i < round_seen_count(round); i++) {
        const struct backend_seen *seen = round_seen(round, i);
        if (asks_for(who, seen) &&
            broken_attempts(round, seen, who->request->ended_at_ns) >= FLIGHT_ATTEMPTS)
            return true;
    }
    return false;
}

/* Weir says that it lacks something, and what. */
static bool says_lack(const struct client_request *request)
{
    static const char *const lacks[] = {
        "requests",          "principal-requests", "flights", "headers", "payload",
        "principal-flights", "principal-payload",  "memory",  "capacity"};
    const char *detail = strstr(request->cache_status, "detail=");
    if (request->outcome == CLIENT_RESET)
        return request->reset.code == H2_REFUSED_STREAM && request->status == 0;
    for (size_t i = 0; i < array_count(lacks); i++)
        if (request->status == 503 && detail != NULL && strcmp(detail + 7, lacks[i]) == 0)
            return true;
    return false;
}

/* A gateway's error, of Weir's own, or a reset before any head. */
static bool has_nothing(const struct client_request *request)
{
    if (request->serial != 0)
        return false;
    return request->status == 0 ? request->outcome == CLIENT_RESET
                                : request->complete && request->status >= 502;
}

const char *cause_of_loss(const struct round *round, uint32_t asker)
{
    const struct client_request *request = round->askers[asker].request;
    const struct backend_seen *answer = round_answer_of(round, asker);
    bool cut = answer != NULL && request->outcome == CLIENT_RESET;
    if (request->outcome == CLIENT_ABANDONED)
        return "it left";
    if (!round->calm && request->outcome == CLIENT_RESET)
        return "its wire";
    if (cut && round_is_too_slow(round, asker))
        return "too slow";
    if (cut && cause_broke_at(round, answer) <= request->ended_at_ns)
        return "its answer broke";
    if (round->story->bounded && says_lack(request))
        return "too little room";
    if (!has_nothing(request))
        return NULL;
    if (!round->calm)
        return "wires of backends";
    return has_no_attempt_left(round, asker) ? "both attempts broke" : NULL;
}

/* ---- flights ---- */

/* From when to when a flight was there for certain, by its attempts. */
struct life {
    uint64_t from_ns;
    uint64_t until_ns;
};

static uint64_t ends_at(const struct round *round, const struct backend_seen *seen)
{
    uint64_t broke_at_ns = cause_broke_at(round, seen);
    if (broke_at_ns != CLOCK_NEVER)
        return broke_at_ns;
    return seen->answered ? seen->over_at_ns : seen->over_at_ns - HEARD_AFTER_NS;
}

static struct life life_of(const struct round *round, const struct backend_seen *seen)
{
    struct life life = {CLOCK_NEVER, 0};
    for (uint32_t i = 0; i < round_seen_count(round); i++) {
        const struct backend_seen *attempt = round_seen(round, i);
        if (!cause_same_flight(attempt, seen))
            continue;
        uint64_t until_ns = ends_at(round, attempt);
        life.from_ns = attempt->at_ns < life.from_ns ? attempt->at_ns : life.from_ns;
        life.until_ns = until_ns > life.until_ns ? until_ns : life.until_ns;
    }
    return life;
}

bool cause_meets_another(const struct round *round, uint32_t seen)
{
    const struct backend_seen *one = round_seen(round, seen);
    struct life life = life_of(round, one);
    for (uint32_t i = 0; i < seen; i++) {
        const struct backend_seen *other = round_seen(round, i);
        if (!cause_same_question(one, other) || cause_same_flight(one, other))
            continue;
        struct life before = life_of(round, other);
        if (before.until_ns > life.from_ns && life.until_ns > before.from_ns)
            return true;
    }
    return false;
}
