/*
 * worker_create: every layer of one worker is created here, bottom up, from one set of limits. The
 * sums that size a pool are written out: one term a holder.
 */
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "dataplane/worker/mail.h"
#include "dataplane/worker/worker_internal.h"

#define RECEIVE_WINDOW_BYTES (256 * 1024)
#define SEND_QUEUE_BYTES     (256 * 1024)
#define SPANS_PER_BLOCK      6 /* it, and pieces of bodies between two of them */
#define PROBES_MAX           256
#define WAITING_PER_BACKEND  4096
#define HEADER_BLOCKS        256
#define HTTP1_HEADS          64  /* that have come in part */
#define MEMO_PLACES          512 /* of header blocks that come again: 2 MiB */
/* HTTP/2 receive windows, at first and at most; together they grow by half the payload memory. */
#define STREAM_WINDOW_BYTES         (64 * 1024)
#define STREAM_WINDOW_MAX_BYTES     (1024 * 1024)
#define CONNECTION_WINDOW_BYTES     (256 * 1024)
#define CONNECTION_WINDOW_MAX_BYTES (4 * 1024 * 1024)

static struct net *create_net(struct worker *worker, const struct worker_config *config)
{
    struct net_config net = {
        .self = config->index,
        .workers = worker->workers,
        .queue_count = config->queue_count,
        .interface_count = config->interface_count,
        .neighbours_max = config->limits.neighbours,
        .wheel = &worker->wheel,
        .random = &worker->random,
        .postman = &worker->postman,
        .socket_id = config->socket_id,
    };
    for (uint8_t i = 0; i < config->queue_count; i++)
        net.queues[i] = config->queues[i];
    for (uint8_t i = 0; i < config->interface_count; i++)
        net.interfaces[i] = config->interfaces[i];
    return net_create(&net);
}

static uint32_t connections_of(const struct worker_limits *limits)
{
    return limits->client_connections + limits->upstream_connections + PROBES_MAX;
}

/* Those of clients, and one for each connection that we open. */
static uint32_t send_blocks_of(const struct worker_limits *limits)
{
    uint32_t blocks = limits->send_blocks;
    if (blocks == 0)
        blocks = worker_default_send_blocks(limits->client_connections);
    return blocks + limits->upstream_connections + PROBES_MAX;
}

static uint32_t hpack_tables_of(const struct worker_limits *limits)
{
    return limits->hpack_tables > 0 ? limits->hpack_tables
                                    : worker_default_hpack_tables(limits->client_connections);
}

static struct tcp *create_tcp(struct worker *worker, const struct worker_config *config)
{
    const struct worker_limits *limits = &config->limits;
    uint32_t connections = connections_of(limits);
    uint32_t blocks = send_blocks_of(limits);
    struct tcp_config tcp = {
        .net = worker->net,
        .wheel = &worker->wheel,
        .random = &worker->random,
        .self = config->index,
        .workers = worker->workers,
        .connections_max = connections,
        .time_wait_max = limits->time_wait,
        .spans_max = blocks * SPANS_PER_BLOCK + limits->segments * 2,
        .blocks_max = blocks,
        .reassembly_max = 4096,
        .receive_window_bytes = RECEIVE_WINDOW_BYTES,
        .send_queue_bytes = SEND_QUEUE_BYTES,
        .listeners_max = SNAPSHOT_LISTENERS_MAX,
        .connect_timeout_ns = 3 * CLOCK_S,
        .user_timeout_ns = 30 * CLOCK_S,
        .keepalive_idle_ns = 60 * CLOCK_S,
        .time_wait_ns = 30 * CLOCK_S,
        .congestion = config->congestion,
        .ecn = config->ecn,
        .secret = config->tcp_secret,
        .socket_id = config->socket_id,
    };
    return tcp_create(&tcp);
}

/*
 * Decrypted bytes wait only for clients that read nothing: a few have to be enough. And for readers
 * of answers over HTTP/1.1, which has no windows: that may be each connection that we open.
 */
static uint32_t tls_kept_of(const struct worker_limits *limits)
{
    return 64 + limits->client_connections / 256 + limits->upstream_connections;
}

