/*
 * h2_memo_place: how h2_memo.c and h2_memo_out.c find places. Private to h2_memo.
 */
#pragma once

#include "dataplane/base/copy.h"
#include "dataplane/h2/h2_memo.h"

#define H2_MEMO_SAMPLE_STEP 24 /* bytes: some of each field, which begins with a head of 16 */

static inline uint64_t h2_memo_mix(uint64_t mixed, uint64_t eight)
{
    mixed = (mixed ^ eight) * 0xd6e8feb86659fd93;
    return mixed ^ mixed >> 32;
}

/* Some of a section, or part of one, which is long. Never 0. */
static inline uint32_t h2_memo_sample(uint64_t state, struct bytes section)
{
    uint64_t hash = state * 0x9e3779b97f4a7c15 + section.length;
    if (section.length < 8)
        return (uint32_t)h2_memo_mix(hash, 0) | 1;
    for (size_t at = 0; at + 8 < section.length; at += H2_MEMO_SAMPLE_STEP)
        hash = h2_memo_mix(hash, copy_load8(section.data + at));
    return (uint32_t)h2_memo_mix(hash, copy_load8(section.data + section.length - 8)) | 1;
}

static inline uint32_t h2_memo_place_of(const struct h2_memo *memo, uint32_t hash)
{
    return hash >> 1 & (memo->places - 1);
}

static inline uint32_t h2_memo_beside(const struct h2_memo *memo, uint32_t place)
{
    return (place ^ 1) & (memo->places - 1);
}
