/* wire_router: what a router in the middle of a wire does to a frame. Untagged frames. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define WIRE_ROUTER_ANSWER_MAX 1400

/*
 * The frame with ICMP "fragmentation needed" (RFC 1191) or ICMPv6 "packet too big" (RFC 8201) that
 * answers a frame, into OUT; its length, or 0: none is due.
 */
uint16_t wire_router_too_big(const uint8_t *frame, uint16_t length, uint16_t mtu, uint8_t *out);

/* RFC 3168 5: Congestion Experienced, if the sender said it knows ECN. False: it did not. */
bool wire_router_mark(uint8_t *frame, uint16_t length);
