/*
 * nodes_disk: the nodes' disk snapshots, in memory: control/region_snapshot.h's functions, linked
 * in the place of its own. A directory is a node's name.
 */
#pragma once

#include "control/region_snapshot.h"
#include "tests/sim/nodes_truth.h"

enum nodes_disk_fate {
    NODES_DISK_KEPT,
    NODES_DISK_LATE, /* the last write did not reach it */
    NODES_DISK_OLD,  /* a backup was put back */
    NODES_DISK_GONE,
    NODES_DISK_FATES
};

/* All are empty. */
void nodes_disk_begin(void);

/* What a node finds when it starts again. */
void nodes_disk_suffer(uint32_t node, enum nodes_disk_fate fate);

/* Somebody makes a backup. */
void nodes_disk_back_up(uint32_t node);
