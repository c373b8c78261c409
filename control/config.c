/*
 * config: from a file or a document to a checked configuration.
 */
#include "control/config.h"

#include "control/config_check.h"
#include "control/config_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void config_findings_free(struct config_findings *findings)
{
    for (uint32_t i = 0; i < findings->count; i++)
        free(findings->lines[i]);
    free(findings->lines);
    *findings = (struct config_findings){0};
}

/* The roster of a node that names none is itself. */
static void default_roster(struct config *config)
{
    if (config->failover.node_count > 0)
        return;
    config->failover.nodes = config_take(config, CONFIG_NAME_MAX);
    memcpy(config->failover.nodes[0], config->node, CONFIG_NAME_MAX);
    config->failover.node_count = 1;
}

struct config *config_read_json(const struct json_t *document, const struct config *previous,
                                struct config_findings *findings)
{
    struct config *config = calloc(1, sizeof(*config));
    if (config == NULL) {
        config_found(findings, "(document)", "no memory to read it");
        return NULL;
    }
    struct config_reader reader = {config, findings};
    uint32_t before = findings->count;
    config_read_object(&reader, "", document, &config_root, config, false);
    config_read_backends(&reader, json_object_get(document, "services"));
    if (findings->count == before)
        config_check(&reader);
    if (findings->count > before) {
        config_free(config);
        return NULL;
    }
    default_roster(config);
    config_assign_slots(config, previous);
    config->source = json_incref((json_t *)document);
    return config;
}

struct config *config_read_file(const char *path, const struct config *previous,
                                struct config_findings *findings)
{
    json_error_t error;
    json_t *document = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (document == NULL) {
        if (error.line < 0)
            config_found(findings, path, "cannot be read: %s", error.text);
        else
            config_found(findings, path, "line %d, column %d: %s", error.line, error.column,
                         error.text);
        return NULL;
    }
    struct config *config = config_read_json(document, previous, findings);
    json_decref(document);
    return config;
}

uint64_t config_memory_bytes(const struct config *config)
{
    const struct config_limits *limits = &config->limits;
    uint64_t connections = (uint64_t)limits->client_connections + limits->upstream_connections;
    uint64_t worker = connections * 4096                /* TCP, HTTP/2, spans, blocks */
                      + connections * 2 * 5120          /* HPACK tables */
                      + (uint64_t)limits->streams * 512 /* HTTP/2 streams */
                      + (uint64_t)limits->exchanges * (1024 + 2048 + limits->header_bytes / 8) +
                      (uint64_t)limits->flights * (8192 + 3 * (2048 + limits->header_bytes / 8)) +
                      limits->payload_bytes + limits->payload_bytes / 16 +
                      (uint64_t)limits->time_wait * 128 + (uint64_t)limits->neighbours * 256 +
                      (64ull << 20); /* rings, tables, scratch */
    uint64_t ports = 0;
    for (uint32_t i = 0; i < config->port_count; i++)
        ports += (uint64_t)config->ports[i].mbufs * 2560;
    uint64_t shared = (uint64_t)limits->coalesce_keys * 64 + (16ull << 20);
    uint64_t lanes = (uint64_t)config->workers * config->workers * (512ull << 10);
    return config->workers * (worker + ports) + shared + lanes;
}
