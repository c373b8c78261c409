/* tcp_table: Knuth, The Art of Computer Programming 3, 6.4, algorithms L and R. */
#include "dataplane/tcp/tcp_table.h"

#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"

#include <string.h>

bool tcp_table_init(struct tcp_table *table, uint32_t entries, const struct siphash_key *key,
                    int socket_id)
{
    uint32_t slots = 16;
    while (slots < 2 * (uint64_t)entries)
        slots *= 2;
    memset(table, 0, sizeof(*table));
    table->slots = memory_take("tcp table", slots * sizeof(*table->slots), socket_id);
    table->mask = slots - 1;
    table->key = *key;
    return table->slots != NULL;
}

void tcp_table_objects(struct tcp_table *table, uint32_t kind, const void *objects,
                       uint32_t object_bytes)
{
    table->objects[kind] = objects;
    table->object_bytes[kind] = object_bytes;
}

uint32_t tcp_table_hash(const struct tcp_table *table, const struct flow_tuple *tuple)
{
    return (uint32_t)siphash(&table->key, bytes_of(tuple, sizeof(*tuple)));
}

static const void *object_at(const struct tcp_table *table, tcp_reference ref)
{
    uint32_t kind = tcp_reference_is_time_wait(ref);
    return table->objects[kind] + (size_t)tcp_reference_index(ref) * table->object_bytes[kind];
}

void tcp_table_prefetch_object(const struct tcp_table *table, uint32_t hash)
{
    const struct tcp_table_slot *slot = &table->slots[hash & table->mask];
    if (slot->reference == TCP_REFERENCE_NONE || slot->hash != hash)
        return;
    const char *object = object_at(table, slot->reference);
    __builtin_prefetch(object);
    if (tcp_reference_is_time_wait(slot->reference))
        return;
    __builtin_prefetch(object + 64);
    __builtin_prefetch(object + 128);
    __builtin_prefetch(object + 192);
}

tcp_reference tcp_table_find(const struct tcp_table *table, uint32_t hash,
                             const struct flow_tuple *tuple)
{
    for (uint32_t at = hash & table->mask;; at = (at + 1) & table->mask) {
        const struct tcp_table_slot *slot = &table->slots[at];
        if (slot->reference == TCP_REFERENCE_NONE)
            return TCP_REFERENCE_NONE;
        if (slot->hash == hash &&
            memcmp(object_at(table, slot->reference), tuple, sizeof(*tuple)) == 0)
            return slot->reference;
    }
}

bool tcp_table_add(struct tcp_table *table, uint32_t hash, tcp_reference reference)
{
    if (table->count > table->mask / 2)
        return false;
    uint32_t at = hash & table->mask;
    while (table->slots[at].reference != TCP_REFERENCE_NONE)
        at = (at + 1) & table->mask;
    table->slots[at] = (struct tcp_table_slot){hash, reference};
    table->count++;
    return true;
}

/* Whether the entry at AT may move into the hole: its home is not in (hole, at], cyclically. */
static bool may_move(const struct tcp_table *table, uint32_t hole, uint32_t at)
{
    uint32_t from_home = (at - table->slots[at].hash) & table->mask;
    uint32_t from_hole = (at - hole) & table->mask;
    return from_home >= from_hole;
}

void tcp_table_remove(struct tcp_table *table, uint32_t hash, tcp_reference reference)
{
    uint32_t hole = hash & table->mask;
    while (table->slots[hole].reference != reference) {
        check(table->slots[hole].reference != TCP_REFERENCE_NONE);
        hole = (hole + 1) & table->mask;
    }
    for (uint32_t at = (hole + 1) & table->mask; table->slots[at].reference != TCP_REFERENCE_NONE;
         at = (at + 1) & table->mask) {
        if (!may_move(table, hole, at))
            continue;
        table->slots[hole] = table->slots[at];
        hole = at;
    }
    table->slots[hole].reference = TCP_REFERENCE_NONE;
    table->count--;
}
