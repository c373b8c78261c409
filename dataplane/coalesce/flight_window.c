/*
 * flight_window: how much a backend may send (C16, coalescing.md "Windows").
 *
 * Whatever a backend may send has its memory before it is told: the body's promise reaches as far
 * as the stream's window (body_promise()). So an answer that has begun never fails for lack of
 * payload memory, however many there are; what is short makes windows small instead.
 *
 *   first window  config.first_window_bytes, announced by SETTINGS, promised when the flight
 *                 begins; without that much memory none begins
 *   growth        what HTTP/2 asks for with the request or the head of its answer, and later for a
 *                 fast reader, while that leaves first windows for all flights that may still begin;
 *                 nothing while all who read it are paused: what a paused client asks for costs a
 *                 first window
 *   credit        what was taken in comes back while at most flight_bytes are held for somebody
 *                 (ALONE_BYTES when it is for one only, whom more would not make faster), not
 *                 while more than enough is held for the clients of all who read it
 *                 (coalesce_pause()), and not while payload memory is low
 *   last segment  when memory is low a window that is used up opens by the rest of a segment, and
 *                 by another one when all was read. Who lives on these has one at a time, for
 *                 which there is room again once readers have read: none stands still for ever
 */
#include "dataplane/coalesce/branch.h"
#include "dataplane/coalesce/flight.h"

/* Besides what the backend may send without new credit: its stream's window. */
#define ALONE_BYTES (64u << 10)

/* C29: below the bound of its principal's flights, which have windows open already. */
#define WINDOW_SHARE 2

static struct flight *flight_of(const struct attempt *attempt)
{
    return container_of((struct attempt *)(uintptr_t)attempt, struct flight, attempt);
}

/* --- the first one, and the last --- */

static uint32_t first_cost(const struct coalesce *coalesce)
{
    uint32_t size = coalesce->config.segment_bytes;
    return (coalesce->config.first_window_bytes + size - 1) / size;
}

bool flight_window_fits(const struct coalesce *coalesce)
{
    uint32_t left = payload_free(coalesce);
    return left >= coalesce->payload_shed && left >= first_cost(coalesce);
}

void flight_window_begin(struct flight *flight)
{
    struct coalesce *coalesce = flight->coalesce;
    body_unpromise(&flight->feed.body, &coalesce->payload);
    body_promise(&flight->feed.body, &coalesce->payload, coalesce->config.first_window_bytes);
}

void flight_window_end(struct flight *flight)
{
    list_remove(&flight->thirsty_link);
    body_unpromise(&flight->feed.body, &flight->coalesce->payload);
}

/* --- growth --- */

/* First windows of all flights that may still begin, as far as half of the memory reaches. */
static uint32_t set_aside(const struct coalesce *coalesce)
{
    uint64_t wanted = (uint64_t)coalesce->flights.free_count * first_cost(coalesce);
    uint32_t most = coalesce->config.segments / 2;
    return wanted < most ? (uint32_t)wanted : most;
}

/* Only those wait for it who have more than enough to read already. */
static bool is_for_paused_only(const struct flight *flight)
{
    const struct feed *feed = &flight->feed;
    return flight_interest(flight) > 0 && feed->paused_count == feed->subscriber_count &&
           branches_are_paused(flight);
}

uint64_t flight_window_room(const struct attempt *attempt)
{
    const struct flight *flight = flight_of(attempt);
    const struct coalesce *coalesce = flight->coalesce;
    if (is_for_paused_only(flight))
        return 0;
    uint64_t kept = (uint64_t)set_aside(coalesce) + coalesce->payload_low;
    uint64_t left = payload_free(coalesce);
    left = left > kept ? left - kept : 0;
    uint64_t used = flight->principal->payload.used;
    uint64_t share = WINDOW_SHARE * left > used ? WINDOW_SHARE * left - used : 0;
    share /= WINDOW_SHARE + 1; /* what it takes is no longer left */
    return (share < left ? share : left) * coalesce->config.segment_bytes;
}

