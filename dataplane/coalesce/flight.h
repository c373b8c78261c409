/*
 * flight: one upstream request and its answer. Private to dataplane/coalesce.
 *
 * Owner: the worker that led it. It lives in a pool from flight_lead() until it has neither
 * subscribers nor branches (other workers' relays) any more, see flight_settle(). Every entry from
 * outside is bracketed by flight_hold() and flight_settle(), so that callbacks in between can end
 * subscribers without ending the flight under the caller's feet.
 *
 * Times, all of them under one timer, which is armed for the earliest:
 *
 *   deadline   the latest of its subscribers' deadlines, at most FLIGHT_TIME_MAX_NS (C13)
 *   patience   first byte of an attempt, later silence in the body (C13); looks at progress_at_ns
 *              when it fires, so progress does not move it
 *   hold       how long the head waits for the first body byte
 *   linger     how long it goes on without subscribers (C12)
 *   start      when its first attempt may begin (C9)
 *   drain      (it is `patience`) how long the last bytes of a tunnel may take whose client
 *              has ended its side and has gone
 *   pressure   how long a slow subscriber may hold the others back (C15)
 *
 *   flight.c           lead, join, leave, settle, list
 *   flight_state.c     states, failures
 *   flight_attempt.c   picks, attempts, what is retried
 *   flight_request.c   what goes to the backend
 *   flight_response.c  what comes from it
 *   flight_window.c    how much may come
 *   flight_section.c   header sections that are kept
 *   flight_timer.c     the times
 *   share.c            whether an answer may be shared
 */
#pragma once

#include "dataplane/coalesce/coalesce_private.h"

#define SERVICE_NAME_MAX 64

/* Why a flight changes its state. */
enum flight_cause {
    CAUSE_ATTEMPT_STARTED,
    CAUSE_HEAD_ARRIVED,
    CAUSE_ANSWER_ENDED,
    CAUSE_FAILURE,  /* feed.failure says which */
    CAUSE_DESERTED, /* nobody needs it any more */
};

/* The next piece of the request that an attempt asks for. */
enum request_piece {
    PIECE_HEADERS,
    PIECE_BODY,
    PIECE_NONE, /* all of it has been handed over */
};

/*
 * Extended CONNECT (RFC 8441). An open tunnel has no times here: it is the exchange that sees both
 * directions of it. Its request's body is not kept for a second attempt.
 */
enum flight_tunnel {
    TUNNEL_NOT,
    TUNNEL_ASKED,
    TUNNEL_OPEN, /* answered with 2xx: both sides send, and end, for themselves */
};

/* See above. Of those that are due together the first goes first. */
enum flight_time {
    TIME_DEADLINE,
    TIME_PATIENCE,
    TIME_HOLD,
    TIME_LINGER,
    TIME_PRESSURE,
    TIME_START,
    FLIGHT_TIMES
};

/*
 * What each flight uses comes first, and is all that is cleared when one begins. Behind it lies
 * what few have: a section whose `data` is NULL, or that nothing points to, is not there.
 */
struct flight {
    struct coalesce *coalesce;
    struct principal *principal; /* who led it: its memory and attempts are on that account (C29) */
    enum flight_state state;
    enum flight_cause cause;
    uint32_t guards;          /* entries that have not settled */
    bool in_shadow;           /* in the table only to count who would have joined */
    bool coalesced;           /* was in the table once */
    bool keyed;               /* it has a key, key_hash; not in shadow */
    struct key_entry *entry;  /* while it is in the table, else NULL */
    struct key_entry *sample; /* its key, of which nobody else knows any more, or ever did (C8) */
    uint64_t key_hash;        /* how markers know it */
    uint64_t start_at_ns;     /* C9: not sooner; 0: at once */
    struct list branches;
    uint32_t branch_count;
    uint32_t joined_count;   /* requests that shared it, on all workers whose relays are over */
    uint32_t deserted_count; /* branches without subscribers, whose lent memory is not back yet */

