#include "control/region_delays.h"

#include "dataplane/base/clock.h"

#include <string.h>

#define WINDOW_NS      (10 * CLOCK_S)
#define WINDOW_SAMPLES 200 /* at least */

static uint64_t count_of(const uint64_t buckets[HISTOGRAM_BUCKETS])
{
    uint64_t count = 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += buckets[i];
    return count;
}

/* The bucket of the 99th percentile; there is a sample. */
static uint32_t late_bucket(const uint64_t buckets[HISTOGRAM_BUCKETS])
{
    uint64_t later = count_of(buckets) / 100; /* so many may be */
    uint32_t bucket = HISTOGRAM_BUCKETS - 1;
    while (bucket > 0 && buckets[bucket] <= later)
        later -= buckets[bucket--];
    return bucket;
}

static void open_window(struct region_delays *delays, uint64_t now)
{
    delays->window_since_ns = now;
    memset(delays->window, 0, sizeof(delays->window));
}

void region_delays_init(struct region_delays *delays, uint64_t now)
{
    *delays = (struct region_delays){.during = REGION_UP, .window_since_ns = now};
}

void region_delays_forget(struct region_delays *delays, uint64_t now)
{
    open_window(delays, now);
}

/* What was learnt before counts for three quarters. */
static void learn(struct region_delays *delays)
{
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        delays->baseline[i] = delays->baseline[i] * 3 / 4 + delays->window[i];
}

void region_delays_count(struct region_delays *delays, uint64_t now,
                         enum region_automatic automatic,
                         const uint64_t first_bytes[HISTOGRAM_BUCKETS])
{
    bool steady = region_is_steady(automatic);
    if (steady != region_is_steady(delays->during) ||
        (automatic == REGION_RECOVERING) != (delays->during == REGION_RECOVERING))
        open_window(delays, now);
    delays->during = automatic;
    if (steady && now >= delays->window_since_ns + WINDOW_NS &&
        count_of(delays->window) >= WINDOW_SAMPLES) {
        learn(delays);
        open_window(delays, now);
    }
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        delays->window[i] += first_bytes[i];
}

void region_delays_fade(struct region_delays *delays, uint64_t now,
                        const struct config_failover *limits)
{
    uint64_t enough = 2 * (uint64_t)limits->worse_samples + HISTOGRAM_BUCKETS; /* rounded down */
    if (delays->during != REGION_RECOVERING || now < delays->window_since_ns + WINDOW_NS ||
        count_of(delays->window) < enough)
        return;
    delays->window_since_ns = now;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        delays->window[i] /= 2;
}

bool region_delays_are_longer(const struct region_delays *delays,
                              const struct config_failover *limits)
{
    if (delays->during != REGION_RECOVERING || count_of(delays->baseline) < limits->worse_samples ||
        count_of(delays->window) < limits->worse_samples)
        return false;
    uint32_t before = late_bucket(delays->baseline);
    uint32_t now = late_bucket(delays->window);
    uint64_t border = ((uint64_t)limits->worse_percent << before) / 100;
    return now > 0 && (uint64_t)1 << (now - 1) >= border; /* it is above that, at least */
}
