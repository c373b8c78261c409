/*
 * The scenario tcp: our TCP on both ends. Host A connects to host B; what the applications do is
 * drawn, and so is the weather.
 */
#include "dataplane/base/clock.h"
#include "dataplane/tcp/tcp_internal.h"
#include "tests/sim/frame.h"
#include "tests/sim/lab.h"

#include <inttypes.h>
#include <string.h>

#define PAIRS_MAX  40
#define PORT       8080
#define BYTES_MAX  1500000u /* of all transfers of a run */
#define WEATHER_MS 60000u
#define CALM_NS    (1800 * CLOCK_S)
#define REST_NS    (30 * CLOCK_S)

/* A connection, both ends. */
struct pair {
    struct app client;
    struct app server;
    uint64_t start_at_ns;
    bool v6;
    bool started;
    bool accepted;
    bool is_kind; /* nobody aborts or closes early: all has to arrive */
    uint32_t iss;
    uint16_t port;
};

struct tcp_run {
    struct sim *sim;
    struct lab lab;
    uint64_t calm_at_ns;
    uint32_t stripped; /* kinds of options that somebody in the middle takes out of SYNs */
    uint32_t pair_count;
    struct pair pairs[PAIRS_MAX];
};

/* ---- what is drawn ---- */

static void draw_ends(struct sim *sim, struct pair *pair, enum app_end *client,
                      enum app_end *server)
{
    static const enum app_end unkind[] = {APP_ENDS_AFTER_SENDING, APP_ENDS_AT_ONCE, APP_ABORTS};
    pair->is_kind = !sim_one_in(sim, 3);
    *client = sim_one_in(sim, 3) ? APP_ENDS_AFTER_EOF : APP_ENDS_WHEN_DONE;
    *server = *client == APP_ENDS_WHEN_DONE && !sim_one_in(sim, 4) ? APP_ENDS_AFTER_EOF
                                                                   : APP_ENDS_WHEN_DONE;
    if (!pair->is_kind)
        *(sim_one_in(sim, 2) ? client : server) = unkind[sim_draw(sim, 0, 2)];
}

static void draw_pair(struct tcp_run *run, struct pair *pair, uint32_t id, uint32_t bytes_max)
{
    struct sim *sim = run->sim;
    enum app_end client, server;
    uint64_t there = sim_draw_log(sim, 1, bytes_max) - 1;
    uint64_t back = sim_draw_log(sim, 1, bytes_max) - 1;
    draw_ends(sim, pair, &client, &server);
    app_draw_script(sim, &pair->client.script, there, back, client);
    app_draw_script(sim, &pair->server.script, back, there, server);
    app_init(&pair->client, sim, &run->lab.hosts[0].tcp, id, true, &pair->server.half);
    app_init(&pair->server, sim, &run->lab.hosts[1].tcp, id, false, &pair->client.half);
    pair->v6 = sim_one_in(sim, 2);
    uint64_t length_ms = (run->calm_at_ns - sim->now) / CLOCK_MS;
    pair->start_at_ns = sim->now + sim_draw(sim, 0, (uint32_t)length_ms) * CLOCK_MS;
    if (sim_one_in(sim, 3))
        pair->start_at_ns = sim->now;
}

static void draw_pairs(struct tcp_run *run)
{
    run->pair_count = sim_draw_log(run->sim, 1, PAIRS_MAX);
    for (uint32_t i = 0; i < run->pair_count; i++)
        draw_pair(run, &run->pairs[i], i, BYTES_MAX / (run->pair_count + 1));
}

/* ---- accepting ---- */

/* The pair whose client made this connection: its first sequence number says so. */
static struct pair *pair_of(struct tcp_run *run, const struct tcp_conn *conn)
{
    uint32_t fin = (conn->flags & TCP_CONN_FIN_SEEN) != 0 && conn->rcv_nxt == conn->fin_at + 1;
    uint32_t iss = conn->rcv_nxt - conn->rx.bytes - 1 - fin;
    for (uint32_t i = 0; i < run->pair_count; i++) {
        struct pair *pair = &run->pairs[i];
        if (pair->started && pair->port == conn->tuple.remote_port && pair->iss == iss)
            return pair;
    }
    return NULL;
}

