/*
 * h2_check: one HTTP/2 connection as an onlooker sees it: the bytes of both ends, as they are sent
 * for the first time, and how far they have arrived. Nothing of dataplane/h2 is in it. What an end
 * may do follows from what it has said itself, and from what of its peer has arrived:
 *
 *   - the client preface and SETTINGS are first; frames keep to the maximum size; a header block is
 *     not interrupted
 *   - the DATA of a stream, and of all streams together, is never more than the credit that has
 *     arrived (RFC 9113 6.9), also when SETTINGS lower it, from their acknowledgement on
 *   - a window is never above 2^31-1, nor above what the run allows (struct sim)
 *   - identifiers grow; no more streams than the peer allows
 *   - nothing of a stream follows its END_STREAM but RST_STREAM, WINDOW_UPDATE and PRIORITY, and
 *     nothing but PRIORITY its RST_STREAM: it ends once
 *   - acknowledgements (SETTINGS, PING) answer something; GOAWAY's last stream does not grow
 *
 * A connection that does not begin with the preface is not HTTP/2 and left alone.
 */
#pragma once

#include "tests/sim/sim.h"

#include <stddef.h>

struct h2_check;

struct h2_check *h2_check_new(struct sim *sim);
void h2_check_free(struct h2_check *check);

/*
 * BYTES[0..COUNT) is all that END (0 or 1) has sent without a gap since the connection began.
 * TESTED: it has to keep the rules.
 */
void h2_check_sent(struct h2_check *check, uint32_t end, const uint8_t *bytes, size_t count,
                   bool tested);

/* The first COUNT of them have arrived at the other end. */
void h2_check_arrived(struct h2_check *check, uint32_t end, const uint8_t *bytes, size_t count);
