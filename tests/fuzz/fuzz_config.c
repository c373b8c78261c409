/*
 * fuzz_config: the configuration's reader. An input is a JSON object that is laid over a valid
 * document, object by object, so that short inputs reach every key; or, behind a first byte '!', a
 * document of its own. Whatever it says: either there are findings, each with a path and one line
 * long, or there is a configuration that keeps what the workers rely on.
 */
#include "tests/fuzz/fuzz.h"

#include "control/config.h"
#include "dataplane/base/check.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char base_text[] =
    "{\"node\":\"edge-1\",\"ports\":[{\"name\":\"p\",\"device\":\"net_ring0\",\"interfaces\":"
    "[{\"addresses\":[\"10.0.0.80/24\",\"fd00::80/64\"]}]}],"
    "\"listeners\":[{\"name\":\"w\",\"address\":\"10.0.0.80\",\"port\":80}],"
    "\"regions\":[{\"name\":\"eu\"},{\"name\":\"us\"}],"
    "\"services\":[{\"name\":\"s\",\"regions\":{"
    "\"eu\":{\"backends\":[{\"address\":\"10.1.1.1\",\"port\":80}]},"
    "\"us\":{\"backends\":[{\"address\":\"fd00::1\",\"port\":80}]}}}],"
    "\"routes\":[{\"name\":\"r\",\"service\":\"s\"}]}";

static json_t *base;
static struct config *running;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct config_findings findings = {0};
    base = json_loads(base_text, 0, NULL);
    check(base != NULL);
    running = config_read_json(base, NULL, &findings);
    check(running != NULL);
    return 0;
}

static json_t *document_of(const uint8_t *data, size_t size)
{
    bool own = size > 0 && data[0] == '!';
    const char *text = (const char *)data + own;
    json_t *input = json_loadb(text, size - own, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    if (own || input == NULL)
        return input;
    json_t *document = json_deep_copy(base);
    if (json_is_object(input))
        (void)json_object_update_recursive(document, input);
    json_decref(input);
    return document;
}

static void check_findings(const struct config_findings *findings)
{
    check(findings->count > 0);
    for (uint32_t i = 0; i < findings->count; i++)
        check(strstr(findings->lines[i], ": ") != NULL);
}

static void check_backends(const struct config *config)
{
    static bool used[SNAPSHOT_BACKENDS_MAX];
    memset(used, 0, sizeof(used));
    check(config->backend_count >= 1 && config->backend_count <= SNAPSHOT_BACKENDS_MAX);
    for (uint32_t i = 0; i < config->backend_count; i++) {
        const struct config_backend *backend = &config->backends[i];
        check(backend->slot < SNAPSHOT_BACKENDS_MAX && !used[backend->slot]);
        check(backend->generation > 0 && backend->weight > 0 && backend->port > 0);
        check(backend->service < config->service_count && backend->region < config->region_count);
        check(i == 0 || config->backends[i - 1].service < backend->service ||
              (config->backends[i - 1].service == backend->service &&
               config->backends[i - 1].region <= backend->region));
        used[backend->slot] = true;
    }
}

static void check_config(const struct config *config)
{
    struct config_findings paths = {0};
    check(config->workers >= 1 && config->port_count >= 1 && config->listener_count >= 1);
    check(config->failover.node_count >= 1 && config->failover.ramp_steps >= 1);
    check(config->failover.ramp_permille[config->failover.ramp_steps - 1] == 1000);
    check(config->limits.payload_bytes / config->limits.segment_bytes > 0);
    check(config_memory_bytes(config) > 0);
    check_backends(config);
    for (uint32_t i = 0; i < config->route_count; i++)
        check(config->routes[i].service < config->service_count &&
              config->routes[i].path_prefix[0] == '/');
    config_needs_restart(running, config, &paths);
    config_findings_free(&paths);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_findings findings = {0};
    json_t *document = document_of(data, size);
    if (document == NULL)
        return 0;
    struct config *config = config_read_json(document, running, &findings);
    if (config == NULL)
        check_findings(&findings);
    else
        check_config(config);
    config_findings_free(&findings);
    config_free(config);
    json_decref(document);
    return 0;
}
