#include "control/weirctl/show.h"

#include "control/weirctl/table.h"
#include "control/weirctl/units.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL && value[0] != '\0' ? value : "-";
}

static uint64_t number(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

static bool is_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static const char *yes(const json_t *object, const char *key)
{
    return is_true(object, key) ? "yes" : "no";
}

static void show_differences(const json_t *config)
{
    size_t index;
    json_t *path;
    printf("configuration  %s", text(config, "path"));
    if (!is_true(config, "differs")) {
        printf(", as it is in the file\n");
        return;
    }
    printf(", changed since:");
    json_array_foreach(json_object_get(config, "differences"), index, path)
        printf("%s %s", index > 0 ? "," : "", json_string_value(path));
    printf("\n               running.json: %s\n", text(config, "running_file"));
    if (json_object_get(config, "running_file_error") != NULL)
        printf("               %s\n", text(config, "running_file_error"));
}

/* In UTC, as certificates say it. */
static void show_expiry(uint64_t unix_s)
{
    char date[32];
    struct tm parts;
    time_t at = (time_t)unix_s;
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M", gmtime_r(&at, &parts));
    printf("certificates   the first one expires %s UTC%s\n", date,
           at < time(NULL) ? ", EXPIRED" : "");
}

/* What is so of all regions and is not as usual. */
static void show_notes(const json_t *failover, const char *margin)
{
    if (is_true(failover, "frozen"))
        printf("%sFROZEN: %s\n", margin, text(failover, "frozen_reason"));
    if (is_true(failover, "panic"))
        printf("%sPANIC: every active region looks sick; probes are not believed\n", margin);
    if (is_true(failover, "blind"))
        printf("%sBLIND: no region answers here; this node's vote abstains\n", margin);
    if (is_true(failover, "dry_run"))
        printf("%sDRY RUN: automation only says what it would do\n", margin);
    if (number(failover, "admit_flights") > 0)
        printf("%sLIMITED: %lu flights of all nodes, %lu of this one (rule S4)\n", margin,
               number(failover, "admit_flights"), number(failover, "admit_flights_here"));
}

static void show_proposal(const json_t *region)
{
    char left[UNITS_TEXT_MAX];
    const json_t *proposal = json_object_get(region, "proposal");
    if (proposal != NULL)
        printf("%s: PROPOSED %s, for %s more: %s\n", text(region, "name"), text(proposal, "to"),
               units_long_time(number(proposal, "left_ms"), left), text(proposal, "evidence"));
}

/* An order of this node alone about WHAT; OFFER: how to take it for all nodes, or for none. */
static void show_local(const json_t *of, const char *what, const char *offer)
{
    char left[UNITS_TEXT_MAX];
    const json_t *local = json_object_get(of, "local");
    if (local == NULL)
        return;
    printf("%s: %s ", what, is_true(local, "offered") ? "OFFERED" : "HERE ONLY");
    printf("%s by %s", text(local, "order"), text(local, "by"));
    if (number(local, "left_ms") > 0)
        printf(", for %s more", units_long_time(number(local, "left_ms"), left));
    if (is_true(local, "offered"))
        printf("; it acts no more since the store is back: %s\n", offer);
    else
        printf(", until the store is back\n");
}

static void show_region_local(const json_t *region)
{
    show_local(region, text(region, "name"), "approve --local, or reject --local");
}

static void show_automation_local(const json_t *failover)
{
    show_local(failover, "automation",
               "`automation off` for all nodes, `automation on --local` for none");
}

void show_status(const json_t *result)
{
    char time[UNITS_TEXT_MAX];
    char memory[UNITS_TEXT_MAX];
    const json_t *store = json_object_get(result, "store");
    const json_t *failover = json_object_get(result, "failover");
    const json_t *control = json_object_get(result, "control");
    printf("node           %s, weir %s, process %lu%s\n", text(result, "node"),
           text(result, "version"), number(result, "pid"),
           is_true(result, "draining") ? ", DRAINING" : "");
    printf("up             %s, %lu workers, %s in pools, snapshot %lu\n",
           units_long_time(number(result, "uptime_ms"), time), number(result, "workers"),
           units_bytes(number(result, "memory_bytes"), memory), number(result, "snapshot"));
    if (number(result, "certificates_expire_unix_ms") > 0)
        show_expiry(number(result, "certificates_expire_unix_ms") / 1000);
    printf("store          %s, %s\n", text(store, "kind"), text(store, "state"));
    printf("failover       epoch %lu, %lu nodes live\n", number(failover, "epoch"),
           number(failover, "nodes_live"));
    show_notes(failover, "               ");
    show_differences(json_object_get(result, "config"));
    printf("control        %lu stalls, the longest turn %s, %lu log lines dropped\n",
           number(control, "stalls"), units_short_time(number(control, "stall_max_ns"), time),
           number(control, "log_dropped"));
}

/* What is known of where the port puts packets, and how many workers have seen it hold. */
static void rss_text(const json_t *port, char *out, size_t size)
{
    if (!is_true(json_object_get(port, "features"), "rss"))
        snprintf(out, size, "no");
    else if (!is_true(port, "rss_known"))
        snprintf(out, size, "yes, not predictable");
    else
        snprintf(out, size, "yes, prediction proved by %lu of %lu workers",
                 number(port, "rss_proven_queues"), number(port, "queues"));
}

static void show_features(const json_t *port)
{
    char rss[64];
    const json_t *features = json_object_get(port, "features");
    rss_text(port, rss, sizeof(rss));
    printf("%s: %s, driver %s, %s\n", text(port, "name"), text(port, "device"),
           text(port, "driver"), text(port, "mac"));
    printf("    %lu queues, mtu %lu; checksums in %s, out %s; RSS %s; link at start %s\n",
           number(port, "queues"), number(port, "mtu"),
           is_true(features, "rx_checksum") ? "hardware" : "software",
           is_true(features, "tx_checksum_tcp") ? "hardware" : "software", rss,
           is_true(port, "link_up_at_start") ? "up" : "down");
}

static void show_steering(const json_t *port)
{
    const char *name;
    json_t *value;
    const json_t *steering = json_object_get(port, "steering");
    json_object_foreach((json_t *)steering, name, value)
    {
        if (json_integer_value(value) > 0)
            printf("    steering: %s %lld\n", name, (long long)json_integer_value(value));
    }
}

void show_ports(const json_t *result)
{
    size_t index;
    json_t *port;
    struct table *table = table_create("PORT", ">RECEIVED", ">SENT", ">MISSED", ">ERRORS",
                                       ">NO MBUF", ">FREE MBUFS", NULL);
    json_array_foreach(json_object_get(result, "ports"), index, port)
    {
        const json_t *statistics = json_object_get(port, "statistics");
        show_features(port);
        show_steering(port);
        table_cell(table, "%s", text(port, "name"));
        table_cell(table, "%lu", number(statistics, "received_packets"));
        table_cell(table, "%lu", number(statistics, "sent_packets"));
        table_cell(table, "%lu", number(statistics, "missed_packets"));
        table_cell(table, "%lu", number(statistics, "error_packets"));
        table_cell(table, "%lu", number(statistics, "no_mbuf_packets"));
        table_cell(table, "%lu", number(statistics, "free_mbufs"));
    }
    table_print(table, stdout);
    table_free(table);
}

void show_workers(const json_t *result)
{
    size_t index;
    json_t *worker;
    struct table *table =
        table_create("WORKER", ">BUSY", ">TURNS/S", ">TURN", ">RECEIVED", ">HANDED OVER",
                     ">CLIENTS", ">REQUESTS", ">FLIGHTS", ">UPSTREAMS", NULL);
    json_array_foreach(json_object_get(result, "workers"), index, worker)
    {
        char time[UNITS_TEXT_MAX];
        const json_t *busy = json_object_get(worker, "busy");
        table_cell(table, "%lu", number(worker, "index"));
        if (json_is_real(busy))
            table_cell(table, "%.1f %%", json_real_value(busy) * 100);
        else
            table_cell(table, "-");
        table_cell(table, "%lu", number(worker, "turns_per_second"));
        table_cell(table, "%s", units_short_time(number(worker, "turn_average_ns"), time));
        table_cell(table, "%lu", number(worker, "received_packets"));
        table_cell(table, "%lu", number(worker, "handed_over_packets"));
        table_cell(table, "%lu", number(worker, "open_clients"));
        table_cell(table, "%lu", number(worker, "open_exchanges"));
        table_cell(table, "%lu", number(worker, "open_flights"));
        table_cell(table, "%lu", number(worker, "open_upstreams"));
    }
    table_print(table, stdout);
    table_free(table);
}

/* With what is left of it. */
static void show_override(struct table *table, const json_t *region)
{
    char left[UNITS_TEXT_MAX];
    if (number(region, "override_left_ms") == 0)
        table_cell(table, "%s", text(region, "override"));
    else
        table_cell(table, "%s, %s", text(region, "override"),
                   units_long_time(number(region, "override_left_ms"), left));
}

/* "2/3", and those of them that abstain or are too old to be among them. */
static void show_vote_counts(struct table *table, const json_t *region)
{
    char odd[64] = "";
    if (number(region, "votes_blind") > 0)
        snprintf(odd, sizeof(odd), " %lu blind", number(region, "votes_blind"));
    if (number(region, "votes_stale") > 0)
        snprintf(odd + strlen(odd), sizeof(odd) - strlen(odd), " %lu stale",
                 number(region, "votes_stale"));
    table_cell(table, "%lu/%lu%s", number(region, "votes_agreeing"), number(region, "votes_fresh"),
               odd);
}

/* Of both directions when they differ. */
static void show_mode(struct table *table, const json_t *region)
{
    const char *failure = text(region, "on_failure");
    const char *recovery = text(region, "on_recovery");
    if (strcmp(failure, recovery) == 0)
        table_cell(table, "%s", failure);
    else
        table_cell(table, "%s, back %s", failure, recovery);
}

void show_regions(const json_t *result)
{
    size_t index;
    json_t *region;
    struct table *table =
        table_create("REGION", "ACTIVE", "STATE", "OVERRIDE", ">SHARE", ">AVAILABLE", ">BACKENDS",
                     ">FOR", ">HOLD-DOWN", ">VOTES", "MODE", "WHY", NULL);
    json_array_foreach(json_object_get(result, "regions"), index, region)
    {
        char since[UNITS_TEXT_MAX];
        char hold[UNITS_TEXT_MAX];
        table_cell(table, "%s", text(region, "name"));
        table_cell(table, "%s", yes(region, "active"));
        table_cell(table, "%s", text(region, "automatic"));
        show_override(table, region);
        table_cell(table, "%.1f %%", (double)number(region, "share_permille") / 10);
        table_cell(table, "%.0f %%",
                   json_number_value(json_object_get(region, "availability")) * 100);
        table_cell(table, "%lu/%lu", number(region, "usable_backends"), number(region, "backends"));
        table_cell(table, "%s", units_since(number(region, "since_unix_ms"), since));
        table_cell(table, "%s",
                   number(region, "hold_down_left_ms") == 0
                       ? "-"
                       : units_long_time(number(region, "hold_down_left_ms"), hold));
        show_vote_counts(table, region);
        show_mode(table, region);
        table_cell(table, "%s", text(region, "reason"));
    }
    table_print(table, stdout);
    table_free(table);
    json_array_foreach(json_object_get(result, "regions"), index, region)
    {
        show_proposal(region);
        show_region_local(region);
    }
    show_automation_local(json_object_get(result, "failover"));
    show_notes(json_object_get(result, "failover"), "");
}

void show_audit(const json_t *result)
{
    size_t index;
    json_t *entry;
    json_array_foreach(json_object_get(result, "entries"), index, entry)
    {
        char date[32];
        struct tm parts;
        time_t at = (time_t)(number(entry, "unix_ms") / 1000);
        strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", gmtime_r(&at, &parts));
        printf("%s  %s\n", date, text(entry, "text"));
    }
    if (strcmp(text(result, "source"), "store") == 0)
        printf("(all nodes, from the store; --local: alarms and health of this one, too)\n");
    else
        printf("(this node's lines since its start: %s)\n", text(result, "why"));
}

static void show_votes(const json_t *votes)
{
    size_t index;
    json_t *vote;
    struct table *table = table_create("NODE", ">AGE", ">EPOCH", "BLIND", ">AVAILABLE", ">USABLE",
                                       ">IN FLIGHT", NULL);
    json_array_foreach(votes, index, vote)
    {
        char age[UNITS_TEXT_MAX];
        table_cell(table, "%s", text(vote, "node"));
        table_cell(table, "%s", units_short_time(number(vote, "age_ms") * 1000000, age));
        table_cell(table, "%lu", number(vote, "epoch"));
        table_cell(table, "%s", yes(vote, "blind"));
        table_cell(table, "%.0f %%",
                   json_number_value(json_object_get(vote, "availability")) * 100);
        table_cell(table, "%lu", number(vote, "usable_backends"));
        table_cell(table, "%lu", number(vote, "in_flight"));
    }
    table_print(table, stdout);
    table_free(table);
}

static void show_ways(const json_t *ways)
{
    size_t index;
    json_t *way;
    struct table *table = table_create("NEXT", "WHEN", ">FOR", ">VOTES", "NOW", NULL);
    json_array_foreach(ways, index, way)
    {
        char time[UNITS_TEXT_MAX];
        table_cell(table, "%s", text(way, "to"));
        table_cell(table, "%s", text(way, "when"));
        table_cell(table, "%s", units_long_time(number(way, "for_ms"), time));
        table_cell(table, "%lu", number(way, "votes_holding"));
        table_cell(table, "%s", text(way, "text"));
    }
    table_print(table, stdout);
    table_free(table);
}

void show_explanation(const json_t *result)
{
    char since[UNITS_TEXT_MAX];
    const json_t *region = json_object_get(result, "region");
    printf("%s is %s for %s (override %s), epoch %lu: %s\n", text(region, "name"),
           text(region, "automatic"), units_since(number(region, "since_unix_ms"), since),
           text(region, "override"), number(region, "epoch"), text(region, "reason"));
    show_proposal(region);
    show_region_local(region);
    printf("%lu votes are fresh, %lu of them see, %lu must agree\n", number(result, "votes_fresh"),
           number(result, "votes_seeing"), number(result, "votes_needed"));
    if (number(result, "penalty") > 0)
        printf("penalty %lu%s\n", number(result, "penalty"),
               is_true(result, "kept_out") ? ": kept out until it is small" : "");
    printf("\n");
    show_ways(json_object_get(result, "next"));
    printf("\n");
    show_votes(json_object_get(result, "votes"));
}

/* "60 of 100" while it warms up. */
static void show_weight(struct table *table, const json_t *backend)
{
    uint64_t now = number(backend, "weight_now");
    uint64_t weight = number(backend, "weight");
    if (now == weight)
        table_cell(table, "%lu", weight);
    else
        table_cell(table, "%lu of %lu", now, weight);
}

void show_backends(const json_t *result)
{
    size_t index;
    json_t *backend;
    struct table *table = table_create("BACKEND", "SERVICE", "REGION", "ADDRESS", ">WEIGHT",
                                       "USABLE", "STATE", ">FOR", "LAST PROBE", ">TOOK",
                                       ">IN FLIGHT", ">CONNECTIONS", ">OK", ">FAILED", NULL);
    json_array_foreach(json_object_get(result, "backends"), index, backend)
    {
        char since[UNITS_TEXT_MAX];
        char took[UNITS_TEXT_MAX];
        const char *address = text(backend, "address");
        bool v6 = strchr(address, ':') != NULL;
        table_cell(table, "%s", text(backend, "name"));
        table_cell(table, "%s", text(backend, "service"));
        table_cell(table, "%s", text(backend, "region"));
        table_cell(table, "%s%s%s:%lu", v6 ? "[" : "", address, v6 ? "]" : "",
                   number(backend, "port"));
        show_weight(table, backend);
        table_cell(table, "%s", yes(backend, "usable"));
        table_cell(table, "%s%s", text(backend, "state"),
                   is_true(backend, "ejected") ? ", ejected" : "");
        table_cell(table, "%s", units_since(number(backend, "since_unix_ms"), since));
        table_cell(table, "%s", text(backend, "last_probe"));
        table_cell(table, "%s", units_short_time(number(backend, "last_probe_took_ns"), took));
        table_cell(table, "%lu", number(backend, "in_flight"));
        table_cell(table, "%lu", number(backend, "connections"));
        table_cell(table, "%lu", number(backend, "succeeded"));
        table_cell(table, "%lu", number(backend, "failed"));
    }
    table_print(table, stdout);
    table_free(table);
}

void show_flights(const json_t *result)
{
    size_t index;
    json_t *flight;
    struct table *table =
        table_create("FLIGHT", ">WORKER", "ROUTE", "STATE", "SHARED", ">SUBSCRIBERS", "BACKEND",
                     ">ATTEMPT", ">AGE", ">BODY", NULL);
    json_array_foreach(json_object_get(result, "flights"), index, flight)
    {
        char age[UNITS_TEXT_MAX];
        char body[UNITS_TEXT_MAX];
        table_cell(table, "%s", text(flight, "id"));
        table_cell(table, "%lu", number(flight, "worker"));
        table_cell(table, "%s", text(flight, "route"));
        table_cell(table, "%s", text(flight, "state"));
        table_cell(table, "%s", yes(flight, "coalesced"));
        table_cell(table, "%lu", number(flight, "subscribers"));
        table_cell(table, "%s", text(flight, "backend"));
        table_cell(table, "%lu", number(flight, "attempt"));
        table_cell(table, "%s", units_short_time(number(flight, "age_ms") * 1000000, age));
        table_cell(table, "%s", units_bytes(number(flight, "body_bytes"), body));
    }
    table_print(table, stdout);
    table_free(table);
    if (!is_true(result, "complete"))
        printf("not complete: a worker did not answer in time\n");
}

static void show_histograms(const json_t *histograms)
{
    const char *name;
    json_t *histogram;
    struct table *table =
        table_create("HISTOGRAM", ">COUNT", ">MEAN", ">P50 <=", ">P99 <=", "UNIT", "WHAT", NULL);
    json_object_foreach((json_t *)histograms, name, histogram)
    {
        uint64_t count = number(histogram, "count");
        if (count == 0)
            continue;
        table_cell(table, "%s", name);
        table_cell(table, "%lu", count);
        table_cell(table, "%lu", number(histogram, "sum") / count);
        table_cell(table, "%lu", number(histogram, "p50"));
        table_cell(table, "%lu", number(histogram, "p99"));
        table_cell(table, "%s", text(histogram, "unit"));
        table_cell(table, "%s", text(histogram, "help"));
    }
    if (json_object_size(histograms) > 0)
        table_print(table, stdout);
    table_free(table);
}

void show_stats(const json_t *result)
{
    const char *name;
    json_t *counter;
    size_t zeros = 0;
    struct table *table = table_create("COUNTER", ">SUM", "UNIT", "WORKERS", "WHAT", NULL);
    json_object_foreach(json_object_get(result, "counters"), name, counter)
    {
        char *workers = json_dumps(json_object_get(counter, "workers"), JSON_ENCODE_ANY);
        if (number(counter, "sum") == 0)
            zeros++;
        else {
            table_cell(table, "%s", name);
            table_cell(table, "%lu", number(counter, "sum"));
            table_cell(table, "%s", text(counter, "unit"));
            table_cell(table, "%s", workers != NULL ? workers : "-");
            table_cell(table, "%s", text(counter, "help"));
        }
        free(workers);
    }
    table_print(table, stdout);
    table_free(table);
    show_histograms(json_object_get(result, "histograms"));
    if (zeros > 0)
        printf("%zu more are zero (--json has them)\n", zeros);
}

void show_done(const json_t *result)
{
    printf("%s\n", text(result, "text"));
}

static void show_lines(const json_t *lines, FILE *out)
{
    size_t index;
    json_t *line;
    json_array_foreach(lines, index, line) fprintf(out, "  %s\n", json_string_value(line));
}

void show_validation(const json_t *result)
{
    char memory[UNITS_TEXT_MAX];
    const json_t *restart = json_object_get(result, "needs_restart");
    if (!is_true(result, "valid")) {
        printf("wrong:\n");
        show_lines(json_object_get(result, "findings"), stdout);
        return;
    }
    printf("configuration ok, at most %s\n", units_bytes(number(result, "memory_bytes"), memory));
    if (json_array_size(restart) > 0) {
        printf("cannot be applied while running:\n");
        show_lines(restart, stdout);
    }
}

void show_applied(const json_t *result)
{
    printf("applied as snapshot %lu\n", number(result, "snapshot"));
}

void show_config(const json_t *result)
{
    json_dumpf(json_object_get(result, "config"), stdout, JSON_INDENT(2));
    printf("\n");
}

static void show_parameters(const json_t *method)
{
    size_t index;
    json_t *parameter;
    json_array_foreach(json_object_get(method, "parameters"), index, parameter)
        printf("    %s (%s%s): %s\n", text(parameter, "name"), text(parameter, "type"),
               is_true(parameter, "required") ? "" : ", optional", text(parameter, "help"));
}

void show_methods(const json_t *result)
{
    size_t index;
    json_t *method;
    json_array_foreach(json_object_get(result, "methods"), index, method)
    {
        printf("%-16s %s\n", text(method, "name"), text(method, "help"));
        show_parameters(method);
    }
}

void show_refusal(const json_t *error)
{
    const json_t *data = json_object_get(error, "data");
    fprintf(stderr, "weirctl: %s\n", text(error, "message"));
    show_lines(json_object_get(data, "findings"), stderr);
    show_lines(json_object_get(data, "needs_restart"), stderr);
}
