/*
 * config: one JSON file, checked completely before anything starts, as C structs.
 *
 * docs/configuration.md is the manual; control/config_keys.* hold the keys as one table from which
 * parsing, checking, defaults and the manual are derived. A config is immutable once read; every
 * string lives in it. Control thread (and the main thread at start).
 */
#pragma once

#include "dataplane/region/snapshot.h"
#include "dataplane/tls/tls_context.h"

#include <stddef.h>

struct json_t;
struct config_block;
struct deny_table;

#define CONFIG_NAME_MAX      64
#define CONFIG_SENTINELS_MAX 16

enum config_idle {
    CONFIG_IDLE_POLL,
    CONFIG_IDLE_ADAPTIVE,
};

enum config_store_kind {
    CONFIG_STORE_MEMORY,
    CONFIG_STORE_REDIS,
};

enum config_probe {
    CONFIG_PROBE_TCP,
    CONFIG_PROBE_HTTP2,
    CONFIG_PROBE_HTTP1,
    CONFIG_PROBE_HTTP, /* whichever the backend speaks */
};

struct config_port_interface {
    uint16_t vlan; /* 0: untagged */
    struct ip_prefix addresses[8];
    uint32_t address_count;
    bool has_gateway_v4;
    bool has_gateway_v6;
    struct ip_address gateway_v4;
    struct ip_address gateway_v6;
};

struct config_port {
    char name[CONFIG_NAME_MAX];
    char device[256]; /* DPDK devargs, or a PCI address */
    char steer_interface[32]; /* net_af_xdp: the kernel interface (iface=), else "" */
    uint16_t mtu;
    uint32_t mbufs;   /* a queue */
    struct config_port_interface interfaces[8];
    uint32_t interface_count;
};

/* A certificate, its chain and its key, as PEM files. */
struct config_certificate {
    char name[CONFIG_NAME_MAX];
    char chain_file[256];
    char key_file[256];
    char ocsp_file[256]; /* "": none */
};

#define CONFIG_LISTENER_CERTIFICATES 64

struct config_listener_tls {
    char (*certificates)[CONFIG_NAME_MAX]; /* names; none: clear text */
    uint32_t certificate_count;
    enum tls_policy policy;
    enum tls_http1 http1;
    enum tls_client_certificate client_certificate;
    char client_ca_file[256];
};

struct config_listener {
    char name[CONFIG_NAME_MAX];
    struct ip_address address;
    uint16_t port;
    enum http1_answer http1;
    char http1_location[256];
    struct config_listener_tls tls;
};

/* Who decides that a region goes out, or comes back. */
enum config_mode {
    CONFIG_MODE_AUTO,
    CONFIG_MODE_REVIEW, /* the cluster proposes, an operator approves */
    CONFIG_MODE_MANUAL, /* the cluster only reports */
    CONFIG_MODES
};

struct config_region {
    char name[CONFIG_NAME_MAX];
    enum config_mode on_failure;
    enum config_mode on_recovery;
};

/* How connections to a backend are made. */
struct config_backend_tls {
    bool on; /* else clear text */
    bool verify;
    char ca_file[256];
    char server_name[256];             /* "": the service's authority, or else the address */
    char certificate[CONFIG_NAME_MAX]; /* one of `certificates`; "": none */
    enum tls_policy policy;
};

struct config_backend {
    char name[CONFIG_NAME_MAX];
    struct ip_address address;
    uint16_t port;
    uint32_t weight;
    uint32_t capacity; /* concurrent flights; 0: not known */
    struct config_backend_tls tls;
    enum upstream_protocol protocol; /* UPSTREAM_PROTOCOLS: its service's, until checked */
    uint16_t region;  /* index into regions */
    uint16_t service; /* index into services */
    uint32_t slot;    /* assigned: the same (service, region, address, port) keeps slot and ... */
    uint32_t generation; /* ... generation over config.apply */
};

struct config_health {
    enum config_probe probe;
    char path[40]; /* of all but tcp */
    uint64_t interval_up_ns;     /* 2 s */
    uint64_t interval_doubt_ns;  /* 0.5 s */
    uint64_t interval_down_ns;   /* 5 s */
    uint32_t jitter_percent;     /* 20 */
    uint64_t timeout_ns;         /* 1 s */
    uint32_t fall;               /* 3 */
    uint32_t rise;               /* 3 */
    uint32_t connect_failures;   /* 3 in a row: down */
    uint32_t eject_failures;     /* 5 in a row */
    uint64_t eject_ns;           /* 30 s */
    uint64_t eject_max_ns;       /* 300 s */
    uint32_t eject_region_percent; /* 30 */
    uint64_t warm_up_ns;         /* 10 s */
    uint32_t warm_up_percent;    /* 30 */
};

struct config_service {
    char name[CONFIG_NAME_MAX];
    char authority[256];
    enum upstream_protocol protocol;
    struct config_health health;
};

/* A member of a JSON object and the literal value it must have, as JSON. */
struct config_literal {
    char name[CONFIG_NAME_MAX];
    char value[CONFIG_NAME_MAX + 2];
};

