/*
 * siphash: SipHash-2-4, the keyed hash for tables whose keys peers choose (Aumasson, Bernstein
 * 2012). Any thread; about 1 cycle a byte plus 30.
 */
#pragma once

#include "dataplane/base/bytes.h"

struct siphash_key {
    uint64_t k0;
    uint64_t k1;
};

uint64_t siphash(const struct siphash_key *key, struct bytes bytes);

/* The same of COUNT words (fewer than 31) and half a one behind them, each in little-endian order.
 */
uint64_t siphash_words(const struct siphash_key *key, const uint64_t *words, uint32_t count,
                       uint32_t rest);
