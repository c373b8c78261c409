/*
 * replay: the beginning of a stream, for a client that joined it late, at the pace that
 * coalesce_replay_until() allows (C17). Private to dataplane/request.
 *
 * Timers: `replay_timer`, each REPLAY_STEP_NS while the client has not caught up.
 */
#pragma once

#include "dataplane/base/clock.h"
#include "dataplane/base/timer_wheel.h"

#define REPLAY_STEP_NS (50 * CLOCK_MS)

struct exchange;

/* All zero: nothing holds it back. */
struct replay {
    bool on;        /* there is a timer */
    uint64_t until; /* position in the body, while it is on: no further until the next step */
};

/* The answer's head goes to the client. */
void replay_begin(struct exchange *exchange, uint64_t now);

/* Of MAX bytes of the body, as many as may go now. */
uint32_t replay_room(const struct exchange *exchange, uint32_t max);

void replay_end(struct exchange *exchange);
