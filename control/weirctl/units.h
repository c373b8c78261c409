/* units: numbers as people read them. Each returns OUT. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define UNITS_TEXT_MAX 40

/* "512 B", "1.5 MiB" */
const char *units_bytes(uint64_t bytes, char out[UNITS_TEXT_MAX]);
/* "12.3 us", "250 ms", "2.5 s" */
const char *units_short_time(uint64_t ns, char out[UNITS_TEXT_MAX]);
/* "42s", "3m 10s", "5h 2m", "12d 3h" */
const char *units_long_time(uint64_t ms, char out[UNITS_TEXT_MAX]);
/* Since a point in unix time, as units_long_time(); "-" for 0. */
const char *units_since(uint64_t unix_ms, char out[UNITS_TEXT_MAX]);
