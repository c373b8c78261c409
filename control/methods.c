#include "control/methods.h"

#include "control/config_values.h"
#include "control/methods_internal.h"
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <stdlib.h>
#include <string.h>

static method_run run_help;

#define REGION_PARAMETER                                                                           \
    {                                                                                              \
        "region", PARAMETER_TEXT, true, "name of a region"                                         \
    }
#define FORCE_TTL_PARAMETER                                                                        \
    {                                                                                              \
        "ttl", PARAMETER_DURATION, false,                                                          \
            "unforce by itself after so long; 0s: never; default: failover.force_ttl"              \
    }
#define DESPITE_PARAMETER                                                                          \
    {                                                                                              \
        "despite", PARAMETER_NAMES, false,                                                         \
            "[\"S1\"]: also when no other region is active; [\"S4\"]: without a limit of "         \
            "admission; "                                                                          \
            "stands in the audit"                                                                  \
    }
#define LOCAL_PARAMETER                                                                            \
    {                                                                                              \
        "local", PARAMETER_FLAG, false,                                                            \
            "on this node alone, while the store is away; then it is offered for all nodes"        \
    }
#define OFFER_PARAMETER                                                                            \
    {                                                                                              \
        "local", PARAMETER_FLAG, false,                                                            \
            "what was ordered with `local` on this node, and is offered since the store is back"   \
    }
#define CONFIG_PARAMETER                                                                           \
    {                                                                                              \
        "config", PARAMETER_OBJECT, true, "a whole configuration"                                  \
    }

const struct method method_table[] = {
    {"status",
     {{0}},
     "the process: node, uptime, store, frozen, what differs from the start",
     method_status},
    {"port.list", {{0}}, "DPDK ports: what they offer, what they counted", method_port_list},
    {"worker.list",
     {{0}},
     "workers: how busy in the last second, turns, packets",
     method_worker_list},
    {"region.list", {{0}}, "regions: agreed state, this node's opinion, votes", method_region_list},
    {"region.explain",
     {REGION_PARAMETER},
     "why a region is as it is: votes, and what would change it, when, and what holds that back",
     method_region_explain},
    {"region.drain",
     {REGION_PARAMETER,
      {"ttl", PARAMETER_DURATION, false, "undrain by itself after so long; default: never"},
      DESPITE_PARAMETER,
      LOCAL_PARAMETER},
     "no new flights to a region, those under way go on",
     method_region_drain},
    {"region.undrain",
     {REGION_PARAMETER, LOCAL_PARAMETER},
     "end a drain; the region comes back by its ramp",
     method_region_undrain},
    {"region.force_up",
     {REGION_PARAMETER, FORCE_TTL_PARAMETER, LOCAL_PARAMETER},
     "full share for a region, whatever is found",
     method_region_force_up},
    {"region.force_down",
     {REGION_PARAMETER, FORCE_TTL_PARAMETER, DESPITE_PARAMETER, LOCAL_PARAMETER},
     "no new flights to a region, whatever is found",
     method_region_force_down},
    {"region.unforce",
     {REGION_PARAMETER, DESPITE_PARAMETER, LOCAL_PARAMETER},
     "end a force; what automation has found meanwhile counts",
     method_region_unforce},
    {"region.approve",
     {REGION_PARAMETER,
      {"despite", PARAMETER_NAMES, false,
       "safety rules that do not refuse, S1 to S5; stands in the audit"},
      OFFER_PARAMETER},
     "do what is proposed for a region, also while rule S3 has frozen automation, which ends; "
     "refused "
     "when the votes do not ask for it now",
     method_region_approve},
    {"region.reject",
     {REGION_PARAMETER, OFFER_PARAMETER},
     "withdraw what is proposed for a region; not proposed again for failover.proposal_ttl",
     method_region_reject},
    {"region.freeze",
     {{"ttl", PARAMETER_DURATION, false, "until then; default: until thawed"}, LOCAL_PARAMETER},
     "automation off: no region changes by itself; requests, probes and detours go on",
     method_region_freeze},
    {"region.thaw",
     {LOCAL_PARAMETER},
     "automation on again, also when rule S3 has frozen it",
     method_region_thaw},
    {"audit.tail",
     {{"local", PARAMETER_FLAG, false, "what this node has seen, also when the store is there"}},
     "the newest 256 changes and orders of all nodes, from the store's record; without it what "
     "this "
     "node has seen since its start: changes, orders, alarms, health; `source` says which",
     method_audit_tail},
    {"node.remove",
     {{"node", PARAMETER_TEXT, true, "a name in failover.nodes"}},
     "take a node out of the roster of this node's configuration, as config.apply would",
     method_node_remove},
    {"node.drain",
     {{0}},
     "this node takes no new connections, says so to those that watch /ready, and tells clients to "
     "go",
     method_node_drain},
    {"node.undrain", {{0}}, "this node takes connections again", method_node_undrain},
    {"backend.list", {{0}}, "backends: health, last probe, load", method_backend_list},
    {"flight.list", {{0}}, "flights under way, at most 256 a worker", method_flight_list},
    {"flight.kill",
     {{"id", PARAMETER_TEXT, true, "as flight.list shows it"}},
     "end a flight: who waits gets 503, or a reset when the answer has begun",
     method_flight_kill},
    {"coalesce.route",
     {{"route", PARAMETER_TEXT, true, "name of a route"},
      {"mode", PARAMETER_TEXT, true, "off, shadow, get or post-body"}},
     "change a route's coalesce.mode, as config.apply would; flights under way go on",
     method_coalesce_route},
    {"stats",
     {{"prefix", PARAMETER_TEXT, false, "only those whose name begins so: \"tcp.\""}},
     "counters by layer: the sum, and each worker's part; histograms of all workers",
     method_stats},
    {"log.reopen",
     {{0}},
     "open log files anew, behind what was written so far: they have been renamed",
     method_log_reopen},
    {"config.validate",
     {CONFIG_PARAMETER},
     "what is wrong with a configuration, and what of it needs a restart",
     method_config_validate},
    {"config.apply",
     {CONFIG_PARAMETER},
     "replace the configuration at once and as a whole; kept in state_dir/running.json",
     method_config_apply},
    {"config.get", {{0}}, "the configuration that is applied, as it was given", method_config_get},
    {"certificate.reload",
     {{0}},
     "read certificates, their keys and the ticket keys again; connections go on",
     method_certificate_reload},
    {"help", {{0}}, "these methods", run_help},
};

