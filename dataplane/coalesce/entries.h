/*
 * entries: one worker's part of the table's entries, the memory of their keys, and those that wait
 * until no other worker can be looking at them any more. One worker.
 *
 * Life of an entry: taken, filled, published (table_put), removed (table_remove), retired here, and
 * free again when every worker has been quiescent since. The retired are a first-in first-out
 * queue: one grace period at a time is waited for, by all that were retired before it began. Of the
 * free ones the last is used first: it is still in the cache, and the grace period has passed
 * whatever the order.
 */
#pragma once

#include "dataplane/base/pool.h"
#include "dataplane/coalesce/table.h"

struct rte_rcu_qsbr;

struct entries {
    struct coalesce_table *table;
    struct rte_rcu_qsbr *quiescence; /* NULL: everything is quiescent */
    uint32_t owner;
    uint32_t count;
    uint32_t *free;    /* entry indices, a stack */
    uint32_t *retired; /* entry indices, a ring of `count` */
    uint32_t free_count;
    uint32_t retired_head;
    uint32_t retired_count;
    uint32_t asked_count;   /* of the retired, the oldest: they wait for `token` */
    uint64_t token;         /* of the grace period */
    struct pool large_keys; /* POOL_RESTING */
};

/* Worker OWNER's share, one of WORKERS. False: not enough memory. At start. */
bool entries_init(struct entries *entries, struct coalesce_table *table, uint16_t owner,
                  uint16_t workers, struct rte_rcu_qsbr *quiescence, int socket_id);

/* An entry with a copy of the key, to be published; NULL: none is free. O(key). */
struct key_entry *entries_take(struct entries *entries, uint64_t hash, struct bytes key,
                               handle flight);

/* Give back an entry that was never published. */
void entries_give(struct entries *entries, struct key_entry *entry);

/* The entry has just been removed from the table. O(1). */
void entries_retire(struct entries *entries, struct key_entry *entry);

/* Free what all workers have passed, at most MAX. Returns how many. Once a step. */
uint32_t entries_tick(struct entries *entries, uint32_t max);