static void accept_event(void *context, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct tcp_run *run = context;
    struct pair *pair = pair_of(run, conn);
    sim_require(run->sim, events & TCP_OPENED);
    bool is_ghost = pair == NULL || pair->accepted;
    if (is_ghost && tcp_counters(run->lab.hosts[1].tcp.tcp)->cookies_accepted > 0) {
        tcp_abort(conn); /* an old ACK that brought its cookie once more */
        return;
    }
    if (pair == NULL)
        sim_fail(run->sim, "a connection was accepted that nobody made, from port %u",
                 conn->tuple.remote_port);
    if (pair->accepted)
        sim_fail(run->sim, "connection %u was accepted twice", pair->client.id);
    pair->accepted = true;
    app_accept(&pair->server, conn, events);
}

static const struct tcp_app accept_app = {.event = accept_event};

static void start(struct tcp_run *run, struct pair *pair)
{
    struct ip_address remote;
    sim_require(run->sim, ip_address_parse(pair->v6 ? "fd00::2" : "10.0.0.2", &remote));
    pair->started = true;
    if (!app_connect(&pair->client, &remote, PORT))
        return;
    pair->iss = pair->client.conn->snd_una;
    pair->port = pair->client.conn->tuple.local_port;
}

static void listen_everywhere(struct tcp_run *run)
{
    static const char *const addresses[] = {"10.0.0.2", "fd00::2"};
    for (int i = 0; i < 2; i++) {
        struct ip_address local;
        sim_require(run->sim, ip_address_parse(addresses[i], &local));
        sim_require(run->sim,
                    tcp_listen(run->lab.hosts[1].tcp.tcp, &local, PORT, &accept_app, run));
    }
}

/* Some firewalls do. */
static bool strip(void *context, uint16_t from, uint16_t to, uint8_t *frame, uint16_t length,
                  uint64_t now)
{
    const struct tcp_run *run = context;
    struct frame_segment segment;
    if (from == 0 && frame_read(frame, length, &segment) == FRAME_TCP &&
        (segment.flags & (FRAME_SYN | FRAME_ACK)) == FRAME_SYN)
        frame_strip_options(frame, length, run->stripped);
    return true;
}

static void draw_stripped(struct tcp_run *run)
{
    static const uint32_t kinds[] = {2, 3, 4,
                                     8}; /* MSS, window scale, SACK permitted, timestamps */
    if (!sim_one_in(run->sim, 4))
        return;
    for (int i = 0; i < 4; i++)
        if (sim_one_in(run->sim, 2))
            run->stripped |= 1u << kinds[i];
    wire_set_filter(run->lab.wire, strip, run);
}

/* ---- turns ---- */

static uint64_t next_ns(const struct tcp_run *run)
{
    uint64_t next = CLOCK_NEVER;
    for (uint32_t i = 0; i < run->pair_count; i++) {
        const struct pair *pair = &run->pairs[i];
        uint64_t client = pair->started ? app_next_ns(&pair->client) : pair->start_at_ns;
        uint64_t server = app_next_ns(&pair->server);
        next = client < next ? client : next;
        next = server < next ? server : next;
    }
    return next;
}

static void turn(struct tcp_run *run)
{
    lab_turn(&run->lab, next_ns(run));
    for (uint32_t i = 0; i < run->pair_count; i++) {
        struct pair *pair = &run->pairs[i];
        if (!pair->started && run->sim->now >= pair->start_at_ns)
            start(run, pair);
        app_turn(&pair->client);
        app_turn(&pair->server);
    }
}

static bool is_over(const struct pair *pair)
{
    return pair->started && pair->client.half.over && (!pair->accepted || pair->server.half.over);
}

static bool all_over(const struct tcp_run *run)
{
    for (uint32_t i = 0; i < run->pair_count; i++)
        if (!is_over(&run->pairs[i]))
            return false;
    return true;
}

