/*
 * exchange: one request of a client and its answer. Private to dataplane/request.
 *
 * Owner of an exchange: its stream. It holds one subscriber of a flight until the stream ends or
 * the answer becomes a local one.
 *
 * Times, under one timer of its client (exchange_times.c): the route's request_timeout; while a
 * request body is awaited its body_timeout; while that is held, until when; of a tunnel its
 * idle_timeout instead. Timers of its own has who streams: keepalive.h, replay.h.
 */
#pragma once

#include "dataplane/base/loop_clock.h"
#include "dataplane/h2/section.h"
#include "dataplane/request/access_log.h"
#include "dataplane/request/account.h"
#include "dataplane/request/admission.h"
#include "dataplane/request/cut.h"
#include "dataplane/request/keepalive.h"
#include "dataplane/request/panic_gate.h"
#include "dataplane/request/plan.h"
#include "dataplane/request/replay.h"
#include "dataplane/request/request.h"

#define CLIENT_ADDRESS_TEXT 48
#define ROUTE_NAME_MAX      64

/* One client connection: what its requests need to know of it. */
struct client {
    struct list link; /* engine->client_list, or leaving_list once shut down */
    struct request_engine *engine;
    struct h2_conn *conn;
    struct account account; /* of what is held for it */
    struct timer timer;     /* of its exchanges' times, see exchange_times.c */
    uint64_t wakes_at_ns;   /* when it fires; CLOCK_NEVER: not */
    struct request_peer peer;
    uint64_t address_name; /* as principals know it (C29) */
    uint8_t address_length;
    char address[CLIENT_ADDRESS_TEXT];
    uint8_t told[FIELD_HEAD_BYTES + CLIENT_ADDRESS_TEXT]; /* x-forwarded-for with it, as fields.h */
};

/* Answers that Weir gives itself. The table is in local_answer.c. */
enum local_answer {
    LOCAL_NONE,
    LOCAL_BAD_REQUEST,
    LOCAL_NO_ROUTE,
    LOCAL_METHOD,
    LOCAL_OPTIONS, /* max-forwards: 0: it was meant for us */
    LOCAL_HEADER_SIZE,
    LOCAL_NO_MEMORY,
    LOCAL_REQUESTS,           /* admission: the worker's limit */
    LOCAL_PRINCIPAL_REQUESTS, /* admission: the principal's */
    LOCAL_PANIC,              /* as few are taken as succeed (panic_gate.h) */
    LOCAL_LIMIT,              /* of coalesce, in this order: enum coalesce_limit */
    LOCAL_LIMIT_LAST = LOCAL_LIMIT + COALESCE_LIMITS - 1,
    LOCAL_TIMEOUT,
    LOCAL_BODY_TIMEOUT,
    LOCAL_RESPONSE_SIZE,
    LOCAL_SHUT,   /* C10 */
    LOCAL_FLIGHT, /* as the flight's failure says */
    LOCAL_ANSWERS
};

/*
 * What each request uses comes first, and is all that is cleared when an exchange begins: the rest
 * is filled when it is needed.
 */
