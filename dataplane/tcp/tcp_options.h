/*
 * tcp_options: the options of a TCP header, read and written. RFC 9293 3.2 (MSS), RFC 7323 (window
 * scale, timestamps), RFC 2018 (SACK). Any thread; no state.
 */
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/writer.h"
#include "dataplane/tcp/tcp_seq.h"

#define TCP_OPTIONS_MAX_BYTES  40
#define TCP_SACK_BLOCKS_MAX    4
#define TCP_SACK_REPORTED      3 /* beside a D-SACK, or timestamps */
#define TCP_WINDOW_SCALE_MAX   14
#define TCP_TIMESTAMP_BYTES    12                   /* with two NOPs in front */
#define TCP_SACK_BYTES(blocks) (4u + 8u * (blocks)) /* with two NOPs in front */

enum tcp_option_set {
    TCP_OPTION_MSS = 1 << 0,
    TCP_OPTION_WINDOW_SCALE = 1 << 1,
    TCP_OPTION_SACK_PERMITTED = 1 << 2,
    TCP_OPTION_TIMESTAMP = 1 << 3,
    TCP_OPTION_SACK = 1 << 4,
};

struct tcp_options {
    uint8_t present;      /* set of enum tcp_option_set */
    uint8_t window_scale; /* as sent; may be above TCP_WINDOW_SCALE_MAX */
    uint16_t mss;
    uint32_t ts_value;
    uint32_t ts_echo;
    uint32_t sack_count;
    struct tcp_range sack[TCP_SACK_BLOCKS_MAX];
};

/*
 * Read the options between the fixed header and the data (0..40 bytes). Unknown options are
 * skipped. False: an option is cut off or has an impossible length; OUT is then not to be used.
 */
bool tcp_options_read(struct bytes raw, struct tcp_options *out);

/* Write those that are present, padded to whole words. At most 40 bytes when it fits. */
void tcp_options_write(struct writer *w, const struct tcp_options *options);
