/*
 * fuzz: what a target in tests/fuzz offers, to libFuzzer and to replay.c alike.
 *
 * An input that shows a fault stops the process, by check() or by a sanitizer.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Once, before the first input. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* One input; leaves no state behind. Always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
