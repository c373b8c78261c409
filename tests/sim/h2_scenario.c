/*
 * The scenario h2: clients and a server of our HTTP/2 over our TCP in bad weather. Exchanges of
 * every kind (tests/support/h2_app.h), owners that hold back credit, small windows, growing ones,
 * few streams, header blocks and places; tunnels, which a server may begin to take in mid-run;
 * windows that SETTINGS lower and raise (h2_windows.h); graceful ends from either side. h2_check.h
 * holds every frame against the RFC.
 */
#include "dataplane/base/clock.h"
#include "dataplane/h2/h2.h"
#include "dataplane/h2/h2_tcp.h"
#include "tests/sim/h2_windows.h"
#include "tests/sim/lab.h"
#include "tests/support/h2_app.h"

#include <string.h>

#define CONNS_MAX  6
#define EXCHANGES  40
#define OUR_PORT   8080
#define BODY_BYTES 4096
#define BODIES     600
/* TCP tells of room when a quarter is free: that has to be enough for the largest frame. */
#define SEND_QUEUE_LEAST 68000u
#define SEND_QUEUE_MOST  400000u
#define WEATHER_MS       20000u
#define CALM_NS          (1800 * CLOCK_S)
#define REST_NS          (30 * CLOCK_S)
#define TURN_NS          (CLOCK_MS / 2) /* while there is something to do */

struct side {
    struct h2_app app;
    struct h2_exchange exchanges[EXCHANGES];
    struct h2_windows windows;
    struct tcp_conn *tcp; /* before h2 has it */
    bool is_open;
    bool failed; /* without ever being open */
};

struct h2_run {
    struct sim *sim;
    struct lab lab;
    struct h2 *h2[LAB_HOSTS];
    struct segment_pool bodies[LAB_HOSTS];
    struct side clients[CONNS_MAX];
    struct side servers[CONNS_MAX];
    uint32_t conn_count;
    uint32_t accepted;
    uint32_t most_bytes;      /* of a body */
    uint32_t consume_percent; /* a turn */
    uint32_t shutdown_ppm;
    uint32_t window_ppm;     /* a turn */
    uint64_t connects_at_ns; /* the server takes tunnels from then on */
    uint64_t calm_at_ns;
    bool is_kind;     /* nobody aborts or shuts down */
    bool asks_within; /* new requests from inside of callbacks, too */
    uint32_t large_one_in;
    uint32_t plans;
};

static struct h2_run run;

/* ---- hosts ---- */

/* Windows, places and memory: what the checks are about. */
static void draw_config(struct sim *sim, struct h2_config *config)
{
    bool grows = sim_one_in(sim, 2);
    uint32_t stream = sim_one_in(sim, 2) ? 65535 : sim_draw_log(sim, 65535, 300000);
    *config = (struct h2_config){
        .connections_max = CONNS_MAX,
        .streams_max = sim_one_in(sim, 3) ? sim_draw(sim, 4, 40) : CONNS_MAX * EXCHANGES,
        .header_blocks_max = sim_one_in(sim, 4) ? sim_draw(sim, 0, 2) : 2 * CONNS_MAX,
        .hpack_tables_max = 2 * CONNS_MAX,
        .memo_places = 16,
        .server_concurrent_streams = sim_one_in(sim, 2) ? sim_draw_log(sim, 1, 20) : 100,
        .stream_window_bytes = stream,
        .connection_window_bytes = sim_one_in(sim, 2) ? 65535 : sim_draw_log(sim, 65535, 400000),
        .stream_window_max_bytes = grows ? 4 * stream : 0,
        .connection_window_max_bytes = grows ? 1 << 20 : 0,
        .window_budget_bytes = grows ? sim_draw_log(sim, 65536, 4 << 20) : 0,
        .header_list_bytes = 64 * 1024,
        .settings_timeout_ns = 3000 * CLOCK_S, /* the weather is to blame */
        .idle_timeout_ns = 0,
        .stall_timeout_ns = 0,
        .preface_timeout_ns = 3000 * CLOCK_S,
        .socket_id = -1,
    };
}

