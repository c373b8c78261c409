#include "dataplane/coalesce/markers.h"

#include "dataplane/base/memory.h"

bool markers_init(struct markers *markers, uint32_t count, int socket_id)
{
    uint32_t buckets = 1;
    while (buckets < count)
        buckets *= 2;
    *markers = (struct markers){
        .all = memory_take("coalesce markers", count * sizeof(struct marker), socket_id),
        .buckets = memory_take("coalesce markers", buckets * sizeof(uint32_t), socket_id),
        .bucket_mask = buckets - 1,
        .count = count,
    };
    return markers->all != NULL && markers->buckets != NULL;
}

static struct marker *at(struct markers *markers, uint32_t number)
{
    return &markers->all[number - 1];
}

static uint32_t number_of(const struct markers *markers, const struct marker *marker)
{
    return (uint32_t)(marker - markers->all) + 1;
}

static uint32_t *bucket_of(struct markers *markers, uint64_t hash)
{
    return &markers->buckets[(hash >> 32) & markers->bucket_mask];
}

/* --- by age --- */

static void unlink_age(struct markers *markers, struct marker *marker)
{
    if (marker->older != 0)
        at(markers, marker->older)->newer = marker->newer;
    else
        markers->oldest = marker->newer;
    if (marker->newer != 0)
        at(markers, marker->newer)->older = marker->older;
    else
        markers->newest = marker->older;
}

static void link_newest(struct markers *markers, struct marker *marker)
{
    uint32_t number = number_of(markers, marker);
    marker->newer = 0;
    marker->older = markers->newest;
    if (markers->newest != 0)
        at(markers, markers->newest)->newer = number;
    else
        markers->oldest = number;
    markers->newest = number;
}

/* --- by hash --- */

static void unlink_bucket(struct markers *markers, struct marker *marker)
{
    uint32_t *link = bucket_of(markers, marker->hash);
    while (*link != number_of(markers, marker))
        link = &at(markers, *link)->in_bucket;
    *link = marker->in_bucket;
}

struct marker *markers_find(struct markers *markers, uint64_t hash)
{
    uint32_t number = *bucket_of(markers, hash);
    while (number != 0 && at(markers, number)->hash != hash)
        number = at(markers, number)->in_bucket;
    if (number == 0)
        return NULL;
    struct marker *marker = at(markers, number);
    unlink_age(markers, marker);
    link_newest(markers, marker);
    return marker;
}

static struct marker *unused(struct markers *markers)
{
    if (markers->used < markers->count)
        return &markers->all[markers->used++];
    struct marker *oldest = at(markers, markers->oldest);
    unlink_age(markers, oldest);
    unlink_bucket(markers, oldest);
    return oldest;
}

struct marker *markers_take(struct markers *markers, uint64_t hash)
{
    struct marker *marker = markers_find(markers, hash);
    if (marker != NULL)
        return marker;
    uint32_t *bucket = bucket_of(markers, hash);
    marker = unused(markers);
    *marker = (struct marker){.hash = hash, .in_bucket = *bucket};
    *bucket = number_of(markers, marker);
    link_newest(markers, marker);
    return marker;
}