const uint32_t method_count = array_count(method_table);

static const char *const type_names[] = {
    [PARAMETER_TEXT] = "text",          [PARAMETER_DURATION] = "duration",
    [PARAMETER_OBJECT] = "object",      [PARAMETER_NAMES] = "list of texts",
    [PARAMETER_FLAG] = "true or false",
};

static json_t *describe_parameter(const struct method_parameter *parameter)
{
    return json_pack("{s:s, s:s, s:b, s:s}", "name", parameter->name, "type",
                     type_names[parameter->type], "required", (int)parameter->required, "help",
                     parameter->help);
}

static json_t *describe(const struct method *method)
{
    json_t *parameters = json_array();
    for (uint32_t i = 0; i < METHOD_PARAMETERS_MAX && method->parameters[i].name != NULL; i++)
        json_array_append_new(parameters, describe_parameter(&method->parameters[i]));
    return json_pack("{s:s, s:s, s:o}", "name", method->name, "help", method->help, "parameters",
                     parameters);
}

static void run_help(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < method_count; i++)
        json_array_append_new(list, describe(&method_table[i]));
    rpc_answer(call, json_pack("{s:o}", "methods", list));
}

void methods_print(FILE *out)
{
    fprintf(out, "| Method | Parameters | |\n|---|---|---|\n");
    for (uint32_t i = 0; i < method_count; i++) {
        const struct method *method = &method_table[i];
        fprintf(out, "| `%s` | ", method->name);
        for (uint32_t p = 0; p < METHOD_PARAMETERS_MAX && method->parameters[p].name != NULL; p++) {
            const struct method_parameter *parameter = &method->parameters[p];
            fprintf(out, "%s`%s`: %s%s, %s", p > 0 ? "; " : "", parameter->name,
                    parameter->required ? "" : "optional ", type_names[parameter->type],
                    parameter->help);
        }
        fprintf(out, " | %s |\n", method->help);
    }
}

