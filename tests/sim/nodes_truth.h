/*
 * nodes_truth: how regions really are, and what of that each node can see. Nodes learn of it by
 * probes and by their traffic alone.
 */
#pragma once

#include "tests/sim/sim.h"

#define NODES_MAX          9
#define NODES_REGIONS_MAX  5
#define NODES_BACKENDS_MAX 4 /* of a region */

enum nodes_health {
    NODES_WELL,
    NODES_DEAD,    /* nothing answers */
    NODES_PARTIAL, /* some backends do not answer */
    NODES_FLAPS,   /* dead and well in turn */
    NODES_ERRS,    /* probes are answered, many requests fail */
    NODES_HEALTHS
};

struct nodes_region {
    enum nodes_health health;
    uint32_t dead_backends; /* partial: the first so many */
    uint64_t half_ns;       /* flaps */
    uint64_t since_ns;      /* of `health` */
};

/* What stands between a node and the regions. */
struct nodes_view {
    bool is_blind;                  /* reaches none */
    bool is_cut[NODES_REGIONS_MAX]; /* does not reach this one */
    uint32_t noise_ppm;             /* so many probes fail without a reason */
};

struct nodes_truth {
    struct sim *sim;
    uint32_t region_count;
    uint32_t backends; /* of each region */
    struct nodes_region regions[NODES_REGIONS_MAX];
    struct nodes_view views[NODES_MAX];
    /* When something last spoke against a region, at any node or in truth. */
    uint64_t doubted_at_ns[NODES_REGIONS_MAX];
};

void nodes_truth_begin(struct nodes_truth *truth, struct sim *sim, uint32_t region_count,
                       uint32_t backends);

/* The one function that changes a region. */
void nodes_truth_set(struct nodes_truth *truth, uint32_t region, enum nodes_health health);

/* Whether a probe of this backend, sent by NODE now, is answered well. */
bool nodes_truth_answers(struct nodes_truth *truth, uint32_t node, uint32_t region,
                         uint32_t backend);

/* Whether a request of traffic succeeds. */
bool nodes_truth_serves(struct nodes_truth *truth, uint32_t node, uint32_t region,
                        uint32_t backend);

/* Views are clear. */
void nodes_truth_clear(struct nodes_truth *truth);

const char *nodes_health_name(enum nodes_health health);
