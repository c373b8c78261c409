/*
 * flight_attempt: which backend a flight goes to, and what is tried again (rules C14, C14a, C14b).
 */
#include "dataplane/coalesce/flight.h"

/* Why a begun attempt is over without an answer. */
enum loss {
    LOSS_CONNECTION,  /* lost with its connection */
    LOSS_UNPROCESSED, /* the backend certainly did not act upon it */
    LOSS_RESET,       /* RST_STREAM by the backend */
    LOSS_MALFORMED,   /* the response broke the protocol */
    LOSS_LATE,        /* no first byte in time */
    LOSS_SILENT,      /* no packet comes back: lost with its connection, only not yet closed */
    LOSS_SUSPECTED,   /* packets do, but no answer to a PING */
    LOSS_STALE,       /* met the end of an idle HTTP/1.1 connection */
    LOSSES
};

struct loss_rule {
    bool any_method;    /* safe to repeat whatever the method is */
    bool budgeted;      /* C14b */
    bool leaves_region; /* C14a */
    bool may_return;    /* the same backend will do when there is no other */
    bool by_time;       /* it may only be slow: not in panic, when everybody is */
    size_t counter;
    const char *name; /* one word, in the access record */
};

static const struct loss_rule loss_rules[LOSSES] = {
    [LOSS_CONNECTION] = {false, false, true, true, false, COUNTER_AT(retries_lost),
                         "connection-lost"},
    [LOSS_UNPROCESSED] = {true, false, false, true, false, COUNTER_AT(retries_unprocessed),
                          "unprocessed"},
    [LOSS_RESET] = {false, true, true, false, false, COUNTER_AT(retries_reset), "reset"},
    [LOSS_MALFORMED] = {false, true, false, false, false, COUNTER_AT(retries_malformed),
                        "bad-response"},
    [LOSS_LATE] = {false, true, false, false, true, COUNTER_AT(retries_late), "late"},
    [LOSS_SILENT] = {false, false, true, false, false, COUNTER_AT(retries_silent), "silent"},
    [LOSS_SUSPECTED] = {false, true, true, false, true, COUNTER_AT(retries_suspected), "suspected"},
    [LOSS_STALE] = {false, false, true, true, false, COUNTER_AT(retries_stale), "stale"},
};

/* What upstream's word means here. A connect that nobody answers leaves the region, too (C14a). */
static const struct {
    enum flight_failure failure;
    enum loss loss;
    bool connect_leaves_region;
} meanings[ATTEMPT_FAILURES] = {
    [ATTEMPT_CONNECT_REFUSED] = {FLIGHT_CONNECT_FAILED, LOSS_CONNECTION},
    [ATTEMPT_CONNECT_TIMEOUT] = {FLIGHT_CONNECT_FAILED, LOSS_CONNECTION, true},
    [ATTEMPT_UNREACHABLE] = {FLIGHT_CONNECT_FAILED, LOSS_CONNECTION, true},
    [ATTEMPT_TLS_FAILED] = {FLIGHT_CONNECT_FAILED, LOSS_CONNECTION},
    [ATTEMPT_NO_ROOM] = {FLIGHT_NO_MEMORY, LOSS_CONNECTION},
    [ATTEMPT_UNPROCESSED] = {FLIGHT_BACKEND_RESET, LOSS_UNPROCESSED},
    [ATTEMPT_CONNECTION_LOST] = {FLIGHT_CONNECTION_LOST, LOSS_CONNECTION},
    [ATTEMPT_RESET] = {FLIGHT_BACKEND_RESET, LOSS_RESET},
    [ATTEMPT_NO_TUNNEL] = {FLIGHT_NO_TUNNEL, LOSS_UNPROCESSED},
    [ATTEMPT_UNTRANSLATABLE] = {FLIGHT_UNTRANSLATABLE, LOSS_UNPROCESSED},
    [ATTEMPT_STALE] = {FLIGHT_CONNECTION_LOST, LOSS_STALE},
    [ATTEMPT_MALFORMED] = {FLIGHT_BAD_RESPONSE, LOSS_MALFORMED},
};

static struct flight *flight_of(struct attempt *attempt)
{
    return container_of(attempt, struct flight, attempt);
}

/* --- picking --- */

static bool is_service(const struct snapshot *snapshot, uint32_t index, const struct flight *flight)
{
    return index < snapshot->service_count &&
           bytes_equal(snapshot->services[index].name,
                       bytes_of(flight->service_name, flight->service_name_length));
}

/* An index means another service when the configuration has changed: the name decides. */
static bool find_service(struct flight *flight)
{
    const struct snapshot *snapshot = flight->coalesce->snapshot;
    uint32_t index = flight->service;
    if (flight->service_generation == snapshot->generation)
        return index < snapshot->service_count;
    if (!is_service(snapshot, index, flight))
        for (index = 0; index < snapshot->service_count; index++)
            if (is_service(snapshot, index, flight))
                break;
    flight->service = (uint16_t)index;
    flight->service_generation = snapshot->generation;
    return index < snapshot->service_count;
}

