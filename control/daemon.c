/*
 * daemon: the life of the process. Start bottom up, run the loop, drain, stop top down.
 *
 * Timers: `facts` drains the workers' rings every 1 ms while they bring something and every 10 ms
 * otherwise; `observe` sums the workers' backend loads every 100 ms; `drain` bounds the drain;
 * `cookies` looks every 5 s whether the secret of SYN cookies or the wall clock has changed;
 * `steer` goes on every 1 ms with a change of the steering programs' deny lists.
 */
#include "control/daemon.h"

#include "control/access.h"
#include "control/eal_start.h"
#include "control/key_log.h"
#include "control/log.h"
#include "control/metrics.h"
#include "control/ports.h"
#include "control/privileges.h"
#include "control/publisher.h"
#include "control/socket.h"
#include "control/unmap.h"
#include "control/worker_limits.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"

#include <errno.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_rcu_qsbr.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define FACTS_BUSY_NS (1 * CLOCK_MS)
#define FACTS_IDLE_NS (10 * CLOCK_MS)
/* Of all workers together, in equal parts: no turn takes longer for there being many. */
#define FACTS_A_TURN     1024
#define RECORDS_A_TURN   4096
#define KEY_LINES_A_TURN 4096
#define OBSERVE_NS       (100 * CLOCK_MS)
#define COOKIES_NS       (5 * CLOCK_S)
#define STEER_NS         (1 * CLOCK_MS)
#define LISTING_WAIT_NS  (1 * CLOCK_S)
#define MESSAGE_BYTES    512

/* A flight.list under way. */
struct listing {
    daemon_show_flight *show;
    daemon_end_flights *end;
    void *context;
    uint32_t token;
    uint32_t waiting_for; /* workers that have not answered yet; 0: no listing */
    struct loop_timer *timeout;
};

struct daemon {
    struct config *config;
    const char *config_path;
    struct loop *loop;
    struct ports ports;
    struct worker_shared shared;
    struct publisher *publisher;
    struct failover *failover;
    struct access *access;
    struct key_log *key_log; /* NULL: nobody asks for it */
    struct metrics *metrics;
    struct socket_server *socket;
    struct loop_timer *facts_timer;
    struct loop_timer *observe_timer;
    struct loop_timer *drain_timer;
    struct loop_timer *cookies_timer;
    struct loop_timer *steer_timer;
    struct cookie_secrets cookie_secrets;
    int signal_fd;
    bool draining;         /* and then the process ends */
    bool resting;          /* drained by an operator, until undrained */
    uint32_t drained_from; /* the snapshot that began it */
    bool drained[NET_WORKERS_MAX];
    uint32_t stopped_workers;
    uint32_t probe_worker; /* takes the next probe */
    uint64_t started_unix_ms;
    struct listing listing;
    struct backend_loads sums;
};

const struct config *daemon_config(const struct daemon *daemon)
{
    return daemon->config;
}

const char *daemon_config_path(const struct daemon *daemon)
{
    return daemon->config_path;
}

struct failover *daemon_failover(struct daemon *daemon)
{
    return daemon->failover;
}

struct loop *daemon_loop(struct daemon *daemon)
{
    return daemon->loop;
}

bool daemon_is_draining(const struct daemon *daemon)
{
    return daemon->draining || daemon->resting;
}

uint64_t daemon_started_unix_ms(const struct daemon *daemon)
{
    return daemon->started_unix_ms;
}

uint64_t daemon_snapshot_generation(const struct daemon *daemon)
{
    return publisher_generation(daemon->publisher);
}

uint32_t daemon_worker_count(const struct daemon *daemon)
{
    return daemon->shared.workers;
}

const struct worker *daemon_worker(const struct daemon *daemon, uint32_t index)
{
    return daemon->shared.members[index];
}

uint32_t daemon_port_count(const struct daemon *daemon)
{
    return daemon->ports.count;
}

const struct port *daemon_port(const struct daemon *daemon, uint32_t index)
{
    return &daemon->ports.ports[index];
}

bool daemon_port_steering(const struct daemon *daemon, uint32_t index,
                          void (*show)(void *context, const char *name, uint64_t value),
                          void *context)
{
    uint64_t values[STEER_COUNTERS];
    char message[MESSAGE_BYTES];
    struct steer *steer = daemon->ports.steers[index];
    if (steer == NULL || steer_counters(steer, values, message, sizeof(message)) != 0)
        return false;
    for (int i = 0; i < STEER_COUNTERS; i++)
        show(context, steer_counter_name((enum steer_counter)i), values[i]);
    return true;
}

