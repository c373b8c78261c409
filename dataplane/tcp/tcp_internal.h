/*
 * tcp_internal: what the files of tcp share: the connection, the stack's own struct, and the
 * functions between the files. Nobody else includes this, except tests.
 *
 * Names are the RFC's: SND.UNA is snd_una, SEG.SEQ is seg->seq.
 */
#pragma once

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/base/pool.h"
#include "dataplane/base/random.h"
#include "dataplane/base/siphash.h"
#include "dataplane/base/timer_wheel.h"
#include "dataplane/net/net.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/tcp/tcp_list.h"
#include "dataplane/tcp/tcp_options.h"
#include "dataplane/tcp/tcp_reassembly.h"
#include "dataplane/tcp/tcp_send_queue.h"
#include "dataplane/tcp/tcp_sent.h"
#include "dataplane/tcp/tcp_seq.h"
#include "dataplane/tcp/tcp_state.h"
#include "dataplane/tcp/tcp_table.h"
#include "dataplane/tcp/tcp_timers.h"

#include <rte_mbuf.h>
#include <rte_tcp.h>

#define TCP_BURST 32u

#define TCP_FIN RTE_TCP_FIN_FLAG
#define TCP_SYN RTE_TCP_SYN_FLAG
#define TCP_RST RTE_TCP_RST_FLAG
#define TCP_PSH RTE_TCP_PSH_FLAG
#define TCP_ACK RTE_TCP_ACK_FLAG
#define TCP_ECE RTE_TCP_ECE_FLAG
#define TCP_CWR RTE_TCP_CWR_FLAG
/* Only in struct tcp_segment, in the place of URG, which nobody reads: the IP header says CE. */
#define TCP_CE RTE_TCP_URG_FLAG

#define TCP_HEADER_BYTES     20u
#define TCP_HEADER_MAX_BYTES 60u

/* RFC 9293 3.7.1: what a peer can take that did not say so. */
#define TCP_MSS_DEFAULT_V4 536u
#define TCP_MSS_DEFAULT_V6 1220u
/* A peer that asks for less only wants us to send many small packets. */
#define TCP_MSS_MIN 216u

#define TCP_INITIAL_WINDOW_SEGMENTS 10u   /* RFC 6928 */
#define TCP_DUPLICATES              3u    /* RFC 5681 3.2, RFC 6675 DupThresh */
#define TCP_CHALLENGE_INTERVAL_MS   500u  /* a connection, RFC 5961 section 7 */
#define TCP_RESETS_PER_SECOND       1000u /* a worker, for segments to nobody */
#define TCP_SYN_ACK_RETRIES         4u    /* 1 + 2 + 4 + 8 + 16 s until a half-open one goes */
#define TCP_CONNECT_LOOK_NS         (500 * CLOCK_MS)
#define TCP_FIN_WAIT_2_NS           (10 * CLOCK_S)
#define TCP_DELAYED_ACK_NS          (40 * CLOCK_MS) /* RFC 9293 3.8.6.3: below 500 ms */
#define TCP_QUICK_ACKS              16u /* turns without delay while a peer's window is young */
#define TCP_KEEPALIVE_PROBES        5u

