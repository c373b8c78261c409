/*
 * config: from a file or a document to a checked configuration.
 */
#include "control/config.h"

#include "control/certificates.h"
#include "control/config_check.h"
#include "control/config_reader.h"
#include "control/deny_build.h"
#include "dataplane/worker/worker.h"

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

static void build_denied(struct config_reader *reader)
{
    struct config *config = reader->config;
    bool failed;
    config->denied = deny_build(config->deny, config->deny_count, &failed);
    if (failed)
        config_found(reader->findings, "deny", "no memory for %u networks", config->deny_count);
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
    if (findings->count == before)
        build_denied(&reader);
    if (findings->count == before)
        certificates_read(&reader);
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

/* Bytes a piece, with what it brings along in other layers; test_config_memory holds them against
 * the truth. */
#define CLIENT_BYTES    1856  /* TCP, HTTP/2 and request layer of a client connection */
#define UPSTREAM_BYTES  17664 /* TCP, HTTP/2, two HPACK tables, a block */
#define HPACK_BYTES     6464
#define BLOCK_BYTES     2816 /* and its share of spans and records of what is in flight */
#define STREAM_BYTES    192
#define EXCHANGE_BYTES  3456 /* and header_bytes / 8 */
#define FLIGHT_BYTES    6528 /* and header_bytes * 9 / 32 */
#define SEGMENT_BYTES   448  /* and segment_bytes */
#define TIME_WAIT_BYTES 128
#define NEIGHBOUR_BYTES 256
#define KEY_BYTES       1280
#define RECORD_BYTES    768 /* twice, as rings are powers of two */
#define MBUF_BYTES      2688
#define WORKER_BYTES    (64ull << 20)  /* rings, tables, scratch, probes, losses of alignment */
#define SCRATCH_HEADERS 84             /* header_bytes; 64 of them are heads of HTTP/1.1 */
#define LANE_BYTES      (512ull << 10) /* between two workers */

#define TLS_CLIENT_BYTES                                                                           \
    192 /* a session, beside what OpenSSL has for it, and its part of kept bytes */
#define KEY_LINE_BYTES     256
#define TLS_UPSTREAM_BYTES (16ull << 10) /* kept bytes of a connection with a backend */
#define TLS_BYTES          (2ull << 20)  /* buffers, kept bytes of few clients */

static uint64_t tls_bytes(const struct config *config)
{
    const struct config_limits *limits = &config->limits;
    if (!certificates_need_memory(config))
        return 0;
    return limits->tls_bytes + limits->tls_bytes / 512 +
           ((uint64_t)limits->client_connections + limits->upstream_connections) *
               (256 + TLS_CLIENT_BYTES) +
           limits->upstream_connections * TLS_UPSTREAM_BYTES + TLS_BYTES +
           (uint64_t)certificates_key_lines(config) * KEY_LINE_BYTES;
}

static uint64_t worker_bytes(const struct config_limits *limits)
{
    uint64_t clients = limits->client_connections;
    uint64_t tables = limits->hpack_tables > 0 ? limits->hpack_tables
                                               : worker_default_hpack_tables((uint32_t)clients);
    uint64_t blocks = limits->send_blocks > 0 ? limits->send_blocks
                                              : worker_default_send_blocks((uint32_t)clients);
    uint64_t segments = limits->payload_bytes / limits->segment_bytes;
    return clients * CLIENT_BYTES + tables * HPACK_BYTES + blocks * BLOCK_BYTES +
           (uint64_t)limits->upstream_connections * UPSTREAM_BYTES +
           (uint64_t)limits->streams * STREAM_BYTES +
           (uint64_t)limits->exchanges * (EXCHANGE_BYTES + limits->header_bytes / 8) +
           (uint64_t)limits->flights * (FLIGHT_BYTES + limits->header_bytes * 9 / 32) +
           segments * (SEGMENT_BYTES + limits->segment_bytes) +
           (uint64_t)limits->time_wait * TIME_WAIT_BYTES +
           (uint64_t)limits->neighbours * NEIGHBOUR_BYTES +
           (uint64_t)limits->access_records * 2 * RECORD_BYTES +
           (uint64_t)limits->header_bytes * SCRATCH_HEADERS + WORKER_BYTES;
}

uint64_t config_memory_bytes(const struct config *config)
{
    uint64_t workers = config->workers;
    uint64_t queues = 0;
    for (uint32_t i = 0; i < config->port_count; i++)
        queues += (uint64_t)config->ports[i].mbufs * MBUF_BYTES;
    return workers * (worker_bytes(&config->limits) + tls_bytes(config) + queues) +
           workers * workers * LANE_BYTES + (uint64_t)config->limits.coalesce_keys * KEY_BYTES;
}