static void forget_tried(struct pick_request *pick, uint32_t slot)
{
    uint16_t kept = 0;
    for (uint16_t i = 0; i < pick->tried_count; i++)
        if (pick->tried_slots[i] != slot)
            pick->tried_slots[kept++] = pick->tried_slots[i];
    pick->tried_count = kept;
}

static const struct snapshot_backend *pick_with(struct flight *flight,
                                                const struct pick_request *request)
{
    const struct coalesce_config *config = &flight->coalesce->config;
    const struct snapshot *snapshot = flight->coalesce->snapshot;
    uint32_t index;
    enum pick_failure none = pick_backend(snapshot, config->loads, request, config->random, &index);
    if (none == PICK_FULL && flight->last_failure == FLIGHT_NO_BACKEND)
        flight->last_failure = FLIGHT_NO_CAPACITY;
    return none == PICK_OK ? &snapshot->backends[index] : NULL;
}

_Static_assert(PICK_TRIED_MAX >= 2 * PICKS_MAX, "none of either attempt is forgotten");

/* The next backend, or NULL. */
static const struct snapshot_backend *pick(struct flight *flight)
{
    struct pick_request *request = &flight->pick;
    if (!find_service(flight) || request->tried_count == PICK_TRIED_MAX)
        return NULL;
    request->service = flight->service;
    const struct snapshot_backend *backend = pick_with(flight, request);
    if (backend == NULL && flight->may_return) {
        flight->may_return = false;
        forget_tried(request, flight->lost_slot);
        backend = pick_with(flight, request);
    }
    if (backend == NULL)
        return NULL;
    request->tried_slots[request->tried_count++] = backend->slot;
    return backend;
}

void flight_try(struct flight *flight, uint64_t now)
{
    struct coalesce *coalesce = flight->coalesce;
    while (flight->picks < PICKS_MAX) {
        const struct snapshot_backend *backend = pick(flight);
        if (backend == NULL) {
            COALESCE_COUNT(coalesce, picks_failed);
            break;
        }
        flight->picks++;
        flight->pick.priority = PRIORITY_CRITICAL; /* it is taken: what is tried again goes on */
        if (attempt_start(&flight->attempt, backend, now)) {
            COALESCE_COUNT(coalesce, attempts);
            flight->tried_at_ns = now;
            flight->answered_at_ns = 0;
            flight_become(flight, FLIGHT_TRYING, CAUSE_ATTEMPT_STARTED);
            flight_expect_first_byte(flight, now);
            return;
        }
        flight->last_failure = FLIGHT_NO_MEMORY;
    }
    flight_break(flight, flight->last_failure, now);
}

/* --- the second attempt --- */

/* The region of the backend that the attempt was at, -1 when it has gone. */
static int16_t region_of(const struct flight *flight)
{
    const struct snapshot *snapshot = flight->coalesce->snapshot;
    for (uint32_t i = 0; i < snapshot->backend_count; i++)
        if (snapshot->backends[i].slot == flight->attempt.slot)
            return (int16_t)snapshot->backends[i].region;
    return -1;
}

/* C14b, C29. False: there is nothing left of the budget. */
static bool budget_take(struct flight *flight)
{
    flight->budgeted = principal_retry_begins(flight->principal);
    return flight->budgeted;
}

/* C14: whether a second attempt may be made; it has its budget then. What forbids it is counted. */
static bool may_retry(struct flight *flight, const struct loss_rule *rule)
{
    struct coalesce *coalesce = flight->coalesce;
    if (flight->feed.state != FEED_WAITING) {
        COALESCE_COUNT(coalesce, retries_denied_answered);
        return false;
    }
    if (flight->attempts >= 2) {
        COALESCE_COUNT(coalesce, retries_denied_second);
        return false;
    }
    if (!rule->any_method && !flight->idempotent && !flight->replay_safe) {
        COALESCE_COUNT(coalesce, retries_denied_unsafe);
        return false;
    }
    if (!flight->replayable) {
        COALESCE_COUNT(coalesce, retries_denied_body);
        return false;
    }
    if (rule->by_time && coalesce->snapshot->panic) {
        COALESCE_COUNT(coalesce, retries_denied_panic);
        return false;
    }
    if (rule->budgeted && !budget_take(flight)) {
        COALESCE_COUNT(coalesce, retries_denied_budget);
        return false;
    }
    return true;
}

