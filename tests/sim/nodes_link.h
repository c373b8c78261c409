/*
 * nodes_link: what stands between a node and the store's server: control/store.h's operations over
 * connections that are slow, break, lose requests or answers, and connect again, as
 * control/store_redis_link.c does. Its functions are linked in the place of store_redis.c.
 */
#pragma once

#include "control/store.h"
#include "tests/sim/nodes_server.h"

struct nodes_world;

enum nodes_link_phase {
    NODES_LINK_IDLE, /* waits for the next attempt, or no store is open */
    NODES_LINK_CONNECTING,
    NODES_LINK_READY,
};

/* What is wrong with the way to the server. */
struct nodes_way {
    bool is_cut;
    uint32_t loss_ppm;     /* of messages; a connection that lost one is deaf */
    uint32_t delay_max_us; /* each way; 0: some hundred us */
};

struct nodes_link {
    struct store store;
    struct nodes_world *world;
    uint32_t node;
    uint32_t server; /* which one the node is told to ask */
    struct nodes_way way;

    bool is_open; /* a store is */
    const struct config *config;
    const struct region_rules *rules;
    struct store_events events;
    enum nodes_link_phase phase;
    uint32_t life;        /* of the connection: messages of another one are void */
    uint32_t failures;    /* in a row */
    bool is_deaf;         /* something was lost: nothing comes through any more */
    uint64_t sent;        /* messages of this life */
    uint64_t answered;    /* of them */
    uint64_t there_at_ns; /* when the last one arrives: they stay in order */
    uint64_t back_at_ns;
    bool is_beating;
    bool is_changing;
    struct region_votes votes;
};

void nodes_link_begin(struct nodes_link *link, struct nodes_world *world, uint32_t node);

/* The next store that is opened is this one's. */
void nodes_link_opens(struct nodes_link *link);

/* The connection breaks; from now on this server is asked. */
void nodes_link_turn_to(struct nodes_link *link, uint32_t server);
