/*
 * table: which flight serves a key right now. One for all workers; lock-free, fixed size.
 *
 * A bucket is one 64-bit word that holds up to three entry numbers of 21 bits (0: none). A key's
 * home is exactly one bucket. So every change of a bucket is one compare-and-swap on everything
 * that matters to it: of two workers that want to lead the same key at the same time exactly one
 * wins, whatever is removed meanwhile, and the loser sees the winner. There is no probing and
 * there are no tombstones; a full bucket means "no sharing", never an error. With four buckets for
 * each entry fewer than 0.3 % of keys find their bucket full when all entries are in use.
 *
 * Entries are in one array; each worker owns a range of it (entries.h) and only the owner writes,
 * publishes, removes and reuses them. Others read an entry between finding its number in a bucket
 * and their next quiescent state; an entry is reused only after all workers have passed one.
 *
 * Synchronisation (the only atomic is the bucket word):
 *
 *   operation            order    partner           why it suffices
 *   table_put, swap in   release  load in find/put  what the owner wrote into its entry before is
 *                                                   seen by whoever finds the number
 *   table_find, load     acquire  swap in put       see above
 *   table_put, load and  acquire  swap in put       the winner's entry is compared and handed out
 *     failed swap
 *   table_remove, swap   release  load in find/put  nothing is handed over by a removal; release
 *                                                   because the word still publishes the two
 *                                                   neighbours, and a later acquire must meet them
 *   reuse of an entry    (rcu)    quiescent states  a reader of the old life has passed, see above
 *
 * A word may be swapped out and in again between a load and a swap (ABA) only if an entry number
 * came back to the bucket: that takes a quiescent state of the loading worker in between, which
 * it does not report inside table_put().
 */
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/handle.h"
#include "dataplane/base/siphash.h"

/* Keys up to here are in their entries. */
#define TABLE_KEY_BYTES 544

struct coalesce_table;

/*
 * A published key. Owner: the worker `owner`; constant while it can be found. Most keys lie beside
 * what is known of them: the address of every line follows from the number in the bucket, so a
 * look-up waits for memory twice, for the bucket and for the entry.
 */
struct key_entry {
    uint64_t hash;
    const uint8_t *key; /* `room`, or where a longer one is */
    handle flight;
    uint32_t key_length;
    uint32_t owner;
    uint8_t room[TABLE_KEY_BYTES];
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct key_entry) == 9 * 64, "whole cache lines");

/* Ask for the lines of an entry together: most keys end in the fourth. */
static inline void key_entry_prefetch(const struct key_entry *entry)
{
    for (uint32_t line = 0; line < 4; line++)
        __builtin_prefetch((const uint8_t *)entry + line * 64);
}

enum table_put {
    TABLE_PUT_DONE,
    TABLE_PUT_MET,       /* somebody else serves this key: *out_met */
    TABLE_PUT_FULL,      /* the bucket is full */
    TABLE_PUT_CONTENDED, /* others kept changing the bucket */
};

/* How many entries there are; entry INDEX of them. */
uint32_t table_entry_count(const struct coalesce_table *table);
struct key_entry *table_entry(const struct coalesce_table *table, uint32_t index);

/* The keyed hash of a key (rule C3). */
uint64_t table_hash(const struct coalesce_table *table, struct bytes key);

/* The secret of all workers' hashes: random per start (C3). */
struct siphash_key table_secret(const struct coalesce_table *table);

/*
 * For a batch of requests: ask the memory for the bucket of each, then for the entries in it,
 * before the first is looked for. Both only read, and may be left out.
 */
void table_prefetch(const struct coalesce_table *table, uint64_t hash);
void table_prefetch_entries(const struct coalesce_table *table, uint64_t hash);

/* The entry that serves the key, or NULL. Valid until the worker's next quiescent state. O(key). */
struct key_entry *table_find(const struct coalesce_table *table, uint64_t hash, struct bytes key);

/*
 * Publish MINE, complete and owned by the caller, unless its key is served already. One
 * compare-and-swap; more only when other workers change the same bucket meanwhile, bounded.
 */
enum table_put table_put(struct coalesce_table *table, struct key_entry *mine,
                         struct key_entry **out_met);

/* Take MINE out; the caller published it. Others may look at it until they are quiescent. */
void table_remove(struct coalesce_table *table, struct key_entry *mine);
