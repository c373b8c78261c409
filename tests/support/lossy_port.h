/*
 * lossy_port: puts a bad line before a real port: loss, duplicates, delay and reordering in both
 * directions, drawn from a seed, where the kernel has no qdisc for it. One at a time; for programs
 * of tests/net.
 */
#pragma once

#include "dataplane/net/port.h"

struct lossy_config {
    uint32_t drop_ppm;
    uint32_t duplicate_ppm;
    uint32_t reorder_ppm; /* delivered later by as much as delay_ns again */
    uint64_t delay_ns;
    uint64_t seed;
};

/* The queue to use instead of INNER. The mbufs on the line come from INNER's pool. */
struct port_queue *lossy_port(struct port_queue *inner, const struct lossy_config *config);
