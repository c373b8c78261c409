#include "control/region_shares.h"

#include <string.h>

#define MILLION 1000000u

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t flights_of(const struct region_demand *demands, uint32_t count)
{
    uint64_t flights = 0;
    for (uint32_t i = 0; i < count; i++)
        flights += demands[i].in_flight;
    return flights;
}

/* What each region should have, were there no limit to growth. */
static void want(const struct region_demand *demands, uint32_t count,
                 uint64_t out[SNAPSHOT_REGIONS_MAX])
{
    uint64_t rest = MILLION;
    for (uint32_t i = 0; i < count; i++) {
        out[i] = demands[i].serves ? rest * demands[i].share_permille / 1000 : 0;
        rest -= out[i];
    }
}

/* A region that had a part serves no more: what it had has to go somewhere at once. */
static bool was_lost(const struct region_shares *shares, const struct region_demand *demands,
                     uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (shares->known[i] && shares->plan[i] > 0 && !demands[i].serves)
            return true;
    return false;
}

/* Growth counts from what a region has, or half of its capacity: of all of it, not of `capacity`.
 */
static void open_interval(struct region_shares *shares, const struct region_demand *demands,
                          uint32_t count, const struct config_failover *limits, uint64_t now)
{
    shares->base_at_ns = now;
    for (uint32_t i = 0; i < count; i++)
        shares->base[i] =
            greater(demands[i].in_flight, demands[i].capacity * 50 / limits->capacity_percent);
}

/* Hold back what would grow too fast. Returns how much that is. */
static uint64_t hold_back(const struct region_shares *shares, const struct region_demand *demands,
                          uint32_t count, uint64_t flights, uint32_t grow_percent,
                          uint64_t wanted[SNAPSHOT_REGIONS_MAX])
{
    uint64_t held = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (demands[i].capacity == 0 || wanted[i] <= shares->plan[i])
            continue;
        uint64_t most = shares->base[i] * (100 + grow_percent) / 100 * MILLION / flights;
        uint64_t part = lesser(wanted[i], greater(most, shares->plan[i]));
        held += wanted[i] - part;
        wanted[i] = part;
    }
    return held;
}

/* What was held back stays with the regions that had it, in the order of preference. */
static void give_back(const struct region_shares *shares, const struct region_demand *demands,
                      uint32_t count, uint64_t held, uint64_t wanted[SNAPSHOT_REGIONS_MAX])
{
    for (uint32_t i = 0; i < count && held > 0; i++) {
        if (!demands[i].serves || shares->plan[i] <= wanted[i])
            continue;
        uint64_t kept = lesser(held, shares->plan[i] - wanted[i]);
        wanted[i] += kept;
        held -= kept;
    }
}

/* Parts of the whole as thousandths of what reaches each region. */
static void tell(const struct region_demand *demands, uint32_t count,
                 const uint64_t plan[SNAPSHOT_REGIONS_MAX],
                 uint16_t out_permille[SNAPSHOT_REGIONS_MAX])
{
    uint64_t rest = MILLION;
    for (uint32_t i = 0; i < count; i++) {
        out_permille[i] = (uint16_t)demands[i].share_permille;
        if (demands[i].serves && rest > 0)
            out_permille[i] = (uint16_t)((plan[i] * 1000 + rest / 2) / rest);
        rest -= plan[i];
    }
}

void region_shares_update(struct region_shares *shares, const struct region_demand *demands,
                          uint32_t count, const struct config_failover *limits, uint64_t now,
                          uint16_t out_permille[SNAPSHOT_REGIONS_MAX])
{
    uint64_t wanted[SNAPSHOT_REGIONS_MAX] = {0};
    uint64_t flights = flights_of(demands, count);
    want(demands, count, wanted);
    if (now >= shares->base_at_ns + limits->grow_interval_ns || !shares->began)
        open_interval(shares, demands, count, limits, now);
    if (shares->began && flights > 0 && !was_lost(shares, demands, count)) {
        uint64_t held = hold_back(shares, demands, count, flights, limits->grow_percent, wanted);
        give_back(shares, demands, count, held, wanted);
    }
    for (uint32_t i = 0; i < count; i++)
        shares->known[i] = demands[i].serves;
    memcpy(shares->plan, wanted, sizeof(shares->plan));
    shares->began = true;
    tell(demands, count, wanted, out_permille);
}

uint64_t region_capacity_part(uint64_t capacity, uint64_t own_flights, uint64_t all_flights,
                              uint32_t nodes, bool counted)
{
    uint64_t even = capacity / greater(nodes, 1);
    if (!counted || all_flights == 0)
        return even;
    return even / 10 + capacity * 9 / 10 * lesser(own_flights, all_flights) / all_flights;
}
