/*
 * The scenario peer: our TCP at host A, and the reference peer at the other end, each connecting to
 * the other.
 */
#include "dataplane/base/clock.h"
#include "dataplane/tcp/tcp_internal.h"
#include "tests/sim/lab.h"
#include "tests/sim/reference_peer.h"

#include <inttypes.h>
#include <string.h>

#define PAIRS_MAX       24
#define OUR_PORT        8080
#define FIRST_THEIRS    9000 /* a port for each connection we open */
#define FIRST_EPHEMERAL 20000
#define BYTES_MAX       400000u
#define WEATHER_MS      40000u
#define CALM_NS         (1800 * CLOCK_S)
#define REST_NS         (30 * CLOCK_S)

struct peer_pair {
    struct app app;
    struct reference_conn peer;
    bool we_connect;
    bool v6;
    bool started;
    bool accepted; /* the app has a connection, or had one */
    bool is_kind;
    uint16_t peer_port;
    uint64_t start_at_ns;
};

struct peer_run {
    struct sim *sim;
    struct lab lab;
    struct reference_link link;
    uint64_t calm_at_ns;
    uint32_t pair_count;
    struct peer_pair pairs[PAIRS_MAX];
};

/* ---- what is drawn ---- */

static void draw_ends(struct sim *sim, struct peer_pair *pair, enum app_end *app,
                      enum app_end *peer)
{
    static const enum app_end unkind[] = {APP_ENDS_AFTER_SENDING, APP_ENDS_AT_ONCE, APP_ABORTS};
    pair->is_kind = !sim_one_in(sim, 3);
    *app = sim_one_in(sim, 2) ? APP_ENDS_AFTER_EOF : APP_ENDS_WHEN_DONE;
    *peer =
        *app == APP_ENDS_WHEN_DONE && !sim_one_in(sim, 4) ? APP_ENDS_AFTER_EOF : APP_ENDS_WHEN_DONE;
    if (*app == APP_ENDS_AFTER_EOF && sim_one_in(sim, 2))
        *peer = APP_ENDS_AFTER_SENDING; /* a half close: it goes on reading */
    if (!pair->is_kind)
        *(sim_one_in(sim, 2) ? app : peer) = unkind[sim_draw(sim, 0, 2)];
}

static void draw_pair(struct peer_run *run, uint32_t id, uint32_t bytes_max)
{
    struct sim *sim = run->sim;
    struct peer_pair *pair = &run->pairs[id];
    enum app_end app, peer;
    uint64_t ours = sim_draw_log(sim, 1, bytes_max) - 1;
    uint64_t theirs = sim_draw_log(sim, 1, bytes_max) - 1;
    draw_ends(sim, pair, &app, &peer);
    pair->we_connect = sim_one_in(sim, 2);
    pair->v6 = sim_one_in(sim, 2);
    reference_draw_script(sim, &pair->peer.script, theirs, ours, peer);
    app_draw_script(sim, &pair->app.script, ours, pair->peer.script.to_send, app);
    app_init(&pair->app, sim, &run->lab.hosts[0].tcp, id, pair->we_connect, &pair->peer.half);
    reference_init(&pair->peer, sim, &run->link, id, !pair->we_connect, &pair->app.half);
    pair->peer.v6 = pair->v6;
    pair->peer_port = (uint16_t)(pair->we_connect ? FIRST_THEIRS + id : FIRST_EPHEMERAL + id);
    pair->start_at_ns = sim->now;
    if (!sim_one_in(sim, 3))
        pair->start_at_ns +=
            sim_draw(sim, 0, (uint32_t)((run->calm_at_ns - sim->now) / CLOCK_MS)) * CLOCK_MS;
}

/* ---- opening ---- */

static struct peer_pair *pair_at(struct peer_run *run, uint16_t peer_port)
{
    for (uint32_t i = 0; i < run->pair_count; i++)
        if (run->pairs[i].peer_port == peer_port)
            return &run->pairs[i];
    return NULL;
}

