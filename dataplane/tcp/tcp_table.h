/*
 * tcp_table: from a 4-tuple to its connection or TIME_WAIT entry, by exact match. One worker.
 *
 * Open addressing with linear probing, at most half full; removal shifts back, so there are no
 * tombstones. The hash is keyed and nothing of it can be seen from outside: peers cannot choose
 * tuples that collide. It is made for each packet, so it multiplies words with secrets (as wyhash
 * does) where SipHash would take ten times as long. The table holds references only; the tuple is
 * the first member of both kinds of object.
 */
#pragma once

#include "dataplane/base/siphash.h"
#include "dataplane/net/flow.h"

#include <stdbool.h>
#include <stdint.h>

/* What a tuple leads to: pool index plus one, and the kind in the top bit; 0 is nothing. */
typedef uint32_t tcp_reference;

#define TCP_REFERENCE_NONE      ((tcp_reference)0)
#define TCP_REFERENCE_TIME_WAIT 0x80000000u

static inline tcp_reference tcp_reference_conn(uint32_t index)
{
    return index + 1;
}

static inline tcp_reference tcp_reference_time_wait(uint32_t index)
{
    return TCP_REFERENCE_TIME_WAIT | (index + 1);
}

static inline bool tcp_reference_is_time_wait(tcp_reference ref)
{
    return (ref & TCP_REFERENCE_TIME_WAIT) != 0;
}

static inline uint32_t tcp_reference_index(tcp_reference ref)
{
    return (ref & ~TCP_REFERENCE_TIME_WAIT) - 1;
}

#define TCP_TABLE_SECRETS 7

struct tcp_table_slot {
    uint32_t hash;
    tcp_reference reference;
};

struct tcp_table {
    struct tcp_table_slot *slots;
    uint32_t mask;
    uint32_t count;
    uint64_t secrets[TCP_TABLE_SECRETS];
    const uint8_t *objects[2]; /* of connections, of TIME_WAIT entries */
    uint32_t object_bytes[2];
};

/* Room for ENTRIES; the two object arrays must not move. False: not enough memory. */
bool tcp_table_init(struct tcp_table *table, uint32_t entries, const struct siphash_key *key,
                    int socket_id);

/* Say where the objects of a kind (0 connections, 1 TIME_WAIT) are. */
void tcp_table_objects(struct tcp_table *table, uint32_t kind, const void *objects,
                       uint32_t object_bytes);

/* Costs some 10 cycles. */
uint32_t tcp_table_hash(const struct tcp_table *table, const struct flow_tuple *tuple);

/* Fetch the slot that HASH leads to into the cache. */
static inline void tcp_table_prefetch_slot(const struct tcp_table *table, uint32_t hash)
{
    __builtin_prefetch(&table->slots[hash & table->mask]);
}

/* Fetch the object that HASH probably leads to. The slot should have been fetched before. */
void tcp_table_prefetch_object(const struct tcp_table *table, uint32_t hash);

/* O(1). */
tcp_reference tcp_table_find(const struct tcp_table *table, uint32_t hash,
                             const struct flow_tuple *tuple);

/* Add; the tuple must not be in the table. False: the table holds all it was made for. */
bool tcp_table_add(struct tcp_table *table, uint32_t hash, tcp_reference reference);

/* Take out what was added; the reference must be there. */
void tcp_table_remove(struct tcp_table *table, uint32_t hash, tcp_reference reference);
