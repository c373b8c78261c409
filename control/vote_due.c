#include "control/vote_due.h"

#include "control/region_quorum.h"
#include "control/region_table.h"
#include "dataplane/base/clock.h"

uint64_t vote_due_ns(const struct region_rules *rules, const struct verdict *verdict,
                     enum region_automatic automatic, uint64_t voted_at_ns)
{
    uint64_t first_ns = CLOCK_NEVER;
    for (uint32_t i = 0; i < region_row_count; i++) {
        const struct region_row *row = &region_rows[i];
        uint64_t since_ns = verdict->since_ns[row->evidence];
        if (row->from != automatic || since_ns == CLOCK_NEVER)
            continue;
        uint64_t held_at_ns = since_ns + region_dwell_ms(rules, row->dwell) * CLOCK_MS;
        if (held_at_ns > voted_at_ns && held_at_ns < first_ns)
            first_ns = held_at_ns;
    }
    return first_ns;
}
