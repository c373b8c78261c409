/*
 * exchange: from a request's header section to a subscriber of a flight, and to its end.
 */
#include "dataplane/request/exchange.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/coalesce/key.h"
#include "dataplane/coalesce/principal.h"

static struct exchange *exchange_of(struct subscriber *subscriber)
{
    return container_of(subscriber, struct exchange, subscriber);
}

static void subscriber_news(struct subscriber *subscriber, uint64_t now)
{
    struct exchange *exchange = exchange_of(subscriber);
    if (account_may_change(exchange))
        account_update(exchange, now);
    h2_stream_ready(exchange->stream);
}

static void subscriber_request_sent(struct subscriber *subscriber, uint32_t count, uint64_t now)
{
    struct exchange *exchange = exchange_of(subscriber);
    check(count <= exchange->body_kept_bytes);
    exchange->body_kept_bytes -= count;
    exchange->body_at_ns = now;
    h2_stream_consumed(exchange->stream, count);
}

static void leave_place(void *context, uint64_t place)
{
    h2_slot_free(context, place);
}

/* The backend still works for the client: that counts against its concurrent streams. */
static struct subscriber_place subscriber_lingers(struct subscriber *subscriber)
{
    const struct exchange *exchange = exchange_of(subscriber);
    return (struct subscriber_place){
        .leave = leave_place,
        .context = exchange->engine->config.h2,
        .place = h2_slot_hold(h2_stream_conn(exchange->stream)),
    };
}

/* It joined an answer that has begun; else the news of one will make its stream ready. */
static bool sees_something(const struct exchange *exchange)
{
    const struct subscriber *subscriber = &exchange->subscriber;
    return subscriber->feed != NULL &&
           (subscriber->feed->state != FEED_WAITING || subscriber->interim_due);
}

void exchange_subscribe(struct exchange *exchange, const struct snapshot_route *route,
                        struct exchange_key key, bool more, uint64_t now)
{
    struct request_engine *engine = exchange->engine;
    struct flight_request request = {
        .fields = &exchange->forwarded,
        .fields_stay = true,
        .snapshot = engine->snapshot,
        .route = (uint16_t)(route - engine->snapshot->routes),
        .has_body = more,
        .is_get = exchange->is_get,
        .is_head = exchange->is_head,
        .idempotent = exchange->idempotent,
        .key = key.bytes,
        .key_hash = key.hash,
        .verdict = exchange->verdict,
        .priority = exchange->priority,
        .deadline_ns = exchange->deadline_ns,
    };
    switch (coalesce_subscribe(engine->config.coalesce, &exchange->subscriber, &request, now)) {
    case SUBSCRIBE_OK:
        if (sees_something(exchange))
            h2_stream_ready(exchange->stream);
        return;
    case SUBSCRIBE_SHED:
        exchange_answer_locally(exchange, LOCAL_LIMIT + exchange->subscriber.limit, now);
        return;
    case SUBSCRIBE_SHUT:
        exchange_answer_locally(exchange, LOCAL_SHUT, now);
        return;
    }
}

const struct snapshot_route *exchange_route(const struct exchange *exchange)
{
    const struct snapshot *snapshot = exchange->engine->snapshot;
    struct bytes name = bytes_of(exchange->route_name, exchange->route_name_length);
    for (uint32_t i = 0; i < snapshot->route_count; i++) {
        uint32_t index = (exchange->route + i) % snapshot->route_count;
        if (bytes_equal(snapshot->routes[index].name, name))
            return &snapshot->routes[index];
    }
    return NULL;
}

/* A snapshot does not live as long: the route's name does, and where it was. */
static void keep_route(struct exchange *exchange, const struct snapshot_route *route)
{
    struct bytes name = bytes_first(route->name, sizeof(exchange->route_name));
    exchange->route = (uint16_t)(route - exchange->engine->snapshot->routes);
    exchange->route_name_length = (uint8_t)name.length;
    copy_short((uint8_t *)exchange->route_name, name.data, name.length);
}

/* A flight of our own, with whatever routes are valid now. Who can be refused has its body held. */
void exchange_resubscribe(struct exchange *exchange, uint64_t now)
{
    exchange_leave(exchange, now);
    access_sent_away(exchange);
    const struct snapshot_route *route = exchange_route(exchange);
    counter_add(&exchange->engine->counters.resubscribed, 1);
    if (route == NULL)
        exchange_answer_locally(exchange, LOCAL_NO_ROUTE, now);
    else
        exchange_subscribe(exchange, route, (struct exchange_key){0}, false, now);
}

static void subscriber_refused(struct subscriber *subscriber, uint64_t now)
{
    exchange_resubscribe(exchange_of(subscriber), now);
}

