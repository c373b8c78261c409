#include "tests/sim/reference_link.h"

#include <string.h>

#define END       1
#define ETHER     14u
#define ARP_BYTES 28u
#define ICMP6     58u
#define SOLICIT   135u
#define ADVERTISE 136u
#define NS_BYTES  24u
#define NA_BYTES  32u
#define HOP_LIMIT 255u
#define V6_HEADER 40u

static const uint8_t our_mac[6] = {2, 0, 0, 0, 1, 0};
static const uint8_t their_mac[6] = {2, 0, 0, 0, 0, 0};
static const uint8_t our_v4[4] = {10, 0, 0, 2};
static const uint8_t their_v4[4] = {10, 0, 0, 1};
static const uint8_t our_v6[16] = {0xfd, [15] = 2};
static const uint8_t their_v6[16] = {0xfd, [15] = 1};

void reference_link_init(struct reference_link *link, struct sim *sim, struct wire *wire)
{
    *link = (struct reference_link){.sim = sim, .wire = wire};
}

void reference_link_address(struct frame_segment *segment, bool v6)
{
    segment->v6 = v6;
    memcpy(segment->from.address, v6 ? our_v6 : our_v4, v6 ? 16 : 4);
    memcpy(segment->to.address, v6 ? their_v6 : their_v4, v6 ? 16 : 4);
}

/* ---- who has our addresses ---- */

static void answer_arp(struct reference_link *link, const uint8_t *arp)
{
    uint8_t out[ETHER + ARP_BYTES];
    if (arp[7] != 1 || memcmp(arp + 24, our_v4, 4) != 0)
        return;
    memcpy(out, arp + 8, 6);
    memcpy(out + 6, our_mac, 6);
    out[12] = 0x08, out[13] = 0x06;
    memcpy(out + ETHER, arp, 6);
    out[ETHER + 6] = 0, out[ETHER + 7] = 2;
    memcpy(out + ETHER + 8, our_mac, 6);
    memcpy(out + ETHER + 14, our_v4, 4);
    memcpy(out + ETHER + 18, arp + 8, 10); /* who asked */
    wire_inject(link->wire, END, out, sizeof(out));
}

static uint16_t icmp6_sum(const uint8_t *ip, const uint8_t *icmp, uint32_t length)
{
    uint32_t sum = frame_sum(0, ip + 8, 32) + ICMP6 + length;
    return frame_sum_end(frame_sum(sum, icmp, length));
}

static void answer_solicitation(struct reference_link *link, const uint8_t *ip, uint32_t length)
{
    uint8_t out[ETHER + V6_HEADER + NA_BYTES] = {0};
    const uint8_t *asked = ip + V6_HEADER;
    uint8_t *header = out + ETHER;
    uint8_t *answer = header + V6_HEADER;
    if (length < NS_BYTES || asked[0] != SOLICIT || memcmp(asked + 8, our_v6, 16) != 0 ||
        icmp6_sum(ip, asked, length) != 0)
        return;
    memcpy(out, their_mac, 6);
    memcpy(out + 6, our_mac, 6);
    out[12] = 0x86, out[13] = 0xdd;
    header[0] = 0x60, header[5] = NA_BYTES, header[6] = ICMP6, header[7] = HOP_LIMIT;
    memcpy(header + 8, our_v6, 16);
    memcpy(header + 24, ip + 8, 16);
    answer[0] = ADVERTISE;
    answer[4] = 0x60; /* solicited, override */
    memcpy(answer + 8, our_v6, 16);
    answer[24] = 2, answer[25] = 1;
    memcpy(answer + 26, our_mac, 6);
    uint16_t sum = icmp6_sum(header, answer, NA_BYTES);
    answer[2] = (uint8_t)(sum >> 8), answer[3] = (uint8_t)sum;
    wire_inject(link->wire, END, out, sizeof(out));
}

static void answer_questions(struct reference_link *link, const uint8_t *frame, uint16_t length)
{
    uint16_t type = (uint16_t)(frame[12] << 8 | frame[13]);
    if (type == 0x0806 && length >= ETHER + ARP_BYTES)
        answer_arp(link, frame + ETHER);
    if (type != 0x86dd || length < ETHER + V6_HEADER)
        return;
    uint32_t payload = (uint32_t)(frame[ETHER + 4] << 8 | frame[ETHER + 5]);
    if (frame[ETHER + 6] == ICMP6 && payload <= length - ETHER - V6_HEADER)
        answer_solicitation(link, frame + ETHER, payload);
}

/* ---- segments ---- */

static bool is_for_us(const uint8_t *frame, const struct frame_segment *segment)
{
    return memcmp(frame, our_mac, 6) == 0 &&
           memcmp(segment->to.address, segment->v6 ? our_v6 : our_v4, segment->v6 ? 16 : 4) == 0 &&
           memcmp(segment->from.address, segment->v6 ? their_v6 : their_v4, segment->v6 ? 16 : 4) ==
               0;
}

bool reference_link_take(struct reference_link *link, struct frame_segment *out)
{
    uint16_t length;
    while ((length = wire_take(link->wire, END, 0, link->frame, sizeof(link->frame))) > 0) {
        if (frame_read(link->frame, length, out) != FRAME_TCP)
            answer_questions(link, link->frame, length);
        else if (is_for_us(link->frame, out))
            return true;
    }
    return false;
}

void reference_link_send(struct reference_link *link, const struct frame_segment *segment)
{
    uint8_t frame[FRAME_BYTES_MAX];
    uint16_t length = frame_make(segment, our_mac, their_mac, frame);
    wire_inject(link->wire, END, frame, length);
}
