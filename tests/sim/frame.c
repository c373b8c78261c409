#include "tests/sim/frame.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define ETHER     14u
#define V4_HEADER 20u
#define V6_HEADER 40u
#define TCP       20u
#define PROTOCOL  6u
#define ICMP      8u
#define ICMP_V4   1u
#define ICMP_V6   58u
#define HOP_LIMIT 64u

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value);
}

/* ---- checksums ---- */

uint32_t frame_sum(uint32_t sum, const uint8_t *bytes, size_t length)
{
    uint64_t wide = sum;
    for (; length > 1; bytes += 2, length -= 2)
        wide += (uint32_t)(bytes[0] << 8 | bytes[1]);
    if (length == 1)
        wide += (uint32_t)bytes[0] << 8;
    while (wide >> 16)
        wide = (wide & 0xffff) + (wide >> 16);
    return (uint32_t)wide;
}

uint16_t frame_sum_end(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* Zero over a segment that is whole. */
static uint16_t tcp_sum(bool v6, const uint8_t *addresses, const uint8_t *tcp, uint32_t length)
{
    uint32_t sum = frame_sum(0, addresses, v6 ? 32 : 8);
    sum += PROTOCOL + (length >> 16) + (length & 0xffff);
    return frame_sum_end(frame_sum(sum, tcp, length));
}

/* ---- reading ---- */

static bool read_options(const uint8_t *at, uint32_t left, struct frame_segment *out)
{
    while (left > 0) {
        uint8_t kind = at[0];
        if (kind == 0)
            return true;
        if (kind == 1) {
            at++, left--;
            continue;
        }
        if (left < 2 || at[1] < 2 || at[1] > left)
            return false;
        uint8_t length = at[1];
        if (kind == 2 && length == 4) {
            out->mss = get16(at + 2);
        } else if (kind == 3 && length == 3) {
            out->wscale = at[2];
        } else if (kind == 4 && length == 2) {
            out->sack_ok = true;
        } else if (kind == 8 && length == 10) {
            out->has_ts = true;
            out->ts_value = get32(at + 2);
            out->ts_echo = get32(at + 6);
        } else if (kind == 5) {
            if (length % 8 != 2 || length / 8 > FRAME_SACKS_MAX)
                return false;
            for (uint32_t i = 2; i < length; i += 8)
                out->sacks[out->sack_count++] =
                    (struct frame_sack){get32(at + i), get32(at + i + 4)};
        }
        at += length;
        left -= length;
    }
    return true;
}

static enum frame_kind read_tcp(const uint8_t *tcp, uint32_t length, const uint8_t *addresses,
                                struct frame_segment *out)
{
    if (length < TCP || tcp_sum(out->v6, addresses, tcp, length) != 0)
        return FRAME_WRONG;
    out->header_bytes = (tcp[12] >> 4) * 4u;
    if (out->header_bytes < TCP || out->header_bytes > length)
        return FRAME_WRONG;
    out->from.port = get16(tcp);
    out->to.port = get16(tcp + 2);
    out->seq = get32(tcp + 4);
    out->ack = get32(tcp + 8);
    out->flags = tcp[13];
    out->window = get16(tcp + 14);
    out->urgent = get16(tcp + 18);
    out->wscale = -1;
    if (!read_options(tcp + TCP, out->header_bytes - TCP, out))
        return FRAME_WRONG;
    out->data = tcp + out->header_bytes;
    out->length = length - out->header_bytes;
    return FRAME_TCP;
}

static enum frame_kind read_v4(const uint8_t *ip, uint32_t left, struct frame_segment *out)
{
    if (left < V4_HEADER || ip[0] >> 4 != 4 || ip[9] != PROTOCOL)
        return FRAME_OTHER;
    uint32_t header = (ip[0] & 15u) * 4u;
    uint32_t total = get16(ip + 2);
    if (header < V4_HEADER || total < header || total > left ||
        frame_sum_end(frame_sum(0, ip, header)) != 0)
        return FRAME_WRONG;
    memcpy(out->from.address, ip + 12, 4);
    memcpy(out->to.address, ip + 16, 4);
    out->ecn = ip[1] & 3;
    out->ip_bytes = total;
    out->may_fragment = (ip[6] & 0x40) == 0;
    return read_tcp(ip + header, total - header, ip + 12, out);
}

static enum frame_kind read_v6(const uint8_t *ip, uint32_t left, struct frame_segment *out)
{
    if (left < V6_HEADER || ip[0] >> 4 != 6 || ip[6] != PROTOCOL)
        return FRAME_OTHER;
    uint32_t payload = get16(ip + 4);
    if (payload > left - V6_HEADER)
        return FRAME_WRONG;
    out->v6 = true;
    memcpy(out->from.address, ip + 8, 16);
    memcpy(out->to.address, ip + 24, 16);
    out->ecn = ip[1] >> 4 & 3;
    out->ip_bytes = V6_HEADER + payload;
    return read_tcp(ip + V6_HEADER, payload, ip + 8, out);
}

enum frame_kind frame_read(const uint8_t *frame, uint16_t length, struct frame_segment *out)
{
    memset(out, 0, sizeof(*out));
    if (length < ETHER)
        return FRAME_OTHER;
    uint16_t type = get16(frame + 12);
    if (type == 0x0800)
        return read_v4(frame + ETHER, length - ETHER, out);
    return type == 0x86dd ? read_v6(frame + ETHER, length - ETHER, out) : FRAME_OTHER;
}

/* ---- too big ---- */

/* What the message tells of the packet: its header, and eight bytes of TCP. */
static bool read_inner(const uint8_t *ip, uint32_t left, struct frame_segment *out)
{
    uint32_t header = out->v6 ? V6_HEADER : V4_HEADER;
    if (left < header + 8 || ip[out->v6 ? 6 : 9] != PROTOCOL)
        return false;
    memcpy(out->from.address, ip + (out->v6 ? 8 : 12), out->v6 ? 16 : 4);
    memcpy(out->to.address, ip + (out->v6 ? 24 : 16), out->v6 ? 16 : 4);
    out->from.port = get16(ip + header);
    out->to.port = get16(ip + header + 2);
    out->seq = get32(ip + header + 4);
    return true;
}

bool frame_read_too_big(const uint8_t *frame, uint16_t length, struct frame_too_big *out)
{
    memset(out, 0, sizeof(*out));
    bool v6 = length >= ETHER && get16(frame + 12) == 0x86dd;
    uint32_t header = v6 ? V6_HEADER : V4_HEADER;
    if (length < ETHER + header + ICMP || (!v6 && get16(frame + 12) != 0x0800))
        return false;
    const uint8_t *ip = frame + ETHER;
    const uint8_t *icmp = ip + header;
    uint32_t bytes = v6 ? get16(ip + 4) : get16(ip + 2) - header;
    uint32_t pseudo = v6 ? frame_sum(bytes + ICMP_V6, ip + 8, 32) : 0;
    if (ip[v6 ? 6 : 9] != (v6 ? ICMP_V6 : ICMP_V4) || bytes < ICMP ||
        bytes > length - ETHER - header || (!v6 && frame_sum_end(frame_sum(0, ip, header)) != 0) ||
        frame_sum_end(frame_sum(pseudo, icmp, bytes)) != 0)
        return false;
    if (v6 ? icmp[0] != 2 : icmp[0] != 3 || icmp[1] != 4)
        return false;
    out->mtu = v6 ? get32(icmp + 4) : get16(icmp + 6);
    out->segment.v6 = v6;
    return read_inner(icmp + ICMP, bytes - ICMP, &out->segment);
}

/* ---- making ---- */

static uint32_t make_options(const struct frame_segment *segment, uint8_t *at)
{
    static const uint8_t strange[] = {1, 1, 1, 1, 253, 4, 0x12, 0x34};
    uint8_t *start = at;
    memcpy(at, strange, segment->padding_options);
    at += segment->padding_options;
    if (segment->mss != 0) {
        at[0] = 2, at[1] = 4;
        put16(at + 2, segment->mss);
        at += 4;
    }
    if (segment->wscale >= 0) {
        at[0] = 1, at[1] = 3, at[2] = 3, at[3] = (uint8_t)segment->wscale;
        at += 4;
    }
    if (segment->sack_ok) {
        at[0] = 4, at[1] = 2;
        at += 2;
    }
    if (segment->has_ts) {
        at[0] = 8, at[1] = 10;
        put32(at + 2, segment->ts_value);
        put32(at + 6, segment->ts_echo);
        at += 10;
    }
    if (segment->sack_count > 0) {
        at[0] = 5, at[1] = (uint8_t)(2 + 8 * segment->sack_count);
        for (uint32_t i = 0; i < segment->sack_count; i++) {
            put32(at + 2 + 8 * i, segment->sacks[i].start);
            put32(at + 6 + 8 * i, segment->sacks[i].end);
        }
        at += at[1];
    }
    while ((at - start) % 4 != 0)
        *at++ = 1;
    return (uint32_t)(at - start);
}

static uint32_t make_ip(const struct frame_segment *segment, uint32_t payload, uint8_t *ip)
{
    if (segment->v6) {
        memset(ip, 0, V6_HEADER);
        ip[0] = 0x60;
        ip[1] = (uint8_t)(segment->ecn << 4);
        put16(ip + 4, payload);
        ip[6] = PROTOCOL, ip[7] = HOP_LIMIT;
        memcpy(ip + 8, segment->from.address, 16);
        memcpy(ip + 24, segment->to.address, 16);
        return V6_HEADER;
    }
    memset(ip, 0, V4_HEADER);
    ip[0] = 0x45;
    ip[1] = segment->ecn;
    put16(ip + 2, V4_HEADER + payload);
    ip[6] = 0x40;
    ip[8] = HOP_LIMIT, ip[9] = PROTOCOL;
    memcpy(ip + 12, segment->from.address, 4);
    memcpy(ip + 16, segment->to.address, 4);
    put16(ip + 10, frame_sum_end(frame_sum(0, ip, V4_HEADER)));
    return V4_HEADER;
}

uint16_t frame_make(const struct frame_segment *segment, const uint8_t from_mac[6],
                    const uint8_t to_mac[6], uint8_t *out)
{
    uint8_t tcp[FRAME_BYTES_MAX] = {0};
    uint32_t options = make_options(segment, tcp + TCP);
    uint32_t length = TCP + options + segment->length;
    put16(tcp, segment->from.port);
    put16(tcp + 2, segment->to.port);
    put32(tcp + 4, segment->seq);
    put32(tcp + 8, segment->ack);
    tcp[12] = (uint8_t)((TCP + options) / 4 << 4);
    tcp[13] = segment->flags;
    put16(tcp + 14, segment->window);
    put16(tcp + 18, segment->urgent);
    if (segment->length > 0)
        memcpy(tcp + TCP + options, segment->data, segment->length);
    memcpy(out, to_mac, 6);
    memcpy(out + 6, from_mac, 6);
    put16(out + 12, segment->v6 ? 0x86dd : 0x0800);
    uint8_t *ip = out + ETHER;
    uint32_t header = make_ip(segment, length, ip);
    put16(tcp + 16, tcp_sum(segment->v6, segment->v6 ? ip + 8 : ip + 12, tcp, length));
    memcpy(ip + header, tcp, length);
    return (uint16_t)(ETHER + header + length);
}

void frame_strip_options(uint8_t *frame, uint16_t length, uint32_t kinds)
{
    struct frame_segment segment;
    if (frame_read(frame, length, &segment) != FRAME_TCP)
        return;
    uint8_t *tcp = frame + (segment.data - frame) - segment.header_bytes;
    uint8_t *at = tcp + TCP;
    while (at < segment.data && *at != 0) {
        uint8_t bytes = *at == 1 ? 1 : at[1];
        if (*at < 32 && (kinds >> *at & 1) != 0)
            memset(at, 1, bytes);
        at += bytes;
    }
    const uint8_t *addresses = frame + ETHER + (segment.v6 ? 8 : 12);
    put16(tcp + 16, 0);
    put16(tcp + 16, tcp_sum(segment.v6, addresses, tcp, segment.header_bytes + segment.length));
}

/* ---- telling ---- */

void frame_print(const struct frame_segment *segment, char *out, size_t room)
{
    static const char letters[] = "FSRPAUEC";
    char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN], flags[9] = "", options[160] = "";
    int family = segment->v6 ? AF_INET6 : AF_INET;
    size_t used = 0;
    inet_ntop(family, segment->from.address, from, sizeof(from));
    inet_ntop(family, segment->to.address, to, sizeof(to));
    for (uint32_t i = 0, n = 0; i < 8; i++)
        if (segment->flags & 1u << i)
            flags[n++] = letters[i];
    if (segment->flags & FRAME_SYN)
        used += (size_t)snprintf(options, sizeof(options), " mss %u wscale %d%s", segment->mss,
                                 segment->wscale, segment->sack_ok ? " sackOK" : "");
    if (segment->has_ts)
        used += (size_t)snprintf(options + used, sizeof(options) - used, " ts %u %u",
                                 segment->ts_value, segment->ts_echo);
    for (uint32_t i = 0; i < segment->sack_count && used < sizeof(options); i++)
        used += (size_t)snprintf(options + used, sizeof(options) - used, " sack %u-%u",
                                 segment->sacks[i].start, segment->sacks[i].end);
    snprintf(out, room, "%s:%u > %s:%u %s seq %u ack %u win %u len %u%s%s", from,
             segment->from.port, to, segment->to.port, flags, segment->seq, segment->ack,
             segment->window, segment->length, segment->ecn == 3 ? " CE" : "", options);
}
