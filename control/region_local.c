#include "control/region_local.h"

#include <stdio.h>
#include <string.h>

/* Nobody's: a node without the store has no votes to heed. */
static const struct region_votes *no_votes(void)
{
    static struct region_votes none;
    return &none;
}

bool region_local_takes(enum region_request_kind kind)
{
    return kind == REGION_DRAIN || kind == REGION_UNDRAIN || kind == REGION_FORCE_UP ||
           kind == REGION_FORCE_DOWN || kind == REGION_UNFORCE || kind == REGION_FREEZE ||
           kind == REGION_THAW;
}

static bool is_of_all(const struct region_local_order *order)
{
    return strcmp(order->name, REGION_LOCAL_ALL) == 0;
}

const struct region_local_order *region_local_find(const struct region_local *local,
                                                   const char *name)
{
    for (uint32_t i = 0; i < local->count; i++)
        if (strcmp(local->orders[i].name, name) == 0)
            return &local->orders[i];
    return NULL;
}

struct region_local_order *region_local_named(struct region_local *local, const char *name)
{
    const struct region_local_order *found = region_local_find(local, name);
    if (found != NULL)
        return &local->orders[found - local->orders];
    if (local->count == REGION_LOCAL_MAX)
        return NULL;
    struct region_local_order *order = &local->orders[local->count++];
    *order = (struct region_local_order){.kind = REGION_DRAIN};
    snprintf(order->name, sizeof(order->name), "%s", name);
    return order;
}

static void remove_at(struct region_local *local, uint32_t index)
{
    local->count--;
    memmove(&local->orders[index], &local->orders[index + 1],
            (local->count - index) * sizeof(local->orders[0]));
}

bool region_local_forget(struct region_local *local, const char *name)
{
    const struct region_local_order *found = region_local_find(local, name);
    if (found != NULL)
        remove_at(local, (uint32_t)(found - local->orders));
    return found != NULL;
}

/* Routing. */

/* Without the store nobody agrees on steps: they follow each other by time. */
static bool is_ramping(const struct region_local_order *order, const struct region_rules *rules,
                       uint64_t now_ms)
{
    return order->ramps != 0 && now_ms < order->since_ms + rules->ramp_steps * rules->ramp_step_ms;
}

static void route_region(const struct region_local_order *order, const struct region_rules *rules,
                         uint64_t now_ms, struct region_record *record)
{
    record->override = order->override;
    record->expires_ms = order->expires_ms;
    if (!is_ramping(order, rules, now_ms) || !region_is_steady(record->automatic))
        return;
    uint64_t past_ms = now_ms > order->since_ms ? now_ms - order->since_ms : 0;
    record->automatic = REGION_RECOVERING;
    record->ramp_step = (uint32_t)(past_ms / rules->ramp_step_ms);
}

void region_local_route(const struct region_local *local, const struct region_rules *rules,
                        const struct region_state *agreed, uint64_t now_ms,
                        struct region_state *out)
{
    *out = *agreed;
    for (uint32_t i = 0; i < local->count; i++) {
        const struct region_local_order *order = &local->orders[i];
        int index = region_state_find(out, order->name);
        if (order->offered_ms == 0 && index >= 0)
            route_region(order, rules, now_ms, &out->regions[index]);
    }
}

/* Orders. */

static bool keep(struct region_local *local, const char *name, uint64_t now_ms,
                 const struct region_request *request)
{
    struct region_local_order *order = region_local_named(local, name);
    if (order == NULL)
        return false;
    order->kind = request->kind;
    order->override = REGION_OVERRIDE_NONE;
    order->despite = request->despite;
    order->ramps = 0;
    order->since_ms = now_ms;
    order->expires_ms = request->ttl_ms == 0 ? 0 : now_ms + request->ttl_ms;
    order->offered_ms = 0;
    snprintf(order->by, sizeof(order->by), "%s", request->by);
    return true;
}

/* Nothing changes by itself while the store is away: this is kept to be offered. */
static enum region_answer give_of_all(struct region_local *local, uint64_t now_ms,
                                      const struct region_request *request)
{
    if (request->kind == REGION_THAW)
        return region_local_forget(local, REGION_LOCAL_ALL) ? REGION_DONE : REGION_NO_OVERRIDE;
    return keep(local, REGION_LOCAL_ALL, now_ms, request) ? REGION_DONE : REGION_UNKNOWN;
}

