#include "dataplane/request/plan.h"

#include "dataplane/base/memory.h"

_Static_assert((PLAN_PLACES & (PLAN_PLACES - 1)) == 0, "places are chosen by a mask");

bool plans_init(struct plans *plans, int socket_id)
{
    plans->places =
        memory_take("request plans", PLAN_PLACES * sizeof(struct plan_place), socket_id);
    return plans->places != NULL;
}

/* Names are given one after the other. */
static struct plan_place *place_of(const struct plans *plans, uint64_t name)
{
    return &plans->places[name & (PLAN_PLACES - 1)];
}

const struct plan *plans_find(const struct plans *plans, const struct plan_of *of,
                              struct fields *forwarded)
{
    const struct plan_place *place = place_of(plans, of->name);
    if (of->name == 0 || place->name != of->name || place->generation != of->generation ||
        place->has_body != of->has_body || !fields_copy(forwarded, &place->forwarded))
        return NULL;
    return &place->plan;
}

void plans_keep(struct plans *plans, const struct plan_of *of, const struct plan *plan,
                const struct fields *forwarded)
{
    struct plan_place *place = place_of(plans, of->name);
    if (of->name == 0 || forwarded->overflow || forwarded->used > PLAN_SECTION_BYTES ||
        plan->key.length > PLAN_KEY_BYTES)
        return;
    place->name = of->name;
    place->generation = of->generation;
    place->has_body = of->has_body;
    place->plan = *plan;
    place->plan.key = bytes_of(place->key, plan->key.length);
    if (plan->key.length > 0)
        memcpy(place->key, plan->key.data, plan->key.length);
    fields_init(&place->forwarded, place->section, sizeof(place->section));
    (void)fields_copy(&place->forwarded, forwarded);
    fields_name(&place->forwarded, PLAN_NAMES | ++plans->names);
}
