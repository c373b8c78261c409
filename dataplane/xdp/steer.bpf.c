/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * steer: the XDP program that decides, per received frame, between Weir and the kernel.
 *
 * Ours, handed to the AF_XDP socket of the receive queue:
 *   - TCP to an (address, port) of weir_listeners, and to any port of a local address;
 *   - ARP and neighbour discovery about an address of ours, and advertisements sent to it;
 *   - ICMP and ICMPv6 errors about a TCP packet we sent, echo requests to an address of ours.
 * Dropped: what would be ours but comes from a denied source, is a fragment, or arrives on a queue
 * without a socket (the kernel would answer it with a reset).
 * Everything else is the kernel's, and so is everything while the maps are empty.
 *
 * Neighbour discovery ignores the deny list: a denied range may contain the gateway.
 * Nothing newer than Linux 5.10 is used: loops have constant bounds, helpers are the old ones.
 */
#include <linux/bpf.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "dataplane/xdp/steer_maps.h"

/* The kernel's headers with ARP and ICMP draw in the C library's, which are for another machine. */
#define HARDWARE_ETHERNET 1 /* RFC 826 */
#define ICMP_UNREACHABLE  3 /* RFC 792 */
#define ICMP_ECHO         8
#define ICMP_TIME         11
#define ICMP_PARAMETER    12

#define IPV4_FRAGMENT_MASK      0x3fff /* more-fragments flag and offset, RFC 791 3.1 */
#define IPV4_OFFSET_MASK        0x1fff
#define ND_NEIGHBOUR_SOLICIT    135 /* RFC 4861 4.3 */
#define ND_NEIGHBOUR_ADVERTISE  136 /* RFC 4861 4.4 */
#define NEXT_HEADER_HOP_BY_HOP  0
#define NEXT_HEADER_FRAGMENT    44
#define NEXT_HEADER_DESTINATION 60

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, STEER_QUEUES_MAX);
    __type(key, __u32);
    __type(value, __u32);
} xsks_map SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 2 * STEER_LISTENERS_MAX);
    __type(key, struct steer_listener);
    __type(value, __u32);
} weir_listeners SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 2 * STEER_ADDRESSES_MAX);
    __type(key, struct steer_address);
    __type(value, __u32);
} weir_addresses SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, 2 * STEER_DENIED_MAX);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct steer_prefix);
    __type(value, __u32);
} weir_denied SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, STEER_COUNTERS);
    __type(key, __u32);
    __type(value, __u64);
} weir_counters SEC(".maps");

struct vlan_tag {
    __be16 control;
    __be16 ethertype;
};

/* ARP for IPv4 over Ethernet, RFC 826. */
struct arp_ipv4 {
    __be16 hardware;
    __be16 protocol;
    __u8 hardware_length;
    __u8 protocol_length;
    __be16 operation;
    __u8 sender_mac[ETH_ALEN];
    __u8 sender[4];
    __u8 target_mac[ETH_ALEN];
    __u8 target[4];
} __attribute__((packed));

struct tcp_ports {
    __be16 source;
    __be16 destination;
};

struct extension {
    __u8 next_header;
    __u8 length; /* in 8 octets, not counting the first 8 */
    __u8 options[6];
};

/* RFC 792; the quoted packet follows. */
struct icmp_header {
    __u8 type;
    __u8 code;
    __be16 checksum;
    __be32 rest;
};

struct neighbour_message {
    struct icmp6hdr header;
    struct in6_addr target;
};

/* The part of the frame that has not been read. */
struct cursor {
    void *next;
    void *end;
};

/* The next LENGTH bytes, or NULL if the frame ends before. */
static __always_inline void *take(struct cursor *cursor, __u32 length)
{
    void *taken = cursor->next;

    if (taken + length > cursor->end)
        return NULL;
    cursor->next = taken + length;
    return taken;
}

static __always_inline void address_from_ipv4(struct steer_address *address, const void *ipv4)
{
    __builtin_memset(address->bytes, 0, 10);
    __builtin_memset(address->bytes + 10, 0xff, 2);
    __builtin_memcpy(address->bytes + 12, ipv4, 4);
}

/* False for a v4-mapped address: it has no business on the wire and would pass for an IPv4 one. */
static __always_inline int address_from_ipv6(struct steer_address *address,
                                             const struct in6_addr *ipv6)
{
    __builtin_memcpy(address->bytes, ipv6, sizeof(address->bytes));
    return ipv6->in6_u.u6_addr32[0] != 0 || ipv6->in6_u.u6_addr32[1] != 0 ||
           ipv6->in6_u.u6_addr32[2] != bpf_htonl(0xffff);
}

/* What ADDRESS is to us, 0 for nothing: see enum steer_role. */
static __always_inline __u32 role_of(const struct steer_address *address)
{
    const __u32 *role = bpf_map_lookup_elem(&weir_addresses, address);

    return role ? *role : 0;
}

