/*
 * Names: weir_LAYER_NAME, with _total for what never goes down; times in seconds. Each worker is a
 * label. What has a state has a line for the state it is in.
 */
#include "control/metrics_text.h"

#include "control/certificates.h"
#include "control/load_sum.h"
#include "control/log.h"
#include "dataplane/worker/histograms.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A name of the configuration as a label's value. */
static void print_value(FILE *out, const char *label, const char *value)
{
    fprintf(out, "%s=\"", label);
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\')
            fputc('\\', out);
        fputc(*value, out);
    }
    fputc('"', out);
}

static void print_head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* --- workers --- */

/* The manual's help says which: all others never go down. */
static bool is_gauge(const struct counter_description *what)
{
    return strstr(what->help, "(a gauge)") != NULL;
}

static void print_counter(FILE *out, const struct daemon *daemon, uint32_t index)
{
    const struct counter_description *what = &counter_descriptions[index];
    bool gauge = is_gauge(what);
    char name[128];
    char help[512];
    snprintf(name, sizeof(name), "weir_%s_%s%s", what->layer, what->name, gauge ? "" : "_total");
    snprintf(help, sizeof(help), "%s, %s", what->unit, what->help);
    print_head(out, name, gauge ? "gauge" : "counter", help);
    for (uint32_t w = 0; w < daemon_worker_count(daemon); w++)
        fprintf(out, "%s{worker=\"%u\"} %" PRIu64 "\n", name, w,
                worker_counter(worker_counters(daemon_worker(daemon, w)), index));
}

static void print_buckets(FILE *out, const char *name, double scale, uint32_t worker,
                          const struct histogram *histogram)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += counter_read(&histogram->buckets[i]);
        if (i + 1 < HISTOGRAM_BUCKETS)
            fprintf(out, "%s_bucket{worker=\"%u\",le=\"%.9g\"} %" PRIu64 "\n", name, worker,
                    (double)(1ull << i) * scale, count);
    }
    fprintf(out, "%s_bucket{worker=\"%u\",le=\"+Inf\"} %" PRIu64 "\n", name, worker, count);
    fprintf(out, "%s_count{worker=\"%u\"} %" PRIu64 "\n", name, worker, count);
    fprintf(out, "%s_sum{worker=\"%u\"} %.9g\n", name, worker,
            (double)counter_read(&histogram->sum) * scale);
}

static void print_histogram(FILE *out, const struct daemon *daemon, uint32_t index)
{
    const struct histogram_description *what = &histogram_descriptions[index];
    bool is_time = strcmp(what->unit, "microseconds") == 0;
    char name[128];
    snprintf(name, sizeof(name), "weir_%s_%s%s", what->layer, what->name,
             is_time ? "_seconds" : "");
    print_head(out, name, "histogram", what->help);
    for (uint32_t w = 0; w < daemon_worker_count(daemon); w++)
        print_buckets(out, name, is_time ? 1e-6 : 1, w,
                      worker_histogram(worker_counters(daemon_worker(daemon, w)), index));
}

static void print_workers(FILE *out, const struct daemon *daemon)
{
    for (uint32_t i = 0; i < counter_description_count; i++)
        print_counter(out, daemon, i);
    for (uint32_t i = 0; i < histogram_description_count; i++)
        print_histogram(out, daemon, i);
}

/* --- sizes: what the gauges of workers can reach --- */

static void print_limits(FILE *out, const struct config_limits *limits)
{
    const struct {
        const char *of;
        uint64_t most;
    } sizes[] = {
        {"worker_open_clients", limits->client_connections},
        {"worker_open_exchanges", limits->exchanges},
        {"worker_open_flights", limits->flights},
        {"worker_open_upstreams", limits->upstream_connections},
        {"worker_free_segments", limits->payload_bytes / limits->segment_bytes},
    };
    print_head(out, "weir_limit", "gauge", "what a gauge of one worker can reach (limits)");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        fprintf(out, "weir_limit{of=\"%s\"} %" PRIu64 "\n", sizes[i].of, sizes[i].most);
}

static void print_mbufs(FILE *out, const struct daemon *daemon)
{
    print_head(out, "weir_port_free_mbufs", "gauge", "packet buffers of a port that are free now");
    for (uint32_t i = 0; i < daemon_port_count(daemon); i++) {
        const struct port *port = daemon_port(daemon, i);
        struct port_statistics statistics;
        port_statistics(port, &statistics);
        fprintf(out, "weir_port_free_mbufs{");
        print_value(out, "port", port->name);
        fprintf(out, "} %" PRIu64 "\n", (uint64_t)statistics.free_mbufs);
    }
}

