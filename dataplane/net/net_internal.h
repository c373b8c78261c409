/*
 * net_internal: what the files of this folder share. One struct net a worker, touched by its
 * worker only.
 *
 * The way in:   eth_in -> (arp_in) -> ip_in -> icmp_in -> (ndp_in), TCP to the caller
 * The way out:  net_send -> neighbour_send -> eth_out -> transmit -> net_flush
 *
 * Timers: one a neighbour, at most one purpose at a time: the next question while INCOMPLETE or
 * PROBE, the end of the pause while FAILED. One a net: the next multicast listener report.
 */
#pragma once

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/base/list.h"
#include "dataplane/base/siphash.h"
#include "dataplane/net/net.h"
#include "dataplane/net/rss.h"

#include <rte_mbuf.h>

#define NET_TRANSMIT_MAX     256 /* packets queued for a port between two flushes */
#define NET_TRANSMIT_RESERVE 32  /* of these, for answers and questions of net itself */
#define NET_TRANSMIT_TRIES   4   /* calls of a port's transmit in one flush without progress */
#define NET_HOP_LIMIT        64

#define ETH_ADDRESS_BYTES 6
#define ETH_TYPE_IPV4     0x0800
#define ETH_TYPE_ARP      0x0806
#define ETH_TYPE_VLAN     0x8100
#define ETH_TYPE_IPV6     0x86dd

#define ETH_HEADER_BYTES  14
#define VLAN_HEADER_BYTES 4

/* At most so many events a second, with bursts (generic cell rate algorithm). */
struct rate {
    uint64_t spent_until_ns; /* when the budget will be full again */
    uint64_t interval_ns;    /* one event */
    uint32_t burst;
};

/* Whether one more event fits; takes it if so. O(1). */
static inline bool rate_take(struct rate *rate, uint64_t now)
{
    uint64_t from = rate->spent_until_ns > now ? rate->spent_until_ns : now;
    if (from - now >= rate->interval_ns * rate->burst)
        return false;
    rate->spent_until_ns = from + rate->interval_ns;
    return true;
}

#define NET_ECHOES_PER_S    2000u /* echo requests answered */
#define NET_ECHO_BURST      100u
#define NET_QUESTIONS_PER_S 2000u /* ARP requests and neighbour solicitations */
#define NET_QUESTION_BURST  256u
#define NET_MAILS_PER_S     1000u /* news about neighbours, each to all workers */
#define NET_MAIL_BURST      64u
#define NET_REPORTS_PER_S   4u /* answers to multicast listener queries */
#define NET_REPORT_BURST    4u

static inline bool ip_address_is_link_local(const struct ip_address *address)
{
    return address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80;
}

/* ff02::1:ffXX:XXXX with the last three bytes of the address (RFC 4291 2.7.1). */
static inline struct ip_address ip_address_solicited_group(const struct ip_address *address)
{
    struct ip_address group = {{0xff, 0x02, [11] = 0x01, [12] = 0xff}};
    memcpy(group.bytes + 13, address->bytes + 13, 3);
    return group;
}

/* ---- local.c: which addresses are ours, and where we answer for them ---- */

#define LOCAL_SLOTS 1024 /* power of two, at least twice the addresses */

struct local_address {
    struct ip_address address;
    uint16_t interfaces; /* bit I: we answer ARP and NDP for it on interface I */
    bool used;
    bool vip;
    bool backend_side; /* an interface's address: our own connections start from it */
};

struct local_table {
    struct local_address slots[LOCAL_SLOTS];
};

/* Fill the table anew from the interfaces and the VIPs. Overlong lists are a programmer's error. */
void local_fill(struct net *net, const struct ip_address *vips, uint32_t vip_count);

/* NULL: not ours. O(1), one cache line. */
const struct local_address *local_find(const struct net *net, const struct ip_address *address);

/* The address if we answer for it on the interface, else NULL. */
const struct local_address *local_on(const struct net *net, uint8_t interface,
                                     const struct ip_address *address);

