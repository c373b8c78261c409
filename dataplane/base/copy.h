/*
 * copy: copying and comparing texts that are mostly short, inline: a few overlapping loads and
 * stores instead of a call. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define COPY_SHORT_BYTES 64 /* longer ones are left to the library */

static inline uint64_t copy_load8(const uint8_t *from)
{
    uint64_t eight;
    memcpy(&eight, from, sizeof(eight));
    return eight;
}

static inline uint32_t copy_load4(const uint8_t *from)
{
    uint32_t four;
    memcpy(&four, from, sizeof(four));
    return four;
}

/* LENGTH bytes (fewer than 16); the areas do not overlap. */
static inline void copy_below_16(uint8_t *to, const uint8_t *from, size_t length)
{
    if (length >= 8) {
        uint64_t last = copy_load8(from + length - 8);
        memcpy(to, from, 8);
        memcpy(to + length - 8, &last, 8);
    } else if (length >= 4) {
        uint32_t last = copy_load4(from + length - 4);
        memcpy(to, from, 4);
        memcpy(to + length - 4, &last, 4);
    } else if (length > 0) {
        to[0] = from[0];
        to[length / 2] = from[length / 2];
        to[length - 1] = from[length - 1];
    }
}

/* LENGTH bytes; the areas do not overlap. */
static inline void copy_short(uint8_t *to, const uint8_t *from, size_t length)
{
    if (length < 16) {
        copy_below_16(to, from, length);
    } else if (length <= COPY_SHORT_BYTES) {
        for (size_t at = 0; at + 16 < length; at += 16)
            memcpy(to + at, from + at, 16);
        memcpy(to + length - 16, from + length - 16, 16);
    } else {
        memcpy(to, from, length);
    }
}

static inline bool equal_below_8(const uint8_t *a, const uint8_t *b, size_t length)
{
    if (length >= 4)
        return copy_load4(a) == copy_load4(b) &&
               copy_load4(a + length - 4) == copy_load4(b + length - 4);
    return length == 0 ||
           (a[0] == b[0] && a[length / 2] == b[length / 2] && a[length - 1] == b[length - 1]);
}

/* Whether LENGTH bytes are the same. */
static inline bool equal_short(const uint8_t *a, const uint8_t *b, size_t length)
{
    if (length < 8)
        return equal_below_8(a, b, length);
    if (length > COPY_SHORT_BYTES)
        return memcmp(a, b, length) == 0;
    uint64_t different = copy_load8(a + length - 8) ^ copy_load8(b + length - 8);
    for (size_t at = 0; at + 8 < length; at += 8)
        different |= copy_load8(a + at) ^ copy_load8(b + at);
    return different == 0;
}
