/*
 * loop_clock: a loop's own time, which stands still while the loop is not run.
 *
 * A loop that was preempted or stopped has seen nothing meanwhile: that a peer was silent then is
 * no evidence against the peer, and no time-out may come of it. So what a loop has missed does not
 * pass for it. By its own time no timer is ever more than LOOP_CLOCK_LATE_NS late.
 *
 * Loops of one process differ in what they have missed: a time that another loop reads is written
 * in the process's time (loop_clock_shared()) and read in one's own (loop_clock_own()).
 */
#pragma once

#include "dataplane/base/clock.h"

#define LOOP_CLOCK_LATE_NS (20 * CLOCK_MS)

struct loop_clock {
    uint64_t turned_at_ns; /* process's time of the last turn */
    uint64_t missed_ns;    /* all that was left out so far */
};

/*
 * A turn begins at PROCESS_NS of clock_now_ns(), while the first timer of the loop is due at DUE_NS
 * of its own time (CLOCK_NEVER: none). Returns the own time, never less than at the turn before.
 */
static inline uint64_t loop_clock_turn(struct loop_clock *clock, uint64_t process_ns,
                                       uint64_t due_ns)
{
    uint64_t last = clock->turned_at_ns - clock->missed_ns;
    uint64_t now = process_ns - clock->missed_ns;
    uint64_t due = due_ns > last ? due_ns : last;
    clock->turned_at_ns = process_ns;
    if (due == CLOCK_NEVER || now <= due + LOOP_CLOCK_LATE_NS)
        return now;
    clock->missed_ns += now - (due + LOOP_CLOCK_LATE_NS);
    return due + LOOP_CLOCK_LATE_NS;
}

/* For what is never, both ways, see CLOCK_NEVER. */
static inline uint64_t loop_clock_shared(uint64_t missed_ns, uint64_t own_ns)
{
    return own_ns < CLOCK_NEVER - missed_ns ? own_ns + missed_ns : CLOCK_NEVER;
}

static inline uint64_t loop_clock_own(uint64_t missed_ns, uint64_t shared_ns)
{
    return shared_ns > missed_ns ? shared_ns - missed_ns : 0;
}
