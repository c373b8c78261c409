/*
 * nodes_script: the script that decides in Redis, control/region_cas.lua, beside the rules in C:
 * what a server of the simulation decides is decided by it once more and must be the same to the
 * letter. A redis-server of the run's own lends its Lua (tests/support/region_bulk.h).
 */
#pragma once

#include "tests/sim/sim.h"
#include "tests/support/region_bulk.h"

struct nodes_script;

/* NULL, and the run is told so: there is no redis-server on this machine. */
struct nodes_script *nodes_script_open(struct sim *sim);
void nodes_script_close(struct nodes_script *script);

/* Fails the run unless the script answers so and leaves this state. */
void nodes_script_compare(struct nodes_script *script, const struct region_bulk_case *one,
                          enum region_answer answer, const struct region_state *after);