enum tcp_conn_flag {
    TCP_CONN_OWNED = 1 << 0, /* the layer above holds the pointer */
    TCP_CONN_OPENED_BY_US = 1 << 1,
    TCP_CONN_TIMESTAMPS = 1 << 2,    /* negotiated */
    TCP_CONN_SACK = 1 << 3,          /* negotiated */
    TCP_CONN_SCALES = 1 << 4,        /* negotiated: windows are scaled */
    TCP_CONN_SYN_DUE = 1 << 5,       /* send SYN or SYN-ACK */
    TCP_CONN_ACK_NOW = 1 << 6,       /* acknowledge in this turn */
    TCP_CONN_ACK_LATER = 1 << 7,     /* acknowledge, it may wait */
    TCP_CONN_FORCE_ONE = 1 << 8,     /* one segment goes whatever cwnd or its small size say */
    TCP_CONN_WANT_ROOM = 1 << 9,     /* the layer above saw too little room: TCP_WRITABLE later */
    TCP_CONN_CWND_LIMITED = 1 << 10, /* cwnd, not the application, held us back last time */
    TCP_CONN_PERSIST = 1 << 11,      /* the retransmission deadline is the zero-window probe's */
    TCP_CONN_FIN_SEEN = 1 << 12,     /* fin_at is known */
    TCP_CONN_DSACK = 1 << 13,        /* the next ACK reports `dsack` */
    TCP_CONN_SEND_SHUT = 1 << 14,    /* our FIN follows the send queue */
    TCP_CONN_RETIRED = 1 << 15,      /* over: out of the table, nothing is sent any more */
    TCP_CONN_HALF_OPEN = 1 << 16,    /* a peer's SYN, counted in half_open_count */
    TCP_CONN_REORDERED = 1 << 17,    /* RACK.reordering_seen */
    TCP_CONN_DSACK_ROUND = 1 << 18,  /* rack_dsack_round counts: no second D-SACK till then */
    TCP_CONN_REO_TIMER = 1 << 19,    /* deadline LOSS is the reordering timer's, not the PTO's */
    TCP_CONN_PROBE_DUE = 1 << 20,    /* send a tail loss probe */
    TCP_CONN_TLP = 1 << 21,          /* TLP.end_seq counts: a probe is on its way */
    TCP_CONN_TLP_AGAIN = 1 << 22,    /* TLP.is_retrans */
    TCP_CONN_UNDO = 1 << 23,         /* the last reduction may turn out to be wrong */
    TCP_CONN_UNDO_STAMPED = 1 << 24, /* undo_ts counts: something was sent again since */
    TCP_CONN_FRTO = 1 << 25,         /* RFC 5682: the last timeout may have been for nothing */
    TCP_CONN_ECN = 1 << 26,          /* negotiated */
    TCP_CONN_ECN_ECHO = 1 << 27,     /* set ECE until the peer's CWR (RFC 3168 6.1.3) */
    TCP_CONN_ECN_CWR = 1 << 28,      /* set CWR on the next new data (RFC 3168 6.1.2) */
    TCP_CONN_ECN_ROUND = 1 << 29,    /* ecn_recover counts: no second reduction till then */
    TCP_CONN_MTU_LOWERED = 1 << 30,  /* path.mtu is less than the route's; see path_mtu_at_ms */
    TCP_CONN_COPIES = 1u << 31,      /* all it sends is copied into blocks: tcp_copy_room() */
};

struct tcp_cc_ops;

/* The congestion control's own; each algorithm has its view (tcp_cc_newreno.c, tcp_cc_cubic.c). */
#define TCP_CC_STATE_WORDS 9

/* Owner: the worker's struct tcp. From pool `conns`. */
struct tcp_conn {
    /* line 0: what every segment is held against */
    struct flow_tuple tuple; /* first: tcp_table compares it */
    uint8_t state;           /* enum tcp_state */
    uint8_t recovery;        /* enum tcp_recovery */
    uint8_t events;          /* set of enum tcp_event, to be dispatched */
    uint8_t quick_acks;      /* how many more ACKs go without delay */
    uint32_t flags;          /* set of enum tcp_conn_flag */
    uint32_t rcv_nxt;
    uint32_t rcv_adv; /* right edge of the largest window announced */
    uint32_t snd_una;
    uint32_t snd_nxt; /* never goes back: what is sent again is marked in its record */
    uint32_t snd_wnd; /* bytes from snd_una */

    /* line 1: receiving and acknowledging */
    struct tcp *tcp;
    struct tcp_rx rx;
    uint32_t last_ack_sent; /* RFC 7323 4.3 */
    uint32_t ts_recent;
    uint8_t rcv_wscale;
    uint8_t snd_wscale;
    uint16_t mss;       /* payload of a full segment, timestamps taken off */
    uint16_t rcv_mss;   /* the largest payload seen */
    uint8_t duplicates; /* duplicate ACKs in a row */
    uint8_t sack_count;

