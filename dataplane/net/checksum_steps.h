/*
 * checksum_steps: the part of the Internet checksum that is worth the processor's widest additions.
 * Private to checksum.c. Any thread; no state.
 *
 *   checksum_x86.c    with AVX2 where the processor has it
 *   checksum_other.c  elsewhere
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CHECKSUM_STEP_BYTES 64u

/* The sum, not folded, of the 16-bit words of STEPS (at most 32768) steps. Costs about a cycle for
 * 16 bytes, or 32 with AVX2. */
uint64_t checksum_steps(const uint8_t *at, size_t steps);

/* Sixteen lanes of 32 bits; compilers split them into what the processor has. */
typedef uint32_t checksum_lanes __attribute__((vector_size(CHECKSUM_STEP_BYTES)));

/* The same in plain C: a lane takes two words a step, which fit 2^32 / (2 * 65535) times. */
static inline uint64_t checksum_steps_plain(const uint8_t *at, size_t steps)
{
    checksum_lanes sums = {0};
    for (size_t i = 0; i < steps; i++, at += CHECKSUM_STEP_BYTES) {
        checksum_lanes words;
        memcpy(&words, at, sizeof(words));
        sums += (words & 0xffff) + (words >> 16);
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < CHECKSUM_STEP_BYTES / sizeof(uint32_t); i++)
        sum += sums[i];
    return sum;
}
