/*
 * sha256: SHA-256 (FIPS 180-4), piece by piece. Pure; any thread; no memory of its own, so that it
 * can run in a worker. docs/decisions says why it is ours.
 *
 * cost   a block of 64 bytes: with the processor's SHA instructions some 2 cycles a byte, without
 *        them some 10 (bench_sha256 measures it)
 */
#pragma once

#include "dataplane/base/bytes.h"

#define SHA256_BYTES       32
#define SHA256_BLOCK_BYTES 64

struct sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    uint8_t block[SHA256_BLOCK_BYTES];
};

void sha256_init(struct sha256 *hash);
void sha256_update(struct sha256 *hash, struct bytes bytes);

/* The digest into OUT of SHA256_BYTES. The state is used up: initialise it again. */
void sha256_final(struct sha256 *hash, uint8_t *out);

/* COUNT whole blocks. Chosen by meson for the processor family: sha256_x86.c, sha256_other.c. */
void sha256_blocks(uint32_t state[8], const uint8_t *blocks, size_t count);

/* The same in plain C. */
void sha256_blocks_plain(uint32_t state[8], const uint8_t *blocks, size_t count);

extern const uint32_t sha256_constants[64];