    /* line 2: sending; see tcp_sent.h */
    tcp_sent_link sent_first; /* in flight, by sequence number */
    tcp_sent_link sent_last;
    tcp_sent_link oldest; /* in the network, by the time of their last transmission */
    tcp_sent_link newest;
    tcp_sent_link lost_hint; /* no record before it is LOST; none: none is */
    tcp_sent_link sack_hint; /* a SACKED record near which the next SACKs will be; none: none */
    uint32_t snd_wl1;
    uint32_t snd_wnd_max;  /* the largest window the peer ever announced */
    uint32_t cwnd;         /* bytes */
    uint32_t ssthresh;     /* bytes */
    uint32_t sacked_bytes; /* without SACK: what duplicate ACKs told has left the network */
    uint32_t lost_bytes;
    uint16_t sent_count;   /* records */
    uint16_t sacked_count; /* records */
    uint32_t recover;      /* RFC 6582 */
    uint32_t rack_xmit_us; /* RFC 8985 5.2: of the segment sent last of those that arrived; ... */
    uint32_t rack_end_seq; /* ... before the first: our SYN */

    /* line 3 */
    uint32_t rack_rtt_us;
    uint32_t rack_fack;
    struct tcp_send_queue queue;
    uint32_t srtt_us;   /* times 8; 0: no sample yet */
    uint32_t rttvar_us; /* times 4 */
    uint32_t rto_us;
    uint8_t backoff;           /* doublings of rto_us, until the next sample (Karn) */
    uint8_t probes;            /* keepalive probes in a row */
    uint8_t failure;           /* enum tcp_failure */
    uint8_t ahead_acks : 4;    /* immediate duplicate ACKs sent since the gap opened */
    uint8_t receive_shift : 4; /* the window is so many times halved: tcp_limit_receive() */
    uint8_t deadlines_set;     /* bit D: deadlines[D] counts */
    uint8_t rack_reo_wnd_mult;
    uint8_t rack_reo_wnd_persist;      /* recoveries until reo_wnd_mult is 1 again */
    uint8_t timeouts;                  /* in a row, without progress */
    uint32_t deadlines[TCP_DEADLINES]; /* microseconds, see tcp_timers.h */

    struct tcp_link links[TCP_LINKS];
    uint32_t min_rtt_us; /* RFC 8985 RACK.min_RTT: of the last minutes; 0: none yet */
    struct timer timer;
    uint32_t min_rtt_at_ms;
    uint32_t cc_state[TCP_CC_STATE_WORDS];

    /* in and after recovery */
    uint32_t rack_dsack_round;
    uint32_t tlp_end_seq;
    uint32_t prr_delivered; /* RFC 6937, bytes */
    uint32_t prr_out;
    uint32_t recover_fs;
    uint32_t undo_cwnd; /* before the last reduction */
    uint32_t undo_ssthresh;
    uint32_t undo_una; /* snd_una then */
    uint32_t undo_ts;  /* timestamp of the first retransmission since (RFC 3522 RetransmitTS) */
    uint32_t ecn_recover;

    /* colder */
    const struct tcp_app *app;
    void *context;
    uint32_t heard_at_ms;     /* last segment from the peer */
    uint32_t progress_at_ms;  /* snd_una moved, or sending began */
    uint32_t last_sent_at_ms; /* last data segment */
    /* to report, most recent first (RFC 2018 4); the last place is the D-SACK's (RFC 2883) */
    struct tcp_range sack[TCP_SACK_REPORTED + 1];
    struct net_path path;
    uint32_t fin_at;    /* sequence number of the peer's FIN */
    uint32_t ts_offset; /* our timestamps are milliseconds plus this */
    uint32_t challenge_at_ms;
    uint16_t peer_mss;       /* as announced, before path and options */
    uint16_t undo_retrans;   /* retransmissions since that no D-SACK has told of */
    uint32_t path_mtu_at_ms; /* lowered, or last tried to raise it */
} __attribute__((aligned(64)));

