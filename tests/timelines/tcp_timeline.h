/*
 * tcp_timeline: scripts of segments against our TCP: a host with our stack, and a peer whose
 * segments the script makes and expects.
 *
 * tcp_timeline_segment.c reads segments, tcp_timeline_wire.c sends and expects them,
 * tcp_timeline_icmp.c makes ICMP errors, tcp_timeline_app.c is the layer above,
 * tcp_timeline_facts.c says what holds, tcp_timeline.c is the stack and the protocol's table.
 */
#pragma once

#include "tests/support/tcp_script.h"
#include "tests/timelines/timeline.h"

#define TCP_TIMELINE_APPS 8
#define TCP_TIMELINE_SEED 7u

/* The layer above a connection. */
struct tcp_timeline_app {
    struct tcp_conn *conn; /* NULL: let go, or not there yet */
    uint32_t events;       /* since the script looked */
    enum tcp_failure failure;
    uint64_t received;
    uint64_t queued;
    uint64_t to_send; /* waits for room */
    bool reads;       /* at once, all there is */
};

struct tcp_timeline {
    struct timeline base;
    struct tcp_script script;
    bool is_listening;
    bool has_host_iss;
    uint32_t host_iss; /* sequence number of our SYN; 0 while unknown */
    uint32_t peer_iss;
    uint16_t peer_window;
    bool has_cookies;
    uint32_t cookie_backlog; /* 0: cookies always */
    uint32_t ecn;            /* 1: asked for */
    uint64_t mark;           /* when the last segment was seen, or something was done */
    struct tcp_timeline_app apps[TCP_TIMELINE_APPS];
    uint32_t app_count;
};

static inline struct tcp_timeline *tcp_timeline_of(struct timeline *t)
{
    return (struct tcp_timeline *)t;
}

/* A segment as a script describes it; numbers are absolute. */
struct tcp_timeline_segment {
    uint8_t flags;
    bool push; /* PSH was named: it has to be there */
    bool has_seq;
    bool has_ack;
    bool has_window;
    bool has_length;
    bool has_mss;
    bool has_scale;
    bool has_sack_permitted;
    bool has_timestamp;
    bool no_timestamp;
    bool has_echo;
    bool no_sack;
    bool congestion; /* a router marked it (RFC 3168 CE) */
    uint32_t seq;
    uint32_t ack;
    uint32_t length;
    uint16_t window;
    uint64_t after_ns;  /* not before this, counted from the mark */
    uint64_t within_ns; /* at the latest; 0: at once, or `after` */
    struct tcp_options options;
};

extern const struct timeline_protocol tcp_timeline_protocol;

/* Statements, by what they are about. */
extern const struct timeline_statement tcp_timeline_wire[];
extern const struct timeline_statement tcp_timeline_icmp[];
extern const struct timeline_statement tcp_timeline_calls[];
extern const struct timeline_statement tcp_timeline_facts[];

/* ---- tcp_timeline_segment.c ---- */

/* Flags and fields up to the end of the line; FROM_PEER: which side's numbers `seq` means. */
void tcp_timeline_segment_read(const struct tcp_timeline *t, struct timeline_line *line,
                               bool from_peer, struct tcp_timeline_segment *out);

/* For messages. */
void tcp_timeline_describe(const struct tcp_timeline *t, const struct script_segment *segment,
                           char *out, size_t room);

/* ---- tcp_timeline_app.c ---- */

/* Hand every connection that is accepted to an app of its own. */
extern const struct tcp_app tcp_timeline_accept;

/* The latest connection's. */
struct tcp_timeline_app *tcp_timeline_app_of(struct tcp_timeline *t);

/* ---- tcp_timeline.c ---- */

void tcp_timeline_listen(struct tcp_timeline *t, bool listen);

/* The connection of the present tuple; NULL: none, or TIME_WAIT (*IS_TIME_WAIT). */
struct tcp_conn *tcp_timeline_find(const struct tcp_timeline *t, bool *is_time_wait);

/* Of RFC 9293; a connection that is gone is CLOSED, or LISTEN. */
const char *tcp_timeline_state(const struct tcp_timeline *t);
