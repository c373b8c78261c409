#include "control/deny_build.h"

#include "dataplane/base/check.h"
#include "dataplane/base/list.h"

#include <endian.h>
#include <stdlib.h>

/* One block of memory, found from the table. */
struct built {
    struct deny_table table;
    uint32_t holders;
    uint32_t v4_index[DENY_V4_INDEX];
    struct deny_v4 *v4;
    struct deny_v6 *v6;
};

static void mask_of(uint32_t bits, uint64_t mask[2])
{
    mask[0] = bits == 0 ? 0 : bits >= 64 ? UINT64_MAX : UINT64_MAX << (64 - bits);
    mask[1] = bits <= 64 ? 0 : bits >= 128 ? UINT64_MAX : UINT64_MAX << (128 - bits);
}

static struct deny_v6 range_of(const struct ip_prefix *network)
{
    struct deny_v6 range;
    uint64_t address[2], mask[2];
    memcpy(address, network->address.bytes, sizeof(address));
    mask_of(network->bits, mask);
    for (int i = 0; i < 2; i++) {
        range.first[i] = be64toh(address[i]) & mask[i];
        range.last[i] = range.first[i] | ~mask[i];
    }
    return range;
}

static int compare(const void *a, const void *b)
{
    const struct deny_v6 *x = a, *y = b;
    if (x->first[0] != y->first[0])
        return x->first[0] < y->first[0] ? -1 : 1;
    if (x->first[1] != y->first[1])
        return x->first[1] < y->first[1] ? -1 : 1;
    return 0;
}

static bool ends_before(const struct deny_v6 *a, const struct deny_v6 *b)
{
    return a->last[0] < b->first[0] || (a->last[0] == b->first[0] && a->last[1] < b->first[1]);
}

/* Networks lie in each other or apart: of those in each other the first, largest, counts. */
static uint32_t keep_largest(struct deny_v6 *ranges, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (kept > 0 && !ends_before(&ranges[kept - 1], &ranges[i])) {
            bool longer = ranges[i].last[0] > ranges[kept - 1].last[0] ||
                          (ranges[i].last[0] == ranges[kept - 1].last[0] &&
                           ranges[i].last[1] > ranges[kept - 1].last[1]);
            if (longer) /* the same first address, listed before the larger one */
                ranges[kept - 1] = ranges[i];
            continue;
        }
        ranges[kept++] = ranges[i];
    }
    return kept;
}

/* Of ::ffff:0:0/96 what the range holds: none, a part, or all of it. */
static bool v4_part(const struct deny_v6 *range, struct deny_v4 *out)
{
    static const uint64_t mapped = 0xffffull << 32;
    bool before = range->last[0] == 0 && range->last[1] < mapped;
    bool behind = range->first[0] > 0 || range->first[1] > (mapped | UINT32_MAX);
    if (before || behind)
        return false;
    bool from_start = range->first[1] < mapped;
    bool to_end = range->last[0] > 0 || range->last[1] > (mapped | UINT32_MAX);
    out->first = from_start ? 0 : (uint32_t)range->first[1];
    out->last = to_end ? UINT32_MAX : (uint32_t)range->last[1];
    return true;
}

static void index_v4(struct built *built)
{
    uint32_t at = 0;
    for (uint32_t high = 0; high < DENY_V4_INDEX; high++) {
        while (at < built->table.v4_count && built->v4[at].last >> 16 < high)
            at++;
        built->v4_index[high] = at;
    }
}

static bool fill(struct built *built, const struct ip_prefix *networks, uint32_t count)
{
    built->v6 = calloc(count, sizeof(*built->v6));
    built->v4 = calloc(count, sizeof(*built->v4));
    if (built->v6 == NULL || built->v4 == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++)
        built->v6[i] = range_of(&networks[i]);
    qsort(built->v6, count, sizeof(*built->v6), compare);
    uint32_t kept = keep_largest(built->v6, count);
    for (uint32_t i = 0; i < kept; i++)
        built->table.v4_count += v4_part(&built->v6[i], &built->v4[built->table.v4_count]);
    built->table.v6_count = kept;
    built->table.v4 = built->v4;
    built->table.v6 = built->v6;
    built->table.v4_index = built->v4_index;
    index_v4(built);
    return true;
}

static void destroy(struct built *built)
{
    free(built->v4);
    free(built->v6);
    free(built);
}

const struct deny_table *deny_build(const struct ip_prefix *networks, uint32_t count, bool *failed)
{
    *failed = false;
    if (count == 0)
        return NULL;
    struct built *built = calloc(1, sizeof(*built));
    *failed = built == NULL || !fill(built, networks, count);
    if (*failed) {
        if (built != NULL)
            destroy(built);
        return NULL;
    }
    built->holders = 1;
    return &built->table;
}

static struct built *built_of(const struct deny_table *table)
{
    return container_of((struct deny_table *)table, struct built, table);
}

const struct deny_table *deny_hold(const struct deny_table *table)
{
    if (table != NULL)
        built_of(table)->holders++;
    return table;
}

void deny_drop(const struct deny_table *table)
{
    if (table == NULL)
        return;
    struct built *built = built_of(table);
    check(built->holders > 0);
    if (--built->holders == 0)
        destroy(built);
}