/* True without TLS, too. */
static bool create_tls(struct worker *worker, const struct worker_config *config)
{
    const struct worker_limits *limits = &config->limits;
    struct tls_config tls = {
        .wheel = &worker->wheel,
        .sessions_max = limits->client_connections + limits->upstream_connections + PROBES_MAX,
        .kept_max = tls_kept_of(limits),
        .memory_bytes = limits->tls_bytes,
        .handshake_timeout_ns = limits->tls_handshake_timeout_ns,
        .key_lines_max = limits->tls_key_lines,
        .socket_id = config->socket_id,
    };
    if (limits->tls_bytes == 0)
        return true;
    worker->tls = tls_create(&tls);
    return worker->tls != NULL;
}

/*
 * What a backend may send with every request, covered by payload memory from the start: first
 * windows of all flights fill half of it. Whole segments.
 */
static uint32_t first_window_of(const struct worker_limits *limits)
{
    uint64_t segments = limits->segments / 2 / limits->flights;
    uint64_t bytes = (segments > 0 ? segments : 1) * limits->segment_bytes;
    return bytes < STREAM_WINDOW_BYTES ? (uint32_t)bytes : STREAM_WINDOW_BYTES;
}

static struct h2 *create_h2(struct worker *worker, const struct worker_config *config)
{
    const struct worker_limits *limits = &config->limits;
    uint32_t connections = connections_of(limits);
    struct h2_config h2 = {
        .wheel = &worker->wheel,
        .random = &worker->random,
        .connections_max = connections,
        .streams_max = limits->streams,
        .header_blocks_max = HEADER_BLOCKS,
        .hpack_tables_max = hpack_tables_of(limits),
        /* One a direction: what clients do must not cost us the backends. */
        .hpack_own_tables_max = 2 * (limits->upstream_connections + PROBES_MAX),
        .memo_places = MEMO_PLACES,
        .server_concurrent_streams = 100,
        .stream_window_bytes = STREAM_WINDOW_BYTES,
        .first_window_bytes = first_window_of(limits),
        .connection_window_bytes = CONNECTION_WINDOW_BYTES,
        .stream_window_max_bytes = STREAM_WINDOW_MAX_BYTES,
        .connection_window_max_bytes = CONNECTION_WINDOW_MAX_BYTES,
        .window_budget_bytes = (uint64_t)limits->segments * limits->segment_bytes / 2,
        .header_list_bytes = limits->header_bytes,
        .settings_timeout_ns = 10 * CLOCK_S,
        .idle_timeout_ns = limits->idle_timeout_ns,
        .stall_timeout_ns = limits->stall_timeout_ns,
        .preface_timeout_ns = 10 * CLOCK_S,
        .socket_id = config->socket_id,
    };
    return h2_create(&h2);
}

/* A worker's connections to backends of HTTP/1.1, and probes, begin with a flight's first window.
 */
static struct h1 *create_h1(struct worker *worker, const struct worker_config *config)
{
    const struct worker_limits *limits = &config->limits;
    struct h1_config h1 = {
        .connections_max = limits->upstream_connections + PROBES_MAX,
        .blocks_max = HTTP1_HEADS,
        .header_list_bytes = limits->header_bytes,
        .first_window_bytes = first_window_of(limits),
        .socket_id = config->socket_id,
    };
    return h1_create(&h1);
}

static struct upstream *create_upstream(struct worker *worker, const struct worker_config *config)
{
    struct upstream_config upstream = {
        .self = config->index,
        .tcp = worker->tcp,
        .tls = worker->tls,
        .h2 = worker->h2,
        .h1 = worker->h1,
        .loads = worker->loads,
        .wheel = &worker->wheel,
        .random = &worker->random,
        .connections_max = config->limits.upstream_connections,
        .backend_connections = config->limits.backend_connections,
        .http1_connections = config->limits.http1_connections,
        .waiting_max = WAITING_PER_BACKEND,
        .max_age_ns = config->limits.upstream_max_age_ns,
        .ping_timeout_ns = 5 * CLOCK_S,
        .all_look = worker_all_look,
        .context = worker,
        .socket_id = config->socket_id,
    };
    return upstream_create(&upstream);
}

static struct prober *create_prober(struct worker *worker, const struct worker_config *config)
{
    struct prober_config prober = {
        .self = config->index,
        .tcp = worker->tcp,
        .tls = worker->tls,
        .h2 = worker->h2,
        .h1 = worker->h1,
        .wheel = &worker->wheel,
        .probes_max = PROBES_MAX,
        .result = worker_probed,
        .context = worker,
        .socket_id = config->socket_id,
    };
    return prober_create(&prober);
}

