/*
 * hold: the body of a POST that may share is held until its end, then the request gets its key
 * (rules C1, C2). Nothing has been sent to a backend until then. The client has its credit at once:
 * what is held is bounded in bytes, in time and in memory. Past a bound the request gets a flight
 * of its own, which takes over what is here and streams the rest.
 */
#include "dataplane/request/exchange.h"

#include "dataplane/base/clock.h"

#define HOLD_BODY_NS (2 * CLOCK_S) /* C1 */

struct fields exchange_keyed_section(const struct exchange *exchange)
{
    struct fields fields = exchange->forwarded;
    fields.used = exchange->keyed_bytes;
    fields.count = exchange->keyed_fields;
    return fields;
}

/* MORE: body or trailers follow by coalesce_request_body(). */
static void go_on(struct exchange *exchange, struct bytes key, bool more, uint64_t now)
{
    const struct snapshot_route *route = exchange_route(exchange);
    exchange->holding = false;
    if (route == NULL)
        exchange_answer_locally(exchange, LOCAL_NO_ROUTE, now);
    else
        exchange_subscribe(exchange, route, (struct exchange_key){.bytes = key}, more, now);
    if (more)
        coalesce_body_drop(&exchange->subscriber.held);
}

/* A flight of its own that takes over what is held. */
static void stream(struct exchange *exchange, enum key_verdict why, uint64_t now)
{
    exchange->verdict = why;
    go_on(exchange, BYTES_NONE, true, now);
}

/* All of it is here. */
static void complete(struct exchange *exchange, uint64_t now)
{
    struct request_engine *engine = exchange->engine;
    const struct snapshot_route *route = exchange_route(exchange);
    struct held_body *held = exchange->subscriber.held;
    struct fields fields = exchange_keyed_section(exchange);
    struct bytes key = BYTES_NONE;
    struct bytes detail;
    if (route != NULL) {
        uint16_t index = (uint16_t)(route - engine->snapshot->routes);
        coalesce_body_end(held);
        exchange->verdict =
            coalesce_body_length(held) > 0
                ? coalesce_key_of_body(route, index, &fields, held, engine->key, &key, &detail)
                : coalesce_key(route, index, &fields, false, engine->key, &key, &detail);
    }
    go_on(exchange, key, false, now);
}

void exchange_hold_over(struct exchange *exchange, uint64_t now)
{
    exchange->holding = false;
    exchange_watch(exchange, now);
    stream(exchange, KEY_BODY_BOUND, now);
}

bool exchange_hold(struct exchange *exchange, uint64_t now)
{
    struct request_engine *engine = exchange->engine;
    exchange->subscriber.held =
        coalesce_body_take(engine->config.coalesce, exchange->subscriber.principal);
    exchange->holding = exchange->subscriber.held != NULL;
    if (!exchange->holding) {
        exchange->verdict = KEY_BODY_BOUND;
        return false;
    }
    exchange->hold_until_ns = now + HOLD_BODY_NS;
    exchange_watch(exchange, now);
    return true;
}

/* C25: trailers are forwarded and no part of any key. */
static enum key_verdict verdict_past_bound(const struct fields *trailers)
{
    return trailers != NULL ? KEY_HAS_BODY : KEY_BODY_BOUND;
}

bool exchange_hold_body(struct exchange *exchange, struct bytes bytes, bool end,
                        const struct fields *trailers, uint64_t now)
{
    if (trailers == NULL && coalesce_body_append(exchange->subscriber.held, bytes)) {
        h2_stream_consumed(exchange->stream, (uint32_t)bytes.length);
        if (end)
            complete(exchange, now);
        return true;
    }
    stream(exchange, verdict_past_bound(trailers), now);
    return false;
}
