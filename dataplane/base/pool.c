#include "dataplane/base/pool.h"

#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"
#include "dataplane/base/sanitizer.h"

#define LARGEST_OBJECT_BYTES (1u << 30)

static size_t rounded_up(size_t object_bytes)
{
    size_t unit = object_bytes >= POOL_LINE_BYTES ? POOL_LINE_BYTES : 16;
    return (object_bytes + unit - 1) / unit * unit;
}

static bool pool_take_memory(struct pool *pool, int socket_id)
{
    size_t count =
        pool->count > 0 ? pool->count : 1; /* an empty pool is legal, an empty take not */
    pool->objects = memory_take(pool->name, count * pool->object_bytes, socket_id);
    pool->generations = memory_take(pool->name, count * sizeof(uint32_t), socket_id);
    pool->free_slots = memory_take(pool->name, count * sizeof(uint32_t), socket_id);
    if (pool->order == POOL_RESTING)
        pool->resting = memory_take(pool->name, POOL_REST * sizeof(uint32_t), socket_id);
    return pool->objects != NULL && pool->generations != NULL && pool->free_slots != NULL &&
           (pool->resting != NULL || pool->order == POOL_LIFO);
}

/* Lowest slot first. */
static void pool_fill_free_slots(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->count; i++)
        pool->free_slots[i] = pool->count - 1 - i;
}

/* Of an odd number modulo 2^32, by Newton's iteration: the bits that are right double each time. */
static uint32_t inverse_of(uint32_t odd)
{
    uint32_t inverse = odd; /* right modulo 8 */
    for (uint32_t bits = 3; bits < 32; bits *= 2)
        inverse *= 2 - odd * inverse;
    return inverse;
}

bool pool_init(struct pool *pool, const char *name, enum pool_order order, uint32_t count,
               size_t object_bytes, int socket_id)
{
    check(object_bytes > 0 && object_bytes <= LARGEST_OBJECT_BYTES);
    *pool = (struct pool){
        .name = name,
        .order = order,
        .count = count,
        .object_bytes = (uint32_t)rounded_up(object_bytes),
        .free_count = count,
        .low_water = count,
    };
    pool->shift = (uint32_t)__builtin_ctz(pool->object_bytes);
    pool->inverse = inverse_of(pool->object_bytes >> pool->shift);
    if (!pool_take_memory(pool, socket_id))
        return false;
    pool_fill_free_slots(pool);
    sanitizer_poison(pool->objects, (size_t)count * pool->object_bytes);
    return true;
}

static inline void *pool_slot(const struct pool *pool, uint32_t index)
{
    return pool->objects + (size_t)index * pool->object_bytes;
}

static inline bool pool_slot_is_used(const struct pool *pool, uint32_t index)
{
    return (pool->generations[index] & 1) != 0;
}

/* The one that rests longest ends its rest. */
static inline uint32_t pool_wake(struct pool *pool)
{
    uint32_t index = pool->resting[pool->resting_head];
    pool->resting_head = (pool->resting_head + 1) % POOL_REST;
    pool->resting_count--;
    return index;
}

/* One is free; free_count is already one less. */
static inline uint32_t pool_next_free(struct pool *pool)
{
    if (pool->free_count >= pool->resting_count)
        return pool->free_slots[pool->free_count - pool->resting_count];
    return pool_wake(pool);
}

/* INDEX is free from now on; free_count does not count it yet. */
static inline void pool_add_free(struct pool *pool, uint32_t index)
{
    uint32_t awake = pool->free_count - pool->resting_count;
    if (pool->order == POOL_LIFO) {
        pool->free_slots[awake] = index;
        return;
    }
    if (pool->resting_count == POOL_REST) { /* it takes the place of the one that wakes */
        pool->free_slots[awake] = pool->resting[pool->resting_head];
        pool->resting[pool->resting_head] = index;
        pool->resting_head = (pool->resting_head + 1) % POOL_REST;
        return;
    }
    pool->resting[(pool->resting_head + pool->resting_count) % POOL_REST] = index;
    pool->resting_count++;
}

void *pool_take(struct pool *pool)
{
    if (pool->free_count == 0)
        return NULL;
    pool->free_count--;
    if (pool->free_count < pool->low_water)
        pool->low_water = pool->free_count;
    uint32_t index = pool_next_free(pool);
    pool->generations[index]++;
    void *object = pool_slot(pool, index);
    sanitizer_unpoison(object, pool->object_bytes);
    return object;
}

static inline void pool_free_slot(struct pool *pool, uint32_t index)
{
    check(pool_slot_is_used(pool, index));
    pool->generations[index]++;
    pool_add_free(pool, index);
    pool->free_count++;
    sanitizer_poison(pool_slot(pool, index), pool->object_bytes);
}

void pool_give_at(struct pool *pool, uint32_t index)
{
    check(index < pool->count);
    pool_free_slot(pool, index);
}

void pool_give(struct pool *pool, void *object)
{
    pool_free_slot(pool, pool_index(pool, object));
}

void *pool_get(const struct pool *pool, handle h)
{
    uint32_t index = handle_index(h);
    if (index >= pool->count || (handle_generation(h) & 1) == 0)
        return NULL;
    if (pool->generations[index] != handle_generation(h))
        return NULL;
    return pool_slot(pool, index);
}

void *pool_at(const struct pool *pool, uint32_t index)
{
    if (index >= pool->count || !pool_slot_is_used(pool, index))
        return NULL;
    return pool_slot(pool, index);
}
