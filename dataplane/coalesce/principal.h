/*
 * principal: who is asking, and what of this worker is in use for it (rule C29). One worker.
 *
 * A principal is known by a keyed 64-bit hash of its credentials (C4) or, without any, of its
 * client's address (/64 in IPv6). Two with the same hash share their bounds, nothing else.
 *
 * Life: from the first request until nothing of it is left: requests, flights, and the payload that
 * connections still hold. So nothing in the table is ever evicted for somebody else, and there is
 * nothing to be gained by making entries: one is there only while it costs its maker a request.
 * Anybody can invent credentials, so an address brings only so many principals; further ones count
 * as the address itself. When the table is full all newcomers are one principal.
 *
 * Bounds. No principal has more than PRINCIPAL_SHARE times what is free of flights, requests and
 * memory for held request bodies, nor SEGMENT_SHARE times of payload (base/segment.h); nor more
 * flights that others may join than the configuration says. Of second attempts it has a fifth of
 * its own flights, which nobody else can use up, and at least RETRIES_MIN together with others.
 */
#pragma once

#include "dataplane/base/pool.h"
#include "dataplane/base/segment.h"
#include "dataplane/base/siphash.h"

#define PRINCIPAL_SHARE 3

struct ip_address;
struct fields;
struct snapshot_coalesce;

struct principal {
    uint64_t name;
    struct principal *next;    /* in its bucket */
    struct principal *address; /* where its credentials come from; NULL: it is an address */
    struct principals *all;
    struct segment_account payload;
    uint32_t references;
    uint32_t names;         /* of an address: principals with credentials from there */
    uint32_t requests;      /* admitted, in progress (request/admission) */
    uint32_t flights;       /* that it led */
    uint32_t keys;          /* of them in the table, where others may join */
    uint32_t held_segments; /* of request bodies that are held */
    uint32_t retries;       /* second attempts under way that count against the budget */
    uint32_t borrowed;      /* of them beyond its own share */
};

/* Owner: the worker's struct coalesce. */
struct principals {
    struct pool pool; /* POOL_LIFO */
    struct principal **buckets;
    uint32_t bucket_mask;
    struct siphash_key secret;
    struct principal newcomers; /* all for whom there was no room */
    uint64_t folded;            /* how often credentials counted as their address */
    uint64_t crowded;           /* how often there was no room */
    uint32_t flights;           /* of all */
    uint32_t own_retries;       /* the sum of all principals' own shares of second attempts */
    uint32_t borrowed_retries;  /* second attempts beyond them */
};

/* Room for COUNT. False: not enough memory. At start. */
bool principals_init(struct principals *principals, uint32_t count, struct siphash_key secret,
                     int socket_id);

/* The names of an address, and of the credentials in a request; 0: it has none. Pure; O(bytes). */
uint64_t principal_address_name(const struct principals *principals,
                                const struct ip_address *address);
uint64_t principal_credentials_name(const struct principals *principals,
                                    const struct snapshot_coalesce *rules,
                                    const struct fields *fields);

/*
 * A reference to the principal with these names; CREDENTIALS may be 0. An address brings at most
 * NAMES_MAX of those that have some. Never NULL. O(1).
 */
struct principal *principals_take(struct principals *principals, uint64_t address,
                                  uint64_t credentials, uint32_t names_max);

struct principal *principal_hold(struct principal *principal);

/* Give a reference back. */
void principal_drop(struct principal *principal);

/* Whether somebody who has USED may have one more while so many are FREE. */
static inline bool principal_is_fair(uint32_t used, uint32_t free)
{
    return used < (uint64_t)PRINCIPAL_SHARE * free;
}

/* It leads one more flight, or one less. */
void principal_flight_begins(struct principal *principal);
void principal_flight_ends(struct principal *principal);

/*
 * C14b: a second attempt that counts against the budget begins. False: neither a share of its own
 * is left nor one to borrow.
 */
bool principal_retry_begins(struct principal *principal);
void principal_retry_ends(struct principal *principal);

/* Principals in the table. */
uint32_t principals_count(const struct principals *principals);
