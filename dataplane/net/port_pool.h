/*
 * port_pool: the packet buffers of one queue of a port. Main thread, at start.
 *
 * AF_XDP's driver registers with the kernel as many bytes as the buffers take side by side, from
 * the first one on. By default DPDK lays buffers out so that none crosses a page, which leaves
 * gaps: with pages of 4 KiB every other buffer would lie behind what the kernel knows. It drops
 * these without a word, both those to send and those to receive into; each costs a place of the
 * fill ring, until the queue is dead. Hence the packed layout.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rte_mempool;

struct port_pool_request {
    const char *name;
    uint32_t mbufs;
    uint32_t cache;      /* mbufs that each lcore may keep */
    uint32_t data_bytes; /* data room with headroom */
    int socket_id;
    bool packed; /* side by side in virtual memory: mbufs have no IOVA, no hardware can use them */
};

/* A pool with ring_mt_rts operations. NULL: no memory; rte_errno says more. */
struct rte_mempool *port_pool_create(const struct port_pool_request *request);

/* Whether all buffers lie in one piece of memory without gaps. Cost: looks at every buffer. */
bool port_pool_is_packed(struct rte_mempool *pool);
