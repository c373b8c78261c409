#include "dataplane/base/sha256.h"

#include "dataplane/base/writer.h"

static const uint32_t initial[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

/* FIPS 180-4 4.2.2 */
const uint32_t sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotated(uint32_t x, int by)
{
    return x >> by | x << (32 - by);
}

static inline uint32_t word_at(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* FIPS 180-4 6.2.2, step 1 */
static void spread(const uint8_t *block, uint32_t w[64])
{
    for (int t = 0; t < 16; t++)
        w[t] = word_at(block + 4 * t);
    for (int t = 16; t < 64; t++) {
        uint32_t s0 = rotated(w[t - 15], 7) ^ rotated(w[t - 15], 18) ^ w[t - 15] >> 3;
        uint32_t s1 = rotated(w[t - 2], 17) ^ rotated(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
}

/* Steps 2 to 4. v: a b c d e f g h */
static void compress(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[64];
    uint32_t v[8];
    spread(block, w);
    memcpy(v, state, sizeof(v));
    for (int t = 0; t < 64; t++) {
        uint32_t s1 = rotated(v[4], 6) ^ rotated(v[4], 11) ^ rotated(v[4], 25);
        uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t t1 = v[7] + s1 + choice + sha256_constants[t] + w[t];
        uint32_t s0 = rotated(v[0], 2) ^ rotated(v[0], 13) ^ rotated(v[0], 22);
        uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        v[7] = v[6];
        v[6] = v[5];
        v[5] = v[4];
        v[4] = v[3] + t1;
        v[3] = v[2];
        v[2] = v[1];
        v[1] = v[0];
        v[0] = t1 + s0 + majority;
    }
    for (int i = 0; i < 8; i++)
        state[i] += v[i];
}

void sha256_blocks_plain(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        compress(state, blocks + i * SHA256_BLOCK_BYTES);
}

void sha256_init(struct sha256 *hash)
{
    memcpy(hash->state, initial, sizeof(initial));
    hash->length = 0;
}

/* Fill the block that was begun. Returns what of BYTES is left. */
static struct bytes fill_block(struct sha256 *hash, struct bytes bytes)
{
    size_t used = hash->length % SHA256_BLOCK_BYTES;
    if (used == 0 || bytes.length == 0)
        return bytes;
    struct bytes part = bytes_first(bytes, SHA256_BLOCK_BYTES - used);
    memcpy(hash->block + used, part.data, part.length);
    hash->length += part.length;
    if (hash->length % SHA256_BLOCK_BYTES == 0)
        sha256_blocks(hash->state, hash->block, 1);
    return bytes_after(bytes, part.length);
}

void sha256_update(struct sha256 *hash, struct bytes bytes)
{
    bytes = fill_block(hash, bytes);
    size_t whole = bytes.length / SHA256_BLOCK_BYTES;
    if (whole > 0)
        sha256_blocks(hash->state, bytes.data, whole);
    hash->length += whole * SHA256_BLOCK_BYTES;
    bytes = bytes_after(bytes, whole * SHA256_BLOCK_BYTES);
    if (bytes.length > 0)
        memcpy(hash->block, bytes.data, bytes.length);
    hash->length += bytes.length;
}

/* FIPS 180-4 5.1.1 */
void sha256_final(struct sha256 *hash, uint8_t *out)
{
    static const uint8_t padding[SHA256_BLOCK_BYTES] = {0x80};
    uint64_t bits = hash->length * 8;
    size_t used = hash->length % SHA256_BLOCK_BYTES;
    uint8_t length[8];
    struct writer end = writer_over(length, sizeof(length));
    writer_u64(&end, bits);
    sha256_update(hash, bytes_of(padding, (used < 56 ? 56 : 120) - used));
    sha256_update(hash, bytes_of(length, sizeof(length)));
    struct writer digest = writer_over(out, SHA256_BYTES);
    for (int i = 0; i < 8; i++)
        writer_u32(&digest, hash->state[i]);
}
