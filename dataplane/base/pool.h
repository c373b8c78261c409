/*
 * pool: a fixed number of objects of one size, taken from memory at start. One worker.
 *
 * The last given is the next taken, so that a worker goes round a few objects that its caches hold,
 * and not round all of the pool. What is named in mail or timers rests before its next life: a slot
 * then is not taken again before POOL_REST others were given back, unless nothing else is free.
 * Objects are not cleared by take. A handle names an object until it is given back; generations are
 * never 0, and one comes again after 2^31 lives of its slot.
 * With AddressSanitizer a free object is poisoned.
 */
#pragma once

#include "dataplane/base/check.h"
#include "dataplane/base/handle.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pool_order {
    POOL_LIFO,    /* the last given is the next taken */
    POOL_RESTING, /* the same, after a rest */
};

#define POOL_REST       64
#define POOL_LINE_BYTES 64

struct pool {
    const char *name;
    uint8_t *objects;
    uint32_t *generations; /* odd: in use, even: free */
    uint32_t *free_slots;  /* a stack of those that do not rest */
    uint32_t *resting;     /* a ring of POOL_REST; NULL in LIFO order */
    uint32_t object_bytes; /* rounded up to whole 16 bytes; 64 when at least 64 */
    uint32_t shift;        /* object_bytes is an odd number times 2^shift ... */
    uint32_t inverse;      /* ... and this times that number is 1 modulo 2^32 */
    uint32_t count;
    uint32_t free_count;
    uint32_t resting_count; /* of the free ones */
    uint32_t resting_head;  /* the one that rests longest */
    uint32_t low_water;     /* least free_count seen */
    enum pool_order order;
};

/* COUNT objects of BYTES each on NUMA node SOCKET_ID (-1: any). False: not enough memory. */
bool pool_init(struct pool *pool, const char *name, enum pool_order order, uint32_t count,
               size_t object_bytes, int socket_id);

/* An object, contents undefined, or NULL when all are in use. O(1). */
void *pool_take(struct pool *pool);

/*
 * Fetch the first BYTES of the object that is likely to be taken next into the cache: for large
 * ones which their owner fills at once, when there is other work before. Harmless when none is
 * free. BYTES is constant; a core has some 24 lines under way. Costs a few cycles.
 */
static inline void pool_prefetch_next(const struct pool *pool, size_t bytes)
{
    if (pool->free_count == 0)
        return;
    bool awake = pool->free_count > pool->resting_count;
    uint32_t index = awake ? pool->free_slots[pool->free_count - 1 - pool->resting_count]
                           : pool->resting[pool->resting_head];
    const uint8_t *object = pool->objects + (size_t)index * pool->object_bytes;
#pragma GCC unroll 24
    for (size_t at = 0; at < bytes; at += POOL_LINE_BYTES)
        __builtin_prefetch(object + at, 1);
}

/* Give back an object that pool_take() returned. Giving twice stops the process. O(1). */
void pool_give(struct pool *pool, void *object);

/* The same by the object's slot. */
void pool_give_at(struct pool *pool, uint32_t index);

/* Where a division has no remainder, a multiplication by the inverse is its result. */
static inline uint32_t pool_index(const struct pool *pool, const void *object)
{
    size_t offset = (size_t)((uintptr_t)object - (uintptr_t)pool->objects);
    uint32_t index = (uint32_t)(offset >> pool->shift) * pool->inverse;
    check(index < pool->count && (size_t)index * pool->object_bytes == offset);
    return index;
}

/* Of an object in use. */
static inline handle pool_handle(const struct pool *pool, const void *object)
{
    uint32_t index = pool_index(pool, object);
    check((pool->generations[index] & 1) != 0);
    return handle_make(index, pool->generations[index]);
}

/* The object, or NULL when it has been given back (or the handle is none or nonsense). O(1). */
void *pool_get(const struct pool *pool, handle h);

/* The object in slot INDEX if it is in use, else NULL: to walk all objects. */
void *pool_at(const struct pool *pool, uint32_t index);

static inline uint32_t pool_used(const struct pool *pool)
{
    return pool->count - pool->free_count;
}
