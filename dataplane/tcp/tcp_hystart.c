/* tcp_hystart: RFC 9406 4.2, with 4.3's constants. */
#include "dataplane/tcp/tcp_hystart.h"

#include "dataplane/tcp/tcp_seq.h"

#define RTT_THRESH_MIN_US  4000u
#define RTT_THRESH_MAX_US  16000u
#define MIN_RTT_DIVISOR    8u
#define N_RTT_SAMPLE       8u
#define CSS_GROWTH_DIVISOR 4u
#define CSS_ROUNDS         5u

void tcp_hystart_begin(struct tcp_hystart *hystart, uint32_t snd_nxt)
{
    *hystart = (struct tcp_hystart){
        .window_end = snd_nxt,
        .last_min_us = UINT32_MAX,
        .current_min_us = UINT32_MAX,
    };
}

static void next_round(struct tcp_hystart *hystart, uint32_t snd_nxt)
{
    hystart->window_end = snd_nxt;
    hystart->last_min_us = hystart->current_min_us;
    hystart->current_min_us = UINT32_MAX;
    hystart->samples = 0;
    if (hystart->css_baseline_us != 0)
        hystart->css_rounds++;
}

static bool round_trips_grow(const struct tcp_hystart *hystart)
{
    if (hystart->last_min_us == UINT32_MAX)
        return false;
    uint32_t thresh = hystart->last_min_us / MIN_RTT_DIVISOR;
    if (thresh < RTT_THRESH_MIN_US)
        thresh = RTT_THRESH_MIN_US;
    if (thresh > RTT_THRESH_MAX_US)
        thresh = RTT_THRESH_MAX_US;
    return hystart->current_min_us >= hystart->last_min_us + thresh;
}

static void judge(struct tcp_hystart *hystart)
{
    if (hystart->samples < N_RTT_SAMPLE)
        return;
    bool conservative = hystart->css_baseline_us != 0;
    if (!conservative && round_trips_grow(hystart)) {
        hystart->css_baseline_us = hystart->current_min_us;
        hystart->css_rounds = 0;
    } else if (conservative && hystart->current_min_us < hystart->css_baseline_us) {
        hystart->css_baseline_us = 0; /* it was jitter: slow start resumes */
    }
}

uint32_t tcp_hystart_acked(struct tcp_hystart *hystart, uint32_t snd_una, uint32_t snd_nxt,
                           uint32_t rtt_us)
{
    if (seq_geq(snd_una, hystart->window_end))
        next_round(hystart, snd_nxt);
    if (rtt_us > 0) {
        if (rtt_us < hystart->current_min_us)
            hystart->current_min_us = rtt_us;
        if (hystart->samples < N_RTT_SAMPLE)
            hystart->samples++;
        judge(hystart);
    }
    if (hystart->css_baseline_us == 0)
        return 1;
    return hystart->css_rounds < CSS_ROUNDS ? CSS_GROWTH_DIVISOR : 0;
}
