/* checksum_other: on processors that we know no more about. */
#include "dataplane/net/checksum_steps.h"

uint64_t checksum_steps(const uint8_t *at, size_t steps)
{
    return checksum_steps_plain(at, steps);
}
