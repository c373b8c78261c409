/*
 * What the files of dataplane/coalesce share: the engine of one worker and its pools.
 */
#pragma once

#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/base/list.h"
#include "dataplane/base/loop_clock.h"
#include "dataplane/coalesce/coalesce.h"
#include "dataplane/coalesce/entries.h"
#include "dataplane/coalesce/feed.h"
#include "dataplane/coalesce/held_body.h"
#include "dataplane/coalesce/markers.h"
#include "dataplane/coalesce/principal.h"
#include "dataplane/h2/section.h"

/* Bounds and times that are not per route (docs/coalescing.md). */
#define FLIGHT_TIME_MAX_NS  (600 * CLOCK_S)  /* C13 */
#define STALLED_AFTER_NS    (5 * CLOCK_S)    /* C18 */
#define SLOW_FOR_NS         (250 * CLOCK_MS) /* C15 */
#define SLOW_AGAIN_NS       (10 * CLOCK_MS)  /* C15: once that is used up, each time */
#define POST_JOIN_FOR_NS    (10 * CLOCK_S)   /* C17 */
#define POST_JOIN_BYTES     (64 * 1024)      /* C17 */
#define SUBSCRIBERS_MAX     65536            /* C16: of a key, all workers together */
#define PRINCIPAL_KEYS_MAX  1024             /* C16: likewise; unless the snapshot says otherwise */
#define PRINCIPAL_NAMES_MAX 1024             /* C29: likewise */
#define REPLAY_BYTES        (256 * 1024)     /* request body kept for a second attempt, C14 */
#define PICKS_MAX           3                /* C14a */
#define JOINS_PENDING_MAX   512              /* joins asked of one worker and not answered yet */
#define PACERS_MAX          256              /* keys whose askers are sent apart at a time */
#define TICK_WORK_MAX       256              /* objects of each kind that a tick looks at */

/* An answer to a join that did not fit into the ring: branch.c. */
struct refusal {
    handle relay;
    uint16_t to;
    uint8_t apart; /* enum apart: why */
};

struct coalesce {
    struct coalesce_config config;
    struct coalesce_counters counters;
    struct coalesce_histograms histograms;
    const struct snapshot *snapshot; /* of this step */
    struct entries entries;
    struct pool flights;  /* POOL_RESTING: named in the table and in mail */
    struct pool branches; /* POOL_RESTING: named in mail */
    struct pool loans;
    struct pool relays; /* POOL_RESTING: named in mail */
    struct pool lents;
    struct pool helds;  /* struct held_body */
    struct pool pacers; /* POOL_RESTING */
    struct markers markers;
    struct principals principals; /* C29 */
    uint8_t *key_room;            /* a key with learned fields */
    struct section_pools sections;
    uint32_t extra_sections; /* see flight_section.c */
    uint32_t extra_sections_max;
    struct segment_pool payload;
    struct fields scratch;        /* a response head being stripped */
    struct feed nowhere;          /* where those go that were cut off (C15) */
    struct list fresh_heads;      /* flights whose head came in this turn */
    struct list thirsty_flights;  /* wait for payload memory before they open their window */
    struct list waiting_branches; /* have mail to post or wait for a loan */
    struct list waiting_relays;   /* have mail to post or wait for a lent object */
    struct list *relay_buckets;   /* relays by (owner, flight) */
    uint32_t relay_mask;
    uint32_t *joins_pending;  /* by worker */
    struct refusal *refusals; /* a ring, oldest at refusal_head */
    uint32_t refusals_max;
    uint32_t refusal_head;
    uint32_t refusal_count;
    uint32_t held_segments; /* of request bodies that are held */
    uint32_t held_segments_max;
    uint32_t payload_low;  /* free segments below which windows open by a segment at most */
    uint32_t payload_shed; /* free segments below which no flight is begun */
};

/* Times that another worker reads are of the process, see loop_clock.h. */
static inline uint64_t coalesce_shared_ns(const struct coalesce *coalesce, uint64_t own_ns)
{
    const struct loop_clock *clock = coalesce->config.clock;
    return clock == NULL ? own_ns : loop_clock_shared(clock->missed_ns, own_ns);
}

static inline uint64_t coalesce_own_ns(const struct coalesce *coalesce, uint64_t shared_ns)
{
    const struct loop_clock *clock = coalesce->config.clock;
    return clock == NULL ? shared_ns : loop_clock_own(clock->missed_ns, shared_ns);
}

/* Count a join by how far the flight was: whether there was a head, and joined_at_bytes. */
void joins_count(struct coalesce *coalesce, const struct subscriber *subscriber, bool answered);

/* This worker's part of a bound that all workers have together; never 0. */
static inline uint32_t coalesce_part(const struct coalesce *coalesce, uint32_t whole)
{
    uint32_t part = whole / coalesce->config.workers;
    return part > 0 ? part : 1;
}

/* Segments that are free and promised to no window. */
static inline uint32_t payload_free(const struct coalesce *coalesce)
{
    return segments_spare(&coalesce->payload);
}

/* Count one of the coalesce counters. */
#define COALESCE_COUNT(coalesce, name) counter_add(&(coalesce)->counters.name, 1)

/* The same for tables of counters. */
#define COUNTER_AT(name) offsetof(struct coalesce_counters, name)

static inline void count_at(struct coalesce *coalesce, size_t counter)
{
    uint8_t *counters = (uint8_t *)&coalesce->counters;
    counter_add((uint64_t *)(void *)(counters + counter), 1);
}
