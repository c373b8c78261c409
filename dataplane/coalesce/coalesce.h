/*
 * coalesce: flights and who shares them. One struct coalesce a worker, one table for all workers.
 *
 * Every exchange runs on a flight, coalesced or not. The exchange embeds a subscriber and says
 * coalesce_subscribe(); what comes back is read from subscriber->feed whenever news() was called:
 *
 *   feed       what a worker's subscribers see of one flight: head, body, trailers, how it ended.
 *   flight     one upstream request, its attempts and its feed. Belongs to the worker that led it.
 *   relay      another worker's replica of a flight's feed; holds one reference for all of that
 *              worker's subscribers and gives it back by mail.
 *   table      lock-free, fixed size: key to (owner, flight). Join-or-lead is one look-up with at
 *              most one compare-and-swap; the owner confirms a join by mail, or refuses it.
 *
 * A subscriber never sees which of these serves it. Rules: docs/coalescing.md.
 */
#pragma once

#include "dataplane/base/body.h"
#include "dataplane/base/mail.h"
#include "dataplane/coalesce/story.h"
#include "dataplane/region/pick.h"
#include "dataplane/upstream/upstream.h"

#define COUNTERS_STRUCT coalesce_counters
#define COUNTERS_DEF    "dataplane/coalesce/coalesce_counters.def"
#include "dataplane/base/counter_struct.h"

#define HISTOGRAMS_STRUCT coalesce_histograms
#define HISTOGRAMS_DEF    "dataplane/coalesce/coalesce_histograms.def"
#include "dataplane/base/histogram_struct.h"

struct coalesce;
struct coalesce_table;
struct held_body;
struct ip_address;
struct principal;
struct subscriber;
struct rte_rcu_qsbr;

/* Why a flight ended without a complete answer. The text and status are in flight_failures. */
enum flight_failure {
    FLIGHT_OK,
    FLIGHT_NO_BACKEND,      /* 503: no usable backend in an active region */
    FLIGHT_CONNECT_FAILED,  /* 502: no backend took the connection */
    FLIGHT_CONNECTION_LOST, /* 502 before headers; after them a reset */
    FLIGHT_BACKEND_RESET,   /* 502: the backend reset the stream */
    FLIGHT_BAD_RESPONSE,    /* 502: the response broke the protocol */
    FLIGHT_TIMEOUT,         /* 504: deadline, or first byte too late */
    FLIGHT_NO_MEMORY,       /* 503: a pool was empty */
    FLIGHT_TOO_SLOW,        /* 503, or a reset: this subscriber held the others back (C15) */
    FLIGHT_NO_TUNNEL,       /* 502: extended CONNECT, and no backend takes it (RFC 8441) */
    FLIGHT_UNTRANSLATABLE,  /* 400: no backend can be told it, HTTP/1.1 cannot say it */
    FLIGHT_NO_CAPACITY,     /* 503: what can serve it has as much to do as it may */
    FLIGHT_CANCELLED,       /* nobody waits any more, or an operator ended it */
    FLIGHT_FAILURES
};

/* Where a flight stands. The legal transitions are in flight_state.c. */
enum flight_state {
    FLIGHT_NEW,       /* has not been given to a backend yet */
    FLIGHT_TRYING,    /* an attempt is under way; no final response headers yet */
    FLIGHT_ANSWERING, /* the head is there, the body grows */
    FLIGHT_COMPLETE,  /* the answer is complete; subscribers may still be reading it */
    FLIGHT_BROKEN,    /* there will be no complete answer; subscribers may not know yet */
    FLIGHT_OVER,      /* given back */
    FLIGHT_STATES
};

const char *flight_state_name(enum flight_state state);

struct flight_failure_answer {
    uint16_t status;
    const char *reason; /* short, in the answer's body */
    const char *name;   /* one word, in cache-status and the access record */
    bool asked;         /* a backend was asked, and gave no answer */
};

