#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/upstream/upstream_private.h"

static struct backend_load *load_of(const struct attempt *attempt)
{
    return upstream_load(attempt->upstream, attempt->slot, attempt->generation);
}

/* One outcome an attempt, and none for a backend that has left its slot. */
static void report(struct attempt *attempt, enum backend_outcome outcome)
{
    struct backend_load *load = load_of(attempt);
    if (load != NULL && !attempt->reported)
        counter_add(&load->outcomes[outcome], 1);
    attempt->reported = true;
}

static uint64_t *failure_counter(struct upstream_counters *counters, enum attempt_failure why)
{
    switch (why) {
    case ATTEMPT_CONNECT_REFUSED:
        return &counters->attempts_connect_refused;
    case ATTEMPT_CONNECT_TIMEOUT:
        return &counters->attempts_connect_timeout;
    case ATTEMPT_UNREACHABLE:
        return &counters->attempts_unreachable;
    case ATTEMPT_TLS_FAILED:
        return &counters->attempts_tls_failed;
    case ATTEMPT_NO_ROOM:
        return &counters->attempts_no_room;
    case ATTEMPT_UNPROCESSED:
        return &counters->attempts_unprocessed;
    case ATTEMPT_CONNECTION_LOST:
        return &counters->attempts_connection_lost;
    case ATTEMPT_RESET:
        return &counters->attempts_reset;
    case ATTEMPT_MALFORMED:
        return &counters->attempts_malformed;
    case ATTEMPT_NO_TUNNEL:
        return &counters->attempts_no_tunnel;
    case ATTEMPT_UNTRANSLATABLE:
        return &counters->attempts_untranslatable;
    case ATTEMPT_STALE:
        return &counters->attempts_stale;
    case ATTEMPT_FAILURES:
        break;
    }
    check(!"a failure");
    return NULL;
}

/* Of a region only what is at backends of the snapshot: those that go or come are recounted. */
static void count_in_region(const struct attempt *attempt, uint64_t change)
{
    struct upstream *upstream = attempt->upstream;
    const struct upstream_slot *slot = &upstream->slots[attempt->slot];
    uint64_t *regions = upstream->config.loads->regions;
    if (slot->present && slot->generation == attempt->generation)
        counter_set(&regions[slot->region], regions[slot->region] + change);
}

static void join_in_flight(struct attempt *attempt)
{
    struct backend_load *load = load_of(attempt);
    attempt->in_flight = load != NULL;
    if (load == NULL)
        return;
    counter_add(&load->in_flight, 1);
    count_in_region(attempt, 1);
}

static void leave_in_flight(struct attempt *attempt)
{
    struct backend_load *load = load_of(attempt);
    if (load == NULL || !attempt->in_flight)
        return;
    counter_set(&load->in_flight, load->in_flight - 1);
    count_in_region(attempt, UINT64_MAX); /* less one */
}

/* Whatever it was doing, it is idle now. The stream, if any, is dead or about to be. */
static void become_idle(struct attempt *attempt, uint64_t now)
{
    struct upstream_conn *conn = attempt->conn;
    struct upstream *upstream = attempt->upstream;
    list_remove(&attempt->link);
    if (attempt->state == ATTEMPT_WAITING) {
        upstream->waiting_count--;
        if (attempt->failure == ATTEMPT_FAILURES)
            upstream->slots[attempt->slot].waiting_count--;
    }
    attempt->state = ATTEMPT_IDLE;
    attempt->stream = NULL;
    attempt->conn = NULL;
    leave_in_flight(attempt);
    if (conn != NULL)
        upstream_conn_left(conn, now);
}

static void tell_failed(struct attempt *attempt, enum attempt_failure why, uint64_t now)
{
    counter_add(failure_counter(&attempt->upstream->counters, why), 1);
    attempt->handler->failed(attempt, why, now);
}

static void end_failed(struct attempt *attempt, enum attempt_failure why, uint64_t now)
{
    become_idle(attempt, now);
    tell_failed(attempt, why, now);
}