    /* The request. */
    enum request_piece piece;
    const struct fields *request; /* until the answer's head has gone to subscribers: the leader's,
                                     or kept_request */
    struct body request_body;     /* kept from its beginning while it may be sent again */
    struct body_cursor request_cursor;
    uint64_t request_told;    /* body bytes the leader has got credit for */
    uint64_t request_held_at; /* where the cursor was when the last piece was handed out */
    enum flight_tunnel tunnel;
    bool idempotent;
    bool replay_safe;
    bool replayable; /* the body is kept from its beginning */
    bool is_head;
    bool is_get; /* GET or HEAD: safe to let it linger, to join at any time */
    bool has_authorization;

    /* From the route; snapshots do not live as long. */
    bool ignore_no_store;
    bool ignore_set_cookie;
    uint8_t service_name_length;
    uint16_t route;
    uint16_t service;            /* where service_name was found last ... */
    uint64_t service_generation; /* ... in the snapshot of this generation */
    uint64_t first_byte_timeout_ns;
    uint64_t idle_timeout_ns;
    uint64_t hold_first_byte_ns;
    uint64_t hold_stream_ns;
    uint64_t linger_ns;
    uint32_t flight_bytes;

    /* Attempts. */
    uint8_t attempts;   /* 0..2 */
    uint8_t picks;      /* of this attempt */
    bool budgeted;      /* this attempt counts in coalesce->retries_budgeted */
    bool may_return;    /* the second attempt may go to lost_slot, too */
    uint32_t lost_slot; /* where the first one was lost */
    struct attempt attempt;
    struct pick_request pick;
    enum flight_failure last_failure; /* what to say when no backend is left */
    const char *retried;              /* why there is a second attempt, for the access record */
    uint64_t tried_at_ns;    /* when the last attempt was given to a backend; 0: none was */
    uint64_t answered_at_ns; /* when its response headers came; 0: not yet */

    /* The answer. */
    uint16_t status;
    bool length_declared;
    bool head_held;         /* the head is here, nobody has seen it: see flight_response.c */
    bool paused;            /* the clients of all who read it keep the window shut */
    bool pressed;           /* a subscriber that is slow keeps the window shut */
    struct list fresh_link; /* in coalesce->fresh_heads: it waits for the end of the turn */
    uint64_t declared_bytes;
    uint64_t credit_owed; /* bytes taken in whose window has not been given back */
    struct list thirsty_link;
    uint64_t pressed_at_ns;
    uint64_t pressed_for_ns; /* in all, before pressed_at_ns */

    struct subscriber *leaver;     /* inside flight_left() */
    struct subscriber_place place; /* of the client for which it lingers */

    uint64_t started_at_ns;
    uint64_t progress_at_ns;
    uint64_t deadline_ns;
    uint64_t due_at_ns[FLIGHT_TIMES]; /* 0: none */
    struct timer timer;               /* due at the earliest of them or sooner */
    struct feed feed;
#define FLIGHT_CLEARED feed.trailers /* up to here */

    struct fields request_trailers;
    struct fields kept_request; /* where `request` may point to */
    char service_name[SERVICE_NAME_MAX];
};

/* What is sent to the backend: the held body, or what the leader pushes. */
static inline const struct body *flight_request_source(const struct flight *flight)
{
    return flight->feed.held != NULL ? &flight->feed.held->body : &flight->request_body;
}

static inline struct flight *flight_of_feed(struct feed *feed)
{
    return container_of(feed, struct flight, feed);
}

/* What its request asks for, while that is kept. */
static inline enum flight_tunnel flight_tunnel_asked(const struct flight *flight)
{
    struct bytes ignored;
    bool asked = flight->request != NULL && fields_find(flight->request, FIELD_PROTOCOL, &ignored);
    return asked ? TUNNEL_ASKED : TUNNEL_NOT;
}

/* flight.c */

/* A new flight for the subscriber's request. NULL: subscriber->limit is reached, counted. */
struct flight *flight_take(struct coalesce *coalesce, const struct flight_request *request,
                           struct subscriber *subscriber, uint64_t now);
void flight_lead(struct flight *flight, struct subscriber *subscriber, uint64_t deadline_ns,
                 uint64_t now);

