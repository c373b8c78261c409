/* config_values: the text forms of values: "200ms", "64KiB", "0600". Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nanoseconds of a duration: a whole number and ns, us, ms, s, m or h. False: not one. */
bool value_duration(const char *text, uint64_t *out_ns);

/* Bytes of a size: a whole number and nothing, KiB, MiB or GiB. False: not one. */
bool value_size(const char *text, uint64_t *out_bytes);

/* An octal file mode of up to four digits. False: not one. */
bool value_mode(const char *text, uint32_t *out_mode);

/* A duration in its largest whole unit. */
void value_duration_text(uint64_t ns, char *out, size_t size);
void value_size_text(uint64_t bytes, char *out, size_t size);
