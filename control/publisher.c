#include "control/publisher.h"

#include "control/snapshot_build.h"
#include "dataplane/base/list.h"

#include <rte_rcu_qsbr.h>
#include <stdlib.h>

struct retired {
    struct list link;
    const struct snapshot *snapshot;
    uint64_t token;
};

struct publisher {
    struct worker_shared *shared;
    struct list retired; /* oldest first */
    uint64_t generation;
};

struct publisher *publisher_create(struct worker_shared *shared)
{
    struct publisher *publisher = calloc(1, sizeof(*publisher));
    if (publisher == NULL)
        return NULL;
    publisher->shared = shared;
    list_init(&publisher->retired);
    return publisher;
}

uint64_t publisher_generation(const struct publisher *publisher)
{
    return publisher->generation;
}

bool publisher_publish(struct publisher *publisher, const struct config *config,
                       const struct failover *failover, const struct cookie_secrets *secrets,
                       bool draining)
{
    struct retired *retired = calloc(1, sizeof(*retired));
    const struct snapshot *fresh =
        snapshot_build(config, failover, secrets, publisher->generation + 1, draining);
    if (retired == NULL || fresh == NULL) {
        free(retired);
        snapshot_free(fresh);
        return false;
    }
    publisher->generation++;
    retired->snapshot =
        atomic_exchange_explicit(&publisher->shared->snapshot, fresh, memory_order_acq_rel);
    if (retired->snapshot == NULL) {
        free(retired);
        return true;
    }
    retired->token = rte_rcu_qsbr_start(publisher->shared->quiescence);
    list_push_back(&publisher->retired, &retired->link);
    return true;
}

void publisher_reclaim(struct publisher *publisher)
{
    while (!list_is_empty(&publisher->retired)) {
        struct retired *oldest = list_entry(publisher->retired.next, struct retired, link);
        if (rte_rcu_qsbr_check(publisher->shared->quiescence, oldest->token, false) != 1)
            return;
        list_remove(&oldest->link);
        snapshot_free(oldest->snapshot);
        free(oldest);
    }
}
