/*
 * Turns a layer's .def list into its struct, as counter_struct.h: define HISTOGRAMS_STRUCT and
 * HISTOGRAMS_DEF, include this.
 */
#include "dataplane/base/histogram.h"

#define HISTOGRAM(name, unit, help) struct histogram name;
struct HISTOGRAMS_STRUCT {
#include HISTOGRAMS_DEF
};
#undef HISTOGRAM
#undef HISTOGRAMS_STRUCT
#undef HISTOGRAMS_DEF
