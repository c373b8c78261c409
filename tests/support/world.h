/*
 * world: Weir's whole data path in one process without anything real: N unmodified workers on a
 * front and a back port in memory, client hosts before them, backend hosts of two regions behind
 * them, and a clock moved by hand.
 *
 * A turn moves the clock and lets everybody take one step, in an order drawn from the seed; now and
 * then a worker misses its turn. When nothing can happen before some timer, the clock jumps there.
 * The same seed gives the same run.
 */
#pragma once

#include "dataplane/worker/worker.h"
#include "tests/support/backend.h"
#include "tests/support/client.h"
#include "tests/support/world_snapshot.h"

#define WORLD_WORKERS_MAX 8
#define WORLD_CLIENTS     2
#define WORLD_ACTORS_MAX  (WORLD_WORKERS_MAX + WORLD_CLIENTS + WORLD_BACKENDS_MAX)

struct world_config {
    uint64_t seed;
    uint16_t workers;            /* 0: 1 */
    struct worker_limits limits; /* zeros: world_limits */
    struct wire_faults front;    /* between clients and Weir, both ways */
    struct wire_faults back;     /* between Weir and backends, both ways */
    uint32_t mbufs;              /* of each queue; 0: 2048 */
    uint64_t turn_spread_ns;     /* a turn lasts 20 us and up to so much more; 0: 100 us */
    uint32_t table_keys;         /* of the coalescing table; 0: 1024 */
    uint32_t client_window;      /* of each stream of a client, bytes; 0: h2_host.h's */
    uint32_t http1_backends;     /* bit N: backend N speaks HTTP/1.1 */
    uint32_t tls_clients;        /* bit N: client host N comes over TLS */
    uint32_t tls_backends;       /* bit N: backend N is spoken to over TLS */
    uint32_t tls12;              /* bit N: host N, backends behind clients, has TLS 1.2 only */
    uint32_t lag_permille;       /* how often a worker misses its turn; 0: 100, 1000: never */
    uint16_t plane_workers;      /* of the data plane; 0: as many as are here */
    struct world *beside;        /* whose data plane it is, and gets our workers; NULL: our own */
};

/* Fit for tests with some hundred requests at a time. */
extern const struct worker_limits world_limits;

/* May be asked when time goes on to NEXT: returns when it goes on to, no earlier than it is. */
typedef uint64_t world_agreement(void *context, uint64_t next);

struct world {
    struct world_config config;
    struct random random; /* the order of things */
    uint64_t now;
    uint64_t turns;
    uint32_t quiet_turns;        /* in a row */
    uint64_t waiting_until_ns;   /* the clock jumps no further */
    struct wire *front;          /* end 0 is Weir, then the clients */
    struct wire *back;           /* end 0 is Weir, then the backends */
    struct worker_shared shared; /* when the data plane is our own */
    struct worker_shared *plane; /* ours, or that of the world beside */
    uint16_t first;              /* of the plane's workers that is here */
    world_agreement *agreement;  /* NULL: nobody is asked */
    void *agreement_context;
    struct client clients[WORLD_CLIENTS];
    struct backend backends[WORLD_BACKENDS_MAX];
    struct backend_log log;
    struct world_draft draft; /* change it, then world_publish() */
    struct tls_contexts *tls; /* of everybody; NULL: there is no TLS */
    struct snapshot *published;
    struct snapshot *retired; /* until every worker has taken the one after it */
    uint64_t generation;
    uint32_t timers_at_rest[WORLD_WORKERS_MAX]; /* armed without any connection */
    uint64_t frozen_until_ns[WORLD_ACTORS_MAX];
    uint32_t facts[WORLD_WORKERS_MAX][FACT_STOPPED + 1]; /* how often each came */
};

/* Everything up, the first snapshot published and neighbours not known yet. */
struct world *world_open(const struct world_config *config);

/*
 * The same in two steps, for worlds beside one another that share a data plane: wires, hosts and
 * clock are each one's own, and so may be a thread. All are prepared, in one thread, before the
 * first of them starts; where mails cross, their clocks have to agree (world_agree()).
 */
struct world *world_prepare(const struct world_config *config);
void world_start(struct world *world);
void world_agree(struct world *world, world_agreement *agreement, void *context);

/* Let go of everything. Checks nothing: see checks.h. Whose plane it is goes last. */
void world_close(struct world *world);

/* Make the draft the snapshot. One that is retired has to be let go first: turns pass. */
void world_publish(struct world *world);

void world_turn(struct world *world);
void world_run_for(struct world *world, uint64_t length_ns);

/* Until no request of any client is open; 15 minutes at most. True: so it is. */
bool world_run(struct world *world);

typedef bool world_condition(struct world *world, void *context);
bool world_run_until(struct world *world, world_condition *condition, void *context,
                     uint64_t at_most_ns);

/*
 * Everybody who takes turns: first the workers, then the clients, then the backends. One that is
 * frozen takes none for a while, as a process that is not scheduled; its packets wait.
 */
uint32_t world_actor_count(const struct world *world);
void world_freeze(struct world *world, uint32_t actor, uint64_t length_ns);

/* A connection of client host CLIENT to the service. It opens while turns pass. */
struct client_conn *world_connect(struct world *world, uint32_t client, bool v6);

/* A connection, open, that belongs to WORKER: as many are tried as it takes. */
struct client_conn *world_connect_to(struct world *world, uint16_t worker, bool v6);

/* The same, not open yet, to the world's first worker: an end that another would own is not used.
 */
struct client_conn *world_connect_here(struct world *world, uint32_t client, bool v6);

struct client_request *world_get(struct world *world, struct client_conn *conn, const char *path);
struct client_request *world_send(struct world *world, struct client_conn *conn,
                                  const struct client_script *script);

/* What goes wrong on the wires from now on. */
void world_set_faults(struct world *world, const struct wire_faults *front,
                      const struct wire_faults *back);

/* The same plan for all backends; or the same chooser. */
void world_plan(struct world *world, const struct backend_plan *plan);
void world_choose(struct world *world, backend_chooser *choose, void *context);

/* A region's backends, all at once. */
void world_region_die(struct world *world, uint16_t region);
void world_region_crash(struct world *world, uint16_t region);
void world_region_up(struct world *world, uint16_t region);

/* The sum of a counter over the workers. LAYER and NAME as in counters.h. */
uint64_t world_counter(const struct world *world, const char *layer, const char *name);