static void publish(struct daemon *daemon)
{
    if (!publisher_publish(daemon->publisher, daemon->config, daemon->failover,
                           &daemon->cookie_secrets, daemon_is_draining(daemon)))
        log_line(LOG_LEVEL_ERROR, "no memory for a snapshot: the workers keep the last one");
}

static bool refresh_cookies(struct daemon *daemon)
{
    return cookie_secrets_refresh(&daemon->cookie_secrets, daemon->config->tcp.cookie_secret_file,
                                  clock_now_ns());
}

static void look_after_cookies(void *context, uint64_t now_ns)
{
    struct daemon *daemon = context;
    if (refresh_cookies(daemon))
        publish(daemon);
    loop_timer_at(daemon->cookies_timer, now_ns + COOKIES_NS);
}

static void steer_more(void *context, uint64_t now_ns)
{
    struct daemon *daemon = context;
    if (ports_steer_more(&daemon->ports))
        loop_timer_at(daemon->steer_timer, now_ns + STEER_NS);
}

bool daemon_apply(struct daemon *daemon, struct config *config, char *message, size_t message_size)
{
    if (!metrics_listen(daemon->metrics, config->metrics.listen, message, message_size))
        return false;
    if (ports_steer_begin(&daemon->ports, config, message, message_size) != 0) {
        char ignored[MESSAGE_BYTES];
        (void)metrics_listen(daemon->metrics, daemon->config->metrics.listen, ignored,
                             sizeof(ignored));
        return false;
    }
    loop_timer_at(daemon->steer_timer, loop_now_ns(daemon->loop));
    struct config *old = daemon->config;
    daemon->config = config;
    (void)refresh_cookies(daemon);
    failover_apply(daemon->failover, config);
    access_apply(daemon->access, config);
    publish(daemon);
    config_free(old);
    log_line(LOG_LEVEL_INFO, "configuration applied, snapshot %lu",
             daemon_snapshot_generation(daemon));
    return true;
}

void daemon_reopen_logs(struct daemon *daemon)
{
    int error = log_reopen();
    access_reopen(daemon->access);
    key_log_reopen(daemon->key_log);
    if (error != 0)
        log_line(LOG_LEVEL_ERROR, "log_file: %s: lines go to the old one", strerror(-error));
    else
        log_line(LOG_LEVEL_INFO, "logs reopened");
}

struct access_file_counts daemon_access_counts(const struct daemon *daemon)
{
    return access_counts(daemon->access);
}

struct access_file_counts daemon_key_log_counts(const struct daemon *daemon)
{
    return key_log_counts(daemon->key_log);
}

/* What failover asks of us. */

static bool host_probe(void *context, const struct probe_order *probe)
{
    struct daemon *daemon = context;
    struct order order = {.kind = ORDER_PROBE, .probe = *probe};
    uint32_t worker = daemon->probe_worker++ % daemon->shared.workers;
    return worker_order(daemon->shared.members[worker], &order);
}

static void host_changed(void *context)
{
    publish(context);
}

static void host_event(void *context, const char *text)
{
    log_line(LOG_LEVEL_INFO, "%s", text);
}

static void resumed(void *context, uint64_t absent_for_ns)
{
    struct daemon *daemon = context;
    failover_resumed(daemon->failover, absent_for_ns);
}

/* Listing flights. */

static void listing_end(struct daemon *daemon, bool complete)
{
    void (*end)(void *, bool) = daemon->listing.end;
    void *context = daemon->listing.context;
    daemon->listing.waiting_for = 0;
    daemon->listing.end = NULL;
    daemon->listing.show = NULL;
    loop_timer_stop(daemon->listing.timeout);
    if (end != NULL)
        end(context, complete);
}

static void listing_timeout(void *context, uint64_t now_ns)
{
    listing_end(context, false);
}

/* Send ORDER to COUNT workers from FIRST on, whose answers SHOW and END get. False: one is under
 * way. */
