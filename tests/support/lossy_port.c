#include "tests/support/lossy_port.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/random.h"

#include <rte_mbuf.h>

#define HELD_MAX 4096u

struct on_line {
    struct rte_mbuf *packet;
    uint64_t due_at_ns;
};

/* One direction: packets by the time they are due. */
struct line {
    struct on_line waiting[HELD_MAX];
    uint32_t count;
};

static struct {
    struct port_queue port; /* first: found from it */
    struct port_queue *inner;
    struct lossy_config config;
    struct random random;
    struct line in;
    struct line out;
} lossy;

static bool happens(uint32_t ppm)
{
    return random_below(&lossy.random, 1000000) < ppm;
}

static void insert(struct line *line, struct rte_mbuf *packet, uint64_t due_at_ns)
{
    if (line->count == HELD_MAX) {
        rte_pktmbuf_free(packet);
        return;
    }
    uint32_t at = line->count++;
    for (; at > 0 && line->waiting[at - 1].due_at_ns > due_at_ns; at--)
        line->waiting[at] = line->waiting[at - 1];
    line->waiting[at] = (struct on_line){packet, due_at_ns};
}

static void put(struct line *line, struct rte_mbuf *packet, uint64_t now)
{
    if (happens(lossy.config.drop_ppm)) {
        rte_pktmbuf_free(packet);
        return;
    }
    if (happens(lossy.config.duplicate_ppm)) {
        struct rte_mbuf *copy = rte_pktmbuf_copy(packet, lossy.inner->mempool, 0, UINT32_MAX);
        if (copy != NULL)
            insert(line, copy, now + lossy.config.delay_ns);
    }
    uint64_t late = happens(lossy.config.reorder_ppm) ? lossy.config.delay_ns : 0;
    insert(line, packet, now + lossy.config.delay_ns + late);
}

/* Up to MAX packets that are due. */
static uint16_t take(struct line *line, struct rte_mbuf **packets, uint16_t max, uint64_t now)
{
    uint16_t count = 0;
    while (count < max && count < line->count && line->waiting[count].due_at_ns <= now) {
        packets[count] = line->waiting[count].packet;
        count++;
    }
    line->count -= count;
    memmove(line->waiting, line->waiting + count, line->count * sizeof(line->waiting[0]));
    return count;
}

static void flush_out(uint64_t now)
{
    struct rte_mbuf *packets[32];
    uint16_t count;
    while ((count = take(&lossy.out, packets, 32, now)) > 0) {
        uint16_t sent = lossy.inner->transmit(lossy.inner, packets, count);
        rte_pktmbuf_free_bulk(packets + sent, count - sent);
    }
}

static uint16_t lossy_receive(struct port_queue *queue, struct rte_mbuf **packets, uint16_t max)
{
    struct rte_mbuf *arrived[32];
    uint64_t now = clock_now_ns();
    uint16_t count = lossy.inner->receive(lossy.inner, arrived, 32);
    for (uint16_t i = 0; i < count; i++)
        put(&lossy.in, arrived[i], now);
    flush_out(now);
    return take(&lossy.in, packets, max, now);
}

static uint16_t lossy_transmit(struct port_queue *queue, struct rte_mbuf **packets, uint16_t count)
{
    uint64_t now = clock_now_ns();
    for (uint16_t i = 0; i < count; i++)
        put(&lossy.out, packets[i], now);
    flush_out(now);
    return count;
}

struct port_queue *lossy_port(struct port_queue *inner, const struct lossy_config *config)
{
    check(lossy.inner == NULL);
    lossy.inner = inner;
    lossy.config = *config;
    random_seed(&lossy.random, config->seed);
    lossy.port = *inner;
    lossy.port.receive = lossy_receive;
    lossy.port.transmit = lossy_transmit;
    return &lossy.port;
}
