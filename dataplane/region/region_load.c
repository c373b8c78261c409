#include "dataplane/region/region_load.h"

#include "dataplane/base/counter.h"

void region_loads_recount(struct backend_loads *loads, const struct snapshot *snapshot)
{
    uint64_t sums[SNAPSHOT_REGIONS_MAX] = {0};
    for (uint32_t i = 0; i < snapshot->backend_count; i++) {
        const struct snapshot_backend *backend = &snapshot->backends[i];
        const struct backend_load *load = &loads->slots[backend->slot];
        if (load->generation == backend->generation)
            sums[backend->region] += load->in_flight;
    }
    for (uint32_t i = 0; i < SNAPSHOT_REGIONS_MAX; i++)
        counter_set(&loads->regions[i], sums[i]);
}

void region_loads_forget_others(struct backend_loads *loads)
{
    memset(loads->others, 0, sizeof(loads->others));
}

void region_loads_hear(struct backend_loads *loads, const struct backend_loads *other,
                       uint32_t region_count)
{
    for (uint32_t i = 0; i < region_count; i++)
        loads->others[i] += (uint32_t)counter_read(&other->regions[i]);
}