struct exchange {
    struct subscriber subscriber;
    struct request_engine *engine;
    struct client *client;
    struct h2_stream *stream;
    struct account_entry account;
    struct fields forwarded; /* the request as forwarded; kept while it may be sent again */
    uint64_t due_at_ns;      /* when exchange_times.c looks at it; CLOCK_NEVER: not any more */
    uint64_t deadline_ns;
    uint64_t body_timeout_ns;    /* request body without progress */
    uint64_t body_at_ns;         /* when it last had some */
    uint64_t body_kept_bytes;    /* of it that went no further yet: its window is ours to open */
    uint64_t hold_until_ns;      /* while `holding` */
    uint64_t tunnel_idle_ns;     /* a tunnel ends when nothing passed either way for so long */
    enum local_answer local;     /* LOCAL_NONE: the answer comes from the feed */
    uint32_t local_at;           /* bytes of a local answer's text that went out */
    enum flight_failure failure; /* with LOCAL_FLIGHT */
    enum key_verdict verdict;    /* why it could share, or not */
    enum priority priority;
    bool head_sent;
    bool asks_tunnel; /* extended CONNECT */
    bool tunnel;      /* it was answered with 2xx (RFC 8441) */
    bool admitted;    /* it counts, see admission.h ... */
    bool refused;     /* ... or its refusal does */
    bool has_body;
    bool is_get;  /* method GET */
    bool is_head; /* method HEAD */
    bool idempotent;
    bool body_ended;
    bool holding;               /* its body is being held (hold.c) */
    uint16_t route;             /* where its route was found */
    uint16_t keyed_fields;      /* of `forwarded`: what is keyed, without what this hop added ... */
    uint32_t keyed_bytes;       /* ... in bytes */
    struct cut cut;             /* where its answer may be cut honestly (C11) */
    struct replay replay;       /* the pace of what was streamed before it came */
    struct keepalive keepalive; /* comments in an event stream */
    struct segment *last_words; /* given, and then a reset; NULL: none */
    struct held_body *shadow;   /* a copy of its body, only to count (shadow.c); NULL: none */
    struct access_draft access;
    uint8_t route_name_length;
    char route_name[ROUTE_NAME_MAX];
#define NOT_CLEARED route_name
    struct access_notes notes;    /* while access.noted */
    struct timer keepalive_timer; /* while keepalive.on */
    struct timer replay_timer;    /* while replay.on */
};

struct request_engine {
    struct request_config config;
    struct request_counters counters;
    struct request_histograms histograms;
    const struct snapshot *snapshot; /* of this step */
    struct access_log access;
    struct admission admission;
    struct panic_gate panic_gate;
    struct pool clients;   /* POOL_LIFO */
    struct pool exchanges; /* POOL_RESTING: timers and flights name them */
    struct section_pools sections;
    struct list client_list;
    struct list leaving_list;
    struct fields scratch; /* a section being built or sent */
    struct plans plans;    /* of requests that come again */
    uint8_t key[COALESCE_KEY_BYTES];
    struct segment comment;       /* keepalive.h */
    struct segment *answer_texts; /* one per status text, never released */
};

/* exchange.c */
void exchange_begin(struct client *client, struct h2_stream *stream, const struct fields *fields,
                    bool end, uint64_t now);
void exchange_body(struct exchange *exchange, struct bytes bytes, bool end,
                   const struct fields *trailers, uint64_t now);
void exchange_end(struct exchange *exchange, const struct access_ending *ending, uint64_t now);

/* exchange_times.c */

/* Its time for something has been set, or set anew. It is looked at when the first is over. O(1) */
void exchange_watch(struct exchange *exchange, uint64_t now);

/* Answer ANSWER, or reset when another answer has begun. */
void exchange_give_up(struct exchange *exchange, enum local_answer answer, uint64_t now);

void client_timer_init(struct client *client);
void client_timer_end(struct client *client);

/* exchange.c */

/* Off its flight, if it is on one: what is to be told of it is noted. */
void exchange_leave(struct exchange *exchange, uint64_t now);

/* A backend has agreed to extended CONNECT: from here on only silence ends it. */
void exchange_tunnel_opened(struct exchange *exchange, uint64_t now);

/* A request's key, as far as it has one, and its hash; 0: not known. */
struct exchange_key {
    struct bytes bytes;
    uint64_t hash;
};

/* Put it on a flight. KEY may be empty: a flight of its own. MORE: body follows. */
void exchange_subscribe(struct exchange *exchange, const struct snapshot_route *route,
                        struct exchange_key key, bool more, uint64_t now);

/* hold.c: rule C1. Hold its body from here on. False: there is no memory for it, it is not held. */
bool exchange_hold(struct exchange *exchange, uint64_t now);

/* Some of it. False: it is not held any more, and has a flight or an answer now. */
bool exchange_hold_body(struct exchange *exchange, struct bytes bytes, bool end,
                        const struct fields *trailers, uint64_t now);

/* Its time is over: a flight of its own, which takes over what is here and streams the rest. */
void exchange_hold_over(struct exchange *exchange, uint64_t now);

