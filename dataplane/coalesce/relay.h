/*
 * relay: this worker's replica of the feed of a flight that another worker leads. Private to
 * dataplane/coalesce. The other side, and what both share, is in branch.h.
 *
 * Life: taken when the first subscriber here wants to join (MAIL_JOIN), ended by MAIL_REFUSED or,
 * once it has no subscribers and all that was lent has come back, by its own MAIL_LEFT. A relay
 * that is asking is not given back before the answer has come.
 *
 * The body consists of segment objects of this worker whose data is the owner's memory. TCP may
 * hold them long after the body let go of them, and give them back in any order; the owner is told
 * in order.
 */
#pragma once

#include "dataplane/coalesce/branch.h"

enum relay_state {
    RELAY_ASKING,  /* MAIL_JOIN is under way; subscribers are pending */
    RELAY_LIVE,    /* joined: `branch` may be read */
    RELAY_CLOSING, /* no subscribers: waits for lent memory, or for room to post MAIL_LEFT */
};

struct relay;

/* A lent segment. */
struct lent {
    struct segment segment; /* first: found through it */
    struct lent *next;      /* the one lent after it */
    bool returned;          /* nobody here refers to it */
};

struct relay {
    struct feed feed;
    struct coalesce *coalesce;
    enum relay_state state;
    uint16_t owner;
    handle flight;            /* at the owner */
    uint64_t key_hash;        /* how markers know its key */
    handle branch_handle;     /* at the owner */
    struct branch *branch;    /* from MAIL_JOINED to MAIL_LEFT */
    struct list bucket_link;  /* in coalesce->relay_buckets, while it may be joined */
    struct list waiting_link; /* in coalesce->waiting_relays */
    struct segment_source source;
    struct loan *reached; /* the newest loan that is in the body, or was */
    struct lent *oldest;  /* lent segments not told to the owner as released */
    struct lent *newest;
    uint64_t released_count;
    uint32_t joined_count;  /* requests that have shared the flight through it */
    uint32_t held_count;    /* lent segments that somebody here refers to */
    bool guarded;           /* it is being worked on: leavers do not close it */
    bool clearing;          /* its body is being let go of */
    bool starved;           /* no lent object was free */
    bool released_unposted; /* marked, but the ring was full */
    uint64_t cut_done;      /* branch->cut as it was obeyed last */
    uint64_t progress_at_ns;
};

/* A flight of another worker. */
struct relay_target {
    uint16_t owner;
    handle flight;
    uint64_t key_hash; /* how markers know its key */
};

static inline struct relay *relay_of_feed(struct feed *feed)
{
    return container_of(feed, struct relay, feed);
}

/*
 * Put the subscriber on a relay of the flight, pending or joined. False: it cannot be, counted:
 * a flight of its own. O(1).
 */
bool relay_join(struct coalesce *coalesce, const struct relay_target *target,
                struct subscriber *subscriber, uint64_t deadline_ns, uint64_t now);

void relay_left(struct relay *relay, struct subscriber *subscriber, uint64_t now);

/* Subscribers moved on. */
void relay_trim(struct relay *relay);

/* Tell the owner whether anybody here should get more now. */
void relay_tell_paused(struct relay *relay);

void relay_mail_joined(struct coalesce *coalesce, const struct mail *mail, uint64_t now);
void relay_mail_refused(struct coalesce *coalesce, const struct mail *mail, uint64_t now);
void relay_mail_progress(struct coalesce *coalesce, const struct mail *mail, uint64_t now);

/* Post what could not be posted, take what there was no object for. Once a step. */
void relays_tick(struct coalesce *coalesce, uint64_t now);