/* Whether TCP traffic of ADDRESS, which has ROLE, belongs to us at PORT. */
static __always_inline int port_is_ours(const struct steer_address *address, __u32 role,
                                        __be16 port)
{
    struct steer_listener listener = {.address = *address, .port = port};

    if (role & STEER_ROLE_LOCAL)
        return 1;
    return role && bpf_map_lookup_elem(&weir_listeners, &listener);
}

/* The frame's EtherType behind its VLAN tags; 0 if cut off. */
static __always_inline __be16 take_ethertype(struct cursor *cursor)
{
    const struct ethhdr *ethernet = take(cursor, sizeof(*ethernet));
    __be16 type;

    if (!ethernet)
        return 0;
    type = ethernet->h_proto;
    for (int i = 0; i < STEER_TAGS_MAX; i++) {
        const struct vlan_tag *tag;

        if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
            break;
        tag = take(cursor, sizeof(*tag));
        if (!tag)
            return 0;
        type = tag->ethertype;
    }
    return type;
}

static __always_inline enum steer_counter judge_arp(struct cursor *cursor)
{
    const struct arp_ipv4 *arp = take(cursor, sizeof(*arp));
    struct steer_address target;

    if (!arp || arp->hardware != bpf_htons(HARDWARE_ETHERNET) ||
        arp->protocol != bpf_htons(ETH_P_IP) || arp->hardware_length != ETH_ALEN ||
        arp->protocol_length != 4)
        return STEER_COUNT_passed;
    address_from_ipv4(&target, arp->target);
    return role_of(&target) ? STEER_COUNT_redirected_neighbour : STEER_COUNT_passed;
}

static __always_inline enum steer_counter judge_tcp(struct cursor *cursor,
                                                    const struct steer_address *target, __u32 role)
{
    const struct tcp_ports *ports = take(cursor, sizeof(*ports));

    if (!ports || !port_is_ours(target, role, ports->destination))
        return STEER_COUNT_passed;
    return STEER_COUNT_redirected_tcp;
}

/* CURSOR stands at the ports of a packet that SOURCE sent and that an ICMP error quotes. */
static __always_inline enum steer_counter judge_quoted(struct cursor *cursor,
                                                       const struct steer_address *source)
{
    const struct tcp_ports *ports = take(cursor, sizeof(*ports));

    if (!ports || !port_is_ours(source, role_of(source), ports->source))
        return STEER_COUNT_passed;
    return STEER_COUNT_redirected_icmp_error;
}

/* An IPv4 header with its options; NULL if cut off or not one. */
static __always_inline const struct iphdr *take_ipv4(struct cursor *cursor)
{
    const struct iphdr *ip = take(cursor, sizeof(*ip));

    if (!ip || ip->version != 4 || ip->ihl < 5)
        return NULL;
    if (!take(cursor, (ip->ihl - 5) * 4))
        return NULL;
    return ip;
}

static __always_inline enum steer_counter judge_icmp(struct cursor *cursor)
{
    const struct icmp_header *icmp = take(cursor, sizeof(*icmp));
    struct steer_address source;
    const struct iphdr *quoted;

    if (!icmp)
        return STEER_COUNT_passed;
    if (icmp->type == ICMP_ECHO)
        return STEER_COUNT_redirected_echo;
    if (icmp->type != ICMP_UNREACHABLE && icmp->type != ICMP_TIME && icmp->type != ICMP_PARAMETER)
        return STEER_COUNT_passed;
    quoted = take_ipv4(cursor);
    if (!quoted || quoted->protocol != IPPROTO_TCP ||
        (quoted->frag_off & bpf_htons(IPV4_OFFSET_MASK)))
        return STEER_COUNT_passed;
    address_from_ipv4(&source, &quoted->saddr);
    return judge_quoted(cursor, &source);
}

static __always_inline enum steer_counter judge_ipv4(struct cursor *cursor,
                                                     struct steer_address *source)
{
    const struct iphdr *ip = take_ipv4(cursor);
    struct steer_address target;
    __u32 role;

    if (!ip)
        return STEER_COUNT_passed;
    address_from_ipv4(source, &ip->saddr);
    address_from_ipv4(&target, &ip->daddr);
    role = role_of(&target);
    if (!role)
        return STEER_COUNT_passed;
    if (ip->frag_off & bpf_htons(IPV4_FRAGMENT_MASK))
        return STEER_COUNT_dropped_fragment;
    if (ip->protocol == IPPROTO_TCP)
        return judge_tcp(cursor, &target, role);
    if (ip->protocol == IPPROTO_ICMP)
        return judge_icmp(cursor);
    return STEER_COUNT_passed;
}

/* Whether the message is about TARGET's resolution: RFC 4861 7.2. Reads from a copy of the cursor.
 */
static __always_inline int is_our_neighbour_message(struct cursor cursor,
                                                    const struct steer_address *destination)
{
    const struct neighbour_message *message = take(&cursor, sizeof(*message));
    struct steer_address target;

    if (!message)
        return 0;
    if (message->header.icmp6_type != ND_NEIGHBOUR_SOLICIT &&
        message->header.icmp6_type != ND_NEIGHBOUR_ADVERTISE)
        return 0;
    if (address_from_ipv6(&target, &message->target) && role_of(&target))
        return 1;
    return message->header.icmp6_type == ND_NEIGHBOUR_ADVERTISE && role_of(destination);
}

