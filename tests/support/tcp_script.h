/*
 * tcp_script: one host with our TCP (10.0.0.1, fd00::1) and a peer whose segments a test makes by
 * hand (10.0.0.2, fd00::2), for what no honest stack would send. IPv4 unless `v6` is set.
 */
#pragma once

#include "dataplane/tcp/tcp_internal.h"
#include "tests/support/tcp_host.h"

#define SCRIPT_PORT      8080 /* our host listens here */
#define SCRIPT_PEER_PORT 4000
#define SCRIPT_PAYLOAD   2048
#define SCRIPT_SEGMENTS  512

/* A segment as it was seen by the peer, or as it is to be sent. */
struct script_segment {
    uint8_t flags;
    uint8_t traffic_class; /* of the IP header; only when sent */
    uint32_t seq;
    uint32_t ack;
    uint16_t window;
    struct tcp_options options;
    uint32_t length;
    uint8_t payload[SCRIPT_PAYLOAD];
};

struct tcp_script {
    struct wire *wire;
    struct tcp_host host;
    struct net_host peer;
    uint64_t now;
    bool v6;
    struct tcp_acceptor acceptor;
    struct tcp_stream streams[8]; /* accepted by our host, in order */
    struct tcp_stream client;     /* for script_connect() */
    struct flow_tuple tuple;      /* from the peer's side */
    uint32_t seq;                 /* the peer's next sequence number */
    uint32_t peer_first;          /* the number of its first byte of data */
    uint32_t ack;                 /* what it expects next: kept up to date by script_take() */
    uint32_t ts_value;            /* the peer's clock; advanced by the test */
    uint32_t ts_echo;             /* the last value of ours */
    bool timestamps;              /* negotiated: script_make() adds them */
    struct script_segment got[SCRIPT_SEGMENTS];
    uint32_t got_count;
    uint32_t taken;
};

void script_prepare(struct tcp_script *script);
void script_open(struct tcp_script *script);

/* All is given back and the mbufs are home; stops the test if not. */
void script_close(struct tcp_script *script);

/* Both ends once, 10 us later. */
void script_step(struct tcp_script *script);
void script_run_for(struct tcp_script *script, uint64_t for_ns);

/* The next segment that arrived at the peer (steps up to four times); false: none. */
bool script_take(struct tcp_script *script, struct script_segment *out);

/* A segment with the peer's present numbers, window 65535, and a timestamp if negotiated. */
struct script_segment script_make(const struct tcp_script *script, uint8_t flags);
/* Fill a made segment with LENGTH bytes of the streams' pattern as from POSITION on. */
void script_fill(struct script_segment *segment, uint64_t position, uint32_t length);
void script_send(struct tcp_script *script, const struct script_segment *segment);

/* A data segment at OFFSET from the peer's next number (may be negative). Numbers do not move. */
void script_send_data(struct tcp_script *script, int32_t offset, uint32_t length);

/* The peer connects with these options; our host's stream is streams[acceptor.count - 1]. */
void script_accept(struct tcp_script *script, const struct tcp_options *options);
/* Our host connects to the peer, which answers with these options; client is open afterwards. */
void script_connect(struct tcp_script *script, const struct tcp_options *options);

struct tcp_conn *script_conn(struct tcp_script *script);
