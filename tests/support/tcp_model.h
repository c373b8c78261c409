/*
 * tcp_model: one TCP stack, and a peer whose segments a test makes by hand, with a model of what
 * each side may send. Six flows: three that the peer opens (to port 8080), three that we open (to
 * ports 4003 to 4005); the last of each three is IPv6.
 *
 * What the peer sends is a pattern known from its position, and so is what we have to send: each
 * byte, acknowledgement, window and SACK block of ours is held against the model as it leaves, and
 * tcp_check_all() after every turn. A violation stops the test. There is no wire: packets go
 * straight to tcp_in(), and are looked at where the port would take them. One model a process.
 */
#pragma once

#include "dataplane/tcp/tcp_internal.h"
#include "tests/support/tcp_host.h"

#define MODEL_FLOWS        6
#define MODEL_ACTIVE_FROM  3 /* these flows we open */
#define MODEL_SEED         7u
#define MODEL_STREAM_BYTES (1u << 17) /* the peer's stream ends there */
#define MODEL_PAYLOAD_MAX  1460u
#define MODEL_PORT         8080
#define MODEL_PEER_PORT    4000
#define MODEL_HOST_MBUFS   511

/* One 4-tuple, and what the peer knows of its present connection. */
struct model_flow {
    struct flow_tuple tuple; /* from our side */
    handle conn;             /* the present connection, or HANDLE_NONE */
    uint32_t peer_first;     /* sequence number of the peer's first byte */
    uint32_t host_first;     /* of ours */
    uint32_t snd_nxt;        /* ours when it was last seen */
    uint32_t rcv_nxt;
    uint32_t ts_seen;    /* our last timestamp */
    uint16_t window;     /* that the peer announces */
    bool timestamps;     /* our last SYN had one */
    bool acked;          /* last_ack and right_edge are known */
    uint32_t last_ack;   /* of ours */
    uint32_t right_edge; /* that we announced */
    int64_t granted;     /* right edge of the largest window the peer gave, from host_first */
    uint32_t whole;      /* bytes from peer_first on that the peer has sent without a gap */
    uint8_t bytes_sent[MODEL_STREAM_BYTES / 8 + 1];
    uint8_t fins_sent[MODEL_STREAM_BYTES / 8 + 1];
};

/* A segment of the peer's. */
struct model_segment {
    uint8_t flags;
    uint32_t seq;
    uint32_t ack;
    uint16_t window;
    uint32_t length; /* of payload, which is the pattern */
    uint32_t raw_length;
    uint8_t raw[TCP_OPTIONS_MAX_BYTES]; /* options, a multiple of four bytes */
};

struct tcp_model {
    struct tcp_host host;
    uint64_t now;
    bool silent;    /* the peer answers neither ARP nor NDP */
    uint32_t turns; /* so far */
    struct model_flow flows[MODEL_FLOWS];
};

/* Once a process. */
void tcp_model_init(void);

/* A stack with small pools; the caller may change model->host.config before tcp_model_open(). */
struct tcp_model *tcp_model_prepare(void);
void tcp_model_open(void);

/* Everything has been let go: time passes until nothing is left; that is checked. */
void tcp_model_close(void);

/* The present connection, or NULL (none, or TIME_WAIT). */
struct tcp_conn *tcp_model_conn(const struct model_flow *flow);

/* The flow of a connection of the host, or NULL. */
struct model_flow *tcp_model_flow(const struct tcp_conn *conn);

/* FLOW belongs to this connection of ours now. */
void tcp_model_opened(struct model_flow *flow, const struct tcp_conn *conn);

/* Nothing more than the peer has sent may have been delivered. */
bool tcp_model_was_sent(const struct model_flow *flow, uint64_t bytes);

/* Hand a segment to the stack; LATER: together with others in one burst, at the latest in a turn.
 */
void tcp_model_send(struct model_flow *flow, const struct model_segment *segment, bool later);

/* An ICMP error about the segment SEQ of ours. */
void tcp_model_icmp(struct model_flow *flow, uint8_t type, uint8_t code, uint32_t rest,
                    uint32_t seq);

/* Leave the host COUNT mbufs; UINT32_MAX: all again. */
void tcp_model_starve(uint32_t count);

/* Receive, time, events, departures. */
void tcp_model_turn(void);
/* Turns whenever there is something to do, at least once a second; bounded. */
void tcp_model_run_for(uint64_t for_ns);