static bool listing_begin(struct daemon *daemon, struct order order, uint32_t first, uint32_t count,
                          daemon_show_flight *show, daemon_end_flights *end, void *context)
{
    struct listing *listing = &daemon->listing;
    if (listing->waiting_for > 0)
        return false;
    listing->show = show;
    listing->end = end;
    listing->context = context;
    listing->waiting_for = count;
    order.token = ++listing->token;
    for (uint32_t i = 0; i < count; i++) /* refused: the timeout tells */
        (void)worker_order(daemon->shared.members[first + i], &order);
    loop_timer_at(listing->timeout, loop_now_ns(daemon->loop) + LISTING_WAIT_NS);
    return true;
}

bool daemon_list_flights(struct daemon *daemon, daemon_show_flight *show, daemon_end_flights *end,
                         void *context)
{
    struct order order = {.kind = ORDER_FLIGHT_LIST};
    return listing_begin(daemon, order, 0, daemon->shared.workers, show, end, context);
}

bool daemon_kill_flight(struct daemon *daemon, uint32_t worker, uint64_t flight,
                        daemon_show_flight *show, daemon_end_flights *end, void *context)
{
    struct order order = {.kind = ORDER_FLIGHT_KILL, .flight = flight};
    return listing_begin(daemon, order, worker, 1, show, end, context);
}

void daemon_forget_flights(struct daemon *daemon, void *context)
{
    if (daemon->listing.context != context)
        return;
    daemon->listing.show = NULL;
    daemon->listing.end = NULL;
}

static void listing_fact(struct daemon *daemon, const struct fact *fact)
{
    struct listing *listing = &daemon->listing;
    if (listing->waiting_for == 0 || fact->token != listing->token)
        return;
    if (fact->kind == FACT_FLIGHT) {
        if (listing->show != NULL)
            listing->show(listing->context, fact->worker, &fact->flight);
        return;
    }
    if (--listing->waiting_for == 0)
        listing_end(daemon, true);
}

/* Facts from the workers. */

static void stop_workers(struct daemon *daemon)
{
    struct order order = {.kind = ORDER_STOP};
    for (uint32_t i = 0; i < daemon->shared.workers; i++)
        if (daemon->shared.members[i] != NULL) /* at the start there may not be memory for all */
            (void)worker_order(daemon->shared.members[i], &order);
}

static void stop_if_drained(struct daemon *daemon)
{
    for (uint32_t i = 0; i < daemon->shared.workers; i++)
        if (!daemon->drained[i])
            return;
    if (daemon->draining)
        stop_workers(daemon);
}

static void take_fact(struct daemon *daemon, const struct fact *fact)
{
    switch ((enum fact_kind)fact->kind) {
    case FACT_PROBED:
        failover_probed(daemon->failover, &fact->probed);
        return;
    case FACT_FLIGHT:
    case FACT_FLIGHT_END:
        listing_fact(daemon, fact);
        return;
    case FACT_DRAINED:
        if (fact->token < daemon->drained_from)
            return; /* of a drain before */
        daemon->drained[fact->worker] = true;
        stop_if_drained(daemon);
        return;
    case FACT_STOPPED:
        if (++daemon->stopped_workers == daemon->shared.workers)
            loop_stop(daemon->loop);
        return;
    }
}

static uint32_t take_facts_of(struct daemon *daemon, uint16_t index)
{
    struct worker *worker = daemon->shared.members[index];
    uint32_t workers = daemon->shared.workers;
    uint32_t taken = 0;
    struct fact fact;
    for (; taken < FACTS_A_TURN / workers && worker_fact(worker, &fact); taken++)
        take_fact(daemon, &fact);
    taken += access_take(daemon->access, index, worker, RECORDS_A_TURN / workers);
    return taken + key_log_take(daemon->key_log, worker, KEY_LINES_A_TURN / workers);
}

static void take_facts(void *context, uint64_t now_ns)
{
    struct daemon *daemon = context;
    uint32_t taken = 0;
    for (uint32_t i = 0; i < daemon->shared.workers; i++)
        taken += take_facts_of(daemon, (uint16_t)i);
    publisher_reclaim(daemon->publisher);
    loop_timer_at(daemon->facts_timer, now_ns + (taken > 0 ? FACTS_BUSY_NS : FACTS_IDLE_NS));
}

