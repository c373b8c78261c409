/*
 * plan: what becomes of a request, as far as its header section, the routes and whether a body
 * follows decide: the same each time the same section comes. Private to dataplane/request.
 *
 * When the name is that of a shape (h2/fields.h: all but the :path, or the content-length), so is
 * the plan, and that field is forwarded as it came. Of the path it takes only which route it leads
 * to, which is found out each time; it stands in the key in one place. The content-length is part
 * of no such plan's key.
 *
 * Plans are kept for sections that have a name (h2/fields.h), until the next snapshot, in places of
 * the worker that later ones take over. What a client, the time or other requests have to say is no
 * part of a plan.
 */
#pragma once

#include "dataplane/coalesce/coalesce.h"

#define PLAN_PLACES        256
#define PLAN_SECTION_BYTES 1536 /* larger sections have no plan that is kept */
#define PLAN_KEY_BYTES     512
#define PLAN_NAMES         (1ULL << 63) /* names of what plans forward, apart from HTTP/2's own */

struct plan {
    uint16_t route;            /* index into snapshot->routes */
    uint16_t keyed_fields;     /* of what is forwarded: keyed, without what this hop adds */
    uint16_t disguised_fields; /* that were dropped: header_rules.c */
    uint32_t keyed_bytes;
    enum key_verdict verdict;
    struct bytes key;  /* empty: none */
    uint64_t key_hash; /* coalesce_key_hash() of it */
    bool idempotent;
    bool connects; /* CONNECT, which is extended: others are refused */
};

struct plan_place {
    uint64_t name; /* 0: nothing is here */
    uint64_t generation;
    bool has_body;
    bool is_shape;    /* plan, forwarded and key are without what is each request's own */
    uint32_t path_at; /* where the path belongs in the key, if that is it */
    struct plan plan;
    struct fields forwarded;
    uint8_t section[PLAN_SECTION_BYTES];
    uint8_t key[PLAN_KEY_BYTES];
};

struct plans {
    struct plan_place *places;
    uint64_t names;     /* given to what plans forward */
    struct plan filled; /* the latest that was found for a shape */
};

/* What a plan is for. */
struct plan_of {
    uint64_t name;
    uint64_t generation; /* of the snapshot */
    bool has_body;
    uint16_t route;     /* where `path` leads; 0 without */
    const uint8_t *own; /* what the name is not of: the head of a field; NULL: of all */
    struct bytes path;  /* its value; empty: it is another field */
};

/* False: not enough memory. At start. */
bool plans_init(struct plans *plans, int socket_id);

/*
 * The plan, with a copy of what is forwarded in FORWARDED (initialised, room for a request). NULL:
 * there is none. It lasts until the next call; KEY_ROOM, of COALESCE_KEY_BYTES, may hold its key.
 * O(bytes)
 */
const struct plan *plans_find(struct plans *plans, const struct plan_of *of,
                              struct fields *forwarded, uint8_t *key_room);

/* Keep a plan, if it is not too large and the section has a name. O(bytes) */
void plans_keep(struct plans *plans, const struct plan_of *of, const struct plan *plan,
                const struct fields *forwarded);
