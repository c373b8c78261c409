/*
 * branch: what a flight shows one relay on another worker. Private to dataplane/coalesce.
 *
 * The branch lies in the memory of the flight's owner. The relay reads it, and the payload lent
 * through it, between MAIL_JOINED, which carries its address, and the relay's MAIL_LEFT; the owner
 * keeps flight, branch and all that is lent until that mail has come.
 *
 * Payload is lent segment by segment: a loan holds a reference for the relay. Loans are a chain
 * that only the owner extends; the relay follows it as far as `lent_bytes` says, and counts in
 * `released_count` those that it is done with, in order. It always keeps the newest one that it has
 * reached, because it will follow that one's `next`; so a chain never breaks under it.
 *
 * Synchronisation:
 *
 *   member           written by  order     read by   order    why it suffices
 *   lent_bytes       owner       release   relay     acquire  bytes, loans and their `next` up to
 *                                                             there were written before
 *   state            owner       release   relay     acquire  head, trailers, failure, story were
 *                                                             written before; lent_bytes is final
 *                                                             before BRANCH_ENDED, and the relay
 *                                                             reads state first
 *   joinable         owner       release   relay     acquire  cleared before or after a local join,
 *                                                             nothing else hangs on it
 *   cut              owner       release   relay     acquire  a number by itself
 *   released_count   relay       release   owner     acquire  the relay's last reads of the memory
 *                                                             came before
 *   position         relay       release   owner     acquire  a number by itself
 *   deserted         relay       release   owner     acquire  set once, a bool by itself
 *   paused           relay       release   owner     acquire  a bool by itself; when it turns false
 *                                                             the owner is told to look
 *   deadline_ns      relay       release   owner     acquire  a number by itself
 *   progress_marked  both        acq_rel   both      acq_rel  see "marks"
 *   released_marked  both        acq_rel   both      acq_rel  see "marks"
 *
 * Marks: a writer stores what is new, then exchanges the mark for true and posts a mail if it was
 * false. The reader exchanges it for false, then reads. If the writer found true, the reader's
 * exchange comes later in the mark's order and so sees all that was stored: nothing is lost. If it
 * found false, a mail is under way. So at most one mail of each kind is under way per branch: the
 * ring from owner to relay's worker holds at most one MAIL_PROGRESS and one answer to a join per
 * relay, the ring back one MAIL_RELEASED, one MAIL_LEFT and at most JOINS_PENDING_MAX MAIL_JOIN.
 * A ring that is full all the same leaves the mark set; the tick posts again.
 */
#pragma once

#include "dataplane/coalesce/flight.h"

#include <stdalign.h>
#include <stdatomic.h>

enum branch_state {
    BRANCH_WAITING,     /* no head yet */
    BRANCH_INTERIM,     /* `interim` may be read; no head yet */
    BRANCH_HEAD,        /* `head` may be read */
    BRANCH_ENDED,       /* complete: lent_bytes is all; `trailers` if has_trailers */
    BRANCH_FAILED,      /* `failure` may be read */
    BRANCH_UNSHAREABLE, /* C6: everybody goes elsewhere */
};

/* A segment lent to a relay. Constant while lent, but for `next`. */
struct loan {
    const uint8_t *data;
    struct loan *next;       /* valid when lent_bytes reaches beyond this one */
    struct segment *segment; /* owner's: the reference held */
};

struct branch {
    /* Written by the owner. */
    alignas(64) _Atomic uint64_t lent_bytes;
    _Atomic uint32_t state; /* enum branch_state */
    _Atomic bool joinable;
    _Atomic uint64_t cut;    /* branch_cut(): who is to be cut off; 0: nobody */
    struct loan *first_loan; /* before lent_bytes grows from 0 */
    struct fields interim;
    struct fields head;
    struct fields trailers;
    bool interim_missed; /* it came before this branch was there (C21); the owner's own */
    bool has_trailers;
    bool before_head;
    enum flight_failure failure;
    struct flight_story story; /* from BRANCH_HEAD or BRANCH_FAILED on */
    uint64_t cap_at_ns;        /* no deadline beyond this (C13), process's time; constant */
    uint64_t streams_since_ns; /* as in the feed, process's time; from BRANCH_HEAD on */
    uint32_t replay_bytes;     /* as in the feed; constant */

    /* Written by the relay. */
    alignas(64) _Atomic uint64_t released_count;
    _Atomic uint64_t position;
    _Atomic uint64_t deadline_ns; /* process's time */
    _Atomic bool deserted;
    _Atomic bool paused; /* nobody here should get more now */

    /* Written by both. */
    alignas(64) _Atomic bool progress_marked;
    _Atomic bool released_marked;

    /* The owner's own. */
    alignas(64) struct list link; /* in its flight */
    struct list waiting_link;     /* in coalesce->waiting_branches */
    struct flight *flight;
    handle relay;
    uint16_t worker;
    bool joined_posted;
    bool progress_unposted; /* marked, but the ring was full */
    bool starved;           /* no loan was free */
    bool was_deserted;      /* counted in flight->deserted_count */
    struct loan *oldest;    /* loans not given back yet */
    struct loan *newest;
    uint64_t lent_count; /* loans ever */
    uint64_t given_back_count;
};

/* branch->cut: a position, and whether somebody elsewhere is further. */
static inline uint64_t branch_cut(uint64_t position, bool ahead)
{
    return position << 1 | ahead;
}

/* Bodies of the mails. */
struct mail_join {
    handle flight;
    handle relay;
    uint64_t deadline_ns; /* process's time */
};

struct mail_joined {
    handle relay;
    handle branch_handle;
    struct branch *branch;
};

struct mail_refused {
    handle relay;
    uint8_t apart; /* enum apart: why */
};

/* MAIL_PROGRESS */
struct mail_relay {
    handle relay;
};

/* MAIL_RELEASED */
struct mail_branch {
    handle branch;
};

/* MAIL_LEFT; begins as mail_branch does */
struct mail_left {
    handle branch;
    uint32_t joined; /* requests that have shared the flight there */
};

/* Post a mail of the kind. False: the ring is full. */
bool coalesce_post(struct coalesce *coalesce, uint16_t to, enum mail_kind kind, const void *body,
                   size_t length);

/* A worker asks to join. */
void branch_mail_join(struct coalesce *coalesce, const struct mail *mail, uint64_t now);
void branch_mail_released(struct coalesce *coalesce, const struct mail *mail, uint64_t now);
void branch_mail_left(struct coalesce *coalesce, const struct mail *mail, uint64_t now);

/* Show all relays of the flight what is new. */
void branches_publish(struct flight *flight);

/* C6: the answer is not for them. */
void branches_refuse(struct flight *flight);

/*
 * Subscribers of relays that are before POSITION hold others back (C15), if AHEAD says so or there
 * is somebody further in the same relay.
 */
void branches_cut(struct flight *flight, uint64_t position, bool ahead);

/* Whether a relay's slowest subscriber has got to POSITION. */
bool branches_have_reached(const struct flight *flight, uint64_t position);

/* No relay has a reader that should get more now: all are paused, and behind what has come. */
bool branches_are_paused(const struct flight *flight);

/* Where the slowest relay is, UINT64_MAX without any; the latest deadline of any, or 0. */
uint64_t branches_position(const struct flight *flight);
uint64_t branches_deadline(const struct flight *flight);

/* Post what could not be posted, lend what could not be lent. Once a step. */
void branches_tick(struct coalesce *coalesce);
