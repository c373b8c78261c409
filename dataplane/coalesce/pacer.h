/*
 * pacer: those who were sent apart become flights of their own at a pace (rule C7): so many at
 * once, as many again every 10 ms; none waits for another's flight. Private to dataplane/coalesce.
 *
 * The pace is 16 a key; each worker paces its own, so each has its part of the 16.
 */
#pragma once

#include "dataplane/coalesce/coalesce_private.h"

struct pacer {
    struct feed feed; /* of those who wait: pending, without anything to read */
    struct coalesce *coalesce;
    struct timer timer;
    bool starting; /* inside its timer */
};

/* As feed_refuse(), at the pace; they hear WHY. Returns how many were sent apart. */
uint32_t pacer_refuse(struct coalesce *coalesce, struct feed *feed, const struct subscriber *except,
                      enum apart why, uint64_t now);

void pacer_left(struct pacer *pacer, struct subscriber *subscriber);
