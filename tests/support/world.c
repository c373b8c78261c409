#include "tests/support/world.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "dataplane/tls/tls_arena.h"
#include "dataplane/worker/worker_internal.h"
#include "tests/support/told_openssl.h"
#include "tests/support/world_tls.h"

#include <rte_rcu_qsbr.h>
#include <stdio.h>
#include <stdlib.h>

#define TURN_MIN_NS    (20 * CLOCK_US)
#define TURN_SPREAD_NS (100 * CLOCK_US)
#define LAG_PERMILLE   100
#define MBUFS          2048
#define TABLE_KEYS     1024
#define QUIET_TURNS    3
#define REST_NS        CLOCK_S
#define RUN_MAX_NS     (900 * CLOCK_S)
#define CONNECT_MAX_NS (60 * CLOCK_S)
#define CONNECT_TRIES  64
#define TLS_BYTES      (1024 * 1024) /* OpenSSL asks the C library all the same */

static uint32_t open_worlds; /* memory is everybody's */

/* ---- building ---- */

const struct worker_limits world_limits = {
    .client_connections = 128,
    .streams = 4096,
    .upstream_connections = 64,
    .backend_connections = 4,
    .http1_connections = 16,
    .flights = 1024,
    .exchanges = 2048,
    .segments = 4096,
    .segment_bytes = 4096,
    .time_wait = 256,
    .neighbours = 64,
    .header_bytes = 16 * 1024,
    .stall_timeout_ns = 60 * CLOCK_S,
    .idle_timeout_ns = 300 * CLOCK_S,
    .client_held_bytes = 1024 * 1024,
    .access_records = 256,
};

/* Hosts listen at one queue, Weir at one a worker. */
static struct wire *create_wire(const struct world *world, uint16_t hosts, uint64_t salt)
{
    struct wire_config config = {
        .ends = (uint16_t)(1 + hosts),
        .queues = 1,
        .queues_of = {world->config.workers},
        .seed = world->config.seed * 4 + salt,
        .mbufs = world->config.mbufs,
    };
    return wire_create(&config);
}

static void seed_host(struct world *world, struct h2_host *host)
{
    random_seed(&host->base.base.random, random_u64(&world->random));
}

static bool has_bit(uint32_t bits, uint32_t number)
{
    return (bits >> number & 1) != 0;
}

static bool has_tls(const struct world *world)
{
    return (world->config.tls_clients | world->config.tls_backends) != 0;
}

/* Before any host is made. */
static void create_tls(struct world *world)
{
    if (!has_tls(world))
        return;
    told_openssl_begin(world->config.seed, &world->now);
    world->tls = world_tls_contexts(world->config.workers);
    world->config.limits.tls_bytes = TLS_BYTES;
    world->config.limits.tls_handshake_timeout_ns = 10 * CLOCK_S;
}

static void destroy_tls(struct world *world)
{
    if (!has_tls(world))
        return;
    tls_contexts_drop(world->tls);
    tls_arena_forget();
    told_openssl_end();
}

static void give_client_tls(struct world *world, uint32_t index)
{
    struct client *client = &world->clients[index];
    if (!has_bit(world->config.tls_clients, index))
        return;
    client->host.speaks_tls = true;
    client->target = tls_contexts_target(world->tls, WORLD_TLS_TO_WEIR, world->config.workers);
    client->tls12 = has_bit(world->config.tls12, index);
}

static void give_backend_tls(struct world *world, uint32_t index)
{
    struct backend *backend = &world->backends[index];
    if (!has_bit(world->config.tls_backends, index))
        return;
    backend->host.speaks_tls = true;
    backend->profile = tls_contexts_profile(world->tls, WORLD_TLS_BACKEND, world->config.workers);
    backend->tls12 = has_bit(world->config.tls12, WORLD_CLIENTS + index);
}

static void create_clients(struct world *world)
{
    for (uint16_t i = 0; i < WORLD_CLIENTS; i++) {
        char v4[32], v6[48];
        snprintf(v4, sizeof(v4), "10.0.0.%u/24", 2u + i);
        snprintf(v6, sizeof(v6), "fd00::%u/64", 2u + i);
        client_prepare(&world->clients[i], world->front, (uint16_t)(1 + i), v4, v6);
        seed_host(world, &world->clients[i].host);
        if (world->config.client_window != 0)
            world->clients[i].host.config.stream_window_bytes = world->config.client_window;
        give_client_tls(world, i);
        client_open(&world->clients[i]);
    }
}

