/*
 * tcp_host: a net_host with TCP on it, and streams: connections that send and verify a pattern of
 * bytes known from a seed. For tests of tcp and of what stands on it.
 */
#pragma once

#include "dataplane/tcp/tcp.h"
#include "tests/support/net_host.h"

struct tcp_host {
    struct net_host base;
    struct tcp *tcp;
    struct tcp_config config;
    struct segment_pool segments; /* what streams send from */
    uint16_t burst_max;           /* packets that TCP is given at once; 0: all that came */
};

/* A configuration that fits small tests; change it before tcp_host_open(). */
void tcp_host_prepare(struct tcp_host *host, struct wire *wire, uint16_t end, const char *v4,
                      const char *v6);
void tcp_host_open(struct tcp_host *host);

/* Parts of a turn, and all of it. */
void tcp_host_receive(struct tcp_host *host, uint64_t now);
void tcp_host_finish(struct tcp_host *host, uint64_t now);
void tcp_host_turn(struct tcp_host *host, uint64_t now);

/* Objects of every kind that are in use: 0 when all is given back. TIME_WAIT not included. */
uint32_t tcp_host_used(const struct tcp_host *host);

/* One end of a connection in a test. */
struct tcp_stream {
    struct tcp_host *host;
    struct tcp_conn *conn; /* NULL after close or abort */
    struct random random;
    uint32_t seed_out; /* of the bytes we send */
    uint32_t seed_in;  /* of those we expect */
    uint64_t to_send;
    uint64_t sent;
    uint64_t received;
    uint32_t piece_max;       /* bytes a send; 0: as much as there is room for */
    uint32_t read_max;        /* bytes a turn that are read; UINT32_MAX: all */
    bool use_segments;        /* half of the sends */
    bool close_after_sending; /* when everything is queued */
    bool close_after_eof;
    bool abort_on_fail; /* let go by itself */
    /* what happened */
    bool opened;
    bool eof;
    bool failed;
    bool corrupt;
    enum tcp_failure failure;
    uint32_t opened_events;
    uint32_t writable_events;
    uint32_t events;
};

/* A stream that reads all, closes after EOF, lets go after failure, with SEED for both ways. */
void tcp_stream_init(struct tcp_stream *stream, struct tcp_host *host, uint32_t seed);

bool tcp_stream_connect(struct tcp_stream *stream, const char *address, uint16_t port,
                        uint64_t now);

/* Accepts into an array of streams, in order of arrival; more are aborted. */
struct tcp_acceptor {
    struct tcp_stream *streams;
    uint32_t room;
    uint32_t count;
};

bool tcp_stream_listen(struct tcp_host *host, const char *address, uint16_t port,
                       struct tcp_acceptor *acceptor);

/* Read up to read_max, send what there is, close when due. */
void tcp_stream_pump(struct tcp_stream *stream);

/* All was sent and received (TOTAL bytes), and the connection let go. */
bool tcp_stream_is_done(const struct tcp_stream *stream, uint64_t total);

uint8_t tcp_stream_byte(uint32_t seed, uint64_t position);