/* --- regions --- */

struct region_gauge {
    const char *name;
    const char *help;
    double (*value)(const struct failover_region_view *view);
};

static double region_active(const struct failover_region_view *view)
{
    return view->active;
}

static double region_share(const struct failover_region_view *view)
{
    return view->share_permille / 1000.0;
}

static double region_availability(const struct failover_region_view *view)
{
    return view->availability;
}

static double region_usable(const struct failover_region_view *view)
{
    return view->usable_backends;
}

static double region_backends(const struct failover_region_view *view)
{
    return view->backends;
}

static double region_epoch(const struct failover_region_view *view)
{
    return (double)view->epoch;
}

static double region_votes(const struct failover_region_view *view)
{
    return view->votes_fresh;
}

static double region_local(const struct failover_region_view *view)
{
    return view->local.order != NULL;
}

static const struct region_gauge region_gauges[] = {
    {"weir_region_active", "1: the region takes new flights", region_active},
    {"weir_region_share", "of its traffic that it gets: 1 all, less while recovering",
     region_share},
    {"weir_region_availability", "as this node sees it, 0 to 1", region_availability},
    {"weir_region_usable_backends", "backends that are up and not ejected", region_usable},
    {"weir_region_backends", "backends of the configuration", region_backends},
    {"weir_region_epoch", "epoch of the last change of its state", region_epoch},
    {"weir_region_votes_fresh", "votes on it that count", region_votes},
    {"weir_region_local_order", "1: an order of this node alone is in force, or offered",
     region_local},
};

static void print_region_gauge(FILE *out, const struct daemon *daemon,
                               const struct region_gauge *gauge)
{
    struct failover_region_view view;
    print_head(out, gauge->name, "gauge", gauge->help);
    for (uint32_t r = 0; r < daemon_config(daemon)->region_count; r++) {
        failover_region_view(daemon_failover((struct daemon *)daemon), r, &view);
        fprintf(out, "%s{", gauge->name);
        print_value(out, "region", view.name);
        fprintf(out, "} %.9g\n", gauge->value(&view));
    }
}

static void print_state(FILE *out, const struct failover_region_view *view, const char *kind,
                        const char *state)
{
    fprintf(out, "weir_region_state{");
    print_value(out, "region", view->name);
    fprintf(out, ",kind=\"%s\",state=\"%s\"} 1\n", kind, state);
}

static void print_regions(FILE *out, struct daemon *daemon)
{
    struct failover_region_view view;
    print_head(out, "weir_region_state", "gauge",
               "1 for the state that it is in: the cluster's, the operators', what counts");
    for (uint32_t r = 0; r < daemon_config(daemon)->region_count; r++) {
        failover_region_view(daemon_failover(daemon), r, &view);
        print_state(out, &view, "automatic", view.automatic);
        print_state(out, &view, "override", view.override);
        print_state(out, &view, "effective", view.effective);
    }
    for (size_t i = 0; i < sizeof(region_gauges) / sizeof(region_gauges[0]); i++)
        print_region_gauge(out, daemon, &region_gauges[i]);
}

/* --- backends --- */

struct backend_facts {
    struct failover_backend_view view;
    struct load_sum load;
    bool usable;
};

enum backend_metric {
    METRIC_USABLE,
    METRIC_EJECTED,
    METRIC_IN_FLIGHT,
    METRIC_CONNECTIONS,
    METRIC_SUCCEEDED,
    METRIC_FAILED,
    BACKEND_METRICS
};

static const struct {
    const char *name;
    const char *type;
    const char *help;
} backend_metrics[BACKEND_METRICS] = {
    [METRIC_USABLE] = {"weir_backend_usable", "gauge", "1: up and not ejected"},
    [METRIC_EJECTED] = {"weir_backend_ejected", "gauge", "1: ejected for failures of traffic"},
    [METRIC_IN_FLIGHT] = {"weir_backend_in_flight", "gauge", "attempts now"},
    [METRIC_CONNECTIONS] = {"weir_backend_connections", "gauge", "connections now"},
    [METRIC_SUCCEEDED] = {"weir_backend_succeeded_total", "counter", "attempts answered whole"},
    [METRIC_FAILED] = {"weir_backend_failed_total", "counter", "attempts that failed"},
};

static uint64_t metric_of(const struct backend_facts *facts, enum backend_metric metric)
{
    switch (metric) {
    case METRIC_USABLE:
        return facts->usable;
    case METRIC_EJECTED:
        return facts->view.ejected;
    case METRIC_IN_FLIGHT:
        return facts->load.in_flight;
    case METRIC_CONNECTIONS:
        return facts->load.connections;
    case METRIC_SUCCEEDED:
        return facts->load.succeeded;
    case METRIC_FAILED:
        return facts->load.failed;
    case BACKEND_METRICS:
        break;
    }
    return 0;
}

