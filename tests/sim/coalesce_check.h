/*
 * coalesce_check: the promises of coalescing, held against what clients were told and backends saw,
 * and nothing else.
 *
 *   - a flight makes at most two attempts, one at a time; no flight without a request that leads it
 *   - identical requests of one principal cost no more flights than the story explains
 *   - who was told a good end had an answer that its backend ended well, all of it
 *   - whoever got an answer without leading its flight was told so (cache-status), and only they
 *   - what a backend could send beyond what its fastest reader has is bounded
 *   - everybody got at least what the story leaves them
 *
 * Bytes, principals and balances are those of tests/support/checks.h, at the end of the world.
 */
#pragma once

#include "tests/sim/coalesce_round.h"

/* At any time. */
void coalesce_check_turn(const struct round *round);

/* Everybody has an end. */
void coalesce_check_round(const struct round *round);