static void end_done(struct attempt *attempt, uint64_t now)
{
    report(attempt, attempt->wants_grpc_status ? BACKEND_LOST_MID_BODY : BACKEND_SUCCESS);
    become_idle(attempt, now);
    counter_add(&attempt->upstream->counters.attempts_done, 1);
    attempt->handler->done(attempt, now);
}

/* --- the owner's side --- */

void attempt_init(struct attempt *attempt, struct upstream *upstream,
                  const struct attempt_handler *handler)
{
    *attempt = (struct attempt){.handler = handler,
                                .upstream = upstream,
                                .state = ATTEMPT_IDLE,
                                .failure = ATTEMPT_FAILURES};
    list_init(&attempt->link);
}

/* What is known of the try before. It is idle: it has no connection, and is in no list. */
static void forget_last(struct attempt *attempt)
{
    attempt->failure = ATTEMPT_FAILURES;
    attempt->began = false;
    attempt->answered = false;
    attempt->in_flight = false;
    attempt->reported = false;
    attempt->response_ended = false;
    attempt->until_close = false;
    attempt->wants_grpc_status = false;
}

/* With those who wait; at once onto a connection that is open when there are none. */
static void join_slot(struct attempt *attempt, struct upstream_slot *slot, uint64_t now)
{
    struct upstream_conn *conn = slot->waiting_count == 0 ? slot_find_room(slot) : NULL;
    if (conn != NULL && conn->speaks->takes_at_once) {
        attempt_attach(attempt, conn, now);
        return;
    }
    list_push_back(&slot->waiting, &attempt->link);
    slot->waiting_count++;
    slot_touch(attempt->upstream, attempt->slot);
}

bool attempt_start(struct attempt *attempt, const struct snapshot_backend *backend, uint64_t now)
{
    struct upstream *upstream = attempt->upstream;
    check(attempt->state == ATTEMPT_IDLE && backend->slot < SNAPSHOT_BACKENDS_MAX);
    struct upstream_slot *slot = &upstream->slots[backend->slot];
    if (slot->waiting_count >= upstream->config.waiting_max) {
        counter_add(&upstream->counters.attempts_waiting_full, 1);
        return false;
    }
    forget_last(attempt);
    attempt->state = ATTEMPT_WAITING;
    attempt->slot = backend->slot;
    attempt->generation = backend->generation;
    attempt->started_at_ns = now;
    upstream->waiting_count++;
    counter_add(&upstream->counters.attempts, 1);
    join_in_flight(attempt);
    if (slot->present && slot->generation == backend->generation)
        join_slot(attempt, slot, now);
    else
        attempt_fail_later(attempt, ATTEMPT_UNREACHABLE); /* of another snapshot */
    return true;
}

void attempt_ready(struct attempt *attempt)
{
    if (attempt->state == ATTEMPT_OPEN)
        attempt->conn->speaks->ready(attempt);
}

void attempt_consumed(struct attempt *attempt, uint32_t count)
{
    if (attempt->state == ATTEMPT_OPEN)
        attempt->conn->speaks->consumed(attempt, count);
}

void attempt_credit_now(struct attempt *attempt)
{
    if (attempt->state == ATTEMPT_OPEN)
        attempt->conn->speaks->credit_now(attempt);
}

void attempt_report_late(struct attempt *attempt)
{
    if (attempt->state == ATTEMPT_OPEN)
        report(attempt, attempt->answered ? BACKEND_LOST_MID_BODY : BACKEND_LATE);
}

void attempt_cancel(struct attempt *attempt, uint64_t now)
{
    struct upstream_conn *conn = attempt->conn;
    struct h2_stream *stream = attempt->stream;
    if (attempt->state == ATTEMPT_IDLE)
        return;
    counter_add(&attempt->upstream->counters.attempts_cancelled, 1);
    become_idle(attempt, now);
    if (conn != NULL)
        conn->speaks->cancel(conn, stream, now);
}

/* --- waiting --- */

/* The connection turned out to be of no use: the attempt is the first of those who wait. */
static void wait_again(struct attempt *attempt)
{
    struct upstream_slot *slot = &attempt->upstream->slots[attempt->slot];
    list_push_front(&slot->waiting, &attempt->link);
    slot->waiting_count++;
    slot_touch(attempt->upstream, attempt->slot);
}

