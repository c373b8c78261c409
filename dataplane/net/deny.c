#include "dataplane/net/deny.h"

#include <endian.h>

/* The first range in [low, high) that ends at ADDRESS or later. */
static bool has_v4(const struct deny_table *table, uint32_t address)
{
    uint32_t low = table->v4_index[address >> 16];
    uint32_t high = table->v4_index[(address >> 16) + 1] + 1; /* one may reach over the border */
    if (high > table->v4_count)
        high = table->v4_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (table->v4[middle].last < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < table->v4_count && table->v4[low].first <= address &&
           table->v4[low].last >= address;
}

static bool is_less(const uint64_t a[2], const uint64_t b[2])
{
    return a[0] < b[0] || (a[0] == b[0] && a[1] < b[1]);
}

static bool has_v6(const struct deny_table *table, const struct ip_address *source)
{
    uint64_t address[2];
    memcpy(address, source->bytes, sizeof(address));
    address[0] = be64toh(address[0]);
    address[1] = be64toh(address[1]);
    uint32_t low = 0, high = table->v6_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (is_less(table->v6[middle].last, address))
            low = middle + 1;
        else
            high = middle;
    }
    return low < table->v6_count && !is_less(address, table->v6[low].first);
}

bool deny_has(const struct deny_table *table, const struct ip_address *source)
{
    if (table == NULL)
        return false;
    if (ip_address_is_v4(source))
        return table->v4_count > 0 && has_v4(table, ntohl(ip_address_v4(source)));
    return has_v6(table, source);
}