const struct flight_failure_answer *flight_failure_answer(enum flight_failure failure);

enum feed_state {
    FEED_WAITING, /* no final response headers yet */
    FEED_HEAD,    /* `head` is complete; the body grows */
    FEED_ENDED,   /* the answer is complete: body.ended, trailers if has_trailers */
    FEED_FAILED,  /* `failure` says why; when before_head nothing of it may have been forwarded */
};

/* What serves a feed. Private to coalesce. */
enum feed_host {
    FEED_OF_FLIGHT,
    FEED_OF_RELAY,
    FEED_OF_PACER,  /* where those wait who were sent apart (C7) */
    FEED_OF_NOBODY, /* where subscribers end up that were cut off */
};

/* Read-only for subscribers. */
struct feed {
    enum feed_state state;
    bool has_trailers;
    bool before_head; /* FEED_FAILED: failed before final headers: answer with a status */
    enum flight_failure failure;
    bool has_interim;
    struct fields head; /* final response header section, hop-by-hop fields removed */
    struct body body;
    uint64_t streams_since_ns; /* its body is a stream (content_kind.h) since then; 0: it is none */
    struct list subscribers;
    uint32_t subscriber_count;
    uint32_t paused_count; /* of them, see coalesce_pause() */
    /* Private to coalesce: see feed.h. */
    enum feed_host host;
    struct held_body *held; /* the request's body, while somebody may need it; NULL: none */
    bool keeps_prefix;
    uint32_t behind_count;
    uint64_t behind_until;
    uint32_t replay_bytes; /* who is further behind than so is not kept waiting */
    /* Few have these. */
    struct fields trailers; /* if has_trailers */
    struct fields interim;  /* the 103 that came, if has_interim */
};

/* What a client keeps of its share of this worker while a flight goes on without it. */
struct subscriber_place {
    void (*leave)(void *context, uint64_t place); /* NULL: nothing is kept */
    void *context;
    uint64_t place;
};

struct subscriber_ops {
    /* The feed has more to see, or another state. Not called from inside coalesce_subscribe(). */
    void (*news)(struct subscriber *subscriber, uint64_t now);
    /* COUNT request body bytes left through the flight: credit for the client. Leader only. */
    void (*request_sent)(struct subscriber *subscriber, uint32_t count, uint64_t now);
    /*
     * A pending join was refused by the flight's owner: subscribe again without a key, from inside
     * this call or later. The subscriber is detached.
     */
    void (*refused)(struct subscriber *subscriber, uint64_t now);
    /*
     * It was the last to leave, and the flight lingers (C12): its place is left when somebody else
     * wants the flight, or the flight is over. From inside coalesce_leave(). May be NULL.
     */
    struct subscriber_place (*lingers)(struct subscriber *subscriber);
    /*
     * Whether it is its own client that keeps it from reading on (C15), and not that its turn has
     * not come yet. NULL: it always is. O(1).
     */
    bool (*held_up)(const struct subscriber *subscriber);
};

/* Why a request has a flight for itself although its key may be shared (C24). */
enum apart {
#define APART(name, detail, help) APART_##name,
#include "dataplane/coalesce/apart.def"
#undef APART
    APARTS
};

/* As it stands in cache-status and the access record; "" for APART_NOT. */
const char *apart_name(enum apart apart);

/* A limit of this worker, or a principal's part of it (C29), for which a request was refused. */
enum coalesce_limit {
    LIMIT_FLIGHTS,
    LIMIT_HEADERS,
    LIMIT_PAYLOAD,
    LIMIT_PRINCIPAL_FLIGHTS,
    LIMIT_PRINCIPAL_PAYLOAD,
    COALESCE_LIMITS
};

enum subscriber_role {
    SUBSCRIBER_NONE, /* on no flight */
    SUBSCRIBER_LED,  /* it started the flight */
    SUBSCRIBER_JOINED,
    SUBSCRIBER_PENDING, /* waiting for another worker's word; feed is NULL */
};

