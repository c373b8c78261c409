/*
 * nodes_server: the store's server in the simulation of nodes: the agreed state, votes with the
 * time they have left, and a clock of its own. It decides a change by the rules in C, as the script
 * does in Redis; every decision is held against nodes_law.h, and in some runs against the script.
 */
#pragma once

#include "control/region_rules.h"
#include "tests/sim/nodes_truth.h"

struct nodes_law;
struct nodes_script;

/* A node's vote as it was sent, and who sent it. */
struct nodes_vote {
    bool is_kept;
    struct region_vote vote;     /* regions in the order of `config` */
    const struct config *config; /* the sender's; lives as long as the run */
    uint32_t variant;            /* of the configuration */
    uint64_t ends_at_ms;         /* by the server's clock */
    uint64_t came_at_ns;         /* in truth */
};

/* Plain values: a replica is a copy. */
struct nodes_server {
    struct nodes_script *script; /* decides once more; NULL: not in this run */
    struct region_state state;   /* of all regions; epoch 0: there is none */
    struct nodes_vote votes[NODES_MAX];
    uint64_t zero_ms; /* the clock at time 0 */
    int32_t drift_ppm;
    uint64_t set_back_at_ns; /* when the clock last jumped back, in truth; 0: never */
    uint64_t set_back_ms;    /* all such jumps together */
};

/* Who asks a server. */
struct nodes_asker {
    uint32_t node;
    uint32_t variant;
    const struct config *config;
};

void nodes_server_begin(struct nodes_server *server, const struct config *all, uint64_t zero_ms,
                        int32_t drift_ppm);

/* A new, empty database. */
void nodes_server_wipe(struct nodes_server *server, const struct config *all);

void nodes_server_jump(struct nodes_server *server, int64_t by_ms, uint64_t now);

uint64_t nodes_server_now_ms(const struct nodes_server *server, uint64_t now);

void nodes_server_vote(struct nodes_server *server, const struct nodes_asker *by,
                       const struct region_vote *vote, uint64_t now);

/* What the asker sees: regions in its order. */
void nodes_server_read(const struct nodes_server *server, const struct nodes_asker *by,
                       uint64_t now, struct region_state *state, struct region_votes *votes);

/* STATE: as it is afterwards, in the asker's order. */
enum region_answer nodes_server_decide(struct nodes_server *server, struct nodes_law *law,
                                       const struct nodes_asker *by,
                                       const struct region_rules *rules,
                                       const struct region_request *request, uint64_t now,
                                       struct region_state *state);
