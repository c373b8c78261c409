/*
 * snapshot: what workers read of configuration and failover state. Immutable once published.
 *
 * The control thread builds one (one block of memory), publishes it with one pointer swap, and
 * frees the old one after every worker has reported quiescence (rte_rcu_qsbr). A worker takes the
 * pointer at the beginning of a step and keeps it no longer than the step; what lives longer copies
 * what it needs, or holds (slot, generation) of a backend.
 *
 * All strings are `struct bytes` into the same block. Indices are into the arrays beside them.
 */
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/base/siphash.h"
#include "dataplane/region/priority.h"

struct tls_contexts; /* dataplane/tls/tls_context.h */
struct deny_table; /* dataplane/net/deny.h */

#define SNAPSHOT_LISTENERS_MAX 64
#define SNAPSHOT_ROUTES_MAX    1024
#define SNAPSHOT_SERVICES_MAX  256
#define SNAPSHOT_REGIONS_MAX   32
#define SNAPSHOT_BACKENDS_MAX  1024 /* = backend slots */

/* What a client that speaks HTTP/1 is told. */
enum http1_answer {
    HTTP1_NOT_SUPPORTED,    /* 505 */
    HTTP1_UPGRADE_REQUIRED, /* 426 */
    HTTP1_REDIRECT,         /* 308 */
};

struct snapshot_listener {
    struct bytes name;
    struct ip_address address; /* a service address (VIP) */
    uint16_t port;
    bool tls;
    uint16_t tls_profile; /* of the snapshot's TLS contexts */
    enum http1_answer http1;
    struct bytes http1_location; /* HTTP1_REDIRECT: in front of the request's path */
};

/* Route modes of coalescing. */
enum coalesce_mode {
    COALESCE_OFF,       /* every request is its own flight */
    COALESCE_SHADOW,    /* count what would have joined, join nothing */
    COALESCE_GET,       /* GET and HEAD */
    COALESCE_POST_BODY, /* also POST, keyed on the whole body */
};

/* A member of a JSON object and the literal value it must have. */
struct snapshot_literal {
    struct bytes name;
    struct bytes value; /* as JSON: 0, "text", true, null; a text without escapes */
};

struct snapshot_coalesce {
    enum coalesce_mode mode;
    bool share_across_principals;
    bool ignore_no_store;
    bool ignore_set_cookie;
    uint64_t linger_ns;           /* C12: a GET flight without subscribers goes on for so long */
    uint32_t flight_bytes;        /* C16: segments kept, 1 MiB */
    const struct bytes *key_headers; /* lower-case names beyond those of rule C2 */
    uint32_t key_header_count;
    const struct bytes *neutral_headers; /* lower-case names beyond those of rule C25 */
    uint32_t neutral_header_count;
    const struct bytes *principal_headers; /* lower-case names of API-key headers, C4 */
    uint32_t principal_header_count;
    const struct snapshot_literal *when_json; /* C27: request bodies that may share */
    uint32_t when_json_count;
};

/* What becomes of the fields that tell backends about the client. */
enum forward_policy {
    FORWARD_OFF,     /* as the client sent them */
    FORWARD_APPEND,  /* what this hop knows is added to them */
    FORWARD_REPLACE, /* the client's are dropped: only what this hop knows */
};

/* What a route does while every active region looks sick (snapshot.panic). */
enum no_region_policy {
    NO_REGION_PANIC, /* any backend of an active region, whatever probes say */
    NO_REGION_FAIL,  /* 503: only backends that probes speak for */
};

/* The first route that matches wins; they are sorted: exact authority, wildcard, any; longest path. */
struct snapshot_route {
    struct bytes name;
    struct bytes authority;    /* lower case; "" any; "*.x" any one or more labels before .x */
    struct bytes path_prefix;  /* begins with '/'; matches at a segment border or when it ends in '/' */
    uint16_t service;
    bool replay_safe;          /* C14: a second attempt is allowed whatever the method */
    uint64_t request_timeout_ns;    /* a whole exchange: 504 */
    uint64_t first_byte_timeout_ns; /* C13: attempt without final response headers */
    uint64_t idle_timeout_ns;       /* response without progress */
    uint64_t body_timeout_ns;       /* request body without progress: 408; 0: for ever */
    uint64_t hold_first_byte_ns;    /* final headers wait so long for the first body byte ... */
    uint64_t hold_stream_ns;        /* ... of an event stream or gRPC */
    enum forward_policy forwarded;   /* RFC 7239 */
    enum forward_policy x_forwarded; /* x-forwarded-for, -proto, -host */
    enum no_region_policy when_no_region;
    enum priority priority;          /* when there is not room for all */
    struct bytes event_stream_error; /* C11: said before an event stream is reset; "": nothing */
    uint64_t event_stream_keepalive_ns; /* silence after which event streams get a comment; 0: none */
    const struct bytes *extended_connect; /* RFC 8441: lower-case protocols that may be asked for */
    uint32_t extended_connect_count;
    struct snapshot_coalesce coalesce;
};

