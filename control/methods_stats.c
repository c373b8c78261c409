/*
 * methods_stats: counters and histograms of the workers.
 */
#include "control/histogram_sum.h"
#include "control/methods_internal.h"

#include <string.h>

static json_t *counter_entry(struct methods *methods, uint32_t index)
{
    const struct counter_description *what = &counter_descriptions[index];
    json_t *entry = json_object();
    json_t *parts = json_array();
    uint64_t sum = 0;
    for (uint32_t i = 0; i < daemon_worker_count(methods->daemon); i++) {
        uint64_t value = worker_counter(worker_counters(daemon_worker(methods->daemon, i)), index);
        json_array_append_new(parts, json_integer((json_int_t)value));
        sum += value;
    }
    set_number(entry, "sum", sum);
    json_object_set_new(entry, "workers", parts);
    set_text(entry, "unit", what->unit);
    set_text(entry, "help", what->help);
    return entry;
}

static json_t *bucket_entries(const struct histogram_sum *sum)
{
    json_t *buckets = json_array();
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (sum->buckets[i] == 0)
            continue;
        json_t *most =
            i + 1 < HISTOGRAM_BUCKETS ? json_integer((json_int_t)histogram_bound(i)) : json_null();
        json_array_append_new(
            buckets, json_pack("{s:o, s:I}", "most", most, "count", (json_int_t)sum->buckets[i]));
    }
    return buckets;
}

static json_t *histogram_entry(struct methods *methods, uint32_t index)
{
    const struct histogram_description *what = &histogram_descriptions[index];
    struct histogram_sum sum = {0};
    json_t *entry = json_object();
    for (uint32_t i = 0; i < daemon_worker_count(methods->daemon); i++)
        histogram_sum_add(
            &sum, worker_histogram(worker_counters(daemon_worker(methods->daemon, i)), index));
    set_number(entry, "count", sum.count);
    set_number(entry, "sum", sum.sum);
    set_number(entry, "p50", histogram_quantile(&sum, 0.5));
    set_number(entry, "p99", histogram_quantile(&sum, 0.99));
    json_object_set_new(entry, "buckets", bucket_entries(&sum));
    set_text(entry, "unit", what->unit);
    set_text(entry, "help", what->help);
    return entry;
}

static bool is_asked(const char *prefix, const char *layer, const char *member, char name[128])
{
    snprintf(name, 128, "%s.%s", layer, member);
    return prefix == NULL || strncmp(name, prefix, strlen(prefix)) == 0;
}

void method_stats(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    const char *prefix = json_string_value(json_object_get(parameters, "prefix"));
    json_t *counters = json_object();
    json_t *histograms = json_object();
    char name[128];
    for (uint32_t i = 0; i < counter_description_count; i++)
        if (is_asked(prefix, counter_descriptions[i].layer, counter_descriptions[i].name, name))
            json_object_set_new(counters, name, counter_entry(methods, i));
    for (uint32_t i = 0; i < histogram_description_count; i++)
        if (is_asked(prefix, histogram_descriptions[i].layer, histogram_descriptions[i].name, name))
            json_object_set_new(histograms, name, histogram_entry(methods, i));
    rpc_answer(call, json_pack("{s:o, s:o}", "counters", counters, "histograms", histograms));
}
