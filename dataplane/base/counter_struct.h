/*
 * Turns a layer's .def list into its struct: define COUNTERS_STRUCT and COUNTERS_DEF, include this.
 *
 *     #define COUNTERS_STRUCT net_counters
 *     #define COUNTERS_DEF    "dataplane/net/net_counters.def"
 *     #include "dataplane/base/counter_struct.h"
 */
#include <stdint.h>

#define COUNTER(name, unit, help) uint64_t name;
struct COUNTERS_STRUCT {
#include COUNTERS_DEF
};
#undef COUNTER
#undef COUNTERS_STRUCT
#undef COUNTERS_DEF
