/*
 * upstream: connections to backends, and attempts on them. One struct upstream a worker.
 *
 * For each backend slot a pool of connections, opened by need up to a bound. What they speak is the
 * backend's matter (struct upstream_ops): HTTP/2, where an attempt becomes a stream, or HTTP/1.1,
 * where it is the connection's one exchange. An attempt is one try of a request at one backend: it
 * waits for a connection, is open on it, and ends in
 * exactly one of done(), failed(), attempt_cancel() or a supply() that answers H2_SUPPLY_RESET.
 *
 * Order of calls in a turn: tcp_in(), timer_wheel_advance(), tcp_dispatch(), [above],
 * upstream_tick(), h2_flush(), tcp_out(). An attempt for which nobody has to be waited for is open
 * at once, where the protocol lets it. Connections are opened and given back, waiting attempts are
 * served and failed() is told for what never became a stream in upstream_tick() only; so callbacks
 * may start and cancel any attempts.
 */
#pragma once

#include "dataplane/h1/h1.h"
#include "dataplane/h2/content_kind.h"
#include "dataplane/h2/h2.h"
#include "dataplane/region/backend_load.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/tls/tls.h"

#define COUNTERS_STRUCT upstream_counters
#define COUNTERS_DEF    "dataplane/upstream/upstream_counters.def"
#include "dataplane/base/counter_struct.h"

struct upstream;
struct upstream_conn;
struct attempt;

enum attempt_failure {
    ATTEMPT_CONNECT_REFUSED, /* not begun: costs neither attempt nor budget (C14a) */
    ATTEMPT_CONNECT_TIMEOUT, /* not begun */
    ATTEMPT_UNREACHABLE,     /* not begun */
    ATTEMPT_TLS_FAILED,      /* not begun: no handshake with the backend */
    ATTEMPT_NO_ROOM,         /* not begun: connection, stream or waiting places are used up here */
    ATTEMPT_UNPROCESSED,     /* REFUSED_STREAM, or GOAWAY proves it was not acted upon */
    ATTEMPT_CONNECTION_LOST, /* reset, closed, or silent underneath */
    ATTEMPT_RESET,           /* RST_STREAM by the backend, any other code */
    ATTEMPT_MALFORMED,       /* the response broke the protocol */
    ATTEMPT_NO_TUNNEL,       /* not begun: extended CONNECT, which the backend does not take */
    ATTEMPT_UNTRANSLATABLE,  /* not begun: HTTP/1.1 cannot say it without doubt */
    ATTEMPT_STALE, /* met the end of an idle HTTP/1.1 connection: lost, by nobody's fault */
    ATTEMPT_FAILURES
};

/* Why a connection is suspected (failover.md, "Suspicion"). */
enum suspicion {
    SUSPICION_NONE,
    SUSPICION_PATH, /* no packet answers ours: as good as lost with its connection */
    SUSPICION_PING, /* packets do, the backend's HTTP/2 does not: it may only be slow */
};

struct attempt_handler {
    /*
     * The request, piece by piece (as h2_handler.supply). Restarts from its beginning. Must not
     * cancel this attempt; to give it up, answer H2_SUPPLY_RESET: it is idle then.
     */
    struct h2_supply (*supply)(struct attempt *attempt, uint32_t max, uint64_t now);
    /* Response: interim (any number), headers, [data], [trailers]; `end` with the last piece. */
    void (*headers)(struct attempt *attempt, const struct fields *fields, enum h2_section section,
                    bool end, uint64_t now);
    void (*data)(struct attempt *attempt, struct bytes bytes, bool end, uint64_t now);
    /* As h2_handler.part; may be NULL. */
    void (*part)(struct attempt *attempt, struct bytes bytes, uint64_t now);
    /*
     * The response is complete, and the request too, or the backend ended the stream after its
     * complete response without wanting the rest (RFC 9113 8.1). The attempt is idle again.
     */
    void (*done)(struct attempt *attempt, uint64_t now);
    /* The attempt is over, and idle again. After this call it may be started anew. */
    void (*failed)(struct attempt *attempt, enum attempt_failure why, uint64_t now);
    /*
     * By how many bytes the window of the response may become larger now; and that it did
     * (h2.h). Both NULL: as large as windows become.
     */
    uint64_t (*window_room)(const struct attempt *attempt);
    void (*window_grew)(struct attempt *attempt, uint32_t by, uint64_t now);
    /*
     * What is under an open attempt is silent. It goes on if nothing is done; one that may be
     * retried can be cancelled and tried elsewhere. May be NULL.
     */
    void (*suspected)(struct attempt *attempt, enum suspicion why, uint64_t now);
};

enum attempt_state {
    ATTEMPT_IDLE,    /* not started, or over */
    ATTEMPT_WAITING, /* for a connection to its backend */
    ATTEMPT_OPEN,    /* has a stream */
};

/* Embedded in its owner (a flight), who initialises it with attempt_init(). */
struct attempt {
    const struct attempt_handler *handler;
    struct upstream *upstream;
    enum attempt_state state;
    uint32_t slot;             /* backend */
    enum content_kind content; /* of the answer, once `answered` */
    bool began;                /* request bytes went into an established connection */
    bool answered;             /* final response headers arrived */
    /* Private to upstream. */
    bool in_flight;      /* counted in the backend's load */
    bool reported;       /* an outcome has been counted */
    bool response_ended; /* END_STREAM arrived */
    bool until_close;    /* HTTP/1.1: the answer ends with its connection (C11) */
    bool wants_grpc_status;
    enum attempt_failure failure; /* to be told; ATTEMPT_FAILURES: none */
    uint32_t generation;          /* of the slot */
    uint64_t started_at_ns;
    struct list link; /* among those waiting, those to be told their failure, or conn's */
    struct upstream_conn *conn;
    struct h2_stream *stream; /* HTTP/2 */
};

