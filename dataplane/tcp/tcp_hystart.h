/*
 * tcp_hystart: HyStart++, RFC 9406: the first slow start ends when round trips grow, before it
 * overruns the bottleneck's queue. One worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct tcp_hystart {
    uint32_t window_end; /* the round ends when it is acknowledged */
    uint32_t last_min_us;
    uint32_t current_min_us;
    uint32_t css_baseline_us; /* 0: not in conservative slow start */
    uint16_t samples;
    uint16_t css_rounds;
};

/* A round begins at SND_NXT. */
void tcp_hystart_begin(struct tcp_hystart *hystart, uint32_t snd_nxt);

/*
 * An ACK up to SND_UNA with a round trip of RTT_US (0: unknown). Returns by which part of the
 * acknowledged bytes cwnd grows: 1, or 4 for a quarter; 0: slow start is over.
 */
uint32_t tcp_hystart_acked(struct tcp_hystart *hystart, uint32_t snd_una, uint32_t snd_nxt,
                           uint32_t rtt_us);