struct config_coalesce {
    enum coalesce_mode mode;
    bool share_across_principals;
    bool i_know_responses_are_public;
    bool ignore_no_store;
    bool ignore_set_cookie;
    uint64_t linger_ns;
    uint32_t flight_bytes;
    char (*key_headers)[CONFIG_NAME_MAX];
    uint32_t key_header_count;
    char (*neutral_headers)[CONFIG_NAME_MAX];
    uint32_t neutral_header_count;
    char (*principal_headers)[CONFIG_NAME_MAX];
    uint32_t principal_header_count;
    struct config_literal *when_json;
    uint32_t when_json_count;
};

struct config_route {
    char name[CONFIG_NAME_MAX];
    char authority[256];
    char path_prefix[256];
    char service_name[CONFIG_NAME_MAX];
    uint16_t service; /* index into services */
    bool replay_safe;
    uint64_t request_timeout_ns;
    uint64_t first_byte_timeout_ns;
    uint64_t idle_timeout_ns;
    uint64_t body_timeout_ns;
    enum forward_policy forwarded;
    enum forward_policy x_forwarded;
    enum no_region_policy when_no_region;
    enum priority priority;
    uint64_t hold_first_byte_ns;
    uint64_t hold_stream_ns;
    char event_stream_error[256];
    uint64_t event_stream_keepalive_ns;
    char (*extended_connect)[CONFIG_NAME_MAX];
    uint32_t extended_connect_count;
    struct config_coalesce coalesce; /* defaults come from the top-level `coalesce` */
};

/* failover.md; every number there is a key, with its default. */
struct config_failover {
    uint64_t hard_failure_ns;     /* 3 s */
    uint64_t down_dwell_ns;       /* 6 s */
    uint64_t degraded_dwell_ns;   /* 6 s */
    uint64_t up_dwell_ns;         /* 30 s: DEGRADED to UP */
    uint64_t suspect_clear_ns;    /* 5 s */
    uint64_t hold_down_ns;        /* 60 s */
    uint64_t hold_down_max_ns;    /* 900 s */
    uint64_t recover_dwell_ns;    /* 60 s: DOWN to RECOVERING */
    uint64_t ramp_step_ns;        /* 60 s */
    uint32_t ramp_permille[8];    /* 50, 100, 250, 500, 1000 */
    uint32_t ramp_steps;
    uint32_t suspect_below;       /* percent of availability: 25 */
    uint32_t degraded_below;      /* 72 */
    uint32_t recovering_below;    /* 40 */
    uint32_t clear_at;            /* 35 */
    uint32_t recover_at;          /* 50 */
    uint32_t up_at;               /* 80 */
    uint32_t spill_percent;       /* 140 */
    uint32_t capacity_percent;    /* 80 */
    uint32_t panic_below;         /* 50; 0: never */
    uint32_t grow_percent;        /* 25 */
    uint64_t grow_interval_ns;    /* 5 s */
    uint64_t quiet_ns;            /* 30 min */
    uint32_t penalty;             /* 1000 a DOWN */
    uint32_t penalty_out;         /* 2500 */
    uint32_t penalty_back;        /* 750 */
    uint64_t penalty_half_life_ns; /* 10 min */
    uint32_t worse_percent;       /* 200 */
    uint32_t worse_samples;       /* 200 */
    uint32_t worse_at_least;      /* percent: 5 */
    uint32_t hard_tries;          /* 5 in all */
    uint32_t hard_tries_per_backend; /* 3 for each usable one */
    uint64_t proposal_ttl_ns;     /* 30 min */
    uint32_t min_active_regions;  /* 1 */
    uint64_t down_interval_ns;    /* 60 s: rule S2 */
    uint64_t correlated_ns;       /* 10 s: rule S3 */
    uint64_t freeze_ns;           /* 60 s: rule S3 */
    uint64_t force_ttl_ns;        /* 4 h */
    uint64_t store_lost_ns;       /* 6 s: FROZEN */
    uint64_t vote_interval_ns;    /* 1 s */
    uint64_t vote_fresh_ns;       /* 3 s */
    uint64_t vote_gone_ns;        /* 6 s */
    bool review_unless_hard;
    bool dry_run;
    bool single_node;
    char (*nodes)[CONFIG_NAME_MAX]; /* the roster */
    uint32_t node_count;
};

struct config_store {
    enum config_store_kind kind;
    char address[256]; /* IPv4:port, [IPv6]:port, or unix:/path */
    char (*sentinels)[CONFIG_NAME_MAX]; /* the same; when there are some, they know the address */
    uint32_t sentinel_count;
    char master[CONFIG_NAME_MAX]; /* what Sentinel calls it */
    char sentinel_user[CONFIG_NAME_MAX];
    char sentinel_password_file[256];
    char cluster[CONFIG_NAME_MAX];
    char user[CONFIG_NAME_MAX];
    char password_file[256];
    uint64_t connect_timeout_ns; /* 200 ms */
    uint64_t command_timeout_ns; /* 200 ms */
};

