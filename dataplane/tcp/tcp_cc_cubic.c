/*
 * tcp_cc_cubic: CUBIC, RFC 9438, in integers: bytes and milliseconds. Slow start before the first
 * loss is HyStart++'s (RFC 9406).
 *
 * An epoch (4.2) is a stretch of congestion avoidance in which cwnd limited us. It ends with a
 * loss, and when the application has nothing to send; the next one goes on where the curve stood:
 * the time left to W_max, or gone since, follows from cwnd and W_max alone. So time without data
 * does not count (5.8), and an undone reduction (4.9) has only W_max and W_est to restore.
 */
#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_hystart.h"
#include "dataplane/tcp/tcp_internal.h"

struct cubic {
    uint32_t w_max;    /* 0: to be taken from cwnd when the next epoch begins */
    uint32_t epoch_ms; /* when it began; 0: none is running */
    uint32_t k_ms;
    uint32_t w_est;
    uint32_t est_acked; /* bytes acknowledged since w_est last grew */
    uint32_t rest;      /* of the last division: what cwnd is still to grow, times cwnd */
    uint32_t cwnd_prior;
    uint32_t prior_w_max;
    uint32_t prior_w_est;
};

_Static_assert(sizeof(struct cubic) <= TCP_CC_STATE_WORDS * sizeof(uint32_t), "fits");
_Static_assert(sizeof(struct tcp_hystart) <= TCP_CC_STATE_WORDS * sizeof(uint32_t), "fits");

/* C = 0.4 segments a cubic second, beta = 0.7 (4.6), alpha = 3 (1 - beta) / (1 + beta) (4.3). */
#define BETA(x)          ((uint32_t)((uint64_t)(x)*7 / 10))
#define FAST_CONVERGE(x) ((uint32_t)((uint64_t)(x)*17 / 20)) /* (1 + beta) / 2 (4.7) */
#define ALPHA_INVERSE(x) ((uint64_t)(x)*17 / 9)
#define DISTANCE_MAX_MS  100000u

/* Before the first loss the same words are HyStart++'s. */
static bool is_first_slow_start(const struct tcp_conn *conn)
{
    return conn->ssthresh == TCP_SSTHRESH_NONE;
}

static struct cubic *cubic_of(struct tcp_conn *conn)
{
    return (struct cubic *)(void *)conn->cc_state;
}

static struct tcp_hystart *hystart_of(struct tcp_conn *conn)
{
    return (struct tcp_hystart *)(void *)conn->cc_state;
}

static uint32_t cube_root(uint64_t x)
{
    uint64_t root = 0;
    for (int bit = 20; bit >= 0; bit--) {
        uint64_t larger = root | 1ull << bit;
        if (larger * larger * larger <= x)
            root = larger;
    }
    return (uint32_t)root;
}

/* How many milliseconds of the curve lie between W_max and BYTES more or less: (2) and its other
 * branch. */
static uint32_t distance_ms(const struct tcp_conn *conn, uint32_t bytes)
{
    return cube_root((uint64_t)bytes * 2500000000u / conn->mss);
}

static void epoch_begin(struct tcp_conn *conn, struct cubic *cubic, uint64_t now)
{
    uint32_t ms = tcp_ms(now);
    if (cubic->w_max == 0)
        cubic->w_max = conn->cwnd;
    if (cubic->w_est == 0)
        cubic->w_est = conn->cwnd;
    cubic->k_ms = 0;
    if (conn->cwnd < cubic->w_max)
        cubic->k_ms = distance_ms(conn, cubic->w_max - conn->cwnd);
    else
        ms -= distance_ms(conn, conn->cwnd - cubic->w_max);
    cubic->epoch_ms = ms == 0 ? 1 : ms;
    cubic->rest = 0;
}

/* (1): W_cubic(t) = C (t - K)^3 + W_max */
static uint32_t w_cubic(const struct tcp_conn *conn, const struct cubic *cubic, uint32_t t_ms)
{
    bool before = t_ms < cubic->k_ms;
    uint64_t distance = before ? cubic->k_ms - t_ms : t_ms - cubic->k_ms;
    if (distance > DISTANCE_MAX_MS)
        distance = DISTANCE_MAX_MS;
    uint64_t bytes = distance * distance * distance * 4 / 1000 * conn->mss / 10000000;
    if (before)
        return bytes < cubic->w_max ? cubic->w_max - (uint32_t)bytes : 0;
    return bytes < UINT32_MAX - cubic->w_max ? cubic->w_max + (uint32_t)bytes : UINT32_MAX;
}

/* (4): what Reno would have; as fast as Reno once the window before the loss is reached. */
static void grow_estimate(const struct tcp_conn *conn, struct cubic *cubic, uint32_t acked)
{
    uint64_t step =
        cubic->w_est < cubic->cwnd_prior ? ALPHA_INVERSE(conn->cwnd) : (uint64_t)conn->cwnd;
    cubic->est_acked += acked;
    if (cubic->est_acked < step)
        return;
    cubic->est_acked -= (uint32_t)step;
    cubic->w_est += conn->mss;
}

