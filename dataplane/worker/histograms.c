#include "dataplane/worker/histograms.h"

#include "dataplane/base/check.h"

#include <stddef.h>

const struct histogram_description histogram_descriptions[] = {
#define HISTOGRAM(name, unit, help)                                                                \
    {"coalesce",                                                                                   \
     #name,                                                                                        \
     unit,                                                                                         \
     help,                                                                                         \
     COUNTER_LAYER_COALESCE,                                                                       \
     offsetof(struct coalesce_histograms, name)},
#include "dataplane/coalesce/coalesce_histograms.def"
#undef HISTOGRAM
#define HISTOGRAM(name, unit, help)                                                                \
    {"request",                                                                                    \
     #name,                                                                                        \
     unit,                                                                                         \
     help,                                                                                         \
     COUNTER_LAYER_REQUEST,                                                                        \
     offsetof(struct request_histograms, name)},
#include "dataplane/request/request_histograms.def"
#undef HISTOGRAM
};

const uint32_t histogram_description_count = array_count(histogram_descriptions);

const struct histogram *worker_histogram(const struct worker_counters *counters, uint32_t index)
{
    check(index < histogram_description_count);
    const struct histogram_description *description = &histogram_descriptions[index];
    const uint8_t *layer = counters->histograms[description->layer_index];
    return (const struct histogram *)(const void *)(layer + description->offset);
}