/* A connection's memory is multiplied by millions; a power of two makes numbers of pointers. */
_Static_assert(sizeof(struct tcp_conn) == TCP_CONN_BYTES, "the pool's and the lists' distance");

/* A segment on its way through tcp_in(). */
struct tcp_segment {
    struct rte_mbuf *packet; /* trimmed to the payload; NULL once taken over */
    struct flow_tuple tuple;
    uint32_t hash;
    uint32_t seq;
    uint32_t ack;
    uint32_t length; /* payload bytes */
    uint16_t window; /* as it stands in the header */
    uint8_t flags;
    uint8_t header_bytes; /* of TCP, in front of the packet's data */
    bool is_of_same;      /* of the connection of the segment before it, in its burst */
    struct tcp_options options;
};

/* SEG.LEN: payload, SYN and FIN. */
static inline uint32_t tcp_segment_span(const struct tcp_segment *seg)
{
    return seg->length + ((seg->flags & TCP_SYN) != 0) + ((seg->flags & TCP_FIN) != 0);
}

/* 64 bytes hold a connection whose story is over (RFC 9293 3.6.1). */
struct tcp_time_wait {
    struct flow_tuple tuple; /* first: tcp_table compares it */
    uint32_t older;          /* pool index plus one */
    uint32_t newer;
    uint32_t snd_nxt;
    uint32_t rcv_nxt;
    uint32_t ts_recent;
    uint32_t entered_ms;
    uint16_t window; /* as last announced */
    uint8_t timestamps;
    uint8_t pad;
};

_Static_assert(sizeof(struct tcp_time_wait) == 64, "one cache line");

struct tcp_listener {
    struct ip_address address;
    const struct tcp_app *app;
    void *context;
};

/* A token bucket: RATE a second, a tenth of that at once. */
struct tcp_limiter {
    uint64_t refilled_at_ns;
    uint32_t tokens;
};

#define TCP_COOKIE_SLOTS 4 /* a power of two: two are taken, two known to be too old */

/* The keys of one secret, one a slot of time, made when first asked for. */
struct tcp_cookie_keys {
    uint64_t slots[TCP_COOKIE_SLOTS]; /* slot number plus one; 0: no key yet */
    struct siphash_key keys[TCP_COOKIE_SLOTS];
};

struct tcp_cookies {
    struct tcp_cookie_settings settings;
    struct tcp_cookie_keys keys[2]; /* of settings.secrets */
    uint64_t sent_at_ns;            /* the last cookie; 0: none yet */
};

struct tcp {
    struct tcp_config config;
    uint64_t now; /* of the last call that was told */
    struct tcp_table table;
    struct tcp_lists lists;
    struct pool conns; /* POOL_RESTING */
    struct tcp_span_pools spans;
    struct pool sent;
    struct pool time_waits;
    uint32_t held; /* received mbufs that connections hold */
    uint32_t half_open_count;
    uint32_t half_open_max;
    uint32_t sent_limit; /* records a connection */
    const struct tcp_cc_ops *cc;
    uint8_t window_scale;
    uint32_t listener_count;
    uint32_t port_count; /* of our slice of source ports */
    uint16_t *listener_ports;
    struct tcp_listener *listeners;
    uint32_t time_wait_oldest; /* pool index plus one */
    uint32_t time_wait_newest;
    struct timer time_wait_timer;
    struct siphash_key isn_key;
    struct tcp_limiter resets;
    struct tcp_cookies cookies;
    struct tcp_counters counters;
};

#define tcp_count(tcp, counter) counter_add(&(tcp)->counters.counter, 1)

static inline uint32_t tcp_ms(uint64_t now)
{
    return (uint32_t)(now / CLOCK_MS);
}

/* Wraps after 71 minutes: for differences of less than half of that. */
static inline uint32_t tcp_us(uint64_t now)
{
    return (uint32_t)(now / CLOCK_US);
}