/* Whether some address of ours on the interface has this IPv6 solicited-node group. */
bool local_has_group(const struct net *net, uint8_t interface, const struct ip_address *group);

/* ---- route.c ---- */

#define ROUTES_MAX (NET_INTERFACES_MAX * NET_ADDRESSES_MAX)

struct route {
    struct ip_prefix prefix;
    uint8_t interface;
    bool v4;
};

/* Longest prefix first. */
void routes_fill(struct net *net);

/* Whether the address is on the interface's link: in one of its networks, or its gateway. */
bool route_is_on_link(const struct net *net, uint8_t interface, const struct ip_address *address);

/* What to ask neighbour TARGET from: an address of ours of its family; NULL: none. */
const struct ip_address *route_question_source(const struct net *net, uint8_t interface,
                                               const struct ip_address *target);

/* ---- neighbour.c: link layer addresses of next hops ---- */

#define NEIGHBOUR_PENDING_MAX  8    /* packets a neighbour */
#define NEIGHBOURS_PENDING_MAX 1024 /* packets, all neighbours together */
#define NEIGHBOUR_QUESTIONS    3
#define NEIGHBOUR_QUESTION_NS  CLOCK_S                  /* from one question to the next */
#define NEIGHBOUR_CONFIRMED_NS (30 * CLOCK_S)           /* how long an answer is trusted */
#define NEIGHBOUR_TOUCH_NS     CLOCK_S                  /* how exact the order of last use is */
#define NEIGHBOUR_PAUSE_NS     (3 * CLOCK_S)            /* after failure, until we ask again */
#define NEIGHBOURS_PINNED      (2 * NET_INTERFACES_MAX) /* gateways: entries that stay */
#define NEIGHBOUR_NONE         UINT32_MAX

enum neighbour_state {
    NEIGHBOUR_FREE,       /* no address */
    NEIGHBOUR_UNKNOWN,    /* not asked yet, or long enough ago that the next packet asks again */
    NEIGHBOUR_INCOMPLETE, /* asked by broadcast or multicast; packets wait */
    NEIGHBOUR_REACHABLE,  /* answered us lately */
    NEIGHBOUR_STALE,      /* link address known by hearsay or from long ago; next use asks */
    NEIGHBOUR_PROBE,      /* in use while a question goes to the known link address */
    NEIGHBOUR_FAILED,     /* did not answer; packets are dropped until the pause is over */
    NEIGHBOUR_STATES
};

struct neighbour {
    struct ip_address address;
    uint8_t interface;
    uint8_t state; /* enum neighbour_state */
    uint8_t mac[ETH_ADDRESS_BYTES];
    uint64_t confirmed_at_ns;
    uint64_t used_at_ns;
    uint16_t generation; /* of the slot, in the paths that name it */
    uint8_t questions;   /* asked in this state */
    uint8_t pending_count;
    bool pinned;
    bool used;            /* something was sent to it since it has this address */
    uint32_t bucket_next; /* index, NEIGHBOUR_NONE: last */
    struct list link;     /* in `proven` or `unproven`, least recently used first; or `free` */
    struct timer timer;
    struct rte_mbuf *pending[NEIGHBOUR_PENDING_MAX]; /* oldest first, IP header in place */
};

struct neighbour_table {
    struct neighbour *entries; /* the first NEIGHBOURS_PINNED are for gateways */
    uint32_t *buckets;
    uint32_t bucket_mask;
    uint32_t count;          /* entries */
    uint32_t unproven_count; /* those below */
    uint32_t pending_count;
    struct siphash_key key;
    struct list free;
    struct list proven;   /* REACHABLE, STALE, PROBE */
    struct list unproven; /* UNKNOWN, INCOMPLETE, FAILED */
};

