/*
 * worker: creation and the loop. worker_step() reads as the path of a packet through the layers.
 */
#include "dataplane/worker/worker.h"

#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "dataplane/region/region_load.h"
#include "dataplane/worker/mail.h"
#include "dataplane/worker/worker_internal.h"

#include <rte_rcu_qsbr.h>
#include <time.h>

#define EMPTY_TURNS_BEFORE_SLEEP 32
#define SLEEP_MAX_NS             (100 * CLOCK_US)
#define FAREWELLS_A_FLUSH        32
#define TURNS_BETWEEN_GAUGES     64

const struct worker_counters *worker_counters(const struct worker *worker)
{
    return &worker->counters;
}

const struct backend_loads *worker_backend_loads(const struct worker *worker)
{
    return worker->loads;
}

/* Of the snapshot, and of the worker's clock. */
static void apply_cookies(struct worker *worker)
{
    const struct snapshot_cookies *cookies = &worker->snapshot->cookies;
    struct tcp_cookie_settings settings = {
        .mode = cookies->always ? TCP_COOKIES_ALWAYS : TCP_COOKIES_AUTO,
        .backlog = cookies->backlog,
        .secrets = {cookies->secrets[0], cookies->secrets[1]},
        .shared = cookies->shared,
        .clock_ahead_ns = cookies->clock_ahead_ns + worker->clock.missed_ns,
    };
    tcp_set_cookies(worker->tcp, &settings);
}

/* RFC 8441: clients may ask when there is a route that takes it. */
static bool takes_extended_connect(const struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->route_count; i++)
        if (snapshot->routes[i].extended_connect_count > 0)
            return true;
    return false;
}

/* Pick up a new snapshot: listeners, upstream connections, drain. */
static void take_snapshot(struct worker *worker, uint64_t now)
{
    const struct snapshot *snapshot =
        atomic_load_explicit(&worker->shared->snapshot, memory_order_acquire);
    bool is_applied = snapshot->generation == worker->snapshot_generation;
    if (is_applied && snapshot == worker->snapshot)
        return;
    worker->snapshot = snapshot;
    coalesce_begin_step(worker->coalesce, snapshot);
    request_begin_step(worker->requests, snapshot);
    if (is_applied)
        return;
    worker->snapshot_generation = snapshot->generation;
    apply_cookies(worker);
    net_set_denied(worker->net, snapshot->denied);
    h2_announce_connect(worker->h2, takes_extended_connect(snapshot));
    worker_listeners_apply(worker, snapshot, now);
    upstream_apply(worker->upstream, snapshot, now);
    counter_add(&worker->counters.loop.snapshots_applied, 1);
}

/* What the other workers have in flight, for limits that are the node's. */
static void look_at_others(struct worker *worker, uint64_t now)
{
    const struct worker_shared *shared = worker->shared;
    if (worker->workers == 1 || now < worker->loads_due_at_ns)
        return;
    worker->loads_due_at_ns = now + REGION_LOOK_NS;
    region_loads_forget_others(worker->loads);
    for (uint16_t i = 0; i < shared->workers; i++)
        if (i != worker->index)
            region_loads_hear(worker->loads, shared->members[i]->loads,
                              worker->snapshot->region_count);
}

/* The clock has left time out since the turn before. */
static void note_gap(struct worker *worker)
{
    struct loop_counters *loop = &worker->counters.loop;
    if (worker->clock.missed_ns == worker->missed_told_ns)
        return;
    worker->missed_told_ns = worker->clock.missed_ns;
    counter_add(&loop->gaps, 1);
    counter_set(&loop->missed_us, worker->clock.missed_ns / CLOCK_US);
    apply_cookies(worker);
}

static uint16_t receive_burst(struct worker *worker, uint8_t q, uint64_t now)
{
    struct rte_mbuf *packets[NET_BURST];
    uint16_t count = worker->queues[q]->receive(worker->queues[q], packets, NET_BURST);
    if (count == 0)
        return 0;
    struct net_arrivals arrivals;
    net_in(worker->net, q, packets, count, now, &arrivals);
    tcp_in(worker->tcp, arrivals.own, arrivals.own_count, now);
    mail_hand_over(worker, &arrivals);
    return count;
}

/*
 * What lies in a queue is taken together, so that what comes of it is: of a long body larger frames
 * and fewer of them.
 */
