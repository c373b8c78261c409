/*
 * nodes_check: what must be true of every node after everything that happens, and of all of them
 * once faults have stopped.
 */
#pragma once

#include "tests/sim/nodes_world.h"

/* A new life, or another configuration: what it holds now is what it begins with. */
void nodes_check_started(struct nodes_node *node);

/* After each event. */
void nodes_check_all(struct nodes_world *world);

/*
 * Whether all is as it should be in the end: one state everywhere, regions as they truly are unless
 * a rule holds them. NULL, or what is not yet so.
 */
const char *nodes_check_rest(struct nodes_world *world);
