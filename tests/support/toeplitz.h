/*
 * toeplitz: a network card's receive side scaling for wires in memory, with DPDK's own software
 * hash: what rss.c predicts is held against another implementation.
 */
#pragma once

#include "dataplane/net/rss.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_thash.h>
#include <string.h>

#define TOEPLITZ_ENTRIES 128

/* Microsoft's, of the verification suite. */
static const uint8_t toeplitz_key[40] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

/* What a port would be known to do: QUEUES in turn. */
static inline struct port_rss toeplitz_rss(uint16_t queues)
{
    static struct port_rss rss;
    rss = (struct port_rss){.v4 = true, .v6 = true, .entries = TOEPLITZ_ENTRIES};
    (void)port_rss_set_key(&rss, toeplitz_key, sizeof(toeplitz_key));
    for (uint16_t i = 0; i < TOEPLITZ_ENTRIES; i++)
        rss.queues[i] = (uint8_t)(i % queues);
    return rss;
}

/* The hash of a TCP frame without VLAN tag; false: it is something else. */
static inline bool toeplitz_hash(const uint8_t *frame, uint16_t length, uint32_t *hash)
{
    bool v4 = frame[12] == 0x08 && frame[13] == 0x00 && frame[14 + 9] == IPPROTO_TCP;
    bool v6 = frame[12] == 0x86 && frame[13] == 0xdd && frame[14 + 6] == IPPROTO_TCP;
    if (length < 54 || (!v4 && !v6))
        return false;
    const uint8_t *addresses = frame + (v4 ? 26 : 22); /* source, destination, ports: in a row */
    uint32_t words[9], count = v4 ? 3 : 9;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(&words[i], addresses + 4 * i, 4);
        words[i] = rte_be_to_cpu_32(words[i]);
    }
    *hash = rte_softrss(words, count, toeplitz_key);
    return true;
}