static uint32_t receive_queue(struct worker *worker, uint8_t q, uint64_t now)
{
    uint32_t received = 0;
    uint16_t count = NET_BURST;
    for (uint32_t i = 0; i < WORKER_BURSTS_A_TURN && count == NET_BURST; i++) {
        count = receive_burst(worker, q, now);
        received += count;
    }
    worker->more_packets |= count == NET_BURST;
    return received;
}

static bool receive(struct worker *worker, uint64_t now)
{
    uint32_t received = 0;
    for (uint8_t q = 0; q < worker->queue_count; q++)
        received += receive_queue(worker, q, now);
    counter_add(&worker->counters.loop.received_packets, received);
    return received > 0;
}

/*
 * After a gap, what a timer is about to miss may have arrived long ago: timers wait until the
 * queues are empty, but not for ever.
 */
static bool run_timers(struct worker *worker, uint64_t now)
{
    if (worker->more_packets && worker->put_off_row < WORKER_PUT_OFF_TURNS) {
        worker->put_off_row++;
        counter_add(&worker->counters.loop.timers_put_off, 1);
        return true;
    }
    worker->put_off_row = 0;
    return timer_wheel_advance(&worker->wheel, now, WORKER_TIMERS_A_TURN) > 0;
}

/* Tell the control thread, once a snapshot, that a drain has come to its end. */
static void report_drained(struct worker *worker)
{
    uint64_t generation = worker->snapshot->generation;
    if (!worker->snapshot->draining || worker->drained_generation == generation ||
        request_connection_count(worker->requests) > 0)
        return;
    worker->drained_generation = generation;
    struct fact fact = {
        .kind = FACT_DRAINED, .worker = worker->index, .token = (uint32_t)generation};
    worker_tell(worker, &fact);
}

/* Now and then, and as soon as there is nothing more to do. */
static bool gauges_are_due(struct worker *worker, bool busy)
{
    bool came_to_rest = worker->was_busy && !busy;
    worker->was_busy = busy;
    return came_to_rest || worker->counters.loop.turns % TURNS_BETWEEN_GAUGES == 0;
}

/* What is open now; when all clients are gone, all but connections to backends return to 0. */
static void set_gauges(struct worker *worker)
{
    struct loop_counters *loop = &worker->counters.loop;
    counter_set(&loop->open_clients, request_connection_count(worker->requests));
    counter_set(&loop->open_exchanges, request_exchange_count(worker->requests));
    counter_set(&loop->open_flights, coalesce_flight_count(worker->coalesce));
    counter_set(&loop->open_upstreams, upstream_connection_count(worker->upstream));
    counter_set(&loop->free_segments, coalesce_free_segments(worker->coalesce));
    counter_set(&loop->held_by_flights, coalesce_objects_used(worker->coalesce));
}

/* NOW: the worker's own time. */
static bool worker_step(struct worker *worker, uint64_t now)
{
    bool busy = false;
    worker->more_packets = false;
    take_snapshot(worker, now);
    note_gap(worker);
    look_at_others(worker, now);
    busy |= worker_take_orders(worker, now);
    busy |= mail_take(worker, now);
    busy |= receive(worker, now);
    if (worker->snapshot->draining)
        busy |= request_drain(worker->requests, WORKER_DRAINS_A_TURN, now);
    busy |= run_timers(worker, now);
    busy |= tcp_dispatch(worker->tcp, WORKER_EVENTS_A_TURN, now) > 0;
    if (worker->tls != NULL)
        busy |= tls_turn(worker->tls, now);
    coalesce_tick(worker->coalesce, now);
    busy |= upstream_tick(worker->upstream, now);
    h2_flush(worker->h2, now);
    h1_flush(worker->h1, now);
    if (worker->tls != NULL)
        tls_flush(worker->tls);
    tcp_out(worker->tcp, now);
    net_flush(worker->net);
    report_drained(worker);
    if (gauges_are_due(worker, busy))
        set_gauges(worker);
    counter_add(&worker->counters.loop.turns, 1);
    if (busy)
        counter_add(&worker->counters.loop.busy_turns, 1);
    if (worker->shared->quiescence != NULL)
        rte_rcu_qsbr_quiescent(worker->shared->quiescence, worker->index);
    return busy;
}

/*
 * A queue that always gives full bursts has no end to be seen. But what lay in it when its timers
 * began to be put off has been taken when that is over: so many turns empty the longest queue.
 */
