/*
 * frames: Ethernet frames made by hand for tests, with checksums of their own making, and the way
 * into a net without a wire. Addresses are texts; the family of `from` decides on IPv4 or IPv6.
 */
#pragma once

#include "dataplane/net/net.h"
#include "tests/support/net_host.h"

#define FRAME_ROOM 2048

struct frame {
    uint16_t length;
    uint8_t data[FRAME_ROOM];
};

/* Who talks to whom. */
struct frame_ends {
    uint8_t to_mac[6];
    uint8_t from_mac[6];
    uint16_t vlan; /* 0: no tag */
    const char *from;
    const char *to;
};

/* Ethernet header and tag. Returns the bytes so far. */
void frame_ethernet(struct frame *frame, const struct frame_ends *ends, uint16_t ethertype);

void frame_append(struct frame *frame, const void *bytes, uint16_t length);

/* A whole IP packet: header, then LENGTH bytes of payload as they are. */
void frame_ip(struct frame *frame, const struct frame_ends *ends, uint8_t protocol,
              const void *payload, uint16_t length);

/* As frame_ip() with a TCP header (checksum right) and COUNT bytes of data. */
void frame_tcp(struct frame *frame, const struct frame_ends *ends, uint16_t from_port,
               uint16_t to_port, uint16_t count);

/* ICMP or ICMPv6 message; its checksum (bytes 2 and 3) is filled in. */
void frame_icmp(struct frame *frame, const struct frame_ends *ends, const void *message,
                uint16_t length);

void frame_arp(struct frame *frame, const struct frame_ends *ends, uint16_t operation,
               const char *sender, const char *target);

/* A neighbour solicitation (135) or advertisement (136) with our MAC address as an option. */
void frame_ndp(struct frame *frame, const struct frame_ends *ends, uint8_t type, uint32_t flags,
               const char *target);

/* Where the IP header begins. */
uint16_t frame_ip_offset(const struct frame *frame);

/* Make the IPv4 header checksum, and the TCP or ICMP checksum, right again after changes. */
void frame_fix_ip(struct frame *frame);
void frame_fix_transport(struct frame *frame);

/* The plain sum of RFC 1071, word by word. */
uint16_t frame_sum(const void *data, uint32_t length, uint32_t sum);

/* Hand a frame to net_in() of interface 0's port; memory behind it is poisoned meanwhile. */
void frame_give(struct net_host *host, const struct frame *frame, uint64_t now,
                struct net_arrivals *out);

/* As above, and free what came for TCP. Returns how many packets that were. */
uint16_t frame_give_and_free(struct net_host *host, const struct frame *frame, uint64_t now);
