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
    for (uint32_t i = 0; i < TCP_TABLE_SECRETS; i++)
        table->secrets[i] = siphash(key, bytes_of((const uint8_t *)&i, sizeof(i)));
    return table->slots != NULL;
}

void tcp_table_objects(struct tcp_table *table, uint32_t kind, const void *objects,
                       uint32_t object_bytes)
{
    table->objects[kind] = objects;
    table->object_bytes[kind] = object_bytes;
}

/* Both halves of the product: each bit of it depends on all bits of A and B. */
static inline uint64_t multiply(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint32_t tcp_table_hash(const struct tcp_table *table, const struct flow_tuple *tuple)
{
    const uint64_t *secrets = table->secrets;
    uint64_t words[4];
    uint32_t ports;
    memcpy(words, tuple, sizeof(words));
    memcpy(&ports, &tuple->local_port, sizeof(ports));
    uint64_t hash = multiply(words[0] ^ secrets[0], words[1] ^ secrets[1]) ^
                    multiply(words[2] ^ secrets[2], words[3] ^ secrets[3]) ^
                    multiply(ports ^ secrets[4], secrets[5]);
    hash = multiply(hash, secrets[6]);
    return (uint32_t)(hash ^ hash >> 32);
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
