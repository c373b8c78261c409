#include "tests/load/weir_load/load.h"

#include <stdio.h>
#include <string.h>

static const char *const error_names[LOAD_ERRORS] = {"status",  "length", "body", "reset",
                                                     "refused", "lost",   "late"};
static const char *const failure_names[TCP_FAILURES] = {"no_object", "refused", "reset", "timeout",
                                                        "unreachable"};
static const char *const phase_names[LOAD_PHASES] = {"connect", "baseline", "opening", "run",
                                                     "finish",  "close",    "end"};

static const struct quantile {
    const char *name;
    uint32_t permyriad;
} quantiles[] = {{"p50", 5000}, {"p90", 9000}, {"p99", 9900}, {"p99_9", 9990}, {"p99_99", 9999}};

static double seconds(const struct phase_stats *phase)
{
    return (double)(phase->ended_at_ns - phase->began_at_ns) * 1e-9;
}

static uint64_t errors_of(const struct phase_stats *phase)
{
    uint64_t sum = 0;
    for (int i = 0; i < LOAD_ERRORS; i++)
        sum += phase->errors[i];
    return sum;
}

static uint64_t all_requests(const struct load *load)
{
    uint64_t sum = 0;
    for (int i = 0; i < LOAD_PHASES; i++)
        sum += load->client.phases[i].requests;
    return sum;
}

static uint64_t all_errors(const struct load *load)
{
    uint64_t sum = 0;
    for (int i = 0; i < LOAD_PHASES; i++)
        sum += errors_of(&load->client.phases[i]);
    return sum;
}

static bool was_seen(const struct load *load, int phase)
{
    return load->client.phases[phase].ended_at_ns > 0 && phase != LOAD_END;
}

/* Idle connections that are missing at the end were counted as lost, or never opened. */
bool report_is_well(const struct load *load)
{
    const struct client *client = &load->client;
    uint64_t wanted = client->idle_wanted;
    uint64_t opened = client->connections_opened;
    return all_errors(load) == 0 && client->connections_lost == 0 && load->origin.corrupt == 0 &&
           opened >= wanted &&
           (load->options.connections == 0 || all_requests(load) > 0 ||
            load->options.role == LOAD_ORIGIN);
}

/* ---- for people ---- */

static void print_phase(const struct phase_stats *phase, const char *name, FILE *out)
{
    const struct histogram *h = &phase->latency;
    double lasted = seconds(phase);
    fprintf(out, "%-9s %8.2f %10lu %8lu %10.0f %9.1f", name, lasted, phase->requests,
            errors_of(phase), lasted > 0 ? (double)phase->requests / lasted : 0,
            histogram_mean(h) / 1e3);
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
        fprintf(out, " %9.1f", (double)histogram_quantile(h, quantiles[i].permyriad) / 1e3);
    fprintf(out, " %9.1f %5.0f%%\n", (double)h->max / 1e3,
            phase->all_cycles > 0 ? 100.0 * (double)phase->busy_cycles / (double)phase->all_cycles
                                  : 0);
}

void report_print(const struct load *load, FILE *out)
{
    const struct client *client = &load->client;
    fprintf(out, "%-9s %8s %10s %8s %10s %9s %9s %9s %9s %9s %9s %9s %6s\n", "phase", "seconds",
            "requests", "errors", "req/s", "mean us", "p50", "p90", "p99", "p99.9", "p99.99", "max",
            "busy");
    for (int i = 0; i < LOAD_PHASES; i++)
        if (was_seen(load, i) && load->options.role != LOAD_ORIGIN)
            print_phase(&client->phases[i], phase_names[i], out);
    for (int e = 0; e < LOAD_ERRORS; e++) {
        uint64_t sum = 0;
        for (int i = 0; i < LOAD_PHASES; i++)
            sum += client->phases[i].errors[e];
        if (sum > 0)
            fprintf(out, "errors: %lu %s\n", sum, error_names[e]);
    }
    fprintf(out, "connections: %lu opened, %lu lost\n", client->connections_opened,
            client->connections_lost);
    for (int i = 0; i < TCP_FAILURES; i++)
        if (client->connect_failures[i] > 0)
            fprintf(out, "not connected: %lu %s\n", client->connect_failures[i], failure_names[i]);
    if (client->idle_wanted > 0)
        fprintf(out, "idle: %lu asked for, opened in %.2f s, %lu lost, closed in %.2f s\n",
                client->idle_wanted, (double)load->opening_took_ns * 1e-9, client->idle_lost,
                (double)load->closing_took_ns * 1e-9);
    if (load->flood.sent > 0)
        fprintf(out, "SYN flood: %lu in %.2f s\n", load->flood.sent,
                (double)(load->flood.ended_at_ns - load->flood.began_at_ns) * 1e-9);
    if (load->options.role != LOAD_CLIENT)
        fprintf(out, "origin: %lu requests, %lu answered, %lu reset, %lu corrupt\n",
                load->origin.requests, load->origin.answers, load->origin.resets,
                load->origin.corrupt);
}