/* No more holding; what is held goes. Harmless when nothing is. */
static inline void exchange_hold_end(struct exchange *exchange)
{
    exchange->holding = false;
    coalesce_body_drop(&exchange->subscriber.held);
}

/* The header section as it was when the verdict was given. */
struct fields exchange_keyed_section(const struct exchange *exchange);

/* shadow.c: a POST in shadow mode; some of its body; no more of that, harmless without. */
void exchange_shadow_begin(struct exchange *exchange);
void exchange_shadow_body(struct exchange *exchange, struct bytes bytes, bool end,
                          const struct fields *trailers);
static inline void exchange_shadow_end(struct exchange *exchange)
{
    coalesce_body_drop(&exchange->shadow);
}

/* Off its flight, which will not serve it, and onto one of its own. */
void exchange_resubscribe(struct exchange *exchange, uint64_t now);

/* False: nothing is held for it now, and nothing was: account_update() would find no change. */
static inline bool account_may_change(const struct exchange *exchange)
{
    const struct feed *feed = exchange->subscriber.feed;
    return exchange->account.held_bytes > 0 ||
           (feed != NULL && feed->body.written_bytes > exchange->subscriber.cursor.position);
}

/* The route that the request goes by now, or NULL. */
const struct snapshot_route *exchange_route(const struct exchange *exchange);

/* answer.c: the next piece of the answer. */
struct h2_supply exchange_supply(struct exchange *exchange, uint32_t max, uint64_t now);

/* Give up on the feed: answer by ourselves, or reset when an answer has begun. */
void exchange_answer_locally(struct exchange *exchange, enum local_answer local, uint64_t now);

/* local_answer.c */
bool local_answers_init(struct request_engine *engine, int socket_id);
uint16_t local_answer_status(const struct exchange *exchange);
struct chunk local_answer_text(const struct exchange *exchange);
const char *local_answer_name(enum local_answer local); /* one word */
bool local_answer_retry_after(const struct exchange *exchange);
void local_answer_count(struct exchange *exchange);

/* cache_status.c: the field's value, in ROOM; and why an exchange shares nothing, "" if it may. */
#define CACHE_STATUS_BYTES 64
struct bytes cache_status(const struct exchange *exchange, uint8_t room[CACHE_STATUS_BYTES]);
const char *exchange_alone_name(const struct exchange *exchange);

/* route.c: the route of a request, or NULL. Pure. O(routes). */
const struct snapshot_route *route_match(const struct snapshot *snapshot, struct bytes authority,
                                         struct bytes path);

/* How much the request matters: as the route says, or less when its client says so. Pure. */
enum priority route_priority(const struct snapshot_route *route, const struct fields *request);

/* ASCII case-insensitive; LOWER is lower case already. */
bool route_same_text(struct bytes text, struct bytes lower);

/* http1_answer.c: see struct h2_handler. */
bool request_http1_answer(const struct snapshot *snapshot, const struct request_peer *peer,
                          struct bytes line, struct writer *out);

/* header_rules.c. What became of a request that goes on. */
struct request_way {
    const struct snapshot_route *route; /* NULL: there is none */
    uint32_t disguised;                 /* fields that were dropped, because they read like ours */
};

enum local_answer request_rules(const struct snapshot *snapshot, const struct request_peer *peer,
                                const struct fields *request, struct fields *out_forwarded,
                                struct request_way *out);
/* The route for PATH, of a request that is like one that went on. NULL: there is none. */
const struct snapshot_route *request_rules_route(const struct snapshot *snapshot,
                                                 const struct fields *request, struct bytes path);
void request_rules_hop(const struct snapshot *snapshot, const struct snapshot_route *route,
                       const struct fields *request, struct fields *forwarded);
/* The address it tells of a client: what can be known of that field is found out once. */
void request_rules_address(struct client *client, struct bytes text);
void request_rules_client(const struct client *client, const struct snapshot_route *route,
                          const struct fields *request, struct fields *forwarded);

/* What of a request's trailers goes on, in SCRATCH, which they fit into. NULL: nothing. */
const struct fields *request_rules_trailers(const struct fields *trailers, struct fields *scratch,
                                            uint32_t *out_disguised);
