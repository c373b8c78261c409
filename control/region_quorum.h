/*
 * region_quorum: which votes count, how many agree, and how many have to. Pure functions; private
 * to the rules (region_rules.h) and to what explains them.
 */
#pragma once

#include "control/region_rules.h"
#include "control/region_table.h"

/* Fresh; and where this node decides alone, its own. */
bool region_vote_counts(const struct region_rules *rules, const struct region_vote *vote);

/* Flights of the vote's node, in all regions. */
uint64_t region_vote_flights(const struct region_vote *vote, uint32_t regions);

/* Votes that count; AND_SEEING: those of them that are not blind. */
uint32_t region_quorum_fresh(const struct region_rules *rules, const struct region_votes *votes,
                             bool and_seeing);

/* The votes a change needs: two, more than half of those that see, and half of the roster. */
uint32_t region_quorum_needed(const struct region_rules *rules, uint32_t seeing);

/* Votes in which EVIDENCE has held for at least FOR_MS. */
uint32_t region_quorum_agreeing(const struct region_rules *rules, const struct region_votes *votes,
                                uint32_t region, enum region_evidence evidence, uint64_t for_ms);

uint32_t region_dwell_ms(const struct region_rules *rules, enum region_dwell dwell);

/* For how long a quorum has asked for this row, in ms; -1: it does not. */
int64_t region_quorum_asked_for_ms(const struct region_rules *rules,
                                   const struct region_votes *votes, uint32_t region,
                                   const struct region_row *row);

/* What is left of a region's penalty at NOW_MS. */
uint32_t region_penalty(const struct region_rules *rules, const struct region_record *record,
                        uint64_t now_ms);

/* What the safety rules, then the region's mode, say to a transition that is due. */
enum region_answer region_judge_row(const struct region_rules *rules,
                                    const struct region_state *state,
                                    const struct region_votes *votes, uint32_t region,
                                    const struct region_row *row, uint64_t now_ms);

/* The same for an operator's approval, who has named the rules DESPITE. */
enum region_answer region_judge_approval(const struct region_rules *rules,
                                         const struct region_state *state,
                                         const struct region_votes *votes, uint32_t region,
                                         const struct region_row *row, uint32_t despite,
                                         uint64_t now_ms);

/* The row that a region should follow now, and why; NULL: none. */
const struct region_row *region_due_row(const struct region_rules *rules,
                                        const struct region_state *state,
                                        const struct region_votes *votes, uint64_t now_ms,
                                        uint32_t region, char reason[REGION_REASON_MAX]);

/* Rule S1: one active region less would be too few. */
bool region_is_last_active(const struct region_rules *rules, const struct region_state *state);
