/*
 * control_mail: what the control thread and a worker tell each other. Two single-producer rings a
 * worker; 64-byte messages; nobody waits. Orders go down, facts come up.
 */
#pragma once

#include "dataplane/base/ip_address.h"
#include "dataplane/coalesce/coalesce.h"
#include "dataplane/upstream/upstream.h"

enum order_kind {
    ORDER_PROBE,       /* probe a backend of the current snapshot: FACT_PROBED answers */
    ORDER_FLIGHT_LIST, /* answer with a FACT_FLIGHT each (at most 256), then FACT_FLIGHT_END */
    ORDER_FLIGHT_KILL, /* end `flight`: a FACT_FLIGHT if there was one, then FACT_FLIGHT_END */
    ORDER_STOP,        /* close what is left and end the worker's loop */
};

struct order {
    uint8_t kind; /* enum order_kind */
    uint8_t pad[3];
    uint32_t token; /* handed back in the answer */
    union {
        struct probe_order probe;
        uint64_t flight; /* handle */
    };
};

enum fact_kind {
    FACT_PROBED,
    FACT_FLIGHT,
    FACT_FLIGHT_END,
    FACT_DRAINED, /* snapshot->draining was seen, and the last client connection has gone */
    FACT_STOPPED, /* the loop has ended */
};

struct fact {
    uint8_t kind; /* enum fact_kind */
    uint8_t pad;
    uint16_t worker;
    uint32_t token; /* of the order; FACT_DRAINED: the snapshot's generation */
    union {
        struct probe_result probed;
        struct fact_flight flight;
    };
};

_Static_assert(sizeof(struct order) <= 80, "small");
_Static_assert(sizeof(struct fact) <= 64, "one cache line");
