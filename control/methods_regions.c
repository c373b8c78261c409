/*
 * methods_regions: regions and backends, as failover and workers know them.
 */
#include "control/config_values.h"
#include "control/load_sum.h"
#include "control/methods_internal.h"
#include "dataplane/base/clock.h"

#include <string.h>

static void set_proposal(json_t *entry, const struct failover_region_view *view)
{
    json_t *proposal = json_object();
    set_text(proposal, "to", view->proposed);
    set_text(proposal, "evidence", view->proposal_evidence);
    set_number(proposal, "left_ms", view->proposal_left_ms);
    json_object_set_new(entry, "proposal", proposal);
}

void method_set_local(json_t *entry, const struct failover_local_view *view)
{
    if (view->order == NULL)
        return;
    json_t *local = json_object();
    set_text(local, "order", view->order);
    set_text(local, "by", view->by);
    set_bool(local, "offered", view->offered);
    set_number(local, "left_ms", view->left_ms);
    json_object_set_new(entry, "local", local);
}

static json_t *region_entry(struct methods *methods, uint32_t index)
{
    struct failover_region_view view;
    json_t *entry = json_object();
    failover_region_view(daemon_failover(methods->daemon), index, &view);
    set_text(entry, "name", view.name);
    set_bool(entry, "active", view.active);
    set_text(entry, "automatic", view.automatic);
    set_text(entry, "override", view.override);
    set_number(entry, "override_left_ms", view.override_left_ms);
    set_text(entry, "effective", view.effective);
    method_set_local(entry, &view.local);
    set_number(entry, "share_permille", view.share_permille);
    json_object_set_new(entry, "availability", json_real(view.availability));
    set_number(entry, "usable_backends", view.usable_backends);
    set_number(entry, "backends", view.backends);
    set_number(entry, "since_unix_ms", view.since_ms);
    set_number(entry, "epoch", view.epoch);
    set_number(entry, "hold_down_left_ms", view.hold_down_left_ms);
    set_number(entry, "votes_fresh", view.votes_fresh);
    set_number(entry, "votes_agreeing", view.votes_agreeing);
    set_number(entry, "votes_blind", view.votes_blind);
    set_number(entry, "votes_stale", view.votes_stale);
    set_text(entry, "on_failure", view.on_failure);
    set_text(entry, "on_recovery", view.on_recovery);
    set_text(entry, "reason", view.reason);
    set_number(entry, "capacity", view.capacity);
    if (view.proposed != NULL)
        set_proposal(entry, &view);
    return entry;
}

void method_region_list(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    json_t *regions = json_array();
    struct failover_view view;
    failover_view(daemon_failover(methods->daemon), &view);
    for (uint32_t i = 0; i < daemon_config(methods->daemon)->region_count; i++)
        json_array_append_new(regions, region_entry(methods, i));
    rpc_answer(call, json_pack("{s:o, s:o}", "regions", regions, "failover",
                               method_failover_entry(&view)));
}

static void command_done(void *context, bool ok, const char *text)
{
    struct rpc_call *call = context;
    if (ok)
        rpc_answer(call, json_pack("{s:b, s:o}", "done", 1, "text", rpc_text(text)));
    else
        rpc_refuse(call, RPC_REFUSED, NULL, "%s", text);
}

/* What a command takes beside the region. */
enum command_ttl {
    TTL_NONE,
    TTL_UNTIL_UNDONE, /* when it is not given */
    TTL_FORCED,       /* failover.force_ttl when it is not given; 0s: until undone */
};

#define OUT_RULES (REGION_RULE_S1 | REGION_RULE_S4) /* what can be in the way of taking one out */
#define ALL_RULES                                                                                  \
    (REGION_RULE_S1 | REGION_RULE_S2 | REGION_RULE_S3 | REGION_RULE_S4 | REGION_RULE_S5)

