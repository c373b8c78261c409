/*
 * icmp_headers: what ICMP (RFC 792) and ICMPv6 (RFC 4443) have in common on the wire.
 */
#pragma once

#include <stdint.h>

struct icmp_header {
    uint8_t type;
    uint8_t code;
    uint16_t checksum; /* network order */
    uint32_t rest;     /* by type */
} __attribute__((packed));

_Static_assert(sizeof(struct icmp_header) == 8, "as on the wire");

#define ICMP_HEADER_BYTES 8

enum icmp4_type {
    ICMP4_ECHO_REPLY = 0,
    ICMP4_UNREACHABLE = 3, /* code 4: fragmentation needed, next MTU in the low half of rest */
    ICMP4_ECHO_REQUEST = 8,
    ICMP4_TIME_EXCEEDED = 11,
    ICMP4_PARAMETER_PROBLEM = 12,
};

enum icmp6_type {
    ICMP6_UNREACHABLE = 1,
    ICMP6_TOO_BIG = 2, /* next MTU in rest */
    ICMP6_TIME_EXCEEDED = 3,
    ICMP6_PARAMETER_PROBLEM = 4,
    ICMP6_ECHO_REQUEST = 128,
    ICMP6_ECHO_REPLY = 129,
    ICMP6_LISTENER_QUERY = 130,
    ICMP6_ROUTER_SOLICITATION = 133,
    ICMP6_ROUTER_ADVERTISEMENT = 134,
    ICMP6_NEIGHBOUR_SOLICITATION = 135,
    ICMP6_NEIGHBOUR_ADVERTISEMENT = 136,
    ICMP6_REDIRECT = 137,
};
