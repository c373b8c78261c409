/*
 * world_snapshot: snapshots by hand: what the control thread would build from a configuration, for
 * a world with one service in two regions. A draft is changed by the test and built at publishing.
 */
#pragma once

#include "dataplane/region/snapshot.h"

#define WORLD_PORT         8080 /* of the service, and of the backends */
#define WORLD_TLS_PORT     8443 /* of the service over TLS, if there is TLS */
#define WORLD_VIP_V4       "10.0.0.100"
#define WORLD_VIP_V6       "fd00::100"
#define WORLD_REGIONS      2
#define WORLD_BACKENDS_MAX 4 /* 0, 1 in the first region, 2, 3 in the second */

enum world_route {
    WORLD_ROUTE_SHARE, /* /share: GET and HEAD are coalesced */
    WORLD_ROUTE_OWN,   /* /own: every request its own flight */
    WORLD_ROUTE_SAFE,  /* /safe: as own, and safe to replay whatever the method */
    WORLD_ROUTE_SHORT, /* /short: coalesced, short times: see world_snapshot.c */
    WORLD_ROUTE_ASK,   /* /ask: POST is coalesced, too */
    WORLD_ROUTE_EMPTY, /* /empty: a service without any backend */
    WORLD_ROUTES
};

enum world_service { WORLD_SERVICE, WORLD_SERVICE_EMPTY, WORLD_SERVICES };

struct world_draft {
    bool draining;
    bool panic;
    struct snapshot_admission admission;
    struct snapshot_access access;
    struct snapshot_route routes[WORLD_ROUTES];
    struct snapshot_region regions[WORLD_REGIONS];
    struct snapshot_backend backends[WORLD_BACKENDS_MAX];
    bool removed[WORLD_BACKENDS_MAX];
    const struct deny_table *denied; /* sources that get nothing; the test's own */
    struct tls_contexts *tls;        /* the world's (world_tls.h); NULL: no TLS */
};

/* Everything active and usable. Backend I is at ADDRESSES[I]. */
void world_draft_init(struct world_draft *draft, const char *const addresses[WORLD_BACKENDS_MAX]);

/* A snapshot of the draft, in memory of its own. */
struct snapshot *world_snapshot_build(const struct world_draft *draft, uint64_t generation);

/* Spoil it and free it, so that who still reads it is found. */
void world_snapshot_free(struct snapshot *snapshot);
