/*
 * upstream_private: what the files of this folder share. One worker.
 *
 * Who calls whom: upstream.c (create, slots, tick) and attempt.c use upstream_conn.c; what happens
 * on a connection comes back as slot_*() and attempt_*(). upstream_path.c watches over it.
 *
 * Timers, one a connection (upstream_conn.c):
 *   CONNECTING  UPSTREAM_CONNECT_SUSPECT_NS after the start: nobody goes on waiting for it
 *   SECURING    UPSTREAM_OPENING_SUSPECT_NS likewise; UPSTREAM_OPENING_NS: given up
 *   OPENING     likewise, since TCP was up
 *   OPEN        with attempts: every UPSTREAM_WATCH_NS; suspect: every UPSTREAM_SUSPECT_WATCH_NS;
 *               else at the idle limit
 *   DRAINING    with attempts: likewise; else UPSTREAM_END_NS: closed hard
 */
#pragma once

#include "dataplane/base/clock.h"
#include "dataplane/base/pool.h"
#include "dataplane/tls/tls_target.h"
#include "dataplane/upstream/upstream.h"

/* Limits. Those of suspicion are failover.md's, "Backend health". */
#define UPSTREAM_CONNECT_SUSPECT_NS (250 * CLOCK_MS) /* SYN unanswered */
#define UPSTREAM_OPENING_SUSPECT_NS (500 * CLOCK_MS) /* connected, no SETTINGS */
#define UPSTREAM_OPENING_NS         (2 * CLOCK_S)    /* likewise: the connect has failed */
#define UPSTREAM_WATCH_NS           (50 * CLOCK_MS)  /* between two looks at a path in use */
#define UPSTREAM_SUSPECT_WATCH_NS   (500 * CLOCK_MS) /* between two looks at a silent one */
#define UPSTREAM_UNACKED_NS         (150 * CLOCK_MS) /* no answer to data, at least ... */
#define UPSTREAM_UNACKED_RTTS       3u               /* ... and so many smoothed round trips */
#define UPSTREAM_ASK_NS             (150 * CLOCK_MS) /* silence before TCP asks for an answer */
#define UPSTREAM_PING_SUSPECT_NS    (500 * CLOCK_MS) /* PING unanswered */
#define UPSTREAM_PUT_OFF_NS         (1 * CLOCK_MS)   /* somebody who receives was not run */
#define UPSTREAM_IDLE_NS            (60 * CLOCK_S)   /* without attempts, at most */
#define UPSTREAM_SUSPECT_IDLE_NS    (5 * CLOCK_S)    /* likewise, and suspected */
#define UPSTREAM_AGE_NS             (3600 * CLOCK_S) /* a connection is replaced after ... */
#define UPSTREAM_AGE_JITTER         10u              /* ... and up to a tenth of that more */
#define UPSTREAM_END_NS             (5 * CLOCK_S)    /* draining without attempts */
#define UPSTREAM_GROW_PAUSE_NS      (1 * CLOCK_S)    /* after a failed connect beside open ones */
#define UPSTREAM_STREAMS_ASSUMED    100u             /* room of a connection not open yet */

/*
 * Two questions go out while attempts wait. TCP's (tcp_ask()) is about the path: as cheap as two
 * small packets, and asked at each look from UPSTREAM_ASK_NS of silence on, so that a single loss
 * proves nothing. PING is about the backend's HTTP/2, and has to be rare:
 *
 * Silence before the n-th PING since the last response frame: 1 s, 4 s, 16 s, then no more. gRPC
 * servers end connections with ENHANCE_YOUR_CALM at the fourth PING without a response frame in
 * between; after three TCP's keepalive watches on.
 */
#define UPSTREAM_PING_NS    (1 * CLOCK_S)
#define UPSTREAM_PING_SHIFT 2u
#define UPSTREAM_PINGS_MAX  3u

enum upstream_conn_state {
    UPSTREAM_CONNECTING, /* SYN sent */
    UPSTREAM_SECURING,   /* TCP is up, the TLS handshake under way */
    UPSTREAM_OPENING,    /* it was our turn to speak, the backend's first word is awaited */
    UPSTREAM_OPEN,       /* takes attempts, as far as streams allow */
    UPSTREAM_DRAINING,   /* takes no more; ends with its last attempt */
    UPSTREAM_CLOSED,     /* over; the object is given back by the next tick */
    UPSTREAM_CONN_STATES
};

/* What moves a connection from state to state. */
enum upstream_conn_cause {
    UPSTREAM_CONNECTED,   /* TCP is up, TLS is wanted */
    UPSTREAM_ESTABLISHED, /* TCP is up, and TLS where it is wanted */
    UPSTREAM_GREETED,     /* the backend is ready for requests: HTTP/2's SETTINGS arrived */
    UPSTREAM_DOOR_CLOSED, /* GOAWAY, or stream ids are used up */
    UPSTREAM_RETIRED,     /* by us: idle, aged, backend gone, node drains */
    UPSTREAM_OVER,        /* refused, lost, or closed in good order */
    UPSTREAM_CONN_CAUSES
};

