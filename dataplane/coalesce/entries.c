#include "dataplane/coalesce/entries.h"

#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"
#include "dataplane/coalesce/coalesce.h"

#include <rte_rcu_qsbr.h>

#define SMALL_KEY_BYTES 512
#define SMALL_PER_LARGE 8

bool entries_init(struct entries *entries, struct coalesce_table *table, uint16_t owner,
                  uint16_t workers, struct rte_rcu_qsbr *quiescence, int socket_id)
{
    uint32_t count = table_entry_count(table) / workers;
    *entries = (struct entries){
        .table = table,
        .quiescence = quiescence,
        .owner = owner,
        .count = count,
        .free_count = count,
        .queue = memory_take("coalesce entries", (count + 1) * sizeof(uint32_t), socket_id),
    };
    if (entries->queue == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++)
        entries->queue[i] = owner * count + i;
    return pool_init(&entries->small_keys, "coalesce keys", POOL_RESTING, count, SMALL_KEY_BYTES,
                     socket_id) &&
           pool_init(&entries->large_keys, "coalesce keys", POOL_RESTING,
                     count / SMALL_PER_LARGE + 1, COALESCE_KEY_BYTES, socket_id);
}

static uint32_t queue_place(const struct entries *entries, uint32_t offset)
{
    uint64_t place = (uint64_t)entries->free_head + offset;
    return (uint32_t)(place < entries->count ? place : place - entries->count);
}

static void *take_key_room(struct entries *entries, size_t length, bool *out_large)
{
    *out_large = length > SMALL_KEY_BYTES;
    if (length > COALESCE_KEY_BYTES)
        return NULL;
    return pool_take(*out_large ? &entries->large_keys : &entries->small_keys);
}

struct key_entry *entries_take(struct entries *entries, uint64_t hash, struct bytes key,
                               handle flight)
{
    bool large;
    void *room = entries->free_count > 0 ? take_key_room(entries, key.length, &large) : NULL;
    if (room == NULL)
        return NULL;
    memcpy(room, key.data, key.length);
    struct key_entry *entry = table_entry(entries->table, entries->queue[queue_place(entries, 0)]);
    entries->free_head = queue_place(entries, 1);
    entries->free_count--;
    *entry = (struct key_entry){
        .hash = hash,
        .key = room,
        .key_length = (uint32_t)key.length,
        .owner = entries->owner,
        .flight = flight,
        .large = large,
    };
    return entry;
}

/* Behind the free and the retired, where the ring has room for what was taken. */
static void enqueue(struct entries *entries, const struct key_entry *entry)
{
    uint32_t index = (uint32_t)(entry - table_entry(entries->table, 0));
    uint32_t waiting = entries->free_count + entries->retired_count;
    check(waiting < entries->count && index / entries->count == entries->owner);
    entries->queue[queue_place(entries, waiting)] = index;
    entries->retired_count++;
}

static uint64_t grace_token(const struct entries *entries)
{
    return entries->quiescence == NULL ? 0 : rte_rcu_qsbr_start(entries->quiescence);
}

void entries_retire(struct entries *entries, struct key_entry *entry)
{
    entry->token = grace_token(entries);
    enqueue(entries, entry);
}

/* It takes its turn in the queue. Nobody can look at it, but waiting does no harm. */
void entries_give(struct entries *entries, struct key_entry *entry)
{
    entries_retire(entries, entry);
}

static bool has_passed(const struct entries *entries, const struct key_entry *entry)
{
    return entries->quiescence == NULL ||
           rte_rcu_qsbr_check(entries->quiescence, entry->token, false) == 1;
}

uint32_t entries_tick(struct entries *entries, uint32_t max)
{
    uint32_t freed = 0;
    while (freed < max && entries->retired_count > 0) {
        uint32_t index = entries->queue[queue_place(entries, entries->free_count)];
        struct key_entry *entry = table_entry(entries->table, index);
        if (!has_passed(entries, entry))
            break;
        pool_give(entry->large ? &entries->large_keys : &entries->small_keys,
                  (void *)(uintptr_t)entry->key);
        entries->free_count++;
        entries->retired_count--;
        freed++;
    }
    return freed;
}
