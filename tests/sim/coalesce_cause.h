/*
 * coalesce_cause: what explains that something did not go well. On good wires only what a story
 * did explains anything; on bad ones a loss of packets may as well, and is not looked into.
 *
 *   attempt   its backend was made to break it
 *   answer    the attempt that it was the answer of broke; or nobody had any of an answer, and both
 *             attempts of a flight broke; or too little of something, where the story leaves too
 *             little; or the client left, or did not read for too long
 *   flight    there was no other for the same question while it was there
 */
#pragma once

#include "tests/sim/coalesce_round.h"

#define FLIGHT_ATTEMPTS 2

/* Whether somebody may have been told of the answer: there is no other attempt then (C14). */
bool cause_may_be_told(const struct round *round, const struct backend_seen *seen);

/* Whether what came with its head, in one packet, said that it is wrong. Nobody is told of it. */
bool cause_breaks_with_its_head(const struct round *round, const struct backend_seen *seen);

/* Since when the attempt was bound to break; CLOCK_NEVER: no reason is known. */
uint64_t cause_broke_at(const struct round *round, const struct backend_seen *seen);

/* Why ASKER was not given the whole answer; NULL: there is no reason for it. */
const char *cause_of_loss(const struct round *round, uint32_t asker);

/* Whether a flight of the question of SEEN was there all the time that another was. */
bool cause_meets_another(const struct round *round, uint32_t seen);

/* Whether both ask the same for the same principal; whether both are attempts of one flight. */
bool cause_same_question(const struct backend_seen *one, const struct backend_seen *other);
bool cause_same_flight(const struct backend_seen *one, const struct backend_seen *other);