/* Embedded in an exchange, which owns it. Zero it before first use. */
struct subscriber {
    const struct subscriber_ops *ops;
    struct list link; /* in its feed */
    struct feed *feed;
    struct body_cursor cursor; /* the exchange advances it as it sends */
    enum subscriber_role role;
    uint64_t joined_at_bytes;  /* body position of the flight when it joined ... */
    uint64_t joined_at_ns;     /* ... and when that was */
    struct flight_name flight; /* the one it was put on last */
    struct held_body *held;    /* its request's body, see coalesce_body_take(); NULL: none */
    bool interim_due; /* C21: feed->interim came while it was here; the exchange clears it */
    bool paused;      /* coalesce_pause(); before it subscribes it may be set directly */
    enum apart apart; /* kept when it subscribes again without a key */
    enum coalesce_limit limit;   /* SUBSCRIBE_SHED: which */
    uint64_t retry_after_ns;     /* SUBSCRIBE_SHUT: how long still */
    struct principal *principal; /* who asks, the exchange's reference; NULL: nobody's own */
    /* Private to coalesce. */
    struct feed *home;      /* the feed in whose list it is, also while pending */
    uint64_t told_position; /* the cursor's, as the feed last heard */
    uint64_t deadline_ns;
};

/* Why a request is not eligible to share (rules C1, C5, C25), for counters and cache-status. */
enum key_verdict {
    KEY_OK,
    KEY_ROUTE_OFF,   /* mode off */
    KEY_SHADOW,      /* eligible, but the route only counts */
    KEY_SHADOW_BODY, /* the same; its key is known at the end of its body: coalesce_shadow() */
    KEY_METHOD,
    KEY_HAS_BODY,
    KEY_HOLD_BODY,  /* eligible: hold its body until the end, then coalesce_key_of_body() */
    KEY_BODY_BOUND, /* the body is too large, too slow, or there is no memory to hold it */
    KEY_PREDICATE,  /* C27: the body has not the members that the route requires */
    KEY_EXPECT_OR_UPGRADE,
    KEY_CLIENT_OPTED_OUT, /* cache-control, pragma, x-no-coalesce */
    KEY_UNKEYED_HEADER,   /* a forwarded header that is neither keyed nor neutral */
    KEY_TOO_LONG,         /* COALESCE_KEY_BYTES */
    KEY_VERDICTS
};

/* What a flight needs to know. Copied; nothing is kept after the call but what FIELDS_STAY says. */
struct flight_request {
    const struct fields *fields; /* the request header section as forwarded */
    bool fields_stay; /* they are as they are until after the subscriber's coalesce_leave() */
    const struct snapshot *snapshot;
    uint16_t route;           /* index into snapshot->routes */
    bool has_body;            /* body, or more of it, follows by coalesce_request_body() */
    bool is_get;              /* the method is GET ... */
    bool is_head;             /* ... or HEAD */
    bool idempotent;          /* RFC 9110 9.2.2 */
    struct bytes key;         /* coalesce_key(): empty: own flight */
    uint64_t key_hash;        /* coalesce_key_hash() of it; 0: not known */
    enum key_verdict verdict; /* KEY_SHADOW: count whom the key would have met */
    enum priority priority;   /* a flight has its leader's */
    uint64_t deadline_ns;
};

enum subscribe_result {
    SUBSCRIBE_OK,   /* role says how */
    SUBSCRIBE_SHED, /* `limit` is reached: 503 */
    SUBSCRIBE_SHUT, /* C10: no new flight of the key for retry_after_ns: 503 */
};

struct loop_clock;

