/*
 * flow: who a packet belongs to. Any thread; no state.
 */
#pragma once

#include "dataplane/base/ip_address.h"

#include <stdint.h>

/* Ports in host byte order; local is our side. 36 bytes without padding, hashed as they are. */
struct flow_tuple {
    struct ip_address local;
    struct ip_address remote;
    uint16_t local_port;
    uint16_t remote_port;
};

_Static_assert(sizeof(struct flow_tuple) == 36, "no padding: it is hashed and compared as bytes");

/* Ports from which we open connections; the low part below belongs to listeners. */
#define FLOW_SOURCE_PORT_FIRST 32768u
#define FLOW_SOURCE_PORTS      32768u

/* The worker whose slice of source ports holds PORT: port number modulo workers. */
static inline uint16_t flow_port_owner(uint16_t port, uint16_t workers)
{
    return (uint16_t)(port % workers);
}

/* A fixed mixing hash of the tuple, equal on all workers: for spreading, not for hash tables. */
uint32_t flow_spread(const struct flow_tuple *tuple);