static const struct {
    enum command_ttl ttl;
    bool of_all;    /* regions */
    uint32_t rules; /* that can be named by `despite` */
} command_rules[FAILOVER_COMMANDS] = {
    [FAILOVER_DRAIN] = {TTL_UNTIL_UNDONE, false, OUT_RULES},
    [FAILOVER_UNDRAIN] = {TTL_NONE, false, 0},
    [FAILOVER_FORCE_UP] = {TTL_FORCED, false, 0},
    [FAILOVER_FORCE_DOWN] = {TTL_FORCED, false, OUT_RULES},
    [FAILOVER_UNFORCE] = {TTL_NONE, false, OUT_RULES},
    [FAILOVER_APPROVE] = {TTL_NONE, false, ALL_RULES},
    [FAILOVER_REJECT] = {TTL_NONE, false, 0},
    [FAILOVER_FREEZE] = {TTL_UNTIL_UNDONE, true, 0},
    [FAILOVER_THAW] = {TTL_NONE, true, 0},
};

static bool read_region(const struct config *config, struct rpc_call *call,
                        const json_t *parameters, uint32_t *out)
{
    const char *name = json_string_value(json_object_get(parameters, "region"));
    for (*out = 0; *out < config->region_count; ++*out)
        if (strcmp(config->regions[*out].name, name) == 0)
            return true;
    rpc_refuse(call, RPC_INVALID_PARAMETERS, NULL, "region: no region \"%.100s\"", name);
    return false;
}

static bool read_ttl(const struct config *config, struct rpc_call *call, const json_t *parameters,
                     enum command_ttl kind, uint64_t *out_ms)
{
    const char *text = json_string_value(json_object_get(parameters, "ttl"));
    uint64_t ttl_ns = kind == TTL_FORCED ? config->failover.force_ttl_ns : 0;
    bool right = text == NULL || (value_duration(text, &ttl_ns) &&
                                  (ttl_ns >= CLOCK_S || (kind == TTL_FORCED && ttl_ns == 0)));
    *out_ms = ttl_ns / CLOCK_MS;
    if (!right)
        rpc_refuse(call, RPC_INVALID_PARAMETERS, NULL, "ttl: expected at least 1s%s",
                   kind == TTL_FORCED ? ", or 0s: until undone" : "");
    return right;
}

/* The names of safety rules; RULES are those that can refuse this command. */
static bool read_despite(struct rpc_call *call, const json_t *parameters, uint32_t rules,
                         uint32_t *out)
{
    size_t index;
    json_t *name;
    char expected[REGION_RULES_TEXT_MAX];
    *out = 0;
    json_array_foreach(json_object_get(parameters, "despite"), index, name)
    {
        uint32_t rule = region_rule_of(json_string_value(name)) & rules;
        if (rule == 0) {
            rpc_refuse(call, RPC_INVALID_PARAMETERS, NULL, "despite: expected some of %s",
                       region_rules_text(rules, expected));
            return false;
        }
        *out |= rule;
    }
    return true;
}

static json_t *vote_entry(const struct region_vote *vote, uint32_t region)
{
    const struct region_opinion *opinion = &vote->regions[region];
    json_t *entry = json_object();
    set_text(entry, "node", vote->node);
    set_number(entry, "age_ms", vote->age_ms);
    set_number(entry, "epoch", vote->epoch);
    set_bool(entry, "blind", vote->blind);
    json_object_set_new(entry, "availability", json_real(opinion->available_permille / 1000.0));
    set_number(entry, "usable_backends", opinion->usable);
    set_number(entry, "in_flight", opinion->in_flight);
    if (opinion->capacity != REGION_CAPACITY_UNKNOWN)
        set_number(entry, "capacity", (uint64_t)opinion->capacity);
    return entry;
}

static json_t *way_entry(const struct region_way *way, uint32_t needed)
{
    char text[REGION_REASON_MAX];
    json_t *entry = json_object();
    set_text(entry, "to", region_automatic_name(way->to));
    set_text(entry, "when", way->evidence);
    set_number(entry, "for_ms", way->dwell_ms);
    set_number(entry, "votes_holding", way->holding);
    set_number(entry, "votes_agreeing", way->agreeing);
    set_bool(entry, "asked", way->asked);
    if (way->asked)
        set_number(entry, "wait_ms", way->wait_ms);
    set_text(entry, "rules", region_answer_name(way->answer));
    set_text(entry, "text", region_way_text(way, needed, text));
    return entry;
}

