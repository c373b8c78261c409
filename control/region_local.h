/*
 * region_local: operators' orders that act on this node alone while the store is away. When it is
 * back they act no more and are offered: an operator says whether they are to hold for all nodes.
 *
 * Plain values; the rules are those of region_rules.h, decided on what this node routes by. Times
 * are unix milliseconds of this host. Kept with the agreed state on disk (region_snapshot.h), so
 * that a restart without the store forgets nothing. Any one thread.
 */
#pragma once

#include "control/region_rules.h"

#define REGION_LOCAL_MAX (SNAPSHOT_REGIONS_MAX + 1)
#define REGION_LOCAL_ALL "*" /* the name of what is of no region: automation off */

struct region_local_order {
    char name[CONFIG_NAME_MAX]; /* of the region */
    enum region_request_kind kind;
    enum region_override override; /* of the region, by this order */
    uint32_t despite;
    uint32_t ramps; /* 1: the region comes back by the ramp */
    uint64_t since_ms;
    uint64_t expires_ms; /* the end that was ordered; 0: none */
    uint64_t offered_ms; /* in force no more, offered since then; 0: in force */
    char by[REGION_REASON_MAX];
};

struct region_local {
    uint32_t count;
    struct region_local_order orders[REGION_LOCAL_MAX];
};

/* Whether an order of this kind can be for this node alone. */
bool region_local_takes(enum region_request_kind kind);

/* The order for the region (or REGION_LOCAL_ALL), in force or offered. NULL: none. */
const struct region_local_order *region_local_find(const struct region_local *local,
                                                   const char *name);

/* The order of that name, a new one (of drain) when there is none. NULL: no room. */
struct region_local_order *region_local_named(struct region_local *local, const char *name);

/* What this node routes by: what was agreed, and over it the orders that are in force. */
void region_local_route(const struct region_local *local, const struct region_rules *rules,
                        const struct region_state *agreed, uint64_t now_ms,
                        struct region_state *out);

/* Do what the request asks on this node, if S1 allows it. */
enum region_answer region_local_give(struct region_local *local, const struct region_rules *rules,
                                     const struct region_state *agreed, uint64_t now_ms,
                                     const struct region_request *request);

/* The store is back: what differs from what is agreed is offered, the rest is done with. */
void region_local_offer(struct region_local *local, const struct region_state *agreed,
                        uint64_t now_ms);

/* An order was carried out for all nodes, or is not wanted. False: there was none. */
bool region_local_forget(struct region_local *local, const char *name);

/*
 * End what has ended: orders whose time is over, ramps, offers that nobody took for as long as a
 * proposal holds, and what is for regions that AGREED does not have. An order that keeps the last
 * active region does not end by itself. True, with one that has ended in GONE: look again.
 */
bool region_local_expire(struct region_local *local, const struct region_rules *rules,
                         const struct region_state *agreed, uint64_t now_ms,
                         struct region_local_order *gone);