struct coalesce_config {
    uint16_t self;
    uint16_t workers;
    struct coalesce_table *table;
    struct postman *postman;
    struct upstream *upstream;
    struct backend_loads *loads;
    struct timer_wheel *wheel;
    struct random *random;
    const struct loop_clock *clock;  /* the worker's; NULL in tests: it misses nothing */
    struct rte_rcu_qsbr *quiescence; /* NULL with one worker in tests: everything is quiescent */
    uint32_t flights_max;
    uint32_t requests_max; /* whose principals are to be told apart (C29) */
    uint32_t header_bytes; /* largest header section kept */
    uint32_t segments;
    uint32_t segment_bytes;
    uint32_t first_window_bytes; /* what a backend may send with every request, see h2_config */
    int socket_id;
};

/* Room for KEYS live keys; in hugepages. NULL: not enough memory. Main thread, at start. */
struct coalesce_table *coalesce_table_create(uint32_t keys, uint64_t secret0, uint64_t secret1,
                                             int socket_id);

struct coalesce *coalesce_create(const struct coalesce_config *config);
struct coalesce_counters *coalesce_counters(struct coalesce *coalesce);
const struct coalesce_histograms *coalesce_histograms(const struct coalesce *coalesce);

/* The snapshot of this step; valid until the next call. Before anything else in a step. */
void coalesce_begin_step(struct coalesce *coalesce, const struct snapshot *snapshot);

/* Mail of the kinds MAIL_JOIN .. MAIL_LEFT. */
void coalesce_mail(struct coalesce *coalesce, const struct mail *mail, uint64_t now);

/* Once a step: progress to relays, retired keys whose readers have passed. Bounded work. */
void coalesce_tick(struct coalesce *coalesce, uint64_t now);

#define COALESCE_KEY_BYTES 4096

/*
 * Build the key of a request (rules C2, C4, C25) into OUT of COALESCE_KEY_BYTES.
 *
 * fields        the request as it will be forwarded
 * out_key       set on KEY_OK and KEY_SHADOW
 * out_detail    the offending header's name on KEY_UNKEYED_HEADER (a view into fields)
 */
enum key_verdict coalesce_key(const struct snapshot_route *route, uint16_t route_index,
                              const struct fields *fields, bool has_body, uint8_t *out,
                              struct bytes *out_key, struct bytes *out_detail);

/*
 * The same for a request whose verdict was KEY_HOLD_BODY or KEY_SHADOW_BODY and whose body is
 * complete now (C2, C27). FIELDS are those that coalesce_key() saw. O(body) when the route has a
 * predicate.
 */
enum key_verdict coalesce_key_of_body(const struct snapshot_route *route, uint16_t route_index,
                                      const struct fields *fields, const struct held_body *body,
                                      uint8_t *out, struct bytes *out_key,
                                      struct bytes *out_detail);

/* The hash of a key by which it is looked up (C3); never 0. O(key) */
uint64_t coalesce_key_hash(const struct coalesce *coalesce, struct bytes key);

/*
 * C29. The name of a client's address, which stays the same; and who asks with this request: the
 * credentials in FIELDS by the route's rules, or else the address. A reference, to be dropped;
 * never NULL. O(bytes).
 */
uint64_t coalesce_address_name(const struct coalesce *coalesce, const struct ip_address *address);
struct principal *coalesce_principal(struct coalesce *coalesce, const struct snapshot_route *route,
                                     const struct fields *fields, uint64_t address_name);

/*
 * Hold the body of a request whose verdict is KEY_HOLD_BODY: take, append, end. NULL and false: a
 * bound is reached, nothing was taken; a flight of its own then, which takes over what is held.
 * The subscriber's `held` is the caller's reference: set it before coalesce_subscribe(), drop it
 * when the answer's head was read, or the exchange ends. append costs SHA-256 of the bytes.
 */
struct held_body *coalesce_body_take(struct coalesce *coalesce, struct principal *principal);
bool coalesce_body_append(struct held_body *held, struct bytes bytes);
void coalesce_body_end(struct held_body *held);
uint64_t coalesce_body_length(const struct held_body *held);

/* Give the reference back and forget it. Harmless for NULL. */
void coalesce_body_give(struct held_body **held);

static inline void coalesce_body_drop(struct held_body **held)
{
    if (*held != NULL)
        coalesce_body_give(held);
}

