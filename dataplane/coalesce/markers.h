/*
 * markers: what this worker has learned about keys from answers (rules C8, C9, C10): that they are
 * not to be shared for a while, that header fields in `vary` have to join the key, that the next
 * flight has to wait, that there must be none at all. One worker, no memory after the start: a full
 * table forgets what was not looked up for longest.
 *
 * A key is known here by its keyed 64-bit hash alone. Two keys with the same hash take each other
 * for marked: they share less or wait a little, never more.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define MARKERS_MAX       65536 /* all workers together */
#define MARKER_VARY_BYTES 56

struct marker {
    uint64_t hash;
    uint64_t alone_until_ns; /* C8: no sharing */
    uint64_t vary_until_ns;  /* C8: `vary` joins the key */
    uint64_t start_at_ns;    /* C9: no flight begins sooner */
    uint64_t shut_until_ns;  /* C10: no flight at all */
    uint32_t in_bucket;      /* the next one; numbers are indices + 1, 0: none */
    uint32_t older;
    uint32_t newer;
    uint8_t vary_length;
    uint8_t vary[MARKER_VARY_BYTES]; /* names, lower case, each with a ',' behind it */
};

struct markers {
    struct marker *all;
    uint32_t *buckets;
    uint32_t bucket_mask;
    uint32_t count;
    uint32_t used;
    uint32_t oldest;
    uint32_t newest;
};

/* Room for COUNT. False: not enough memory. At start. */
bool markers_init(struct markers *markers, uint32_t count, int socket_id);

/* The key's marker, or NULL. O(1). */
struct marker *markers_find(struct markers *markers, uint64_t hash);

/* The key's marker; a new one, all zero, takes the place of the oldest. O(1). */
struct marker *markers_take(struct markers *markers, uint64_t hash);