/*
 * What a connection speaks, one table a protocol: upstream_h2.c, upstream_h1.c. CONN is one on
 * which open() went well and that was not told over yet; ATTEMPT is open on it.
 */
struct upstream_ops {
    bool greets; /* the backend has the first word: OPENING lasts until upstream_conn_available() */
    bool takes_at_once; /* request() may be called from within any callback, not only the tick */
    /* Begin to speak on a transport, which is taken over, also on failure. False: no room. */
    bool (*open)(struct upstream_conn *conn, struct transport transport, uint64_t now);
    /* The transport's events (enum tcp_event); the connection may be over afterwards. */
    void (*event)(struct upstream_conn *conn, uint32_t events, uint64_t now);
    /* No more requests; it ends when the last one has ended. */
    void (*shut_down)(struct upstream_conn *conn, uint64_t now);
    /* It ends now. */
    void (*close)(struct upstream_conn *conn, enum h2_error code, uint64_t now);
    /* Whether it may ever take another request, and how many now. */
    bool (*is_open)(const struct upstream_conn *conn);
    uint32_t (*room)(const struct upstream_conn *conn);
    /* How long it is kept without attempts. */
    uint64_t (*idle_for_ns)(const struct upstream_conn *conn);
    /* A liveness question above TCP's; NULL: the protocol has none. */
    void (*ping)(struct upstream_conn *conn, uint64_t timeout_ns, uint64_t now);
    /* Put an attempt on the connection. False: no room after all. */
    bool (*request)(struct upstream_conn *conn, struct attempt *attempt, uint64_t now);
    /* Why the backend will not take this request; ATTEMPT_FAILURES: it will. */
    enum attempt_failure (*refusal)(struct attempt *attempt, const struct fields *request);
    void (*ready)(struct attempt *attempt);
    void (*consumed)(struct attempt *attempt, uint32_t count);
    void (*credit_now)(struct attempt *attempt);
    /* End the exchange from our side. STREAM is what was the attempt's, which is idle already. */
    void (*cancel)(struct upstream_conn *conn, struct h2_stream *stream, uint64_t now);
};

extern const struct upstream_ops upstream_h2_ops;
extern const struct upstream_ops upstream_h1_ops;

/* Owner: struct upstream's pool, until the tick after UPSTREAM_CLOSED. */
struct upstream_conn {
    struct upstream *upstream;
    enum upstream_conn_state state;
    uint32_t slot;
    uint32_t generation;  /* of the slot */
    struct list link;     /* slot's, or upstream's retiring, draining, closed */
    struct list idle;     /* in upstream->idle while OPEN without attempts */
    struct list attempts; /* open ones */
    uint32_t attempt_count;
    struct tcp_conn *tcp;            /* NULL: not ours any more */
    struct tls_session *tls;         /* in SECURING only: then the transport is what is spoken on */
    enum upstream_protocol protocol; /* what will be spoken */
    const struct upstream_ops *speaks; /* from OPENING until it is over, else NULL */
    struct h2_conn *h2;                /* while HTTP/2 is spoken */
    struct h1_conn *h1;                /* while HTTP/1.1 is spoken */
    struct timer timer;
    uint64_t established_at_ns;
    uint64_t quiet_since_ns; /* the last arrival, or the first attempt after idling */
    uint64_t idle_since_ns;
    uint64_t idle_for_ns;         /* the limit */
    uint64_t joined_at_ns;        /* HTTP/1.1: its attempt began */
    uint64_t taken_bytes;         /* HTTP/1.1: of the answer, since reading paused */
    bool has_whole_window;        /* HTTP/1.1: counted in upstream->whole_windows */
    uint64_t retire_at_ns;        /* age limit */
    uint64_t pinged_at_ns;        /* PING unanswered since; 0: none */
    uint64_t asked_at_ns;         /* TCP's question unanswered since; 0: none */
    uint32_t pings;               /* since the last response frame */
    enum suspicion suspect;       /* new attempts go elsewhere */
    bool served;                  /* it has had an attempt */
    enum attempt_failure failure; /* what those who wait are told if it never opens */
};

/* A backend, as far as this worker's connections go. */
struct upstream_slot {
    bool present; /* in the snapshot */
    uint16_t region;
    uint32_t generation;
    uint64_t applied; /* upstream->applied at which it was last seen */
    struct ip_address address;
    uint16_t port;
    enum upstream_protocol protocol;
    bool secure;                     /* never in clear text */
    const struct tls_target *target; /* held; NULL although secure: no memory for TLS at start */
    bool speaks_http1;               /* as configured, or as ALPN has found out last */
    struct list connections;         /* CONNECTING, SECURING, OPENING, OPEN */
    uint32_t connection_count;
    struct list waiting; /* attempts, first come first */
    uint32_t waiting_count;
    uint32_t streams_expected; /* of a connection being opened, 1.. */
    uint64_t grow_after_ns;    /* none beside working connections before */
    struct list touched;       /* in upstream->touched: the next tick serves it */
};

