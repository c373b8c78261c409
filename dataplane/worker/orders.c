/*
 * orders: what the control thread asks of this worker, and the facts that answer.
 */
#include "dataplane/tls/tls_key_log.h"
#include "dataplane/worker/worker_internal.h"

#define FLIGHTS_LISTED_MAX 256

bool worker_order(struct worker *worker, const struct order *order)
{
    return ring_spsc_push(&worker->orders, order);
}

bool worker_fact(struct worker *worker, struct fact *out)
{
    return ring_spsc_pop(&worker->facts, out);
}

const struct access_record *worker_record(struct worker *worker)
{
    return request_record(worker->requests);
}

void worker_record_done(struct worker *worker)
{
    request_record_done(worker->requests);
}

const struct tls_key_line *worker_key_line(struct worker *worker)
{
    return tls_key_line(worker->tls);
}

void worker_key_line_done(struct worker *worker)
{
    tls_key_line_done(worker->tls);
}

void worker_tell(struct worker *worker, const struct fact *fact)
{
    if (!ring_spsc_push(&worker->facts, fact))
        counter_add(&worker->counters.loop.facts_lost, 1);
}

void worker_probed(void *context, const struct probe_result *result)
{
    struct worker *worker = context;
    struct fact fact = {.kind = FACT_PROBED, .worker = worker->index, .probed = *result};
    worker_tell(worker, &fact);
}

struct flight_listing {
    struct worker *worker;
    uint32_t token;
};

static void show_flight(void *context, const struct fact_flight *flight)
{
    struct flight_listing *listing = context;
    struct fact fact = {.kind = FACT_FLIGHT,
                        .worker = listing->worker->index,
                        .token = listing->token,
                        .flight = *flight};
    worker_tell(listing->worker, &fact);
}

static void list_flights(struct worker *worker, uint32_t token, uint64_t now)
{
    struct flight_listing listing = {worker, token};
    coalesce_list(worker->coalesce, FLIGHTS_LISTED_MAX, now, show_flight, &listing);
    struct fact end = {.kind = FACT_FLIGHT_END, .worker = worker->index, .token = token};
    worker_tell(worker, &end);
}

static void kill_flight(struct worker *worker, const struct order *order, uint64_t now)
{
    struct flight_listing listing = {worker, order->token};
    struct fact_flight flight;
    if (coalesce_kill(worker->coalesce, order->flight, &flight, now))
        show_flight(&listing, &flight);
    struct fact end = {
        .kind = FACT_FLIGHT_END, .worker = worker->index, .token = order->token};
    worker_tell(worker, &end);
}

static void obey(struct worker *worker, const struct order *order, uint64_t now)
{
    switch ((enum order_kind)order->kind) {
    case ORDER_PROBE:
        prober_start(worker->prober, worker->snapshot, &order->probe, now);
        return;
    case ORDER_FLIGHT_LIST:
        list_flights(worker, order->token, now);
        return;
    case ORDER_FLIGHT_KILL:
        kill_flight(worker, order, now);
        return;
    case ORDER_STOP:
        worker->stopping = true;
        return;
    }
}

bool worker_take_orders(struct worker *worker, uint64_t now)
{
    struct order order;
    uint32_t taken = 0;
    while (taken < WORKER_ORDERS_A_TURN && ring_spsc_pop(&worker->orders, &order)) {
        obey(worker, &order, now);
        taken++;
    }
    return taken > 0;
}