/* Every second backend is spoken to over IPv6. */
static void create_backends(struct world *world)
{
    const char *addresses[WORLD_BACKENDS_MAX];
    static const char *const names[WORLD_BACKENDS_MAX] = {"eu-0", "eu-1", "us-0", "us-1"};
    backend_log_open(&world->log);
    for (uint16_t i = 0; i < WORLD_BACKENDS_MAX; i++) {
        char v4[32], v6[48];
        struct backend *backend = &world->backends[i];
        snprintf(v4, sizeof(v4), "10.1.0.%u/24", 2u + i);
        snprintf(v6, sizeof(v6), "fd01::%u/64", 2u + i);
        backend_prepare(backend, world->back, (uint16_t)(1 + i), names[i], v4, v6);
        seed_host(world, &backend->host);
        backend->speaks_http1 = has_bit(world->config.http1_backends, i);
        give_backend_tls(world, i);
        backend_open(backend, WORLD_PORT, &world->log);
        addresses[i] = i % 2 == 0 ? backend->v4 : backend->v6;
    }
    world_draft_init(&world->draft, addresses);
    world->draft.tls = world->tls;
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX; i++) {
        struct snapshot_backend *draft = &world->draft.backends[i];
        bool http1 = world->backends[i].speaks_http1;
        draft->protocol = http1 ? UPSTREAM_HTTP1 : UPSTREAM_HTTP2;
        draft->tls = world->backends[i].profile != NULL;
        draft->tls_target = http1 ? WORLD_TLS_TO_HTTP1 : WORLD_TLS_TO_HTTP2;
    }
}

static void interface_init(struct net_interface *interface, uint8_t port, const char *v4,
                           const char *v6)
{
    *interface = (struct net_interface){
        .port = port, .mtu = 1500, .mac = {2, 0, 0, 0, 0, 0xf0}, .address_count = 2};
    check(ip_prefix_parse(v4, &interface->addresses[0]));
    check(ip_prefix_parse(v6, &interface->addresses[1]));
}

static struct worker *member(const struct world *world, uint16_t index)
{
    return world->plane->members[world->first + index];
}

static void create_worker(struct world *world, uint16_t index)
{
    struct worker_config config = {
        .index = (uint16_t)(world->first + index),
        .shared = world->plane,
        .queue_count = 2,
        .queues = {wire_queue(world->front, 0, index), wire_queue(world->back, 0, index)},
        .interface_count = 2,
        .limits = world->config.limits,
        .random_seed = random_u64(&world->random),
        .socket_id = -1,
        .now = world->now,
    };
    interface_init(&config.interfaces[0], 0, "10.0.0.1/24", "fd00::1/64");
    interface_init(&config.interfaces[1], 1, "10.1.0.1/24", "fd01::1/64");
    world->plane->members[config.index] = worker_create(&config);
    check(member(world, index) != NULL);
}

static void create_quiescence(struct worker_shared *plane)
{
    size_t bytes = rte_rcu_qsbr_get_memsize(plane->workers);
    plane->quiescence = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    check(plane->quiescence != NULL);
    check(rte_rcu_qsbr_init(plane->quiescence, plane->workers) == 0);
    for (uint16_t i = 0; i < plane->workers; i++) {
        rte_rcu_qsbr_thread_register(plane->quiescence, i);
        rte_rcu_qsbr_thread_online(plane->quiescence, i);
    }
}

static void create_plane(struct world *world)
{
    uint16_t more = world->config.plane_workers;
    world->shared.workers = more != 0 ? more : world->config.workers;
    create_quiescence(&world->shared);
    world->shared.table = coalesce_table_create(
        world->config.table_keys, random_u64(&world->random), random_u64(&world->random), -1);
    check(world->shared.table != NULL);
    world->plane = &world->shared;
}

