/*
 * methods_config: look at, check and replace the configuration.
 */
#include "control/methods_internal.h"

#include "control/config_keys.h"
#include "control/log.h"

#include <stdlib.h>
#include <string.h>

#define DIFFERENCES_MAX 32

/* Takes FINDINGS' lines. */
static json_t *lines_of(struct config_findings *findings)
{
    json_t *lines = json_array();
    for (uint32_t i = 0; i < findings->count; i++)
        json_array_append_new(lines, rpc_text(findings->lines[i]));
    config_findings_free(findings);
    return lines;
}

static struct config *read_config(struct methods *methods, const json_t *document,
                                  struct config_findings *findings)
{
    return config_read_json(document, daemon_config(methods->daemon), findings);
}

void method_config_validate(struct methods *methods, struct rpc_call *call,
                            const json_t *parameters)
{
    struct config_findings findings = {0};
    struct config_findings restart = {0};
    struct config *config = read_config(methods, json_object_get(parameters, "config"), &findings);
    json_t *result = json_object();
    set_bool(result, "valid", config != NULL);
    json_object_set_new(result, "findings", lines_of(&findings));
    if (config != NULL) {
        config_needs_restart(daemon_config(methods->daemon), config, &restart);
        json_object_set_new(result, "needs_restart", lines_of(&restart));
        set_number(result, "memory_bytes", config_memory_bytes(config));
    }
    config_free(config);
    rpc_answer(call, result);
}

static void keep(struct methods *methods, const struct config *config)
{
    char *text = json_dumps(config->source, JSON_INDENT(2));
    if (text == NULL)
        log_line(LOG_LEVEL_ERROR, "no memory to write running.json");
    else
        running_file_write(methods->running_file, text);
}

/* Check DOCUMENT, replace the configuration by it, keep it, answer. */
static void apply(struct methods *methods, struct rpc_call *call, const json_t *document)
{
    struct config_findings findings = {0};
    struct config_findings restart = {0};
    char message[512] = "";
    struct config *config = read_config(methods, document, &findings);
    if (config == NULL) {
        rpc_refuse(call, RPC_FINDINGS, json_pack("{s:o}", "findings", lines_of(&findings)),
                   "the configuration is wrong; nothing was changed");
        return;
    }
    config_needs_restart(daemon_config(methods->daemon), config, &restart);
    if (restart.count > 0) {
        config_free(config);
        rpc_refuse(call, RPC_NEEDS_RESTART, json_pack("{s:o}", "needs_restart", lines_of(&restart)),
                   "part of it needs a restart; nothing was changed");
        return;
    }
    if (!daemon_apply(methods->daemon, config, message, sizeof(message))) {
        config_free(config);
        rpc_refuse(call, RPC_REFUSED, NULL, "%s; nothing was changed", message);
        return;
    }
    keep(methods, config);
    rpc_answer(call, json_pack("{s:b, s:I}", "applied", 1, "snapshot",
                               (json_int_t)daemon_snapshot_generation(methods->daemon)));
}

void method_config_apply(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    log_line(LOG_LEVEL_INFO, "config.apply by %s", rpc_who(call));
    apply(methods, call, json_object_get(parameters, "config"));
}

/* The element of the list `routes` with the name, or NULL. */
static json_t *route_named(json_t *document, const char *name)
{
    json_t *route;
    size_t index;
    json_array_foreach(json_object_get(document, "routes"), index, route)
    {
        const char *given = json_string_value(json_object_get(route, "name"));
        if (given != NULL && strcmp(given, name) == 0)
            return route;
    }
    return NULL;
}

void method_coalesce_route(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    json_t *document = json_deep_copy(daemon_config(methods->daemon)->source);
    const char *name = json_string_value(json_object_get(parameters, "route"));
    json_t *route = route_named(document, name);
    if (route == NULL) {
        rpc_refuse(call, RPC_INVALID_PARAMETERS, NULL, "route: no route \"%.100s\"", name);
        json_decref(document);
        return;
    }
    json_t *coalesce = json_object_get(route, "coalesce");
    if (coalesce == NULL) {
        coalesce = json_object();
        json_object_set_new(route, "coalesce", coalesce);
    }
    json_object_set(coalesce, "mode", json_object_get(parameters, "mode"));
    log_line(LOG_LEVEL_INFO, "coalesce.route %s by %s", name, rpc_who(call));
    apply(methods, call, document);
    json_decref(document);
}

/* The index of a text in a list, or -1. */
static int index_of(const json_t *list, const char *text)
{
    size_t index;
    json_t *value;
    json_array_foreach(list, index, value)
    {
        if (json_is_string(value) && strcmp(json_string_value(value), text) == 0)
            return (int)index;
    }
    return -1;
}

void method_node_remove(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    json_t *document = json_deep_copy(daemon_config(methods->daemon)->source);
    json_t *nodes = json_object_get(json_object_get(document, "failover"), "nodes");
    const char *name = json_string_value(json_object_get(parameters, "node"));
    int index = index_of(nodes, name);
    if (index < 0) {
        rpc_refuse(call, RPC_INVALID_PARAMETERS, NULL, "node: failover.nodes has no \"%.100s\"",
                   name);
    } else {
        json_array_remove(nodes, (size_t)index);
        log_line(LOG_LEVEL_INFO, "node.remove %s by %s", name, rpc_who(call));
        apply(methods, call, document);
    }
    json_decref(document);
}

/* The files are read whenever a configuration is. */
void method_certificate_reload(struct methods *methods, struct rpc_call *call,
                               const json_t *parameters)
{
    json_t *document = json_incref(daemon_config(methods->daemon)->source);
    log_line(LOG_LEVEL_INFO, "certificate.reload by %s", rpc_who(call));
    apply(methods, call, document);
    json_decref(document);
}

void method_config_get(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    rpc_answer(call, json_pack("{s:O}", "config", daemon_config(methods->daemon)->source));
}

static void add_difference(json_t *out, const char *path)
{
    if (json_array_size(out) < DIFFERENCES_MAX)
        json_array_append_new(out, json_string(path));
}

/* Two levels deep: `failover.hold_down`, but `services` as a whole. */
json_t *method_config_differences(const struct methods *methods)
{
    const json_t *now = daemon_config(methods->daemon)->source;
    json_t *out = json_array();
    for (uint32_t i = 0; i < config_root.key_count; i++) {
        const struct config_key *key = &config_root.keys[i];
        const json_t *a = json_object_get(methods->start, key->name);
        const json_t *b = json_object_get(now, key->name);
        if (a == b || json_equal(a, b))
            continue;
        if (key->type != KEY_OBJECT) {
            add_difference(out, key->name);
            continue;
        }
        for (uint32_t j = 0; j < key->object->key_count; j++) {
            const char *inner = key->object->keys[j].name;
            char path[CONFIG_NAME_MAX * 2];
            snprintf(path, sizeof(path), "%s.%s", key->name, inner);
            if (!json_equal(json_object_get(a, inner), json_object_get(b, inner)) &&
                (json_object_get(a, inner) != NULL || json_object_get(b, inner) != NULL))
                add_difference(out, path);
        }
    }
    return out;
}
