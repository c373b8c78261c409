/*
 * ip_headers: IPv4 (RFC 791) and IPv6 (RFC 8200) headers as they are on the wire. All fields in
 * network order.
 */
#pragma once

#include <stdint.h>

#define IPV4_HEADER_BYTES  20
#define IPV4_DONT_FRAGMENT 0x4000
#define IPV4_FRAGMENT_MASK 0x3fff /* more fragments, and the offset */
#define IPV4_OFFSET_MASK   0x1fff /* of a fragment, in units of 8 bytes */
#define IPV6_HEADER_BYTES  40

struct ipv4_header {
    uint8_t version_length; /* 4, and the header's length in units of 4 bytes */
    uint8_t traffic_class;
    uint16_t total_length;
    uint16_t id;
    uint16_t fragment;
    uint8_t ttl;
    uint8_t protocol;
    uint16_t checksum;
    uint32_t source;
    uint32_t destination;
} __attribute__((packed));

struct ipv6_header {
    uint32_t version_class_label; /* 4, 8 and 20 bits */
    uint16_t payload_length;
    uint8_t next;
    uint8_t hop_limit;
    uint8_t source[16];
    uint8_t destination[16];
} __attribute__((packed));

_Static_assert(sizeof(struct ipv4_header) == IPV4_HEADER_BYTES, "as on the wire");
_Static_assert(sizeof(struct ipv6_header) == IPV6_HEADER_BYTES, "as on the wire");
