#include "tests/support/h2_host.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#define BODY_SEGMENTS      2048
#define BODY_SEGMENT_BYTES 4096

void h2_host_prepare(struct h2_host *host, struct wire *wire, uint16_t end, const char *v4,
                     const char *v6)
{
    tcp_host_prepare(&host->base, wire, end, v4, v6);
    host->base.config.connections_max = 256;
    host->base.config.time_wait_max = 256;
    host->base.config.spans_max = 8192;
    host->base.config.blocks_max = 2048;
    host->base.config.connect_timeout_ns = 5 * CLOCK_S;
    host->base.config.user_timeout_ns = 30 * CLOCK_S;
    host->base.config.keepalive_idle_ns = 20 * CLOCK_S; /* the last word of a peer may be lost */
    host->config = (struct h2_config){
        .connections_max = 256,
        .streams_max = 2048,
        .header_blocks_max = 256,
        .hpack_tables_max = 512,
        .memo_places = 16,
        .server_concurrent_streams = 100,
        .stream_window_bytes = 256 * 1024,
        .connection_window_bytes = 1024 * 1024,
        .header_list_bytes = 64 * 1024,
        .settings_timeout_ns = 10 * CLOCK_S,
        .idle_timeout_ns = 3600 * CLOCK_S,
        .preface_timeout_ns = 10 * CLOCK_S,
        .socket_id = -1,
    };
}

static struct tls *create_tls(struct h2_host *host)
{
    const struct tls_config config = {
        .wheel = &host->base.base.wheel,
        .sessions_max = host->config.connections_max,
        .kept_max = host->config.connections_max,
        .handshake_timeout_ns = 10 * CLOCK_S,
        .socket_id = -1,
    };
    struct tls *tls = tls_create(&config);
    check(tls != NULL);
    return tls;
}

void h2_host_open(struct h2_host *host)
{
    tcp_host_open(&host->base);
    host->tls = host->speaks_tls ? create_tls(host) : NULL;
    host->config.wheel = &host->base.base.wheel;
    host->config.random = &host->base.base.random;
    host->h2 = h2_create(&host->config);
    check(host->h2 != NULL);
    check(segment_pool_init(&host->bodies, "test bodies", BODY_SEGMENTS, BODY_SEGMENT_BYTES, -1));
}

void h2_host_turn(struct h2_host *host, uint64_t now)
{
    tcp_host_receive(&host->base, now);
    tcp_dispatch(host->base.tcp, UINT32_MAX, now);
    host->is_busy = host->tls != NULL && tls_turn(host->tls, now);
    h2_flush(host->h2, now);
    if (host->tls != NULL)
        tls_flush(host->tls);
    tcp_host_finish(&host->base, now);
}

uint64_t h2_host_next_ns(const struct h2_host *host)
{
    return timer_wheel_next_ns(&host->base.base.wheel);
}

uint32_t h2_host_used(const struct h2_host *host)
{
    uint32_t sessions = host->tls != NULL ? tls_session_count(host->tls) : 0;
    return tcp_host_used(&host->base) + sessions + h2_objects_used(host->h2) +
           pool_used(&host->bodies.segments);
}