/* What waits has to fit, a large header block, too; losses and windows stay as they are drawn. */
static void draw_tcp(struct sim *sim, struct tcp_config *config)
{
    config->send_queue_bytes = sim_draw_log(sim, SEND_QUEUE_LEAST, SEND_QUEUE_MOST);
    config->spans_max = 4096;
    config->blocks_max = 2048;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The largest windows that either host may ever open. */
static void note_windows(struct sim *sim, const struct h2_config *config)
{
    int64_t stream = larger(config->stream_window_bytes, config->stream_window_max_bytes);
    int64_t conn = larger(config->connection_window_bytes, config->connection_window_max_bytes);
    sim->h2_stream_window = larger(sim->h2_stream_window, stream);
    sim->h2_connection_window = larger(sim->h2_connection_window, conn);
}

static void open_hosts(struct sim *sim)
{
    lab_prepare(&run.lab, sim, LAB_HOSTS);
    for (uint32_t i = 0; i < LAB_HOSTS; i++)
        draw_tcp(sim, &run.lab.hosts[i].tcp.config);
    lab_open(&run.lab);
    for (uint32_t i = 0; i < LAB_HOSTS; i++) {
        struct h2_config config;
        struct net_host *host = &run.lab.hosts[i].tcp.base;
        draw_config(sim, &config);
        note_windows(sim, &config);
        config.wheel = &host->wheel;
        config.random = &host->random;
        run.h2[i] = h2_create(&config);
        sim_require(sim, run.h2[i] != NULL);
        sim_require(sim, segment_pool_init(&run.bodies[i], "bodies", BODIES, BODY_BYTES, -1));
    }
}

static void init_side(struct side *side, uint32_t host)
{
    *side = (struct side){.app = {.h2 = run.h2[host],
                                  .segments = &run.bodies[host],
                                  .random = &run.lab.hosts[host].tcp.base.random,
                                  .exchanges = side->exchanges,
                                  .exchanges_max = EXCHANGES}};
}

/* ---- owners ---- */

static void ask(struct side *side);

/* An owner whose places are free again at once does not wait for the end of the turn. */
static struct h2_supply supply_and_ask(struct h2_stream *stream, uint32_t max, uint64_t now)
{
    struct h2_exchange *exchange = h2_stream_owner(stream);
    if (run.asks_within && exchange->is_client)
        ask((struct side *)exchange->app);
    return h2_app_handler.supply(stream, max, now);
}

static const struct h2_handler *handler(void)
{
    static struct h2_handler handler;
    handler = h2_app_handler;
    handler.supply = supply_and_ask;
    return &handler;
}

/* ---- connections ---- */

static void take_over(struct side *side, enum h2_role role, struct tcp_conn *tcp)
{
    side->tcp = NULL;
    side->app.conn =
        h2_open(side->app.h2, role, transport_tcp(tcp), handler(), &side->app, run.sim->now);
    sim_require(run.sim, side->app.conn != NULL);
    side->is_open = true;
}

static void on_event(void *context, struct tcp_conn *tcp, uint32_t events, uint64_t now)
{
    struct side *side = context;
    if (!side->is_open && (events & TCP_FAILED) != 0) {
        tcp_abort(tcp);
        side->tcp = NULL;
        side->failed = true;
        return;
    }
    if (!side->is_open)
        take_over(side, H2_CLIENT, tcp);
    if ((events & ~(uint32_t)TCP_OPENED) != 0)
        h2_tcp_event(side->app.conn, events, now);
}

static const struct tcp_app connection_app = {.event = on_event};

static void on_accept(void *context, struct tcp_conn *tcp, uint32_t events, uint64_t now)
{
    if ((events & TCP_FAILED) != 0 || run.accepted == CONNS_MAX) {
        tcp_abort(tcp);
        return;
    }
    struct side *side = &run.servers[run.accepted++];
    tcp_set_app(tcp, &connection_app, side);
    take_over(side, H2_SERVER, tcp);
    if ((events & ~(uint32_t)TCP_OPENED) != 0)
        on_event(side, tcp, events, now);
}

static const struct tcp_app accept_app = {.event = on_accept};

static void connect_all(struct sim *sim)
{
    struct ip_address address;
    bool v6 = sim_one_in(sim, 2);
    sim_require(sim, ip_address_parse(v6 ? "fd00::2" : "10.0.0.2", &address));
    sim_require(sim, tcp_listen(run.lab.hosts[1].tcp.tcp, &address, OUR_PORT, &accept_app, NULL));
    for (uint32_t i = 0; i < run.conn_count; i++) {
        struct side *side = &run.clients[i];
        side->tcp = tcp_connect(run.lab.hosts[0].tcp.tcp, &address, OUR_PORT, &connection_app, side,
                                sim->now);
        side->failed = side->tcp == NULL;
    }
}

/* ---- exchanges ---- */

static uint32_t draw_bytes(struct sim *sim)
{
    return sim_one_in(sim, 3) ? 0 : sim_draw_log(sim, 1, run.most_bytes);
}

/* RFC 8441: nothing but DATA, in both directions at once. */
static struct h2_plan draw_tunnel(struct sim *sim)
{
    return (struct h2_plan){
        .seed = ++run.plans,
        .request_bytes = draw_bytes(sim),
        .response_bytes = draw_bytes(sim),
        .server_resets = sim_one_in(sim, 6),
        .client_resets = sim_one_in(sim, 6),
        .early = true,
        .tunnel = true,
    };
}

static struct h2_plan draw_plan(struct sim *sim)
{
    return (struct h2_plan){
        .seed = ++run.plans,
        .request_bytes = draw_bytes(sim),
        .response_bytes = draw_bytes(sim),
        .request_trailers = sim_one_in(sim, 3),
        .response_trailers = sim_one_in(sim, 3),
        .interim = sim_one_in(sim, 4),
        .large_headers = sim_one_in(sim, run.large_one_in),
        .server_resets = sim_one_in(sim, 6),
        .client_resets = sim_one_in(sim, 6),
        .head = sim_one_in(sim, 10),
        .early = sim_one_in(sim, 5),
    };
}

static void ask(struct side *side)
{
    while (side->app.conn != NULL && side->app.exchange_count < EXCHANGES &&
           h2_request_room(side->app.conn) > 0) {
        bool tunnel = h2_peer_connects(side->app.conn) && sim_one_in(run.sim, 4);
        struct h2_plan plan = tunnel ? draw_tunnel(run.sim) : draw_plan(run.sim);
        (void)h2_app_request(&side->app, &plan, run.sim->now);
    }
}

static void maybe_end(struct side *side)
{
    struct sim *sim = run.sim;
    if (side->app.conn == NULL || sim_draw(sim, 1, 1000000) > run.shutdown_ppm)
        return;
    if (sim_one_in(sim, 3))
        h2_transport_ended(side->app.conn, true, sim->now);
    else
        h2_shutdown(side->app.conn, sim->now);
}

/* Its owner holds credit back, and will give some of it soon. */
static bool is_busy(const struct side *side)
{
    bool holds = false;
    for (uint32_t i = 0; i < side->app.exchange_count; i++)
        holds |= side->exchanges[i].stream != NULL && side->exchanges[i].unconsumed_bytes > 0;
    return side->app.conn != NULL && holds;
}

/* A client has asked for all it wants and has its answers. */
static bool is_done(const struct side *side)
{
    if (side->app.conn == NULL)
        return side->is_open || side->failed;
    return side->app.exchange_count == EXCHANGES && h2_app_open_count(&side->app) == 0;
}

static bool all_done(void)
{
    for (uint32_t i = 0; i < run.conn_count; i++)
        if (!is_done(&run.clients[i]))
            return false;
    return true;
}

/* Of COUNT sides; owners do their part. */
static bool turn_sides(struct side *sides, uint32_t count, bool asks)
{
    bool busy = false;
    for (uint32_t i = 0; i < count; i++) {
        struct side *side = &sides[i];
        if (asks)
            ask(side);
        h2_app_consume(&side->app, run.consume_percent);
        maybe_end(side);
        if (run.window_ppm > 0)
            h2_windows_maybe_lower(&side->windows, side->app.conn, run.sim, run.window_ppm);
        else
            h2_windows_restore(&side->windows, side->app.conn);
        busy |= is_busy(side);
    }
    return busy;
}

static void turn(bool asks)
{
    h2_announce_connect(run.h2[1], run.sim->now >= run.connects_at_ns);
    bool busy = turn_sides(run.clients, run.conn_count, asks);
    busy |= turn_sides(run.servers, run.accepted, false);
    for (uint32_t i = 0; i < LAB_HOSTS; i++)
        h2_flush(run.h2[i], run.sim->now);
    lab_turn(&run.lab, busy ? run.sim->now + TURN_NS : CLOCK_NEVER);
}

/* ---- what came of it ---- */

static void complain(void)
{
    for (uint32_t i = 0; i < run.conn_count; i++) {
        const struct side *client = &run.clients[i];
        if (is_done(client))
            continue;
        for (uint32_t j = 0; j < client->app.exchange_count; j++) {
            const struct h2_exchange *exchange = &client->exchanges[j];
            if (exchange->outcome == H2_OUTCOME_OPEN)
                sim_fail(
                    run.sim,
                    "connection %u, exchange %u does not end: sent %u of %u, received %u of %u", i,
                    j, exchange->sent_bytes, exchange->plan.request_bytes, exchange->received_bytes,
                    exchange->plan.response_bytes);
        }
        sim_fail(run.sim, "connection %u: %u exchanges were begun", i, client->app.exchange_count);
    }
}

static bool may_end_early(const struct h2_plan *plan)
{
    return plan->client_resets || plan->server_resets;
}

/* Nobody had a reason to fail: all is there, byte for byte (h2_app.c compares). */
static void check_whole(const struct side *side)
{
    for (uint32_t i = 0; i < side->app.exchange_count; i++) {
        const struct h2_exchange *exchange = &side->exchanges[i];
        uint32_t wanted = exchange->plan.head ? 0 : exchange->plan.response_bytes;
        if (may_end_early(&exchange->plan))
            continue;
        if (exchange->outcome != H2_OUTCOME_FINISHED || exchange->received_bytes != wanted)
            sim_fail(run.sim, "exchange %u: outcome %d, received %u of %u", i, exchange->outcome,
                     exchange->received_bytes, wanted);
    }
}

static void hash_sides(struct sim *sim)
{
    for (uint32_t i = 0; i < run.conn_count; i++) {
        sim_hash(sim, run.clients[i].app.exchange_count);
        for (uint32_t j = 0; j < run.clients[i].app.exchange_count; j++)
            sim_hash(sim, (uint64_t)run.clients[i].exchanges[j].outcome << 32 |
                              run.clients[i].exchanges[j].received_bytes);
    }
    sim_hash(sim, sim->h2_frames);
}

static bool has_ample_h2(void)
{
    for (uint32_t i = 0; i < LAB_HOSTS; i++) {
        const struct h2_counters *counters = h2_counters(run.h2[i]);
        if (counters->streams_exhausted + counters->streams_exceeded +
                counters->header_blocks_exhausted + counters->header_block_evicted +
                counters->section_no_memory + counters->sends_starved +
                counters->header_memory_exceeded >
            0)
            return false;
    }
    return true;
}

static void check_ends(void)
{
    bool is_good = run.is_kind && run.lab.is_patient && run.lab.is_ample && has_ample_h2();
    for (uint32_t i = 0; i < run.conn_count; i++) {
        const struct side *client = &run.clients[i];
        bool excused = !is_good || !client->is_open || client->app.conn == NULL ||
                       lab_accepts_badly(&run.lab.hosts[1], true);
        if (!excused)
            check_whole(client);
    }
}

/* ---- the run ---- */

static void leave(void)
{
    for (uint32_t i = 0; i < run.conn_count; i++)
        if (run.clients[i].app.conn != NULL)
            h2_close(run.clients[i].app.conn, H2_NO_ERROR, run.sim->now);
}

static bool all_gone(void)
{
    for (uint32_t i = 0; i < run.accepted; i++)
        if (run.servers[i].app.conn != NULL)
            return false;
    return lab_is_empty(&run.lab);
}

static void rest(uint64_t for_ns, bool until_gone)
{
    for (uint64_t end = run.sim->now + for_ns; run.sim->now < end;) {
        if (until_gone && all_gone())
            return;
        turn(false);
    }
    if (until_gone)
        sim_fail(run.sim, "connections are left");
}

static void close_all(struct sim *sim)
{
    for (uint32_t i = 0; i < CONNS_MAX; i++) {
        h2_app_release(&run.clients[i].app);
        h2_app_release(&run.servers[i].app);
    }
    rest(REST_NS, false);
    for (uint32_t i = 0; i < LAB_HOSTS; i++)
        if (h2_objects_used(run.h2[i]) + pool_used(&run.bodies[i].segments) != 0)
            sim_fail(sim, "host %u: objects are still in use", i);
    lab_close(&run.lab);
}

static void run_h2(struct sim *sim)
{
    memset(&run, 0, sizeof(run));
    run.sim = sim;
    open_hosts(sim);
    run.conn_count = sim_draw_log(sim, 1, CONNS_MAX);
    run.most_bytes = sim_draw_log(sim, 1000, 400000) / run.conn_count;
    run.consume_percent = sim_one_in(sim, 2) ? 100 : sim_draw(sim, 5, 99);
    run.is_kind = !sim_one_in(sim, 3);
    run.asks_within = sim_one_in(sim, 2);
    run.large_one_in = sim_one_in(sim, 3) ? 2 : 10;
    run.shutdown_ppm = run.is_kind ? 0 : sim_draw_log(sim, 10, 3000);
    run.window_ppm = sim_one_in(sim, 2) ? sim_draw_log(sim, 100, 30000) : 0;
    run.calm_at_ns = sim->now + sim_draw_log(sim, 10, WEATHER_MS) * CLOCK_MS;
    run.connects_at_ns =
        sim_one_in(sim, 2) ? sim->now : sim->now + sim_draw_log(sim, 1, WEATHER_MS) * CLOCK_MS;
    for (uint32_t i = 0; i < CONNS_MAX; i++) {
        init_side(&run.clients[i], 0);
        init_side(&run.servers[i], 1);
    }
    connect_all(sim);
    while (sim->now < run.calm_at_ns && !all_done())
        turn(true);
    lab_calm(&run.lab);
    run.consume_percent = 100;
    run.shutdown_ppm = 0;
    run.window_ppm = 0;
    for (uint64_t end = sim->now + CALM_NS; !all_done();) {
        if (sim->now >= end)
            complain();
        turn(true);
    }
    check_ends();
    leave();
    rest(CALM_NS, true);
    hash_sides(sim);
    close_all(sim);
}

const struct sim_scenario sim_h2 = {.name = "h2", .run = run_h2, .seeds = 300};
