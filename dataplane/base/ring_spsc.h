/*
 * ring_spsc: a bounded queue from one producing thread to one consuming thread; items of a fixed
 * size are copied in and out. Never blocks, never grows.
 *
 * Synchronisation: `head` is written by the producer only (release) and read by the consumer
 * (acquire): what was copied in before is seen after. `tail` is written by the consumer only
 * (release) and read by the producer (acquire): a slot is not written before it was copied out.
 * Each side keeps its last view of the other's counter on its own line and refreshes it only when
 * the ring looks full or empty.
 */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ring_spsc {
    uint8_t *items;
    uint32_t mask;
    uint32_t item_bytes;
    alignas(64) _Atomic uint32_t head;
    uint32_t tail_seen;
    alignas(64) _Atomic uint32_t tail;
    uint32_t head_seen;
};

/* COUNT items (rounded up to a power of two) of ITEM_BYTES each. False: not enough memory. */
bool ring_spsc_init(struct ring_spsc *ring, const char *name, uint32_t count, uint32_t item_bytes,
                    int socket_id);

/* Producer. Copy one item in; false when the ring is full. */
bool ring_spsc_push(struct ring_spsc *ring, const void *item);

/*
 * Producer. The slot of the next item, to be filled in place, or NULL when the ring is full; it is
 * pushed by ring_spsc_commit() and may as well be left.
 */
void *ring_spsc_reserve(struct ring_spsc *ring);
void ring_spsc_commit(struct ring_spsc *ring);

/* Consumer. Copy the oldest item out; false when the ring is empty. */
bool ring_spsc_pop(struct ring_spsc *ring, void *item);

/* Consumer. The oldest item in place until ring_spsc_drop(), or NULL when the ring is empty. */
const void *ring_spsc_front(struct ring_spsc *ring);
void ring_spsc_drop(struct ring_spsc *ring);

/* How many items wait; exact for the consumer and the producer, a guess for others. */
uint32_t ring_spsc_count(const struct ring_spsc *ring);
