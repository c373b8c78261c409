/*
 * The XDP program, run by the kernel on packets of a table: each as it is, cut at every byte, and
 * with every bit flipped.
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>

#include "control/steer.h"
#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"
#include "tests/support/steer_lab.h"

#define FRAME_MAX 256
#define STEPS_MAX 8
#define SKIPPED   77

/* Ours. */
#define VIP4   "192.0.2.10"
#define VIP6   "2001:db8::10"
#define LOCAL4 "198.51.100.5"
#define LOCAL6 "2001:db8:1::5"
/* Clients, the second of each kind on the deny list. */
#define CLIENT4 "203.0.113.7"
#define CLIENT6 "2001:db8:f::7"
#define DENIED4 "100.64.9.9"
#define DENIED6 "2001:db8:bad::9"
/* The kernel's. */
#define HOST4 "172.16.77.1"
#define HOST6 "fd77:7777:7777::7777"

struct frame {
    uint8_t bytes[FRAME_MAX];
    size_t length;
    bool for_host; /* put the host's addresses where ours should be */
};

/* One header of a frame. */
struct step {
    void (*write)(struct frame *frame, const struct step *step);
    uint16_t first;
    uint16_t second;
    const char *source;
    const char *target;
};

struct packet {
    const char *name;
    struct step steps[STEPS_MAX];
    uint32_t verdict;
    enum steer_counter counter;
    size_t needed_bytes; /* shorter frames are the kernel's */
};

static struct steer *steer;

/* ---- Writing frames ---- */

static uint8_t *extend(struct frame *frame, size_t length)
{
    uint8_t *added = frame->bytes + frame->length;

    assert_true(frame->length + length <= FRAME_MAX);
    memset(added, 0, length);
    frame->length += length;
    return added;
}

static void put_16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static bool is_ours(const char *text)
{
    return strcmp(text, VIP4) == 0 || strcmp(text, VIP6) == 0 || strcmp(text, LOCAL4) == 0 ||
           strcmp(text, LOCAL6) == 0;
}

static void put_address(const struct frame *frame, uint8_t *at, const char *text)
{
    bool v6 = strchr(text, ':') != NULL;

    if (frame->for_host && is_ours(text))
        text = v6 ? HOST6 : HOST4;
    assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, text, at), 1);
}

