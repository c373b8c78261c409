#include "control/config_report.h"

#include "control/config_values.h"

#include <stdio.h>
#include <unistd.h>

static void print_findings(struct config_findings *findings)
{
    for (uint32_t i = 0; i < findings->count; i++)
        fprintf(stderr, "%s\n", findings->lines[i]);
    fprintf(stderr, "%u %s\n", findings->count, findings->count == 1 ? "finding" : "findings");
    config_findings_free(findings);
}

static struct config *read_or_print(const char *path)
{
    struct config_findings findings = {0};
    struct config *config = config_read_file(path, NULL, &findings);
    if (config == NULL)
        print_findings(&findings);
    return config;
}

static void print_advice(const struct config *config)
{
    if (config->failover.node_count == 2)
        printf("note: a roster of 2 nodes survives the loss of neither; add a witness\n");
    if (config->region_count == 1)
        printf("note: one region only: there is nothing to fail over to\n");
    if (config->store.kind == CONFIG_STORE_MEMORY && config->failover.node_count > 1)
        printf("note: store \"memory\" is for one node; the others of the roster are not heard\n");
}

int config_report(const char *path)
{
    struct config *config = read_or_print(path);
    if (config == NULL)
        return 1;
    uint64_t mebibytes = config_memory_bytes(config) >> 20;
    printf("configuration ok: %u workers, %u ports, %u listeners, %u regions, %u services, "
           "%u backends, %u routes; at most %lu MiB\n",
           config->workers, config->port_count, config->listener_count, config->region_count,
           config->service_count, config->backend_count, config->route_count, mebibytes);
    print_advice(config);
    config_free(config);
    return 0;
}

struct config *config_load(const char *path, bool running)
{
    struct config *config = read_or_print(path);
    if (config == NULL || !running)
        return config;
    char applied[300];
    snprintf(applied, sizeof(applied), "%s/running.json", config->state_dir);
    if (access(applied, F_OK) != 0) {
        fprintf(stderr, "weir: %s: nothing was applied yet: starting with %s\n", applied, path);
        return config;
    }
    config_free(config);
    return read_or_print(applied);
}