static void accept_event(void *context, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct peer_run *run = context;
    struct peer_pair *pair = pair_at(run, conn->tuple.remote_port);
    sim_require(run->sim, events & TCP_OPENED);
    bool is_ghost = pair != NULL && !pair->we_connect && pair->accepted;
    if (is_ghost && tcp_counters(run->lab.hosts[0].tcp.tcp)->cookies_accepted > 0) {
        tcp_abort(conn); /* an old ACK that brought its cookie once more */
        return;
    }
    if (pair == NULL || pair->we_connect || pair->accepted)
        sim_fail(run->sim, "a connection was accepted that nobody made, from port %u",
                 conn->tuple.remote_port);
    pair->accepted = true;
    app_accept(&pair->app, conn, events);
}

static const struct tcp_app accept_app = {.event = accept_event};

static void listen_everywhere(struct peer_run *run)
{
    static const char *const addresses[] = {"10.0.0.1", "fd00::1"};
    for (int i = 0; i < 2; i++) {
        struct ip_address local;
        sim_require(run->sim, ip_address_parse(addresses[i], &local));
        sim_require(run->sim,
                    tcp_listen(run->lab.hosts[0].tcp.tcp, &local, OUR_PORT, &accept_app, run));
    }
}

static void start(struct peer_run *run, struct peer_pair *pair)
{
    struct ip_address remote;
    pair->started = true;
    if (!pair->we_connect) {
        reference_connect(&pair->peer, pair->peer_port, OUR_PORT);
        return;
    }
    pair->accepted = true;
    sim_require(run->sim, ip_address_parse(pair->v6 ? "fd00::2" : "10.0.0.2", &remote));
    if (!app_connect(&pair->app, &remote, pair->peer_port))
        pair->peer.half.over = true; /* nobody will ever come */
}

/* ---- turns ---- */

static void peer_receive(struct peer_run *run)
{
    struct frame_segment segment;
    while (reference_link_take(&run->link, &segment)) {
        struct peer_pair *pair = pair_at(run, segment.to.port);
        bool is_known = pair != NULL && pair->started && segment.v6 == pair->v6 &&
                        (pair->peer.their_port == 0 || pair->peer.their_port == segment.from.port);
        if (is_known)
            reference_in(&pair->peer, &segment);
        else
            reference_refuse(&run->link, &segment);
    }
}

static uint64_t next_ns(const struct peer_run *run)
{
    uint64_t next = CLOCK_NEVER;
    for (uint32_t i = 0; i < run->pair_count; i++) {
        const struct peer_pair *pair = &run->pairs[i];
        uint64_t app = pair->started ? app_next_ns(&pair->app) : pair->start_at_ns;
        uint64_t peer = reference_next_ns(&pair->peer);
        next = app < next ? app : next;
        next = peer < next ? peer : next;
    }
    return next;
}

static void turn(struct peer_run *run)
{
    lab_turn(&run->lab, next_ns(run));
    peer_receive(run);
    for (uint32_t i = 0; i < run->pair_count; i++) {
        struct peer_pair *pair = &run->pairs[i];
        if (!pair->started && run->sim->now >= pair->start_at_ns)
            start(run, pair);
        app_turn(&pair->app);
        reference_turn(&pair->peer);
    }
}

/* A peer that still waits for a SYN of ours that is given up has nothing to do. */
static bool is_over(const struct peer_pair *pair)
{
    bool app_over = pair->accepted ? pair->app.half.over : pair->peer.half.over;
    bool nobody_comes = pair->peer.state == REFERENCE_WAITS && pair->app.half.over;
    return pair->started && app_over && (pair->peer.half.over || nobody_comes);
}

static bool all_over(const struct peer_run *run)
{
    for (uint32_t i = 0; i < run->pair_count; i++)
        if (!is_over(&run->pairs[i]))
            return false;
    return lab_is_empty(&run->lab);
}

static void complain(const struct peer_run *run)
{
    for (uint32_t i = 0; i < run->pair_count; i++) {
        const struct peer_pair *pair = &run->pairs[i];
        if (!is_over(pair))
            sim_fail(run->sim,
                     "connection %u does not end: ours %s, sent %" PRIu64 " of %" PRIu64
                     ", received %" PRIu64 " of %" PRIu64 "; peer in state %d, una %u, rcv %u",
                     i, pair->app.half.over ? "over" : "open", pair->app.half.sent,
                     pair->app.script.to_send, pair->app.received, pair->peer.script.to_send,
                     pair->peer.state, pair->peer.una, pair->peer.rcv);
    }
    sim_fail(run->sim, "%u connections are left", tcp_connection_count(run->lab.hosts[0].tcp.tcp));
}