/*
 * Put the subscriber on a flight: join one with the same key, or lead a new one. With an empty key
 * always a new one. A held body is the request's: all of it when it has ended, else its beginning,
 * which moves to the flight. thread owner   cost one table look-up, at most one compare-and-swap
 */
enum subscribe_result coalesce_subscribe(struct coalesce *coalesce, struct subscriber *subscriber,
                                         const struct flight_request *request, uint64_t now);

/* Count whom KEY would have met, or make the flight that it leads the one to be met. */
void coalesce_shadow(struct coalesce *coalesce, struct subscriber *subscriber, struct bytes key);

/*
 * Push request body bytes to the flight that this subscriber leads; all are taken over unless
 * payload memory is used up (false: answer 503). END with the last. TRAILERS may be NULL.
 */
bool coalesce_request_body(struct subscriber *subscriber, struct bytes bytes, bool end,
                           const struct fields *trailers, uint64_t now);

/*
 * Copy the feed's head, as far as this subscriber may see it, into INTO: set-cookie is for the one
 * whose request brought it (C6). The feed has a head. False: does not fit. O(bytes).
 */
bool coalesce_head(const struct subscriber *subscriber, struct fields *into);

/* The same of the feed's interim response (C21). */
bool coalesce_interim(const struct subscriber *subscriber, struct fields *into);

/*
 * C17: up to where in the body the subscriber may be given at AT_NS what was streamed before it
 * came. UINT64_MAX: all there is, from then on. Pure. O(1).
 */
uint64_t coalesce_replay_until(const struct coalesce *coalesce, const struct subscriber *subscriber,
                               uint64_t at_ns);

/* The subscriber has sent bytes and moved its cursor: memory and windows may move on. */
void coalesce_advanced(struct subscriber *subscriber, uint64_t now);

/*
 * For this subscriber more is held than for it should be, or no longer. While that is so of all
 * who read a flight, its backend gets no credit until one of them has read all there is. O(1)
 */
void coalesce_pause(struct subscriber *subscriber, bool paused, uint64_t now);

/* Leave the flight (rule C12). Harmless without one. The subscriber may subscribe again. */
void coalesce_leave(struct subscriber *subscriber, uint64_t now);

/* One flight, as flight.list shows it. */
struct fact_flight {
    uint64_t handle;
    uint64_t age_ns;
    uint64_t body_bytes;
    uint32_t subscribers;
    uint32_t backend_slot;
    uint16_t route;
    uint8_t attempt;   /* 1, 2; 0: none yet */
    uint8_t state;     /* enum flight_state */
    uint8_t coalesced; /* 1: in the table, others may join */
    uint8_t branches;  /* other workers that share it */
    uint16_t status;   /* 0: no response headers yet */
    uint32_t kept_kib; /* of the body, for those who have not read it */
    uint32_t idle_ms;  /* since something came from the backend */
};

/*
 * End a flight that is under way: who waits gets 503 or a reset. False: there is none such now.
 * OUT is the flight as it was.
 */
bool coalesce_kill(struct coalesce *coalesce, handle flight, struct fact_flight *out, uint64_t now);

/* A segment with a copy of TEXT for the caller, or NULL: too long, or no payload memory left. */
struct segment *coalesce_text(struct coalesce *coalesce, struct principal *principal,
                              struct bytes text);

/* For flight.list: call SHOW for each flight led here, at most MAX. */
void coalesce_list(struct coalesce *coalesce, uint32_t max, uint64_t now,
                   void (*show)(void *context, const struct fact_flight *flight), void *context);

/* Payload segments that nothing is in. */
uint32_t coalesce_free_segments(const struct coalesce *coalesce);

uint32_t coalesce_flight_count(const struct coalesce *coalesce);

/* Objects of every kind in use: 0 when every flight has gone and all workers have passed. */
uint32_t coalesce_objects_used(const struct coalesce *coalesce);
