/*
 * sanitizer: tell AddressSanitizer which memory must not be touched. Nothing without it.
 *
 * Any thread. This is the one place that asks which compiler and sanitizer there are.
 */
#pragma once

#include <stddef.h>

#ifdef __has_feature
#define SANITIZER_HAS_FEATURE(feature) __has_feature(feature)
#else
#define SANITIZER_HAS_FEATURE(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || SANITIZER_HAS_FEATURE(address_sanitizer)

#define SANITIZER_ADDRESS 1

#include <sanitizer/asan_interface.h>

/* From here on touching these bytes is reported. */
static inline void sanitizer_poison(const void *memory, size_t bytes)
{
    __asan_poison_memory_region(memory, bytes);
}

static inline void sanitizer_unpoison(const void *memory, size_t bytes)
{
    __asan_unpoison_memory_region(memory, bytes);
}

static inline int sanitizer_is_poisoned(const void *memory)
{
    return __asan_address_is_poisoned(memory);
}

#else

#define SANITIZER_ADDRESS 0

static inline void sanitizer_poison(const void *memory, size_t bytes)
{
    (void)memory;
    (void)bytes;
}

static inline void sanitizer_unpoison(const void *memory, size_t bytes)
{
    (void)memory;
    (void)bytes;
}

static inline int sanitizer_is_poisoned(const void *memory)
{
    (void)memory;
    return 0;
}

#endif
