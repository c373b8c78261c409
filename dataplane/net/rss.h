/*
 * rss: which queue a port's receive side scaling puts a TCP packet into: the Toeplitz hash over
 * addresses and ports, and the table that maps hashes to queues. A prediction: net holds arrivals
 * against it (return_path.c). Filled at start, then read by any thread.
 */
#pragma once

#include "dataplane/net/flow.h"

#include <stdbool.h>
#include <stddef.h>

#define PORT_RSS_KEY_BYTES_MAX 64
#define PORT_RSS_ENTRIES_MAX   2048
#define PORT_RSS_INPUT_BYTES   36 /* addresses and ports of IPv6 */

struct port_rss {
    bool v4;          /* ports of TCP over IPv4 are part of the hash, and all below is known */
    bool v6;          /* the same for IPv6 */
    uint16_t entries; /* a power of two */
    uint8_t queues[PORT_RSS_ENTRIES_MAX];
    uint32_t nibbles[2 * PORT_RSS_INPUT_BYTES][16]; /* what half a byte at a place adds */
};

/* Make `nibbles`. False: the key is too short for IPv6 (36 + 4 bytes). */
bool port_rss_set_key(struct port_rss *rss, const uint8_t *key, size_t length);

/* The hash of a packet that comes from the remote side. Cost: 24 or 72 loads from 1.5 or 4.6 KB. */
uint32_t port_rss_hash(const struct port_rss *rss, const struct flow_tuple *tuple);

/*
 * Whether connections of many clients come to all of QUEUES (1..255), in each family that is known:
 * with a key that a driver left out of its answer they are all in one. Main thread; some ms.
 */
bool port_rss_spreads(const struct port_rss *rss, uint16_t queues);

static inline bool port_rss_knows(const struct port_rss *rss, const struct flow_tuple *tuple)
{
    return rss != NULL && (ip_address_is_v4(&tuple->remote) ? rss->v4 : rss->v6);
}

static inline uint16_t port_rss_queue(const struct port_rss *rss, uint32_t hash)
{
    return rss->queues[hash & (rss->entries - 1u)];
}
