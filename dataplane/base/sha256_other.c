/* sha256_other: processors whose SHA instructions we do not use. */
#include "dataplane/base/sha256.h"

void sha256_blocks(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    sha256_blocks_plain(state, blocks, count);
}