static void add_load(struct backend_load *sum, const struct backend_load *load)
{
    uint64_t generation = counter_read(&load->generation);
    if (generation < sum->generation)
        return; /* this worker has not seen the slot's new life yet */
    if (generation > sum->generation)
        *sum = (struct backend_load){.generation = generation};
    for (int i = 0; i < BACKEND_OUTCOMES; i++)
        sum->outcomes[i] += counter_read(&load->outcomes[i]);
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        sum->first_bytes.buckets[i] += counter_read(&load->first_bytes.buckets[i]);
    sum->connected += counter_read(&load->connected);
    sum->in_flight += counter_read(&load->in_flight);
    sum->connections += counter_read(&load->connections);
    sum->suspected += counter_read(&load->suspected);
    uint64_t row = counter_read(&load->connect_failed_row);
    if (row > sum->connect_failed_row)
        sum->connect_failed_row = row;
}

static void sum_loads(struct daemon *daemon)
{
    memset(&daemon->sums, 0, sizeof(daemon->sums));
    for (uint32_t b = 0; b < daemon->config->backend_count; b++) {
        uint32_t slot = daemon->config->backends[b].slot;
        for (uint32_t w = 0; w < daemon->shared.workers; w++)
            add_load(&daemon->sums.slots[slot],
                     &worker_backend_loads(daemon->shared.members[w])->slots[slot]);
    }
}

static void observe(void *context, uint64_t now_ns)
{
    struct daemon *daemon = context;
    sum_loads(daemon);
    failover_observe(daemon->failover, &daemon->sums);
    loop_timer_at(daemon->observe_timer, now_ns + OBSERVE_NS);
}

/* Draining. */

static void drain_over(void *context, uint64_t now_ns)
{
    struct daemon *daemon = context;
    log_line(LOG_LEVEL_WARNING, "drain timeout: closing what is left");
    stop_workers(daemon);
}

/* From the next snapshot on there are no new connections, or there are again. */
static void begin_drain(struct daemon *daemon)
{
    memset(daemon->drained, 0, sizeof(daemon->drained));
    publish(daemon);
    daemon->drained_from = (uint32_t)daemon_snapshot_generation(daemon);
}

bool daemon_drain(struct daemon *daemon, bool drained)
{
    if (daemon->draining)
        return false;
    if (daemon->resting == drained)
        return true;
    daemon->resting = drained;
    log_line(LOG_LEVEL_INFO, drained ? "drained by an operator: no new connections"
                                     : "undrained: connections are taken again");
    begin_drain(daemon);
    return true;
}

static void drain(struct daemon *daemon)
{
    if (daemon->draining) {
        log_line(LOG_LEVEL_WARNING, "second signal: closing what is left");
        stop_workers(daemon);
        return;
    }
    daemon->draining = true;
    log_line(LOG_LEVEL_INFO, "draining: no new connections, GOAWAY on the existing ones");
    loop_timer_at(daemon->drain_timer,
                  loop_now_ns(daemon->loop) + daemon->config->limits.drain_timeout_ns);
    if (daemon->resting)
        stop_if_drained(daemon);
    else
        begin_drain(daemon);
}

static void signal_arrived(void *context, uint32_t events)
{
    struct daemon *daemon = context;
    struct signalfd_siginfo info;
    while (read(daemon->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGHUP)
            daemon_reopen_logs(daemon);
        else
            drain(daemon);
    }
}

/* Start. */

static int say(const char *message)
{
    fprintf(stderr, "weir: %s\n", message);
    return -1;
}

static bool create_worker(struct daemon *daemon, uint16_t index)
{
    uint64_t seed;
    random_secret(&seed, sizeof(seed));
    struct worker_config config = {
        .index = index,
        .shared = &daemon->shared,
        .queue_count = (uint8_t)daemon->ports.count,
        .limits = worker_limits_of(daemon->config),
        .idle = daemon->config->idle == CONFIG_IDLE_POLL ? WORKER_IDLE_POLL : WORKER_IDLE_ADAPTIVE,
        .random_seed = seed,
        .congestion = daemon->config->tcp.congestion == CONFIG_CONGESTION_CUBIC
                          ? TCP_CONGESTION_CUBIC
                          : TCP_CONGESTION_NEWRENO,
        .ecn = daemon->config->tcp.ecn,
        .socket_id = daemon->ports.count > 0 ? daemon->ports.ports[0].socket_id : -1,
        .now = clock_now_ns(),
    };
    random_secret(&config.tcp_secret, sizeof(config.tcp_secret));
    for (uint32_t p = 0; p < daemon->ports.count; p++)
        config.queues[p] = &daemon->ports.ports[p].queues[index];
    config.interface_count = ports_interfaces(&daemon->ports, daemon->config, config.interfaces);
    daemon->shared.members[index] = worker_create(&config);
    return daemon->shared.members[index] != NULL;
}

