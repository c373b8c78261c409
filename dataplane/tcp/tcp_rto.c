/*
 * tcp_rto: the retransmission timeout: RFC 6298, RFC 7323 4 (RTTM), and zero-window probes.
 */
#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"

#define RTO_INITIAL_US   1000000u
#define RTO_MIN_US       200000u
#define RTO_MAX_US       60000000u
#define RTO_AFTER_SYN_US 3000000u /* RFC 6298 5.7 */
#define ECHO_MAX_MS      60000u
#define RTT_SAMPLE_MAX   (60u * 1000000u)

#define PROBES_PER_TIMEOUT 4u /* of a shut window, at least, before silence counts as death */

void tcp_rto_init(struct tcp_conn *conn)
{
    conn->srtt_us = 0;
    conn->rttvar_us = 0;
    conn->rto_us = RTO_INITIAL_US;
    conn->backoff = 0;
}

/*
 * The floor of 200 ms stands in for the variance, not for the whole (as in Linux): a long path with
 * little jitter would otherwise time out on the peer's delayed ACK.
 */
static void derive(struct tcp_conn *conn)
{
    uint32_t spread = conn->rttvar_us > RTO_MIN_US ? conn->rttvar_us : RTO_MIN_US;
    uint32_t rto = conn->srtt_us / 8 + spread;
    conn->rto_us = rto < RTO_MAX_US ? rto : RTO_MAX_US;
}

/* RFC 6298 2.2 and 2.3 with alpha 1/8 and beta 1/4; srtt is kept times 8, rttvar times 4. */
void tcp_rto_sample(struct tcp_conn *conn, uint64_t rtt_ns)
{
    uint64_t us = rtt_ns / CLOCK_US;
    uint32_t rtt = us == 0 ? 1 : us > RTT_SAMPLE_MAX ? RTT_SAMPLE_MAX : (uint32_t)us;
    if (conn->srtt_us == 0) {
        conn->srtt_us = rtt * 8;
        conn->rttvar_us = rtt * 2;
    } else {
        uint32_t srtt = conn->srtt_us / 8;
        uint32_t difference = rtt > srtt ? rtt - srtt : srtt - rtt;
        conn->rttvar_us += difference - conn->rttvar_us / 4;
        conn->srtt_us += rtt - srtt;
    }
    derive(conn);
}

bool tcp_rto_sample_echo(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now)
{
    if ((conn->flags & TCP_CONN_TIMESTAMPS) == 0 ||
        (seg->options.present & TCP_OPTION_TIMESTAMP) == 0 || seg->options.ts_echo == 0)
        return false;
    uint32_t ms = tcp_ms(now) + conn->ts_offset - seg->options.ts_echo;
    if (ms >= ECHO_MAX_MS)
        return false;
    tcp_rto_sample(conn, (ms == 0 ? 1 : ms) * CLOCK_MS);
    return true;
}

void tcp_rto_syn_acked(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now)
{
    if (conn->backoff == 0)
        tcp_rto_sample(conn, (uint64_t)(tcp_us(now) - conn->rack_xmit_us) * CLOCK_US);
    else if (!tcp_rto_sample_echo(conn, seg, now))
        conn->rto_us = RTO_AFTER_SYN_US;
}

uint64_t tcp_rto_ns(const struct tcp_conn *conn)
{
    uint64_t rto = (uint64_t)conn->rto_us << (conn->backoff < 16 ? conn->backoff : 16);
    return (rto < RTO_MAX_US ? rto : RTO_MAX_US) * CLOCK_US;
}

static void back_off(struct tcp_conn *conn)
{
    if (conn->backoff < UINT8_MAX)
        conn->backoff++;
}

