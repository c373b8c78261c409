/*
 * failover_audit: the cluster's record of changes, asked of the store.
 */
#include "control/failover_internal.h"

#include <string.h>

static void refuse(failover_audited *done, void *context, const char *failure)
{
    const struct store_audit none = {.failure = failure};
    done(context, &none);
}

void failover_audit_end(struct failover *failover, const struct store_audit *audit)
{
    struct failover_reader readers[FAILOVER_COMMANDS_MAX];
    uint32_t count = failover->reader_count;
    memcpy(readers, failover->readers, sizeof(readers));
    failover->reader_count = 0;
    for (uint32_t i = 0; i < count; i++)
        readers[i].done(readers[i].context, audit);
}

void failover_audit(struct failover *failover, failover_audited *done, void *context)
{
    if (failover->link != STORE_CONNECTED) {
        refuse(done, context, failover->link_text);
        return;
    }
    if (failover->reader_count == FAILOVER_COMMANDS_MAX) {
        refuse(done, context, "too many ask for it");
        return;
    }
    failover->readers[failover->reader_count++] = (struct failover_reader){done, context};
    if (failover->reader_count == 1)
        store_audit(failover->store);
}
