/*
 * shadow: who would have shared, of POSTs on a route in shadow mode. Nothing waits: the body
 * streams to the backend as it would without, and a copy is held within the bounds of hold.c's. At
 * its end the request has its key, and is looked up by it.
 */
#include "dataplane/base/counter.h"
#include "dataplane/request/exchange.h"

void exchange_shadow_begin(struct exchange *exchange)
{
    struct request_engine *engine = exchange->engine;
    exchange->shadow = coalesce_body_take(engine->config.coalesce, exchange->subscriber.principal);
    if (exchange->shadow == NULL)
        counter_add(&engine->counters.shadow_unknown, 1);
}

/* Whether it would have shared stays unknown. */
static void give_up(struct exchange *exchange)
{
    counter_add(&exchange->engine->counters.shadow_unknown, 1);
    exchange_shadow_end(exchange);
}

static void look_up(struct exchange *exchange)
{
    struct request_engine *engine = exchange->engine;
    const struct snapshot_route *route = exchange_route(exchange);
    struct fields fields = exchange_keyed_section(exchange);
    struct bytes key = BYTES_NONE;
    struct bytes detail;
    if (route == NULL)
        return;
    coalesce_body_end(exchange->shadow);
    if (coalesce_key_of_body(route, (uint16_t)(route - engine->snapshot->routes), &fields,
                             exchange->shadow, engine->key, &key, &detail) == KEY_SHADOW)
        coalesce_shadow(engine->config.coalesce, &exchange->subscriber, key);
}

void exchange_shadow_body(struct exchange *exchange, struct bytes bytes, bool end,
                          const struct fields *trailers)
{
    if (exchange->shadow == NULL)
        return;
    if (trailers != NULL || !coalesce_body_append(exchange->shadow, bytes)) {
        give_up(exchange);
        return;
    }
    if (!end)
        return;
    look_up(exchange);
    exchange_shadow_end(exchange);
}
