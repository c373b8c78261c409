/*
 * check: stop the process on a programmer's error.
 *
 * check() states something that only a bug in Weir can make false. It is always on. What a peer,
 * a configuration or the environment can cause is a value, never a check.
 */
#pragma once

#include <stddef.h>

_Noreturn void check_failed(const char *what, const char *file, int line);

#define check(condition)                                                                           \
    (__builtin_expect(!(condition), 0) ? check_failed(#condition, __FILE__, __LINE__) : (void)0)

/* The object of TYPE whose MEMBER is at POINTER. */
#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define array_count(array) (sizeof(array) / sizeof((array)[0]))
