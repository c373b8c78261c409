#include "control/region_errors.h"

#include "dataplane/base/clock.h"

#define WINDOW_NS       (10 * CLOCK_S)
#define WINDOW_REQUESTS 200 /* at least */
#define OLD_PARTS       3   /* of the baseline in a new one, beside one of the window */

static void open_window(struct region_errors *errors, uint64_t now)
{
    errors->window_since_ns = now;
    errors->requests = 0;
    errors->errors = 0;
}

void region_errors_init(struct region_errors *errors, uint64_t now)
{
    *errors = (struct region_errors){.during = REGION_UP, .window_since_ns = now};
}

void region_errors_forget(struct region_errors *errors, uint64_t now)
{
    open_window(errors, now);
}

static uint32_t window_permille(const struct region_errors *errors)
{
    return (uint32_t)(errors->errors * 1000 / errors->requests);
}

/* A new window counts a quarter. */
static void learn(struct region_errors *errors)
{
    uint32_t permille = window_permille(errors);
    errors->baseline_permille =
        errors->known ? (OLD_PARTS * errors->baseline_permille + permille) / (OLD_PARTS + 1)
                      : permille;
    errors->known = true;
}

void region_errors_count(struct region_errors *errors, uint64_t now,
                         enum region_automatic automatic, uint64_t requests, uint64_t failed)
{
    if (region_is_steady(automatic) != region_is_steady(errors->during) ||
        (automatic == REGION_RECOVERING) != (errors->during == REGION_RECOVERING))
        open_window(errors, now);
    errors->during = automatic;
    if (region_is_steady(automatic) && now >= errors->window_since_ns + WINDOW_NS &&
        errors->requests >= WINDOW_REQUESTS) {
        learn(errors);
        open_window(errors, now);
    }
    errors->requests += requests;
    errors->errors += failed;
}

void region_errors_fade(struct region_errors *errors, uint64_t now,
                        const struct config_failover *limits)
{
    if (errors->during != REGION_RECOVERING || now < errors->window_since_ns + WINDOW_NS ||
        errors->requests / 2 < limits->worse_samples)
        return;
    errors->window_since_ns = now;
    errors->requests /= 2;
    errors->errors /= 2;
}

bool region_errors_are_worse(const struct region_errors *errors,
                             const struct config_failover *limits)
{
    uint64_t border = (uint64_t)errors->baseline_permille * limits->worse_percent / 100;
    uint64_t least = (uint64_t)limits->worse_at_least * 10;
    if (!errors->known || errors->during != REGION_RECOVERING ||
        errors->requests < limits->worse_samples)
        return false;
    return errors->errors * 1000 > errors->requests * (border > least ? border : least);
}
