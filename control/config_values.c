#include "control/config_values.h"

#include "dataplane/base/check.h"

#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first, for printing. */
static const struct unit durations[] = {
    {"h", 3600000000000ull}, {"m", 60000000000ull}, {"s", 1000000000ull},
    {"ms", 1000000ull},      {"us", 1000ull},       {"ns", 1ull},
};

static const struct unit sizes[] = {
    {"GiB", 1ull << 30},
    {"MiB", 1ull << 20},
    {"KiB", 1ull << 10},
    {"", 1ull},
};

static bool read_with_unit(const char *text, const struct unit *units, size_t count, uint64_t *out)
{
    uint64_t number = 0;
    const char *at = text;
    while (*at >= '0' && *at <= '9' && number < UINT64_MAX / 100)
        number = number * 10 + (uint64_t)(*at++ - '0');
    if (at == text)
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(at, units[i].name) == 0)
            return !__builtin_mul_overflow(number, units[i].factor, out);
    return false;
}

static void print_with_unit(uint64_t value, const struct unit *units, size_t count, char *out,
                            size_t size)
{
    size_t i = 0;
    while (i + 1 < count && (value < units[i].factor || value % units[i].factor != 0))
        i++;
    snprintf(out, size, "%lu%s", value / units[i].factor, units[i].name);
}

bool value_duration(const char *text, uint64_t *out_ns)
{
    return read_with_unit(text, durations, array_count(durations), out_ns);
}

bool value_size(const char *text, uint64_t *out_bytes)
{
    return read_with_unit(text, sizes, array_count(sizes), out_bytes);
}

bool value_mode(const char *text, uint32_t *out_mode)
{
    size_t length = strlen(text);
    uint32_t mode = 0;
    if (length == 0 || length > 4 || strspn(text, "01234567") != length)
        return false;
    for (size_t i = 0; i < length; i++)
        mode = mode * 8 + (uint32_t)(text[i] - '0');
    *out_mode = mode;
    return true;
}

void value_duration_text(uint64_t ns, char *out, size_t size)
{
    print_with_unit(ns, durations, array_count(durations), out, size);
}

void value_size_text(uint64_t bytes, char *out, size_t size)
{
    print_with_unit(bytes, sizes, array_count(sizes), out, size);
}
