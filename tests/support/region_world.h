/*
 * region_world: for tests of the rules: three nodes that vote on four regions, all UP; nobody holds
 * anything. Evidence is put into votes by hand.
 */
#pragma once

#include "control/region_rules.h"
#include "tests/support/failover_lab.h"

#include <stdio.h>
#include <string.h>

#define NOW_MS    1700000000000ull
#define LONG_MS   900000000
#define MINUTE_MS 60000ull
#define NODES     3
#define REGIONS   4

struct world {
    struct lab_config lab;
    struct region_rules rules;
    struct region_state state;
    struct region_votes votes;
    struct region_request request;
};

static inline struct world *world_make(void)
{
    static struct world world;
    memset(&world, 0, sizeof(world));
    lab_config_make(&world.lab, REGIONS, 1);
    lab_config_cluster(&world.lab, NODES, 0, "127.0.0.1:6379");
    region_rules_init(&world.rules, &world.lab.config);
    region_state_init(&world.state, &world.lab.config);
    world.state.epoch = 10;
    strcpy(world.state.change_id, "aaaaaaaaaaaaaaaa");
    strcpy(world.state.incarnation, "iiiiiiiiiiiiiiii");
    world.votes.count = NODES;
    for (uint32_t n = 0; n < NODES; n++) {
        struct region_vote *vote = &world.votes.votes[n];
        snprintf(vote->node, sizeof(vote->node), "n%u", n);
        vote->epoch = 10;
        strcpy(vote->change_id, "aaaaaaaaaaaaaaaa");
        vote->agreement = world.rules.agreement;
        for (uint32_t r = 0; r < REGIONS; r++)
            for (int e = 0; e < REGION_EVIDENCES; e++)
                vote->regions[r].held_ms[e] = REGION_NOT_HELD;
    }
    world.request = (struct region_request){.kind = REGION_MOVE, .epoch = 10, .by = "me"};
    strcpy(world.request.change_id, "aaaaaaaaaaaaaaaa");
    strcpy(world.request.new_change_id, "bbbbbbbbbbbbbbbb");
    strcpy(world.request.new_incarnation, "jjjjjjjjjjjjjjjj");
    return &world;
}

static inline void hold(struct world *world, uint32_t node, uint32_t region,
                        enum region_evidence evidence, int32_t for_ms)
{
    world->votes.votes[node].regions[region].held_ms[evidence] = for_ms;
}

static inline void all_hold(struct world *world, uint32_t region, enum region_evidence evidence,
                            int32_t for_ms)
{
    for (uint32_t n = 0; n < NODES; n++)
        hold(world, n, region, evidence, for_ms);
}

static inline struct region_proposal propose(struct world *world, uint32_t region)
{
    return region_rules_propose(&world->rules, &world->state, &world->votes, NOW_MS, region);
}

static inline enum region_answer decide(struct world *world, enum region_request_kind kind,
                                        uint32_t region, enum region_automatic to)
{
    world->request.kind = kind;
    world->request.region = region;
    world->request.to = to;
    return region_rules_decide(&world->rules, &world->state, &world->votes, NOW_MS,
                               &world->request);
}

/* Every node has applied what the state is now, and the next request is found for it. */
static inline void applied(struct world *world)
{
    for (uint32_t n = 0; n < NODES; n++) {
        world->votes.votes[n].epoch = world->state.epoch;
        strcpy(world->votes.votes[n].change_id, world->state.change_id);
    }
    world->request.epoch = world->state.epoch;
    strcpy(world->request.change_id, world->state.change_id);
}
