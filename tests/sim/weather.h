/*
 * weather: what goes wrong on a wire, changing now and then: a climate drawn from the seed says
 * which kinds of faults there are in this run and how bad; then it is calm.
 */
#pragma once

#include "tests/sim/sim.h"

struct weather {
    struct sim *sim;
    struct wire *wire;
    uint64_t change_at_ns;
    uint32_t kinds; /* set of enum weather_kind */
    uint32_t worst_drop_ppm;
    uint64_t worst_delay_ns;
    bool is_calm;
};

enum weather_kind {
    WEATHER_LOSS = 1 << 0,
    WEATHER_BURST = 1 << 1,
    WEATHER_DUPLICATES = 1 << 2,
    WEATHER_CORRUPTION = 1 << 3,
    WEATHER_REORDERING = 1 << 4,
    WEATHER_JITTER = 1 << 5,
    WEATHER_BOTTLENECK = 1 << 6,
    WEATHER_PARTITION = 1 << 7,
    WEATHER_MTU = 1 << 8,
    WEATHER_MARKS = 1 << 9,
    WEATHER_KINDS = 10,
};

void weather_begin(struct weather *weather, struct sim *sim, struct wire *wire);
void weather_turn(struct weather *weather);

/* No faults any more. */
void weather_calm(struct weather *weather);
