#include "dataplane/h2/section.h"

#define SMALL_PER_LARGE 8

bool section_pools_init(struct section_pools *pools, const char *name, uint32_t count,
                        uint32_t large_bytes, int socket_id)
{
    uint32_t large_count = count / SMALL_PER_LARGE + 1;
    pools->large_bytes = large_bytes > SECTION_SMALL_BYTES ? large_bytes : 2 * SECTION_SMALL_BYTES;
    return pool_init(&pools->small, name, POOL_LIFO, count, SECTION_SMALL_BYTES, socket_id) &&
           pool_init(&pools->large, name, POOL_LIFO, large_count, pools->large_bytes, socket_id);
}

static void *take_room(struct section_pools *pools, uint32_t bytes, uint32_t *out_capacity)
{
    void *room = bytes <= SECTION_SMALL_BYTES ? pool_take(&pools->small) : NULL;
    *out_capacity = SECTION_SMALL_BYTES;
    if (room != NULL || bytes > pools->large_bytes)
        return room;
    *out_capacity = pools->large_bytes; /* tells section_give() which pool it came from */
    return pool_take(&pools->large);
}

bool section_copy(struct section_pools *pools, const struct fields *from, struct fields *out)
{
    uint32_t capacity;
    void *room = take_room(pools, from->used, &capacity);
    if (room == NULL) {
        *out = (struct fields){0};
        return false;
    }
    out->data = room;
    out->capacity = capacity;
    return fields_copy(out, from); /* there is as much room as it takes */
}

void section_give_room(struct section_pools *pools, struct fields *section)
{
    bool small = section->capacity == SECTION_SMALL_BYTES;
    pool_give(small ? &pools->small : &pools->large, section->data);
    *section = (struct fields){0};
}
