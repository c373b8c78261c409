#include "dataplane/coalesce/table.h"

#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"
#include "dataplane/base/siphash.h"
#include "dataplane/coalesce/coalesce.h"

#include <stdatomic.h>

#define BUCKET_PLACES     3
#define PLACE_BITS        21
#define PLACE_MASK        ((1ull << PLACE_BITS) - 1)
#define ENTRIES_MAX       ((uint32_t)PLACE_MASK - 1) /* number 0 means none */
#define BUCKETS_PER_ENTRY 4
#define PUT_TRIES         8

struct coalesce_table {
    _Atomic uint64_t *buckets;
    struct key_entry *entries;
    struct siphash_key secret;
    uint32_t bucket_mask;
    uint32_t entry_count;
};

static uint32_t bucket_count_for(uint32_t keys)
{
    uint32_t count = 64;
    while (count < keys * BUCKETS_PER_ENTRY)
        count *= 2;
    return count;
}

struct coalesce_table *coalesce_table_create(uint32_t keys, uint64_t secret0, uint64_t secret1,
                                             int socket_id)
{
    uint32_t entries = keys < ENTRIES_MAX ? keys : ENTRIES_MAX;
    uint32_t buckets = bucket_count_for(entries);
    struct coalesce_table *table = memory_take("coalesce table", sizeof(*table), socket_id);
    if (table == NULL || entries == 0)
        return NULL;
    *table = (struct coalesce_table){
        .secret = {secret0, secret1},
        .bucket_mask = buckets - 1,
        .entry_count = entries,
        .buckets = memory_take("coalesce table", buckets * sizeof(*table->buckets), socket_id),
        .entries = memory_take("coalesce table", entries * sizeof(*table->entries), socket_id),
    };
    return table->buckets != NULL && table->entries != NULL ? table : NULL;
}

uint32_t table_entry_count(const struct coalesce_table *table)
{
    return table->entry_count;
}

struct key_entry *table_entry(const struct coalesce_table *table, uint32_t index)
{
    check(index < table->entry_count);
    return &table->entries[index];
}

uint64_t table_hash(const struct coalesce_table *table, struct bytes key)
{
    return siphash(&table->secret, key);
}

struct siphash_key table_secret(const struct coalesce_table *table)
{
    return table->secret;
}

static _Atomic uint64_t *bucket_of(const struct coalesce_table *table, uint64_t hash)
{
    return &table->buckets[hash & table->bucket_mask];
}

void table_prefetch(const struct coalesce_table *table, uint64_t hash)
{
    __builtin_prefetch((const void *)bucket_of(table, hash));
}

/* The entry in one place of a bucket's word, or NULL. */
static struct key_entry *entry_at(const struct coalesce_table *table, uint64_t word, int place)
{
    uint64_t number = word >> (place * PLACE_BITS) & PLACE_MASK;
    return number == 0 ? NULL : &table->entries[number - 1];
}

static uint64_t number_of(const struct coalesce_table *table, const struct key_entry *entry)
{
    return (uint64_t)(entry - table->entries) + 1;
}

/* The hash only saves comparing: the whole key decides (rule C3). */
static bool serves(const struct key_entry *entry, uint64_t hash, struct bytes key)
{
    return entry->hash == hash && bytes_equal(bytes_of(entry->key, entry->key_length), key);
}

static struct key_entry *find_in(const struct coalesce_table *table, uint64_t word, uint64_t hash,
                                 struct bytes key)
{
    for (int place = 0; place < BUCKET_PLACES; place++) {
        struct key_entry *entry = entry_at(table, word, place);
        if (entry == NULL)
            continue;
        key_entry_prefetch(entry);
        if (serves(entry, hash, key))
            return entry;
    }
    return NULL;
}

struct key_entry *table_find(const struct coalesce_table *table, uint64_t hash, struct bytes key)
{
    uint64_t word = atomic_load_explicit(bucket_of(table, hash), memory_order_acquire);
    return find_in(table, word, hash, key);
}

void table_prefetch_entries(const struct coalesce_table *table, uint64_t hash)
{
    uint64_t word = atomic_load_explicit(bucket_of(table, hash), memory_order_relaxed);
    for (int place = 0; place < BUCKET_PLACES; place++) {
        const struct key_entry *entry = entry_at(table, word, place);
        if (entry != NULL)
            key_entry_prefetch(entry);
    }
}

/* WORD with NUMBER in its first free place, or 0 when there is none. */
static uint64_t word_with(uint64_t word, uint64_t number)
{
    for (int shift = 0; shift < BUCKET_PLACES * PLACE_BITS; shift += PLACE_BITS)
        if ((word >> shift & PLACE_MASK) == 0)
            return word | number << shift;
    return 0;
}

enum table_put table_put(struct coalesce_table *table, struct key_entry *mine,
                         struct key_entry **out_met)
{
    _Atomic uint64_t *bucket = bucket_of(table, mine->hash);
    struct bytes key = bytes_of(mine->key, mine->key_length);
    uint64_t word = atomic_load_explicit(bucket, memory_order_acquire);
    for (int i = 0; i < PUT_TRIES; i++) {
        *out_met = find_in(table, word, mine->hash, key);
        if (*out_met != NULL)
            return TABLE_PUT_MET;
        uint64_t wanted = word_with(word, number_of(table, mine));
        if (wanted == 0)
            return TABLE_PUT_FULL;
        if (atomic_compare_exchange_strong_explicit(bucket, &word, wanted, memory_order_acq_rel,
                                                    memory_order_acquire))
            return TABLE_PUT_DONE;
    }
    return TABLE_PUT_CONTENDED;
}

static uint64_t word_without(uint64_t word, uint64_t number)
{
    for (int shift = 0; shift < BUCKET_PLACES * PLACE_BITS; shift += PLACE_BITS)
        if ((word >> shift & PLACE_MASK) == number)
            return word & ~(PLACE_MASK << shift);
    check(!"an entry that was published");
    return word;
}

/*
 * The swap fails only when another worker's succeeded, and each of them has only so many entries
 * to put in or take out, so this ends.
 */
void table_remove(struct coalesce_table *table, struct key_entry *mine)
{
    _Atomic uint64_t *bucket = bucket_of(table, mine->hash);
    uint64_t number = number_of(table, mine);
    uint64_t word = atomic_load_explicit(bucket, memory_order_relaxed);
    uint64_t wanted;
    do {
        wanted = word_without(word, number);
    } while (!atomic_compare_exchange_strong_explicit(bucket, &word, wanted, memory_order_release,
                                                      memory_order_relaxed));
}
