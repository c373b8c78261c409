/*
 * counters: all counters of one worker, and the table that describes them. The table is derived
 * from the layers' .def lists; metrics, `stats` and the manual are derived from the table.
 */
#pragma once

#include "dataplane/base/counter.h"
#include "dataplane/coalesce/coalesce.h"
#include "dataplane/h1/h1.h"
#include "dataplane/h2/h2.h"
#include "dataplane/net/net.h"
#include "dataplane/request/request.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/tls/tls.h"
#include "dataplane/upstream/upstream.h"

#define COUNTERS_STRUCT loop_counters
#define COUNTERS_DEF    "dataplane/worker/worker_counters.def"
#include "dataplane/base/counter_struct.h"

enum counter_layer {
    COUNTER_LAYER_WORKER,
    COUNTER_LAYER_NET,
    COUNTER_LAYER_TCP,
    COUNTER_LAYER_TLS,
    COUNTER_LAYER_H2,
    COUNTER_LAYER_H1,
    COUNTER_LAYER_UPSTREAM,
    COUNTER_LAYER_COALESCE,
    COUNTER_LAYER_REQUEST,
    COUNTER_LAYERS
};

/* Where each layer of one worker counts. Fixed once the worker is created. */
struct worker_counters {
    struct loop_counters loop;
    const void *layers[COUNTER_LAYERS]; /* the structs derived from the .def lists */
    const void *histograms[COUNTER_LAYERS]; /* likewise, histograms.h; NULL: it has none */
};

struct counter_description {
    const char *layer; /* worker, net, tcp, tls, h2, h1, upstream, coalesce, request */
    const char *name;
    const char *unit;
    const char *help;
    enum counter_layer layer_index;
    uint32_t offset; /* bytes into the layer's struct */
};

extern const struct counter_description counter_descriptions[];
extern const uint32_t counter_description_count;

/* The value of counter INDEX (of the table). Any thread. */
uint64_t worker_counter(const struct worker_counters *counters, uint32_t index);
