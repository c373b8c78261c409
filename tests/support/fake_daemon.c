#include "tests/support/fake_daemon.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUN_AT_MOST_NS (20 * CLOCK_S)

static const char document[] =
    "{'node': 'fake-1', 'state_dir': '%s', 'workers': 2,"
    " 'ports': [{'name': 'front', 'device': 'net_ring0',"
    "   'interfaces': [{'addresses': ['10.0.0.80/24', 'fd00::80/64']}]}],"
    " 'listeners': [{'name': 'web', 'address': '10.0.0.80', 'port': 80}],"
    " 'regions': [{'name': 'eu'}, {'name': 'us'}],"
    " 'services': [{'name': 'pages', 'regions': {"
    "   'eu': {'backends': [{'name': 'eu-1', 'address': '10.1.1.1', 'port': 8080},"
    "                       {'name': 'eu-2', 'address': '10.1.1.2', 'port': 8080}]},"
    "   'us': {'backends': [{'name': 'us-1', 'address': 'fd00::1', 'port': 8080}]}}},"
    "  {'name': 'models', 'authority': 'models.test', 'regions': {"
    "   'us': {'backends': [{'address': '10.1.2.9', 'port': 9000, 'weight': 7}]}}}],"
    " 'routes': [{'name': 'rest', 'service': 'pages'},"
    "  {'name': 'ask', 'path': '/ask/', 'service': 'models', 'replay_safe': true,"
    "   'coalesce': {'mode': 'post-body', 'key_headers': ['X-Model']}}],"
    " 'control': {'socket': '%s/control.sock'}}";

void fake_daemon_link(void)
{
}

json_t *fake_config_document(const struct daemon *daemon)
{
    char text[4096];
    snprintf(text, sizeof(text), document, daemon->directory, daemon->directory);
    for (char *at = text; *at != '\0'; at++)
        if (*at == '\'')
            *at = '"';
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    return json;
}

static void read_config(struct daemon *daemon)
{
    struct config_findings findings = {0};
    json_t *json = fake_config_document(daemon);
    assert_int_equal(json_dump_file(json, daemon->config_path, JSON_INDENT(1)), 0);
    json_decref(json);
    daemon->config = config_read_file(daemon->config_path, NULL, &findings);
    for (uint32_t i = 0; i < findings.count; i++)
        print_error("%s\n", findings.lines[i]);
    assert_non_null(daemon->config);
}

static void start_workers(struct daemon *daemon)
{
    for (int w = 0; w < FAKE_WORKERS; w++) {
        struct worker_counters *counters = &daemon->workers[w].counters;
        counters->layers[COUNTER_LAYER_WORKER] = &counters->loop;
        counters->layers[COUNTER_LAYER_NET] = calloc(1, sizeof(struct net_counters));
        counters->layers[COUNTER_LAYER_TCP] = calloc(1, sizeof(struct tcp_counters));
        counters->layers[COUNTER_LAYER_TLS] = calloc(1, sizeof(struct tls_counters));
        counters->layers[COUNTER_LAYER_H2] = calloc(1, sizeof(struct h2_counters));
        counters->layers[COUNTER_LAYER_H1] = calloc(1, sizeof(struct h1_counters));
        counters->layers[COUNTER_LAYER_UPSTREAM] = calloc(1, sizeof(struct upstream_counters));
        counters->layers[COUNTER_LAYER_COALESCE] = calloc(1, sizeof(struct coalesce_counters));
        counters->layers[COUNTER_LAYER_REQUEST] = calloc(1, sizeof(struct request_counters));
        counters->histograms[COUNTER_LAYER_COALESCE] = &daemon->workers[w].coalesce_histograms;
        counters->histograms[COUNTER_LAYER_REQUEST] = &daemon->workers[w].request_histograms;
    }
}

struct daemon *fake_daemon_create(void)
{
    struct daemon *daemon = calloc(1, sizeof(*daemon));
    assert_non_null(daemon);
    strcpy(daemon->directory, "/tmp/weir_test_XXXXXX");
    assert_non_null(mkdtemp(daemon->directory));
    snprintf(daemon->config_path, sizeof(daemon->config_path), "%s/config.json", daemon->directory);
    daemon->loop = loop_create();
    assert_non_null(daemon->loop);
    read_config(daemon);
    daemon->generation = 1;
    daemon->failover.config = daemon->config;
    memset(daemon->failover.usable, true, sizeof(daemon->failover.usable));
    for (int i = 0; i < FAKE_REGIONS; i++) {
        daemon->failover.active[i] = true;
        daemon->failover.share[i] = 1000;
    }
    daemon->port = (struct port){.name = "front",
                                 .device = "net_ring0",
                                 .driver = "net_ring",
                                 .queue_count = FAKE_WORKERS,
                                 .mtu = 1500,
                                 .features = {.rx_checksum = true, .queues_max = 16}};
    start_workers(daemon);
    return daemon;
}

