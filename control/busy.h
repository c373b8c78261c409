/*
 * busy: what the workers' time goes to, over the last whole second. Control thread.
 */
#pragma once

#include "control/daemon.h"

struct busy;

struct busy_share {
    bool known;     /* false in the first two seconds */
    double busy;    /* 0..1, of the time in turns that found something to do */
    uint64_t turns; /* a second */
    uint64_t turn_average_ns;
};

/* NULL: no memory. Samples once a second on the daemon's loop. */
struct busy *busy_create(struct daemon *daemon);
void busy_destroy(struct busy *busy);

struct busy_share busy_share(const struct busy *busy, uint32_t worker);
