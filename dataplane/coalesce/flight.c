#include "dataplane/coalesce/flight.h"

#include "dataplane/coalesce/branch.h"

/* --- birth --- */

static void read_request(struct flight *flight, const struct flight_request *request)
{
    struct bytes ignored;
    flight->is_head = request->is_head;
    flight->is_get = request->is_get || request->is_head;
    flight->tunnel = flight_tunnel_asked(flight);
    flight->has_authorization = fields_find(flight->request, FIELD_AUTHORIZATION, &ignored);
    flight->idempotent = request->idempotent;
    flight->replayable = true;
    if (!request->has_body)
        body_end(&flight->request_body);
}

/* A complete body is shared, the beginning of one is taken over; its sender has its credit. */
static void take_body(struct flight *flight, struct held_body *held)
{
    if (held == NULL)
        return;
    flight->request_told = held->body.written_bytes;
    if (held->body.ended)
        flight->feed.held = held_body_hold(held);
    else
        held_body_move(held, &flight->request_body);
}

static void read_route(struct flight *flight, const struct flight_request *request)
{
    const struct snapshot_route *route = &request->snapshot->routes[request->route];
    struct bytes service = request->snapshot->services[route->service].name;
    flight->route = request->route;
    flight->service = route->service;
    flight->service_generation = request->snapshot->generation;
    flight->replay_safe = route->replay_safe;
    flight->pick.trusts_probes = route->when_no_region == NO_REGION_FAIL;
    flight->pick.priority = request->priority;
    flight->first_byte_timeout_ns = route->first_byte_timeout_ns;
    flight->idle_timeout_ns = route->idle_timeout_ns;
    flight->hold_first_byte_ns = route->hold_first_byte_ns;
    flight->hold_stream_ns = route->hold_stream_ns;
    flight->linger_ns = route->coalesce.linger_ns;
    flight->flight_bytes = route->coalesce.flight_bytes;
    flight->feed.replay_bytes = flight->flight_bytes / 2;
    flight->ignore_no_store = route->coalesce.ignore_no_store;
    flight->ignore_set_cookie = route->coalesce.ignore_set_cookie;
    check(service.length <= SERVICE_NAME_MAX);
    flight->service_name_length = (uint8_t)service.length;
    copy_short((uint8_t *)flight->service_name, service.data, service.length);
}

static void init_flight(struct flight *flight, struct coalesce *coalesce, uint64_t now)
{
    memset(flight, 0, offsetof(struct flight, FLIGHT_CLEARED));
    flight->feed.trailers.data = NULL;
    flight->feed.interim.data = NULL;
    flight->request_trailers.data = NULL;
    flight->coalesce = coalesce;
    flight->state = FLIGHT_NEW;
    flight->started_at_ns = now;
    flight->progress_at_ns = now;
    flight->pick.avoid_region = -1;
    flight->last_failure = FLIGHT_NO_BACKEND;
    feed_init(&flight->feed, FEED_OF_FLIGHT, false, coalesce->config.segment_bytes);
    list_init(&flight->branches);
    list_init(&flight->thirsty_link);
    list_init(&flight->fresh_link);
    attempt_init(&flight->attempt, coalesce->config.upstream, &flight_attempt_handler);
    flight_timer_init(flight);
}

static const size_t limit_counters[COALESCE_LIMITS] = {
    [LIMIT_FLIGHTS] = COUNTER_AT(shed_flights),
    [LIMIT_HEADERS] = COUNTER_AT(shed_sections),
    [LIMIT_PAYLOAD] = COUNTER_AT(shed_payload),
    [LIMIT_PRINCIPAL_FLIGHTS] = COUNTER_AT(shed_principal_flights),
    [LIMIT_PRINCIPAL_PAYLOAD] = COUNTER_AT(shed_principal_payload),
};

static struct flight *shed(struct coalesce *coalesce, struct subscriber *subscriber,
                           enum coalesce_limit limit)
{
    subscriber->limit = limit;
    count_at(coalesce, limit_counters[limit]);
    return NULL;
}

