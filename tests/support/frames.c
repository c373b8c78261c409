#include "tests/support/frames.h"

#include "dataplane/base/check.h"
#include "dataplane/base/sanitizer.h"

#include <arpa/inet.h>
#include <rte_mbuf.h>
#include <string.h>

#define ETHERNET 14
#define TAG      4

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static struct ip_address address_of(const char *text)
{
    struct ip_address address;
    check(ip_address_parse(text, &address));
    return address;
}

void frame_append(struct frame *frame, const void *bytes, uint16_t length)
{
    check(frame->length + length <= FRAME_ROOM);
    memcpy(frame->data + frame->length, bytes, length);
    frame->length = (uint16_t)(frame->length + length);
}

static void append16(struct frame *frame, uint16_t value)
{
    uint8_t bytes[2];
    put16(bytes, value);
    frame_append(frame, bytes, sizeof(bytes));
}

void frame_ethernet(struct frame *frame, const struct frame_ends *ends, uint16_t ethertype)
{
    frame->length = 0;
    frame_append(frame, ends->to_mac, 6);
    frame_append(frame, ends->from_mac, 6);
    if (ends->vlan != 0) {
        append16(frame, 0x8100);
        append16(frame, ends->vlan);
    }
    append16(frame, ethertype);
}

uint16_t frame_ip_offset(const struct frame *frame)
{
    return get16(frame->data + 12) == 0x8100 ? ETHERNET + TAG : ETHERNET;
}

