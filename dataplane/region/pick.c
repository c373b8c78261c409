#include "dataplane/region/pick.h"

#include "dataplane/base/check.h"
#include "dataplane/base/counter.h"
#include "dataplane/region/region_load.h"

/* The share that takes every new flight. */
#define SHARE_FULL 1000u

/* What speaks against a region that could serve. The least sum wins, then the region's order. */
#define AGAINST_SHARE   1u /* the dice gave this flight to the others */
#define AGAINST_SUSPECT 2u /* a retry goes elsewhere if it can */
#define AGAINST_AVOID   4u /* the flight was just lost there */
#define AGAINST_SILENT  8u /* nothing is heard from any of its backends */
#define AGAINST_MORE    16u

/* The backends of one service in one region, as this request sees them. */
struct candidates {
    const struct snapshot *snapshot;
    const struct backend_loads *loads;
    const struct pick_request *request;
    struct snapshot_group group;
    bool summed;     /* all that the snapshot finds fit, as its sums say: there is nobody to ask */
    bool heard_only; /* those whose path is silent are left out */
    uint32_t weight; /* of all that may be picked */
};

/* Whether what the snapshot says of weights is all there is to say. Most often it is. */
static bool is_summed(const struct candidates *candidates)
{
    const struct pick_request *request = candidates->request;
    return candidates->group.weight_ends != NULL && request->tried_count == 0 &&
           candidates->loads->silent_count == 0 &&
           (request->trusts_probes || !candidates->snapshot->panic);
}

static bool was_tried(const struct pick_request *request, uint32_t slot)
{
    for (uint16_t i = 0; i < request->tried_count; i++)
        if (request->tried_slots[i] == slot)
            return true;
    return false;
}

/* The weight of backend INDEX of the group, 0 when it may not be picked. */
static uint32_t weight_of(const struct candidates *candidates, uint32_t index)
{
    const struct snapshot_backend *backend =
        &candidates->snapshot->backends[candidates->group.first + index];
    const struct pick_request *request = candidates->request;
    bool healthy = backend->usable || (candidates->snapshot->panic && !request->trusts_probes);
    bool pickable = healthy && !backend->drained && !was_tried(request, backend->slot);
    if (candidates->heard_only && backend_is_silent(candidates->loads, backend->slot))
        return 0;
    return pickable ? backend->weight : 0;
}

static uint32_t weight_sum(const struct candidates *candidates)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < candidates->group.count; i++)
        sum += weight_of(candidates, i);
    return sum;
}

/* A region's share, by dice. Regions that need no dice draw no number. */
static bool has_share(const struct snapshot_region *region, struct random *random)
{
    if (region->share_permille == 0)
        return false;
    return region->share_permille >= SHARE_FULL ||
           random_below(random, SHARE_FULL) < region->share_permille;
}

static unsigned against_region(const struct snapshot_region *region, uint32_t index,
                               const struct pick_request *request, struct random *random)
{
    unsigned against = has_share(region, random) ? 0 : AGAINST_SHARE;
    if (region->suspect && request->tried_count > 0)
        against |= AGAINST_SUSPECT;
    if (request->avoid_region >= 0 && (uint32_t)request->avoid_region == index)
        against |= AGAINST_AVOID;
    return against;
}

/* Silent ones only when there are no others. False: nobody is there to be picked. */
static bool settle_for(struct candidates *candidates)
{
    candidates->summed = is_summed(candidates);
    if (candidates->summed) {
        candidates->weight = candidates->group.weight_ends[candidates->group.count - 1];
        return candidates->weight > 0;
    }
    candidates->heard_only = candidates->loads->silent_count > 0;
    candidates->weight = weight_sum(candidates);
    if (candidates->weight > 0 || !candidates->heard_only)
        return candidates->weight > 0;
    candidates->heard_only = false;
    candidates->weight = weight_sum(candidates);
    return candidates->weight > 0;
}

static bool is_silent(const struct candidates *candidates)
{
    return candidates->loads->silent_count > 0 && !candidates->heard_only;
}

static bool is_full(const struct snapshot *snapshot, const struct backend_loads *loads,
                    uint32_t region)
{
    uint32_t capacity = snapshot->regions[region].capacity;
    return capacity > 0 && region_in_flight(loads, region) >= capacity;
}

/* Whether this node may have one more of its priority in flight, wherever it goes (S4). */
static bool node_has_room(const struct snapshot *snapshot, const struct backend_loads *loads,
                          enum priority priority)
{
    uint64_t used = 0;
    if (snapshot->admission.node_flights == 0)
        return true;
    for (uint32_t i = 0; i < snapshot->region_count; i++)
        used += region_in_flight(loads, i);
    return used < priority_part(priority, snapshot->admission.node_flights);
}

