/*
 * wire: an Ethernet in memory for tests and simulation: two or more ends, each a port with one or
 * more queues, joined by a switch that learns MAC addresses. Time is a hand clock: wire_advance().
 *
 * What goes wrong is drawn from a seed, per direction: wire_set_faults(). The ends' features decide
 * whether the wire fills in and verifies checksums as a network card would. Packets are copied from
 * the sender's mbuf (freed at once) to an mbuf of the receiving queue's own pool.
 *
 * Programmer's errors are found: a packet from another pool than the queue's or, without
 * multi_segment_tx, in several pieces stops the test.
 */
#pragma once

#include "dataplane/net/port.h"

#define WIRE_ENDS_MAX   8
#define WIRE_QUEUES_MAX 16

struct wire;

struct wire_config {
    uint16_t ends;
    uint16_t queues;                   /* of each end */
    uint16_t queues_of[WIRE_ENDS_MAX]; /* of this end; 0: `queues` */
    uint64_t seed;
    uint32_t mbufs;                /* of each queue */
    uint16_t mbuf_bytes;           /* data room without headroom; 0: 2048 */
    struct port_features features; /* mtu_max 0: 1500 */
    const struct port_rss *rss;    /* what the queues say about it; NULL: nothing */
};

/* test_eal_init() and everything else; never NULL. */
struct wire *wire_create(const struct wire_config *config);

/* Also checks nothing: see wire_mbufs_used(). */
void wire_destroy(struct wire *wire);

struct port_queue *wire_queue(struct wire *wire, uint16_t end, uint16_t queue);

/* The hand clock; frames due by then can be received. Starts at 0, never goes back. */
void wire_advance(struct wire *wire, uint64_t now);

struct wire_faults {
    uint32_t drop_ppm;     /* of frames, each at random */
    uint32_t burst_ppm;    /* begin of a burst of losses ... */
    uint32_t burst_frames; /* ... of so many frames */
    uint32_t duplicate_ppm;
    uint32_t corrupt_ppm; /* one random bit is flipped ... */
    uint32_t corrupt_run; /* ... or up to so many bits in a row, at most 15; 0: one */
    uint32_t reorder_ppm; /* the frame is late by reorder_ns */
    uint64_t reorder_ns;
    uint64_t delay_ns;    /* every frame */
    uint64_t jitter_ns;   /* up to so much more, at random; order is kept */
    uint64_t bits_per_s;  /* bottleneck; 0: none */
    uint32_t queue_bytes; /* waiting before the bottleneck, then frames are dropped; 0: no limit */
    uint32_t ce_ppm;      /* frames whose sender can do ECN are marked (RFC 3168 5) */
    uint16_t mtu;         /* IP packets longer than this do not pass; 0: all do ... */
    bool mtu_silent;      /* ... and the router does not say so */
    bool cut;             /* nothing passes */
};

/* From one end to another; from then on. */
void wire_set_faults(struct wire *wire, uint16_t from, uint16_t to,
                     const struct wire_faults *faults);
void wire_set_faults_everywhere(struct wire *wire, const struct wire_faults *faults);

/* Sees, and may change in place, each frame before the faults. False: the frame is dropped. */
typedef bool wire_filter(void *context, uint16_t from, uint16_t to, uint8_t *frame, uint16_t length,
                         uint64_t now);
void wire_set_filter(struct wire *wire, wire_filter *filter, void *context);

/*
 * Sees each frame as END sends it, and as END takes it from its queue (DELIVERED): for recording
 * and checking. Nothing may be changed.
 */
typedef void wire_tap(void *context, bool delivered, uint16_t end, const uint8_t *frame,
                      uint16_t length, uint64_t now);
void wire_set_tap(struct wire *wire, wire_tap *tap, void *context);

/* Chooses the queue of END for a frame. Default (NULL): by a hash of addresses and ports. */
typedef uint16_t wire_steer(void *context, uint16_t end, const uint8_t *frame, uint16_t length);
void wire_set_steer(struct wire *wire, wire_steer *steer, void *context);

/* The hash that END's card tells with a frame; false: it tells none. Default (NULL): none. */
typedef bool wire_hash(void *context, uint16_t end, const uint8_t *frame, uint16_t length,
                       uint32_t *hash);
void wire_set_hash(struct wire *wire, wire_hash *hash, void *context);

/* A frame as if END had sent it (wire_send_to: only towards TO). For hand-made packets. */
void wire_inject(struct wire *wire, uint16_t end, const void *frame, uint16_t length);

/* Put a frame straight before END's queue, without faults or delay. */
void wire_deliver(struct wire *wire, uint16_t end, uint16_t queue, const void *frame,
                  uint16_t length);

/* Take a frame that waits at a queue and is due, into OUT; its length, or 0: none. */
uint16_t wire_take(struct wire *wire, uint16_t end, uint16_t queue, void *out, uint16_t room);

/* Frames on their way or waiting at a queue. */
uint32_t wire_in_flight(const struct wire *wire);

/* When the next frame that is not due yet will be; CLOCK_NEVER: none. */
uint64_t wire_next_ns(const struct wire *wire);

/* Mbufs of all the wire's pools that somebody holds: 0 when the stack has given all back. */
uint32_t wire_mbufs_used(const struct wire *wire);

struct wire_statistics {
    uint64_t sent;      /* frames taken over from ends */
    uint64_t delivered; /* handed to a receiver */
    uint64_t lost;      /* by faults and filter */
    uint64_t duplicated;
    uint64_t corrupted;
    uint64_t overflowed; /* dropped before the bottleneck */
    uint64_t too_big;    /* for the MTU of the way */
    uint64_t marked;     /* CE */
    uint64_t no_mbuf;    /* the receiver's pool was empty */
    uint64_t too_long;
};

const struct wire_statistics *wire_statistics(const struct wire *wire);
