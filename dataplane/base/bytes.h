/*
 * bytes: a view of memory that somebody else owns. Any thread; no allocation.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data;
    size_t length;
};

#define BYTES_NONE ((struct bytes){NULL, 0})

static inline struct bytes bytes_of(const void *data, size_t length)
{
    return (struct bytes){(const uint8_t *)data, length};
}

/* The view of a NUL-terminated text, without the NUL. */
static inline struct bytes bytes_text(const char *text)
{
    return bytes_of(text, strlen(text));
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool bytes_equal_text(struct bytes a, const char *text)
{
    return bytes_equal(a, bytes_text(text));
}

static inline bool bytes_start_with(struct bytes a, struct bytes prefix)
{
    return a.length >= prefix.length &&
           (prefix.length == 0 || memcmp(a.data, prefix.data, prefix.length) == 0);
}

/* What is left of A after its first COUNT bytes; COUNT is at most a.length. */
static inline struct bytes bytes_after(struct bytes a, size_t count)
{
    const uint8_t *rest = count > 0 ? a.data + count : a.data; /* nothing may be at NULL */
    return bytes_of(rest, a.length - count);
}

static inline struct bytes bytes_first(struct bytes a, size_t count)
{
    return bytes_of(a.data, count < a.length ? count : a.length);
}
