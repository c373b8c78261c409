#include "dataplane/net/rss.h"

#include "dataplane/base/random.h"

#include <string.h>

/* A quarter of a fair share tells a poor key from chance. */
#define SAMPLES_A_QUEUE 256u
#define SHARE_MIN       (SAMPLES_A_QUEUE / 4)

/* The 32 bits of the key from bit AT on. */
static uint32_t window_at(const uint8_t *key, uint32_t at)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < 5; i++)
        bits = bits << 8 | key[at / 8 + i];
    return (uint32_t)(bits >> (8 - at % 8));
}

/* The hash is linear: the sum of what each set bit of the input adds. */
static uint32_t nibble_sum(const uint8_t *key, uint32_t nibble, uint32_t value)
{
    uint32_t sum = 0;
    for (uint32_t bit = 0; bit < 4; bit++)
        if (value >> (3 - bit) & 1)
            sum ^= window_at(key, 4 * nibble + bit);
    return sum;
}

bool port_rss_set_key(struct port_rss *rss, const uint8_t *key, size_t length)
{
    if (length < PORT_RSS_INPUT_BYTES + 4)
        return false;
    for (uint32_t nibble = 0; nibble < 2 * PORT_RSS_INPUT_BYTES; nibble++)
        for (uint32_t value = 0; value < 16; value++)
            rss->nibbles[nibble][value] = nibble_sum(key, nibble, value);
    return true;
}

static uint32_t bytes_sum(const struct port_rss *rss, uint32_t place, const uint8_t *bytes,
                          uint32_t count)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum ^= rss->nibbles[2 * (place + i)][bytes[i] >> 4] ^
               rss->nibbles[2 * (place + i) + 1][bytes[i] & 0xf];
    return sum;
}

uint32_t port_rss_hash(const struct port_rss *rss, const struct flow_tuple *tuple)
{
    bool v4 = ip_address_is_v4(&tuple->remote);
    uint32_t skip = v4 ? 12 : 0; /* of the mapped form */
    uint32_t bytes = 16 - skip;
    const uint8_t ports[4] = {
        (uint8_t)(tuple->remote_port >> 8),
        (uint8_t)tuple->remote_port,
        (uint8_t)(tuple->local_port >> 8),
        (uint8_t)tuple->local_port,
    };
    return bytes_sum(rss, 0, tuple->remote.bytes + skip, bytes) ^
           bytes_sum(rss, bytes, tuple->local.bytes + skip, bytes) ^
           bytes_sum(rss, 2 * bytes, ports, sizeof(ports));
}

static struct flow_tuple draw_tuple(struct random *random, bool v4)
{
    struct flow_tuple tuple = {.local_port = 443, .remote_port = (uint16_t)random_u64(random)};
    struct ip_address *ends[] = {&tuple.local, &tuple.remote};
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t half = i == 0 ? 1 : random_u64(random);
        *ends[i] = ip_address_from_v4(htonl(0x0a000000u | ((uint32_t)half & 0xffffffu)));
        if (!v4) {
            memset(ends[i]->bytes, 0xfd, 8);
            memcpy(ends[i]->bytes + 8, &half, 8);
        }
    }
    return tuple;
}

static bool family_spreads(const struct port_rss *rss, uint16_t queues, bool v4)
{
    uint32_t shares[UINT8_MAX + 1] = {0};
    struct random random;
    random_seed(&random, 1);
    for (uint32_t i = 0; i < SAMPLES_A_QUEUE * queues; i++) {
        struct flow_tuple tuple = draw_tuple(&random, v4);
        shares[port_rss_queue(rss, port_rss_hash(rss, &tuple))]++;
    }
    for (uint16_t queue = 0; queue < queues; queue++)
        if (shares[queue] < SHARE_MIN)
            return false;
    return true;
}

bool port_rss_spreads(const struct port_rss *rss, uint16_t queues)
{
    return (!rss->v4 || family_spreads(rss, queues, true)) &&
           (!rss->v6 || family_spreads(rss, queues, false));
}
