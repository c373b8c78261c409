/*
 * region_bulk: control/region_cas.lua decides many cases in one EVAL. Redis lends its Lua only: its
 * clock, keys and commands are played by region_bulk.lua from what is given with each case. So the
 * answers depend on nothing else, and time may be virtual.
 */
#pragma once

#include "control/region_rules.h"

#include <hiredis/hiredis.h>

#define REGION_BULK_TEXT 65536 /* of a state */

struct region_bulk;

/* Room for CASES at a time. LINK outlives it. */
struct region_bulk *region_bulk_open(redisContext *link, uint32_t cases);
void region_bulk_close(struct region_bulk *bulk);

struct region_bulk_case {
    const struct config *config; /* who asks: keys, rules and the order of regions are its */
    const struct region_rules *rules;
    uint64_t now_ms;
    const struct region_state *state;
    const struct region_votes *votes;
    const struct region_request *request;
};

void region_bulk_add(struct region_bulk *bulk, const struct region_bulk_case *one);

/*
 * Decide what was added, and begin anew. For each case {{answer, reason, time in ms, state as
 * HGETALL}, audit entries, hints}; the caller frees it. An error of Lua is a reply of that type.
 */
redisReply *region_bulk_decide(struct region_bulk *bulk);

/* The state of one result as text, a field a line; false: some field cannot be read. */
bool region_bulk_state(const redisReply *result, const struct config *config,
                       char out[REGION_BULK_TEXT]);
/* The same of a state that C has left. Returns OUT. */
const char *region_bulk_text(const struct region_state *state, char out[REGION_BULK_TEXT]);
