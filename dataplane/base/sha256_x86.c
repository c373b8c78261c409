/*
 * sha256_x86: blocks with the SHA extensions where the processor has them, else in plain C. The
 * instructions keep the state as (a b e f) and (c d g h), and do two rounds at a time.
 */
#include "dataplane/base/sha256.h"

#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>

#define HAS_SHA (1u << 29) /* leaf 7, ebx */

#define SHA_TARGET __attribute__((target("sha,sse4.1,ssse3")))

/* Four rounds with the words W. */
SHA_TARGET static inline void rounds(__m128i *abef, __m128i *cdgh, __m128i w, int group)
{
    __m128i constant = _mm_loadu_si128((const __m128i *)(const void *)&sha256_constants[4 * group]);
    __m128i sum = _mm_add_epi32(w, constant);
    *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, sum);
    *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(sum, 0x0e));
}

/* The four words after those in w0 .. w3. */
SHA_TARGET static inline __m128i next_words(__m128i w0, __m128i w1, __m128i w2, __m128i w3)
{
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
    return _mm_sha256msg2_epu32(sum, w3);
}

SHA_TARGET static void block_sha(__m128i *abef, __m128i *cdgh, const uint8_t *block)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i before_abef = *abef;
    __m128i before_cdgh = *cdgh;
    __m128i w[4];
    for (int i = 0; i < 4; i++) {
        __m128i raw = _mm_loadu_si128((const __m128i *)(const void *)(block + 16 * i));
        w[i] = _mm_shuffle_epi8(raw, big_endian);
        rounds(abef, cdgh, w[i], i);
    }
    for (int group = 4; group < 16; group++) {
        int oldest = group % 4;
        w[oldest] =
            next_words(w[oldest], w[(group + 1) % 4], w[(group + 2) % 4], w[(group + 3) % 4]);
        rounds(abef, cdgh, w[oldest], group);
    }
    *abef = _mm_add_epi32(*abef, before_abef);
    *cdgh = _mm_add_epi32(*cdgh, before_cdgh);
}

SHA_TARGET static void blocks_sha(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    /* state is a .. h; loaded words are little endian: dcba, hgfe. */
    __m128i dcba = _mm_loadu_si128((const __m128i *)(const void *)&state[0]);
    __m128i hgfe = _mm_loadu_si128((const __m128i *)(const void *)&state[4]);
    __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1);
    __m128i efgh = _mm_shuffle_epi32(hgfe, 0x1b);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8);
    __m128i cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
    for (size_t i = 0; i < count; i++)
        block_sha(&abef, &cdgh, blocks + i * SHA256_BLOCK_BYTES);
    __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
    __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)(void *)&state[0], _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(void *)&state[4], _mm_alignr_epi8(dchg, feba, 8));
}

/* The answer never changes, so it does not matter which thread asks first. */
static bool has_sha(void)
{
    static _Atomic int known; /* 0: not asked, 1: no, 2: yes; relaxed: a number by itself */
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (answer != 0)
        return answer == 2;
    unsigned a, b, c, d;
    bool has = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & HAS_SHA) != 0;
    atomic_store_explicit(&known, has ? 2 : 1, memory_order_relaxed);
    return has;
}

void sha256_blocks(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    if (has_sha())
        blocks_sha(state, blocks, count);
    else
        sha256_blocks_plain(state, blocks, count);
}