static void complain(const struct tcp_run *run)
{
    for (uint32_t i = 0; i < run->pair_count; i++) {
        const struct pair *pair = &run->pairs[i];
        if (!is_over(pair))
            sim_fail(run->sim,
                     "connection %u does not end: client %s, sent %" PRIu64 " of %" PRIu64
                     ", received %" PRIu64 "; server %s, sent %" PRIu64 " of %" PRIu64
                     ", received %" PRIu64,
                     i, pair->client.half.over ? "over" : "open", pair->client.half.sent,
                     pair->client.script.to_send, pair->client.received,
                     pair->server.half.over ? "over" : "open", pair->server.half.sent,
                     pair->server.script.to_send, pair->server.received);
    }
    sim_fail(run->sim, "%u connections of A, %u of B are left",
             tcp_connection_count(run->lab.hosts[0].tcp.tcp),
             tcp_connection_count(run->lab.hosts[1].tcp.tcp));
}

static bool run_until_over(struct tcp_run *run, uint64_t for_ns)
{
    uint64_t end = run->sim->now + for_ns;
    while (run->sim->now < end) {
        if (all_over(run) && lab_is_empty(&run->lab))
            return true;
        turn(run);
    }
    return false;
}

/* ---- what came of it ---- */

/* Who does not close within 10 s after its peer did may be reset (tcp_close.c). */
static bool was_too_slow(const struct app_half *slow, const struct app_half *peer)
{
    return slow->failed && peer->closed &&
           slow->failed_at_ns >= peer->closed_at_ns + TCP_FIN_WAIT_2_NS;
}

/*
 * Without abort, timeout or shortage there is no excuse: everything arrives. (A peer that did not
 * answer ARP or NDP before the connection opened is one; an ACK with a cookie that got lost
 * another.)
 */
static void check_kind(const struct tcp_run *run, const struct pair *pair)
{
    const struct app *client = &pair->client;
    const struct app *server = &pair->server;
    bool is_drawn = !pair->is_kind || !run->lab.is_patient || !run->lab.is_ample;
    bool was_slow =
        was_too_slow(&client->half, &server->half) || was_too_slow(&server->half, &client->half);
    if (is_drawn || was_slow || client->failure == TCP_FAILURE_UNREACHABLE ||
        lab_accepts_badly(&run->lab.hosts[1], pair->accepted))
        return;
    bool whole =
        client->received == server->script.to_send && server->received == client->script.to_send;
    if (!whole || client->half.failed || server->half.failed)
        sim_fail(run->sim,
                 "connection %u had no reason to fail: client received %" PRIu64 " of %" PRIu64
                 "%s, server %" PRIu64 " of %" PRIu64 "%s",
                 client->id, client->received, server->script.to_send,
                 client->half.failed ? ", failed" : "", server->received, client->script.to_send,
                 server->half.failed ? ", failed" : "");
}

static void run_tcp(struct sim *sim)
{
    static struct tcp_run run;
    memset(&run, 0, sizeof(run));
    run.sim = sim;
    lab_prepare(&run.lab, sim, 2);
    lab_open(&run.lab);
    draw_stripped(&run);
    listen_everywhere(&run);
    run.calm_at_ns = sim->now + sim_draw_log(sim, 10, WEATHER_MS) * CLOCK_MS;
    draw_pairs(&run);
    while (sim->now < run.calm_at_ns && !(all_over(&run) && lab_is_empty(&run.lab)))
        turn(&run);
    lab_calm(&run.lab);
    for (uint32_t i = 0; i < run.pair_count; i++) {
        app_hurry(&run.pairs[i].client);
        app_hurry(&run.pairs[i].server);
    }
    if (!run_until_over(&run, CALM_NS))
        complain(&run);
    for (uint64_t end = sim->now + REST_NS; sim->now < end;)
        turn(&run);
    for (uint32_t i = 0; i < run.pair_count; i++)
        check_kind(&run, &run.pairs[i]);
    lab_close(&run.lab);
}

const struct sim_scenario sim_tcp = {.name = "tcp", .run = run_tcp, .seeds = 2000};