/* The same for the regions that serve it together. One without a known capacity takes everybody. */
static bool regions_have_room(const struct snapshot *snapshot, const struct backend_loads *loads,
                              const struct pick_request *request)
{
    const struct snapshot_group *groups = snapshot->services[request->service].groups;
    uint64_t used = 0;
    uint64_t capacity = 0;
    for (uint32_t i = 0; i < snapshot->region_count; i++) {
        if (!snapshot->regions[i].active || groups[i].count == 0)
            continue;
        if (snapshot->regions[i].capacity == 0)
            return true;
        capacity += snapshot->regions[i].capacity;
        used += region_in_flight(loads, i);
    }
    return capacity == 0 || used < priority_part(request->priority, capacity);
}

/* The best region's candidates, or why there are none. */
static enum pick_failure find_region(const struct snapshot *snapshot,
                                     const struct backend_loads *loads,
                                     const struct pick_request *request, struct random *random,
                                     struct candidates *best)
{
    const struct snapshot_group *groups = snapshot->services[request->service].groups;
    unsigned best_against = AGAINST_MORE;
    enum pick_failure none = PICK_NO_SERVICE_BACKEND;
    for (uint32_t i = 0; i < snapshot->region_count && best_against > 0; i++) {
        struct candidates here = {snapshot, loads, request, groups[i], false, false, 0};
        if (!snapshot->regions[i].active || here.group.count == 0)
            continue;
        if (none == PICK_NO_SERVICE_BACKEND)
            none = PICK_NONE_USABLE;
        if (!settle_for(&here))
            continue;
        if (is_full(snapshot, loads, i)) {
            none = PICK_FULL;
            continue;
        }
        unsigned against = against_region(&snapshot->regions[i], i, request, random);
        if (is_silent(&here))
            against |= AGAINST_SILENT;
        if (against < best_against) {
            best_against = against;
            *best = here;
        }
    }
    return best_against < AGAINST_MORE ? PICK_OK : none;
}

/* A backend of the group, by where its part of the sum of weights begins. */
struct drawn {
    uint32_t index;
    uint32_t begins_at;
    uint32_t weight;
};

/* The first whose end is beyond POINT. O(log backends) */
static struct drawn drawn_of_sums(const struct candidates *candidates, uint32_t point)
{
    const uint32_t *ends = candidates->group.weight_ends;
    uint32_t below = 0;
    uint32_t above = candidates->group.count - 1;
    while (below < above) {
        uint32_t middle = (below + above) / 2;
        if (ends[middle] <= point)
            below = middle + 1;
        else
            above = middle;
    }
    uint32_t begins_at = below > 0 ? ends[below - 1] : 0;
    return (struct drawn){below, begins_at, ends[below] - begins_at};
}

/* The backend whose part of the sum of weights holds POINT. */
static struct drawn drawn_at(const struct candidates *candidates, uint32_t point)
{
    uint32_t begins_at = 0;
    if (candidates->summed)
        return drawn_of_sums(candidates, point);
    for (uint32_t i = 0;; i++) {
        check(i < candidates->group.count);
        uint32_t weight = weight_of(candidates, i);
        if (point - begins_at < weight)
            return (struct drawn){i, begins_at, weight};
        begins_at += weight;
    }
}

/* Attempts in flight at a backend. What is counted for an earlier generation is none of its own. */
static uint64_t in_flight(const struct snapshot_backend *backend, const struct backend_loads *loads)
{
    const struct backend_load *load = &loads->slots[backend->slot];
    if (counter_read(&load->generation) != backend->generation)
        return 0;
    return counter_read(&load->in_flight);
}

/*
 * Two different backends drawn by weight; the one with less in flight per weight, or the first. The
 * second is drawn from the sum without the first one's part.
 */
static uint32_t pick_of_two(const struct candidates *candidates, struct random *random)
{
    const struct backend_loads *loads = candidates->loads;
    const struct snapshot_backend *backends =
        candidates->snapshot->backends + candidates->group.first;
    struct drawn a = drawn_at(candidates, random_below(random, candidates->weight));
    uint32_t rest = candidates->weight - a.weight;
    if (rest == 0)
        return a.index;
    uint32_t point = random_below(random, rest);
    struct drawn b = drawn_at(candidates, point < a.begins_at ? point : point + a.weight);
    uint64_t load_a = in_flight(&backends[a.index], loads) * b.weight;
    uint64_t load_b = in_flight(&backends[b.index], loads) * a.weight;
    return load_b < load_a ? b.index : a.index;
}

void pick_sum_weights(const struct snapshot_backend *backends, uint32_t count, uint32_t *out_ends)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += backends[i].usable && !backends[i].drained ? backends[i].weight : 0;
        out_ends[i] = sum;
    }
}

enum pick_failure pick_backend(const struct snapshot *snapshot, const struct backend_loads *loads,
                               const struct pick_request *request, struct random *random,
                               uint32_t *out_backend)
{
    check(request->service < snapshot->service_count);
    check(request->tried_count <= PICK_TRIED_MAX);
    struct candidates best = {0};
    enum pick_failure none = find_region(snapshot, loads, request, random, &best);
    if (none != PICK_OK)
        return none;
    if (!node_has_room(snapshot, loads, request->priority) ||
        !regions_have_room(snapshot, loads, request))
        return PICK_FULL;
    *out_backend = best.group.first + pick_of_two(&best, random);
    return PICK_OK;
}
