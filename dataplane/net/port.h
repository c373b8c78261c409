/*
 * port: a DPDK ethdev, or what a test puts in its place.
 *
 * A worker only sees port_queues: two functions over bursts of mbufs. port_setup.h makes them from
 * ethdevs; tests make them from an in-memory wire.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct port_rss;
struct rte_mbuf;
struct rte_mempool;

/* What the port does for us; what it does not is done in software. */
struct port_features {
    bool rx_checksum;     /* marks bad checksums of IPv4 and TCP */
    bool tx_checksum_ip;  /* fills in the IPv4 header checksum */
    bool tx_checksum_tcp; /* fills in the TCP checksum over the pseudo header */
    bool rss;             /* spreads flows over the queues */
    bool multi_segment_tx;
    uint16_t mtu_max; /* bytes of IP packet */
    uint16_t queues_max;
    uint64_t rss_types;    /* RTE_ETH_RSS_... that it can hash; 0: no RSS */
    uint16_t reta_entries; /* of the table that maps hashes to queues */
    uint8_t rss_key_bytes;
};

struct port_queue {
    /* Receive up to MAX mbufs; returns the count. Never blocks. */
    uint16_t (*receive)(struct port_queue *queue, struct rte_mbuf **packets, uint16_t max);
    /* Send up to COUNT mbufs; takes over the first N it returns. Never blocks. */
    uint16_t (*transmit)(struct port_queue *queue, struct rte_mbuf **packets, uint16_t count);
    struct rte_mempool *mempool; /* where mbufs sent here have to come from */
    const struct port_features *features;
    uint16_t device_id;
    uint16_t queue_id;          /* = the worker that reads it */
    const struct port_rss *rss; /* what RSS is predicted to do (rss.h); NULL: nothing is known */
    uint64_t spreads; /* 1: arrivals prove the prediction; a gauge (counter.h) of the worker */
};