/* How we came to know a link layer address. */
enum neighbour_news {
    NEIGHBOUR_ANSWERED,        /* an answer to us: proves that it is reachable */
    NEIGHBOUR_ANSWERED_WEAKLY, /* as above, but must not replace what is known (RFC 4861 O flag) */
    NEIGHBOUR_CONFIRMED, /* an answer to us without a link layer address: the known one holds */
    NEIGHBOUR_ASKED_US,  /* its question to us named it */
    NEIGHBOUR_ANNOUNCED, /* told to everybody */
};

bool neighbours_init(struct net *net);

/* The entry, made if need be; NULL: the table has no room at all. O(1). */
struct neighbour *neighbour_take(struct net *net, uint8_t interface,
                                 const struct ip_address *address);

/* The entry of a gateway, which stays for ever; FAMILY 0: IPv4, 1: IPv6. */
struct neighbour *neighbour_gateway(struct net *net, uint8_t interface, int family);

/* Send a packet that begins at its IP header, or let it wait, or drop it. Takes it over. */
void neighbour_send(struct net *net, struct neighbour *neighbour, struct rte_mbuf *packet,
                    uint64_t now);

/*
 * The next hop of a path that is about to be used: asks and ages as neighbour_send() does. NULL: it
 * has no link layer address that may be used now.
 */
const struct neighbour *neighbour_ready(struct net *net, const struct net_path *path,
                                        const struct ip_address *remote, uint64_t now);

/* A packet on INTERFACE told us ADDRESS's link layer address (MAC may be NULL if CONFIRMED). */
void neighbour_learn(struct net *net, uint8_t interface, const struct ip_address *address,
                     const uint8_t *mac, enum neighbour_news news, uint64_t now);

static inline uint32_t neighbour_index(const struct net *net, const struct neighbour *neighbour);

/* ---- eth.c ---- */

/* A packet on its way through the layers of one net_in(). */
struct arrival {
    struct rte_mbuf *packet;
    const struct local_address *local; /* destination; NULL: a multicast group */
    struct ip_address source;
    struct ip_address destination;
    uint16_t ethertype;
    uint16_t l3_offset; /* bytes before the IP header */
    uint16_t l3_length; /* IP header with options or extensions */
    uint16_t l4_length; /* bytes behind it, padding removed */
    uint8_t interface;
    uint8_t protocol;
    uint8_t hop_limit;
    bool frame_to_group; /* broadcast or multicast MAC address */
};

/* Count as COUNTER and free. */
static inline void net_drop(struct rte_mbuf *packet, uint64_t *counter)
{
    counter_add(counter, 1);
    rte_pktmbuf_free(packet);
}

/* Turn mbufs into arrivals; ARP is dealt with. Returns how many arrivals there are. */
uint16_t eth_in(struct net *net, uint8_t queue, struct rte_mbuf **packets, uint16_t count,
                uint64_t now, struct arrival *out);

/* Bytes of Ethernet and VLAN headers on an interface. */
static inline uint16_t eth_header_bytes(const struct net_interface *interface)
{
    return ETH_HEADER_BYTES + (interface->vlan != 0 ? VLAN_HEADER_BYTES : 0);
}

/* These headers, to AT. */
void eth_header_write(const struct net_interface *interface, const uint8_t *destination,
                      uint16_t ethertype, uint8_t *at);

/* Put Ethernet and VLAN headers in front and queue the packet on the interface's port. */
void eth_out(struct net *net, uint8_t interface, const uint8_t *destination, uint16_t ethertype,
             struct rte_mbuf *packet);

/* An empty packet for the interface's port; NULL: none left, counted. */
struct rte_mbuf *eth_packet_take(struct net *net, uint8_t interface);

/* ---- arp.c, ndp.c ---- */

void arp_in(struct net *net, struct arrival *arrival, uint64_t now);

/* Ask for TARGET, at the link address MAC or (NULL) everybody. False: impossible, counted. */
bool arp_ask(struct net *net, uint8_t interface, const struct ip_address *target,
             const uint8_t *mac);