/* How long ago a time in truncated milliseconds was; right up to 49 days. */
static inline uint64_t tcp_since_ns(uint32_t at_ms, uint64_t now)
{
    return (uint64_t)(tcp_ms(now) - at_ms) * CLOCK_MS;
}

/* A deadline (tcp_timers.h) counts no more; whether it does. */
static inline void tcp_timer_clear(struct tcp_conn *conn, enum tcp_deadline which)
{
    conn->deadlines_set &= (uint8_t) ~(1u << which);
}

static inline bool tcp_timer_is_set(const struct tcp_conn *conn, enum tcp_deadline which)
{
    return (conn->deadlines_set & 1u << which) != 0;
}

/* The number by which lists name a connection: its place in the pool plus one. */
static inline uint32_t tcp_conn_number(const struct tcp_conn *conn)
{
    return (uint32_t)(conn - (const struct tcp_conn *)(const void *)conn->tcp->conns.objects) + 1;
}

static inline struct tcp_conn *tcp_conn_at(const struct tcp *tcp, uint32_t number)
{
    return (struct tcp_conn *)(void *)tcp->conns.objects + (number - 1);
}

static inline bool tcp_conn_is_linked(const struct tcp_conn *conn, enum tcp_link_kind kind)
{
    return conn->links[kind].next != 0;
}

/* To the end of LIST; nothing, if it is in that link's list already. */
static inline void tcp_conn_link(struct tcp_conn *conn, enum tcp_list list)
{
    if (!tcp_conn_is_linked(conn, tcp_list_kind(list)))
        tcp_list_push_back(&conn->tcp->lists, list, tcp_conn_number(conn));
}

static inline void tcp_conn_unlink(struct tcp_conn *conn, enum tcp_link_kind kind)
{
    tcp_list_remove(&conn->tcp->lists, kind, tcp_conn_number(conn));
}

/* The first of LIST, taken out; NULL: it is empty. */
static inline struct tcp_conn *tcp_conn_pop(struct tcp *tcp, enum tcp_list list)
{
    uint32_t at = tcp_list_pop_front(&tcp->lists, list);
    return at == TCP_NOBODY ? NULL : tcp_conn_at(tcp, at);
}

static inline struct tcp_sent *tcp_sent_at(const struct tcp_conn *conn, tcp_sent_link link)
{
    return link == 0 ? NULL : (struct tcp_sent *)(void *)conn->tcp->sent.objects + (link - 1);
}

static inline tcp_sent_link tcp_sent_link_of(const struct tcp_conn *conn,
                                             const struct tcp_sent *sent)
{
    const struct tcp_sent *objects = (const void *)conn->tcp->sent.objects;
    return (tcp_sent_link)(sent - objects) + 1;
}

/* Bytes in flight, sent and not acknowledged, FIN included. */
static inline uint32_t tcp_flight(const struct tcp_conn *conn)
{
    return conn->snd_nxt - conn->snd_una;
}

/* RFC 6675: what is thought to be in the network. */
static inline uint32_t tcp_pipe(const struct tcp_conn *conn)
{
    uint32_t gone = conn->sacked_bytes + conn->lost_bytes;
    return tcp_flight(conn) > gone ? tcp_flight(conn) - gone : 0;
}

/* tcp.c */

/*
 * A connection object for TUPLE with initial sequence number ISS, in the table, in CLOSED. NULL:
 * none is free; counted.
 */
struct tcp_conn *tcp_conn_new(struct tcp *tcp, const struct flow_tuple *tuple, uint32_t hash,
                              const struct net_path *path, uint32_t iss, uint64_t now);
/* Give everything back. Nobody may hold the pointer any more. */
void tcp_conn_free(struct tcp_conn *conn);
/* The connection is over against its owner's will; unowned ones are freed. */
void tcp_conn_fail(struct tcp_conn *conn, enum tcp_failure failure, enum tcp_cause cause);
void tcp_conn_event(struct tcp_conn *conn, uint32_t events);
/* The connection may have something to send: look at it in tcp_out(). */
void tcp_conn_want_out(struct tcp_conn *conn);
/* TCP_WRITABLE, if it is wanted and there is room. */
void tcp_conn_check_room(struct tcp_conn *conn);
/* The options of the peer's SYN; whatever it offers, we offered or will. */
void tcp_conn_negotiate(struct tcp_conn *conn, const struct tcp_segment *syn);
void tcp_conn_established(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now);
bool tcp_limiter_take(struct tcp_limiter *limiter, uint32_t rate, uint64_t now);