/*
 * The connection takes no more, or is lost, and nothing was sent on it: the backend may be as good
 * as before, and when it is not the next connect says so.
 */
static void wait_for_another(struct attempt *attempt, uint64_t now)
{
    const struct upstream_slot *slot = &attempt->upstream->slots[attempt->slot];
    struct upstream_conn *conn = attempt->conn;
    list_remove(&attempt->link);
    attempt->state = ATTEMPT_WAITING;
    attempt->stream = NULL;
    attempt->conn = NULL;
    attempt->upstream->waiting_count++;
    if (slot->present && slot->generation == attempt->generation)
        wait_again(attempt);
    else
        attempt_fail_later(attempt, ATTEMPT_UNREACHABLE);
    upstream_conn_left(conn, now);
}

void attempt_attach(struct attempt *attempt, struct upstream_conn *conn, uint64_t now)
{
    if (!conn->speaks->request(conn, attempt, now)) {
        if (conn->state == UPSTREAM_OPEN)
            attempt_fail_later(attempt, ATTEMPT_NO_ROOM);
        else
            wait_again(attempt);
        return;
    }
    attempt->upstream->waiting_count--;
    attempt->state = ATTEMPT_OPEN;
    attempt->conn = conn;
    list_push_back(&conn->attempts, &attempt->link);
    upstream_conn_joined(conn, now);
    conn->speaks->ready(attempt);
}

void attempt_fail_later(struct attempt *attempt, enum attempt_failure why)
{
    attempt->failure = why;
    list_push_back(&attempt->upstream->failing, &attempt->link);
}

/* Those that fail in the meantime wait for the next tick, so that this one ends. */
void attempts_tell(struct upstream *upstream, uint64_t now)
{
    struct list failing;
    list_init(&failing);
    list_append_all(&failing, &upstream->failing);
    while (!list_is_empty(&failing)) {
        struct attempt *attempt = list_entry(failing.next, struct attempt, link);
        end_failed(attempt, attempt->failure, now);
    }
}

void attempts_suspect(struct upstream_conn *conn, enum suspicion why, uint64_t now)
{
    struct list untold;
    list_init(&untold);
    list_append_all(&untold, &conn->attempts);
    for (struct list *link; (link = list_pop_front(&untold)) != NULL;) {
        struct attempt *attempt = list_entry(link, struct attempt, link);
        list_push_back(&conn->attempts, link);
        if (attempt->handler->suspected != NULL)
            attempt->handler->suspected(attempt, why, now);
    }
}

/* --- the protocol's side --- */

static bool has_field(const struct fields *fields, enum field_token token)
{
    struct bytes value;
    return fields_find(fields, token, &value);
}

static void answered(struct attempt *attempt, const struct fields *fields, uint64_t now)
{
    struct backend_load *load = load_of(attempt);
    uint16_t status = fields_status(fields);
    attempt->answered = true;
    attempt->content = content_kind_of(fields);
    if (load != NULL)
        histogram_add(&load->first_bytes, (now - attempt->started_at_ns) / CLOCK_US);
    attempt->wants_grpc_status =
        attempt->content == CONTENT_GRPC && !has_field(fields, FIELD_GRPC_STATUS);
    if (status == 502 || status == 503 || status == 504)
        report(attempt, BACKEND_BAD_STATUS);
}

/*
 * A header section beyond our limit. A client can provoke that (a cookie echoed), so it says
 * nothing about the backend's health.
 */
static void refuse_section(struct attempt *attempt, uint64_t now)
{
    struct upstream_conn *conn = attempt->conn;
    struct h2_stream *stream = attempt->stream;
    attempt->reported = true;
    become_idle(attempt, now);
    conn->speaks->cancel(conn, stream, now);
    tell_failed(attempt, ATTEMPT_MALFORMED, now);
}