/* The first attempt is over: the second one. */
static void retry(struct flight *flight, const struct loss_rule *rule, uint64_t now)
{
    count_at(flight->coalesce, rule->counter);
    flight->retried = rule->name;
    flight->picks = 0;
    flight->may_return = rule->may_return;
    flight->lost_slot = flight->attempt.slot;
    flight->pick.avoid_region = rule->leaves_region ? region_of(flight) : -1;
    flight_forget_head(flight);
    flight_request_rewind(flight);
    flight_window_begin(flight);
    flight_try(flight, now);
}

/* It never became an attempt: the next backend, at no cost. */
static void move_on(struct flight *flight, uint64_t now)
{
    COALESCE_COUNT(flight->coalesce, connects_moved);
    flight_request_rewind(flight);
    flight_window_begin(flight);
    flight_try(flight, now);
}

static void lost(struct flight *flight, enum attempt_failure why, uint64_t now)
{
    const struct loss_rule *rule = &loss_rules[meanings[why].loss];
    bool connects = flight->state == FLIGHT_TRYING && !flight->attempt.began;
    flight->last_failure = meanings[why].failure;
    if (connects && meanings[why].connect_leaves_region)
        flight->pick.avoid_region = region_of(flight);
    if (connects)
        move_on(flight, now);
    else if (may_retry(flight, rule))
        retry(flight, rule, now);
    else
        flight_break(flight, flight->last_failure, now);
}

static void attempt_failed(struct attempt *attempt, enum attempt_failure why, uint64_t now)
{
    struct flight *flight = flight_of(attempt);
    flight_hold(flight);
    flight_budget_release(flight);
    if (flight_is_running(flight))
        lost(flight, why, now);
    flight_settle(flight, now);
}

void flight_attempt_late(struct flight *flight, uint64_t now)
{
    const struct loss_rule *rule = &loss_rules[LOSS_LATE];
    bool began = flight->attempt.began;
    attempt_report_late(&flight->attempt);
    attempt_cancel(&flight->attempt, now);
    flight_budget_release(flight);
    flight->last_failure = FLIGHT_TIMEOUT;
    if (!began)
        move_on(flight, now);
    else if (may_retry(flight, rule))
        retry(flight, rule, now);
    else
        flight_break(flight, FLIGHT_TIMEOUT, now);
}

void flight_attempt_wrong(struct flight *flight, uint64_t now)
{
    const struct loss_rule *rule = &loss_rules[LOSS_MALFORMED];
    attempt_cancel(&flight->attempt, now);
    flight_budget_release(flight);
    flight->last_failure = FLIGHT_BAD_RESPONSE;
    if (may_retry(flight, rule))
        retry(flight, rule, now);
    else
        flight_break(flight, FLIGHT_BAD_RESPONSE, now);
}

/* Whether there is another backend to go to now, one that is heard of. */
static bool has_elsewhere(struct flight *flight)
{
    struct pick_request request = flight->pick;
    if (!find_service(flight) || request.tried_count == PICK_TRIED_MAX)
        return false;
    request.service = flight->service;
    const struct snapshot_backend *there = pick_with(flight, &request);
    return there != NULL && !backend_is_silent(flight->coalesce->config.loads, there->slot);
}

/*
 * Silence (failover.md): those that may be tried again and have where to go move on. The others
 * stay, it may yet come back. What has not begun waits for its connect to end.
 */
static void attempt_suspected(struct attempt *attempt, enum suspicion why, uint64_t now)
{
    struct flight *flight = flight_of(attempt);
    const struct loss_rule *rule =
        &loss_rules[why == SUSPICION_PATH ? LOSS_SILENT : LOSS_SUSPECTED];
    if (flight->state != FLIGHT_TRYING || !attempt->began || flight->attempts != 1 ||
        !has_elsewhere(flight) || !may_retry(flight, rule))
        return;
    flight_hold(flight);
    attempt_cancel(attempt, now);
    flight->last_failure = FLIGHT_CONNECTION_LOST;
    retry(flight, rule, now);
    flight_settle(flight, now);
}

/* The answer has been read to its end by response_*; the request has been taken as well. */
static void attempt_done(struct attempt *attempt, uint64_t now)
{
    struct flight *flight = flight_of(attempt);
    flight_hold(flight);
    flight_budget_release(flight);
    if (flight_is_running(flight)) {
        flight->last_failure = FLIGHT_BAD_RESPONSE;
        flight_break(flight, FLIGHT_BAD_RESPONSE, now);
    }
    flight_settle(flight, now);
}

const struct attempt_handler flight_attempt_handler = {
    .supply = flight_supply,
    .headers = flight_response_headers,
    .data = flight_response_data,
    .part = flight_response_part,
    .done = attempt_done,
    .failed = attempt_failed,
    .window_room = flight_window_room,
    .window_grew = flight_window_grew,
    .suspected = attempt_suspected,
};