struct upstream {
    struct upstream_config config;
    struct upstream_counters counters;
    struct pool connections; /* FIFO: a slot rests before its next life */
    struct list idle;        /* connections, longest idle first */
    struct list retiring;    /* DRAINING, h2 not told yet */
    struct list draining;    /* DRAINING */
    struct list closed;      /* CLOSED */
    struct list touched;     /* slots to be served */
    struct list failing;     /* attempts to be told their failure */
    uint32_t whole_windows;  /* HTTP/1.1 connections with a TCP window that is not limited */
    uint32_t waiting_count;  /* attempts in a slot's waiting or in failing */
    uint64_t applied;        /* snapshots so far */
    bool drains;
    struct upstream_slot slots[SNAPSHOT_BACKENDS_MAX];
};

/* --- upstream.c --- */

/* The load entry if it is still about GENERATION of the slot, else NULL. */
static inline struct backend_load *upstream_load(struct upstream *upstream, uint32_t slot,
                                                 uint32_t generation)
{
    struct backend_load *load = &upstream->config.loads->slots[slot];
    return load->generation == generation ? load : NULL;
}

/* The next tick serves the slot. Idempotent. */
void slot_touch(struct upstream *upstream, uint32_t slot);

/* All who wait for the slot will be told WHY by the next tick. O(waiting). */
void slot_fail_waiting(struct upstream *upstream, uint32_t slot, enum attempt_failure why);

/*
 * The open connection with the fewest attempts that takes one more, or NULL. O(connections of the
 * slot)
 */
struct upstream_conn *slot_find_room(const struct upstream_slot *slot);

/* Whether a connection, open or coming, is worth waiting for. O(connections of the slot). */
bool slot_has_hope(const struct upstream_slot *slot);

/* --- upstream_conn.c --- */

/* Begin a connect to the slot. False: no room, counted. */
bool upstream_conn_start(struct upstream *upstream, uint32_t slot, uint64_t now);

/* No new attempts; ends with its last one. Nothing is called back. */
void upstream_conn_retire(struct upstream_conn *conn, uint64_t *counter, uint64_t now);

/* Tell the retiring ones to shut down. From the tick. */
void upstream_conns_shut_down(struct upstream *upstream, uint64_t now);

/* Close the longest idle connection at once. False: none idles. From the tick. */
bool upstream_conn_reclaim(struct upstream *upstream, uint64_t now);

/* Give back closed ones. From the tick. */
void upstream_conns_give_back(struct upstream *upstream);

/* An attempt came to the connection, or left it. */
void upstream_conn_joined(struct upstream_conn *conn, uint64_t now);
void upstream_conn_left(struct upstream_conn *conn, uint64_t now);

/* What the protocol tells: it has room, or takes no more; it is over, and the transport gone. */
void upstream_conn_available(struct upstream_conn *conn, uint64_t now);
void upstream_conn_over(struct upstream_conn *conn, uint64_t now);

/* A piece of a response arrived. */
static inline void upstream_conn_answered(struct upstream_conn *conn)
{
    conn->pings = 0;
}

/* --- upstream_path.c --- */

/* The timer of a connection in its state. These may suspect it, and tell its attempts. */
void upstream_path_watch_connecting(struct upstream_conn *conn, uint64_t now);
void upstream_path_watch_opening(struct upstream_conn *conn, uint64_t now);
void upstream_path_watch(struct upstream_conn *conn, uint64_t now);

/* Its first attempt after idling begins. */
void upstream_path_in_use(struct upstream_conn *conn, uint64_t now);

/* Bytes of the backend's have arrived. */
void upstream_path_received(struct upstream_conn *conn, uint64_t now);

/* HTTP/2 is up; the connection is no longer among those of its slot. */
void upstream_path_opened(struct upstream_conn *conn);
void upstream_path_left(const struct upstream_conn *conn);

/* --- attempt.c --- */

/*
 * Put a waiting attempt on the connection. It fails with ATTEMPT_NO_ROOM when that has no room, and
 * goes on waiting when that has just ended.
 */
void attempt_attach(struct attempt *attempt, struct upstream_conn *conn, uint64_t now);

/* A waiting attempt, already out of its slot, is going to be told WHY. */
void attempt_fail_later(struct attempt *attempt, enum attempt_failure why);

/* Tell failures. From the tick. */
void attempts_tell(struct upstream *upstream, uint64_t now);

/* Tell a connection's attempts what is silent. O(attempts). */
void attempts_suspect(struct upstream_conn *conn, enum suspicion why, uint64_t now);

/* What the protocol tells about an open attempt. */
void attempt_headers(struct attempt *attempt, const struct fields *fields, enum h2_section section,
                     bool end, uint64_t now);
void attempt_data(struct attempt *attempt, struct bytes bytes, bool end, uint64_t now);
void attempt_part(struct attempt *attempt, struct bytes bytes, uint64_t now);
struct h2_supply attempt_supply(struct attempt *attempt, uint32_t max, uint64_t now);
uint64_t attempt_window_room(const struct attempt *attempt);
void attempt_window_grew(struct attempt *attempt, uint32_t by, uint64_t now);
void attempt_reset(struct attempt *attempt, struct h2_reset reset, uint64_t now);
void attempt_stale(struct attempt *attempt, uint64_t now);
void attempt_finished(struct attempt *attempt, uint64_t now);