/* Its workers follow those of the world beside. */
static void join_plane(struct world *world)
{
    const struct world *beside = world->config.beside;
    world->plane = beside->plane;
    world->first = (uint16_t)(beside->first + beside->config.workers);
    check(world->first + world->config.workers <= world->plane->workers);
}

/* The last of them joins them all. */
static void create_workers(struct world *world)
{
    if (world->config.beside != NULL)
        join_plane(world);
    else
        create_plane(world);
    for (uint16_t i = 0; i < world->config.workers; i++)
        create_worker(world, i);
    if (world->first + world->config.workers == world->plane->workers)
        check(worker_connect(world->plane, -1));
}

/* Addresses are announced; what is armed then is armed for ever. */
static void rest(struct world *world)
{
    world_run_for(world, REST_NS);
    for (uint16_t i = 0; i < world->config.workers; i++)
        world->timers_at_rest[i] = member(world, i)->wheel.armed_count;
}

static void take_config(struct world *world, const struct world_config *config)
{
    world->config = *config;
    if (world->config.workers == 0)
        world->config.workers = 1;
    if (world->config.limits.streams == 0)
        world->config.limits = world_limits;
    if (world->config.turn_spread_ns == 0)
        world->config.turn_spread_ns = TURN_SPREAD_NS;
    if (world->config.mbufs == 0)
        world->config.mbufs = MBUFS;
    if (world->config.table_keys == 0)
        world->config.table_keys = TABLE_KEYS;
    check(world->config.workers <= WORLD_WORKERS_MAX);
    if (world->config.lag_permille == 0)
        world->config.lag_permille = LAG_PERMILLE;
}

struct world *world_prepare(const struct world_config *config)
{
    struct world *world = calloc(1, sizeof(*world));
    check(world != NULL);
    open_worlds++;
    take_config(world, config);
    random_seed(&world->random, config->seed);
    world->now = CLOCK_S;
    world->front = create_wire(world, WORLD_CLIENTS, 1);
    world->back = create_wire(world, WORLD_BACKENDS_MAX, 2);
    wire_advance(world->front, world->now);
    wire_advance(world->back, world->now);
    create_tls(world);
    create_clients(world);
    create_backends(world);
    world_set_faults(world, &world->config.front, &world->config.back);
    create_workers(world);
    if (world->config.beside == NULL)
        world_publish(world);
    return world;
}

void world_start(struct world *world)
{
    rest(world);
}

struct world *world_open(const struct world_config *config)
{
    struct world *world = world_prepare(config);
    world_start(world);
    return world;
}

void world_agree(struct world *world, world_agreement *agreement, void *context)
{
    world->agreement = agreement;
    world->agreement_context = context;
}

/* The snapshots, and what workers share. */
static void destroy_plane(struct world *world)
{
    if (world->retired != NULL)
        world_snapshot_free(world->retired);
    world_snapshot_free(world->published);
    free(world->shared.quiescence);
}

void world_close(struct world *world)
{
    wire_destroy(world->front);
    wire_destroy(world->back);
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        client_destroy(&world->clients[i]);
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX; i++)
        backend_destroy(&world->backends[i]);
    backend_log_close(&world->log);
    if (world->config.beside == NULL)
        destroy_plane(world);
    destroy_tls(world);
    free(world);
    if (--open_worlds == 0)
        memory_reset();
}

/* ---- snapshots ---- */

static bool all_have_taken(const struct world *world)
{
    for (uint16_t i = 0; i < world->config.workers; i++)
        if (member(world, i)->snapshot != world->published)
            return false;
    return true;
}

static void let_go_of_retired(struct world *world)
{
    if (world->retired == NULL || !all_have_taken(world))
        return;
    world_snapshot_free(world->retired);
    world->retired = NULL;
}

void world_publish(struct world *world)
{
    while (world->retired != NULL)
        world_turn(world);
    struct snapshot *next = world_snapshot_build(&world->draft, ++world->generation);
    world->retired = world->published;
    world->published = next;
    atomic_store_explicit(&world->shared.snapshot, next, memory_order_release);
}

/* ---- turns ---- */

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_timer(const struct worker *worker)
{
    return loop_clock_shared(worker->clock.missed_ns, timer_wheel_next_ns(&worker->wheel));
}

