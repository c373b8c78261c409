/*
 * frame: reading and making Ethernet frames with TCP in them, for the simulation's checker and its
 * reference peer. Written apart from dataplane/ on purpose, so that no error is made twice.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_BYTES_MAX 1600
#define FRAME_SACKS_MAX 4

enum frame_flag {
    FRAME_FIN = 0x01,
    FRAME_SYN = 0x02,
    FRAME_RST = 0x04,
    FRAME_PSH = 0x08,
    FRAME_ACK = 0x10,
    FRAME_URG = 0x20,
    FRAME_ECE = 0x40,
    FRAME_CWR = 0x80,
};

enum frame_kind {
    FRAME_OTHER, /* not TCP */
    FRAME_WRONG, /* TCP with a wrong checksum, or lengths that contradict each other */
    FRAME_TCP,
};

/* An address and a port. IPv4 addresses stand in the first four bytes. */
struct frame_end {
    uint8_t address[16];
    uint16_t port;
};

struct frame_sack {
    uint32_t start;
    uint32_t end;
};

/* A TCP segment. */
struct frame_segment {
    bool v6;
    struct frame_end from;
    struct frame_end to;
    uint32_t seq;
    uint32_t ack;
    uint8_t flags;
    uint8_t ecn; /* of the IP header */
    uint16_t window;
    uint16_t urgent;
    uint16_t mss; /* 0: no such option */
    int wscale;   /* -1: no such option */
    bool sack_ok;
    bool has_ts;
    uint32_t ts_value;
    uint32_t ts_echo;
    uint32_t sack_count;
    struct frame_sack sacks[FRAME_SACKS_MAX];
    const uint8_t *data; /* points into the frame */
    uint32_t length;
    uint32_t header_bytes; /* of TCP, with options */
    uint32_t ip_bytes;     /* the whole IP packet */
    bool may_fragment;
    /* only for making */
    uint8_t padding_options; /* NOPs and unknown options in front, 0 or 4 or 8 bytes */
};

/* An ICMP message "packet too big" (RFC 1191 4, RFC 4443 3.2). */
struct frame_too_big {
    uint32_t mtu;
    struct frame_segment segment; /* that was too big: addresses, ports and sequence number */
};

/* False: it is something else, or damaged. */
bool frame_read_too_big(const uint8_t *frame, uint16_t length, struct frame_too_big *out);

enum frame_kind frame_read(const uint8_t *frame, uint16_t length, struct frame_segment *out);

/* Make a frame; its length. OUT has FRAME_BYTES_MAX bytes. */
uint16_t frame_make(const struct frame_segment *segment, const uint8_t from_mac[6],
                    const uint8_t to_mac[6], uint8_t *out);

/* Put NOPs in place of the TCP options whose bit (1 << kind) is set in KINDS. An intact segment. */
void frame_strip_options(uint8_t *frame, uint16_t length, uint32_t kinds);

/* The Internet checksum (RFC 1071) of BYTES, going on from SUM, not yet complemented. */
uint32_t frame_sum(uint32_t sum, const uint8_t *bytes, size_t length);
uint16_t frame_sum_end(uint32_t sum);

/* One line: "10.0.0.1:80 > 10.0.0.2:4000 SA seq 1 ack 2 win 3 len 4 <mss 1460 ...>". */
void frame_print(const struct frame_segment *segment, char *out, size_t room);