void flight_window_grew(struct attempt *attempt, uint32_t by, uint64_t now)
{
    struct flight *flight = flight_of(attempt);
    struct body *body = &flight->feed.body;
    body_promise(body, &flight->coalesce->payload, body->promised_until + by);
}

/* --- credit --- */

static bool memory_is_low(const struct flight *flight)
{
    uint64_t left = payload_free(flight->coalesce);
    return left < flight->coalesce->payload_low ||
           flight->principal->payload.used >= WINDOW_SHARE * left;
}

/* Wait for payload memory. Nobody may join any more, so that what was read by all can go (C17). */
static void be_thirsty(struct flight *flight, uint64_t now)
{
    struct coalesce_counters *counters = &flight->coalesce->counters;
    if (list_is_linked(&flight->thirsty_link))
        return;
    COALESCE_COUNT(flight->coalesce, windows_held_memory);
    list_push_back(&flight->coalesce->thirsty_flights, &flight->thirsty_link);
    flight_leave_table(flight, &counters->removed_memory, now); /* which may open it at once */
}

/*
 * Held bytes above which the backend gets no credit. With one reader, and nobody who could still
 * join, a client that asks much and reads nothing must not cost more than a window a stream.
 */
static uint64_t held_max(const struct flight *flight)
{
    bool joinable = flight->entry != NULL && !flight->in_shadow;
    bool alone = !joinable && flight_interest(flight) <= 1;
    return alone && flight->flight_bytes > ALONE_BYTES ? ALONE_BYTES : flight->flight_bytes;
}

/* All who read it are paused, and nobody has read to the end of what there is. */
static bool is_paused(const struct flight *flight)
{
    const struct feed *feed = &flight->feed;
    return is_for_paused_only(flight) && !feed_has_reached(feed, feed->body.written_bytes);
}

static void set_paused(struct flight *flight, bool paused)
{
    if (paused && !flight->paused)
        COALESCE_COUNT(flight->coalesce, windows_held_clients);
    flight->paused = paused;
}

/* Of what was taken in, how much may be sent again. */
static uint64_t credit_of(const struct flight *flight)
{
    struct coalesce *coalesce = flight->coalesce;
    const struct body *body = &flight->feed.body;
    uint64_t until = body->promised_until;
    uint64_t owed = flight->credit_owed;
    uint32_t size = coalesce->config.segment_bytes;
    if (!memory_is_low(flight) &&
        body_promise_cost(body, &coalesce->payload, until + owed) <= payload_free(coalesce))
        return owed;
    if (until > body->written_bytes || first_cost(coalesce) == 0)
        return 0;
    uint64_t piece = size - until % size;
    piece = piece < owed ? piece : owed;
    uint32_t cost = body_promise_cost(body, &coalesce->payload, until + piece);
    bool holds_none = body->kept_from == body->written_bytes;
    return cost == 0 || (holds_none && cost <= payload_free(coalesce)) ? piece : 0;
}

static void give_credit(struct flight *flight, uint64_t credit)
{
    struct body *body = &flight->feed.body;
    body_promise(body, &flight->coalesce->payload, body->promised_until + credit);
    attempt_consumed(&flight->attempt, (uint32_t)credit);
    flight->credit_owed -= credit;
}

void flight_grant(struct flight *flight, uint64_t now)
{
    const struct body *body = &flight->feed.body;
    if (flight->state != FLIGHT_ANSWERING || flight->credit_owed == 0)
        return;
    bool full = body->written_bytes - body->kept_from > held_max(flight);
    flight_press(flight, full, now);
    set_paused(flight, is_paused(flight));
    if (full || flight->paused)
        return;
    uint64_t credit = credit_of(flight);
    if (credit > 0)
        give_credit(flight, credit);
    if (flight->credit_owed == 0) {
        list_remove(&flight->thirsty_link);
        return;
    }
    attempt_credit_now(&flight->attempt);
    be_thirsty(flight, now);
}

void flight_trim(struct flight *flight, uint64_t now)
{
    feed_trim(&flight->feed, branches_position(flight), flight->coalesce->config.segment_bytes);
    flight_grant(flight, now);
}