/* tcp_isn.c */

#define TCP_TUPLE_WORDS 4

/*
 * For siphash_words(): addresses, without the 12 bytes that all IPv4 addresses share, and ports.
 * Returns how many words; they differ by family.
 */
uint32_t tcp_tuple_words(const struct flow_tuple *tuple, uint64_t out[TCP_TUPLE_WORDS]);

static inline uint32_t tcp_tuple_ports(const struct flow_tuple *tuple)
{
    return (uint32_t)tuple->remote_port << 16 | tuple->local_port;
}

uint32_t tcp_isn(const struct tcp *tcp, const struct flow_tuple *tuple, uint64_t now);
uint32_t tcp_timestamp_offset(const struct tcp *tcp, const struct flow_tuple *tuple);
void tcp_isn_init(struct tcp *tcp, const struct siphash_key *secret);

/* tcp_listen.c */
bool tcp_listen_init(struct tcp *tcp);
/*
 * A segment for no connection: LISTEN or CLOSED. LEAST_ISS: what our sequence number has to be
 * above of; NULL: nothing. Returns a connection in SYN_RECEIVED that has to take the segment (which
 * brought a cookie back), or NULL: the segment is dealt with.
 */
struct tcp_conn *tcp_listen_in(struct tcp *tcp, struct tcp_segment *seg, const uint32_t *least_iss,
                               uint64_t now);
/* Whether one more connection may be half open. */
bool tcp_listen_has_room(const struct tcp *tcp);
void tcp_closed_in(struct tcp *tcp, const struct tcp_segment *seg, uint64_t now);

/* tcp_cookie.c */
/* Whether a SYN to a listener is to be answered with a cookie. */
bool tcp_cookie_wanted(const struct tcp *tcp);
/* Answer a SYN in its own mbuf. */
void tcp_cookie_answer(struct tcp *tcp, struct tcp_segment *syn, uint64_t now);
/*
 * Whether SEG brings a cookie back: the SYN that it must have answered in *SYN, our ISS in *ISS.
 * Refusals are counted.
 */
bool tcp_cookie_check(struct tcp *tcp, const struct tcp_segment *seg, struct tcp_segment *syn,
                      uint32_t *iss, uint64_t now);
/* The timestamps of CONN continue those of the cookie that SEG brought back. */
void tcp_cookie_timestamps(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now);

/* tcp_segment.c */
/* All but `hash` and `is_of_same`. False: dropped, for a reason that is counted; not freed. */
bool tcp_segment_read(struct tcp *tcp, struct rte_mbuf *packet, struct tcp_segment *seg);

/* tcp_icmp.c */
void tcp_icmp_in(struct tcp *tcp, const struct rte_mbuf *packet, uint64_t now);

/* tcp_ack.c */
void tcp_ack_in(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now);

/* tcp_path_mtu.c */
/* mss, from what the peer said and the route's MTU. */
void tcp_path_mtu_init(struct tcp_conn *conn);
/* ICMP says that packets may have MTU bytes. False: that is no news. */
bool tcp_path_mtu_message(struct tcp_conn *conn, uint32_t mtu, uint64_t now);
/* A retransmission timeout: perhaps it is because of the size. */
void tcp_path_mtu_timeout(struct tcp_conn *conn, uint64_t now);
/* For MTU_LOWERED: bytes of the segment that is to be tried now; 0: none. */
uint32_t tcp_path_mtu_probe(struct tcp_conn *conn, uint64_t now);
/* It was: the last record. */
void tcp_path_mtu_probe_sent(struct tcp_conn *conn, uint64_t now);
/* A record with MTU_PROBE was acknowledged, or SACKed. */
void tcp_path_mtu_probe_arrived(struct tcp_conn *conn);
/* Whether nothing but the probe is thought lost. */
bool tcp_path_mtu_probe_is_all_lost(struct tcp_conn *conn);

