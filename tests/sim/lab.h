/*
 * lab: what the scenarios tcp and peer have in common: a wire with weather between two ends, hosts
 * with our TCP and drawn configurations, and the clock.
 */
#pragma once

#include "tests/sim/app.h"
#include "tests/sim/stack_check.h"
#include "tests/sim/weather.h"

#define LAB_HOSTS 2

struct lab_host {
    struct tcp_host tcp;
    struct stack_check check;
    uint64_t standing_until_ns; /* takes no turns before, as a process that is not scheduled */
    uint32_t pauses_ppm;
};

struct lab {
    struct sim *sim;
    struct wire *wire;
    struct weather weather;
    uint32_t host_count; /* at the first ends */
    struct lab_host hosts[LAB_HOSTS];
    bool is_patient; /* no timeout ends a connection while the weather is bad */
    bool is_ample;   /* no pool is too small */
    uint64_t moved;  /* frames, up to the last turn */
};

/* The wire, and HOSTS configurations, to be changed before lab_open(). */
void lab_prepare(struct lab *lab, struct sim *sim, uint32_t hosts);
void lab_open(struct lab *lab);

/* Move the clock to what happens next, NEXT at the latest, and let our hosts take a turn. */
void lab_turn(struct lab *lab, uint64_t next);

/* Faults stop; nobody stands still any more. */
void lab_calm(struct lab *lab);

/*
 * A client of HOST may have been reset through nobody's fault: too many were half open, or for too
 * long; or there are cookies, and the ACK that brings one back was lost or came late.
 */
bool lab_accepts_badly(const struct lab_host *host, bool accepted);

/* All connections have gone; TIME_WAIT not counted. */
bool lab_is_empty(const struct lab *lab);

/* Time passes; then nothing may be held by anybody. All is destroyed. */
void lab_close(struct lab *lab);
