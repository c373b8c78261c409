/*
 * checksum_x86: the multiply-and-add of AVX2 adds two neighbouring words into a lane at once. It
 * takes words as signed: each is made smaller by 2^15 before, and the sum larger by that after.
 */
#include "dataplane/net/checksum_steps.h"

#include <immintrin.h>

#define WORD_BIAS      0x8000
#define WORDS_PER_STEP (CHECKSUM_STEP_BYTES / 2)

#define AVX2_TARGET __attribute__((target("avx2")))

AVX2_TARGET static inline __m256i pairs_at(const uint8_t *at)
{
    const __m256i bias = _mm256_set1_epi16((short)WORD_BIAS);
    __m256i words = _mm256_lddqu_si256((const __m256i *)(const void *)at); /* never in two halves */
    return _mm256_madd_epi16(_mm256_xor_si256(words, bias), _mm256_set1_epi16(1));
}

/* Eight lanes of 32 bits, signed. */
AVX2_TARGET static inline int64_t sum_of_lanes(__m256i lanes)
{
    __m256i low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(lanes));
    __m256i high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256(lanes, 1));
    __m256i four = _mm256_add_epi64(low, high);
    __m128i two = _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
    return _mm_cvtsi128_si64(two) + _mm_extract_epi64(two, 1);
}

/* A lane takes one pair a step, -2^16 at least: 2^31 / 2^16 steps. Two steps a round. */
AVX2_TARGET static uint64_t steps_avx2(const uint8_t *at, size_t steps)
{
    __m256i low = _mm256_setzero_si256();
    __m256i high = _mm256_setzero_si256();
    const uint8_t *end = at + steps * CHECKSUM_STEP_BYTES;
    if (steps % 2 != 0) {
        low = pairs_at(at);
        high = pairs_at(at + sizeof(__m256i));
        at += CHECKSUM_STEP_BYTES;
    }
    for (; at != end; at += 2 * CHECKSUM_STEP_BYTES) {
        low = _mm256_add_epi32(low, pairs_at(at));
        high = _mm256_add_epi32(high, pairs_at(at + sizeof(__m256i)));
        low = _mm256_add_epi32(low, pairs_at(at + 2 * sizeof(__m256i)));
        high = _mm256_add_epi32(high, pairs_at(at + 3 * sizeof(__m256i)));
    }
    int64_t bias = (int64_t)(steps * WORDS_PER_STEP * WORD_BIAS);
    return (uint64_t)(bias + sum_of_lanes(low) + sum_of_lanes(high));
}

uint64_t checksum_steps(const uint8_t *at, size_t steps)
{
    return __builtin_cpu_supports("avx2") ? steps_avx2(at, steps) : checksum_steps_plain(at, steps);
}