static struct coalesce *create_coalesce(struct worker *worker, const struct worker_config *config)
{
    struct coalesce_config coalesce = {
        .self = config->index,
        .workers = worker->workers,
        .table = worker->shared->table,
        .postman = &worker->postman,
        .upstream = worker->upstream,
        .loads = worker->loads,
        .wheel = &worker->wheel,
        .random = &worker->random,
        .clock = &worker->clock,
        .quiescence = worker->shared->quiescence,
        .flights_max = config->limits.flights,
        .requests_max = config->limits.exchanges,
        .header_bytes = config->limits.header_bytes,
        .segments = config->limits.segments,
        .segment_bytes = config->limits.segment_bytes,
        .first_window_bytes = first_window_of(&config->limits),
        .socket_id = config->socket_id,
    };
    return coalesce_create(&coalesce);
}

static struct request_engine *create_requests(struct worker *worker,
                                              const struct worker_config *config)
{
    struct request_config requests = {
        .coalesce = worker->coalesce,
        .h2 = worker->h2,
        .wheel = &worker->wheel,
        .random = &worker->random,
        .clock = &worker->clock,
        .connections_max = config->limits.client_connections,
        .exchanges_max = config->limits.exchanges,
        .header_bytes = config->limits.header_bytes,
        .segment_bytes = config->limits.segment_bytes,
        .access_records = config->limits.access_records,
        .client_held_bytes = config->limits.client_held_bytes,
        .socket_id = config->socket_id,
    };
    return request_create(&requests);
}

static bool create_layers(struct worker *worker, const struct worker_config *config)
{
    worker->loads = memory_take("backend loads", sizeof(*worker->loads), config->socket_id);
    return worker->loads != NULL && (worker->net = create_net(worker, config)) != NULL &&
           (worker->tcp = create_tcp(worker, config)) != NULL && create_tls(worker, config) &&
           (worker->h2 = create_h2(worker, config)) != NULL &&
           (worker->h1 = create_h1(worker, config)) != NULL &&
           (worker->upstream = create_upstream(worker, config)) != NULL &&
           (worker->prober = create_prober(worker, config)) != NULL &&
           (worker->coalesce = create_coalesce(worker, config)) != NULL &&
           (worker->requests = create_requests(worker, config)) != NULL;
}

static void collect_counters(struct worker *worker)
{
    const void **layers = worker->counters.layers;
    layers[COUNTER_LAYER_WORKER] = &worker->counters.loop;
    layers[COUNTER_LAYER_NET] = net_counters(worker->net);
    layers[COUNTER_LAYER_TCP] = tcp_counters(worker->tcp);
    layers[COUNTER_LAYER_TLS] = worker->tls != NULL ? tls_counters(worker->tls) : &worker->no_tls;
    layers[COUNTER_LAYER_H2] = h2_counters(worker->h2);
    layers[COUNTER_LAYER_H1] = h1_counters(worker->h1);
    layers[COUNTER_LAYER_UPSTREAM] = upstream_counters(worker->upstream);
    layers[COUNTER_LAYER_COALESCE] = coalesce_counters(worker->coalesce);
    layers[COUNTER_LAYER_REQUEST] = request_counters(worker->requests);
    worker->counters.histograms[COUNTER_LAYER_COALESCE] = coalesce_histograms(worker->coalesce);
    worker->counters.histograms[COUNTER_LAYER_REQUEST] = request_histograms(worker->requests);
}

static bool create_rings(struct worker *worker, int socket_id)
{
    return ring_spsc_init(&worker->orders, "worker orders", WORKER_ORDER_RING, sizeof(struct order),
                          socket_id) &&
           ring_spsc_init(&worker->facts, "worker facts", WORKER_FACT_RING, sizeof(struct fact),
                          socket_id);
}

struct worker *worker_create(const struct worker_config *config)
{
    struct worker *worker = memory_take("workers", sizeof(*worker), config->socket_id);
    if (worker == NULL)
        return NULL;
    worker->index = config->index;
    worker->workers = config->shared->workers;
    worker->shared = config->shared;
    worker->idle = config->idle;
    worker->queue_count = config->queue_count;
    for (uint8_t i = 0; i < config->queue_count; i++)
        worker->queues[i] = config->queues[i];
    random_seed(&worker->random, config->random_seed);
    timer_wheel_init(&worker->wheel, config->now);
    worker->clock.turned_at_ns = config->now;
    mail_init(worker);
    if (!create_rings(worker, config->socket_id) || !create_layers(worker, config))
        return NULL;
    collect_counters(worker);
    return worker;
}