static enum region_answer give_of_region(struct region_local *local,
                                         const struct region_rules *rules,
                                         const struct region_state *agreed, uint64_t now_ms,
                                         const struct region_request *request)
{
    struct region_state then;
    region_local_route(local, rules, agreed, now_ms, &then);
    if (request->region >= then.count)
        return REGION_UNKNOWN;
    const struct region_record *record = &then.regions[request->region];
    bool ramped = record->automatic == REGION_RECOVERING;
    enum region_answer answer = region_rules_decide(rules, &then, no_votes(), now_ms, request);
    if (answer != REGION_DONE)
        return answer;
    if (!keep(local, record->name, now_ms, request))
        return REGION_UNKNOWN;
    struct region_local_order *order = region_local_named(local, record->name);
    order->override = record->override;
    order->ramps = record->automatic == REGION_RECOVERING && !ramped;
    return REGION_DONE;
}

enum region_answer region_local_give(struct region_local *local, const struct region_rules *rules,
                                     const struct region_state *agreed, uint64_t now_ms,
                                     const struct region_request *request)
{
    if (!region_local_takes(request->kind))
        return REGION_UNKNOWN;
    if (!region_request_is_of_region(request->kind))
        return give_of_all(local, now_ms, request);
    return give_of_region(local, rules, agreed, now_ms, request);
}

/* Whether all nodes do already what the order wants. */
static bool is_agreed(const struct region_local_order *order, const struct region_state *agreed,
                      uint64_t now_ms)
{
    if (is_of_all(order))
        return region_is_stopped(agreed, now_ms);
    int index = region_state_find(agreed, order->name);
    return index < 0 || agreed->regions[index].override == order->override;
}

void region_local_offer(struct region_local *local, const struct region_state *agreed,
                        uint64_t now_ms)
{
    for (uint32_t i = local->count; i-- > 0;) {
        struct region_local_order *order = &local->orders[i];
        if (order->offered_ms != 0)
            continue;
        if (is_agreed(order, agreed, now_ms))
            remove_at(local, i);
        else
            order->offered_ms = now_ms;
    }
}

/* Ends. */

static bool is_over(const struct region_local_order *order, const struct region_rules *rules,
                    const struct region_state *agreed, uint64_t now_ms)
{
    if (!is_of_all(order) && region_state_find(agreed, order->name) < 0)
        return true;
    if (order->expires_ms != 0 && now_ms >= order->expires_ms)
        return true;
    if (order->offered_ms != 0)
        return now_ms >= order->offered_ms + rules->proposal_ms;
    return order->ramps != 0 && is_agreed(order, agreed, now_ms) &&
           !is_ramping(order, rules, now_ms);
}

/* What comes after it: false, the order stays: too few active regions would be left without it. */
static bool end_at(struct region_local *local, uint32_t index, const struct region_rules *rules,
                   const struct region_state *agreed, uint64_t now_ms)
{
    struct region_local without = *local;
    struct region_state before;
    struct region_state after;
    struct region_local_order *order = &local->orders[index];
    int region = region_state_find(agreed, order->name);
    remove_at(&without, index);
    region_local_route(local, rules, agreed, now_ms, &before);
    region_local_route(&without, rules, agreed, now_ms, &after);
    if (region_active_count(&after) < region_active_count(&before) &&
        region_active_count(&after) < rules->min_active)
        return false;
    bool comes_back = region >= 0 && region_is_active(&after.regions[region]) &&
                      !region_is_active(&before.regions[region]);
    if (!comes_back) {
        *local = without;
        return true;
    }
    order->kind = order->kind == REGION_DRAIN ? REGION_UNDRAIN : REGION_UNFORCE;
    order->override = after.regions[region].override;
    order->ramps = 1;
    order->since_ms = now_ms;
    order->expires_ms = 0;
    return true;
}

bool region_local_expire(struct region_local *local, const struct region_rules *rules,
                         const struct region_state *agreed, uint64_t now_ms,
                         struct region_local_order *gone)
{
    for (uint32_t i = 0; i < local->count; i++) {
        *gone = local->orders[i];
        if (is_over(gone, rules, agreed, now_ms) && end_at(local, i, rules, agreed, now_ms))
            return true;
    }
    return false;
}