void arp_announce(struct net *net, uint8_t interface, const struct ip_address *address);

/* Neighbour discovery messages in an ICMPv6 packet with a right checksum. */
void ndp_in(struct net *net, struct arrival *arrival, uint64_t now);
bool ndp_ask(struct net *net, uint8_t interface, const struct ip_address *target,
             const uint8_t *mac);
void ndp_announce(struct net *net, uint8_t interface, const struct ip_address *address);

/* ---- announce.c ---- */

void announce_init(struct net *net);

/* ---- mld.c ---- */

/* The groups of all our addresses, to everybody; NEWS: they have changed. */
void mld_report(struct net *net, bool is_news);

/* A query with a right checksum: report. */
void mld_in(struct net *net, struct arrival *arrival, uint64_t now);

/* ---- ip_in.c, ip_out.c, icmp.c ---- */

/* Check IP headers; returns how many arrivals are left at the front of the array. */
uint16_t ip_in(struct net *net, struct arrival *arrivals, uint16_t count);

/*
 * The transport protocol of an IPv6 packet behind its extension headers, or -1 with the reason to
 * drop in *COUNTER. *OFFSET is moved from the end of the fixed header to the transport header.
 */
int ip6_extensions_skip(struct net *net, const uint8_t *header, uint16_t length, uint8_t next,
                        uint16_t *offset, uint64_t **counter);

/* Put an IP header in front of a packet and fill in checksums. False: dropped and counted. */
bool ip_out(struct net *net, const struct net_send *how, uint8_t hop_limit,
            struct rte_mbuf *packet);

/* Answer echo, give neighbour discovery to ndp_in(). True: an error for TCP, with its tuple. */
bool icmp_in(struct net *net, struct arrival *arrival, uint64_t now, struct flow_tuple *tuple);

/* ---- return_path.c ---- */

/* What an interface's arrivals have shown about the prediction of RSS. */
struct return_path {
    uint32_t row;    /* packets that arrived as predicted since the last that did not */
    uint32_t needed; /* that many in a row are proof ... */
    uint64_t seen;   /* ... if they were of many connections: a set of their hashes' top bits */
    bool holds;
};

void return_path_init(struct net *net);

/* The worker that a packet belongs to. O(1). */
uint16_t return_path_owner(struct net *net, const struct arrival *arrival,
                           const struct flow_tuple *tuple);

/* ---- the worker's net ---- */

struct transmit {
    uint16_t count;
    struct rte_mbuf *packets[NET_TRANSMIT_MAX];
};

struct net {
    struct net_config config;
    struct net_counters counters;
    struct rate echo_rate;
    struct rate question_rate;
    struct rate mail_rate;
    struct rate mld_rate;
    struct timer announce_timer;
    uint32_t announcements_left;
    const struct deny_table *denied; /* the snapshot's; NULL: none */
    uint32_t vip_count;
    uint32_t route_count;
    struct arrival batch[NET_BURST];
    struct route routes[ROUTES_MAX];
    struct ip_address vips[NET_VIPS_MAX];
    struct local_table local;
    struct neighbour_table neighbours;
    struct transmit transmits[NET_INTERFACES_MAX];
    struct return_path return_paths[NET_INTERFACES_MAX];
};

static inline uint32_t neighbour_index(const struct net *net, const struct neighbour *neighbour)
{
    return (uint32_t)(neighbour - net->neighbours.entries);
}

static inline struct port_queue *net_queue_of(const struct net *net, uint8_t interface)
{
    return net->config.queues[net->config.interfaces[interface].port];
}

/* Queue a whole frame on a port; drops and counts when the queue is full. */
static inline void transmit_push(struct net *net, uint8_t port, struct rte_mbuf *packet)
{
    struct transmit *transmit = &net->transmits[port];
    if (transmit->count == NET_TRANSMIT_MAX) {
        net_drop(packet, &net->counters.out_queue_full);
        return;
    }
    transmit->packets[transmit->count++] = packet;
}
