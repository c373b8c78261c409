#include "control/weirctl/units.h"

#include <stdio.h>
#include <time.h>

struct unit {
    const char *name;
    double factor;
};

/* Largest first; the last one has the factor 1. */
static const char *print(double value, const struct unit *unit, char *out)
{
    while (unit->factor > 1 && value < unit->factor)
        unit++;
    value /= unit->factor;
    if (unit->factor <= 1 || value >= 100)
        snprintf(out, UNITS_TEXT_MAX, "%.0f %s", value, unit->name);
    else
        snprintf(out, UNITS_TEXT_MAX, "%.1f %s", value, unit->name);
    return out;
}

const char *units_bytes(uint64_t bytes, char out[UNITS_TEXT_MAX])
{
    static const struct unit units[] = {
        {"TiB", 1099511627776.0},
        {"GiB", 1073741824.0},
        {"MiB", 1048576.0},
        {"KiB", 1024.0},
        {"B", 1.0},
    };
    return print((double)bytes, units, out);
}

const char *units_short_time(uint64_t ns, char out[UNITS_TEXT_MAX])
{
    static const struct unit units[] = {{"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1.0}};
    return print((double)ns, units, out);
}

const char *units_long_time(uint64_t ms, char out[UNITS_TEXT_MAX])
{
    uint64_t s = ms / 1000;
    if (s < 60)
        snprintf(out, UNITS_TEXT_MAX, "%lus", s);
    else if (s < 3600)
        snprintf(out, UNITS_TEXT_MAX, "%lum %lus", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, UNITS_TEXT_MAX, "%luh %lum", s / 3600, s / 60 % 60);
    else
        snprintf(out, UNITS_TEXT_MAX, "%lud %luh", s / 86400, s / 3600 % 24);
    return out;
}

const char *units_since(uint64_t unix_ms, char out[UNITS_TEXT_MAX])
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    uint64_t now_ms = (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000;
    if (unix_ms == 0) {
        snprintf(out, UNITS_TEXT_MAX, "-");
        return out;
    }
    return units_long_time(now_ms > unix_ms ? now_ms - unix_ms : 0, out);
}
