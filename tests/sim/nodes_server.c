#include "tests/sim/nodes_server.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/sim/nodes_law.h"
#include "tests/sim/nodes_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void nodes_server_begin(struct nodes_server *server, const struct config *all, uint64_t zero_ms,
                        int32_t drift_ppm)
{
    *server = (struct nodes_server){.zero_ms = zero_ms, .drift_ppm = drift_ppm};
    region_state_init(&server->state, all);
}

void nodes_server_wipe(struct nodes_server *server, const struct config *all)
{
    region_state_init(&server->state, all);
    memset(server->votes, 0, sizeof(server->votes));
}

void nodes_server_jump(struct nodes_server *server, int64_t by_ms, uint64_t now)
{
    server->zero_ms += (uint64_t)by_ms;
    if (by_ms >= 0)
        return;
    server->set_back_at_ns = now;
    server->set_back_ms += (uint64_t)-by_ms;
}

uint64_t nodes_server_now_ms(const struct nodes_server *server, uint64_t now)
{
    int64_t drift_ms = (int64_t)(now / CLOCK_MS) * server->drift_ppm / 1000000;
    return server->zero_ms + now / CLOCK_MS + (uint64_t)drift_ms;
}

void nodes_server_vote(struct nodes_server *server, const struct nodes_asker *by,
                       const struct region_vote *vote, uint64_t now)
{
    server->votes[by->node] = (struct nodes_vote){
        .is_kept = true,
        .vote = *vote,
        .config = by->config,
        .variant = by->variant,
        .ends_at_ms =
            nodes_server_now_ms(server, now) + by->config->failover.vote_gone_ns / CLOCK_MS,
        .came_at_ns = now,
    };
}

/* Reading: by names, as fields of a hash and words of a vote are. */

static const struct region_opinion *find_opinion(const struct nodes_vote *kept, const char *name)
{
    for (uint32_t i = 0; i < kept->config->region_count; i++)
        if (strcmp(kept->config->regions[i].name, name) == 0)
            return &kept->vote.regions[i];
    return NULL;
}

static void take_opinion(struct region_opinion *out, const struct region_opinion *given)
{
    *out = (struct region_opinion){.capacity = REGION_CAPACITY_UNKNOWN};
    for (int e = 0; e < REGION_EVIDENCES; e++)
        out->held_ms[e] = REGION_NOT_HELD;
    if (given != NULL)
        *out = *given;
}

static void read_vote(const struct nodes_vote *kept, uint64_t left_ms, const struct config *config,
                      struct region_vote *out)
{
    uint64_t gone_ms = config->failover.vote_gone_ns / CLOCK_MS;
    *out = kept->vote;
    out->age_ms = left_ms < gone_ms ? gone_ms - left_ms : 0;
    for (uint32_t i = 0; i < config->region_count; i++)
        take_opinion(&out->regions[i], find_opinion(kept, config->regions[i].name));
}

void nodes_server_read(const struct nodes_server *server, const struct nodes_asker *by,
                       uint64_t now, struct region_state *state, struct region_votes *votes)
{
    uint64_t now_ms = nodes_server_now_ms(server, now);
    *state = server->state;
    region_state_reorder(state, by->config);
    votes->count = 0;
    for (uint32_t n = 0; n < by->config->failover.node_count; n++) {
        const struct nodes_vote *kept = &server->votes[n];
        if (kept->is_kept && kept->ends_at_ms > now_ms)
            read_vote(kept, kept->ends_at_ms - now_ms, by->config, &votes->votes[votes->count++]);
    }
}

/* What was decided, back into the order of all regions. */
static void write_state(struct nodes_server *server, const struct region_state *decided)
{
    struct region_state before = server->state;
    server->state = *decided;
    server->state.count = before.count;
    memcpy(server->state.regions, before.regions, sizeof(before.regions));
    for (uint32_t i = 0; i < decided->count; i++) {
        int at = region_state_find(&before, decided->regions[i].name);
        check(at >= 0);
        server->state.regions[at] = decided->regions[i];
    }
}

enum region_answer nodes_server_decide(struct nodes_server *server, struct nodes_law *law,
                                       const struct nodes_asker *by,
                                       const struct region_rules *rules,
                                       const struct region_request *request, uint64_t now,
                                       struct region_state *state)
{
    static struct region_votes votes;
    struct region_state before;
    nodes_server_read(server, by, now, &before, &votes);
    *state = before;
    uint64_t now_ms = nodes_server_now_ms(server, now);
    enum region_answer answer = region_rules_decide(rules, state, &votes, now_ms, request);
    const struct nodes_decision decision = {
        .by = *by,
        .request = request,
        .answer = answer,
        .now_ms = now_ms,
        .before = &before,
        .after = state,
        .votes = &votes,
        .server = server,
    };
    nodes_law_judge(law, &decision);
    const struct region_bulk_case one = {by->config, rules, now_ms, &before, &votes, request};
    if (server->script != NULL)
        nodes_script_compare(server->script, &one, answer, state);
    if (answer == REGION_DONE || answer == REGION_FROZE)
        write_state(server, state);
    return answer;
}
