#include "dataplane/h2/h2_frame.h"

const struct h2_frame_rule h2_frame_rules[H2_FRAME_TYPES] = {
#define FRAME(name, type, on, length_min, length_max, length_unit, bad_length, received, idle,     \
              half_closed, closed)                                                                 \
    [type] = {true,                                                                                \
              H2_ON_##on,                                                                          \
              length_min,                                                                          \
              length_max,                                                                          \
              length_unit,                                                                         \
              H2_VIOLATION_##bad_length,                                                           \
              H2_VIOLATION_##received,                                                             \
              H2_VIOLATION_##idle,                                                                 \
              H2_VIOLATION_##half_closed,                                                          \
              H2_VIOLATION_##closed},
#include "dataplane/h2/h2_frame_types.def"
#undef FRAME
};
