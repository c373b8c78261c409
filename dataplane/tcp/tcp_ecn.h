/*
 * tcp_ecn: explicit congestion notification, RFC 3168 6.1. ECT(0) is set on new data only: not on
 * what is sent again, on pure ACKs, SYNs or window probes (6.1.4, 6.1.5, 6.1.6). One worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct tcp_ack;
struct tcp_conn;
struct tcp_segment;

enum { TCP_ECN_NOT_ECT, TCP_ECN_ECT_1, TCP_ECN_ECT_0, TCP_ECN_CE, TCP_ECN_MASK = 3 };

/* ECE and CWR of our SYN or SYN-ACK (6.1.1). A SYN that is sent again asks no more (6.1.1.1). */
uint8_t tcp_ecn_syn_flags(const struct tcp_conn *conn);

/* The peer's SYN or SYN-ACK. */
void tcp_ecn_negotiate(struct tcp_conn *conn, const struct tcp_segment *syn);

/* An acceptable segment: CWR ends the echo, CE begins it (6.1.3). */
void tcp_ecn_in(struct tcp_conn *conn, const struct tcp_segment *seg);

/* An ACK with ECE: one reduction for each window (6.1.2). */
void tcp_ecn_ack_in(struct tcp_conn *conn, const struct tcp_ack *ack);

/* cwnd is about to be reduced for a loss: tell the peer. False: it was in this window already. */
bool tcp_ecn_loss(struct tcp_conn *conn);
