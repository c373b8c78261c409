#include "dataplane/net/port_setup.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/net/port_pool.h"
#include "dataplane/net/rss_setup.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DESCRIPTORS       1024
#define FRAME_OVERHEAD    22u /* Ethernet, VLAN tag and check sequence */
#define POOL_CACHE_MAX    256 /* mbufs each worker keeps of a pool at most */
#define LINK_WAIT_MS      2000
#define LINK_WAIT_STEP_MS 20
#define AF_XDP_FILL       2048 /* mbufs that the driver takes into its fill ring */
#define AF_XDP_MBUFS_MIN  (AF_XDP_FILL + 1024)
#define AF_XDP_HEADROOM   256u /* bytes of each mbuf that the kernel keeps free in front */
#define AF_XDP_CHUNK_MAX  4096
#define EMPTY_RECEIVE_NS  (200 * CLOCK_MS) /* longer: it sleeps, busy polling was refused */
#define RX_CHECKSUMS      (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)

/* What the steps of port_open() hand on. */
struct opening {
    struct port *port;
    const struct port_request *request;
    struct rte_eth_dev_info info;
    char *message;
    size_t message_size;
};

__attribute__((format(printf, 2, 3))) static bool refuse(const struct opening *opening,
                                                         const char *format, ...)
{
    int length = snprintf(opening->message, opening->message_size,
                          "port %s (%s): ", opening->request->name, opening->request->device);
    va_list arguments;
    va_start(arguments, format);
    if (length >= 0 && (size_t)length < opening->message_size)
        vsnprintf(opening->message + length, opening->message_size - (size_t)length, format,
                  arguments);
    va_end(arguments);
    return false;
}

static bool is_af_xdp(const struct port *port)
{
    return strcmp(port->driver, "net_af_xdp") == 0;
}

/* ---- finding the device ---- */

/* Devargs begin with the device's name. */
static bool find_device(struct opening *opening)
{
    char name[RTE_ETH_NAME_MAX_LEN];
    size_t length = strcspn(opening->request->device, ",");
    if (length == 0 || length >= sizeof(name))
        return refuse(opening, "the device has to begin with a name of 1 to %zu characters",
                      sizeof(name) - 1);
    memcpy(name, opening->request->device, length);
    name[length] = '\0';
    int result = rte_dev_probe(opening->request->device);
    if (result < 0 && result != -EEXIST)
        return refuse(opening,
                      "no driver takes this device (%s); devargs look like "
                      "net_af_xdp0,iface=eth1 or 0000:03:00.0 (bound to vfio-pci)",
                      rte_strerror(-result));
    if (rte_eth_dev_get_port_by_name(name, &opening->port->device_id) == 0)
        return true;
    struct rte_dev_iterator iterator;
    uint16_t id;
    RTE_ETH_FOREACH_MATCHING_DEV(id, opening->request->device, &iterator)
    {
        opening->port->device_id = id;
        rte_eth_iterator_cleanup(&iterator);
        return true;
    }
    return refuse(opening, "the device was taken by a driver but is not an Ethernet port");
}

/* ---- what it can do ---- */

static uint16_t mtu_max(const struct rte_eth_dev_info *info)
{
    uint32_t by_frame = info->max_rx_pktlen > RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN
                            ? info->max_rx_pktlen - RTE_ETHER_HDR_LEN - RTE_ETHER_CRC_LEN
                            : RTE_ETHER_MTU;
    uint32_t most = info->max_mtu != 0 && info->max_mtu < by_frame ? info->max_mtu : by_frame;
    return most < UINT16_MAX ? (uint16_t)most : UINT16_MAX;
}