static void write_ether(struct frame *frame, const struct step *step)
{
    uint8_t *at = extend(frame, 14);

    memcpy(at, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02", 12);
    put_16(at + 12, step->first);
}

static void write_tag(struct frame *frame, const struct step *step)
{
    uint8_t *at = extend(frame, 4);

    put_16(at, 100);
    put_16(at + 2, step->first);
}

static void write_ip4(struct frame *frame, const struct step *step)
{
    uint8_t *at = extend(frame, 20);

    at[0] = 0x45;
    put_16(at + 2, 40);
    put_16(at + 6, step->second);
    at[8] = 64;
    at[9] = (uint8_t)step->first;
    put_address(frame, at + 12, step->source);
    put_address(frame, at + 16, step->target);
}

static void write_ip4_options(struct frame *frame, const struct step *step)
{
    size_t start = frame->length;

    write_ip4(frame, &(struct step){NULL, step->first, 0, step->source, step->target});
    frame->bytes[start] = (uint8_t)(0x45 + step->second);
    extend(frame, 4u * step->second);
}

static void write_ip6(struct frame *frame, const struct step *step)
{
    uint8_t *at = extend(frame, 40);

    at[0] = 0x60;
    put_16(at + 4, 20);
    at[6] = (uint8_t)step->first;
    at[7] = 255;
    put_address(frame, at + 8, step->source);
    put_address(frame, at + 24, step->target);
}

static void write_extension(struct frame *frame, const struct step *step)
{
    uint8_t *at = extend(frame, 8 + 8u * step->second);

    at[0] = (uint8_t)step->first;
    at[1] = (uint8_t)step->second;
}

static void write_ports(struct frame *frame, const struct step *step)
{
    uint8_t *at = extend(frame, 20);

    put_16(at, step->first);
    put_16(at + 2, step->second);
    at[12] = 0x50;
}

static void write_icmp(struct frame *frame, const struct step *step)
{
    extend(frame, 8)[0] = (uint8_t)step->first;
}

static void write_neighbour(struct frame *frame, const struct step *step)
{
    uint8_t *at = extend(frame, 24);

    at[0] = (uint8_t)step->first;
    put_address(frame, at + 8, step->target);
}

static void write_arp(struct frame *frame, const struct step *step)
{
    uint8_t *at = extend(frame, 28);

    memcpy(at, "\x00\x01\x08\x00\x06\x04", 6);
    put_16(at + 6, step->first);
    put_address(frame, at + 14, step->source);
    put_address(frame, at + 24, step->target);
}

/* A byte at an offset of the frame. */
static void write_byte(struct frame *frame, const struct step *step)
{
    frame->bytes[step->first] = (uint8_t)step->second;
}

/* clang-format off */
#define ETHER(type)                    {write_ether, type, 0, NULL, NULL}
#define TAG(type)                      {write_tag, type, 0, NULL, NULL}
#define IP4(protocol, source, target)  {write_ip4, protocol, 0x4000, source, target}
#define PIECE4(flags, source, target)  {write_ip4, IPPROTO_TCP, flags, source, target}
#define OPTIONS4(words, source, target) {write_ip4_options, IPPROTO_TCP, words, source, target}
#define IP6(next, source, target)      {write_ip6, next, 0, source, target}
#define EXTENSION(next, eights)        {write_extension, next, eights, NULL, NULL}
#define TCP(source, target)            {write_ports, source, target, NULL, NULL}
#define ICMP(type)                     {write_icmp, type, 0, NULL, NULL}
#define NEIGHBOUR(type, target)        {write_neighbour, type, 0, NULL, target}
#define PUT(offset, value)             {write_byte, offset, value, NULL, NULL}
#define ARP(operation, source, target) {write_arp, operation, 0, source, target}

#define V4     ETHER(ETH_P_IP)
#define V6     ETHER(ETH_P_IPV6)
#define PASSED XDP_PASS, STEER_COUNT_passed, 0

static const struct packet packets[] = {
    {"IPv4 TCP to a listener",
     {V4, IP4(6, CLIENT4, VIP4), TCP(40000, 443)},
     XDP_REDIRECT, STEER_COUNT_redirected_tcp, 14 + 20 + 4},
    {"IPv6 TCP to a listener",
     {V6, IP6(6, CLIENT6, VIP6), TCP(40000, 443)},
     XDP_REDIRECT, STEER_COUNT_redirected_tcp, 14 + 40 + 4},
    {"IPv4 TCP to another port of a listener's address",
     {V4, IP4(6, CLIENT4, VIP4), TCP(40000, 22)}, PASSED},
    {"IPv6 TCP to another port of a listener's address",
     {V6, IP6(6, CLIENT6, VIP6), TCP(40000, 22)}, PASSED},
    {"IPv4 TCP from a listener's port number",
     {V4, IP4(6, CLIENT4, VIP4), TCP(443, 40000)}, PASSED},
    {"IPv4 TCP to any port of a local address",
     {V4, IP4(6, CLIENT4, LOCAL4), TCP(8080, 50123)},
     XDP_REDIRECT, STEER_COUNT_redirected_tcp, 14 + 20 + 4},
    {"IPv6 TCP to any port of a local address",
     {V6, IP6(6, CLIENT6, LOCAL6), TCP(8080, 50123)},
     XDP_REDIRECT, STEER_COUNT_redirected_tcp, 14 + 40 + 4},
    {"IPv4 TCP to the host", {V4, IP4(6, CLIENT4, HOST4), TCP(40000, 443)}, PASSED},
    {"IPv6 TCP to the host", {V6, IP6(6, CLIENT6, HOST6), TCP(40000, 443)}, PASSED},
    {"IPv4 UDP to a listener's address",
     {V4, IP4(17, CLIENT4, VIP4), TCP(40000, 443)}, PASSED},
    {"IPv6 UDP to a local address", {V6, IP6(17, CLIENT6, LOCAL6), TCP(40000, 443)}, PASSED},
    {"IPv4 header with the most options",
     {V4, OPTIONS4(10, CLIENT4, VIP4), TCP(40000, 443)},
     XDP_REDIRECT, STEER_COUNT_redirected_tcp, 14 + 60 + 4},
    {"one VLAN tag",
     {ETHER(ETH_P_8021Q), TAG(ETH_P_IP), IP4(6, CLIENT4, VIP4), TCP(40000, 443)},
     XDP_REDIRECT, STEER_COUNT_redirected_tcp, 18 + 20 + 4},
    {"two VLAN tags",
     {ETHER(ETH_P_8021AD), TAG(ETH_P_8021Q), TAG(ETH_P_IPV6), IP6(6, CLIENT6, VIP6),
      TCP(40000, 443)},
     XDP_REDIRECT, STEER_COUNT_redirected_tcp, 22 + 40 + 4},
    {"three VLAN tags",
     {ETHER(ETH_P_8021AD), TAG(ETH_P_8021Q), TAG(ETH_P_8021Q), TAG(ETH_P_IP),
      IP4(6, CLIENT4, VIP4), TCP(40000, 443)}, PASSED},
    {"another EtherType", {ETHER(ETH_P_MPLS_UC), IP4(6, CLIENT4, VIP4), TCP(40000, 443)}, PASSED},

    {"first IPv4 fragment",
     {V4, PIECE4(0x2000, CLIENT4, VIP4), TCP(40000, 443)},
     XDP_DROP, STEER_COUNT_dropped_fragment, 14 + 20},
    {"later IPv4 fragment",
     {V4, PIECE4(0x00b9, CLIENT4, LOCAL4), TCP(40000, 443)},
     XDP_DROP, STEER_COUNT_dropped_fragment, 14 + 20},
    {"IPv4 fragment to the host", {V4, PIECE4(0x2000, CLIENT4, HOST4), TCP(40000, 443)}, PASSED},
    {"IPv6 fragment",
     {V6, IP6(44, CLIENT6, VIP6), EXTENSION(6, 0), TCP(40000, 443)},
     XDP_DROP, STEER_COUNT_dropped_fragment, 14 + 40},
    {"IPv6 fragment to the host",
     {V6, IP6(44, CLIENT6, HOST6), EXTENSION(6, 0), TCP(40000, 443)}, PASSED},

    {"IPv6 options headers",
     {V6, IP6(0, CLIENT6, VIP6), EXTENSION(60, 0), EXTENSION(6, 2), TCP(40000, 443)},
     XDP_REDIRECT, STEER_COUNT_redirected_tcp, 14 + 40 + 8 + 24 + 4},
    {"as many IPv6 options headers as are looked through",
     {V6, IP6(0, CLIENT6, VIP6), EXTENSION(60, 0), EXTENSION(60, 0), EXTENSION(60, 0),
      EXTENSION(6, 0), TCP(40000, 443)},
     XDP_REDIRECT, STEER_COUNT_redirected_tcp, 14 + 40 + 32 + 4},
    {"one IPv6 options header too many",
     {V6, IP6(0, CLIENT6, LOCAL6), EXTENSION(60, 0), EXTENSION(60, 0), EXTENSION(60, 0),
      EXTENSION(60, 0), EXTENSION(6, 0), TCP(40000, 443)}, PASSED},
    {"IPv6 routing header",
     {V6, IP6(43, CLIENT6, VIP6), EXTENSION(6, 0), TCP(40000, 443)}, PASSED},
    {"v4-mapped addresses on the wire",
     {V6, IP6(6, CLIENT6, "::ffff:" VIP4), TCP(40000, 443)}, PASSED},

    {"ARP request for a listener's address",
     {ETHER(ETH_P_ARP), ARP(1, CLIENT4, VIP4)},
     XDP_REDIRECT, STEER_COUNT_redirected_neighbour, 14 + 28},
    {"ARP reply to a local address",
     {ETHER(ETH_P_ARP), ARP(2, CLIENT4, LOCAL4)},
     XDP_REDIRECT, STEER_COUNT_redirected_neighbour, 14 + 28},
    {"ARP request in a VLAN",
     {ETHER(ETH_P_8021Q), TAG(ETH_P_ARP), ARP(1, CLIENT4, VIP4)},
     XDP_REDIRECT, STEER_COUNT_redirected_neighbour, 18 + 28},
    {"ARP request from a denied neighbour",
     {ETHER(ETH_P_ARP), ARP(1, DENIED4, VIP4)},
     XDP_REDIRECT, STEER_COUNT_redirected_neighbour, 14 + 28},
    {"ARP of another hardware", {ETHER(ETH_P_ARP), ARP(1, CLIENT4, VIP4), PUT(15, 6)}, PASSED},
    {"ARP of another protocol", {ETHER(ETH_P_ARP), ARP(1, CLIENT4, VIP4), PUT(16, 0x86)}, PASSED},
    {"ARP with other hardware addresses",
     {ETHER(ETH_P_ARP), ARP(1, CLIENT4, VIP4), PUT(18, 8)}, PASSED},
    {"ARP with other protocol addresses",
     {ETHER(ETH_P_ARP), ARP(1, CLIENT4, VIP4), PUT(19, 16)}, PASSED},
    {"ARP request for the host", {ETHER(ETH_P_ARP), ARP(1, CLIENT4, HOST4)}, PASSED},
    {"neighbour solicitation, multicast",
     {V6, IP6(58, CLIENT6, "ff02::1:ff00:10"), NEIGHBOUR(135, VIP6)},
     XDP_REDIRECT, STEER_COUNT_redirected_neighbour, 14 + 40 + 24},
    {"neighbour solicitation, unicast",
     {V6, IP6(58, CLIENT6, LOCAL6), NEIGHBOUR(135, LOCAL6)},
     XDP_REDIRECT, STEER_COUNT_redirected_neighbour, 14 + 40 + 24},
    {"neighbour solicitation for the host, multicast",
     {V6, IP6(58, CLIENT6, "ff02::1:ff00:7777"), NEIGHBOUR(135, HOST6)}, PASSED},
    {"neighbour solicitation from a denied neighbour",
     {V6, IP6(58, DENIED6, "ff02::1:ff00:10"), NEIGHBOUR(135, VIP6)},
     XDP_REDIRECT, STEER_COUNT_redirected_neighbour, 14 + 40 + 24},
    {"neighbour advertisement to a local address",
     {V6, IP6(58, CLIENT6, LOCAL6), NEIGHBOUR(136, CLIENT6)},
     XDP_REDIRECT, STEER_COUNT_redirected_neighbour, 14 + 40 + 24},
    {"neighbour advertisement of somebody who claims our address",
     {V6, IP6(58, CLIENT6, "ff02::1"), NEIGHBOUR(136, VIP6)},
     XDP_REDIRECT, STEER_COUNT_redirected_neighbour, 14 + 40 + 24},
    {"neighbour advertisement to all nodes",
     {V6, IP6(58, CLIENT6, "ff02::1"), NEIGHBOUR(136, CLIENT6)}, PASSED},
    {"router advertisement",
     {V6, IP6(58, CLIENT6, "ff02::1"), NEIGHBOUR(134, VIP6)}, PASSED},

    {"IPv4 echo request to a listener's address",
     {V4, IP4(1, CLIENT4, VIP4), ICMP(8)},
     XDP_REDIRECT, STEER_COUNT_redirected_echo, 14 + 20 + 8},
    {"IPv6 echo request to a local address",
     {V6, IP6(58, CLIENT6, LOCAL6), ICMP(128)},
     XDP_REDIRECT, STEER_COUNT_redirected_echo, 14 + 40 + 8},
    {"IPv4 echo request to the host", {V4, IP4(1, CLIENT4, HOST4), ICMP(8)}, PASSED},
    {"IPv4 echo reply to a listener's address", {V4, IP4(1, CLIENT4, VIP4), ICMP(0)}, PASSED},
    {"IPv6 echo reply to a listener's address", {V6, IP6(58, CLIENT6, VIP6), ICMP(129)}, PASSED},

    {"IPv4 unreachable about a packet from a listener",
     {V4, IP4(1, CLIENT4, VIP4), ICMP(3), IP4(6, VIP4, CLIENT4), TCP(443, 40000)},
     XDP_REDIRECT, STEER_COUNT_redirected_icmp_error, 14 + 20 + 8 + 20 + 4},
    {"IPv4 time exceeded about a packet from a local address",
     {V4, IP4(1, CLIENT4, LOCAL4), ICMP(11), IP4(6, LOCAL4, CLIENT4), TCP(50123, 8080)},
     XDP_REDIRECT, STEER_COUNT_redirected_icmp_error, 14 + 20 + 8 + 20 + 4},
    {"IPv4 unreachable about another port of a listener's address",
     {V4, IP4(1, CLIENT4, VIP4), ICMP(3), IP4(6, VIP4, CLIENT4), TCP(22, 40000)}, PASSED},
    {"IPv4 unreachable about the host's packet",
     {V4, IP4(1, CLIENT4, HOST4), ICMP(3), IP4(6, HOST4, CLIENT4), TCP(443, 40000)}, PASSED},
    {"IPv4 unreachable about UDP",
     {V4, IP4(1, CLIENT4, VIP4), ICMP(3), IP4(17, VIP4, CLIENT4), TCP(443, 40000)}, PASSED},
    {"IPv4 unreachable about a later fragment",
     {V4, IP4(1, CLIENT4, VIP4), ICMP(3), PIECE4(0x00b9, VIP4, CLIENT4), TCP(443, 40000)}, PASSED},
    {"IPv4 redirect message",
     {V4, IP4(1, CLIENT4, VIP4), ICMP(5), IP4(6, VIP4, CLIENT4), TCP(443, 40000)}, PASSED},
    {"IPv6 packet too big about a packet from a listener",
     {V6, IP6(58, CLIENT6, VIP6), ICMP(2), IP6(6, VIP6, CLIENT6), TCP(443, 40000)},
     XDP_REDIRECT, STEER_COUNT_redirected_icmp_error, 14 + 40 + 8 + 40 + 4},
    {"IPv6 unreachable about a packet from a local address",
     {V6, IP6(58, CLIENT6, LOCAL6), ICMP(1), IP6(6, LOCAL6, CLIENT6), TCP(50123, 8080)},
     XDP_REDIRECT, STEER_COUNT_redirected_icmp_error, 14 + 40 + 8 + 40 + 4},
    {"IPv6 unreachable about another port of a listener's address",
     {V6, IP6(58, CLIENT6, VIP6), ICMP(1), IP6(6, VIP6, CLIENT6), TCP(22, 40000)}, PASSED},
    {"IPv6 message of an unknown error type",
     {V6, IP6(58, CLIENT6, VIP6), ICMP(5), IP6(6, VIP6, CLIENT6), TCP(443, 40000)}, PASSED},

    {"IPv4 TCP to a listener from a denied source",
     {V4, IP4(6, DENIED4, VIP4), TCP(40000, 443)},
     XDP_DROP, STEER_COUNT_dropped_denied, 14 + 20 + 4},
    {"IPv6 TCP to a listener from a denied source",
     {V6, IP6(6, DENIED6, VIP6), TCP(40000, 443)},
     XDP_DROP, STEER_COUNT_dropped_denied, 14 + 40 + 4},
    {"echo request from a denied source",
     {V4, IP4(1, DENIED4, VIP4), ICMP(8)},
     XDP_DROP, STEER_COUNT_dropped_denied, 14 + 20 + 8},
    {"fragment from a denied source",
     {V4, PIECE4(0x2000, DENIED4, VIP4), TCP(40000, 443)},
     XDP_DROP, STEER_COUNT_dropped_denied, 14 + 20},
    {"IPv4 TCP to the host from a denied source",
     {V4, IP4(6, DENIED4, HOST4), TCP(40000, 22)}, PASSED},
};
/* clang-format on */

static void build(struct frame *frame, const struct packet *packet, bool for_host)
{
    *frame = (struct frame){.for_host = for_host};
    for (size_t i = 0; i < STEPS_MAX && packet->steps[i].write; i++)
        packet->steps[i].write(frame, &packet->steps[i]);
}

/* ---- Rules and counters ---- */

static struct ip_address address(const char *text)
{
    struct ip_address parsed;

    assert_true(ip_address_parse(text, &parsed));
    return parsed;
}

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix parsed;

    assert_true(ip_prefix_parse(text, &parsed));
    return parsed;
}