static void note_look(struct worker *worker, uint64_t clock_ns)
{
    if (worker->more_packets && worker->put_off_row == 1)
        worker->full_since_ns = clock_ns;
    if (worker->more_packets && worker->put_off_row > 0)
        return;
    uint64_t at_ns = worker->more_packets ? worker->full_since_ns : clock_ns;
    atomic_store_explicit(&worker->looked_at_ns, at_ns, memory_order_release);
}

bool worker_turn(struct worker *worker, uint64_t clock_ns)
{
    uint64_t due_ns = clock_ns - worker->clock.turned_at_ns > LOOP_CLOCK_LATE_NS
                          ? timer_wheel_next_ns(&worker->wheel)
                          : CLOCK_NEVER; /* in no time nothing is missed */
    uint64_t now = loop_clock_turn(&worker->clock, clock_ns, due_ns);
    bool busy = worker_step(worker, now);
    note_look(worker, clock_ns);
    return busy;
}

bool worker_all_look(const void *context)
{
    const struct worker *worker = context;
    const struct worker_shared *shared = worker->shared;
    for (uint16_t i = 0; i < shared->workers; i++) {
        uint64_t at_ns =
            atomic_load_explicit(&shared->members[i]->looked_at_ns, memory_order_acquire);
        if (i != worker->index && at_ns != 0 &&
            at_ns + LOOP_CLOCK_LATE_NS < worker->clock.turned_at_ns)
            return false;
    }
    return true;
}

/* The worker's own time at the last turn. */
static uint64_t worker_now(const struct worker *worker)
{
    return worker->clock.turned_at_ns - worker->clock.missed_ns;
}

static uint64_t sleep_length(const struct worker *worker)
{
    uint64_t now = worker_now(worker);
    uint64_t next = timer_wheel_next_ns(&worker->wheel);
    if (next <= now)
        return 0;
    return next - now < SLEEP_MAX_NS ? next - now : SLEEP_MAX_NS;
}

/* Nothing to do: spin, or after some empty turns sleep, offline in the quiescence scheme. */
static void rest(struct worker *worker)
{
    if (worker->idle == WORKER_IDLE_POLL || ++worker->empty_turns < EMPTY_TURNS_BEFORE_SLEEP)
        return;
    uint64_t length = sleep_length(worker);
    if (length == 0)
        return;
    struct rte_rcu_qsbr *quiescence = worker->shared->quiescence;
    struct timespec pause = {0, (long)length};
    rte_rcu_qsbr_thread_offline(quiescence, worker->index);
    nanosleep(&pause, NULL);
    rte_rcu_qsbr_thread_online(quiescence, worker->index);
    counter_add(&worker->counters.loop.sleeps, 1);
}

static void account(struct worker *worker, bool busy, uint64_t cycles)
{
    struct loop_counters *loop = &worker->counters.loop;
    counter_add(busy ? &loop->busy_cycles : &loop->idle_cycles, cycles);
    if (busy && cycles > loop->turn_max_cycles)
        counter_set(&loop->turn_max_cycles, cycles);
}

/* Peers of connections that are left hear of the end at once. */
static void say_farewell(struct worker *worker, uint64_t now)
{
    uint32_t at = 0;
    do {
        at = tcp_farewell(worker->tcp, at, FAREWELLS_A_FLUSH, now);
        net_flush(worker->net);
    } while (at != 0);
}

int worker_run(void *context)
{
    struct worker *worker = context;
    struct rte_rcu_qsbr *quiescence = worker->shared->quiescence;
    if (worker->tls != NULL)
        tls_enter(worker->tls);
    rte_rcu_qsbr_thread_register(quiescence, worker->index);
    rte_rcu_qsbr_thread_online(quiescence, worker->index);
    uint64_t turn_began = clock_cycles();
    worker->clock.turned_at_ns = clock_now_ns(); /* it was not to run before */
    while (!worker->stopping) {
        bool busy = worker_turn(worker, clock_now_ns());
        if (busy)
            worker->empty_turns = 0;
        else
            rest(worker);
        uint64_t turn_ended = clock_cycles();
        account(worker, busy, turn_ended - turn_began);
        turn_began = turn_ended;
    }
    say_farewell(worker, worker_now(worker));
    rte_rcu_qsbr_thread_offline(quiescence, worker->index);
    rte_rcu_qsbr_thread_unregister(quiescence, worker->index);
    struct fact fact = {.kind = FACT_STOPPED, .worker = worker->index};
    worker_tell(worker, &fact);
    return 0;
}
