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
    __m256i words = _mm256_loadu_si256((const __m256i *)(const void *)at);
    return _mm256_madd_epi16(_mm256_xor_si256(words, bias), _mm256_set1_epi16(1));
}

/* A lane takes one pair a step, -2^16 at least: 2^31 / 2^16 steps. */
AVX2_TARGET static uint64_t steps_avx2(const uint8_t *at, size_t steps)
{
    __m256i low = _mm256_setzero_si256();
    __m256i high = _mm256_setzero_si256();
    for (size_t i = 0; i < steps; i++, at += CHECKSUM_STEP_BYTES) {
        low = _mm256_add_epi32(low, pairs_at(at));
        high = _mm256_add_epi32(high, pairs_at(at + sizeof(__m256i)));
    }
    int32_t lanes[2 * sizeof(__m256i) / sizeof(int32_t)];
    _mm256_storeu_si256((__m256i *)(void *)lanes, low);
    _mm256_storeu_si256((__m256i *)(void *)(lanes + 8), high);
    int64_t sum = (int64_t)(steps * WORDS_PER_STEP * WORD_BIAS);
    for (size_t i = 0; i < sizeof(lanes) / sizeof(lanes[0]); i++)
        sum += lanes[i];
    return (uint64_t)sum;
}

uint64_t checksum_steps(const uint8_t *at, size_t steps)
{
    return __builtin_cpu_supports("avx2") ? steps_avx2(at, steps) : checksum_steps_plain(at, steps);
}