uint16_t frame_sum(const void *data, uint32_t length, uint32_t sum)
{
    const uint8_t *at = data;
    for (uint32_t i = 0; i < length; i++)
        sum += i % 2 == 0 ? (uint32_t)at[i] << 8 : at[i];
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

void frame_fix_ip(struct frame *frame)
{
    uint8_t *ip = frame->data + frame_ip_offset(frame);
    if (ip[0] >> 4 != 4)
        return;
    put16(ip + 10, 0);
    put16(ip + 10, (uint16_t)~frame_sum(ip, (ip[0] & 0xfu) * 4, 0));
}

static void fix_at(uint8_t *field, const uint8_t *transport, uint32_t length, uint32_t sum)
{
    put16(field, 0);
    put16(field, (uint16_t)~frame_sum(transport, length, sum));
}

static uint32_t checksum_place(uint8_t protocol)
{
    return protocol == IPPROTO_TCP ? 16 : 2;
}

static void fix_v4(uint8_t *ip)
{
    uint32_t header = (ip[0] & 0xfu) * 4;
    uint32_t length = get16(ip + 2) - header;
    uint32_t sum = 0;
    if (ip[9] == IPPROTO_TCP)
        sum = frame_sum(ip + 12, 8, ip[9] + length);
    fix_at(ip + header + checksum_place(ip[9]), ip + header, length, sum);
}

static void fix_v6(uint8_t *ip)
{
    uint32_t header = 40;
    uint8_t protocol = ip[6];
    while (protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_DSTOPTS ||
           protocol == IPPROTO_ROUTING) {
        protocol = ip[header];
        header += 8 * (ip[header + 1] + 1u);
    }
    uint32_t length = 40u + get16(ip + 4) - header;
    fix_at(ip + header + checksum_place(protocol), ip + header, length,
           frame_sum(ip + 8, 32, protocol + length));
}

void frame_fix_transport(struct frame *frame)
{
    uint8_t *ip = frame->data + frame_ip_offset(frame);
    if (ip[0] >> 4 == 4)
        fix_v4(ip);
    else
        fix_v6(ip);
}

static void v4_header(struct frame *frame, const struct frame_ends *ends, uint8_t protocol,
                      uint16_t length)
{
    uint8_t header[20] = {0x45, 0, 0, 0, 0, 7, 0x40, 0, 64, protocol};
    uint32_t from, to;
    check(inet_pton(AF_INET, ends->from, &from) == 1 && inet_pton(AF_INET, ends->to, &to) == 1);
    put16(header + 2, (uint16_t)(sizeof(header) + length));
    memcpy(header + 12, &from, 4);
    memcpy(header + 16, &to, 4);
    frame_append(frame, header, sizeof(header));
}

static void v6_header(struct frame *frame, const struct frame_ends *ends, uint8_t protocol,
                      uint16_t length)
{
    uint8_t header[40] = {0x60, [6] = protocol, [7] = 64};
    if (protocol == IPPROTO_ICMPV6)
        header[7] = 255;
    put16(header + 4, length);
    check(inet_pton(AF_INET6, ends->from, header + 8) == 1);
    check(inet_pton(AF_INET6, ends->to, header + 24) == 1);
    frame_append(frame, header, sizeof(header));
}

void frame_ip(struct frame *frame, const struct frame_ends *ends, uint8_t protocol,
              const void *payload, uint16_t length)
{
    bool v4 = strchr(ends->from, ':') == NULL;
    frame_ethernet(frame, ends, v4 ? 0x0800 : 0x86dd);
    if (v4)
        v4_header(frame, ends, protocol, length);
    else
        v6_header(frame, ends, protocol, length);
    frame_append(frame, payload, length);
    frame_fix_ip(frame);
}

void frame_tcp(struct frame *frame, const struct frame_ends *ends, uint16_t from_port,
               uint16_t to_port, uint16_t count)
{
    uint8_t tcp[FRAME_ROOM] = {[7] = 1, [11] = 1, [12] = 5 << 4, [13] = 0x10, [14] = 0xff};
    put16(tcp, from_port);
    put16(tcp + 2, to_port);
    for (uint16_t i = 0; i < count; i++)
        tcp[20 + i] = (uint8_t)(i + 1);
    frame_ip(frame, ends, IPPROTO_TCP, tcp, (uint16_t)(20 + count));
    frame_fix_transport(frame);
}

void frame_icmp(struct frame *frame, const struct frame_ends *ends, const void *message,
                uint16_t length)
{
    bool v4 = strchr(ends->from, ':') == NULL;
    frame_ip(frame, ends, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, message, length);
    frame_fix_transport(frame);
}

void frame_arp(struct frame *frame, const struct frame_ends *ends, uint16_t operation,
               const char *sender, const char *target)
{
    uint8_t arp[28] = {0, 1, 8, 0, 6, 4};
    put16(arp + 6, operation);
    memcpy(arp + 8, ends->from_mac, 6);
    check(inet_pton(AF_INET, sender, arp + 14) == 1);
    if (operation == 2)
        memcpy(arp + 18, ends->to_mac, 6);
    check(inet_pton(AF_INET, target, arp + 24) == 1);
    frame_ethernet(frame, ends, 0x0806);
    frame_append(frame, arp, sizeof(arp));
}

void frame_ndp(struct frame *frame, const struct frame_ends *ends, uint8_t type, uint32_t flags,
               const char *target)
{
    uint8_t message[32] = {type};
    struct ip_address address = address_of(target);
    put16(message + 4, (uint16_t)(flags >> 16));
    put16(message + 6, (uint16_t)flags);
    memcpy(message + 8, address.bytes, 16);
    message[24] = type == 135 ? 1 : 2;
    message[25] = 1;
    memcpy(message + 26, ends->from_mac, 6);
    frame_icmp(frame, ends, message, sizeof(message));
}

void frame_give(struct net_host *host, const struct frame *frame, uint64_t now,
                struct net_arrivals *out)
{
    struct rte_mbuf *packet = rte_pktmbuf_alloc(host->port->mempool);
    check(packet != NULL);
    uint8_t *data = (uint8_t *)rte_pktmbuf_append(packet, frame->length);
    check(data != NULL);
    memcpy(data, frame->data, frame->length);
    uint8_t *behind = data + frame->length;
    size_t left = (size_t)((uint8_t *)packet->buf_addr + packet->buf_len - behind);
    sanitizer_poison(behind, left);
    net_in(host->net, 0, &packet, 1, now, out);
    sanitizer_unpoison(behind, left);
}

uint16_t frame_give_and_free(struct net_host *host, const struct frame *frame, uint64_t now)
{
    struct net_arrivals arrivals;
    frame_give(host, frame, now, &arrivals);
    net_host_free(&arrivals);
    return (uint16_t)(arrivals.own_count + arrivals.foreign_count);
}
