/*
 * coalesce_pace: how fast whoever joins an event stream late is given its beginning (C17), by what
 * its backend has sent and its client has got: at no more than four times the rate that it came at,
 * and all of it when a third of the time is over that the stream was old.
 */
#pragma once

#include "tests/sim/coalesce_round.h"

/* At any time. */
void coalesce_check_pace(const struct round *round);
