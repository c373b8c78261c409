#include "control/worker_limits.h"

#include "control/certificates.h"

struct worker_limits worker_limits_of(const struct config *config)
{
    const struct config_limits *limits = &config->limits;
    return (struct worker_limits){
        .client_connections = limits->client_connections,
        .streams = limits->streams,
        .upstream_connections = limits->upstream_connections,
        .backend_connections = limits->backend_connections,
        .http1_connections = limits->http1_connections,
        .flights = limits->flights,
        .exchanges = limits->exchanges,
        .segments = (uint32_t)(limits->payload_bytes / limits->segment_bytes),
        .segment_bytes = limits->segment_bytes,
        .time_wait = limits->time_wait,
        .neighbours = limits->neighbours,
        .header_bytes = limits->header_bytes,
        .hpack_tables = limits->hpack_tables,
        .send_blocks = limits->send_blocks,
        .stall_timeout_ns = limits->client_stall_timeout_ns,
        .idle_timeout_ns = limits->client_idle_timeout_ns,
        .access_records = limits->access_records,
        .client_held_bytes = limits->client_held_bytes,
        .upstream_max_age_ns = limits->upstream_max_age_ns,
        .tls_bytes = certificates_need_memory(config) ? limits->tls_bytes : 0,
        .tls_handshake_timeout_ns = limits->tls_handshake_timeout_ns,
        .tls_key_lines = certificates_key_lines(config),
    };
}
