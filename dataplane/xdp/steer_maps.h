/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * steer_maps: what the XDP program (steer.bpf.c) and its loader (control/steer.c) agree on: names,
 * map layouts, sizes, counters. Included by both; no pointer, no padding that is not named.
 *
 * Addresses are 16 bytes in network order, IPv4 in the v4-mapped form ::ffff:a.b.c.d.
 */
#pragma once

#include <linux/types.h>

/*
 * The program's name says whose it is and which layout its maps have: the number is raised with
 * every change below. The kernel keeps 15 characters.
 */
#define STEER_PROGRAM_PREFIX "weir_steer_v"
#define STEER_PROGRAM_NAME   "weir_steer_v1"
#define STEER_PROGRAM        weir_steer_v1

/* Names of the maps. The AF_XDP driver looks for "xsks_map" and fills it, queue index to socket. */
#define STEER_MAP_LISTENERS "weir_listeners"
#define STEER_MAP_ADDRESSES "weir_addresses"
#define STEER_MAP_DENIED    "weir_denied"
#define STEER_MAP_COUNTERS  "weir_counters"

/*
 * How many entries the loader accepts. The maps hold twice as many, since a change adds what is new
 * before it removes what is old.
 */
#define STEER_QUEUES_MAX    256
#define STEER_LISTENERS_MAX 4096
#define STEER_ADDRESSES_MAX 4096
#define STEER_DENIED_MAX    65536

#define STEER_TAGS_MAX       2 /* VLAN tags looked through: 802.1Q, 802.1ad */
#define STEER_EXTENSIONS_MAX 4 /* IPv6 hop-by-hop and destination options looked through */

struct steer_address {
    __u8 bytes[16];
};

/* Key of weir_listeners: an address and TCP port clients connect to. The value is 1. */
struct steer_listener {
    struct steer_address address;
    __be16 port;
    __u16 zero;
};

/* Key of weir_denied, a longest-prefix table: of an IPv4 source, 96 + its prefix. The value is 1.
 */
struct steer_prefix {
    __u32 length_bits;
    struct steer_address address;
};

/* Values of weir_addresses, whose key is a struct steer_address: what the address is to us. */
enum steer_role {
    STEER_ROLE_LISTENER = 1, /* some of its ports are in weir_listeners, the others are not ours */
    STEER_ROLE_LOCAL = 2,    /* we connect to backends from it: every TCP port is ours */
};

enum steer_counter {
#define COUNTER(name, unit, text) STEER_COUNT_##name,
#include "dataplane/xdp/steer_counters.def"
#undef COUNTER
    STEER_COUNTERS
};
