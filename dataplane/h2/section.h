/*
 * section: storage for header sections that live longer than a call, in two sizes, so that the
 * usual small section does not cost what the largest may. One worker.
 */
#pragma once

#include "dataplane/base/pool.h"
#include "dataplane/h2/fields.h"

#define SECTION_SMALL_BYTES 2048

struct section_pools {
    struct pool small;
    struct pool large;
    uint32_t large_bytes;
};

/*
 * Room for COUNT sections, one in eight of them as large as LARGE_BYTES. False: not enough memory.
 * At start.
 */
bool section_pools_init(struct section_pools *pools, const char *name, uint32_t count,
                        uint32_t large_bytes, int socket_id);

/*
 * A copy of FROM in memory of its own, into OUT. False: both sizes are used up (OUT is then empty,
 * data NULL). O(bytes).
 */
bool section_copy(struct section_pools *pools, const struct fields *from, struct fields *out);

/* Give a copy back and empty it; harmless for an empty one. */
void section_give_room(struct section_pools *pools, struct fields *section);

static inline void section_give(struct section_pools *pools, struct fields *section)
{
    if (section->data != NULL)
        section_give_room(pools, section);
}

static inline uint32_t section_pools_used(const struct section_pools *pools)
{
    return pool_used(&pools->small) + pool_used(&pools->large);
}
