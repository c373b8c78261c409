/*
 * worker: one lcore's whole program. worker_turn() is the data path from receive to transmit.
 *
 * Created and wired by the main thread at start; stepped by its own lcore, by a test or by the
 * simulation. What it shares with others: its snapshot pointer, its mail rings, its counters, and
 * the coalescing table.
 */
#pragma once

#include "dataplane/base/ring_spsc.h"
#include "dataplane/coalesce/coalesce.h"
#include "dataplane/net/net.h"
#include "dataplane/request/request.h"
#include "dataplane/worker/control_mail.h"
#include "dataplane/worker/counters.h"

struct rte_rcu_qsbr;
struct tls_key_line;
struct worker;

/* What the workers of a process share. Owner: the main thread. */
struct worker_shared {
    uint16_t workers;
    const struct snapshot *_Atomic snapshot; /* written by control (release), read by workers */
    struct rte_rcu_qsbr *quiescence;         /* thread id = worker index */
    struct coalesce_table *table;
    struct worker *members[NET_WORKERS_MAX];
};

enum worker_idle {
    WORKER_IDLE_POLL,     /* the core spins */
    WORKER_IDLE_ADAPTIVE, /* after some empty turns the worker sleeps up to 100 us */
};

/* Sizes, all per worker; the configuration's `limits` (docs/configuration.md). */
struct worker_limits {
    uint32_t client_connections;
    uint32_t streams;              /* HTTP/2 streams, both sides */
    uint32_t upstream_connections;
    uint32_t backend_connections;
    uint32_t http1_connections;    /* the same to backends of HTTP/1.1 */
    uint32_t flights;
    uint32_t exchanges;
    uint32_t segments;             /* payload segments */
    uint32_t segment_bytes;
    uint32_t time_wait;
    uint32_t neighbours;
    uint32_t header_bytes;         /* a header section we accept, decoded */
    uint32_t hpack_tables;         /* of client connections; 0: worker_default_hpack_tables() */
    uint32_t send_blocks;          /* 2 KiB of header being sent; 0: worker_default_send_blocks() */
    uint32_t access_records;       /* of ended requests, on their way to the control thread */
    uint64_t upstream_max_age_ns;  /* of a connection to a backend; 0: an hour */
    uint64_t stall_timeout_ns;     /* a client that takes nothing; 0: for ever */
    uint64_t idle_timeout_ns;      /* a client without requests; 0: for ever */
    uint64_t client_held_bytes;    /* of responses, for one client; 0: no bound */
    uint64_t tls_bytes;            /* of OpenSSL; 0: no TLS */
    uint64_t tls_handshake_timeout_ns;
    uint32_t tls_key_lines;        /* on their way to the key log; 0: there is none */
};

/*
 * Most connections of many are idle, and cost neither: up to some thousand connections each can have
 * all it may want at the same time, beyond that one of eight, or of sixteen.
 */
static inline uint32_t worker_default_hpack_tables(uint32_t client_connections)
{
    uint32_t all = 2 * client_connections;
    uint32_t shared = 8192 + client_connections / 8;
    return all < shared ? all : shared;
}

static inline uint32_t worker_default_send_blocks(uint32_t client_connections)
{
    uint32_t shared = 8192 + client_connections / 16;
    return 4096 + (client_connections < shared ? client_connections : shared);
}

struct worker_config {
    uint16_t index;
    struct worker_shared *shared;
    uint8_t queue_count;
    struct port_queue *queues[NET_INTERFACES_MAX];
    uint8_t interface_count;
    struct net_interface interfaces[NET_INTERFACES_MAX];
    struct worker_limits limits;
    enum worker_idle idle;
    uint64_t random_seed;
    enum tcp_congestion congestion;
    bool ecn;                      /* of TCP */
    struct siphash_key tcp_secret; /* all zero: drawn from the seed, for tests */
    int socket_id;
    uint64_t now; /* at creation */
};

/* Everything is allocated here; false result: NULL, memory was short. */
struct worker *worker_create(const struct worker_config *config);

/* Join the mail rings of all workers; after all are created, before the first step. */
bool worker_connect(struct worker_shared *shared, int socket_id);

/*
 * One turn. Returns true when there was something to do. CLOCK_NS is clock_now_ns(): monotonic,
 * never smaller than at the turn before. Inside, time is the worker's own (loop_clock.h).
 */
bool worker_turn(struct worker *worker, uint64_t clock_ns);

/* Turn with the real clock until ORDER_STOP. The lcore's main function. Returns 0. */
int worker_run(void *worker);

/* Control thread: give an order; false: ring full. */
bool worker_order(struct worker *worker, const struct order *order);

/* Control thread: the next fact; false: none. */
bool worker_fact(struct worker *worker, struct fact *out);

/* Control thread: the oldest record of a request that has ended, until it is done; NULL: none. */
const struct access_record *worker_record(struct worker *worker);
void worker_record_done(struct worker *worker);

/* Control thread: the oldest line of the TLS key log, until it is done; NULL: none. */
const struct tls_key_line *worker_key_line(struct worker *worker);
void worker_key_line_done(struct worker *worker);

/* Any thread, relaxed reads. */
const struct worker_counters *worker_counters(const struct worker *worker);
const struct backend_loads *worker_backend_loads(const struct worker *worker);
