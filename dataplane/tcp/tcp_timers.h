/*
 * tcp_timers: the deadlines of a connection over one embedded timer. One worker.
 *
 * LOSS with data in flight: the reordering timer while something may soon count as lost (flag
 * REO_TIMER, RFC 8985 6.2), else the probe timeout (7.2), not later than RETRANSMIT.
 *
 * RETRANSMIT in SYN_SENT, SYN_RECEIVED: SYN or SYN-ACK again, 1 s doubling (RFC 6298).
 *
 * RETRANSMIT with data or FIN in flight: the retransmission timeout. With nothing in flight, data
 * queued and a window that is too small (flag PERSIST): a zero-window probe after the RTO, doubling
 * up to a quarter of the user timeout (RFC 9293 3.8.6.1).
 *
 * ACK: a delayed acknowledgement, 40 ms after the first segment it covers.
 *
 * IDLE in SYN_SENT: every 500 ms, whether connect_timeout_ns is over or the next hop is known not
 * to answer ARP or NDP. In ESTABLISHED, CLOSE_WAIT: keepalive. After tcp_close(): the user timeout
 * without progress; in FIN_WAIT_2: 10 s.
 *
 * TIME_WAIT entries have one timer in struct tcp, armed for the oldest (tcp_time_wait.c).
 *
 * Deadlines are kept in truncated microseconds, 30 minutes ahead at most; whoever waits for longer
 * looks at his own clock then and waits again.
 *
 * Lazy: moving a deadline later, or clearing it, does not touch the wheel. The timer then fires
 * early, finds nothing due and is armed again for the earliest deadline.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct tcp_conn;

/* In the order in which those that are due together are served. */
enum tcp_deadline {
    TCP_DEADLINE_LOSS,
    TCP_DEADLINE_RETRANSMIT,
    TCP_DEADLINE_ACK,
    TCP_DEADLINE_IDLE,
    TCP_DEADLINES
};

void tcp_timers_init(struct tcp_conn *conn);
void tcp_timer_set(struct tcp_conn *conn, enum tcp_deadline which, uint64_t at_ns);
/* How long until then; 0: it has passed. For a deadline that is set. */
uint64_t tcp_timer_left_ns(const struct tcp_conn *conn, enum tcp_deadline which, uint64_t now);

/* All deadlines off, the timer out of the wheel. */
void tcp_timers_stop(struct tcp_conn *conn);
