/*
 * port_echo: a net on each queue of a real port, without anything above: they answer ARP, NDP and
 * echo for one IPv4 and one IPv6 address until told to end. For trying drivers.
 *
 *     port_echo DEVARGS V4/BITS V6/BITS [MBUFS [QUEUES [ping V4]]] [-- EAL ARGUMENTS]
 *
 * With `ping` it asks that neighbour by ARP and prints whether it answers. Prints what the port
 * offers when it is ready, the counters that are not zero at the end.
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/net/net.h"
#include "dataplane/net/port_setup.h"

#include <rte_eal.h>
#include <rte_mbuf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDLE_TURNS 64

static volatile sig_atomic_t ended;

static void end(int signal_number)
{
    ended = 1;
}

static struct port port;
static struct timer_wheel wheel;
static struct random dice;

static struct net *nets[NET_WORKERS_MAX];

static struct net *make_net(uint16_t queue, const char *v4, const char *v6)
{
    struct net_config config = {
        .self = queue,
        .workers = port.queue_count,
        .queue_count = 1,
        .queues = {&port.queues[queue]},
        .interface_count = 1,
        .interfaces = {{.mtu = port.mtu, .address_count = 2}},
        .neighbours_max = 64,
        .wheel = &wheel,
        .random = &dice,
        .socket_id = -1,
    };
    memcpy(config.interfaces[0].mac, port.mac, sizeof(port.mac));
    check(ip_prefix_parse(v4, &config.interfaces[0].addresses[0]));
    check(ip_prefix_parse(v6, &config.interfaces[0].addresses[1]));
    return net_create(&config);
}

static void print_port(void)
{
    const struct port_features *f = &port.features;
    printf("ready %s driver=%s mac=%02x:%02x:%02x:%02x:%02x:%02x link=%d rx_checksum=%d "
           "tx_checksum_ip=%d tx_checksum_tcp=%d rss=%d multi_segment=%d mtu_max=%u queues_max=%u "
           "descriptors=%u/%u\n",
           port.name, port.driver, port.mac[0], port.mac[1], port.mac[2], port.mac[3], port.mac[4],
           port.mac[5], port.link_up, f->rx_checksum, f->tx_checksum_ip, f->tx_checksum_tcp, f->rss,
           f->multi_segment_tx, f->mtu_max, f->queues_max, port.rx_descriptors,
           port.tx_descriptors);
    fflush(stdout);
}

static void print_counters(uint16_t queue)
{
    const struct net_counters *counters = net_counters(nets[queue]);
    printf("queue %u\n", queue);
#define COUNTER(name, unit, help)                                                                  \
    if (counters->name != 0)                                                                       \
        printf("%s %llu\n", #name, (unsigned long long)counters->name);
#include "dataplane/net/net_counters.def"
#undef COUNTER
}

/* One turn of a queue; false: nothing came. */
static bool turn(uint16_t queue)
{
    struct rte_mbuf *packets[NET_BURST];
    struct net_arrivals arrivals;
    uint64_t now = clock_now_ns();
    uint16_t count = port.queues[queue].receive(&port.queues[queue], packets, NET_BURST);
    net_in(nets[queue], 0, packets, count, now, &arrivals);
    rte_pktmbuf_free_bulk(arrivals.own, arrivals.own_count);
    rte_pktmbuf_free_bulk(arrivals.foreign, arrivals.foreign_count);
    timer_wheel_advance(&wheel, now, 100);
    net_flush(nets[queue]);
    return count > 0;
}

static void serve(void)
{
    unsigned idle = 0;
    while (!ended) {
        for (uint16_t i = 0; i < port.queue_count; i++)
            idle = turn(i) ? 0 : idle + 1;
        if (idle > IDLE_TURNS)
            usleep(100);
    }
}

/* It answered, or its announcement came first. */
static bool is_known(struct net *net)
{
    const struct net_counters *counters = net_counters(net);
    return counters->neighbour_confirmed + counters->neighbour_seen > 0;
}

/* Asks until the neighbour is known or has failed. */
static bool ask(struct net *net, const char *text)
{
    struct ip_address remote, local;
    struct net_path path;
    check(ip_address_parse(text, &remote) && net_route(net, &remote, &path));
    check(net_source_address(net, &path, &remote, &local));
    struct rte_mbuf *packet = net_packet_take(net, &path);
    check(packet != NULL && rte_pktmbuf_append(packet, 20) != NULL);
    struct net_send how = {&path, &local, &remote, 6, 0};
    net_send(net, &how, packet, clock_now_ns());
    while (!ended && net_is_reachable(net, &path) && !is_known(net)) {
        turn(0);
        usleep(100);
    }
    return is_known(net);
}

static int run(char **arguments, int count)
{
    char message[512];
    struct port_request request = {
        .name = "test",
        .device = arguments[1],
        .queues = (uint16_t)(count > 5 ? atoi(arguments[5]) : 1),
        .mtu = 1500,
        .mbufs = (uint32_t)(count > 4 ? atoi(arguments[4]) : 4096),
        .mbuf_bytes = 2048,
    };
    if (!port_open(&port, &request, message, sizeof(message))) {
        fprintf(stderr, "%s\n", message);
        return 1;
    }
    timer_wheel_init(&wheel, clock_now_ns());
    random_seed(&dice, 1);
    for (uint16_t i = 0; i < port.queue_count; i++)
        check((nets[i] = make_net(i, arguments[2], arguments[3])) != NULL);
    print_port();
    net_announce(nets[0], clock_now_ns());
    if (count > 7)
        printf("%s\n", ask(nets[0], arguments[7]) ? "answered" : "no answer");
    else
        serve();
    for (uint16_t i = 0; i < port.queue_count; i++)
        print_counters(i);
    port_close(&port);
    return 0;
}

int main(int argc, char **argv)
{
    int own = 1;
    while (own < argc && strcmp(argv[own], "--") != 0)
        own++;
    char *eal[64] = {argv[0]};
    int eal_count = 1;
    for (int i = own + 1; i < argc && eal_count < 60; i++)
        eal[eal_count++] = argv[i];
    signal(SIGTERM, end);
    signal(SIGINT, end);
    if (own < 4 || rte_eal_init(eal_count, eal) < 0) {
        fprintf(stderr, "port_echo DEVARGS V4/BITS V6/BITS [MBUFS [QUEUES [ping V4]]] [-- EAL]\n");
        return 2;
    }
    int status = run(argv, own);
    rte_eal_cleanup();
    return status;
}
