/* coalesce_story: what goes wrong while many share an answer. */
#pragma once

#include "tests/sim/coalesce_round.h"

#define STORY_BYTES 100 /* of an answer that is cut at each of its bytes */

extern const struct story story_region;     /* the region is lost at an offset of the answer */
extern const struct story story_second;     /* the first attempt fails before its head, or two */
extern const struct story story_truncation; /* the answer ends at an offset, in some wrong way */
extern const struct story story_leavers;    /* the leader leaves at a step, then the others */
extern const struct story story_slow;       /* some stop to read for a while or for ever */
extern const struct story story_full;       /* table and pools are far too small */
extern const struct story story_stall;      /* workers stand still now and then */
extern const struct story story_principals; /* two principals ask the same */
extern const struct story story_late; /* many join an event stream that has gone on for long */
