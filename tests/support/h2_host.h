/*
 * h2_host: a host at one end of a wire with our own net, TCP, HTTP/2 and perhaps TLS on it: what
 * clients and backends of a test are made of.
 */
#pragma once

#include "dataplane/h2/h2_tcp.h"
#include "dataplane/tls/tls.h"
#include "tests/support/tcp_host.h"

struct h2_host {
    struct tcp_host base;
    bool speaks_tls; /* set before h2_host_open() */
    struct tls *tls; /* NULL: it does not */
    bool is_busy;    /* TLS has more to do, as of its last turn */
    struct h2 *h2;
    struct h2_config config;
    struct segment_pool bodies; /* what is sent */
};

/* A configuration that fits tests with some hundred streams; change it before h2_host_open(). */
void h2_host_prepare(struct h2_host *host, struct wire *wire, uint16_t end, const char *v4,
                     const char *v6);
void h2_host_open(struct h2_host *host);

/* A whole turn. */
void h2_host_turn(struct h2_host *host, uint64_t now);

/* When a timer of this host is due; CLOCK_NEVER: none. */
uint64_t h2_host_next_ns(const struct h2_host *host);

/* Objects of every kind that are in use: 0 when all is given back. TIME_WAIT not included. */
uint32_t h2_host_used(const struct h2_host *host);