static bool create_table(struct daemon *daemon)
{
    uint64_t secret[2];
    random_secret(secret, sizeof(secret));
    daemon->shared.table =
        coalesce_table_create(daemon->config->limits.coalesce_keys, secret[0], secret[1], -1);
    return daemon->shared.table != NULL;
}

static bool create_quiescence(struct daemon *daemon)
{
    size_t bytes = rte_rcu_qsbr_get_memsize(daemon->shared.workers);
    daemon->shared.quiescence = memory_take("quiescence", bytes, -1);
    if (daemon->shared.quiescence == NULL ||
        rte_rcu_qsbr_init(daemon->shared.quiescence, daemon->shared.workers) != 0)
        return false;
    unmap_waits_for(daemon->shared.quiescence);
    return true;
}

static int create_workers(struct daemon *daemon)
{
    daemon->shared.workers = (uint16_t)daemon->config->workers;
    if (!create_quiescence(daemon) || !create_table(daemon))
        return say("limits: not enough memory for the tables that the workers share");
    for (uint16_t i = 0; i < daemon->shared.workers; i++)
        if (!create_worker(daemon, i))
            return say("limits: not enough memory for the workers' pools; lower the limits or "
                       "reserve more hugepages");
    if (!worker_connect(&daemon->shared, -1))
        return say("limits: not enough memory for the rings between workers");
    memory_seal();
    return 0;
}

/* Before any thread exists: all of them inherit the mask, so only the signalfd sees a signal. */
static int block_signals(struct daemon *daemon)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    if (pthread_sigmask(SIG_BLOCK, &signals, NULL) != 0)
        return say("signals cannot be blocked");
    daemon->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    return daemon->signal_fd < 0 ? say("signals cannot be watched") : 0;
}

static int watch_signals(struct daemon *daemon)
{
    daemon->loop = loop_create();
    if (daemon->loop == NULL ||
        loop_watch(daemon->loop, daemon->signal_fd, EPOLLIN, signal_arrived, daemon) == NULL)
        return say("the event loop cannot be created");
    return 0;
}

/* True without one, too. */
static bool create_key_log(struct daemon *daemon)
{
    const char *path = daemon->config->tls_settings.key_log_file;
    if (path[0] == '\0')
        return true;
    daemon->key_log = key_log_create(path);
    return daemon->key_log != NULL;
}

static int create_control(struct daemon *daemon)
{
    char message[MESSAGE_BYTES] = "";
    struct failover_host host = {host_probe, host_changed, host_event, daemon, 0};
    daemon->facts_timer = loop_timer(daemon->loop, take_facts, daemon);
    daemon->observe_timer = loop_timer(daemon->loop, observe, daemon);
    daemon->drain_timer = loop_timer(daemon->loop, drain_over, daemon);
    daemon->steer_timer = loop_timer(daemon->loop, steer_more, daemon);
    daemon->cookies_timer = loop_timer(daemon->loop, look_after_cookies, daemon);
    daemon->listing.timeout = loop_timer(daemon->loop, listing_timeout, daemon);
    daemon->publisher = publisher_create(&daemon->shared);
    daemon->access = access_create();
    if (daemon->access == NULL)
        return say("no memory for the access log");
    access_apply(daemon->access, daemon->config);
    daemon->failover =
        failover_create(daemon->loop, daemon->config, &host, message, sizeof(message));
    if (daemon->failover == NULL)
        return say(message);
    daemon->socket = socket_open(daemon, message, sizeof(message));
    if (daemon->socket == NULL)
        return say(message);
    if (!create_key_log(daemon)) /* it may be in the folder that the socket has made */
        return say("no memory for the key log");
    daemon->metrics = metrics_create(daemon);
    if (daemon->metrics == NULL)
        return say("metrics: no memory");
    if (!metrics_listen(daemon->metrics, daemon->config->metrics.listen, message, sizeof(message)))
        return say(message);
    return 0;
}

static int open_environment(struct daemon *daemon)
{
    char message[MESSAGE_BYTES] = "";
    if (eal_start(daemon->config, config_memory_bytes(daemon->config), message, sizeof(message)) !=
            0 ||
        ports_open(&daemon->ports, daemon->config, message, sizeof(message)) != 0)
        return say(message);
    return 0;
}

