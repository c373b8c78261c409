/*
 * tcp: the Transmission Control Protocol (RFC 9293) over net, both roles. One struct tcp a worker.
 *
 * No I/O and no clock: packets come in by tcp_in(), time by `now`, packets leave through net_send()
 * in tcp_out(). Nothing calls up from inside tcp_in(): what happened is collected as events and
 * delivered by tcp_dispatch(), so the layer above may do anything to its connection then.
 *
 * Order of calls in a turn: tcp_in() per burst, timer_wheel_advance(), tcp_dispatch(), [above],
 * tcp_out().
 *
 * Life of a connection: the layer above owns it from its first event (TCP_OPENED) or from
 * tcp_connect() until it calls tcp_close() or tcp_abort(); afterwards the pointer is dead for it,
 * while TCP finishes by itself (FIN, TIME_WAIT). TCP never takes a connection away: when the peer
 * or the network ended it, the event TCP_FAILED says so and the owner lets go with tcp_abort().
 */
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/segment.h"
#include "dataplane/base/siphash.h"
#include "dataplane/net/net.h"

struct tcp;
struct tcp_conn;

#define COUNTERS_STRUCT tcp_counters
#define COUNTERS_DEF    "dataplane/tcp/tcp_counters.def"
#include "dataplane/base/counter_struct.h"

/* Events, delivered together as a set. */
enum tcp_event {
    TCP_OPENED = 1 << 0,   /* established: accepted, or our connect succeeded */
    TCP_READABLE = 1 << 1, /* bytes wait in tcp_read() */
    TCP_WRITABLE = 1 << 2, /* room in the send queue again after it was short */
    TCP_EOF = 1 << 3,      /* the peer will send nothing more; reads may still be pending */
    TCP_FAILED = 1 << 4,   /* alone: over, see tcp_failure(); only tcp_abort() is allowed now */
};

enum tcp_failure {
    TCP_FAILURE_NONE,
    TCP_FAILURE_REFUSED, /* RST in answer to our SYN */
    TCP_FAILURE_RESET,   /* RST on an established connection */
    TCP_FAILURE_TIMEOUT, /* no answer: SYN, data or keepalive went unacknowledged for too long */
    TCP_FAILURE_UNREACHABLE, /* no route, or the next hop does not answer ARP or NDP */
    TCP_FAILURES
};

/* The layer above a connection. */
struct tcp_app {
    /* EVENTS is a set of enum tcp_event. Called by tcp_dispatch() only. */
    void (*event)(void *app, struct tcp_conn *conn, uint32_t events, uint64_t now);
};

/* When SYNs are answered with cookies, without memory for the connection (RFC 4987 3.6). */
enum tcp_cookie_mode {
    TCP_COOKIES_AUTO,   /* while `backlog` or more connections are half open */
    TCP_COOKIES_ALWAYS, /* every SYN, but those that take over a TIME_WAIT entry */
};

struct tcp_cookie_settings {
    enum tcp_cookie_mode mode;
    uint32_t backlog; /* a worker; 0: no cookies are sent or taken */
    /*
     * The first one makes cookies, both are taken. All zero: there is none. The same for all
     * workers of the process; with `shared` also for the other nodes behind the same addresses.
     */
    struct siphash_key secrets[2];
    bool shared;             /* cookies of others may arrive here at any time */
    uint64_t clock_ahead_ns; /* the wall clock's time less `now`: nodes agree on it within 4 s */
};

/* How a sender shares the path (tcp_cc.h). */
enum tcp_congestion {
    TCP_CONGESTION_CUBIC,   /* RFC 9438, slow start with HyStart++ (RFC 9406) */
    TCP_CONGESTION_NEWRENO, /* RFC 5681 */
};

struct tcp_config {
    struct net *net;
    struct timer_wheel *wheel;
    struct random *random;
    uint16_t self;
    uint16_t workers;
    uint32_t connections_max;
    uint32_t time_wait_max;
    uint32_t spans_max;            /* pieces of send queues, all connections together */
    uint32_t blocks_max;           /* owned byte blocks of send queues (2 KiB each) */
    uint32_t reassembly_max;       /* mbufs held out of order or unread, all connections together */
    uint32_t receive_window_bytes; /* a connection, announced */
    uint32_t send_queue_bytes;     /* a connection: tcp_send_room() of an empty queue */
    uint32_t listeners_max;
    uint64_t connect_timeout_ns; /* our SYNs unanswered: TCP_FAILURE_TIMEOUT */
    uint64_t user_timeout_ns;    /* data unacknowledged, RFC 5482 style */
    uint64_t keepalive_idle_ns;  /* 0: off */
    uint64_t time_wait_ns;
    enum tcp_congestion congestion;
    bool ecn; /* ask for and agree to explicit congestion notification (RFC 3168) */
    /*
     * For the table, sequence numbers and timestamps: random_secret() in the product. All zero:
     * drawn from `random` (simulation), whose other numbers peers may see.
     */
    struct siphash_key secret;
    int socket_id;
};

/* Everything is allocated here. NULL: not enough memory. Main thread, at start. */
struct tcp *tcp_create(const struct tcp_config *config);

struct tcp_counters *tcp_counters(struct tcp *tcp);

/*
 * Accept connections to ADDRESS:PORT. Each new one is announced to APP with context CONTEXT by
 * TCP_OPENED; the app then sets its own with tcp_set_app(). False: no place, or already taken.
 */
bool tcp_listen(struct tcp *tcp, const struct ip_address *address, uint16_t port,
                const struct tcp_app *app, void *context);