/* When something can happen that is not due yet. */
static uint64_t next_event(const struct world *world)
{
    uint64_t next = smaller(wire_next_ns(world->front), wire_next_ns(world->back));
    for (uint16_t i = 0; i < world->config.workers; i++)
        next = smaller(next, next_timer(member(world, i)));
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        next = smaller(next, h2_host_next_ns(&world->clients[i].host));
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX; i++)
        next = smaller(next, h2_host_next_ns(&world->backends[i].host));
    return next;
}

static uint64_t agreed(const struct world *world, uint64_t next)
{
    if (world->agreement == NULL)
        return next;
    return world->agreement(world->agreement_context, next);
}

static void advance(struct world *world)
{
    uint64_t ahead = TURN_MIN_NS + random_u64(&world->random) % world->config.turn_spread_ns;
    uint64_t next = world->quiet_turns >= QUIET_TURNS ? next_event(world) : 0;
    next = smaller(next, world->waiting_until_ns);
    if (next > world->now + ahead)
        ahead = next - world->now;
    world->now = agreed(world, world->now + ahead);
    wire_advance(world->front, world->now);
    wire_advance(world->back, world->now);
    world->turns++;
}

uint32_t world_actor_count(const struct world *world)
{
    return world->config.workers + WORLD_CLIENTS + WORLD_BACKENDS_MAX;
}

void world_freeze(struct world *world, uint32_t actor, uint64_t length_ns)
{
    check(actor < world_actor_count(world));
    world->frozen_until_ns[actor] = world->now + length_ns;
}

/* A drawn order of everybody. */
static uint32_t draw_order(struct world *world, uint8_t *order)
{
    uint32_t count = world_actor_count(world);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = random_below(&world->random, i + 1);
        order[i] = order[at];
        order[at] = (uint8_t)i;
    }
    return count;
}

static void count_facts(struct world *world, uint16_t index)
{
    struct fact fact;
    while (worker_fact(member(world, index), &fact)) {
        check(fact.kind <= FACT_STOPPED && fact.worker == world->first + index);
        world->facts[index][fact.kind]++;
    }
}

/* True: it did something, or may have something to do that it was kept from. */
static bool step_worker(struct world *world, uint16_t index)
{
    bool never = world->config.lag_permille >= 1000;
    if (!never && random_below(&world->random, 1000) < world->config.lag_permille)
        return true;
    bool busy = worker_turn(member(world, index), world->now);
    count_facts(world, index);
    return busy;
}

static bool step(struct world *world, uint32_t actor)
{
    if (world->now < world->frozen_until_ns[actor])
        return true;
    if (actor < world->config.workers)
        return step_worker(world, (uint16_t)actor);
    actor -= world->config.workers;
    if (actor < WORLD_CLIENTS) {
        client_turn(&world->clients[actor], world->now);
        return world->clients[actor].host.is_busy;
    }
    actor -= WORLD_CLIENTS;
    backend_turn(&world->backends[actor], world->now);
    return world->backends[actor].host.is_busy;
}

void world_turn(struct world *world)
{
    uint8_t order[WORLD_ACTORS_MAX];
    advance(world);
    uint32_t count = draw_order(world, order);
    bool busy = false;
    for (uint32_t i = 0; i < count; i++)
        busy |= step(world, order[i]);
    busy |= wire_in_flight(world->front) > 0 || wire_in_flight(world->back) > 0;
    world->quiet_turns = busy ? 0 : world->quiet_turns + 1;
    let_go_of_retired(world);
}

bool world_run_until(struct world *world, world_condition *condition, void *context,
                     uint64_t at_most_ns)
{
    uint64_t end = world->now + at_most_ns;
    world->waiting_until_ns = end;
    world->quiet_turns = 0;
    while (!condition(world, context)) {
        if (world->now >= end)
            return false;
        world_turn(world);
    }
    return true;
}

static bool never(struct world *world, void *context)
{
    return false;
}

void world_run_for(struct world *world, uint64_t length_ns)
{
    world_run_until(world, never, NULL, length_ns);
}

static bool all_ended(struct world *world, void *context)
{
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        if (client_open_count(&world->clients[i]) > 0)
            return false;
    return true;
}

