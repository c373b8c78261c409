#include "dataplane/worker/counters.h"

#include <stddef.h>

const struct counter_description counter_descriptions[] = {
#define COUNTER(name, unit, help) \
    {"worker", #name, unit, help, COUNTER_LAYER_WORKER, offsetof(struct loop_counters, name)},
#include "dataplane/worker/worker_counters.def"
#undef COUNTER
#define COUNTER(name, unit, help) \
    {"net", #name, unit, help, COUNTER_LAYER_NET, offsetof(struct net_counters, name)},
#include "dataplane/net/net_counters.def"
#undef COUNTER
#define COUNTER(name, unit, help) \
    {"tcp", #name, unit, help, COUNTER_LAYER_TCP, offsetof(struct tcp_counters, name)},
#include "dataplane/tcp/tcp_counters.def"
#undef COUNTER
#define COUNTER(name, unit, help) \
    {"tls", #name, unit, help, COUNTER_LAYER_TLS, offsetof(struct tls_counters, name)},
#include "dataplane/tls/tls_counters.def"
#undef COUNTER
#define COUNTER(name, unit, help) \
    {"h2", #name, unit, help, COUNTER_LAYER_H2, offsetof(struct h2_counters, name)},
#include "dataplane/h2/h2_counters.def"
#undef COUNTER
#define COUNTER(name, unit, help) \
    {"h1", #name, unit, help, COUNTER_LAYER_H1, offsetof(struct h1_counters, name)},
#include "dataplane/h1/h1_counters.def"
#undef COUNTER
#define COUNTER(name, unit, help) \
    {"upstream", #name, unit, help, COUNTER_LAYER_UPSTREAM,     \
     offsetof(struct upstream_counters, name)},
#include "dataplane/upstream/upstream_counters.def"
#undef COUNTER
#define COUNTER(name, unit, help) \
    {"coalesce", #name, unit, help, COUNTER_LAYER_COALESCE,     \
     offsetof(struct coalesce_counters, name)},
#include "dataplane/coalesce/coalesce_counters.def"
#undef COUNTER
#define COUNTER(name, unit, help) \
    {"request", #name, unit, help, COUNTER_LAYER_REQUEST,       \
     offsetof(struct request_counters, name)},
#include "dataplane/request/request_counters.def"
#undef COUNTER
};

const uint32_t counter_description_count =
    sizeof(counter_descriptions) / sizeof(counter_descriptions[0]);

uint64_t worker_counter(const struct worker_counters *counters, uint32_t index)
{
    const struct counter_description *what = &counter_descriptions[index];
    const uint8_t *layer = counters->layers[what->layer_index];
    return counter_read((const uint64_t *)(const void *)(layer + what->offset));
}