static void print_backend(FILE *out, const struct config *config, uint32_t index,
                          const struct backend_facts *facts, enum backend_metric metric)
{
    const struct config_backend *backend = &config->backends[index];
    fprintf(out, "%s{", backend_metrics[metric].name);
    print_value(out, "service", config->services[backend->service].name);
    print_value(out, ",region", config->regions[backend->region].name);
    print_value(out, ",backend", backend->name);
    fprintf(out, "} %" PRIu64 "\n", metric_of(facts, metric));
}

static void print_backends(FILE *out, struct daemon *daemon)
{
    const struct config *config = daemon_config(daemon);
    const struct failover *failover = daemon_failover(daemon);
    struct backend_facts *facts = calloc(config->backend_count, sizeof(*facts));
    if (facts == NULL)
        return;
    for (uint32_t i = 0; i < config->backend_count; i++) {
        facts[i].usable = failover_backend_usable(failover, config->backends[i].slot);
        failover_backend_view(failover, config->backends[i].slot, &facts[i].view);
        facts[i].load = load_sum(daemon, &config->backends[i]);
    }
    for (int m = 0; m < BACKEND_METRICS; m++) {
        print_head(out, backend_metrics[m].name, backend_metrics[m].type, backend_metrics[m].help);
        for (uint32_t i = 0; i < config->backend_count; i++)
            print_backend(out, config, i, &facts[i], (enum backend_metric)m);
    }
    free(facts);
}

/* --- the process --- */

static void print_number(FILE *out, const char *name, const char *type, const char *help,
                         uint64_t value)
{
    print_head(out, name, type, help);
    fprintf(out, "%s %" PRIu64 "\n", name, value);
}

static void print_process(FILE *out, struct daemon *daemon, uint64_t pages)
{
    const struct loop *loop = daemon_loop(daemon);
    struct access_file_counts counts = daemon_access_counts(daemon);
    struct failover_view view;
    failover_view(daemon_failover(daemon), &view);
    print_head(out, "weir_info", "gauge", "1; what runs here");
    fprintf(out, "weir_info{version=\"" WEIR_VERSION "\",node=\"%s\"} 1\n",
            daemon_config(daemon)->node);
    print_number(out, "weir_draining", "gauge", "1: no new connections are taken",
                 daemon_is_draining(daemon));
    print_number(out, "weir_snapshot", "gauge", "generation of what the workers act on",
                 daemon_snapshot_generation(daemon));
    print_number(out, "weir_failover_epoch", "gauge", "of the agreed state", view.epoch);
    print_number(out, "weir_failover_frozen", "gauge", "1: no region changes by itself",
                 view.frozen);
    print_number(out, "weir_failover_nodes_live", "gauge", "nodes that vote", view.nodes_live);
    print_number(out, "weir_store_connected", "gauge", "1: the store can be reached",
                 strcmp(view.store_state, "connected") == 0);
    print_number(out, "weir_certificates_expire_seconds", "gauge",
                 "unix time when the certificate that ends first does, shown to clients or "
                 "backends; 0: none",
                 certificates_expire_ms(daemon_config(daemon)->tls) / 1000);
    print_number(out, "weir_control_stalls_total", "counter",
                 "turns of the control thread that took longer than 20 ms", loop_stall_count(loop));
    print_number(out, "weir_metrics_pages_total", "counter", "times that this text was made",
                 pages);
    print_number(out, "weir_log_dropped_total", "counter", "lines of log_file that were dropped",
                 log_dropped());
    print_number(out, "weir_access_lines_total", "counter", "lines of the access log",
                 counts.lines);
    print_number(out, "weir_access_lost_total", "counter", "lines of the access log that were lost",
                 counts.lost);
    print_number(out, "weir_access_torn_total", "counter",
                 "lines of the access log that were lost but for their beginning", counts.torn);
    print_number(out, "weir_failover_expiries_held_total", "counter",
                 "overrides that expired and stay, because rule S1 forbids their end",
                 view.expiries_held);
}

char *metrics_text(struct daemon *daemon, uint64_t pages, size_t *out_length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, out_length);
    if (out == NULL)
        return NULL;
    print_process(out, daemon, pages);
    print_regions(out, daemon);
    print_backends(out, daemon);
    print_limits(out, &daemon_config(daemon)->limits);
    print_mbufs(out, daemon);
    print_workers(out, daemon);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}