/* tcp_connect.c */
void tcp_connect_init(struct tcp *tcp);

/* tcp_data.c */
/* Payload and FIN of an acceptable segment. False: the connection has gone to TIME_WAIT. */
bool tcp_data_in(struct tcp_conn *conn, struct tcp_segment *seg, uint64_t now);
/*
 * The same for a segment in a run: ESTABLISHED, in order, inside of the window, with payload and
 * without FIN, nothing ahead of a gap. tcp_data_appended() has to follow before anything else is
 * done with the connection. False: it is not as simple, nothing has happened.
 */
bool tcp_data_append(struct tcp_conn *conn, struct tcp_segment *seg);
/* BYTES in all were appended: they are to be acknowledged, and read. */
void tcp_data_appended(struct tcp_conn *conn, uint32_t bytes);
/* Report a range that arrived twice (RFC 2883). */
void tcp_data_duplicate(struct tcp_conn *conn, uint32_t start, uint32_t end);
/* Whether received mbufs are so many that windows must shrink. */
bool tcp_data_pressure(const struct tcp *tcp);
/* Nobody reads any more: let go of what was received. */
void tcp_data_discard(struct tcp_conn *conn);

/* tcp_out.c */
/* False: no mbuf was left. */
bool tcp_out_ack(struct tcp_conn *conn, uint64_t now);
void tcp_out_challenge(struct tcp_conn *conn, uint64_t now);
void tcp_out_reset(struct tcp_conn *conn, uint64_t now);
void tcp_out_probe(struct tcp_conn *conn, uint64_t now);
void tcp_out_ask(struct tcp_conn *conn, uint64_t now);
uint32_t tcp_out_window(struct tcp_conn *conn);
bool tcp_out_fin_due(const struct tcp_conn *conn);

/* What is sent without a connection: RSTs, and ACKs from TIME_WAIT. */
struct tcp_bare {
    const struct flow_tuple *tuple;
    uint32_t seq;
    uint32_t ack;
    uint16_t window;
    uint8_t flags;
    struct tcp_options options;
};

void tcp_out_bare(struct tcp *tcp, const struct tcp_bare *bare, uint64_t now);
/* The same in SEG's own mbuf, back the way it came; SEG's packet is gone then. */
void tcp_out_back(struct tcp *tcp, const struct tcp_bare *bare, struct tcp_segment *seg);

/* tcp_rto.c */
void tcp_rto_init(struct tcp_conn *conn);
void tcp_rto_sample(struct tcp_conn *conn, uint64_t rtt_ns);
/* A sample from the segment's timestamp echo; false: it has none of use. */
bool tcp_rto_sample_echo(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now);
/* The first sample, of our SYN. */
void tcp_rto_syn_acked(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now);
uint64_t tcp_rto_ns(const struct tcp_conn *conn);
/* The retransmission deadline passed. False: the connection is gone. */
bool tcp_rto_expired(struct tcp_conn *conn, uint64_t now);

/* tcp_time_wait.c */
void tcp_time_wait_init(struct tcp *tcp);
/* Turn a connection into an entry; the connection is gone. */
void tcp_time_wait_enter(struct tcp_conn *conn, uint64_t now);
/*
 * A segment for an entry. True: it is the SYN of a new connection, the entry is gone, LEAST_ISS is
 * what our sequence number has to be above of.
 */
bool tcp_time_wait_in(struct tcp *tcp, uint32_t index, const struct tcp_segment *seg,
                      uint32_t *least_iss, uint64_t now);
/* Whether our own new connection may take over the entry's tuple; then the entry is removed. */
bool tcp_time_wait_yield(struct tcp *tcp, uint32_t index, uint32_t *least_iss, uint64_t now);