static void print_start(const struct daemon *daemon)
{
    fprintf(stderr, "weir %s, node %s, %u workers, memory in %s:\n", WEIR_VERSION,
            daemon->config->node, daemon->config->workers,
            eal_uses_hugepages() ? "hugepages" : "ordinary pages");
    memory_print(stderr);
    for (uint32_t i = 0; i < daemon->ports.count; i++) {
        const struct port *port = &daemon->ports.ports[i];
        const struct port_features *features = &port->features;
        fprintf(stderr,
                "port %s: %s, %u queues, mtu %u, checksums in %s out %s, RSS %s, steering %s\n",
                port->name, port->driver, port->queue_count, port->mtu,
                features->rx_checksum ? "hardware" : "software",
                features->tx_checksum_tcp ? "hardware" : "software", features->rss ? "yes" : "no",
                daemon->ports.steers[i] != NULL ? "yes" : "no");
    }
}

static int start_workers(struct daemon *daemon)
{
    char message[MESSAGE_BYTES] = "";
    cookie_secrets_init(&daemon->cookie_secrets);
    (void)refresh_cookies(daemon);
    publish(daemon);
    for (uint32_t i = 0; i < daemon->shared.workers; i++)
        if (rte_eal_remote_launch(worker_run, daemon->shared.members[i], eal_worker_lcore(i)) != 0)
            return say("a worker's lcore could not be started");
    if (ports_steer(&daemon->ports, daemon->config, message, sizeof(message)) != 0)
        return say(message);
    return 0;
}

static void give_up_privileges(void)
{
    char message[MESSAGE_BYTES];
    if (!privileges_drop(message, sizeof(message)))
        log_line(LOG_LEVEL_ERROR, "capabilities that are not needed any more are kept: %s",
                 message);
}

static int start(struct daemon *daemon)
{
    if (block_signals(daemon) != 0 || open_environment(daemon) != 0 || watch_signals(daemon) != 0 ||
        create_workers(daemon) != 0 || create_control(daemon) != 0)
        return -1;
    print_start(daemon);
    if (start_workers(daemon) != 0)
        return -1;
    give_up_privileges();
    return 0;
}

static void run(struct daemon *daemon)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    daemon->started_unix_ms = (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000;
    uint64_t now = clock_now_ns();
    loop_on_resume(daemon->loop, resumed, daemon);
    loop_timer_at(daemon->facts_timer, now);
    loop_timer_at(daemon->observe_timer, now + OBSERVE_NS);
    loop_timer_at(daemon->cookies_timer, now + COOKIES_NS);
    log_line(LOG_LEVEL_INFO, "ready: %u listeners, %u regions, %u backends",
             daemon->config->listener_count, daemon->config->region_count,
             daemon->config->backend_count);
    loop_run(daemon->loop);
}

/* What the workers left last is still written. */
static void stop_logs(struct daemon *daemon)
{
    if (daemon->access == NULL)
        return;
    for (uint16_t i = 0; i < daemon->shared.workers; i++) {
        (void)access_take(daemon->access, i, daemon->shared.members[i], UINT32_MAX);
        (void)key_log_take(daemon->key_log, daemon->shared.members[i], UINT32_MAX);
    }
    access_destroy(daemon->access);
    key_log_destroy(daemon->key_log);
}

static void stop(struct daemon *daemon)
{
    if (daemon->shared.workers > 0 && daemon->stopped_workers < daemon->shared.workers)
        stop_workers(daemon);
    rte_eal_mp_wait_lcore();
    if (daemon->socket != NULL)
        socket_close(daemon->socket);
    metrics_destroy(daemon->metrics);
    if (daemon->failover != NULL)
        failover_destroy(daemon->failover);
    ports_close(&daemon->ports);
    stop_logs(daemon);
    log_line(LOG_LEVEL_INFO, "stopped");
}

int daemon_run(const struct daemon_options *options)
{
    static struct daemon daemon;
    daemon.config = options->config;
    daemon.config_path = options->config_path;
    int error = log_open(daemon.config->log_file);
    if (error != 0) {
        fprintf(stderr, "weir: log_file: %s: %s\n", daemon.config->log_file, strerror(-error));
        return 1;
    }
    int started = start(&daemon);
    if (started == 0)
        run(&daemon);
    stop(&daemon);
    rte_eal_cleanup();
    return started == 0 ? 0 : 1;
}
