#include "dataplane/net/checksum_steps.h"

#include "dataplane/base/check.h"
#include "dataplane/net/checksum.h"

#include <rte_mbuf.h>

/* The lanes of a sum take so many steps without overflow. */
#define STEPS_MAX 32768u

static uint64_t sum_tail(const uint8_t *at, size_t length)
{
    uint64_t sum = 0;
    for (; length >= 8; length -= 8, at += 8)
        sum += checksum_8(at);
    if (length & 4) {
        uint32_t word;
        memcpy(&word, at, sizeof(word));
        sum += word;
        at += sizeof(word);
    }
    if (length & 2) {
        uint16_t word;
        memcpy(&word, at, sizeof(word));
        sum += word;
        at += sizeof(word);
    }
    uint8_t last[2] = {length & 1 ? *at : 0, 0};
    uint16_t word;
    memcpy(&word, last, sizeof(word));
    return sum + word;
}

uint16_t checksum_bytes(const void *data, size_t length)
{
    const uint8_t *at = data;
    uint64_t sum = 0;
    while (length >= CHECKSUM_STEP_BYTES) {
        size_t steps = length / CHECKSUM_STEP_BYTES;
        if (steps > STEPS_MAX)
            steps = STEPS_MAX;
        sum += checksum_steps(at, steps);
        at += steps * CHECKSUM_STEP_BYTES;
        length -= steps * CHECKSUM_STEP_BYTES;
    }
    return checksum_fold(sum + sum_tail(at, length));
}

/* A piece that begins at an odd place has its words the other way round (RFC 1071 2 B). */
static uint16_t swapped_if(bool odd, uint16_t sum)
{
    return odd ? (uint16_t)(sum << 8 | sum >> 8) : sum;
}

uint16_t checksum_packet(const struct rte_mbuf *packet, uint32_t offset, uint32_t length)
{
    check(offset + length <= packet->pkt_len);
    if (offset + length <= packet->data_len)
        return checksum_bytes(rte_pktmbuf_mtod_offset(packet, const uint8_t *, offset), length);
    uint64_t sum = 0;
    uint32_t done = 0;
    for (; done < length; packet = packet->next) {
        if (offset >= packet->data_len) {
            offset -= packet->data_len;
            continue;
        }
        uint32_t piece = packet->data_len - offset;
        if (piece > length - done)
            piece = length - done;
        const uint8_t *at = rte_pktmbuf_mtod_offset(packet, const uint8_t *, offset);
        sum += swapped_if(done % 2 != 0, checksum_bytes(at, piece));
        done += piece;
        offset = 0;
    }
    return checksum_fold(sum);
}
