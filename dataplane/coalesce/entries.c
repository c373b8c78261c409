#include "dataplane/coalesce/entries.h"

#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"
#include "dataplane/coalesce/coalesce.h"

#include <rte_rcu_qsbr.h>

#define PREFETCH_AHEAD    4
#define ENTRIES_PER_LARGE 8 /* so many can have a key that is not in its entry */

static uint32_t *take_indices(uint32_t count, int socket_id)
{
    return memory_take("coalesce entries", (count + 1) * sizeof(uint32_t), socket_id);
}

bool entries_init(struct entries *entries, struct coalesce_table *table, uint16_t owner,
                  uint16_t workers, struct rte_rcu_qsbr *quiescence, int socket_id)
{
    uint32_t count = table_entry_count(table) / workers;
    *entries = (struct entries){
        .table = table,
        .quiescence = quiescence,
        .owner = owner,
        .count = count,
        .free = take_indices(count, socket_id),
        .retired = take_indices(count, socket_id),
        .free_count = count,
    };
    if (entries->free == NULL || entries->retired == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++)
        entries->free[i] = owner * count + count - 1 - i;
    return pool_init(&entries->large_keys, "coalesce keys", POOL_RESTING,
                     count / ENTRIES_PER_LARGE + 1, COALESCE_KEY_BYTES, socket_id);
}

/* Where the key's bytes go; NULL: there is no room. */
static uint8_t *key_room(struct entries *entries, struct key_entry *entry, size_t length)
{
    if (length <= TABLE_KEY_BYTES)
        return entry->room;
    return length <= COALESCE_KEY_BYTES ? pool_take(&entries->large_keys) : NULL;
}

static struct key_entry *free_entry(const struct entries *entries, uint32_t depth)
{
    return table_entry(entries->table, entries->free[entries->free_count - 1 - depth]);
}

/* One that is written soon, and at which nobody may have looked for long. */
static void prefetch_later(const struct entries *entries)
{
    if (entries->free_count > PREFETCH_AHEAD)
        key_entry_prefetch(free_entry(entries, PREFETCH_AHEAD));
}

struct key_entry *entries_take(struct entries *entries, uint64_t hash, struct bytes key,
                               handle flight)
{
    if (entries->free_count == 0)
        return NULL;
    struct key_entry *entry = free_entry(entries, 0);
    uint8_t *room = key_room(entries, entry, key.length);
    if (room == NULL)
        return NULL;
    prefetch_later(entries);
    memcpy(room, key.data, key.length);
    entry->hash = hash;
    entry->key = room;
    entry->flight = flight;
    entry->key_length = (uint32_t)key.length;
    entry->owner = entries->owner;
    entries->free_count--;
    return entry;
}

static uint32_t retired_place(const struct entries *entries, uint32_t offset)
{
    uint64_t place = (uint64_t)entries->retired_head + offset;
    return (uint32_t)(place < entries->count ? place : place - entries->count);
}

static void enqueue(struct entries *entries, const struct key_entry *entry)
{
    uint32_t index = (uint32_t)(entry - table_entry(entries->table, 0));
    check(entries->free_count + entries->retired_count < entries->count &&
          index / entries->count == entries->owner);
    entries->retired[retired_place(entries, entries->retired_count)] = index;
    entries->retired_count++;
}

/* Without a scheme nobody else looks. */
static void know_at_once(struct entries *entries)
{
    if (entries->quiescence == NULL)
        entries->asked_count = entries->retired_count;
}

void entries_retire(struct entries *entries, struct key_entry *entry)
{
    enqueue(entries, entry);
    know_at_once(entries);
}

/* It takes its turn in the queue. Nobody can look at it, but waiting does no harm. */
void entries_give(struct entries *entries, struct key_entry *entry)
{
    entries_retire(entries, entry);
}

/*
 * Asking writes what all workers read: one question is for all that have been retired since the one
 * before.
 */
static void ask(struct entries *entries)
{
    if (entries->asked_count > 0 || entries->retired_count == 0)
        return;
    entries->asked_count = entries->retired_count;
    entries->token = rte_rcu_qsbr_start(entries->quiescence);
}

static bool have_passed(const struct entries *entries)
{
    return entries->asked_count > 0 &&
           (entries->quiescence == NULL ||
            rte_rcu_qsbr_check(entries->quiescence, entries->token, false) == 1);
}

static void free_oldest(struct entries *entries)
{
    uint32_t index = entries->retired[entries->retired_head];
    struct key_entry *entry = table_entry(entries->table, index);
    if (entry->key != entry->room)
        pool_give(&entries->large_keys, (void *)(uintptr_t)entry->key);
    entries->retired_head = retired_place(entries, 1);
    entries->retired_count--;
    entries->asked_count--;
    entries->free[entries->free_count++] = index;
}

uint32_t entries_tick(struct entries *entries, uint32_t max)
{
    uint32_t freed = 0;
    if (entries->retired_count == 0)
        return 0;
    if (have_passed(entries))
        for (; freed < max && entries->asked_count > 0; freed++)
            free_oldest(entries);
    ask(entries);
    return freed;
}
