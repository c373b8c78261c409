#include "dataplane/net/flow.h"

#include <string.h>

/* The finaliser of MurmurHash3 (Appleby): every bit of the input changes half of the output. */
static uint64_t mix(uint64_t z)
{
    z ^= z >> 33;
    z *= 0xff51afd7ed558ccdu;
    z ^= z >> 33;
    z *= 0xc4ceb9fe1a85ec53u;
    return z ^ z >> 33;
}

uint32_t flow_spread(const struct flow_tuple *tuple)
{
    uint64_t words[4];
    uint32_t ports;
    memcpy(words, tuple, sizeof(words));
    memcpy(&ports, &tuple->local_port, sizeof(ports));
    uint64_t sum = words[0] * 0x9e3779b97f4a7c15u + words[1];
    sum = mix(sum) + words[2] * 0xbf58476d1ce4e5b9u + words[3];
    return (uint32_t)(mix(sum ^ (uint64_t)ports << 17) >> 32);
}