/* Give back a flight that nobody was put on. */
void flight_discard(struct flight *flight);

/* Whether a request may join now. Anything but APART_NOT means: a flight of its own. */
enum apart flight_admits(struct flight *flight, uint64_t deadline_ns, uint64_t now);
void flight_count_refusal(struct coalesce *coalesce, enum apart apart);
void flight_join(struct flight *flight, struct subscriber *subscriber, uint64_t deadline_ns,
                 uint64_t now);
void flight_left(struct flight *flight, struct subscriber *subscriber, uint64_t now);

/* Somebody came who may stay until DEADLINE_NS: no more lingering, and its time is the flight's. */
void flight_welcome(struct flight *flight, uint64_t deadline_ns);

/* Those who wait for it: subscribers here, and branches with subscribers. */
static inline uint32_t flight_interest(const struct flight *flight)
{
    return flight->feed.subscriber_count + flight->branch_count - flight->deserted_count;
}

/* From here on nobody joins. COUNTER is why. Harmless when nobody could. */
void flight_unpublish(struct flight *flight, uint64_t *counter, uint64_t now);

static inline void flight_leave_table(struct flight *flight, uint64_t *counter, uint64_t now)
{
    if (flight->entry != NULL)
        flight_unpublish(flight, counter, now);
}

/* What it knew its key by once nobody else did. Harmless without. */
static inline void flight_forget_sample(struct flight *flight)
{
    if (flight->sample != NULL)
        entries_give(&flight->coalesce->entries, flight->sample);
    flight->sample = NULL;
}

static inline void flight_hold(struct flight *flight)
{
    flight->guards++;
}

/* What the client of a tunnel said last is still on its way to the backend. */
bool flight_drains(const struct flight *flight);

/* Nobody is left: linger, cancel or give back. FLIGHT may be dead after it. */
void flight_deserted(struct flight *flight, uint64_t now);

/* The entry is over. FLIGHT may be dead after it. */
static inline void flight_settle(struct flight *flight, uint64_t now)
{
    check(flight->guards > 0);
    if (--flight->guards > 0 || flight_interest(flight) > 0)
        flight->leaver = NULL;
    else
        flight_deserted(flight, now);
}

/* Tell everybody that there is more to see. */
void flight_announce(struct flight *flight, uint64_t now);

/* flight_state.c */
void flight_become(struct flight *flight, enum flight_state state, enum flight_cause cause);

static inline bool flight_is_running(const struct flight *flight)
{
    return flight->state <= FLIGHT_ANSWERING;
}

/* There will be no complete answer: end the attempt, tell everybody. */
void flight_break(struct flight *flight, enum flight_failure failure, uint64_t now);

/* flight_attempt.c */
extern const struct attempt_handler flight_attempt_handler;

/* Give it to a backend; breaks when there is none. */
void flight_try(struct flight *flight, uint64_t now);

/* No first byte in time; an answer of another length than it says: another backend, or the end. */
void flight_attempt_late(struct flight *flight, uint64_t now);
void flight_attempt_wrong(struct flight *flight, uint64_t now);

/* The attempt no longer counts against the retry budget. */
static inline void flight_budget_release(struct flight *flight)
{
    if (flight->budgeted)
        principal_retry_ends(flight->principal);
    flight->budgeted = false;
}

/* flight_request.c */
struct h2_supply flight_supply(struct attempt *attempt, uint32_t max, uint64_t now);
bool flight_request_body(struct flight *flight, struct subscriber *leader, struct bytes bytes,
                         bool end, const struct fields *trailers, uint64_t now);
void flight_request_rewind(struct flight *flight);
void flight_request_clear(struct flight *flight);

/* There will be no second attempt: a held body that has been handed over may go. */
void flight_request_unneeded(struct flight *flight);

/* flight_response.c */
void flight_response_headers(struct attempt *attempt, const struct fields *fields,
                             enum h2_section section, bool end, uint64_t now);