struct config_control {
    char socket[108]; /* path */
    uint32_t mode;    /* file mode, 0600 */
};

struct config_limits {
    uint32_t client_connections;
    uint32_t streams;
    uint32_t upstream_connections;
    uint32_t backend_connections;
    uint32_t http1_connections;
    uint32_t flights;
    uint32_t exchanges;
    uint64_t payload_bytes;  /* a worker */
    uint32_t segment_bytes;
    uint32_t time_wait;
    uint32_t neighbours;
    uint32_t header_bytes;
    uint32_t hpack_tables;   /* 0: by client_connections */
    uint32_t send_blocks;    /* likewise */
    uint32_t coalesce_keys;  /* all workers together */
    uint64_t client_stall_timeout_ns; /* 60 s */
    uint64_t client_idle_timeout_ns;  /* 300 s */
    uint64_t client_held_bytes;       /* 1 MiB */
    uint32_t access_records;          /* a worker */
    uint64_t upstream_max_age_ns;     /* 1 h */
    uint64_t drain_timeout_ns; /* SIGTERM, 30 s */
    uint64_t tls_bytes;        /* OpenSSL's memory, a worker, if there are certificates */
    uint64_t tls_handshake_timeout_ns;
};

struct config_tls {
    char ticket_key_file[256]; /* "": a key of this process's own */
    char key_log_file[256];    /* "": none */
};

struct config_access {
    char path[256];  /* "": no access log; "-": standard output */
    uint32_t sample; /* of requests that ended well: so many of 2^32, UINT32_MAX: all */
    bool query;
};

struct config_log {
    struct config_access access;
};

struct config_metrics {
    char listen[64]; /* "": nowhere */
};

struct config_admission {
    uint32_t requests;               /* a worker; 0: what there are exchanges for */
    uint32_t requests_per_principal; /* 0: as many */
    uint32_t flights_per_principal;  /* 1024 */
    uint32_t principals_per_address; /* 1024 */
};

enum config_cookies {
    CONFIG_COOKIES_AUTO,
    CONFIG_COOKIES_ALWAYS,
};

enum config_congestion {
    CONFIG_CONGESTION_CUBIC,
    CONFIG_CONGESTION_NEWRENO,
};

struct config_tcp {
    enum config_congestion congestion;
    bool ecn;
    enum config_cookies syn_cookies;
    uint32_t backlog;             /* a worker */
    char cookie_secret_file[256]; /* "": a secret of this process's own */
};

struct config {
    char node[CONFIG_NAME_MAX];
    char state_dir[256];
    char log_file[256];       /* "": standard error */
    char **eal;               /* arguments for the EAL, as given */
    uint32_t eal_count;
    uint32_t workers;
    enum config_idle idle;
    struct config_port *ports;
    uint32_t port_count;
    struct config_listener *listeners;
    uint32_t listener_count;
    struct config_region *regions; /* in order of preference */
    uint32_t region_count;
    struct config_service *services;
    uint32_t service_count;
    struct config_backend *backends; /* by service, then region */
    uint32_t backend_count;
    struct config_route *routes;     /* sorted as snapshot_route says */
    uint32_t route_count;
    struct ip_prefix *deny;          /* sources that get nothing */
    uint32_t deny_count;
    const struct deny_table *denied; /* the same, as workers read it (deny_build.h) */
    struct config_health health;     /* defaults of services */
    struct config_coalesce coalesce; /* defaults of routes */
    struct config_failover failover;
    struct config_store store;
    struct config_control control;
    struct config_tcp tcp;
    struct config_tls tls_settings;
    struct config_certificate *certificates;
    uint32_t certificate_count;
    /* Of the listeners with TLS and of the backends with TLS, in their order; NULL: there are none. */
    struct tls_contexts *tls;
    struct config_admission admission;
    struct config_log log;
    struct config_metrics metrics;
    struct config_limits limits;
    struct json_t *source; /* the document as given, for config.get */
    struct config_block *blocks; /* memory of all of the above */
};

/* What is wrong: one line a finding, "path: what was found; what would be right". */
struct config_findings {
    char **lines;
    uint32_t count;
};

/*
 * Read and check. NULL when there are findings (all of them are listed, not only the first).
 * PREVIOUS (may be NULL) lends slots and generations to backends that stay.
 */
struct config *config_read_file(const char *path, const struct config *previous,
                                struct config_findings *findings);
struct config *config_read_json(const struct json_t *document, const struct config *previous,
                                struct config_findings *findings);
void config_free(struct config *config);
void config_findings_free(struct config_findings *findings);

/*
 * What config.apply may not change while running (node, eal, workers, ports, pool limits, store
 * kind): the paths that differ, as findings; count 0 when all can be applied.
 */
void config_needs_restart(const struct config *running, const struct config *wanted,
                          struct config_findings *out_paths);

/* What the pools of all workers and ports will take, in bytes: an estimate that is never low. */
uint64_t config_memory_bytes(const struct config *config);
