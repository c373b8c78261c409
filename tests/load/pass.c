/*
 * pass: a wire in Weir's place, from clients' port to origins' and back, for measuring what the way
 * takes without Weir. It spins on one core and changes nothing but addresses, because client and
 * origin are one stack that would not speak to itself: what is 10.9.0.80 in front is 10.8.0.81
 * behind, the second byte one less and the last one more, so that no checksum changes. It passes
 * IPv4 and ARP; what the other port has no room for is lost.
 *
 *     pass FRONT_DEVICE BACK_DEVICE CPU [--huge]
 *
 * --huge: on huge pages, as Weir is where there are some.
 */
#include "dataplane/net/net.h"
#include "dataplane/net/port_setup.h"

#include <rte_byteorder.h>
#include <rte_eal.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MBUFS 8192

/* Where a frame's two addresses are; all frames that are passed are longer. */
#define IPV4_ADDRESSES                                                                             \
    {                                                                                              \
        26, 30                                                                                     \
    }
#define ARP_ADDRESSES                                                                              \
    {                                                                                              \
        28, 38                                                                                     \
    }
#define FRAME_LEAST 42

static volatile sig_atomic_t ended;

static void end(int number)
{
    ended = 1;
}

static void step(uint8_t *at, uint16_t by)
{
    uint16_t halves[2];
    memcpy(halves, at, sizeof(halves));
    halves[0] = rte_cpu_to_be_16((uint16_t)(rte_be_to_cpu_16(halves[0]) - by));
    halves[1] = rte_cpu_to_be_16((uint16_t)(rte_be_to_cpu_16(halves[1]) + by));
    memcpy(at, halves, sizeof(halves));
}

/* False: not a frame that is passed. */
static bool readdress(struct rte_mbuf *packet, uint16_t by)
{
    static const uint16_t ipv4[] = IPV4_ADDRESSES, arp[] = ARP_ADDRESSES;
    uint8_t *frame = rte_pktmbuf_mtod(packet, uint8_t *);
    if (packet->data_len < FRAME_LEAST)
        return false;
    uint16_t type = (uint16_t)(frame[12] << 8 | frame[13]);
    if (type != RTE_ETHER_TYPE_IPV4 && type != RTE_ETHER_TYPE_ARP)
        return false;
    for (int i = 0; i < 2; i++)
        step(frame + (type == RTE_ETHER_TYPE_ARP ? arp[i] : ipv4[i]), by);
    return true;
}

static void pass(struct port_queue *from, struct port_queue *to, uint16_t by)
{
    struct rte_mbuf *packets[NET_BURST];
    uint16_t kept = 0;
    uint16_t count = from->receive(from, packets, NET_BURST);
    for (uint16_t i = 0; i < count; i++) {
        if (readdress(packets[i], by))
            packets[kept++] = packets[i];
        else
            rte_pktmbuf_free(packets[i]);
    }
    uint16_t sent = kept > 0 ? to->transmit(to, packets, kept) : 0;
    if (sent < kept)
        rte_pktmbuf_free_bulk(packets + sent, (unsigned)(kept - sent));
}

static bool open_port(struct port *port, const char *name, const char *device)
{
    char message[512];
    struct port_request request = {.name = name,
                                   .device = device,
                                   .queues = 1,
                                   .mtu = 1500,
                                   .mbufs = MBUFS,
                                   .mbuf_bytes = 2048};
    if (port_open(port, &request, message, sizeof(message)))
        return true;
    fprintf(stderr, "pass: %s\n", message);
    return false;
}

static int eal(const char *cpu, bool huge)
{
    char lcores[32];
    snprintf(lcores, sizeof(lcores), "0@%s", cpu);
    const char *arguments[16] = {"pass",     "--no-pci", "--no-telemetry",
                                 "--lcores", lcores,     "--log-level=error"};
    int used = 6;
    if (huge) {
        arguments[used++] = "--in-memory";
    } else {
        arguments[used++] = "--no-huge";
        arguments[used++] = "--no-shconf";
        arguments[used++] = "-m";
        arguments[used++] = "256";
    }
    return rte_eal_init(used, (char **)(uintptr_t)arguments);
}

int main(int count, char **arguments)
{
    static struct port front, back;
    bool huge = count == 5 && strcmp(arguments[4], "--huge") == 0;
    if (count != 4 && !huge) {
        fprintf(stderr, "usage: pass FRONT_DEVICE BACK_DEVICE CPU [--huge]\n");
        return 2;
    }
    signal(SIGTERM, end);
    signal(SIGINT, end);
    if (eal(arguments[3], huge) < 0 || !open_port(&front, "front", arguments[1]) ||
        !open_port(&back, "back", arguments[2]))
        return 1;
    while (!ended) {
        pass(&front.queues[0], &back.queues[0], 1);
        pass(&back.queues[0], &front.queues[0], UINT16_MAX);
    }
    port_close(&front);
    port_close(&back);
    return 0;
}
