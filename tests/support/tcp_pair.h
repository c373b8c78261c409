/*
 * tcp_pair: two hosts with TCP on a wire: A connects, B listens on port 8080 with both families.
 * The hand clock moves from one thing that happens to the next.
 */
#pragma once

#include "tests/support/tcp_host.h"

#define TCP_PAIR_PORT    8080
#define TCP_PAIR_SERVERS 64

struct tcp_pair {
    struct wire *wire;
    struct tcp_host a;
    struct tcp_host b;
    struct tcp_acceptor acceptor;
    struct tcp_stream client;
    struct tcp_stream servers[TCP_PAIR_SERVERS];
    uint64_t now;
    bool busy; /* frames moved in the last turn */
};

/* Wire and configurations; the latter may be changed before tcp_pair_open(). */
void tcp_pair_prepare(struct tcp_pair *pair, uint64_t seed);
void tcp_pair_open(struct tcp_pair *pair);

/* One turn of both at a time, at the next moment at which something is due (20 ms at most). */
void tcp_pair_turn(struct tcp_pair *pair);
void tcp_pair_run_for(struct tcp_pair *pair, uint64_t for_ns);

/* Connect pair->client to B ("10.0.0.2" or "fd00::2") and run until both ends are open. */
void tcp_pair_connect(struct tcp_pair *pair, const char *address);

/*
 * Let the rest run out; then every object of both stacks has to be free, TIME_WAIT over and every
 * mbuf back. Stops the test if not.
 */
void tcp_pair_close(struct tcp_pair *pair);