static __always_inline enum steer_counter judge_icmpv6(struct cursor *cursor)
{
    const struct icmp6hdr *icmp = take(cursor, sizeof(*icmp));
    struct steer_address source;
    const struct ipv6hdr *quoted;

    if (!icmp)
        return STEER_COUNT_passed;
    if (icmp->icmp6_type == ICMPV6_ECHO_REQUEST)
        return STEER_COUNT_redirected_echo;
    if (icmp->icmp6_type < ICMPV6_DEST_UNREACH || icmp->icmp6_type > ICMPV6_PARAMPROB)
        return STEER_COUNT_passed;
    quoted = take(cursor, sizeof(*quoted));
    /* We send no extension headers, so none can be quoted back at us. */
    if (!quoted || quoted->version != 6 || quoted->nexthdr != IPPROTO_TCP ||
        !address_from_ipv6(&source, &quoted->saddr))
        return STEER_COUNT_passed;
    return judge_quoted(cursor, &source);
}

/* The protocol behind the options headers that follow NEXT; an options header's if too many. */
static __always_inline __u8 take_extensions(struct cursor *cursor, __u8 next)
{
    for (int i = 0; i < STEER_EXTENSIONS_MAX; i++) {
        const struct extension *extension;

        if (next != NEXT_HEADER_HOP_BY_HOP && next != NEXT_HEADER_DESTINATION)
            return next;
        extension = take(cursor, sizeof(*extension));
        if (!extension || !take(cursor, extension->length * 8))
            return NEXT_HEADER_HOP_BY_HOP;
        next = extension->next_header;
    }
    return next;
}

static __always_inline enum steer_counter judge_ipv6(struct cursor *cursor,
                                                     struct steer_address *source)
{
    const struct ipv6hdr *ip = take(cursor, sizeof(*ip));
    struct steer_address target;
    __u8 protocol;
    __u32 role;

    if (!ip || ip->version != 6 || !address_from_ipv6(source, &ip->saddr) ||
        !address_from_ipv6(&target, &ip->daddr))
        return STEER_COUNT_passed;
    protocol = take_extensions(cursor, ip->nexthdr);
    if (protocol == IPPROTO_ICMPV6 && is_our_neighbour_message(*cursor, &target))
        return STEER_COUNT_redirected_neighbour;
    role = role_of(&target);
    if (!role)
        return STEER_COUNT_passed;
    if (protocol == NEXT_HEADER_FRAGMENT)
        return STEER_COUNT_dropped_fragment;
    if (protocol == IPPROTO_TCP)
        return judge_tcp(cursor, &target, role);
    if (protocol == IPPROTO_ICMPV6)
        return judge_icmpv6(cursor);
    return STEER_COUNT_passed;
}

/* Whether SOURCE, which sent something of ours, is on the deny list. */
static __always_inline int is_denied(const struct steer_address *source)
{
    struct steer_prefix prefix = {.length_bits = 128, .address = *source};

    return bpf_map_lookup_elem(&weir_denied, &prefix) != NULL;
}

static __always_inline void count(enum steer_counter counter)
{
    __u32 index = counter;
    __u64 *value = bpf_map_lookup_elem(&weir_counters, &index);

    if (value)
        (*value)++;
}

/* Carries a judgement out; counts it and returns the verdict. */
static __always_inline int act(struct xdp_md *context, enum steer_counter counter,
                               const struct steer_address *source)
{
    int verdict = XDP_DROP;

    if (counter == STEER_COUNT_passed) {
        count(counter);
        return XDP_PASS;
    }
    if (counter != STEER_COUNT_redirected_neighbour && is_denied(source))
        counter = STEER_COUNT_dropped_denied;
    if (counter != STEER_COUNT_dropped_denied && counter != STEER_COUNT_dropped_fragment) {
        verdict = bpf_redirect_map(&xsks_map, context->rx_queue_index, XDP_DROP);
        if (verdict != XDP_REDIRECT)
            counter = STEER_COUNT_dropped_no_socket;
    }
    count(counter);
    return verdict;
}

SEC("xdp")
int STEER_PROGRAM(struct xdp_md *context)
{
    struct cursor cursor = {(void *)(long)context->data, (void *)(long)context->data_end};
    enum steer_counter counter = STEER_COUNT_passed;
    struct steer_address source = {};
    __be16 ethertype = take_ethertype(&cursor);

    if (ethertype == bpf_htons(ETH_P_IP))
        counter = judge_ipv4(&cursor, &source);
    else if (ethertype == bpf_htons(ETH_P_IPV6))
        counter = judge_ipv6(&cursor, &source);
    else if (ethertype == bpf_htons(ETH_P_ARP))
        counter = judge_arp(&cursor);
    return act(context, counter, &source);
}

char _license[] SEC("license") = "Dual BSD/GPL";
