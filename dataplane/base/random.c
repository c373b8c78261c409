#include "dataplane/base/random.h"

#include "dataplane/base/check.h"

#include <errno.h>
#include <sys/random.h>

/* SplitMix64 (Vigna): spreads a seed of few set bits over the whole state. */
static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

void random_seed(struct random *random, uint64_t seed)
{
    for (size_t i = 0; i < array_count(random->state); i++)
        random->state[i] = splitmix64(&seed);
}

/* xoshiro256** 1.0 (Blackman, Vigna 2018). */
uint64_t random_u64(struct random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* Multiply and shift, rejecting the few values that would favour small numbers (Lemire 2019). */
uint32_t random_below(struct random *random, uint32_t bound)
{
    check(bound > 0);
    for (;;) {
        uint64_t product = (random_u64(random) >> 32) * bound;
        /* What is rejected is less than the bound: mostly there is nothing to divide. */
        if ((uint32_t)product >= bound || (uint32_t)product >= -bound % bound)
            return (uint32_t)(product >> 32);
    }
}

void random_secret(void *out, size_t length)
{
    uint8_t *at = out;
    while (length > 0) {
        ssize_t got = getrandom(at, length, 0);
        if (got < 0 && errno == EINTR)
            continue;
        check(got > 0); /* a kernel without a generator cannot keep any of our secrets */
        at += got;
        length -= (size_t)got;
    }
}