/* What is spoken to a backend. */
enum upstream_protocol {
    UPSTREAM_HTTP2, /* prior knowledge (RFC 9113 3.3), or ALPN "h2" */
    UPSTREAM_HTTP1, /* HTTP/1.1 (RFC 9112) */
    UPSTREAM_PROTOCOLS
};

struct snapshot_backend {
    struct bytes name;
    uint32_t slot;        /* 0..SNAPSHOT_BACKENDS_MAX-1; keeps its meaning over snapshots ... */
    uint32_t generation;  /* ... as long as the generation is the same */
    uint16_t region;
    uint16_t service;
    struct ip_address address;
    uint16_t port;
    bool tls;
    uint16_t tls_target;  /* of the snapshot's TLS contexts */
    uint32_t weight;      /* 1..1000 */
    enum upstream_protocol protocol;
    bool usable;          /* health: probe up, not ejected */
    bool drained;         /* by an operator: no new flights */
};

struct snapshot_region {
    struct bytes name;
    bool active;            /* agreed: takes new flights */
    bool suspect;           /* retries prefer other regions */
    uint16_t share_permille;/* of the new flights that reach it in order of preference; 1000: all */
    uint32_t capacity;      /* attempts of this node in flight there at most, already its part of
                               80 %: beyond, flights go on to the next region; 0: no limit */
};

/* A service's backends in a region: backends[first .. first+count-1]. */
struct snapshot_group {
    uint16_t first;
    uint16_t count;
    const uint32_t *weight_ends; /* as pick_sum_weights() says; NULL: not summed up */
};

struct snapshot_service {
    struct bytes name;
    struct bytes authority; /* what backends are told as :authority; "" keeps the client's */
    const struct snapshot_group *groups; /* region_count of them, by region */
};

/* SYN cookies: see struct tcp_cookie_settings. */
struct snapshot_cookies {
    bool always;                   /* else only above the backlog */
    bool shared;                   /* the secrets are other nodes', too */
    uint32_t backlog;              /* half-open connections of a worker; 0: no cookies */
    struct siphash_key secrets[2]; /* the first one makes cookies, both are taken */
    uint64_t clock_ahead_ns;       /* the wall clock's time less that of the workers' clock */
};

/* Bounds of a worker and of one principal on it (C16, C29); 0: as request/admission.h says. */
struct snapshot_admission {
    uint32_t requests;               /* in progress */
    uint32_t requests_per_principal; /* in progress */
    uint32_t flights_per_principal;  /* that others may join */
    uint32_t principals_per_address; /* told apart by credentials */
    uint32_t node_flights;           /* of this whole node at a time: what the active regions can
                                        carry (failover.md, S4); beyond: 503; 0: no limit */
};

/* Records of requests that have ended (request/access_log.h). */
struct snapshot_access {
    bool on;
    bool query;      /* paths with their query */
    uint32_t sample; /* of good ends: so many of 2^32, UINT32_MAX: all */
};

struct snapshot {
    uint64_t generation; /* 1, 2, 3 ... */
    bool draining;       /* no new connections, GOAWAY on the existing ones */
    bool panic;          /* every active region looks sick: `usable` is not to be believed there */
    struct bytes node;   /* this node's name */
    struct snapshot_cookies cookies;
    struct snapshot_admission admission;
    struct snapshot_access access;
    const struct deny_table *denied; /* sources that get nothing; NULL: none */
    struct tls_contexts *tls; /* what listeners and backends with TLS need; NULL: there are none */
    const struct snapshot_listener *listeners;
    uint32_t listener_count;
    bool asks_certificates; /* some listener does, of clients: what they say of theirs is void */
    const struct snapshot_route *routes;
    uint32_t route_count;
    const struct snapshot_service *services;
    uint32_t service_count;
    const struct snapshot_region *regions; /* in order of preference */
    uint32_t region_count;
    const struct snapshot_backend *backends; /* by service, then region */
    uint32_t backend_count;
};

/* The listener at ADDRESS and PORT; NULL: there is none. O(listeners) */
static inline const struct snapshot_listener *snapshot_listener_at(const struct snapshot *snapshot,
                                                                   const struct ip_address *address,
                                                                   uint16_t port)
{
    for (uint32_t i = 0; i < snapshot->listener_count; i++)
        if (snapshot->listeners[i].port == port &&
            ip_address_equal(&snapshot->listeners[i].address, address))
            return &snapshot->listeners[i];
    return NULL;
}
