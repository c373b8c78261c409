/*
 * checks: what has to hold in every world: rules for each answer a client was told, and nothing
 * left over when everybody has gone. What is wrong is printed, with the seed; the callers assert.
 */
#pragma once

#include "tests/support/world.h"

/*
 * Every request has ended; none was given other bytes than its answer's, or the answer to another
 * question or principal; a good end only for an answer that is whole.
 */
bool check_requests(const struct world *world);

/* No request body arrived at a backend with other bytes than the client's. */
bool check_backends(const struct world *world);

/*
 * All clients leave, all backends are taken out of the snapshot, and time passes: then no object of
 * any pool is in use, no timer is armed, no mail waits and no packet is held.
 */
bool check_balance(struct world *world);

/* All three. The world is closed. */
bool check_and_close(struct world *world);