/* ---- what came of it ---- */

/* Who does not close within 10 s after its peer did may be reset (tcp_close.c). */
static bool was_too_slow(const struct peer_pair *pair)
{
    return pair->peer.half.failed && pair->app.half.closed &&
           pair->peer.half.failed_at_ns >= pair->app.half.closed_at_ns + TCP_FIN_WAIT_2_NS;
}

/*
 * TIME_WAIT is short here, and its places are few: a last FIN that was sent again after it is
 * answered with RST.
 */
static bool was_done(const struct peer_run *run, const struct peer_pair *pair)
{
    const struct tcp_host *host = &run->lab.hosts[0].tcp;
    const struct reference_conn *peer = &pair->peer;
    bool is_after =
        peer->half.failed_at_ns >= pair->app.half.closed_at_ns + host->config.time_wait_ns ||
        tcp_counters(host->tcp)->time_wait_evicted > 0;
    return is_after && pair->app.half.closed && peer->half.failed &&
           peer->una > peer->script.to_send && peer->rcv == pair->app.half.sent + 2;
}

static void check_kind(const struct peer_run *run, const struct peer_pair *pair)
{
    const struct app *app = &pair->app;
    const struct reference_conn *peer = &pair->peer;
    bool is_drawn = !pair->is_kind || !run->lab.is_patient || !run->lab.is_ample;
    bool was_slow = was_too_slow(pair) || was_done(run, pair);
    if (is_drawn || was_slow || app->failure == TCP_FAILURE_UNREACHABLE ||
        lab_accepts_badly(&run->lab.hosts[0], pair->accepted))
        return;
    bool whole = app->received == peer->script.to_send && peer->rcv == app->script.to_send + 2 &&
                 peer->una == peer->script.to_send + 2;
    if (!whole || app->half.failed || peer->half.failed)
        sim_fail(run->sim,
                 "connection %u had no reason to fail: ours received %" PRIu64 " of %" PRIu64
                 "%s, peer acknowledged %u of %" PRIu64 "%s",
                 app->id, app->received, peer->script.to_send, app->half.failed ? ", failed" : "",
                 peer->rcv, app->script.to_send + 2, peer->half.failed ? ", failed" : "");
}

static void calm(struct peer_run *run)
{
    lab_calm(&run->lab);
    for (uint32_t i = 0; i < run->pair_count; i++) {
        app_hurry(&run->pairs[i].app);
        reference_calm(&run->pairs[i].peer);
    }
}

static void run_peer(struct sim *sim)
{
    static struct peer_run run;
    memset(&run, 0, sizeof(run));
    run.sim = sim;
    lab_prepare(&run.lab, sim, 1);
    reference_link_init(&run.link, sim, run.lab.wire);
    lab_open(&run.lab);
    listen_everywhere(&run);
    run.calm_at_ns = sim->now + sim_draw_log(sim, 10, WEATHER_MS) * CLOCK_MS;
    run.pair_count = sim_draw_log(sim, 1, PAIRS_MAX);
    for (uint32_t i = 0; i < run.pair_count; i++)
        draw_pair(&run, i, BYTES_MAX / (run.pair_count + 1));
    while (sim->now < run.calm_at_ns && !all_over(&run))
        turn(&run);
    calm(&run);
    for (uint64_t end = sim->now + CALM_NS; !all_over(&run);) {
        if (sim->now >= end)
            complain(&run);
        turn(&run);
    }
    for (uint64_t end = sim->now + REST_NS; sim->now < end;)
        turn(&run);
    for (uint32_t i = 0; i < run.pair_count; i++)
        check_kind(&run, &run.pairs[i]);
    lab_close(&run.lab);
}

const struct sim_scenario sim_peer = {.name = "peer", .run = run_peer, .seeds = 2000};
