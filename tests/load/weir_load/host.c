#include "tests/load/weir_load/load.h"

#include "dataplane/base/memory.h"

#include <rte_eal.h>
#include <stdio.h>
#include <time.h>

#define LAST_WORDS_NS    (50 * CLOCK_MS)
#define MTU              1500
#define MBUF_BYTES       2048
#define BURSTS_A_TURN    4
#define TIMERS_A_TURN    4096
#define EVENTS_A_TURN    4096
#define TIME_WAIT_MAX    65536
#define HPACK_MAX        8192 /* connections with compression state, at most */
#define PASSIVE_MAX      4096 /* connections that the origin takes */
#define SPANS_LEAST      65536
#define BLOCKS_LEAST     8192
#define WINDOW_BYTES     (256 * 1024)
#define CONNECTION_BYTES 1600 /* TCP, HTTP/2, ours, tables */
#define FIXED_MIB        512

static uint64_t connections_of(const struct load_options *options)
{
    uint64_t ours = options->role == LOAD_ORIGIN ? 0 : options->connections + options->idle;
    return ours + (options->role == LOAD_CLIENT ? 0 : PASSIVE_MAX) + 256;
}

static uint64_t streams_of(const struct load_options *options)
{
    return 2 * options->connections * options->streams + 16384;
}

uint64_t host_memory_mib(const struct load_options *options)
{
    uint64_t bytes = connections_of(options) * CONNECTION_BYTES + streams_of(options) * 512 +
                     options->mbufs * 2 * 2688;
    return bytes / (1024 * 1024) + FIXED_MIB;
}

static bool open_port(struct host *host, const char *name, const char *device,
                      const struct load_options *options, char *message, size_t message_size)
{
    struct port_request request = {
        .name = name,
        .device = device,
        .queues = 1,
        .mtu = MTU,
        .mbufs = (uint32_t)options->mbufs,
        .mbuf_bytes = MBUF_BYTES,
    };
    if (!port_open(&host->ports[host->port_count], &request, message, message_size))
        return false;
    host->port_count++;
    return true;
}

static void add_interface(struct net_config *net, const struct port *port,
                          const struct ip_prefix *addresses, uint32_t count)
{
    struct net_interface *interface = &net->interfaces[net->interface_count++];
    *interface = (struct net_interface){
        .port = net->queue_count, .mtu = MTU, .address_count = (uint8_t)count};
    memcpy(interface->mac, port->mac, sizeof(interface->mac));
    memcpy(interface->addresses, addresses, count * sizeof(addresses[0]));
    net->queues[net->queue_count++] = (struct port_queue *)&port->queues[0];
}

static bool create_net(struct host *host, const struct load_options *options)
{
    struct net_config net = {
        .workers = 1,
        .neighbours_max = 1024,
        .wheel = &host->wheel,
        .random = &host->random,
        .socket_id = -1,
    };
    uint32_t port = 0;
    if (options->role != LOAD_ORIGIN)
        add_interface(&net, &host->ports[port++], options->front_addresses,
                      options->front_address_count);
    if (options->role != LOAD_CLIENT)
        add_interface(&net, &host->ports[port], options->back_addresses,
                      options->back_address_count);
    host->net = net_create(&net);
    if (host->net != NULL)
        net_set_vips(host->net, options->sources, options->source_count);
    return host->net != NULL;
}

static bool create_tcp(struct host *host, const struct load_options *options)
{
    uint32_t connections = (uint32_t)connections_of(options);
    uint32_t requests = (uint32_t)streams_of(options);
    struct tcp_config tcp = {
        .net = host->net,
        .wheel = &host->wheel,
        .random = &host->random,
        .workers = 1,
        .connections_max = connections,
        .time_wait_max = TIME_WAIT_MAX,
        .spans_max = SPANS_LEAST + 2 * requests,
        .blocks_max = BLOCKS_LEAST + requests,
        .reassembly_max = (uint32_t)options->mbufs / 2,
        .receive_window_bytes = WINDOW_BYTES,
        .send_queue_bytes = WINDOW_BYTES,
        .listeners_max = LOAD_ADDRESSES_MAX,
        .connect_timeout_ns = 10 * CLOCK_S,
        .user_timeout_ns = 30 * CLOCK_S,
        .time_wait_ns = 10 * CLOCK_S,
        .socket_id = -1,
    };
    host->tcp = tcp_create(&tcp);
    return host->tcp != NULL;
}