/* What it takes from now on is on the principal's account. */
static void charge(struct flight *flight, struct principal *principal)
{
    flight->principal = principal_hold(principal);
    flight->feed.body.account = &principal->payload;
    flight->request_body.account = &principal->payload;
    principal_flight_begins(principal);
}

/* C29: those in the list of newcomers are nobody in particular. */
static struct principal *principal_of(struct coalesce *coalesce,
                                      const struct subscriber *subscriber)
{
    return subscriber->principal != NULL ? subscriber->principal : &coalesce->principals.newcomers;
}

/* As long as its leader is there a flight may read its request where it lies. */
static bool take_request(struct flight *flight, const struct flight_request *request)
{
    if (request->fields_stay) {
        flight->request = request->fields;
        return true;
    }
    flight->request = &flight->kept_request;
    return section_copy(&flight->coalesce->sections, request->fields, &flight->kept_request);
}

struct flight *flight_take(struct coalesce *coalesce, const struct flight_request *request,
                           struct subscriber *subscriber, uint64_t now)
{
    struct principal *principal = principal_of(coalesce, subscriber);
    if (!flight_window_fits(coalesce))
        return shed(coalesce, subscriber, LIMIT_PAYLOAD);
    if (!principal_is_fair(principal->payload.used, payload_free(coalesce)))
        return shed(coalesce, subscriber, LIMIT_PRINCIPAL_PAYLOAD);
    if (coalesce->flights.free_count > 0 &&
        !principal_is_fair(principal->flights, coalesce->flights.free_count))
        return shed(coalesce, subscriber, LIMIT_PRINCIPAL_FLIGHTS);
    struct flight *flight = pool_take(&coalesce->flights);
    if (flight == NULL)
        return shed(coalesce, subscriber, LIMIT_FLIGHTS);
    init_flight(flight, coalesce, now);
    pool_prefetch_next(&coalesce->flights, offsetof(struct flight, FLIGHT_CLEARED));
    if (!take_request(flight, request)) {
        pool_give(&coalesce->flights, flight);
        return shed(coalesce, subscriber, LIMIT_HEADERS);
    }
    charge(flight, principal);
    flight_window_begin(flight);
    take_body(flight, subscriber->held);
    read_request(flight, request);
    read_route(flight, request);
    return flight;
}

static struct flight_name name_of(const struct flight *flight)
{
    struct coalesce *coalesce = flight->coalesce;
    return (struct flight_name){pool_handle(&coalesce->flights, flight), coalesce->config.self};
}

void flight_lead(struct flight *flight, struct subscriber *subscriber, uint64_t deadline_ns,
                 uint64_t now)
{
    struct coalesce *coalesce = flight->coalesce;
    flight_hold(flight);
    COALESCE_COUNT(coalesce, flights);
    if (flight->coalesced)
        COALESCE_COUNT(coalesce, flights_coalesced);
    flight->feed.keeps_prefix = flight->entry != NULL && !flight->in_shadow;
    subscriber->flight = name_of(flight);
    flight_welcome(flight, deadline_ns);
    if (flight->start_at_ns > now)
        flight_set_time(flight, TIME_START, flight->start_at_ns);
    else
        flight_try(flight, now);
    feed_add(&flight->feed, subscriber, SUBSCRIBER_LED, deadline_ns, now);
    flight_settle(flight, now);
}

/* --- death --- */

/* The backend works for nobody: that counts as work for the client that left last. */
static void take_place(struct flight *flight)
{
    struct subscriber *leaver = flight->leaver;
    if (leaver != NULL && leaver->ops->lingers != NULL)
        flight->place = leaver->ops->lingers(leaver);
}

static void leave_place(struct flight *flight)
{
    struct subscriber_place place = flight->place;
    flight->place = (struct subscriber_place){0};
    if (place.leave != NULL)
        place.leave(place.context, place.place);
}

/* How many it served that could share it. */
static void count_sharers(struct flight *flight)
{
    struct coalesce *coalesce = flight->coalesce;
    if (!flight->coalesced || flight->in_shadow)
        return;
    histogram_add(&coalesce->histograms.subscribers, 1 + flight->joined_count);
    if (flight->attempts > 1)
        counter_add(&coalesce->counters.retries_shared, flight->joined_count);
}