/* RFC 6298 5.5 to 5.7 for SYN and SYN-ACK. IDLE ends SYN_SENT, the count ends SYN_RECEIVED. */
static bool syn_expired(struct tcp_conn *conn, uint64_t now)
{
    bool passive = (conn->flags & TCP_CONN_OPENED_BY_US) == 0;
    if (passive && conn->backoff >= TCP_SYN_ACK_RETRIES) {
        tcp_count(conn->tcp, half_open_expired);
        tcp_conn_fail(conn, TCP_FAILURE_TIMEOUT, TCP_CAUSE_TIMEOUT);
        return false;
    }
    back_off(conn);
    tcp_count(conn->tcp, syn_retransmitted);
    conn->flags |= TCP_CONN_SYN_DUE;
    tcp_conn_want_out(conn);
    return true;
}

/*
 * RFC 9293 3.8.3: nothing was acknowledged for the user timeout. A peer that answers with a shut
 * window may go on like that as long as it likes (3.8.6.1); a silent one may not.
 */
static bool is_given_up(const struct tcp_conn *conn, uint64_t now)
{
    uint64_t allowed_ns = conn->tcp->config.user_timeout_ns;
    bool may_wait = conn->snd_wnd == 0 || conn->flags & TCP_CONN_PERSIST;
    return tcp_since_ns(conn->progress_at_ms, now) >= allowed_ns &&
           !(may_wait && tcp_since_ns(conn->heard_at_ms, now) < allowed_ns);
}

/* Until the next question to a peer whose window is shut. */
static uint64_t probe_wait_ns(const struct tcp_conn *conn)
{
    uint64_t most_ns = conn->tcp->config.user_timeout_ns / PROBES_PER_TIMEOUT;
    uint64_t wait_ns = tcp_rto_ns(conn);
    return wait_ns < most_ns ? wait_ns : most_ns;
}

/*
 * A probe is an old byte's worth of sequence number without data (as Linux sends it): the peer has
 * to answer it with its window.
 */
static void persist_expired(struct tcp_conn *conn, uint64_t now)
{
    back_off(conn);
    if (conn->snd_wnd > 0) {
        conn->flags |= TCP_CONN_FORCE_ONE; /* override: send what fits (RFC 9293 3.8.6.2.1) */
        tcp_conn_want_out(conn);
    } else {
        tcp_count(conn->tcp, zero_window_probes);
        tcp_out_probe(conn, now);
    }
    tcp_timer_set(conn, TCP_DEADLINE_RETRANSMIT, now + probe_wait_ns(conn));
}

/* The next timeout, but not later than the user timeout. */
static void retransmit_later(struct tcp_conn *conn, uint64_t now)
{
    uint64_t allowed_ns = conn->tcp->config.user_timeout_ns;
    uint64_t stuck_for_ns = tcp_since_ns(conn->progress_at_ms, now);
    uint64_t wait_ns = tcp_rto_ns(conn);
    if (conn->snd_wnd == 0)
        wait_ns = probe_wait_ns(conn);
    else if (wait_ns > allowed_ns - stuck_for_ns)
        wait_ns = allowed_ns - stuck_for_ns;
    tcp_timer_set(conn, TCP_DEADLINE_RETRANSMIT, now + wait_ns);
}

bool tcp_rto_expired(struct tcp_conn *conn, uint64_t now)
{
    if (conn->state == TCP_STATE_SYN_SENT || conn->state == TCP_STATE_SYN_RECEIVED)
        return syn_expired(conn, now);
    bool persists = (conn->flags & TCP_CONN_PERSIST) != 0;
    if (conn->sent_first == 0 && !persists)
        return true;
    if (is_given_up(conn, now)) {
        tcp_conn_fail(conn, TCP_FAILURE_TIMEOUT, TCP_CAUSE_TIMEOUT);
        return false;
    }
    if (persists) {
        persist_expired(conn, now);
        return true;
    }
    tcp_count(conn->tcp, retransmit_timeouts);
    tcp_path_mtu_timeout(conn, now);
    tcp_recovery_timeout(conn, now);
    back_off(conn);
    if (conn->timeouts < UINT8_MAX)
        conn->timeouts++;
    retransmit_later(conn, now);
    tcp_conn_want_out(conn);
    return true;
}
