/*
 * pattern: message bodies that both sides know: byte n of the body with a seed. Written piece by
 * piece into segments, verified as it arrives, so that a mixture of two bodies is found.
 */
#pragma once

#include "dataplane/base/body.h"

/* A body being sent. */
struct pattern_source {
    uint64_t seed;
    uint64_t position; /* bytes given out */
    uint64_t total;    /* bytes */
    struct segment_pool *pool;
    struct segment *last; /* given out by the last call; held until the next */
    bool starved;         /* the last call found no segment */
};

/* A number from a text, to be used as a seed. */
uint64_t pattern_seed(struct bytes text, uint64_t salt);

/* The next piece, at most MAX bytes; length 0: at the end, MAX is 0, or starved. */
struct chunk pattern_next(struct pattern_source *source, uint32_t max);

/* Let go of the last piece. */
void pattern_release(struct pattern_source *source);

/* Whether BYTES are what the body with SEED has at POSITION. */
bool pattern_matches(uint64_t seed, uint64_t position, struct bytes bytes);
