/*
 * nodes_weather: what goes wrong in the scenario `nodes`, changing now and then: a climate drawn
 * from the seed says which kinds of faults there are; then it is calm.
 */
#pragma once

#include "tests/sim/nodes_world.h"

/* Draw the climate; from now on faults happen. */
void nodes_weather_begin(struct nodes_world *world);

/* No faults any more; nodes run, orders are lifted, regions are well or dead for good. */
void nodes_weather_calm(struct nodes_world *world);