static bool create_h2(struct host *host, const struct load_options *options)
{
    uint64_t tables = 2 * (options->connections + PASSIVE_MAX);
    struct h2_config h2 = {
        .wheel = &host->wheel,
        .random = &host->random,
        .connections_max = (uint32_t)connections_of(options),
        .streams_max = (uint32_t)streams_of(options),
        .header_blocks_max = 256,
        .hpack_tables_max = (uint32_t)(tables < 2 * HPACK_MAX ? tables : 2 * HPACK_MAX),
        .memo_places = 16,
        .server_concurrent_streams = 1000,
        .stream_window_bytes = WINDOW_BYTES,
        .connection_window_bytes = 4 * WINDOW_BYTES,
        .header_list_bytes = 16 * 1024,
        .settings_timeout_ns = 60 * CLOCK_S,
        .idle_timeout_ns = 86400 * CLOCK_S,
        .preface_timeout_ns = 60 * CLOCK_S,
        .socket_id = -1,
    };
    host->h2 = h2_create(&h2);
    return host->h2 != NULL;
}

bool host_open(struct host *host, const struct load_options *options, char *message,
               size_t message_size)
{
    bool client = options->role != LOAD_ORIGIN;
    bool origin = options->role != LOAD_CLIENT;
    if ((client && !open_port(host, "front", options->front, options, message, message_size)) ||
        (origin && !open_port(host, "back", options->back, options, message, message_size)))
        return false;
    memory_use(MEMORY_HUGEPAGES);
    timer_wheel_init(&host->wheel, clock_now_ns());
    uint64_t seed;
    random_secret(&seed, sizeof(seed));
    random_seed(&host->random, seed);
    if (create_net(host, options) && create_tcp(host, options) && create_h2(host, options)) {
        net_announce(host->net, clock_now_ns());
        return true;
    }
    snprintf(message, message_size, "not enough memory for the pools: --memory");
    return false;
}

bool host_receive(struct host *host, uint64_t now)
{
    uint32_t received = 0;
    for (uint8_t q = 0; q < host->port_count; q++) {
        struct port_queue *queue = &host->ports[q].queues[0];
        for (int burst = 0; burst < BURSTS_A_TURN; burst++) {
            struct rte_mbuf *packets[NET_BURST];
            struct net_arrivals arrivals;
            uint16_t count = queue->receive(queue, packets, NET_BURST);
            received += count;
            net_in(host->net, q, packets, count, now, &arrivals);
            tcp_in(host->tcp, arrivals.own, arrivals.own_count, now);
            if (count < NET_BURST)
                break;
        }
    }
    uint32_t fired = timer_wheel_advance(&host->wheel, now, TIMERS_A_TURN);
    return tcp_dispatch(host->tcp, EVENTS_A_TURN, now) + fired + received > 0;
}

void host_send(struct host *host, uint64_t now)
{
    h2_flush(host->h2, now);
    tcp_out(host->tcp, now);
    net_flush(host->net);
}

void host_close(struct host *host)
{
    uint64_t now = clock_now_ns();
    uint32_t at = 0;
    do {
        at = tcp_farewell(host->tcp, at, 64, now);
        net_flush(host->net);
    } while (at != 0);
    nanosleep(&(struct timespec){0, LAST_WORDS_NS},
              NULL); /* the peer reads them only while we are here */
    for (uint8_t i = 0; i < host->port_count; i++)
        port_close(&host->ports[i]);
}
