/*
 * held_body: a request body that is held until all of it is here, so that it can be part of a key
 * (rules C1, C2). One worker; refcounted: the exchange holds one reference, its flight another.
 * Exchanges that join give up their own copy and refer to the flight's, which has the same digest
 * and length; so a body is held once a worker, however many ask, also when they are sent apart.
 *
 * Bounds: HELD_BODY_BYTES a body, all bodies of a worker together a tenth of its payload segments,
 * of which no principal has more than its share (C29).
 */
#pragma once

#include "dataplane/base/body.h"
#include "dataplane/base/sha256.h"

struct coalesce;

#define HELD_BODY_BYTES (1024 * 1024)
#define HELD_BODY_SHARE 10 /* of payload memory: one in so many segments */

struct held_body {
    struct body body; /* read-only once ended */
    struct sha256 hash;
    uint8_t digest[SHA256_BYTES]; /* once ended */
    uint32_t references;
    uint32_t segments; /* that count against the bound */
    struct coalesce *coalesce;
    struct principal *principal; /* on whose account it is (C29) */
};

static inline struct held_body *held_body_hold(struct held_body *held)
{
    held->references++;
    return held;
}

/* The body goes on in INTO, which is empty; HELD is an empty one then. It has not ended. */
void held_body_move(struct held_body *held, struct body *into);

/* Refer to THEIRS instead of *MINE; the same bytes. Harmless when either is NULL. */
void held_body_swap(struct held_body **mine, struct held_body *theirs);
