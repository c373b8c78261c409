/*
 * net: from a port's queue to a verified TCP packet, and back. Ethernet, VLAN, ARP, NDP, IPv4,
 * IPv6, ICMP. One struct net a worker; nothing is shared with other workers.
 *
 * The packet is an rte_mbuf. After net_in() an arrival's l2_len and l3_len are set, its data begins
 * at the Ethernet header, its checksums are verified (in software where the port did not) and its
 * destination is ours. packet_type is RTE_PTYPE_L4_TCP, or RTE_PTYPE_L4_ICMP for an ICMP error
 * whose inner packet is a TCP packet of ours; then l4_len spans the ICMP header (8 bytes) and the
 * inner IP header, and at least 8 bytes of the inner TCP header follow: ports and sequence number.
 * `port` is the index of the interface it came by, also after a hand-over to another worker.
 *
 * Order of calls in a turn: net_in() for each port's burst, [TCP and above], net_flush().
 */
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/base/mail.h"
#include "dataplane/base/random.h"
#include "dataplane/base/timer_wheel.h"
#include "dataplane/net/flow.h"
#include "dataplane/net/port.h"

#include <stdbool.h>
#include <stdint.h>

struct deny_table;
struct rte_mbuf;

#define COUNTERS_STRUCT net_counters
#define COUNTERS_DEF    "dataplane/net/net_counters.def"
#include "dataplane/base/counter_struct.h"

#define NET_BURST          32 /* packets that net_in() takes at once, at most */
#define NET_INTERFACES_MAX 16
#define NET_ADDRESSES_MAX  8
#define NET_VIPS_MAX       256
#define NET_WORKERS_MAX    64
#define NET_NEIGHBOURS_MAX 65000

/* One VLAN of one port, with the addresses that Weir has on it. Fixed at start. */
struct net_interface {
    uint8_t port;  /* index into net_config.queues */
    uint16_t vlan; /* 0: untagged */
    uint16_t mtu;  /* bytes of IP packet, 1280..3400 */
    uint8_t mac[6];
    uint8_t address_count;
    struct ip_prefix addresses[NET_ADDRESSES_MAX]; /* backend side addresses, with their networks */
    bool has_gateway_v4;
    bool has_gateway_v6;
    struct ip_address gateway_v4;
    struct ip_address gateway_v6;
};

struct net_config {
    uint16_t self;    /* this worker */
    uint16_t workers; /* how many there are */
    uint8_t queue_count;
    struct port_queue *queues[NET_INTERFACES_MAX]; /* this worker's queue of each port */
    uint8_t interface_count;
    struct net_interface interfaces[NET_INTERFACES_MAX];
    uint32_t neighbours_max; /* 1..NET_NEIGHBOURS_MAX, gateways not counted */
    struct timer_wheel *wheel;
    struct random *random;
    struct postman *postman; /* tells the other workers what ARP and NDP taught us; or NULL */
    int socket_id;
};

struct net;

/* Everything is allocated here. NULL: not enough memory. Main thread, at start. */
struct net *net_create(const struct net_config *config);

struct net_counters *net_counters(struct net *net);

/* Replace the service addresses we answer for (ARP, NDP, echo, TCP). At most NET_VIPS_MAX. */
void net_set_vips(struct net *net, const struct ip_address *vips, uint32_t count);

/*
 * Replace the sources that get nothing; NULL: there are none. The table has to live until the next
 * call. Neighbour discovery does not ask: a denied network may hold our gateway.
 */
void net_set_denied(struct net *net, const struct deny_table *denied);

/*
 * Announce all our addresses (gratuitous ARP, unsolicited NA) and their multicast groups (MLD),
 * three times within 2 s by a timer; the groups are repeated by it from then on. Done by worker 0
 * at start and when addresses change.
 */
void net_announce(struct net *net, uint64_t now);

/* What one burst brought for TCP. The callee of the arrays owns the mbufs. */
struct net_arrivals {
    uint16_t own_count;
    uint16_t foreign_count;
    struct rte_mbuf *own[NET_BURST];
    struct rte_mbuf *foreign[NET_BURST]; /* to be handed to their owners ... */
    uint16_t foreign_owner[NET_BURST];   /* ... these workers */
};

/*
 * Take over COUNT (0..NET_BURST) mbufs that the queue QUEUE (index in net_config) received.
 * ARP, NDP and echo are answered, everything else is dropped under a named counter.
 * thread owner   cost one pass a layer over the burst, next packet prefetched
 */
void net_in(struct net *net, uint8_t queue, struct rte_mbuf **packets, uint16_t count, uint64_t now,
            struct net_arrivals *out);

