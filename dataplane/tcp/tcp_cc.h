/*
 * tcp_cc: congestion control behind one table of functions. It owns ssthresh and cc_state of a
 * connection, and cwnd outside of fast recovery, where proportional rate reduction does
 * (tcp_prr.c); when to send again is decided elsewhere (tcp_recovery.h). One worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct tcp_conn;

struct tcp_cc_ops {
    const char *name;
    /* The connection is established, mss is known: set cwnd and ssthresh. */
    void (*open)(struct tcp_conn *conn, uint64_t now);
    /* ACKED new bytes were acknowledged outside of fast recovery, and cwnd was what limited us. */
    void (*acked)(struct tcp_conn *conn, uint32_t acked, uint64_t now);
    /* The same in congestion avoidance, but the application or the peer's window limited us. */
    void (*unlimited)(struct tcp_conn *conn);
    /* Something was lost, or marked, while IN_FLIGHT bytes were: set ssthresh. */
    void (*lost)(struct tcp_conn *conn, uint32_t in_flight, uint64_t now);
    /* A retransmission timeout; FIRST: not one of a row for the same data. */
    void (*timed_out)(struct tcp_conn *conn, bool first, uint64_t now);
    /* The last `lost` or `timed_out` was for nothing; cwnd and ssthresh are restored already. */
    void (*undone)(struct tcp_conn *conn, uint64_t now);
    /* Nothing was in flight for longer than the RTO (RFC 5681 4.1). */
    void (*idle)(struct tcp_conn *conn, uint64_t now);
};

extern const struct tcp_cc_ops tcp_cc_newreno;
extern const struct tcp_cc_ops tcp_cc_cubic;

/* What the algorithms share. */

#define TCP_SSTHRESH_NONE UINT32_MAX /* no loss yet: slow start has no end but its own */

/* RFC 6928 2. */
uint32_t tcp_cc_initial_window(const struct tcp_conn *conn);
/* Grow by what was acknowledged up to ssthresh; returns the bytes left for what comes after. */
uint32_t tcp_cc_slow_start(struct tcp_conn *conn, uint32_t acked);
/* RFC 5681 4.1, RFC 2861 3.1: back to the restart window, ssthresh remembers. */
void tcp_cc_restart(struct tcp_conn *conn);
/* BYTES, but two segments at least (RFC 5681 (4)). */
uint32_t tcp_cc_at_least_two(const struct tcp_conn *conn, uint32_t bytes);