void flight_response_data(struct attempt *attempt, struct bytes bytes, bool end, uint64_t now);
void flight_response_part(struct attempt *attempt, struct bytes bytes, uint64_t now);
/* Let subscribers see a head that was held back; harmless when none is. They are not told yet. */
void flight_release_head(struct flight *flight, uint64_t now);
/* The same, and tell them. */
void flight_show_head(struct flight *flight, uint64_t now);
/* Drop a head that was held back: another attempt begins. Harmless when none is. */
void flight_forget_head(struct flight *flight);

/* flight_section.c */

/* A copy of a section that the flight can do without; given back by drop. False: no room. */
bool flight_keep_extra(struct flight *flight, const struct fields *from, struct fields *out);
void flight_give_extra(struct flight *flight, struct fields *section);

static inline void flight_drop_extra(struct flight *flight, struct fields *section)
{
    if (section->data != NULL)
        flight_give_extra(flight, section);
}

/* It is not sent again. */
static inline void flight_forget_request(struct flight *flight)
{
    if (flight->request == &flight->kept_request)
        section_give(&flight->coalesce->sections, &flight->kept_request);
    flight->request = NULL;
}

/* The leader leaves, and its section goes: of a request that is still needed, and may lie there. */
void flight_keep_request(struct flight *flight, uint64_t now);

/* flight_window.c */

/* Whether there is memory for one more flight's first window. */
bool flight_window_fits(const struct coalesce *coalesce);

/* An attempt is to begin: its first window, and nothing of one before it. There is room for it. */
void flight_window_begin(struct flight *flight);

/* Nothing more will come. */
void flight_window_end(struct flight *flight);

uint64_t flight_window_room(const struct attempt *attempt);
void flight_window_grew(struct attempt *attempt, uint32_t by, uint64_t now);

/* Subscribers or branches moved on: let go of the body's front and reopen the window. */
void flight_trim(struct flight *flight, uint64_t now);

/*
 * Its readers are paused, or not any more (coalesce_pause()). For those who may still come nothing
 * is kept while all are.
 */
void flight_readers_changed(struct flight *flight, uint64_t now);

/* Give window back as far as bounds allow. */
void flight_grant(struct flight *flight, uint64_t now);

/* flight_timer.c */
void flight_timer_init(struct flight *flight);

/* Its time WHICH ends then; or it has none any more, and the timer may fire for nothing. O(1) */
void flight_set_time(struct flight *flight, enum flight_time which, uint64_t due_at_ns);

static inline void flight_clear_time(struct flight *flight, enum flight_time which)
{
    flight->due_at_ns[which] = 0;
}

static inline bool flight_has_time(const struct flight *flight, enum flight_time which)
{
    return flight->due_at_ns[which] != 0;
}

/* None of its times ends any more. */
void flight_clear_times(struct flight *flight);

void flight_expect_first_byte(struct flight *flight, uint64_t now);
/* The answer has begun, progress_at_ns is now: a timer that fires sooner will look at that. */
void flight_expect_more(struct flight *flight, uint64_t now);

/* The window is shut because of a slow subscriber, or not any more (C15). */
void flight_press(struct flight *flight, bool pressed, uint64_t now);

/* share.c: rule C6. */
enum share_verdict {
    SHARE_OK,
    SHARE_VARY, /* not with this key, but with one that has more header fields (C8) */
    SHARE_NOT,
};

enum share_verdict flight_may_share(const struct flight *flight, const struct fields *head);

/* The key's bytes; empty: it has none any more. */
static inline struct bytes flight_key(const struct flight *flight)
{
    const struct key_entry *entry = flight->entry != NULL ? flight->entry : flight->sample;
    return entry != NULL ? bytes_of(entry->key, entry->key_length) : BYTES_NONE;
}

/* learn.c: rules C8, C9, C10. Of a flight: it is keyed. */
void learn_unshareable(struct flight *flight, enum share_verdict verdict, const struct fields *head,
                       uint64_t now);
void learn_shareable(struct flight *flight, uint64_t now);
void learn_slow(struct flight *flight, uint64_t now);
void learn_failure(struct coalesce *coalesce, uint64_t hash, uint64_t now);
void learn_overload(struct coalesce *coalesce, uint64_t hash, const struct fields *head,
                    uint64_t now);
