/*
 * ip_address: an IPv6 address, or an IPv4 address as ::ffff:a.b.c.d (RFC 4291 2.5.5.2), so that
 * tables and comparisons know one kind. Any thread; no state. Parsing and formatting are for
 * control and tests, not for workers.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define IP_ADDRESS_V4_BITS 96 /* what the ::ffff:0:0/96 in front of an IPv4 address takes */

struct ip_address {
    uint8_t bytes[16];
};

struct ip_prefix {
    struct ip_address address; /* as given: bits behind the prefix may be set */
    uint8_t bits;              /* 0..128 in the mapped form: an IPv4 /24 is 120 */
};

/* The mapped form of an IPv4 address in network order, as it stands in a packet. */
static inline struct ip_address ip_address_from_v4(uint32_t network_order)
{
    struct ip_address address = {{[10] = 0xff, [11] = 0xff}};
    memcpy(address.bytes + 12, &network_order, sizeof(network_order));
    return address;
}

static inline struct ip_address ip_address_from_v6(const void *sixteen_bytes)
{
    struct ip_address address;
    memcpy(address.bytes, sixteen_bytes, sizeof(address.bytes));
    return address;
}

static inline bool ip_address_is_v4(const struct ip_address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(address->bytes, mapped, sizeof(mapped)) == 0;
}

/* The IPv4 address in network order; meaningless unless ip_address_is_v4(). */
static inline uint32_t ip_address_v4(const struct ip_address *address)
{
    uint32_t network_order;
    memcpy(&network_order, address->bytes + 12, sizeof(network_order));
    return network_order;
}

static inline bool ip_address_equal(const struct ip_address *a, const struct ip_address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* An address as people write it, "192.0.2.1" or "2001:db8::1". False: not an address. */
bool ip_address_parse(const char *text, struct ip_address *out);

/* The text of an address, IPv4 in its dotted form. Returns OUT. */
const char *ip_address_format(const struct ip_address *address, char out[INET6_ADDRSTRLEN]);

/* Whether an address has the same first bits as the prefix. IPv6 ::/0 holds IPv4, too. */
bool ip_prefix_contains(const struct ip_prefix *prefix, const struct ip_address *address);

/*
 * "10.0.0.1/24" or "2001:db8::/32"; an address alone is a prefix of all its bits. The address is
 * kept as it was given. False: not a prefix.
 */
bool ip_prefix_parse(const char *text, struct ip_prefix *out);