/* ---- for programs ---- */

static void json_latency(const struct histogram *h, FILE *out)
{
    fprintf(out, "{\"min\": %lu, \"mean\": %.0f", h->min, histogram_mean(h));
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
        fprintf(out, ", \"%s\": %lu", quantiles[i].name,
                histogram_quantile(h, quantiles[i].permyriad));
    fprintf(out, ", \"max\": %lu}", h->max);
}

static void json_errors(const uint64_t errors[LOAD_ERRORS], FILE *out)
{
    for (int i = 0; i < LOAD_ERRORS; i++)
        fprintf(out, "%s\"%s\": %lu", i > 0 ? ", " : "{", error_names[i], errors[i]);
    fprintf(out, "}");
}

static void json_phase(const struct phase_stats *phase, FILE *out)
{
    double lasted = seconds(phase);
    fprintf(out, "{\"seconds\": %.6f, \"requests\": %lu, \"errors\": ", lasted, phase->requests);
    json_errors(phase->errors, out);
    fprintf(out,
            ", \"bytes\": %lu, \"overdue\": %lu, \"connections_opened\": %lu, "
            "\"requests_per_second\": %.1f, \"last_after_first_ns\": %lu, "
            "\"busy\": %.4f, \"cpu_ns\": %lu, \"latency_ns\": ",
            phase->bytes, phase->overdue, phase->opened,
            lasted > 0 ? (double)phase->requests / lasted : 0,
            phase->last_end_at_ns - phase->first_end_at_ns,
            phase->all_cycles > 0 ? (double)phase->busy_cycles / (double)phase->all_cycles : 0,
            phase->cpu_ns);
    json_latency(&phase->latency, out);
    fprintf(out, "}");
}

static void json_totals(const struct load *load, FILE *out)
{
    uint64_t errors[LOAD_ERRORS] = {0};
    for (int i = 0; i < LOAD_PHASES; i++)
        for (int e = 0; e < LOAD_ERRORS; e++)
            errors[e] += load->client.phases[i].errors[e];
    fprintf(out, "\"requests\": %lu, \"errors\": ", all_requests(load));
    json_errors(errors, out);
}

static void json_connections(const struct load *load, FILE *out)
{
    const struct client *client = &load->client;
    fprintf(out, ",\n \"connections\": {\"opened\": %lu, \"lost\": %lu, \"not_connected\": {",
            client->connections_opened, client->connections_lost);
    for (int i = 0; i < TCP_FAILURES; i++)
        fprintf(out, "%s\"%s\": %lu", i > 0 ? ", " : "", failure_names[i],
                client->connect_failures[i]);
    fprintf(out,
            "}},\n \"idle\": {\"wanted\": %lu, \"lost\": %lu, \"opening_seconds\": %.3f, "
            "\"closing_seconds\": %.3f}",
            client->idle_wanted, client->idle_lost, (double)load->opening_took_ns * 1e-9,
            (double)load->closing_took_ns * 1e-9);
}

void report_json(const struct load *load, FILE *out)
{
    const struct origin *origin = &load->origin;
    fprintf(out, "{\"ok\": %s, ", report_is_well(load) ? "true" : "false");
    json_totals(load, out);
    json_connections(load, out);
    fprintf(out, ",\n \"syn_flood\": {\"sent\": %lu, \"seconds\": %.6f}", load->flood.sent,
            (double)(load->flood.ended_at_ns - load->flood.began_at_ns) * 1e-9);
    fprintf(out,
            ",\n \"origin\": {\"connections\": %lu, \"requests\": %lu, \"answers\": %lu, "
            "\"resets\": %lu, \"failures\": %lu, \"corrupt\": %lu, \"bytes_in\": %lu, "
            "\"bytes_out\": %lu}",
            origin->connections, origin->requests, origin->answers, origin->resets,
            origin->failures, origin->corrupt, origin->bytes_in, origin->bytes_out);
    fprintf(out, ",\n \"cycles_per_second\": %lu, \"phases\": {", clock_cycles_per_second());
    bool first = true;
    for (int i = 0; i < LOAD_PHASES; i++) {
        if (!was_seen(load, i))
            continue;
        fprintf(out, "%s\n  \"%s\": ", first ? "" : ",", phase_names[i]);
        json_phase(&load->client.phases[i], out);
        first = false;
    }
    fprintf(out, "}}\n");
}
