/*
 * net_host: one worker's net at one end of a wire, with its timer wheel, for tests of net and of
 * what stands on it. Interface 0 is untagged, MAC 02:00:00:00:EE:00 with EE the end.
 */
#pragma once

#include "dataplane/net/net.h"
#include "tests/support/wire.h"

struct net_host {
    struct wire *wire;
    struct net *net;
    struct port_queue *port;
    struct timer_wheel wheel;
    struct random random;
    struct net_config config;
};

/* Fill in the configuration: worker SELF of WORKERS at END of the wire, no addresses. */
void net_host_prepare(struct net_host *host, struct wire *wire, uint16_t end, uint16_t self,
                      uint16_t workers);

/* Add an address with its network ("10.0.0.1/24", "fd00::1/64") to interface 0. */
void net_host_add_address(struct net_host *host, const char *prefix);
void net_host_set_gateway(struct net_host *host, const char *address);

/* Make the net. */
void net_host_open(struct net_host *host);

/* prepare, add_address and open for a host with one worker. V6 may be NULL. */
void net_host_start(struct net_host *host, struct wire *wire, uint16_t end, const char *v4,
                    const char *v6);

/* Receive one burst and take it in; timers and sending are left to the caller. */
void net_host_receive(struct net_host *host, uint64_t now, struct net_arrivals *out);

/* A whole turn without anything above net: receive, free what came for TCP, timers, flush. */
void net_host_turn(struct net_host *host, uint64_t now);

/* Free what arrived. */
void net_host_free(const struct net_arrivals *arrivals);
