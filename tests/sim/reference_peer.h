/*
 * reference_peer: a small TCP endpoint, written straight from RFC 9293 and apart from
 * dataplane/tcp, as the other side for ours: go back N, no congestion control, no memory but
 * numbers (what is sent and what is expected is a pattern). It may be as odd as the RFCs allow:
 * tiny and shrinking windows, one-byte segments, ACKs delayed for long, data cut anew when sent
 * again, SACK taken back, simultaneous open, urgent pointers, old duplicates, data on SYN.
 *
 * Numbers called offsets count from the initial sequence number: SYN is 0, the first byte 1.
 */
#pragma once

#include "tests/sim/app.h"
#include "tests/sim/reference_link.h"

#define REFERENCE_RANGES 6
#define REFERENCE_OLD    8

struct reference_script {
    /* options */
    uint16_t mss; /* 0: none */
    int wscale;   /* -1: none */
    bool sack;
    bool ts;
    uint8_t padding; /* bytes of strange options: 0, 4, 8 */
    /* sending */
    uint64_t to_send;
    uint32_t segment_max;
    bool segments_vary; /* each of another size, also when sent again */
    uint32_t flight_max;
    uint64_t rto_ns;
    bool fast_retransmit;
    bool syn_data;
    uint32_t urgent_percent;
    uint32_t old_ppm;        /* a turn: send an old segment again */
    uint32_t idle_ppm;       /* a turn: an ACK or a probe that nobody needs */
    uint64_t write_every_ns; /* a segment each; 0: no pace */
    /* receiving */
    uint64_t expects;
    uint32_t buffer;
    uint32_t ack_every; /* segments */
    uint64_t ack_delay_ns;
    bool keeps_ahead;
    uint32_t renege_percent; /* of arrivals ahead of a gap */
    uint32_t shrink_percent; /* of announcements */
    bool is_silly;           /* announces every little window */
    bool updates;            /* tells when a window that was shut opens */
    uint32_t read_bytes;     /* so many ... */
    uint64_t read_every_ns;  /* ... so often; 0: at once */
    /* ends */
    enum app_end end;
    uint64_t abort_after;
    bool opens_simultaneously;
};

enum reference_state {
    REFERENCE_WAITS, /* for a SYN */
    REFERENCE_SYN_SENT,
    REFERENCE_SYN_RECEIVED,
    REFERENCE_OPEN, /* and all states after it, told apart by what FINs did */
    REFERENCE_GONE, /* reset; what still comes is answered with RST */
};

struct reference_range {
    uint32_t start;
    uint32_t end;
};

struct reference_conn {
    struct sim *sim;
    struct reference_link *link;
    struct reference_script script;
    struct app_half half;
    const struct app_half *peer;
    uint32_t id;
    bool is_client;
    bool v6;
    bool is_calm;
    uint16_t port;       /* ours */
    uint16_t their_port; /* 0: not known yet */
    enum reference_state state;
    /* sending: offsets */
    uint32_t iss;
    uint32_t una;
    uint32_t nxt;
    uint32_t max; /* the highest ever sent */
    uint32_t edge;
    uint32_t wl1; /* offset of theirs */
    uint32_t duplicates;
    uint16_t their_mss;
    int their_scale;
    uint32_t backoff;
    uint64_t rto_at_ns;
    uint64_t write_at_ns;
    bool fin_wanted;
    /* receiving: offsets */
    uint32_t irs;
    uint32_t rcv;
    uint32_t read;      /* bytes the application has */
    uint32_t announced; /* right edge */
    uint32_t announced_max;
    bool has_fin;
    uint32_t fin_at;
    uint32_t range_count;
    struct reference_range ranges[REFERENCE_RANGES]; /* the latest first */
    uint32_t ack_pending;                            /* segments */
    uint64_t ack_at_ns;
    uint64_t read_at_ns;
    uint64_t heard_at_ns;
    bool sack_agreed;
    bool scales_agreed;
    bool ts_agreed;
    uint32_t ts_recent;
    uint32_t ts_offset;
    uint32_t old_count;
    struct frame_segment old[REFERENCE_OLD]; /* the last ones sent; data is made anew */
};

void reference_draw_script(struct sim *sim, struct reference_script *script, uint64_t to_send,
                           uint64_t expects, enum app_end end);

/* SCRIPT of CONN is given. */
void reference_init(struct reference_conn *conn, struct sim *sim, struct reference_link *link,
                    uint32_t id, bool is_client, const struct app_half *peer);

/* Send a SYN from PORT to THEIR_PORT. */
void reference_connect(struct reference_conn *conn, uint16_t port, uint16_t their_port);

/* A segment for this connection. */
void reference_in(struct reference_conn *conn, const struct frame_segment *segment);

/* What is due. */
void reference_turn(struct reference_conn *conn);
uint64_t reference_next_ns(const struct reference_conn *conn);

/* No oddities that take time from now on. */
void reference_calm(struct reference_conn *conn);

/* RST for a segment of no connection (RFC 9293 3.10.7.1). */
void reference_refuse(struct reference_link *link, const struct frame_segment *segment);
