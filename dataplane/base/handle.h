/*
 * handle: a reference that notices when its object has gone: 32-bit pool index and 32-bit
 * generation. Zero is no object. What is kept for long or crosses workers is a handle.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef uint64_t handle;

#define HANDLE_NONE ((handle)0)

static inline handle handle_make(uint32_t index, uint32_t generation)
{
    return (uint64_t)generation << 32 | index;
}

static inline uint32_t handle_index(handle h)
{
    return (uint32_t)h;
}

static inline uint32_t handle_generation(handle h)
{
    return (uint32_t)(h >> 32);
}
