/*
 * nodes_orders: operators of the scenario `nodes`: orders at random, and at the end what takes all
 * of them back.
 */
#pragma once

#include "tests/sim/nodes_world.h"

/* Some order, to some node. */
void nodes_order_some(struct nodes_world *world);

/* Lift what is still ordered; to be repeated until nothing is. */
void nodes_order_lift(struct nodes_world *world);