static void dispose(struct flight *flight, uint64_t now)
{
    struct coalesce *coalesce = flight->coalesce;
    check(flight->entry == NULL && list_is_empty(&flight->branches));
    count_sharers(flight);
    attempt_cancel(&flight->attempt, now);
    leave_place(flight);
    flight_budget_release(flight);
    flight_clear_times(flight);
    flight_forget_sample(flight);
    coalesce_body_drop(&flight->feed.held);
    body_drop(&flight->request_body);
    flight_drop_extra(flight, &flight->request_trailers);
    flight_window_end(flight);
    body_drop(&flight->feed.body);
    flight_forget_request(flight);
    flight_drop_extra(flight, &flight->feed.interim);
    section_give(&coalesce->sections, &flight->feed.head);
    section_give(&coalesce->sections, &flight->feed.trailers);
    flight_become(flight, FLIGHT_OVER, CAUSE_DESERTED);
    principal_flight_ends(flight->principal);
    principal_drop(flight->principal);
    pool_give(&coalesce->flights, flight);
}

void flight_discard(struct flight *flight)
{
    check(flight->state == FLIGHT_NEW && flight->feed.subscriber_count == 0);
    dispose(flight, 0);
}

/* C12: a GET that others could still join goes on for a while. */
static bool lingers(struct flight *flight, uint64_t now)
{
    if (flight->entry == NULL || flight->in_shadow || !flight->is_get || flight->linger_ns == 0)
        return false;
    if (!flight_has_time(flight, TIME_LINGER)) {
        COALESCE_COUNT(flight->coalesce, lingered);
        take_place(flight);
        flight_set_time(flight, TIME_LINGER, now + flight->linger_ns);
    }
    return true;
}

bool flight_drains(const struct flight *flight)
{
    return flight->tunnel == TUNNEL_OPEN && flight->state == FLIGHT_COMPLETE &&
           flight->attempt.state == ATTEMPT_OPEN && flight->request_body.ended;
}

static void await_drain(struct flight *flight, uint64_t now)
{
    if (flight_has_time(flight, TIME_PATIENCE)) /* it has begun */
        return;
    flight->progress_at_ns = now;
    flight_set_time(flight, TIME_PATIENCE, now + flight->idle_timeout_ns);
}

void flight_deserted(struct flight *flight, uint64_t now)
{
    if (flight_is_running(flight)) {
        bool goes_on = lingers(flight, now);
        flight->leaver = NULL;
        if (!goes_on)
            flight_break(flight, FLIGHT_CANCELLED, now); /* settles */
        return;
    }
    if (flight_drains(flight))
        await_drain(flight, now);
    else if (flight->branch_count == 0)
        dispose(flight, now);
}

/* --- who shares it --- */

void flight_unpublish(struct flight *flight, uint64_t *counter, uint64_t now)
{
    struct coalesce *coalesce = flight->coalesce;
    table_remove(coalesce->config.table, flight->entry);
    if (flight->feed.state == FEED_WAITING)
        flight->sample = flight->entry; /* the answer of a second attempt is judged by it (C6) */
    else
        entries_retire(&coalesce->entries, flight->entry);
    flight->entry = NULL;
    flight->principal->keys--;
    flight->feed.keeps_prefix = false;
    counter_add(counter, 1);
    COALESCE_COUNT(coalesce, keys_removed);
    branches_publish(flight);
    flight_trim(flight, now);
}

/* C18: an answer has begun, and then nothing came for long. Not so if we keep the window shut. */
static bool is_stalled(const struct flight *flight, uint64_t now)
{
    return flight->state == FLIGHT_ANSWERING && now - flight->progress_at_ns > STALLED_AFTER_NS;
}

/* C17: a POST stream is joined early or not at all. */
static bool is_late(const struct flight *flight, uint64_t now)
{
    return !flight->is_get && now - flight->started_at_ns > POST_JOIN_FOR_NS &&
           flight->feed.body.written_bytes > POST_JOIN_BYTES;
}

