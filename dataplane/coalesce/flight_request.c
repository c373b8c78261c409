/*
 * flight_request: the request on its way to the backend. It is pulled; what the leader pushes waits
 * in request_body. The body is kept from its beginning for a second attempt until it has outgrown
 * REPLAY_BYTES; after that only what has not been handed over yet is kept. The leader gets credit
 * for bytes when they are handed over for the first time. A held body (held_body.h) is complete
 * from the start and always kept.
 */
#include "dataplane/coalesce/flight.h"

static const struct h2_supply nothing = {.kind = H2_SUPPLY_NONE};

static struct flight *flight_of(struct attempt *attempt)
{
    return container_of(attempt, struct flight, attempt);
}

static bool has_trailers(const struct flight *flight)
{
    return flight->request_trailers.data != NULL;
}

/* The leader, or NULL when it has left: it is always the first. */
static struct subscriber *leader_of(struct flight *flight)
{
    struct list *subscribers = &flight->feed.subscribers;
    if (list_is_empty(subscribers))
        return NULL;
    struct subscriber *first = list_entry(subscribers->next, struct subscriber, link);
    return first->role == SUBSCRIBER_LED ? first : NULL;
}

static void credit_leader(struct flight *flight, uint64_t now)
{
    uint64_t sent = flight->request_cursor.position;
    if (sent <= flight->request_told)
        return;
    uint32_t count = (uint32_t)(sent - flight->request_told);
    struct subscriber *leader = leader_of(flight);
    flight->request_told = sent;
    if (leader != NULL)
        leader->ops->request_sent(leader, count, now);
}

/* HTTP/2 holds what was handed out before, so its bytes may go now. */
static void forget_sent(struct flight *flight)
{
    if (!flight->replayable)
        body_discard(&flight->request_body, flight->request_cursor.position);
}

static struct h2_supply supply_headers(struct flight *flight)
{
    const struct body *body = flight_request_source(flight);
    bool bare = body->ended && body->written_bytes == 0 && !has_trailers(flight);
    flight->piece = bare ? PIECE_NONE : PIECE_BODY;
    flight->attempts++;
    return (struct h2_supply){.kind = H2_SUPPLY_HEADERS, .fields = flight->request, .end = bare};
}

static struct h2_supply supply_end(struct flight *flight)
{
    flight->piece = PIECE_NONE;
    if (has_trailers(flight))
        return (struct h2_supply){
            .kind = H2_SUPPLY_TRAILERS, .fields = &flight->request_trailers, .end = true};
    return (struct h2_supply){.kind = H2_SUPPLY_DATA, .end = true};
}

static struct h2_supply supply_body(struct flight *flight, uint32_t max, uint64_t now)
{
    const struct body *body = flight_request_source(flight);
    struct body_cursor *cursor = &flight->request_cursor;
    forget_sent(flight);
    if (body_is_read(body, cursor))
        return supply_end(flight);
    struct chunk chunk = body_peek(body, cursor, max);
    if (chunk.length == 0)
        return nothing;
    body_cursor_advance(cursor, chunk.length);
    flight->progress_at_ns = now;
    credit_leader(flight, now);
    bool end = body_is_read(body, cursor) && !has_trailers(flight);
    if (end)
        flight->piece = PIECE_NONE;
    return (struct h2_supply){.kind = H2_SUPPLY_DATA, .chunk = chunk, .end = end};
}

struct h2_supply flight_supply(struct attempt *attempt, uint32_t max, uint64_t now)
{
    struct flight *flight = flight_of(attempt);
    switch (flight->piece) {
    case PIECE_HEADERS:
        return supply_headers(flight);
    case PIECE_BODY:
        return supply_body(flight, max, now);
    case PIECE_NONE:
        return nothing;
    }
    check(!"a piece of the request");
}

/* Again from the beginning, which is kept. */
void flight_request_rewind(struct flight *flight)
{
    flight->piece = PIECE_HEADERS;
    if (flight->request_cursor.position == 0)
        return;
    check(flight->replayable);
    body_cursor_init(&flight->request_cursor);
}

void flight_request_clear(struct flight *flight)
{
    coalesce_body_drop(&flight->feed.held);
    body_clear(&flight->request_body);
    flight_drop_extra(flight, &flight->request_trailers);
}

void flight_request_unneeded(struct flight *flight)
{
    if (flight->piece == PIECE_NONE)
        coalesce_body_drop(&flight->feed.held);
}

/* It has outgrown what is kept for a second attempt. */
static void limit_replay(struct flight *flight)
{
    uint32_t kept = flight->tunnel == TUNNEL_NOT ? REPLAY_BYTES : 0;
    if (!flight->replayable || flight->request_body.written_bytes <= kept)
        return;
    flight->replayable = false;
    COALESCE_COUNT(flight->coalesce, requests_not_replayable);
}

static bool append(struct flight *flight, struct bytes bytes, bool end,
                   const struct fields *trailers)
{
    struct coalesce *coalesce = flight->coalesce;
    if (body_append(&flight->request_body, &coalesce->payload, bytes) < bytes.length)
        return false;
    if (trailers != NULL && !flight_keep_extra(flight, trailers, &flight->request_trailers))
        return false;
    if (end)
        body_end(&flight->request_body);
    limit_replay(flight);
    return true;
}

/* Nobody reads it any more: the window stays open so that the client can finish. */
static void drop(struct subscriber *leader, struct bytes bytes, uint64_t now)
{
    if (bytes.length > 0)
        leader->ops->request_sent(leader, (uint32_t)bytes.length, now);
}

/* Memory is used up. An answer that is complete already stays what it is. */
static void give_up(struct flight *flight, uint64_t now)
{
    COALESCE_COUNT(flight->coalesce, request_body_refused);
    if (flight_is_running(flight))
        flight_break(flight, FLIGHT_NO_MEMORY, now);
    else
        attempt_cancel(&flight->attempt, now);
}

bool flight_request_body(struct flight *flight, struct subscriber *leader, struct bytes bytes,
                         bool end, const struct fields *trailers, uint64_t now)
{
    if (flight->attempt.state == ATTEMPT_IDLE || flight->request_body.ended) {
        drop(leader, bytes, now);
        return true;
    }
    if (!append(flight, bytes, end, trailers)) {
        give_up(flight, now);
        return false;
    }
    attempt_ready(&flight->attempt);
    return true;
}
