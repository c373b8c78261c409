/*
 * region_random: random agreed states, votes and requests, with a taste for the borders of the
 * rules, for tests that hold two forms of the rules against each other.
 */
#pragma once

#include "control/region_rules.h"
#include "dataplane/base/random.h"

struct region_random {
    struct random random;
    const struct config *config;
    const struct region_rules *rules;
};

struct region_case {
    uint64_t now_ms;
    struct region_state state;
    struct region_votes votes;
    struct region_request request; /* refers to `content` */
    struct region_state content;
};

/* A case that stands at NOW_MS. */
void region_random_case(struct region_random *from, uint64_t now_ms, struct region_case *out);

/* Configurations worth a walk: how many regions and nodes, and whether a node decides alone. */
static const struct region_shape {
    uint32_t regions;
    uint32_t nodes;
    bool alone;
} region_shapes[] = {{1, 1, true},  {2, 1, true},  {4, 3, true},  {1, 3, false},
                     {2, 2, false}, {2, 3, false}, {3, 3, false}, {4, 3, false},
                     {2, 4, false}, {3, 4, false}, {4, 5, false}, {8, 8, false}};