/* A MAIL_NEIGHBOUR from another worker. */
void net_neighbour_mail(struct net *net, const struct mail *mail, uint64_t now);

/* The way to a remote address; cheap to keep, checked again at each use. */
struct net_path {
    uint8_t interface;
    uint16_t mtu;       /* bytes of IP packet */
    uint32_t neighbour; /* entry of the next hop */
};

/* Find the way from us to REMOTE: connected network, else gateway. False: no route. */
bool net_route(struct net *net, const struct ip_address *remote, struct net_path *out);

/* Our address for opening connections over PATH to REMOTE's family; false: none configured. */
bool net_source_address(const struct net *net, const struct net_path *path,
                        const struct ip_address *remote, struct ip_address *out);

/* False: the next hop did not answer ARP or NDP lately, packets over this path are dropped. O(1).
 */
bool net_is_reachable(const struct net *net, const struct net_path *path);

/* Where the replies of a connection that we open arrive. */
enum net_replies {
    NET_REPLIES_UNKNOWN,   /* the port says nothing about it, or it has not proved right (yet) */
    NET_REPLIES_HERE,      /* at this worker */
    NET_REPLIES_ELSEWHERE, /* at another worker, which hands them over */
};

/* For a connection over PATH with this tuple. O(1), without effect. */
enum net_replies net_replies(const struct net *net, const struct net_path *path,
                             const struct flow_tuple *tuple);

/* Whether the address is one of ours (service or backend side). */
bool net_is_local(const struct net *net, const struct ip_address *address);

/* An empty mbuf for sending over PATH, headroom for all lower headers; NULL: none left, counted. */
struct rte_mbuf *net_packet_take(struct net *net, const struct net_path *path);

/* How many packets net_send() will take over PATH's port before the next flush. */
uint32_t net_send_room(const struct net *net, const struct net_path *path);

struct net_send {
    const struct net_path *path;
    const struct ip_address *local;
    const struct ip_address *remote;
    uint8_t protocol;      /* IPPROTO_TCP: its checksum is filled in here */
    uint8_t traffic_class; /* DSCP and ECN */
};

/*
 * Put IP and Ethernet in front of a packet whose data begins at the transport header, and queue it.
 * Takes over the mbuf. While the next hop is unresolved, a few packets wait for it (bounded), the
 * rest are dropped and counted.
 */
void net_send(struct net *net, const struct net_send *how, struct rte_mbuf *packet, uint64_t now);

#define NET_HEADERS_MAX 64 /* bytes: Ethernet, VLAN and IP, rounded up */

/*
 * A train: packets in a row over one path between two addresses. What they have in common, headers
 * and the next hop, is looked up and made once. Good until the caller returns to the worker's loop;
 * what HOW points to has to stay as it is for as long.
 */
struct net_train {
    struct net_send how;
    uint64_t now;
    bool is_open; /* the next hop is known; otherwise each packet goes through net_send() */
    bool v4;
    uint8_t port;
    uint8_t ip_bytes;      /* of IP header */
    uint16_t header_bytes; /* of Ethernet and IP headers */
    uint16_t mtu;
    const struct port_features *features;
    uint64_t mbuf_flags;
    uint64_t address_sum;            /* what checksums have of addresses */
    uint8_t header[NET_HEADERS_MAX]; /* ends where the transport header begins */
};

void net_train_begin(struct net *net, const struct net_send *how, uint64_t now,
                     struct net_train *out);

/* As net_send(), but with this traffic class. The packet has its headroom from net_packet_take().
 */
void net_train_send(struct net *net, struct net_train *train, uint8_t traffic_class,
                    struct rte_mbuf *packet);

/* Bytes of IP packet that the interface takes which PACKET (as net_in() left it) came by. */
uint16_t net_arrival_mtu(const struct net *net, const struct rte_mbuf *packet);

/*
 * Answer a TCP packet where it came from: SEGMENT (a TCP header, without checksum) goes back by the
 * same interface to the same link address, from LOCAL to REMOTE. Neither route nor neighbour is
 * asked, and nothing is allocated: PACKET, as net_in() left it, is written over. Only a packet of
 * another worker's queue, or one that cannot be written to, is replaced by a fresh one. Takes over
 * PACKET; SEGMENT must not lie in it. What cannot be sent is dropped and counted.
 */
void net_send_back(struct net *net, const struct ip_address *local, const struct ip_address *remote,
                   struct bytes segment, struct rte_mbuf *packet);

/* Hand everything queued to the ports. What a port does not take is dropped and counted. */
void net_flush(struct net *net);
