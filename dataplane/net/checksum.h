/*
 * checksum: the Internet checksum (RFC 1071). Any thread; no state.
 *
 * Sums are of 16-bit words in the order they have in memory, so that nothing is swapped (RFC 1071
 * 2 B). A partial sum is 0..0xffff; zero only when all words were zero.
 */
#pragma once

#include "dataplane/base/ip_address.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rte_mbuf;

/* Carries come round to the lowest bit (RFC 1071 2 A), from 64 bits to 32 and to 16. */
static inline uint16_t checksum_fold(uint64_t sum)
{
    uint32_t high = (uint32_t)(sum >> 32);
    uint32_t low = (uint32_t)sum + high;
    low += low < high;
    return (uint16_t)((low + (low << 16 | low >> 16)) >> 16);
}

/* Eight bytes as two 32-bit words, to be folded later. */
static inline uint64_t checksum_8(const uint8_t *at)
{
    uint64_t words;
    memcpy(&words, at, sizeof(words));
    return (words & 0xffffffff) + (words >> 32);
}

/* Not folded: that of the twenty bytes of an IPv4 header without options. */
static inline uint64_t checksum_20(const uint8_t *at)
{
    uint32_t last;
    memcpy(&last, at + 16, sizeof(last));
    return checksum_8(at) + checksum_8(at + 8) + last;
}

/* The partial sum of LENGTH bytes; an odd last byte counts as the first half of a word. */
uint16_t checksum_bytes(const void *data, size_t length);

/* The partial sum of the bytes of a packet, also a chained one, from OFFSET on. */
uint16_t checksum_packet(const struct rte_mbuf *packet, uint32_t offset, uint32_t length);

/*
 * The partial sum of the pseudo header (RFC 9293 3.1, RFC 8200 8.1), LENGTH being that of the
 * transport header and data. IPv4 addresses are summed in their mapped form: its ffff is another
 * zero in ones' complement.
 */
static inline uint16_t checksum_pseudo(const struct ip_address *source,
                                       const struct ip_address *destination, uint8_t protocol,
                                       uint32_t length)
{
    uint64_t sum = checksum_8(source->bytes) + checksum_8(source->bytes + 8) +
                   checksum_8(destination->bytes) + checksum_8(destination->bytes + 8);
    return checksum_fold(sum + htonl(protocol) + htonl(length));
}