static bool subscriber_held_up(const struct subscriber *subscriber)
{
    return h2_stream_is_held_up(container_of(subscriber, struct exchange, subscriber)->stream);
}

static const struct subscriber_ops subscriber_ops = {
    .news = subscriber_news,
    .request_sent = subscriber_request_sent,
    .refused = subscriber_refused,
    .lingers = subscriber_lingers,
    .held_up = subscriber_held_up,
};

/* RFC 9110 9.2.2 */
static bool method_is_idempotent(struct bytes method)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < array_count(methods); i++)
        if (bytes_equal_text(method, methods[i]))
            return true;
    return false;
}

static struct exchange *take(struct client *client, struct h2_stream *stream, bool end)
{
    struct request_engine *engine = client->engine;
    struct exchange *exchange = pool_take(&engine->exchanges);
    if (exchange == NULL) {
        counter_add(&engine->counters.exchanges_shed, 1);
        return NULL;
    }
    memset(exchange, 0, offsetof(struct exchange, NOT_CLEARED));
    pool_prefetch_next(&engine->exchanges, offsetof(struct exchange, NOT_CLEARED));
    exchange->subscriber.ops = &subscriber_ops;
    exchange->engine = engine;
    exchange->stream = stream;
    exchange->has_body = !end;
    exchange->body_ended = end;
    exchange->due_at_ns = CLOCK_NEVER;
    account_open(client, exchange);
    h2_stream_set_owner(stream, exchange);
    counter_add(&engine->counters.exchanges, 1);
    return exchange;
}

/* C29: who asks, and whether there is room for one more of its requests. */
static enum local_answer admit(struct exchange *exchange, const struct client *client,
                               const struct snapshot_route *route, const struct fields *fields,
                               uint64_t now)
{
    struct request_engine *engine = exchange->engine;
    struct principal *principal =
        coalesce_principal(engine->config.coalesce, route, fields, client->address_name);
    exchange->subscriber.principal = principal;
    exchange->priority = route_priority(route, fields);
    if (!panic_gate_admits(&engine->panic_gate, exchange->priority, engine->config.random, now))
        return LOCAL_PANIC;
    switch (admission_ask(&engine->admission, principal, exchange->priority)) {
    case ADMISSION_OK:
        exchange->admitted = true;
        return LOCAL_NONE;
    case ADMISSION_FULL:
        return LOCAL_REQUESTS;
    case ADMISSION_PRINCIPAL:
        return LOCAL_PRINCIPAL_REQUESTS;
    }
    check(!"a verdict of admission");
}

/* Its principal has one request less. */
static void dismiss(struct exchange *exchange)
{
    struct principal *principal = exchange->subscriber.principal;
    if (exchange->admitted)
        admission_end(&exchange->engine->admission, principal);
    if (exchange->refused)
        admission_refusal_ends(&exchange->engine->admission);
    if (principal != NULL)
        principal_drop(principal);
}

/* FORWARDED without what this hop added. */
static struct fields keyed_part(const struct fields *forwarded, const struct plan *plan)
{
    struct fields keyed = *forwarded;
    keyed.used = plan->keyed_bytes;
    keyed.count = plan->keyed_fields;
    return keyed;
}

/* Where it goes: its route, and the fields of the client that go on. */
static enum local_answer plan_route(struct request_engine *engine, const struct request_peer *peer,
                                    const struct fields *fields, struct plan *plan)
{
    struct fields *forwarded = &engine->scratch;
    struct request_way way;
    enum local_answer refusal = request_rules(engine->snapshot, peer, fields, forwarded, &way);
    if (refusal != LOCAL_NONE)
        return refusal;
    *plan = (struct plan){
        .route = (uint16_t)(way.route - engine->snapshot->routes),
        .disguised_fields = (uint16_t)way.disguised,
        .keyed_bytes = forwarded->used,
        .keyed_fields = forwarded->count,
    };
    return LOCAL_NONE;
}

/* Whether it may share, with whom, and what this hop adds. */
static void plan_rest(struct request_engine *engine, const struct fields *fields, bool has_body,
                      struct plan *plan)
{
    struct fields *forwarded = &engine->scratch;
    const struct snapshot_route *route = &engine->snapshot->routes[plan->route];
    struct bytes method = BYTES_NONE;
    struct bytes detail = BYTES_NONE;
    fields_find(forwarded, FIELD_METHOD, &method);
    plan->idempotent = method_is_idempotent(method);
    plan->connects = bytes_equal_text(method, "CONNECT");
    plan->verdict =
        coalesce_key(route, plan->route, forwarded, has_body, engine->key, &plan->key, &detail);
    if (plan->key.length > 0)
        plan->key_hash = coalesce_key_hash(engine->config.coalesce, plan->key);
    request_rules_hop(engine->snapshot, route, fields, forwarded);
}