void fake_daemon_destroy(struct daemon *daemon)
{
    static const char *const files[] = {"config.json",      "running.json", "control.sock",
                                        "running.json.new", "output",       "errors",
                                        "input.json"};
    for (size_t i = 0; i < array_count(files); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", daemon->directory, files[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(daemon->directory), 0);
    for (int w = 0; w < FAKE_WORKERS; w++)
        for (int l = COUNTER_LAYER_NET; l < COUNTER_LAYERS; l++)
            free((void *)daemon->workers[w].counters.layers[l]);
    loop_destroy(daemon->loop);
    config_free(daemon->config);
    free(daemon);
}

struct wait {
    struct daemon *daemon;
    struct loop_timer *timer;
    bool (*done)(void *context);
    void *context;
    uint64_t until_ns;
    bool late;
};

static void look(void *context, uint64_t now_ns)
{
    struct wait *wait = context;
    wait->late = now_ns > wait->until_ns;
    if (wait->late || wait->done(wait->context))
        loop_stop(wait->daemon->loop);
    else
        loop_timer_at(wait->timer, now_ns + CLOCK_MS);
}

void fake_daemon_run_until(struct daemon *daemon, bool (*done)(void *context), void *context)
{
    struct wait wait = {.daemon = daemon, .done = done, .context = context};
    uint64_t now = clock_now_ns();
    wait.until_ns = now + RUN_AT_MOST_NS;
    wait.timer = loop_timer(daemon->loop, look, &wait);
    loop_timer_at(wait.timer, now);
    loop_run(daemon->loop);
    loop_timer_destroy(wait.timer);
    if (wait.late)
        fail_msg("the condition did not come true within 20 s");
}

void fake_command_done(struct daemon *daemon, bool ok, const char *text)
{
    failover_done *done = daemon->failover.done;
    assert_non_null(done);
    daemon->failover.done = NULL;
    done(daemon->failover.done_context, ok, text);
}

void fake_flights_end(struct daemon *daemon, bool complete)
{
    void (*end)(void *, bool) = daemon->end;
    daemon->show = NULL;
    daemon->end = NULL;
    if (end != NULL)
        end(daemon->listing_context, complete);
}

/* daemon.h */

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
    return &daemon->failover;
}

struct loop *daemon_loop(struct daemon *daemon)
{
    return daemon->loop;
}

bool daemon_is_draining(const struct daemon *daemon)
{
    return daemon->draining;
}

bool daemon_drain(struct daemon *daemon, bool drained)
{
    daemon->draining = drained;
    return true;
}

uint64_t daemon_started_unix_ms(const struct daemon *daemon)
{
    return 1700000000000;
}

uint64_t daemon_snapshot_generation(const struct daemon *daemon)
{
    return daemon->generation;
}

uint32_t daemon_worker_count(const struct daemon *daemon)
{
    return FAKE_WORKERS;
}

const struct worker *daemon_worker(const struct daemon *daemon, uint32_t index)
{
    return &daemon->workers[index];
}

uint32_t daemon_port_count(const struct daemon *daemon)
{
    return 1;
}

const struct port *daemon_port(const struct daemon *daemon, uint32_t index)
{
    return &daemon->port;
}

bool daemon_port_steering(const struct daemon *daemon, uint32_t index,
                          void (*show)(void *context, const char *name, uint64_t value),
                          void *context)
{
    show(context, "redirected", 42);
    return true;
}

bool daemon_apply(struct daemon *daemon, struct config *config, char *message, size_t message_size)
{
    if (daemon->refuse_apply != NULL) {
        snprintf(message, message_size, "%s", daemon->refuse_apply);
        return false;
    }
    config_free(daemon->config);
    daemon->config = config;
    daemon->failover.config = config;
    daemon->generation++;
    return true;
}

void daemon_reopen_logs(struct daemon *daemon)
{
    daemon->reopened++;
}

struct access_file_counts daemon_key_log_counts(const struct daemon *daemon)
{
    return (struct access_file_counts){.lost = 4};
}

struct access_file_counts daemon_access_counts(const struct daemon *daemon)
{
    return (struct access_file_counts){.lines = 12, .lost = 3};
}

bool daemon_list_flights(struct daemon *daemon, daemon_show_flight *show, daemon_end_flights *end,
                         void *context)
{
    if (daemon->end != NULL)
        return false;
    daemon->show = show;
    daemon->end = end;
    daemon->listing_context = context;
    return true;
}