static void set_rules(void)
{
    const struct steer_vip vips[] = {{address(VIP4), 443}, {address(VIP6), 443}};
    const struct ip_address locals[] = {address(LOCAL4), address(LOCAL6)};
    const struct ip_prefix denied[] = {prefix("100.64.0.0/10"), prefix("2001:db8:bad::/48")};
    const struct steer_rules rules = {vips, 2, locals, 2, denied, 2};
    char message[256];

    assert_int_equal(steer_set(steer, &rules, message, sizeof(message)), 0);
}

static void set_no_rules(void)
{
    char message[256];

    assert_int_equal(steer_set(steer, &(struct steer_rules){0}, message, sizeof(message)), 0);
}

static void read_counters(uint64_t values[STEER_COUNTERS])
{
    char message[256];

    assert_int_equal(steer_counters(steer, values, message, sizeof(message)), 0);
}

/* Runs FRAME and checks its verdict, and that COUNTER and no other counter grew by one. */
static void expect(const char *name, const uint8_t *frame, size_t length, uint32_t verdict,
                   enum steer_counter counter)
{
    uint64_t before[STEER_COUNTERS], after[STEER_COUNTERS];
    uint32_t actual;

    read_counters(before);
    actual = steer_lab_run(frame, length);
    read_counters(after);
    if (actual != verdict || after[counter] != before[counter] + 1)
        fail_msg("%s, %zu bytes: verdict %u instead of %u, or not counted as %s", name, length,
                 actual, verdict, steer_counter_name(counter));
    for (unsigned i = 0; i < STEER_COUNTERS; i++)
        assert_int_equal(after[i], before[i] + (i == (unsigned)counter));
}

