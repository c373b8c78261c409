/*
 * reference_link: the reference peer's way to the wire: Ethernet frames by hand, with answers to
 * ARP and NDP. The peer is 10.0.0.2 and fd00::2 at end 1; who it talks to is 10.0.0.1 and fd00::1
 * at end 0.
 */
#pragma once

#include "tests/sim/frame.h"
#include "tests/sim/sim.h"

struct reference_link {
    struct sim *sim;
    struct wire *wire;
    uint8_t frame[FRAME_BYTES_MAX]; /* the last that was taken */
};

void reference_link_init(struct reference_link *link, struct sim *sim, struct wire *wire);

/* The next intact TCP segment for the peer. False: none waits. */
bool reference_link_take(struct reference_link *link, struct frame_segment *out);

void reference_link_send(struct reference_link *link, const struct frame_segment *segment);

/* The addresses of both, in FROM (the peer's) and TO. */
void reference_link_address(struct frame_segment *segment, bool v6);
