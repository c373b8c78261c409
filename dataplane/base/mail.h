/*
 * mail: fixed-size messages between workers, and between a worker and the control thread.
 *
 * A mail is copied through a ring_spsc of the (sender, receiver) pair. A layer below the worker
 * posts through a postman that the worker provides; posting never waits, and false means the ring
 * is full: the sender keeps its state and its own clean answer. What is named in a mail is named by
 * handle, never by pointer, unless the protocol of the kind says why the pointee cannot go away.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define MAIL_BODY_BYTES 56

enum mail_kind {
    MAIL_NONE,
    MAIL_NEIGHBOUR, /* net: an address was resolved (net_neighbour_mail) */
    MAIL_JOIN,      /* coalesce: a worker asks a flight's owner to let its exchanges join */
    MAIL_JOINED,    /* coalesce: the owner accepted */
    MAIL_REFUSED,   /* coalesce: the owner refused, with the reason */
    MAIL_PROGRESS,  /* coalesce: owner to relay, the flight has more */
    MAIL_RELEASED,  /* coalesce: relay to owner, lent segments came back */
    MAIL_LEFT,      /* coalesce: relay to owner, the last subscriber has gone */
    MAIL_KINDS
};

struct mail {
    uint16_t kind; /* enum mail_kind */
    uint16_t from; /* worker index */
    uint32_t pad;
    uint8_t body[MAIL_BODY_BYTES];
};

_Static_assert(sizeof(struct mail) == 64, "one cache line");

struct postman {
    uint16_t self;    /* this worker */
    uint16_t workers; /* how many there are */
    /* Copy a mail to worker TO (not self). False: ring full. */
    bool (*post)(struct postman *postman, uint16_t to, const struct mail *mail);
};