struct upstream_config {
    uint16_t self; /* this worker */
    struct tcp *tcp;
    struct tls *tls; /* NULL: backends with TLS cannot be reached */
    struct h2 *h2;
    struct h1 *h1;
    struct backend_loads *loads;
    struct timer_wheel *wheel;
    struct random *random;
    uint32_t connections_max;     /* all backends together */
    uint32_t backend_connections; /* per backend on this worker, 1..: 8 */
    uint32_t http1_connections;   /* the same for those that speak HTTP/1.1, 1..: 64 */
    uint32_t waiting_max;         /* attempts waiting per backend */
    uint64_t max_age_ns;          /* a connection is replaced then, with jitter; 0: an hour */
    uint64_t ping_timeout_ns;     /* liveness PING while attempts are open and nothing arrives */
    /*
     * Whether everybody who receives packets for this worker has done so lately; without that
     * silence proves nothing, and suspicion waits. NULL: always.
     */
    bool (*all_look)(const void *context);
    const void *context;
    int socket_id;
};

struct upstream *upstream_create(const struct upstream_config *config);
struct upstream_counters *upstream_counters(struct upstream *upstream);

/*
 * A new snapshot: connections of slots that went away or changed generation are drained, attempts
 * that wait for them fail (ATTEMPT_UNREACHABLE). O(backend slots).
 */
void upstream_apply(struct upstream *upstream, const struct snapshot *snapshot, uint64_t now);

/*
 * Graceful: connections without attempts are closed, the rest after their last attempt. What is
 * still under way may go on to start attempts.
 */
void upstream_drain(struct upstream *upstream, uint64_t now);

/* Once a turn, see above. True when there was something to do. O(what happened since). */
bool upstream_tick(struct upstream *upstream, uint64_t now);

/* The connections in use, and the attempts that wait. */
uint32_t upstream_connection_count(const struct upstream *upstream);
uint32_t upstream_waiting_count(const struct upstream *upstream);

void attempt_init(struct attempt *attempt, struct upstream *upstream,
                  const struct attempt_handler *handler);

/*
 * Try the backend, one of the snapshot applied last (others: ATTEMPT_UNREACHABLE). Results come by
 * callback, never from inside this call. The attempt is idle before. Returns false
 * (ATTEMPT_NO_ROOM, counted, still idle) when no place is left.
 */
bool attempt_start(struct attempt *attempt, const struct snapshot_backend *backend, uint64_t now);

/* The request has more for supply(). */
void attempt_ready(struct attempt *attempt);

/* COUNT response bytes are done with: the stream's window reopens. */
void attempt_consumed(struct attempt *attempt, uint32_t count);

/* No more can be given back soon: the backend is told of all that was. */
void attempt_credit_now(struct attempt *attempt);

/*
 * The owner found it too slow: no first byte in time, or silence in mid-body. Counts against the
 * backend (BACKEND_LATE, BACKEND_LOST_MID_BODY) if it has a stream; attempt_cancel() usually
 * follows.
 */
void attempt_report_late(struct attempt *attempt);

/* End it from our side: RST_STREAM(CANCEL) when open. No callback follows; idle when it returns. */
void attempt_cancel(struct attempt *attempt, uint64_t now);

/* One probe (failover.md, "Backend health"), over a connection of its own. */
enum probe_kind {
    PROBE_TCP,   /* connect, and the TLS handshake where there is one */
    PROBE_HTTP2, /* GET path, any 2xx */
    PROBE_HTTP1, /* the same */
};

enum probe_outcome {
    PROBE_OK,
    PROBE_CONNECT_FAILED,
    PROBE_TLS_FAILED, /* connected, but no handshake */
    PROBE_TIMEOUT,
    PROBE_RESET,
    PROBE_BAD_STATUS,
    PROBE_NO_ROOM,
};

#define PROBE_PATH_MAX 40

struct probe_order {
    uint32_t slot;
    uint32_t generation;
    uint64_t timeout_ns;
    uint8_t kind;              /* enum probe_kind */
    char path[PROBE_PATH_MAX]; /* NUL-terminated; not for PROBE_TCP */
};

struct probe_result {
    uint32_t slot;
    uint32_t generation;
    uint8_t outcome; /* enum probe_outcome */
    uint16_t status; /* HTTP status, 0 when none came */
    uint64_t took_ns;
};

struct prober;

struct prober_config {
    uint16_t self; /* this worker */
    struct tcp *tcp;
    struct tls *tls; /* NULL: as in upstream_config */
    struct h2 *h2;
    struct h1 *h1;
    struct timer_wheel *wheel;
    uint32_t probes_max; /* at the same time */
    void (*result)(void *context, const struct probe_result *result);
    void *context;
    int socket_id;
};

struct prober *prober_create(const struct prober_config *config);

/*
 * Probe a backend of the snapshot. The result always comes; when there is no room, or the snapshot
 * has no such backend, PROBE_NO_ROOM comes before this returns.
 */
void prober_start(struct prober *prober, const struct snapshot *snapshot,
                  const struct probe_order *order, uint64_t now);

/* The probes under way. */
uint32_t prober_count(const struct prober *prober);
