/*
 * coalesce_check: the promises of coalescing, held against what clients were told and backends saw,
 * and nothing else.
 *
 *   - a flight makes at most two attempts, one at a time, the second because the first broke; no
 *     flight without a request that leads it
 *   - a flight that nobody was told of leaves a region that falls silent within two seconds
 *   - there is one flight at a time for identical requests of one principal
 *   - nobody was told of an answer that was wrong by what came with its head
 *   - who was told a good end had an answer that its backend ended well, all of it
 *   - whoever got an answer without leading its flight was told so (cache-status), and only they
 *   - what a backend could send beyond what its fastest reader has is bounded
 *   - whoever joined an event stream late gets its beginning at its pace (coalesce_pace.h)
 *   - everybody got the whole answer, or coalesce_cause.h knows why not
 *
 * Bytes, principals and balances are those of tests/support/checks.h, at the end of the world.
 */
#pragma once

#include "tests/sim/coalesce_round.h"

/* At any time. */
void coalesce_check_turn(const struct round *round);

/* Everybody has an end. */
void coalesce_check_round(const struct round *round);