/* Times are the route's, and run from NOW on. */
static void begin_times(struct exchange *exchange, const struct snapshot_route *route, uint64_t now)
{
    exchange->deadline_ns = now + route->request_timeout_ns;
    exchange->tunnel_idle_ns = route->idle_timeout_ns;
    exchange->keepalive.every_ns = route->event_stream_keepalive_ns;
    exchange->body_timeout_ns = exchange->asks_tunnel ? 0 : route->body_timeout_ns;
    exchange->body_at_ns = now;
    exchange_watch(exchange, now);
}

/* Keep what is forwarded, which is in the engine's scratch, and subscribe. */
static enum local_answer carry_out(struct exchange *exchange, const struct client *client,
                                   const struct plan *plan, const struct fields *fields,
                                   uint64_t now)
{
    struct request_engine *engine = exchange->engine;
    const struct snapshot_route *route = &engine->snapshot->routes[plan->route];
    exchange->idempotent = plan->idempotent;
    exchange->verdict = plan->verdict;
    exchange->asks_tunnel = plan->connects;
    keep_route(exchange, route);
    exchange->keyed_bytes = plan->keyed_bytes;
    exchange->keyed_fields = plan->keyed_fields;
    counter_add(&engine->counters.disguised_fields, plan->disguised_fields);
    request_rules_client(client, route, fields, &engine->scratch);
    if (engine->scratch.overflow)
        return LOCAL_HEADER_SIZE;
    if (!section_copy(&engine->sections, &engine->scratch, &exchange->forwarded))
        return LOCAL_NO_MEMORY;
    begin_times(exchange, route, now);
    if (exchange->verdict != KEY_HOLD_BODY || !exchange_hold(exchange, now))
        exchange_subscribe(exchange, route, (struct exchange_key){plan->key, plan->key_hash},
                           exchange->has_body, now);
    if (exchange->verdict == KEY_SHADOW_BODY)
        exchange_shadow_begin(exchange);
    return LOCAL_NONE;
}

/*
 * What the plan is for. What a certificate says is in no header section: such requests are alike
 * for nobody else. Nor are those whose own path leads nowhere, or is none, and those whose own
 * field is another one, which may have rules.
 */
static struct plan_of plan_for(const struct exchange *exchange, const struct client *client,
                               const struct fields *fields)
{
    const struct snapshot *snapshot = exchange->engine->snapshot;
    struct plan_of of = {
        .name = client->peer.certificate_asked ? 0 : fields->name,
        .generation = snapshot->generation,
        .has_body = exchange->has_body,
    };
    if (of.name == 0 || !fields->own_unnamed)
        return of;
    const struct snapshot_route *route = NULL;
    of.own = fields->data + fields->part_ends[PART_FRONT];
    if (field_token_at(of.own) == FIELD_CONTENT_LENGTH)
        return of;
    if (field_token_at(of.own) != FIELD_PATH)
        return (struct plan_of){0};
    of.path = field_value(of.own);
    if (of.path.data[0] == '/')
        route = request_rules_route(snapshot, fields, of.path);
    if (route == NULL)
        return (struct plan_of){0};
    of.route = (uint16_t)(route - snapshot->routes);
    return of;
}

/* Whether what is the request's own, if it is not the path, has no part in the plan. */
static bool plan_is_for_all(const struct request_engine *engine, const struct plan_of *of,
                            const struct plan *plan)
{
    struct field_head head;
    struct field own;
    if (of->own == NULL || of->path.length > 0)
        return true;
    field_read(of->own, &head, &own);
    return key_ignores(&engine->snapshot->routes[plan->route].coalesce, &own);
}

/* Make a plan, or find it, and carry it out. Anything but LOCAL_NONE is the answer. */
static enum local_answer forward(struct exchange *exchange, const struct client *client,
                                 const struct fields *fields, uint64_t now)
{
    struct request_engine *engine = exchange->engine;
    struct fields *forwarded = &engine->scratch;
    struct plan_of of = plan_for(exchange, client, fields);
    enum local_answer refusal = LOCAL_NONE;
    struct plan fresh;
    fields_init(forwarded, forwarded->data, forwarded->capacity);
    const struct plan *plan = plans_find(&engine->plans, &of, forwarded, engine->key);
    if (plan == NULL)
        refusal = plan_route(engine, &client->peer, fields, &fresh);
    if (refusal != LOCAL_NONE)
        return refusal;
    const struct plan *known = plan != NULL ? plan : &fresh;
    struct fields keyed = keyed_part(forwarded, known);
    refusal = admit(exchange, client, &engine->snapshot->routes[known->route], &keyed, now);
    if (refusal != LOCAL_NONE)
        return refusal;
    if (plan == NULL) {
        plan_rest(engine, fields, exchange->has_body, &fresh);
        if (plan_is_for_all(engine, &of, &fresh))
            plans_keep(&engine->plans, &of, &fresh, forwarded);
    }
    return carry_out(exchange, client, known, fields, now);
}

