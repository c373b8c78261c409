#include "tests/support/pattern.h"

static uint64_t word_at(uint64_t seed, uint64_t index)
{
    uint64_t x = index * 0x9e3779b97f4a7c15ull + seed;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9ull;
    return x ^ x >> 32;
}

static uint8_t byte_at(uint64_t seed, uint64_t position)
{
    return (uint8_t)(word_at(seed, position >> 3) >> (8 * (position & 7)));
}

uint64_t pattern_seed(struct bytes text, uint64_t salt)
{
    uint64_t seed = word_at(salt, 1);
    for (size_t i = 0; i < text.length; i++)
        seed = word_at(seed, text.data[i]);
    return seed;
}

void pattern_release(struct pattern_source *source)
{
    if (source->last != NULL)
        segment_drop(source->last);
    source->last = NULL;
}

struct chunk pattern_next(struct pattern_source *source, uint32_t max)
{
    uint64_t left = source->total - source->position;
    uint32_t length = left < max ? (uint32_t)left : max;
    pattern_release(source);
    source->starved = false;
    if (length == 0)
        return (struct chunk){0};
    source->last = segment_take(source->pool);
    source->starved = source->last == NULL;
    if (source->starved)
        return (struct chunk){0};
    if (length > source->last->capacity)
        length = source->last->capacity;
    for (uint32_t i = 0; i < length; i++)
        source->last->data[i] = byte_at(source->seed, source->position + i);
    source->last->length = length;
    source->position += length;
    return (struct chunk){source->last, 0, length};
}

bool pattern_matches(uint64_t seed, uint64_t position, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.length; i++)
        if (bytes.data[i] != byte_at(seed, position + i))
            return false;
    return true;
}
