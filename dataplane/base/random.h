/*
 * random: xoshiro256** seeded from outside, one state per owner, so that a simulation repeats.
 * For choices and jitter. Secrets come from random_secret(). One thread per state.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[4];
};

void random_seed(struct random *random, uint64_t seed);
uint64_t random_u64(struct random *random);

/* A number in 0..bound-1; bound is at least 1. */
uint32_t random_below(struct random *random, uint32_t bound);

/* Fill with bytes from the kernel's generator. At start only: it is a system call. */
void random_secret(void *out, size_t length);
