/*
 * flow_check: sees every frame of every TCP connection, as it is sent and as it is taken from a
 * queue, and holds the ends that are tested against the rules of RFC 9293 that can be seen from
 * outside:
 *
 *   - checksums and lengths are right, no packet is larger than its wire's MTU, none may be split
 *   - no segment is larger than the peer's MSS
 *   - an ACK and a SACK block cover only what really arrived, and ACKs never go
 *     back, nor beyond the window announced before
 *   - the right edge of the window is never taken back (but for rounding to the scale's unit)
 *   - nothing is sent beyond the largest window that arrived
 *   - bytes sent again are the bytes sent first
 *   - FIN is last, and stays where it is
 *   - options are used as negotiated, timestamps do not go back and echo what arrived in order,
 *     never an older one than before
 *   - a FIN that comes again is answered
 *   - packets are as small as a router that cannot pass them on has asked for
 *
 * What the connection carries goes on to h2_check.h.
 */
#pragma once

#include "tests/sim/frame.h"
#include "tests/sim/sim.h"

struct flow_check *flow_check_new(struct sim *sim);
void flow_check_free(struct flow_check *check);

/* TESTED: the sender has to keep the rules; else what it says is only remembered. */
void flow_check_sent(struct flow_check *check, const struct frame_segment *segment, bool tested);
/* TESTED: who got it has to keep the rules. */
void flow_check_arrived(struct flow_check *check, const struct frame_segment *segment, bool tested);
/* A router told the sender of a segment that it was too large. */
void flow_check_too_big(struct flow_check *check, const struct frame_too_big *message);
