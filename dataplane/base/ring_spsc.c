#include "dataplane/base/ring_spsc.h"

#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"

#include <string.h>

#define LARGEST_COUNT (1u << 31)

static uint32_t power_of_two_from(uint32_t count)
{
    uint32_t power = 1;
    while (power < count)
        power *= 2;
    return power;
}

bool ring_spsc_init(struct ring_spsc *ring, const char *name, uint32_t count, uint32_t item_bytes,
                    int socket_id)
{
    check(count > 0 && count <= LARGEST_COUNT && item_bytes > 0);
    uint32_t slots = power_of_two_from(count);
    memset(ring, 0, sizeof(*ring));
    ring->mask = slots - 1;
    ring->item_bytes = item_bytes;
    ring->items = memory_take(name, (size_t)slots * item_bytes, socket_id);
    return ring->items != NULL;
}

static inline uint8_t *ring_spsc_slot(const struct ring_spsc *ring, uint32_t at)
{
    return ring->items + (size_t)(at & ring->mask) * ring->item_bytes;
}

void *ring_spsc_reserve(struct ring_spsc *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head - ring->tail_seen > ring->mask) {
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head - ring->tail_seen > ring->mask)
            return NULL;
    }
    return ring_spsc_slot(ring, head);
}

void ring_spsc_commit(struct ring_spsc *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
}

bool ring_spsc_push(struct ring_spsc *ring, const void *item)
{
    void *slot = ring_spsc_reserve(ring);
    if (slot == NULL)
        return false;
    memcpy(slot, item, ring->item_bytes);
    ring_spsc_commit(ring);
    return true;
}

const void *ring_spsc_front(struct ring_spsc *ring)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail == ring->head_seen) {
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail == ring->head_seen)
            return NULL;
    }
    return ring_spsc_slot(ring, tail);
}

void ring_spsc_drop(struct ring_spsc *ring)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
}

bool ring_spsc_pop(struct ring_spsc *ring, void *item)
{
    const void *oldest = ring_spsc_front(ring);
    if (oldest == NULL)
        return false;
    memcpy(item, oldest, ring->item_bytes);
    ring_spsc_drop(ring);
    return true;
}

uint32_t ring_spsc_count(const struct ring_spsc *ring)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    return head - tail;
}
