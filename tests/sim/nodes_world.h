/*
 * nodes_world: all of one run of the scenario `nodes`: nodes, regions, the store's servers, the
 * agenda, and what judges them. One thread; there is one world at a time.
 */
#pragma once

#include "tests/sim/nodes_agenda.h"
#include "tests/sim/nodes_law.h"
#include "tests/sim/nodes_node.h"

#define NODES_SERVERS 2 /* the master, and the replica that may take its place */

struct nodes_world {
    struct sim *sim;
    struct nodes_agenda agenda;
    uint32_t node_count;
    uint32_t region_count;
    uint32_t flights_max; /* of a node at a backend */
    struct nodes_truth truth;
    struct nodes_law law;
    struct nodes_node nodes[NODES_MAX];
    struct nodes_server servers[NODES_SERVERS];
    struct nodes_server replica; /* as it was copied last */
    struct nodes_script *script; /* of the servers; NULL: not in this run */
    uint32_t master;
    uint64_t split_until_ns; /* two masters at a time until then; 0: no */
    uint64_t server_stalls_until_ns;
    bool is_calm;
    uint64_t panics; /* that began, at any node */
};

/* All regions in the order of the right configuration. */
const struct config *nodes_world_config(const struct nodes_world *world);

/* Let everything happen until then. */
void nodes_world_run(struct nodes_world *world, uint64_t until_ns);