bool world_run(struct world *world)
{
    return world_run_until(world, all_ended, NULL, RUN_MAX_NS);
}

/* ---- clients ---- */

struct client_conn *world_connect(struct world *world, uint32_t client, bool v6)
{
    uint16_t port = has_bit(world->config.tls_clients, client) ? WORLD_TLS_PORT : WORLD_PORT;
    return client_connect(&world->clients[client], v6 ? WORLD_VIP_V6 : WORLD_VIP_V4, port,
                          world->now);
}

static bool is_decided(struct world *world, void *context)
{
    const struct client_conn *conn = context;
    return conn->opened || conn->over;
}

struct client_conn *world_connect_to(struct world *world, uint16_t worker, bool v6)
{
    for (uint32_t i = 0; i < CONNECT_TRIES; i++) {
        struct client_conn *conn = world_connect(world, i % WORLD_CLIENTS, v6);
        check(world_run_until(world, is_decided, conn, CONNECT_MAX_NS));
        check(conn->opened);
        if (flow_spread(&conn->tuple) % world->config.workers == worker)
            return conn;
        client_conn_close(conn, world->now);
    }
    check(!"a connection to each worker is found soon");
}

/* Weir's side of it is the remote one. */
static bool is_here(const struct world *world, const struct client_conn *conn)
{
    struct tcp_info info;
    tcp_info(conn->tcp, world->now, &info);
    struct flow_tuple tuple = {info.tuple.remote, info.tuple.local, info.tuple.remote_port,
                               info.tuple.local_port};
    return flow_spread(&tuple) % world->plane->workers == world->first;
}

struct client_conn *world_connect_here(struct world *world, uint32_t client, bool v6)
{
    for (uint32_t i = 0; i < CONNECT_TRIES; i++) {
        struct client_conn *conn = world_connect(world, client, v6);
        if (is_here(world, conn))
            return conn;
        client_conn_abort(conn, world->now);
    }
    check(!"a connection to each worker is found soon");
}

struct client_request *world_send(struct world *world, struct client_conn *conn,
                                  const struct client_script *script)
{
    return client_send(conn, script, world->now);
}

struct client_request *world_get(struct world *world, struct client_conn *conn, const char *path)
{
    return world_send(world, conn, &(struct client_script){.path = path});
}

/* ---- wires ---- */

void world_set_faults(struct world *world, const struct wire_faults *front,
                      const struct wire_faults *back)
{
    wire_set_faults_everywhere(world->front, front);
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX; i++)
        backend_set_faults(&world->backends[i], back);
}

/* ---- backends ---- */

void world_plan(struct world *world, const struct backend_plan *plan)
{
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX; i++)
        world->backends[i].plan = *plan;
}

void world_choose(struct world *world, backend_chooser *choose, void *context)
{
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX; i++) {
        world->backends[i].choose = choose;
        world->backends[i].choose_context = context;
    }
}

static struct backend *first_of(struct world *world, uint16_t region)
{
    return &world->backends[region * WORLD_BACKENDS_MAX / WORLD_REGIONS];
}

void world_region_die(struct world *world, uint16_t region)
{
    struct backend *backends = first_of(world, region);
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX / WORLD_REGIONS; i++)
        backend_die(&backends[i], world->now);
}

void world_region_crash(struct world *world, uint16_t region)
{
    struct backend *backends = first_of(world, region);
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX / WORLD_REGIONS; i++)
        backend_crash(&backends[i], world->now);
}

void world_region_up(struct world *world, uint16_t region)
{
    struct backend *backends = first_of(world, region);
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX / WORLD_REGIONS; i++)
        backend_up(&backends[i]);
}

/* ---- counters ---- */

uint64_t world_counter(const struct world *world, const char *layer, const char *name)
{
    for (uint32_t i = 0; i < counter_description_count; i++) {
        const struct counter_description *what = &counter_descriptions[i];
        if (strcmp(what->layer, layer) != 0 || strcmp(what->name, name) != 0)
            continue;
        uint64_t sum = 0;
        for (uint16_t w = 0; w < world->config.workers; w++)
            sum += worker_counter(worker_counters(member(world, w)), i);
        return sum;
    }
    check(!"a counter of that name");
}
