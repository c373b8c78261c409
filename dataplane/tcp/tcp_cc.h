/*
 * tcp_cc: congestion control behind one table of functions. It owns cwnd, ssthresh and cc_state of
 * a connection; when to send again is decided elsewhere (tcp_loss.c). One worker.
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
    /* Fast recovery begins: set ssthresh and cwnd. Called before anything is sent again. */
    void (*lost)(struct tcp_conn *conn, uint64_t now);
    /* Fast recovery ended. */
    void (*recovered)(struct tcp_conn *conn, uint64_t now);
    /* A retransmission timeout; FIRST: not one of a row for the same data. */
    void (*timed_out)(struct tcp_conn *conn, bool first, uint64_t now);
    /* Nothing was in flight for longer than the RTO (RFC 5681 4.1). */
    void (*idle)(struct tcp_conn *conn, uint64_t now);
};

extern const struct tcp_cc_ops tcp_cc_newreno;
