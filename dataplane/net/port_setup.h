/*
 * port_setup: bring ethdevs up with one RX and one TX queue a worker, ask what they can do, and
 * say so. Main thread, at start and at exit.
 */
#pragma once

#include "dataplane/net/port.h"
#include "dataplane/net/rss.h"

#include <stddef.h>

#define PORT_NAME_MAX 64

struct port_request {
    const char *name;    /* the operator's name for it */
    const char *device;  /* devargs of a vdev (net_af_xdp0,iface=...) or a PCI address */
    uint16_t queues;     /* = workers */
    uint16_t mtu;        /* bytes of IP packet */
    uint32_t mbufs;      /* a queue; AF_XDP wants 3072 at least */
    uint32_t mbuf_bytes; /* data room without headroom: mtu + 22; AF_XDP wants 256 more */
};

struct port {
    char name[PORT_NAME_MAX];
    char device[256];
    char driver[PORT_NAME_MAX];
    uint16_t device_id;
    uint16_t queue_count;
    uint16_t mtu;
    uint16_t rx_descriptors;
    uint16_t tx_descriptors;
    uint8_t mac[6];
    bool link_up; /* when port_open() returned */
    int socket_id;
    int multicast_socket; /* keeps a kernel interface in all-multicast mode; -1: none */
    struct port_features features;
    bool rss_known; /* its RSS can be predicted: `rss` */
    struct port_rss rss;
    struct port_queue queues[64];
};

/*
 * Probe the device, check and configure it, start it. On failure false, MESSAGE says which
 * capability or setting is missing and what would be right.
 * Each queue has a mempool of its own, in one memory chunk, with ring_mt_rts operations.
 */
bool port_open(struct port *port, const struct port_request *request, char *message,
               size_t message_size);

/*
 * Stop and close, and free the mempools: no packet of theirs may be in use. The steering program,
 * if any, has been detached before. AF_XDP with several queues is only stopped (its close frees
 * the array of queues while it walks over it); the process's end closes it.
 */
void port_close(struct port *port);

struct port_statistics {
    uint64_t received_packets;
    uint64_t received_bytes;
    uint64_t sent_packets;
    uint64_t sent_bytes;
    uint64_t missed_packets; /* by the device: no descriptor was free */
    uint64_t error_packets;
    uint64_t no_mbuf_packets; /* allocation failures while receiving */
    uint32_t free_mbufs;      /* now, of the queue that has least; at 0 AF_XDP stands still */
};

void port_statistics(const struct port *port, struct port_statistics *out);