/* At start (until then no cookies), and whenever something of it changes. */
void tcp_set_cookies(struct tcp *tcp, const struct tcp_cookie_settings *settings);

/* Stop accepting. Connections that exist stay. */
void tcp_unlisten(struct tcp *tcp, const struct ip_address *address, uint16_t port);

/*
 * Open a connection. The result comes as TCP_OPENED or TCP_FAILED. NULL: no connection object, no
 * route or no source port is free; counted.
 */
struct tcp_conn *tcp_connect(struct tcp *tcp, const struct ip_address *remote, uint16_t port,
                             const struct tcp_app *app, void *context, uint64_t now);

/* The same from LOCAL, one of our addresses (service addresses, too), of REMOTE's family. */
struct tcp_conn *tcp_connect_from(struct tcp *tcp, const struct ip_address *local,
                                  const struct ip_address *remote, uint16_t port,
                                  const struct tcp_app *app, void *context, uint64_t now);

/* Take over packets that net_in() found to be ours (TCP, or ICMP errors about TCP). */
void tcp_in(struct tcp *tcp, struct rte_mbuf **packets, uint16_t count, uint64_t now);

/* Deliver events to the layer above. At most MAX connections; returns how many. */
uint32_t tcp_dispatch(struct tcp *tcp, uint32_t max, uint64_t now);

/* Send what windows allow: data, FIN, ACKs, window updates, for all connections that have some. */
void tcp_out(struct tcp *tcp, uint64_t now);

void tcp_set_app(struct tcp_conn *conn, const struct tcp_app *app, void *context);

/* The next contiguous received bytes; empty when there are none. Valid until tcp_read_done(). */
struct bytes tcp_read(struct tcp_conn *conn);

/* Give back COUNT bytes at the front of tcp_read(); the receive window reopens (RFC 9293 3.8.6). */
void tcp_read_done(struct tcp_conn *conn, uint32_t count);

/*
 * The window never becomes larger than BYTES, or the next smaller part of receive_window_bytes (a
 * half, a quarter, ... a 64th); what was announced already is not taken back. For who leaves bytes
 * unread: they are held in mbufs, of which there are reassembly_max.
 */
void tcp_limit_receive(struct tcp_conn *conn, uint32_t bytes);

/*
 * Bytes the send queue takes now. When it is smaller than wanted, TCP_WRITABLE will come.
 */
uint32_t tcp_send_room(struct tcp_conn *conn);

/*
 * The same for who queues nothing but copies, as TLS does: with what is queued no more than an
 * eighth of the blocks that are free, or 16 of them, so that who reads slowly leaves some to
 * others. From the first call on TCP_WRITABLE speaks of this room; tcp_send_room() still takes what
 * it says.
 */
uint32_t tcp_copy_room(struct tcp_conn *conn);

/* Queue a copy of bytes (at most tcp_send_room()). False: pools are empty, nothing was queued. */
bool tcp_send_copy(struct tcp_conn *conn, struct bytes bytes);

/*
 * Memory of the connection's for LEAST bytes or more in one piece: the next ones of the stream once
 * tcp_send_placed() says how many (not 0), before anything else is done with the connection.
 * *OUT_BYTES: its size, at most tcp_send_room(). NULL: none; tcp_send_copy() may find it in two
 * pieces. O(1).
 */
uint8_t *tcp_send_place(struct tcp_conn *conn, uint32_t least, uint32_t *out_bytes);
void tcp_send_placed(struct tcp_conn *conn, uint32_t count);

/* Queue LENGTH bytes of a segment, which is held until they are acknowledged. False as above. */
bool tcp_send_segment(struct tcp_conn *conn, struct segment *segment, uint32_t offset,
                      uint32_t length);

/* Send what is queued, then FIN. What still arrives is discarded. The owner lets go. */
void tcp_close(struct tcp_conn *conn);

/* RST (unless it failed already), now. The owner lets go. */
void tcp_abort(struct tcp_conn *conn);

/*
 * The process ends: RST for up to COUNT connections' peers, from slot AT on; nobody else will tell
 * them. Returns where to go on after net_flush(), or 0 when that was all. Connections stay as they
 * are, but nothing may be done with them any more.
 */
uint32_t tcp_farewell(struct tcp *tcp, uint32_t at, uint32_t count, uint64_t now);

struct tcp_info {
    struct flow_tuple tuple;
    enum tcp_failure failure;
    bool opened_by_us;
    uint64_t smoothed_rtt_ns; /* 0: none measured yet */
    uint64_t unacked_for_ns;  /* since the oldest unacknowledged byte, or our SYN, was first sent;
                                 0: none */
    uint64_t silent_for_ns;   /* since the last segment of the peer's, in whole milliseconds */
    uint32_t queued_bytes;    /* in the send queue, acknowledged ones excluded */
};

void tcp_info(const struct tcp_conn *conn, uint64_t now, struct tcp_info *out);

/*
 * Whether the peer is still there: a segment that it has to answer at once. No answer, no event;
 * see silent_for_ns. Nothing is sent unless the connection is established. O(1).
 */
void tcp_ask(struct tcp_conn *conn, uint64_t now);

/* The connections in use now (without TIME_WAIT), and those in TIME_WAIT. */
uint32_t tcp_connection_count(const struct tcp *tcp);
uint32_t tcp_time_wait_count(const struct tcp *tcp);

/* Objects of every kind in use, TIME_WAIT left out: 0 when every connection has gone. */
uint32_t tcp_objects_used(const struct tcp *tcp);
