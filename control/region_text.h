/*
 * region_text: agreed state and votes as text, as the store and the disk snapshot hold them.
 *
 * The state is a list of fields, `epoch`, `region:<name>:auto` and so on; the tables in the .c file
 * are the format. A vote is one line. What comes in is a peer's: it is bounded, and what is wrong
 * with it is a value. control/region_cas.lua reads and writes the same; a test compares the two.
 */
#pragma once

#include "control/region_local.h"

#define REGION_FIELD_MAX (CONFIG_NAME_MAX + 32)
#define REGION_VALUE_MAX REGION_REASON_MAX
#define REGION_VOTE_MAX  10240

/* Give every field of the state to PUT; the texts live for the call only. */
void region_text_put(const struct region_state *state,
                     void (*put)(void *context, const char *field, const char *value),
                     void *context);

/*
 * Take one field into STATE, whose regions were named by region_state_init(). Fields of other
 * regions and unknown ones are skipped. False: the value is not what the field can hold.
 */
bool region_text_take(struct region_state *state, const char *field, const char *value);

/*
 * The same of the orders of one node, `local:<name>:order` and so on, as its disk snapshot holds
 * them. What is read is given to LOCAL, one order a name.
 */
void region_text_put_local(const struct region_local *local,
                           void (*put)(void *context, const char *field, const char *value),
                           void *context);
bool region_text_take_local(struct region_local *local, const char *field, const char *value);

/* The vote as one line. Returns OUT. The regions' names are those of STATE. */
const char *region_text_put_vote(const struct region_vote *vote, const struct region_state *state,
                                 char out[REGION_VOTE_MAX]);

/*
 * Read a vote's line. Node and age are not part of it. A region that the vote does not name holds
 * no evidence. False: not a vote.
 */
bool region_text_take_vote(struct region_vote *vote, const struct region_state *state,
                           const char *text);
