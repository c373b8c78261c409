/*
 * One block of pseudo-random bytes with a period, seen from a place that the path chooses. It is
 * sent from where it lies, and compared as a whole.
 */
#include "tests/load/weir_load/load.h"

#include <stdlib.h>

#define PERIOD 65521u /* a prime below 2^16 */
#define SIZE   (2 * PERIOD)

static void never_released(struct segment_source *source, struct segment *segment)
{
    segment->references = 1;
}

static struct segment_source source = {.released = never_released};
static struct segment block = {.references = 1, .source = &source};

bool bodies_init(void)
{
    struct random random;
    block.data = malloc(SIZE);
    if (block.data == NULL)
        return false;
    random_seed(&random, 7541);
    for (uint32_t i = 0; i < PERIOD; i++)
        block.data[i] = block.data[PERIOD + i] = (uint8_t)random_u64(&random);
    block.length = block.capacity = SIZE;
    return true;
}

uint32_t body_seed(struct bytes path)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < path.length; i++)
        hash = (hash ^ path.data[i]) * 16777619u;
    return hash % PERIOD;
}

struct chunk body_chunk(uint32_t seed, uint64_t position, uint64_t left, uint32_t max)
{
    uint32_t length = max < PERIOD ? max : PERIOD;
    if (left < length)
        length = (uint32_t)left;
    return (struct chunk){&block, (uint32_t)((seed + position) % PERIOD), length};
}

bool body_matches(uint32_t seed, uint64_t position, struct bytes bytes)
{
    while (bytes.length > 0) {
        struct chunk chunk = body_chunk(seed, position, bytes.length, UINT32_MAX);
        if (memcmp(bytes.data, block.data + chunk.offset, chunk.length) != 0)
            return false;
        bytes = bytes_after(bytes, chunk.length);
        position += chunk.length;
    }
    return true;
}
