/*
 * histograms: all histograms of one worker as one table, as counters.h for counters.
 */
#pragma once

#include "dataplane/base/histogram.h"
#include "dataplane/worker/counters.h"

struct histogram_description {
    const char *layer;
    const char *name;
    const char *unit;
    const char *help;
    enum counter_layer layer_index;
    uint32_t offset; /* bytes into the layer's struct */
};

extern const struct histogram_description histogram_descriptions[];
extern const uint32_t histogram_description_count;

/* Histogram INDEX (of the table). It goes on counting: counter_read(). Any thread. */
const struct histogram *worker_histogram(const struct worker_counters *counters, uint32_t index);