/* ---- Tests ---- */

static void every_packet_of_the_table_goes_where_it_belongs(void **state)
{
    set_rules();
    for (size_t i = 0; i < array_count(packets); i++) {
        const struct packet *packet = &packets[i];
        struct frame frame;

        build(&frame, packet, false);
        expect(packet->name, frame.bytes, frame.length, packet->verdict, packet->counter);
    }
}

static void frames_cut_short_of_what_decides_are_the_kernels(void **state)
{
    set_rules();
    for (size_t i = 0; i < array_count(packets); i++) {
        const struct packet *packet = &packets[i];
        struct frame frame;

        build(&frame, packet, false);
        for (size_t length = ETH_HLEN; length < frame.length; length++) {
            bool enough = length >= packet->needed_bytes;

            expect(packet->name, frame.bytes, length, enough ? packet->verdict : XDP_PASS,
                   enough ? packet->counter : STEER_COUNT_passed);
        }
    }
}

static void with_empty_maps_everything_is_the_kernels(void **state)
{
    set_no_rules();
    for (size_t i = 0; i < array_count(packets); i++) {
        struct frame frame;

        build(&frame, &packets[i], false);
        expect(packets[i].name, frame.bytes, frame.length, XDP_PASS, STEER_COUNT_passed);
    }
}

