/*
 * tcp_state: the states of a connection (RFC 9293 3.3.2), the legal transitions as a table, and
 * the one function that changes a state. One worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct tcp_conn;

/* LISTEN is missing: a listener is not a connection. TIME_WAIT lives in a tcp_time_wait entry. */
enum tcp_state {
    TCP_STATE_CLOSED,       /* new, or over and waiting for its owner to let go */
    TCP_STATE_SYN_SENT,     /* our SYN is on its way */
    TCP_STATE_SYN_RECEIVED, /* both SYNs were seen, ours is not acknowledged yet */
    TCP_STATE_ESTABLISHED,  /* data flows both ways */
    TCP_STATE_FIN_WAIT_1,   /* we closed, our FIN is not acknowledged yet */
    TCP_STATE_FIN_WAIT_2,   /* our FIN is acknowledged, the peer has not closed yet */
    TCP_STATE_CLOSE_WAIT,   /* the peer closed, we still may send */
    TCP_STATE_CLOSING,      /* both closed at the same time, our FIN is not acknowledged yet */
    TCP_STATE_LAST_ACK,     /* the peer closed first, then we; our FIN is not acknowledged yet */
    TCP_STATE_TIME_WAIT,    /* both closed; old duplicates are waited out */
    TCP_STATES
};

/* What changes a state. */
enum tcp_cause {
    TCP_CAUSE_OPEN,        /* tcp_connect() */
    TCP_CAUSE_SYN,         /* the peer's SYN */
    TCP_CAUSE_SYN_ACKED,   /* our SYN was acknowledged */
    TCP_CAUSE_CLOSE,       /* tcp_close() */
    TCP_CAUSE_FIN,         /* the peer's FIN, in order */
    TCP_CAUSE_FIN_ACKED,   /* our FIN was acknowledged */
    TCP_CAUSE_RESET,       /* the peer's RST */
    TCP_CAUSE_ABORT,       /* tcp_abort(), or its listener went away */
    TCP_CAUSE_TIMEOUT,     /* no answer for too long */
    TCP_CAUSE_UNREACHABLE, /* ICMP said so while we connected */
    TCP_CAUSES
};

/* Whether CAUSE may lead FROM one state TO the other. */
bool tcp_state_is_legal(enum tcp_state from, enum tcp_state to, enum tcp_cause cause);

/* The only place where a state changes. An illegal change is a programmer's error. */
void tcp_state_change(struct tcp_conn *conn, enum tcp_state to, enum tcp_cause cause);

/* "ESTABLISHED" and the like, for tests and traces. */
const char *tcp_state_name(enum tcp_state state);