bool daemon_kill_flight(struct daemon *daemon, uint32_t worker, uint64_t flight,
                        daemon_show_flight *show, daemon_end_flights *end, void *context)
{
    daemon->kill_worker = worker;
    daemon->kill_flight = flight;
    return daemon_list_flights(daemon, show, end, context);
}

void daemon_forget_flights(struct daemon *daemon, void *context)
{
    if (daemon->listing_context != context)
        return;
    daemon->show = NULL;
    daemon->end = NULL;
    daemon->forgotten++;
}

/* worker.h, port_setup.h */

const struct worker_counters *worker_counters(const struct worker *worker)
{
    return &worker->counters;
}

const struct backend_loads *worker_backend_loads(const struct worker *worker)
{
    return &worker->loads;
}

void port_statistics(const struct port *port, struct port_statistics *out)
{
    *out = (struct port_statistics){.received_packets = 11, .sent_packets = 12, .free_mbufs = 99};
}

/* failover.h */

uint32_t failover_backend_weight(const struct failover *failover, uint32_t slot)
{
    for (uint32_t i = 0; i < failover->config->backend_count; i++)
        if (failover->config->backends[i].slot == slot)
            return failover->config->backends[i].weight >> failover->warming[slot];
    return 0;
}

bool failover_backend_usable(const struct failover *failover, uint32_t slot)
{
    return failover->usable[slot];
}

bool failover_region_active(const struct failover *failover, uint32_t region)
{
    return failover->active[region];
}

bool failover_region_suspect(const struct failover *failover, uint32_t region)
{
    return failover->suspect[region];
}

uint16_t failover_region_share(const struct failover *failover, uint32_t region)
{
    return failover->share[region];
}

uint32_t failover_region_capacity(const struct failover *failover, uint32_t region)
{
    return failover->capacity[region];
}

bool failover_is_panic(const struct failover *failover)
{
    return failover->panic;
}

uint32_t failover_node_flights(const struct failover *failover)
{
    return failover->node_flights;
}

void failover_region_view(const struct failover *failover, uint32_t region,
                          struct failover_region_view *out)
{
    *out = (struct failover_region_view){
        .name = failover->config->regions[region].name,
        .automatic = failover->suspect[region] ? "suspect" : "up",
        .override = "none",
        .effective = "up",
        .active = failover->active[region],
        .share_permille = failover->share[region],
        .availability = 0.5,
        .usable_backends = 1,
        .backends = 2,
        .reason = "because",
        .votes_fresh = 3,
        .votes_agreeing = 2,
        .votes_blind = 1,
        .votes_stale = 2,
        .on_failure = "review",
        .on_recovery = "auto",
        .override_left_ms = failover->override_left_ms,
    };
    if (region == 0)
        out->local = failover->shown;
}

void failover_explain(const struct failover *failover, uint32_t region,
                      struct region_explanation *out)
{
    *out = (struct region_explanation){.fresh = 1, .seeing = 1, .needed = 1, .way_count = 1};
    out->ways[0] = (struct region_way){
        .to = REGION_SUSPECT, .evidence = "nothing succeeds", .answer = REGION_DONE};
}

void failover_lines(const struct failover *failover,
                    void (*line)(void *context, uint64_t unix_ms, const char *text), void *context)
{
    line(context, 1700000000000, "region eu: up -> down: because");
}

void failover_audit(struct failover *failover, failover_audited *done, void *context)
{
    const struct store_audit none = {.failure = "not connected yet"};
    done(context, failover->audit != NULL ? failover->audit : &none);
}

const struct region_votes *failover_votes(const struct failover *failover)
{
    static const struct region_votes votes = {.count = 1, .votes = {{.node = "fake-1"}}};
    return &votes;
}

void failover_backend_view(const struct failover *failover, uint32_t slot,
                           struct failover_backend_view *out)
{
    *out = (struct failover_backend_view){.state = failover->usable[slot] ? "up" : "down",
                                          .weight = failover_backend_weight(failover, slot),
                                          .last_probe = "ok",
                                          .last_probe_took_ns = 250000};
}

void failover_view(const struct failover *failover, struct failover_view *out)
{
    *out = (struct failover_view){.store = "memory",
                                  .store_state = "connected",
                                  .epoch = 3,
                                  .nodes_live = 1,
                                  .local = failover->shown};
}

void failover_command(struct failover *failover, const struct failover_order *order,
                      failover_done *done, void *context)
{
    if (failover->done != NULL) {
        done(context, false, "another command waits");
        return;
    }
    failover->command = order->command;
    failover->region = order->region;
    failover->ttl_ms = order->ttl_ms;
    failover->despite = order->despite;
    failover->local = order->local;
    snprintf(failover->by, sizeof(failover->by), "%s", order->by);
    failover->done = done;
    failover->done_context = context;
}
