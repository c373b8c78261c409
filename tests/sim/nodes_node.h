/*
 * nodes_node: one Weir node: its configuration, its loop on a clock of its own, and the whole of
 * control/failover*.c on it. It probes the regions as nodes_truth.h lets it, and reaches the store
 * by nodes_link.h. It can stand still, crash and start again.
 */
#pragma once

#include "control/failover_internal.h"
#include "tests/sim/nodes_link.h"
#include "tests/support/failover_lab.h"

#define NODES_VARIANTS 2 /* of the configuration: the right one, and another */

/* What the node's checkers remember (nodes_check.h). */
struct nodes_memory {
    struct region_state agreed;
    bool is_heard;           /* something came that may have changed it */
    uint64_t troubled_at_ns; /* when it last was not well connected */
    bool was_panic;
    uint64_t newer_since_ns; /* since when its server has held something newer; 0: it has not */
};

struct nodes_node {
    struct nodes_world *world;
    uint32_t index;
    struct lab_config configs[NODES_VARIANTS];
    uint32_t variant;
    struct loop *loop;
    struct failover *failover; /* NULL: not running */
    uint32_t life;             /* probes of another one are void */
    uint64_t started_at_ns;
    int32_t drift_ppm;
    int64_t wall_offset_ms; /* of the host's clock */
    uint64_t wakes_at_ns;   /* stands still until then */
    struct backend_loads loads;
    bool active[NODES_REGIONS_MAX]; /* as the last snapshot said, by the node's order */
    uint64_t published_epoch;
    struct nodes_link link;
    struct nodes_memory memory;
};

void nodes_node_start(struct nodes_node *node);
/* At once, as by kill -9. */
void nodes_node_stop(struct nodes_node *node);

bool nodes_node_is_awake(const struct nodes_node *node);
/* When to look again whether it is awake: it may be woken before its time. */
uint64_t nodes_node_later_ns(const struct nodes_node *node);
/* When its next timer is due, in the world's time; CLOCK_NEVER: it does not run. */
uint64_t nodes_node_due_ns(const struct nodes_node *node);
/* A turn of its loop, now. What comes from outside is handed over behind it. */
void nodes_node_turn(struct nodes_node *node);

const struct config *nodes_node_config(const struct nodes_node *node);
void nodes_node_apply(struct nodes_node *node, uint32_t variant);