void method_region_explain(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    const struct failover *failover = daemon_failover(methods->daemon);
    const struct region_votes *votes = failover_votes(failover);
    struct region_explanation explanation;
    uint32_t region;
    if (!read_region(daemon_config(methods->daemon), call, parameters, &region))
        return;
    failover_explain(failover, region, &explanation);
    json_t *result = json_pack("{s:o, s:o, s:o}", "region", region_entry(methods, region), "votes",
                               json_array(), "next", json_array());
    for (uint32_t i = 0; i < votes->count; i++)
        json_array_append_new(json_object_get(result, "votes"),
                              vote_entry(&votes->votes[i], region));
    for (uint32_t i = 0; i < explanation.way_count; i++)
        json_array_append_new(json_object_get(result, "next"),
                              way_entry(&explanation.ways[i], explanation.needed));
    set_number(result, "votes_fresh", explanation.fresh);
    set_number(result, "votes_seeing", explanation.seeing);
    set_number(result, "votes_needed", explanation.needed);
    set_number(result, "penalty", explanation.penalty);
    set_bool(result, "kept_out", explanation.kept_out);
    rpc_answer(call, result);
}

static void command(struct methods *methods, struct rpc_call *call, const json_t *parameters,
                    enum failover_command what)
{
    const struct config *config = daemon_config(methods->daemon);
    struct failover_order order = {.command = what, .by = rpc_who(call)};
    if (!command_rules[what].of_all && !read_region(config, call, parameters, &order.region))
        return;
    order.local = json_is_true(json_object_get(parameters, "local"));
    if (!read_ttl(config, call, parameters, command_rules[what].ttl, &order.ttl_ms) ||
        !read_despite(call, parameters, command_rules[what].rules, &order.despite))
        return;
    failover_command(daemon_failover(methods->daemon), &order, command_done, call);
}

#define COMMAND(name, what)                                                                        \
    void method_region_##name(struct methods *methods, struct rpc_call *call,                      \
                              const json_t *parameters)                                            \
    {                                                                                              \
        command(methods, call, parameters, what);                                                  \
    }
COMMAND(drain, FAILOVER_DRAIN)
COMMAND(undrain, FAILOVER_UNDRAIN)
COMMAND(force_up, FAILOVER_FORCE_UP)
COMMAND(force_down, FAILOVER_FORCE_DOWN)
COMMAND(unforce, FAILOVER_UNFORCE)
COMMAND(approve, FAILOVER_APPROVE)
COMMAND(reject, FAILOVER_REJECT)
COMMAND(freeze, FAILOVER_FREEZE)
COMMAND(thaw, FAILOVER_THAW)
#undef COMMAND

/* Attempts and connections of all workers together. */
static void set_load(json_t *entry, struct daemon *daemon, const struct config_backend *backend)
{
    struct load_sum load = load_sum(daemon, backend);
    set_number(entry, "in_flight", load.in_flight);
    set_number(entry, "connections", load.connections);
    set_number(entry, "succeeded", load.succeeded);
    set_number(entry, "failed", load.failed);
}

static json_t *backend_entry(struct methods *methods, const struct config_backend *backend)
{
    const struct config *config = daemon_config(methods->daemon);
    const struct failover *failover = daemon_failover(methods->daemon);
    struct failover_backend_view view;
    char address[INET6_ADDRSTRLEN];
    json_t *entry = json_object();
    failover_backend_view(failover, backend->slot, &view);
    set_text(entry, "name", backend->name);
    set_bool(entry, "usable", failover_backend_usable(failover, backend->slot));
    set_text(entry, "service", config->services[backend->service].name);
    set_text(entry, "region", config->regions[backend->region].name);
    set_text(entry, "address", ip_address_format(&backend->address, address));
    set_number(entry, "port", backend->port);
    set_number(entry, "weight", backend->weight);
    set_number(entry, "weight_now", view.weight);
    set_text(entry, "state", view.state);
    set_number(entry, "since_unix_ms", view.since_ms);
    set_bool(entry, "ejected", view.ejected);
    set_number(entry, "ejected_left_ms", view.ejected_left_ms);
    set_text(entry, "last_probe", view.last_probe);
    set_number(entry, "last_probe_took_ns", view.last_probe_took_ns);
    set_load(entry, methods->daemon, backend);
    return entry;
}

void method_backend_list(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    const struct config *config = daemon_config(methods->daemon);
    json_t *backends = json_array();
    for (uint32_t i = 0; i < config->backend_count; i++)
        json_array_append_new(backends, backend_entry(methods, &config->backends[i]));
    rpc_answer(call, json_pack("{s:o}", "backends", backends));
}
