/*
 * port_setup: bring ethdevs up with one RX and one TX queue a worker, ask what they can do, and
 * say so. Main thread, at start and at exit.
 */
#pragma once

#include "dataplane/net/port.h"

#include <stddef.h>

#define PORT_NAME_MAX 64

struct port_request {
    const char *name;    /* the operator's name for it */
    const char *device;  /* devargs of a vdev (net_af_xdp0,iface=...) or a PCI address */
    uint16_t queues;     /* = workers */
    uint16_t mtu;        /* bytes of IP packet */
    uint32_t mbufs;      /* a queue */
    uint32_t mbuf_bytes; /* data room without headroom */
};

struct port {
    char name[PORT_NAME_MAX];
    char device[256];
    char driver[PORT_NAME_MAX];
    uint16_t device_id;
    uint16_t queue_count;
    uint16_t mtu;
    uint8_t mac[6];
    int socket_id;
    struct port_features features;
    struct port_queue queues[64];
};

/*
 * Probe the device, check and configure it, start it. On failure false, MESSAGE says which
 * capability or setting is missing and what would be right.
 * Each queue has a mempool of its own, in one memory chunk, with ring_mt_rts operations.
 */
bool port_open(struct port *port, const struct port_request *request, char *message,
               size_t message_size);

/* Stop and close. The steering program, if any, has been detached before. */
void port_close(struct port *port);

struct port_statistics {
    uint64_t received_packets;
    uint64_t received_bytes;
    uint64_t sent_packets;
    uint64_t sent_bytes;
    uint64_t missed_packets;   /* by the device: no descriptor was free */
    uint64_t error_packets;
    uint64_t no_mbuf_packets;  /* allocation failures while receiving */
};

void port_statistics(const struct port *port, struct port_statistics *out);