void attempt_headers(struct attempt *attempt, const struct fields *fields, enum h2_section section,
                     bool end, uint64_t now)
{
    upstream_conn_answered(attempt->conn);
    if (fields->overflow) {
        refuse_section(attempt, now);
        return;
    }
    if (section == H2_SECTION_HEADERS)
        answered(attempt, fields, now);
    if (section == H2_SECTION_TRAILERS && has_field(fields, FIELD_GRPC_STATUS))
        attempt->wants_grpc_status = false;
    attempt->response_ended = end;
    attempt->handler->headers(attempt, fields, section, end, now);
}

void attempt_data(struct attempt *attempt, struct bytes bytes, bool end, uint64_t now)
{
    upstream_conn_answered(attempt->conn);
    attempt->response_ended = end;
    attempt->handler->data(attempt, bytes, end, now);
}

void attempt_part(struct attempt *attempt, struct bytes bytes, uint64_t now)
{
    if (attempt->handler->part != NULL)
        attempt->handler->part(attempt, bytes, now);
    else
        attempt_data(attempt, bytes, false, now);
}

/* The backend has said that it would not take it: another one may. */
static struct h2_supply withdraw(struct attempt *attempt, enum attempt_failure why, uint64_t now)
{
    end_failed(attempt, why, now);
    return (struct h2_supply){.kind = H2_SUPPLY_RESET, .code = H2_CANCEL};
}

struct h2_supply attempt_supply(struct attempt *attempt, uint32_t max, uint64_t now)
{
    struct h2_supply supply = attempt->handler->supply(attempt, max, now);
    enum attempt_failure refusal;
    switch (supply.kind) {
    case H2_SUPPLY_NONE:
        break;
    case H2_SUPPLY_INTERIM: /* requests have none */
        check(supply.kind != H2_SUPPLY_INTERIM);
        break;
    case H2_SUPPLY_HEADERS:
        refusal = attempt->conn->speaks->refusal(attempt, supply.fields);
        if (refusal != ATTEMPT_FAILURES)
            return withdraw(attempt, refusal, now);
        attempt->began = true;
        break;
    case H2_SUPPLY_DATA:
    case H2_SUPPLY_TRAILERS:
        attempt->began = true;
        break;
    case H2_SUPPLY_RESET:
        counter_add(&attempt->upstream->counters.attempts_cancelled, 1);
        become_idle(attempt, now);
        break;
    }
    return supply;
}

static enum attempt_failure failure_of(struct h2_reset reset)
{
    if (reset.unprocessed)
        return ATTEMPT_UNPROCESSED;
    if (reset.conn_lost)
        return ATTEMPT_CONNECTION_LOST;
    return reset.by_peer ? ATTEMPT_RESET : ATTEMPT_MALFORMED;
}

/* A GOAWAY is good manners, not a failure; a refused stream is one if the backend keeps at it. */
static bool is_backends_fault(struct h2_reset reset)
{
    return reset.conn_lost || !reset.unprocessed || reset.code == H2_REFUSED_STREAM;
}

uint64_t attempt_window_room(const struct attempt *attempt)
{
    return attempt->handler->window_room == NULL ? UINT64_MAX
                                                 : attempt->handler->window_room(attempt);
}

void attempt_window_grew(struct attempt *attempt, uint32_t by, uint64_t now)
{
    if (attempt->handler->window_grew != NULL)
        attempt->handler->window_grew(attempt, by, now);
}

void attempt_reset(struct attempt *attempt, struct h2_reset reset, uint64_t now)
{
    bool whole = attempt->response_ended && (reset.by_peer || reset.conn_lost);
    if (whole) { /* RFC 9113 8.1: the rest of the request was not wanted */
        end_done(attempt, now);
        return;
    }
    bool came_too_late = reset.unprocessed && !attempt->began;
    if (came_too_late) { /* RFC 9113 5.1.2, 6.8 */
        wait_for_another(attempt, now);
        return;
    }
    if (is_backends_fault(reset))
        report(attempt, attempt->answered ? BACKEND_LOST_MID_BODY : BACKEND_LOST_EARLY);
    end_failed(attempt, failure_of(reset), now);
}

void attempt_stale(struct attempt *attempt, uint64_t now)
{
    end_failed(attempt, ATTEMPT_STALE, now);
}

void attempt_finished(struct attempt *attempt, uint64_t now)
{
    end_done(attempt, now);
}