static void features_note(struct opening *opening)
{
    const struct rte_eth_dev_info *info = &opening->info;
    uint64_t tx = info->tx_offload_capa;
    opening->port->features = (struct port_features){
        .rx_checksum = (info->rx_offload_capa & RX_CHECKSUMS) == RX_CHECKSUMS,
        .tx_checksum_ip = (tx & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0,
        .tx_checksum_tcp = (tx & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0,
        .multi_segment_tx = (tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0,
        .rss = (info->flow_type_rss_offloads & RSS_SETUP_TYPES) != 0,
        .mtu_max = mtu_max(info),
        .queues_max = RTE_MIN(info->max_rx_queues, info->max_tx_queues),
        .rss_types = info->flow_type_rss_offloads,
        .reta_entries = info->reta_size,
        .rss_key_bytes = info->hash_key_size,
    };
}

static bool query(struct opening *opening)
{
    struct port *port = opening->port;
    int result = rte_eth_dev_info_get(port->device_id, &opening->info);
    if (result != 0)
        return refuse(opening, "the device does not say what it can do (%s)",
                      rte_strerror(-result));
    snprintf(port->driver, sizeof(port->driver), "%s", opening->info.driver_name);
    int socket_id = rte_eth_dev_socket_id(port->device_id);
    port->socket_id = socket_id < 0 ? SOCKET_ID_ANY : socket_id;
    features_note(opening);
    return true;
}

static bool check_af_xdp(const struct opening *opening)
{
    const struct port_request *request = opening->request;
    if (request->mbufs < AF_XDP_MBUFS_MIN)
        return refuse(opening, "%u packet buffers a queue, AF_XDP needs at least %u",
                      request->mbufs, AF_XDP_MBUFS_MIN);
    uint32_t least = request->mtu + FRAME_OVERHEAD + AF_XDP_HEADROOM;
    if (request->mbuf_bytes < least)
        return refuse(opening, "buffers of %u bytes, AF_XDP needs %u for an MTU of %u",
                      request->mbuf_bytes, least, request->mtu);
    uint32_t chunk = rte_mempool_calc_obj_size(
        (uint32_t)sizeof(struct rte_mbuf) + RTE_PKTMBUF_HEADROOM + request->mbuf_bytes, 0, NULL);
    if (chunk > AF_XDP_CHUNK_MAX)
        return refuse(opening, "buffers of %u bytes (%u with overhead), AF_XDP takes %u at most",
                      request->mbuf_bytes, chunk, AF_XDP_CHUNK_MAX);
    return true;
}

static bool check_request(const struct opening *opening)
{
    const struct port_request *request = opening->request;
    const struct port_features *features = &opening->port->features;
    if (request->queues < 1 || request->queues > array_count(opening->port->queues))
        return refuse(opening, "%u queues wanted, 1 to %zu are possible", request->queues,
                      array_count(opening->port->queues));
    if (request->queues > features->queues_max)
        return refuse(opening, "%u queues wanted (one a worker), the device has %u%s",
                      request->queues, features->queues_max,
                      is_af_xdp(opening->port) ? "; set queue_count in its devargs" : "");
    if (request->mtu > features->mtu_max || request->mtu < opening->info.min_mtu)
        return refuse(opening, "MTU %u wanted, the device takes %u to %u", request->mtu,
                      opening->info.min_mtu, features->mtu_max);
    if (request->mbuf_bytes < request->mtu + FRAME_OVERHEAD)
        return refuse(opening, "buffers of %u bytes are too small for an MTU of %u: %u at least",
                      request->mbuf_bytes, request->mtu, request->mtu + FRAME_OVERHEAD);
    return is_af_xdp(opening->port) ? check_af_xdp(opening) : true;
}

/* ---- configuring ---- */

static bool configure(struct opening *opening)
{
    struct port *port = opening->port;
    const struct port_features *features = &port->features;
    uint8_t key[PORT_RSS_KEY_BYTES_MAX];
    struct rte_eth_conf conf = {
        .rxmode.mq_mode = RTE_ETH_MQ_RX_NONE,
        .rxmode.mtu = opening->request->mtu,
        .rxmode.offloads = features->rx_checksum ? RX_CHECKSUMS : 0,
    };
    if (features->rss && opening->request->queues > 1)
        rss_setup_ask(&opening->info, key, &conf);
    if (opening->info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH &&
        conf.rxmode.mq_mode == RTE_ETH_MQ_RX_RSS)
        conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_RSS_HASH;
    if (features->tx_checksum_ip)
        conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
    if (features->tx_checksum_tcp)
        conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
    if (features->multi_segment_tx)
        conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    uint16_t queues = opening->request->queues;
    int result = rte_eth_dev_configure(port->device_id, queues, queues, &conf);
    if (result != 0)
        return refuse(opening, "the device refuses %u queues with an MTU of %u (%s)", queues,
                      opening->request->mtu, rte_strerror(-result));
    opening->info.default_rxconf.offloads = conf.rxmode.offloads;
    opening->info.default_txconf.offloads = conf.txmode.offloads;
    return true;
}

/* Drivers of kernel interfaces apply it only so; those that cannot have the usual one. */
static bool set_mtu(const struct opening *opening)
{
    uint16_t mtu = opening->request->mtu;
    if (mtu == RTE_ETHER_MTU)
        return true;
    int result = rte_eth_dev_set_mtu(opening->port->device_id, mtu);
    if (result == 0 || (result == -ENOTSUP && mtu < RTE_ETHER_MTU))
        return true;
    return refuse(opening, "the device refuses an MTU of %u (%s)", mtu, rte_strerror(-result));
}

/* What the driver likes best, at most a quarter of the pool, in the device's limits. */
static bool choose_descriptors(struct opening *opening)
{
    struct port *port = opening->port;
    uint16_t most = (uint16_t)RTE_MIN(opening->request->mbufs / 4, UINT16_MAX);
    uint16_t liked_rx = opening->info.default_rxportconf.ring_size;
    uint16_t liked_tx = opening->info.default_txportconf.ring_size;
    port->rx_descriptors = RTE_MIN(liked_rx != 0 ? liked_rx : DESCRIPTORS, most);
    port->tx_descriptors = RTE_MIN(liked_tx != 0 ? liked_tx : DESCRIPTORS, most);
    if (is_af_xdp(port)) { /* its rings are powers of two, and filled from another place */
        port->rx_descriptors = AF_XDP_FILL;
        port->tx_descriptors = AF_XDP_FILL;
    }
    int result = rte_eth_dev_adjust_nb_rx_tx_desc(port->device_id, &port->rx_descriptors,
                                                  &port->tx_descriptors);
    if (result != 0)
        return refuse(opening, "no number of descriptors suits the device (%s)",
                      rte_strerror(-result));
    uint32_t in_rings = (uint32_t)port->rx_descriptors + port->tx_descriptors;
    if (!is_af_xdp(port) && opening->request->mbufs < in_rings)
        return refuse(opening, "%u packet buffers a queue, its rings alone hold %u",
                      opening->request->mbufs, in_rings);
    return true;
}

/* ---- queues ---- */

static uint16_t ethdev_receive(struct port_queue *queue, struct rte_mbuf **packets, uint16_t max)
{
    return rte_eth_rx_burst(queue->device_id, queue->queue_id, packets, max);
}

static uint16_t ethdev_transmit(struct port_queue *queue, struct rte_mbuf **packets, uint16_t count)
{
    return rte_eth_tx_burst(queue->device_id, queue->queue_id, packets, count);
}

/* Some devices want to see packets with checksums to fill in before they are sent. */
static uint16_t ethdev_prepare_transmit(struct port_queue *queue, struct rte_mbuf **packets,
                                        uint16_t count)
{
    uint16_t ready = rte_eth_tx_prepare(queue->device_id, queue->queue_id, packets, count);
    return rte_eth_tx_burst(queue->device_id, queue->queue_id, packets, ready);
}

/*
 * Workers keep a few mbufs of each pool, packets handed over come back from any of them; all
 * caches together must not hold more than a quarter.
 */
static uint32_t pool_cache(const struct port_request *request)
{
    uint32_t share = request->mbufs / 6 / request->queues;
    return RTE_MIN(share, RTE_MIN((uint32_t)POOL_CACHE_MAX, (uint32_t)RTE_MEMPOOL_CACHE_MAX_SIZE));
}

static bool create_pool(struct opening *opening, uint16_t index)
{
    struct port *port = opening->port;
    const struct port_request *request = opening->request;
    char name[RTE_MEMPOOL_NAMESIZE];
    snprintf(name, sizeof(name), "port%u_queue%u", port->device_id, index);
    struct port_pool_request wanted = {
        .name = name,
        .mbufs = request->mbufs,
        .cache = pool_cache(request),
        .data_bytes = request->mbuf_bytes + RTE_PKTMBUF_HEADROOM,
        .socket_id = port->socket_id,
        .packed = is_af_xdp(port),
    };
    struct rte_mempool *pool = port_pool_create(&wanted);
    if (pool == NULL)
        return refuse(opening,
                      "no memory for %u packet buffers of %u bytes (%s); give DPDK more "
                      "(eal: -m or hugepages) or lower ports.mbufs",
                      request->mbufs, request->mbuf_bytes, rte_strerror(rte_errno));
    port->queues[index].mempool = pool;
    if (is_af_xdp(port) && pool->nb_mem_chunks != 1)
        return refuse(opening,
                      "the packet buffers lie in %u pieces of memory, AF_XDP needs one: "
                      "use larger hugepages, or --no-huge, or fewer ports.mbufs",
                      pool->nb_mem_chunks);
    if (is_af_xdp(port) && !port_pool_is_packed(pool))
        return refuse(opening, "the packet buffers do not lie side by side, as AF_XDP needs them");
    return true;
}

static bool setup_queue(struct opening *opening, uint16_t index)
{
    struct port *port = opening->port;
    if (!create_pool(opening, index))
        return false;
    unsigned socket_id = (unsigned)port->socket_id;
    int result = rte_eth_rx_queue_setup(port->device_id, index, port->rx_descriptors, socket_id,
                                        &opening->info.default_rxconf, port->queues[index].mempool);
    if (result != 0)
        return refuse(opening, "receive queue %u cannot be set up (%s)%s", index,
                      rte_strerror(-result),
                      is_af_xdp(port) ? "; is another XDP program attached, or may we not?" : "");
    result = rte_eth_tx_queue_setup(port->device_id, index, port->tx_descriptors, socket_id,
                                    &opening->info.default_txconf);
    if (result != 0)
        return refuse(opening, "transmit queue %u cannot be set up (%s)", index,
                      rte_strerror(-result));
    bool prepare = port->features.tx_checksum_ip || port->features.tx_checksum_tcp;
    struct port_queue *queue = &port->queues[index];
    queue->receive = ethdev_receive;
    queue->transmit = prepare ? ethdev_prepare_transmit : ethdev_transmit;
    queue->features = &port->features;
    queue->device_id = port->device_id;
    queue->queue_id = index;
    queue->rss = NULL; /* see note_rss() */
    queue->spreads = 0;
    return true;
}

static bool setup_queues(struct opening *opening)
{
    for (uint16_t i = 0; i < opening->request->queues; i++)
        if (!setup_queue(opening, i))
            return false;
    opening->port->queue_count = opening->request->queues;
    return true;
}

/* ---- starting ---- */

/*
 * IPv6 neighbours ask by multicast. Where the driver cannot open its filter but stands on a kernel
 * interface, a packet socket holds that one open; it lets go by itself when the process ends.
 */
static void receive_multicast(struct opening *opening)
{
    struct port *port = opening->port;
    if (rte_eth_allmulticast_enable(port->device_id) == 0 || opening->info.if_index == 0)
        return;
    port->multicast_socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    struct packet_mreq request = {
        .mr_ifindex = (int)opening->info.if_index,
        .mr_type = PACKET_MR_ALLMULTI,
    };
    if (port->multicast_socket >= 0)
        setsockopt(port->multicast_socket, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request,
                   sizeof(request));
}

/* Bounded: a link that stays down is no reason not to start. memif waits for its peer. */
static void wait_for_link(struct port *port)
{
    unsigned wait_ms = strcmp(port->driver, "net_memif") == 0 ? 0 : LINK_WAIT_MS;
    for (unsigned waited = 0;; waited += LINK_WAIT_STEP_MS) {
        struct rte_eth_link link;
        if (rte_eth_link_get_nowait(port->device_id, &link) != 0 || waited >= wait_ms)
            return;
        port->link_up = link.link_status == RTE_ETH_LINK_UP;
        if (port->link_up)
            return;
        rte_delay_us_sleep(LINK_WAIT_STEP_MS * 1000);
    }
}

/* An empty receive that takes long sleeps in the kernel, and would stop its worker (AF_XDP). */
static bool check_empty_receive(const struct opening *opening)
{
    for (uint16_t i = 0; i < opening->port->queue_count; i++) {
        struct port_queue *queue = &opening->port->queues[i];
        struct rte_mbuf *packets[32];
        uint64_t begin = clock_now_ns();
        uint16_t count = queue->receive(queue, packets, array_count(packets));
        uint64_t took = clock_now_ns() - begin;
        rte_pktmbuf_free_bulk(packets, count);
        if (took >= EMPTY_RECEIVE_NS)
            return refuse(opening,
                          "an empty receive of queue %u sleeps: keep busy_budget above 0 "
                          "and use Linux 5.11 or newer",
                          i);
    }
    return true;
}

/* Devices without an address of their own (net_ring) get one that no other has. */
static bool note_mac(const struct opening *opening)
{
    struct port *port = opening->port;
    struct rte_ether_addr mac;
    int result = rte_eth_macaddr_get(port->device_id, &mac);
    if (result != 0)
        return refuse(opening, "the device has no MAC address (%s)", rte_strerror(-result));
    if (rte_is_zero_ether_addr(&mac))
        rte_eth_random_addr(mac.addr_bytes);
    memcpy(port->mac, mac.addr_bytes, sizeof(port->mac));
    return true;
}

/* Whether the arrivals will be where it is predicted, they will show themselves (return_path.c). */
static void note_rss(const struct opening *opening)
{
    struct port *port = opening->port;
    struct rte_eth_dev_info info;
    port->rss_known = port->features.rss && rte_eth_dev_info_get(port->device_id, &info) == 0 &&
                      rss_setup_read(port->device_id, &info, port->queue_count, &port->rss);
    for (uint16_t i = 0; i < port->queue_count; i++)
        port->queues[i].rss = port->rss_known ? &port->rss : NULL;
}

static bool start(struct opening *opening)
{
    struct port *port = opening->port;
    int result = rte_eth_dev_start(port->device_id);
    if (result != 0)
        return refuse(opening, "the device does not start (%s)", rte_strerror(-result));
    /* Frames for other stations are no business of ours; drivers without a filter refuse. */
    (void)rte_eth_promiscuous_disable(port->device_id);
    receive_multicast(opening);
    note_rss(opening);
    if (!note_mac(opening))
        return false;
    wait_for_link(port);
    return is_af_xdp(port) ? check_empty_receive(opening) : true;
}

/* Undo what was done so far; the message stays. */
static void give_up(struct opening *opening)
{
    opening->port->queue_count = opening->request->queues;
    if (opening->port->queue_count > array_count(opening->port->queues))
        opening->port->queue_count = 0;
    port_close(opening->port);
}

bool port_open(struct port *port, const struct port_request *request, char *message,
               size_t message_size)
{
    *port = (struct port){.mtu = request->mtu, .multicast_socket = -1};
    snprintf(port->name, sizeof(port->name), "%s", request->name);
    snprintf(port->device, sizeof(port->device), "%s", request->device);
    struct opening opening = {
        .port = port, .request = request, .message = message, .message_size = message_size};
    if (!find_device(&opening))
        return false;
    if (query(&opening) && check_request(&opening) && configure(&opening) && set_mtu(&opening) &&
        choose_descriptors(&opening) && setup_queues(&opening) && start(&opening))
        return true;
    give_up(&opening);
    return false;
}

/* ---- at the end ---- */

static void close_device(const struct port *port)
{
    struct rte_eth_dev_info info;
    bool known = rte_eth_dev_info_get(port->device_id, &info) == 0;
    (void)rte_eth_dev_close(port->device_id);
    if (known && info.device != NULL)
        (void)rte_dev_remove(info.device);
}

void port_close(struct port *port)
{
    if (port->multicast_socket >= 0)
        close(port->multicast_socket);
    port->multicast_socket = -1;
    if (!rte_eth_dev_is_valid_port(port->device_id))
        return;
    (void)rte_eth_dev_stop(port->device_id);
    if (is_af_xdp(port) && port->queue_count > 1)
        return; /* the kernel goes on using the buffers until the process ends */
    close_device(port);
    for (uint16_t i = 0; i < port->queue_count; i++)
        rte_mempool_free(port->queues[i].mempool);
    port->queue_count = 0;
}

static uint32_t least_free_mbufs(const struct port *port)
{
    uint32_t least = UINT32_MAX;
    for (uint16_t i = 0; i < port->queue_count; i++)
        least = RTE_MIN(least, rte_mempool_avail_count(port->queues[i].mempool));
    return port->queue_count > 0 ? least : 0;
}

void port_statistics(const struct port *port, struct port_statistics *out)
{
    struct rte_eth_stats stats;
    *out = (struct port_statistics){.free_mbufs = least_free_mbufs(port)};
    if (rte_eth_stats_get(port->device_id, &stats) != 0)
        return;
    out->received_packets = stats.ipackets;
    out->received_bytes = stats.ibytes;
    out->sent_packets = stats.opackets;
    out->sent_bytes = stats.obytes;
    out->missed_packets = stats.imissed;
    out->error_packets = stats.ierrors + stats.oerrors;
    out->no_mbuf_packets = stats.rx_nombuf;
}