/* By an answer that says why, as long as there is room for those. */
static void refuse(struct exchange *exchange, enum local_answer why, uint64_t now)
{
    struct request_engine *engine = exchange->engine;
    struct h2_stream *stream = exchange->stream;
    if (!exchange->admitted)
        exchange->refused = admission_refusal_begins(&engine->admission);
    if (exchange->admitted || exchange->refused) {
        exchange_answer_locally(exchange, why, now);
        return;
    }
    counter_add(&engine->counters.refusals_reset, 1);
    exchange_end(exchange,
                 &(struct access_ending){ACCESS_RESET, H2_REFUSED_STREAM, local_answer_name(why)},
                 now);
    h2_stream_reset(stream, H2_REFUSED_STREAM);
}

void exchange_begin(struct client *client, struct h2_stream *stream, const struct fields *fields,
                    bool end, uint64_t now)
{
    struct exchange *exchange = take(client, stream, end);
    if (exchange == NULL) {
        h2_stream_reset(stream, H2_REFUSED_STREAM);
        return;
    }
    struct bytes method = BYTES_NONE;
    fields_find(fields, FIELD_METHOD, &method);
    exchange->is_head = bytes_equal_text(method, "HEAD");
    exchange->is_get = bytes_equal_text(method, "GET");
    access_begin(exchange, fields, now);
    enum local_answer refusal = forward(exchange, client, fields, now);
    if (refusal != LOCAL_NONE) {
        access_keep_request(exchange, fields);
        refuse(exchange, refusal, now);
    }
}

/* What of them did not fit, nobody has looked at, and what did is not what the client said. */
static bool is_too_large(const struct exchange *exchange, const struct fields *trailers)
{
    return trailers != NULL && trailers->overflow && exchange->local == LOCAL_NONE;
}

static const struct fields *forwarded_trailers(struct request_engine *engine,
                                               const struct fields *trailers)
{
    uint32_t disguised;
    const struct fields *kept = request_rules_trailers(trailers, &engine->scratch, &disguised);
    counter_add(&engine->counters.disguised_fields, disguised);
    return kept;
}

void exchange_body(struct exchange *exchange, struct bytes bytes, bool end,
                   const struct fields *trailers, uint64_t now)
{
    counter_add(&exchange->engine->counters.request_bytes, bytes.length);
    exchange->access.bytes_in += bytes.length;
    exchange->body_at_ns = now;
    exchange->body_ended = end;
    if (is_too_large(exchange, trailers)) {
        exchange_give_up(exchange, LOCAL_HEADER_SIZE, now);
        return;
    }
    if (trailers != NULL)
        trailers = forwarded_trailers(exchange->engine, trailers);
    exchange_shadow_body(exchange, bytes, end, trailers);
    if (exchange->holding && exchange_hold_body(exchange, bytes, end, trailers, now))
        return;
    if (exchange->local != LOCAL_NONE || exchange->subscriber.feed == NULL) {
        /* Nobody reads it any more: the window stays open so that the client can finish. */
        h2_stream_consumed(exchange->stream, (uint32_t)bytes.length);
        return;
    }
    exchange->body_kept_bytes += bytes.length;
    if (!coalesce_request_body(&exchange->subscriber, bytes, end, trailers, now) &&
        !exchange->head_sent)
        exchange_answer_locally(exchange, LOCAL_NO_MEMORY, now);
}

void exchange_leave(struct exchange *exchange, uint64_t now)
{
    if (exchange->access.noted)
        access_note(exchange);
    coalesce_leave(&exchange->subscriber, now);
}

void exchange_end(struct exchange *exchange, const struct access_ending *ending, uint64_t now)
{
    struct request_engine *engine = exchange->engine;
    histogram_add(&engine->histograms.duration, (now - exchange->access.began_ns) / CLOCK_US);
    if (exchange->access.noted) {
        access_note(exchange);
        access_write(exchange, ending, now);
    }
    coalesce_leave(&exchange->subscriber, now);
    account_close(exchange, now);
    keepalive_end(exchange);
    replay_end(exchange);
    exchange_hold_end(exchange);
    exchange_shadow_end(exchange);
    if (exchange->last_words != NULL)
        segment_drop(exchange->last_words);
    section_give(&engine->sections, &exchange->forwarded);
    dismiss(exchange);
    pool_give(&engine->exchanges, exchange);
}
