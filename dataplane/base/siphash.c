#include "dataplane/base/siphash.h"

#include <endian.h>

struct siphash_state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static inline void sip_round(struct siphash_state *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate_left(s->v1, 13) ^ s->v0;
    s->v3 = rotate_left(s->v3, 16) ^ s->v2;
    s->v0 = rotate_left(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate_left(s->v1, 17) ^ s->v2;
    s->v3 = rotate_left(s->v3, 21) ^ s->v0;
    s->v2 = rotate_left(s->v2, 32);
}

static inline void sip_compress(struct siphash_state *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

static inline uint64_t word_at(const uint8_t *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof(word));
    return le64toh(word);
}

/* The last word: the bytes that are left over, and the length in its highest byte. */
static inline uint64_t last_word(struct bytes bytes)
{
    size_t left = bytes.length % 8;
    uint64_t word = (uint64_t)bytes.length << 56;
    for (size_t i = 0; i < left; i++)
        word |= (uint64_t)bytes.data[bytes.length - left + i] << (8 * i);
    return word;
}

static inline struct siphash_state sip_begin(const struct siphash_key *key)
{
    return (struct siphash_state){
        .v0 = key->k0 ^ 0x736f6d6570736575u,
        .v1 = key->k1 ^ 0x646f72616e646f6du,
        .v2 = key->k0 ^ 0x6c7967656e657261u,
        .v3 = key->k1 ^ 0x7465646279746573u,
    };
}

static inline uint64_t sip_end(struct siphash_state *s, uint64_t last)
{
    sip_compress(s, last);
    s->v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

uint64_t siphash(const struct siphash_key *key, struct bytes bytes)
{
    struct siphash_state s = sip_begin(key);
    for (size_t at = 0; at + 8 <= bytes.length; at += 8)
        sip_compress(&s, word_at(bytes.data + at));
    return sip_end(&s, last_word(bytes));
}

uint64_t siphash_words(const struct siphash_key *key, const uint64_t *words, uint32_t count,
                       uint32_t rest)
{
    struct siphash_state s = sip_begin(key);
    for (uint32_t i = 0; i < count; i++)
        sip_compress(&s, words[i]);
    return sip_end(&s, (uint64_t)(8 * count + sizeof(rest)) << 56 | rest);
}