struct methods *methods_create(struct daemon *daemon, char *message, size_t message_size)
{
    struct methods *methods = calloc(1, sizeof(*methods));
    if (methods == NULL) {
        snprintf(message, message_size, "control.socket: no memory");
        return NULL;
    }
    methods->daemon = daemon;
    methods->created_ns = loop_now_ns(daemon_loop(daemon));
    methods->busy = busy_create(daemon);
    methods->running_file = running_file_create(daemon_config(daemon)->state_dir);
    methods->start = json_load_file(daemon_config_path(daemon), 0, NULL);
    if (methods->busy != NULL && methods->running_file != NULL)
        return methods;
    snprintf(message, message_size, "control.socket: no memory");
    methods_destroy(methods);
    return NULL;
}

void methods_destroy(struct methods *methods)
{
    if (methods == NULL)
        return;
    busy_destroy(methods->busy);
    running_file_destroy(methods->running_file);
    json_decref(methods->start);
    free(methods);
}

static const struct method *find_method(const char *name)
{
    for (uint32_t i = 0; i < method_count; i++)
        if (strcmp(method_table[i].name, name) == 0)
            return &method_table[i];
    return NULL;
}

static const struct method_parameter *find_parameter(const struct method *method, const char *name)
{
    for (uint32_t i = 0; i < METHOD_PARAMETERS_MAX && method->parameters[i].name != NULL; i++)
        if (strcmp(method->parameters[i].name, name) == 0)
            return &method->parameters[i];
    return NULL;
}

static bool are_texts(const json_t *list)
{
    size_t index;
    json_t *value;
    json_array_foreach(list, index, value)
    {
        if (!json_is_string(value))
            return false;
    }
    return json_is_array(list);
}

static bool fits(const struct method_parameter *parameter, const json_t *value)
{
    uint64_t ns;
    switch (parameter->type) {
    case PARAMETER_TEXT:
        return json_is_string(value);
    case PARAMETER_DURATION:
        return json_is_string(value) && value_duration(json_string_value(value), &ns);
    case PARAMETER_OBJECT:
        return json_is_object(value);
    case PARAMETER_NAMES:
        return are_texts(value);
    case PARAMETER_FLAG:
        return json_is_boolean(value);
    }
    return false;
}

/* Whether PARAMETERS are those of the method; else the fault is in MESSAGE. */
static bool check_parameters(const struct method *method, const json_t *parameters, char *message,
                             size_t size)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)parameters, name, value)
    {
        const struct method_parameter *known = find_parameter(method, name);
        if (known != NULL && fits(known, value))
            continue;
        if (known != NULL)
            snprintf(message, size, "%s: expected a value of type %s: %s", name,
                     type_names[known->type], known->help);
        else
            snprintf(message, size, "%s: not a parameter of %s", name, method->name);
        return false;
    }
    for (uint32_t i = 0; i < METHOD_PARAMETERS_MAX && method->parameters[i].name != NULL; i++) {
        const struct method_parameter *known = &method->parameters[i];
        if (!known->required || json_object_get(parameters, known->name) != NULL)
            continue;
        snprintf(message, size, "%s: missing; expected a value of type %s: %s", known->name,
                 type_names[known->type], known->help);
        return false;
    }
    return true;
}

/* By position to by name. NULL: too many. */
static json_t *name_parameters(const struct method *method, const json_t *list)
{
    json_t *object = json_object();
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (i == METHOD_PARAMETERS_MAX || method->parameters[i].name == NULL) {
            json_decref(object);
            return NULL;
        }
        json_object_set(object, method->parameters[i].name, json_array_get(list, i));
    }
    return object;
}

void methods_call(struct methods *methods, struct rpc_call *call, const char *name,
                  const json_t *parameters)
{
    char message[512];
    const struct method *method = find_method(name);
    if (method == NULL) {
        rpc_refuse(call, RPC_UNKNOWN_METHOD, NULL, "no method \"%.100s\"; see `help`", name);
        return;
    }
    json_t *named = json_is_object(parameters) ? json_incref((json_t *)parameters)
                                               : name_parameters(method, parameters);
    if (named == NULL)
        rpc_refuse(call, RPC_INVALID_PARAMETERS, NULL, "more parameters than %s has", name);
    else if (!check_parameters(method, named, message, sizeof(message)))
        rpc_refuse(call, RPC_INVALID_PARAMETERS, NULL, "%s", message);
    else
        method->run(methods, call, named);
    json_decref(named);
}