enum apart flight_admits(struct flight *flight, uint64_t deadline_ns, uint64_t now)
{
    struct coalesce_counters *counters = &flight->coalesce->counters;
    if (flight->entry == NULL || flight->in_shadow)
        return APART_ENDED;
    if (is_stalled(flight, now)) {
        flight_leave_table(flight, &counters->removed_stalled, now);
        return APART_STALLED;
    }
    if (is_late(flight, now)) {
        flight_leave_table(flight, &counters->removed_late, now);
        return APART_LATE;
    }
    if (deadline_ns > flight->started_at_ns + FLIGHT_TIME_MAX_NS)
        return APART_CAP;
    uint32_t most = coalesce_part(flight->coalesce, SUBSCRIBERS_MAX);
    return flight_interest(flight) < most ? APART_NOT : APART_BOUND;
}

void flight_count_refusal(struct coalesce *coalesce, enum apart apart)
{
    static const size_t counters[APARTS] = {
        [APART_ENDED] = COUNTER_AT(refused_ended), [APART_STALLED] = COUNTER_AT(refused_stalled),
        [APART_LATE] = COUNTER_AT(refused_late),   [APART_CAP] = COUNTER_AT(refused_cap),
        [APART_BOUND] = COUNTER_AT(refused_bound), [APART_MAIL] = COUNTER_AT(refused_mail),
    };
    count_at(coalesce, counters[apart]);
}

static void extend(struct flight *flight, uint64_t deadline_ns)
{
    uint64_t cap = flight->started_at_ns + FLIGHT_TIME_MAX_NS;
    uint64_t wanted = deadline_ns < cap ? deadline_ns : cap;
    if (!flight_is_running(flight) || wanted <= flight->deadline_ns)
        return;
    flight->deadline_ns = wanted;
    if (flight->state == FLIGHT_NEW) /* it gets another time, and the timer with that */
        flight->due_at_ns[TIME_DEADLINE] = wanted;
    else
        flight_set_time(flight, TIME_DEADLINE, wanted);
}

void flight_welcome(struct flight *flight, uint64_t deadline_ns)
{
    extend(flight, deadline_ns);
    if (!flight_has_time(flight, TIME_LINGER))
        return;
    flight_clear_time(flight, TIME_LINGER);
    leave_place(flight);
    COALESCE_COUNT(flight->coalesce, lingered_joined);
}

void flight_join(struct flight *flight, struct subscriber *subscriber, uint64_t deadline_ns,
                 uint64_t now)
{
    flight_welcome(flight, deadline_ns);
    feed_add(&flight->feed, subscriber, SUBSCRIBER_JOINED, deadline_ns, now);
    held_body_swap(&subscriber->held, flight->feed.held);
    flight_grant(flight, now);
    flight->joined_count++;
    subscriber->flight = name_of(flight);
    joins_count(flight->coalesce, subscriber, flight->feed.state != FEED_WAITING);
    COALESCE_COUNT(flight->coalesce, joined_local);
}

/* Whether anybody is helped by memory of the body: of an answer that nobody reads all goes soon. */
static bool is_of_use(const struct flight *flight)
{
    return flight_is_running(flight) || flight->tunnel == TUNNEL_OPEN ||
           flight->feed.subscriber_count + flight->branch_count > 0;
}

void flight_left(struct flight *flight, struct subscriber *subscriber, uint64_t now)
{
    bool led = subscriber->role == SUBSCRIBER_LED;
    flight_hold(flight);
    bool was_last_behind = feed_remove(&flight->feed, subscriber);
    if (led && flight->request != NULL)
        flight_keep_request(flight, now);
    if (was_last_behind && is_of_use(flight))
        flight_trim(flight, now);
    flight->leaver = subscriber;
    flight_settle(flight, now);
}

void flight_announce(struct flight *flight, uint64_t now)
{
    if (!list_is_empty(&flight->branches))
        branches_publish(flight);
    feed_news(&flight->feed, now);
}