/* 4.4 and 4.5: (target - cwnd) / cwnd for each byte, at most half of cwnd in a round trip. */
static void grow_to(struct tcp_conn *conn, struct cubic *cubic, uint32_t target, uint32_t acked)
{
    uint32_t most = conn->cwnd + conn->cwnd / 2;
    if (target > most)
        target = most;
    if (target <= conn->cwnd)
        return;
    uint64_t product = (uint64_t)(target - conn->cwnd) * acked + cubic->rest;
    cubic->rest = (uint32_t)(product % conn->cwnd);
    conn->cwnd += (uint32_t)(product / conn->cwnd);
}

static void avoid(struct tcp_conn *conn, uint32_t acked, uint64_t now)
{
    struct cubic *cubic = cubic_of(conn);
    if (cubic->epoch_ms == 0)
        epoch_begin(conn, cubic, now);
    uint32_t t_ms = tcp_ms(now) - cubic->epoch_ms;
    grow_estimate(conn, cubic, acked);
    if (w_cubic(conn, cubic, t_ms) < cubic->w_est) {
        if (conn->cwnd < cubic->w_est)
            conn->cwnd = cubic->w_est;
        return;
    }
    grow_to(conn, cubic, w_cubic(conn, cubic, t_ms + conn->srtt_us / 8000), acked);
}

/* HyStart++'s words become ours. */
static void first_slow_start_ends(struct tcp_conn *conn, uint32_t ssthresh)
{
    if (is_first_slow_start(conn))
        memset(conn->cc_state, 0, sizeof(conn->cc_state));
    conn->ssthresh = ssthresh;
}

static void first_slow_start(struct tcp_conn *conn, uint32_t acked)
{
    uint32_t part =
        tcp_hystart_acked(hystart_of(conn), conn->snd_una, conn->snd_nxt, conn->rack_rtt_us);
    if (part == 0)
        first_slow_start_ends(conn, conn->cwnd);
    else
        conn->cwnd += acked / part;
}

static void cubic_open(struct tcp_conn *conn, uint64_t now)
{
    conn->cwnd = tcp_cc_initial_window(conn);
    conn->ssthresh = TCP_SSTHRESH_NONE;
    tcp_hystart_begin(hystart_of(conn), conn->snd_nxt);
}

static void cubic_acked(struct tcp_conn *conn, uint32_t acked, uint64_t now)
{
    if (is_first_slow_start(conn)) {
        first_slow_start(conn, acked);
        return;
    }
    acked = tcp_cc_slow_start(conn, acked);
    if (acked > 0)
        avoid(conn, acked, now);
}

static void cubic_unlimited(struct tcp_conn *conn)
{
    if (!is_first_slow_start(conn))
        cubic_of(conn)->epoch_ms = 0;
}

/* cwnd is not where the curves stood: the next epoch takes both from it. */
static void forget_epoch(struct cubic *cubic)
{
    cubic->epoch_ms = 0;
    cubic->w_est = 0;
    cubic->est_acked = 0;
}

/*
 * 4.6 with cwnd, which only grows while it limits us, in place of the bytes in flight; 4.7, fast
 * convergence.
 */
static void cubic_lost(struct tcp_conn *conn, uint32_t in_flight, uint64_t now)
{
    struct cubic *cubic = cubic_of(conn);
    first_slow_start_ends(conn, tcp_cc_at_least_two(conn, BETA(conn->cwnd)));
    cubic->prior_w_max = cubic->w_max;
    cubic->prior_w_est = cubic->w_est;
    cubic->cwnd_prior = conn->cwnd;
    cubic->w_max = conn->cwnd < cubic->w_max ? FAST_CONVERGE(conn->cwnd) : conn->cwnd;
    forget_epoch(cubic);
}

/* 4.8 */
static void cubic_timed_out(struct tcp_conn *conn, bool first, uint64_t now)
{
    if (first)
        cubic_lost(conn, tcp_flight(conn), now);
    cubic_of(conn)->w_max = 0;
    forget_epoch(cubic_of(conn));
    conn->cwnd = conn->mss;
}

/* 4.9 */
static void cubic_undone(struct tcp_conn *conn, uint64_t now)
{
    struct cubic *cubic = cubic_of(conn);
    if (is_first_slow_start(conn)) {
        tcp_hystart_begin(hystart_of(conn), conn->snd_nxt);
        return;
    }
    cubic->w_max = cubic->prior_w_max;
    cubic->w_est = cubic->prior_w_est;
    cubic->epoch_ms = 0;
}

static void cubic_idle(struct tcp_conn *conn, uint64_t now)
{
    tcp_cc_restart(conn);
    if (is_first_slow_start(conn))
        tcp_hystart_begin(hystart_of(conn), conn->snd_nxt);
    else
        forget_epoch(cubic_of(conn));
}

const struct tcp_cc_ops tcp_cc_cubic = {
    .name = "cubic",
    .open = cubic_open,
    .acked = cubic_acked,
    .unlimited = cubic_unlimited,
    .lost = cubic_lost,
    .timed_out = cubic_timed_out,
    .undone = cubic_undone,
    .idle = cubic_idle,
};