/* Whatever a bit error makes of traffic that does not name our addresses: it is not taken. */
static void nothing_of_the_kernels_is_taken_whatever_bit_flips(void **state)
{
    set_rules();
    for (size_t i = 0; i < array_count(packets); i++) {
        struct frame frame;

        build(&frame, &packets[i], true);
        for (size_t bit = 0; bit < frame.length * 8; bit++) {
            frame.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (steer_lab_run(frame.bytes, frame.length) != XDP_PASS)
                fail_msg("%s to the host, bit %zu flipped: taken", packets[i].name, bit);
            frame.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

static void flipped_bits_give_one_of_three_verdicts_and_count_once(void **state)
{
    uint64_t before[STEER_COUNTERS], after[STEER_COUNTERS], runs = 0, counted = 0;

    set_rules();
    read_counters(before);
    for (size_t i = 0; i < array_count(packets); i++) {
        struct frame frame;

        build(&frame, &packets[i], false);
        for (size_t bit = 0; bit < frame.length * 8; bit++, runs++) {
            uint32_t verdict;

            frame.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            verdict = steer_lab_run(frame.bytes, frame.length);
            assert_true(verdict == XDP_PASS || verdict == XDP_DROP || verdict == XDP_REDIRECT);
            frame.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
    read_counters(after);
    for (unsigned i = 0; i < STEER_COUNTERS; i++)
        counted += after[i] - before[i];
    assert_int_equal(counted, runs);
}

/* Last: it takes the socket away. */
static void ours_without_a_socket_is_dropped_not_reset_by_the_kernel(void **state)
{
    set_rules();
    steer_lab_close_socket();
    for (size_t i = 0; i < array_count(packets); i++) {
        const struct packet *packet = &packets[i];
        bool redirected = packet->verdict == XDP_REDIRECT;
        struct frame frame;

        build(&frame, packet, false);
        expect(packet->name, frame.bytes, frame.length, redirected ? XDP_DROP : packet->verdict,
               redirected ? STEER_COUNT_dropped_no_socket : packet->counter);
    }
}

static int open_steer(void **state)
{
    char message[256];

    steer = steer_prepare(STEER_LAB_INTERFACE, message, sizeof(message));
    assert_non_null(steer);
    steer_lab_attach();
    return steer_attach(steer, message, sizeof(message));
}

static int close_steer(void **state)
{
    steer_close(steer);
    steer_lab_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_packet_of_the_table_goes_where_it_belongs),
        cmocka_unit_test(frames_cut_short_of_what_decides_are_the_kernels),
        cmocka_unit_test(with_empty_maps_everything_is_the_kernels),
        cmocka_unit_test(nothing_of_the_kernels_is_taken_whatever_bit_flips),
        cmocka_unit_test(flipped_bits_give_one_of_three_verdicts_and_count_once),
        cmocka_unit_test(ours_without_a_socket_is_dropped_not_reset_by_the_kernel),
    };
    const char *why = "AF_XDP sockets are not available";

    if (!steer_lab_open(&why) || !steer_lab_open_socket()) {
        print_message("skipped: %s\n", why);
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, open_steer, close_steer);
}
