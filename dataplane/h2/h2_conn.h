/*
 * h2_conn: one connection: its states, deadlines and what it keeps.
 *
 * What is to be written is state here, not a queue: acknowledgements due, credit to return, streams
 * to reset. h2_out.c turns it into frames when the transport has room.
 */
#pragma once

#include "dataplane/h2/h2_settings.h"
#include "dataplane/h2/h2_stream.h"
#include "dataplane/h2/hpack.h"

enum h2_conn_state {
    H2_CONN_PREFACE,   /* server role: the client preface is not complete */
    H2_CONN_SETTINGS,  /* the peer's first SETTINGS has not come */
    H2_CONN_OPEN,      /* requests may be opened */
    H2_CONN_ANNOUNCED, /* server role: GOAWAY(2^31-1) is out, requests still accepted */
    H2_CONN_DRAINING,  /* the last GOAWAY was sent or received: streams finish */
    H2_CONN_CLOSED,    /* closed() told, the transport let go; only the object is left */
    H2_CONN_STATES
};

enum h2_conn_cause {
    H2_CONN_PREFACE_READ,
    H2_CONN_SETTINGS_READ,
    H2_CONN_GOAWAY_ANNOUNCED, /* GOAWAY(2^31-1) is to be sent */
    H2_CONN_GOAWAY_FINAL,     /* sent or received */
    H2_CONN_ENDED,
    H2_CONN_CAUSES
};

/*
 * Deadlines of a connection; one timer, armed for the earliest.
 *
 * PREFACE       server role, from opening: preface and SETTINGS complete
 * ACK           our SETTINGS acknowledged
 * IDLE          server role: without streams
 * PING          h2_ping() answered
 * SHUTDOWN      second GOAWAY, if the PING behind the first is not answered before
 * HEADER_BLOCK  a header block that began complete
 * STALL         server role: streams without window, or the transport without room
 */
enum h2_deadline {
    H2_DEADLINE_PREFACE,
    H2_DEADLINE_ACK,
    H2_DEADLINE_IDLE,
    H2_DEADLINE_PING,
    H2_DEADLINE_SHUTDOWN,
    H2_DEADLINE_HEADER_BLOCK,
    H2_DEADLINE_STALL,
    H2_DEADLINES
};

/* Our PINGs are told apart by the last byte of their payload. */
enum h2_ping {
    H2_PING_LIVENESS = 1 << 0,
    H2_PING_SHUTDOWN = 1 << 1,
};

enum h2_goaway {
    H2_GOAWAY_NOT,
    H2_GOAWAY_ANNOUNCE, /* 2^31-1 */
    H2_GOAWAY_LAST,     /* the last stream we take */
};

/* What the parser expects next. */
enum h2_in_phase {
    H2_IN_PREFACE,  /* rest of the client preface */
    H2_IN_HTTP1,    /* instead: the request line of HTTP/1 */
    H2_IN_HEADER,   /* a frame header */
    H2_IN_PREFIX,   /* pad length, priority */
    H2_IN_DATA,     /* bytes for data() */
    H2_IN_FRAGMENT, /* of a header block */
    H2_IN_UNIT,     /* a payload, or piece of it, of fixed size */
    H2_IN_SKIP,     /* padding, or what is ignored */
};

/* The longest unit: PRIORITY_UPDATE. */
#define H2_UNIT_BYTES (4 + H2_LIMIT_PRIORITY_VALUE_BYTES)

struct h2_in {
    struct h2_frame frame;
    uint32_t left;            /* payload bytes to come, without padding */
    uint32_t padding;         /* bytes behind them */
    struct h2_stream *stream; /* whose frame is under way, if known; NULL once it ended */
    uint8_t phase;            /* enum h2_in_phase */
    bool untold;              /* bytes of `stream` were given to part(), data() is to follow */
    uint8_t have;             /* bytes gathered, or of the preface */
    uint8_t want;             /* H2_IN_PREFIX, H2_IN_UNIT: bytes together */
    uint8_t bytes[H2_UNIT_BYTES];
    /* The header block under way; block_id 0: none. */
    uint32_t block_id;
    struct h2_header_block *block; /* its bytes so far; NULL: none yet */
    uint8_t block_flags;           /* of its HEADERS frame */
    uint8_t block_frames;          /* CONTINUATIONs so far */
    bool block_self_dependent;
};

/* RST_STREAM for a stream that has no object. */
struct h2_refusal {
    uint32_t stream_id;
    uint32_t code;
};

/* A DATA frame the transport did not take whole. */
struct h2_out_data {
    struct chunk chunk; /* held; length 0 and no segment: nothing left */
    uint8_t header[H2_FRAME_HEADER_BYTES];
    bool header_due;
};

/* A header block the transport did not take whole: its frames come next, nothing in between. */
struct h2_out_block {
    struct h2_header_block *block; /* NULL: none */
    uint32_t stream_id;
    bool end_stream;
};

struct h2_conn {
    struct h2 *h2;
    const struct h2_handler *handler;
    void *owner;
    struct transport transport;
    struct list active;    /* h2->active, or the dead */
    struct list streams;   /* with identifier, in the order of opening */
    struct list unsent;    /* client role: without identifier */
    struct h2_ready ready; /* streams with something for supply() */
    struct list parked;    /* streams that wait for the connection's window */
    struct list credits;   /* streams whose credit is to be returned */
    struct list holding;   /* h2->block_holders */
    struct list resting;   /* h2->resting */
    struct list resets;    /* closed streams whose RST_STREAM is to be sent */
    struct timer timer;
    uint64_t due_ns[H2_DEADLINES];
    uint64_t ping_for_ns; /* time for an answer to the liveness PING under way */
    struct h2_in in;
    struct h2_out_data out_data;
    struct h2_out_block out_block;
    struct hpack_decoder decoder;
    struct hpack_encoder encoder;
    struct h2_budgets budgets;
    struct h2_peer_settings peer;
    uint64_t holding_since_ns;
    uint64_t blocked_since_ns; /* server role: the transport has no room since; 0: it has */
    struct h2_stall stall;     /* server role: of the connection's window */
    uint64_t ping_cookie;
    uint64_t ids_seen;       /* server role: bit n: stream last_peer_id - 2n was opened */
    uint32_t last_peer_id;   /* server role: highest opened by the client */
    uint32_t accepted_id;    /* server role: the last stream GOAWAY speaks of */
    uint32_t next_id;        /* client role */
    uint32_t goaway_last_id; /* received; H2_STREAM_ID_MAX: none */
    uint32_t stream_count;   /* alive */
    uint32_t unsent_count;   /* of them without identifier */
    uint32_t reset_count;    /* in resets */
    uint32_t held_count;     /* server role: h2_slot_hold() */
    uint32_t header_bytes;   /* server role: of all streams */
    int32_t send_window;
    uint32_t receive_window;
    uint32_t credit;
    uint32_t credit_debt;        /* by which the peer's window is to become smaller again */
    uint32_t grown_bytes;        /* by which its streams' windows have grown */
    uint32_t first_window_bytes; /* of its streams, see h2_flow_first_window() */
    struct h2_window window;
    uint32_t recent_resets[H2_LIMIT_RECENT_RESETS]; /* stream ids, 0: none */
    struct h2_refusal refusals[H2_LIMIT_REFUSALS];
    uint64_t ping_acks[H2_LIMIT_PING_ACKS]; /* payloads as they came */
    struct h2_priority_early early[H2_LIMIT_EARLY_PRIORITIES];
    uint8_t early_at;      /* the oldest */
    uint8_t small_answers; /* client role: in a row that their first windows had room for */
    uint8_t refusal_count;
    uint8_t ping_ack_count;
    uint8_t settings_ack_count;
    uint8_t settings_unacked; /* of ours */
    uint8_t recent_reset_at;
    uint8_t pings_due;         /* set of enum h2_ping, to be sent */
    uint8_t pings_open;        /* set of enum h2_ping, unanswered */
    uint8_t goaway_due;        /* enum h2_goaway */
    uint8_t role;              /* enum h2_role */
    uint8_t state;             /* enum h2_conn_state */
    bool settings_seen : 1;    /* the peer's first SETTINGS is complete */
    bool settings_due : 1;     /* our first, with the client preface before */
    bool connect_due : 1;      /* another one, about ENABLE_CONNECT_PROTOCOL */
    bool control_due : 1;      /* some of the above is to be written */
    bool final_sent : 1;       /* H2_GOAWAY_LAST is decided: later streams are not for us */
    bool resets_forgotten : 1; /* recent_resets overflowed once */
    bool reading : 1;          /* h2_in() is at work */
    bool read_due : 1;         /* there may be more to read */
    bool wrote : 1;            /* h2_out_run(): streams' frames went out */
    bool connect_protocol : 1; /* ENABLE_CONNECT_PROTOCOL: server role: ours; else the peer's */
    bool starved : 1;          /* the transport had no memory: try again next time */
    bool has_early : 1;        /* something was remembered in `early` */
    bool blocked : 1;          /* when it was tried last the transport took not all there was */
    bool door_closed : 1;      /* client role: identifiers ran out, available() not told yet */
    bool room_was_told : 1;    /* client role: available() not needed until room has been 0 */
};

_Static_assert(sizeof(struct h2_conn) <= 1024, "a connection's memory is multiplied by millions");

static inline bool h2_conn_is_closed(const struct h2_conn *conn)
{
    return conn->state == H2_CONN_CLOSED;
}

/* The one function that changes the state. */
void h2_conn_move(struct h2_conn *conn, enum h2_conn_cause cause);

/* There may be something to write: h2_flush() will look. */
void h2_conn_wake(struct h2_conn *conn);

/* There is a control frame to write. */
void h2_conn_wake_control(struct h2_conn *conn);

void h2_conn_deadline(struct h2_conn *conn, enum h2_deadline deadline, uint64_t due_at_ns);

/* How a connection ends. */
struct h2_end {
    enum h2_error code;
    bool goaway; /* tell the peer, if there is room */
    bool abort;  /* RST instead of FIN */
};

/* Streams told, transport let go, closed() told. Nothing when it is closed already. */
void h2_conn_end(struct h2_conn *conn, struct h2_end end);

/* End it if it is draining and nothing is left to do. */
void h2_conn_end_if_drained(struct h2_conn *conn);

/* Its streams, or its decoder's table, have changed: is it among h2->resting? */
void h2_conn_rests(struct h2_conn *conn);

/* Client role: tell available() if there is room now and was none, or never will be. */
void h2_conn_tell_room(struct h2_conn *conn);

/* RST_STREAM for a stream that has no object; there is room for it (h2_conn_answers_fit()). */
void h2_conn_refuse(struct h2_conn *conn, uint32_t stream_id, enum h2_error code);

/* Room for the answers to one more frame. */
static inline bool h2_conn_answers_fit(const struct h2_conn *conn)
{
    return conn->ping_ack_count < H2_LIMIT_PING_ACKS &&
           conn->settings_ack_count < H2_LIMIT_SETTINGS_ACKS &&
           conn->refusal_count < H2_LIMIT_REFUSALS;
}

/* We reset a stream while the peer may be sending: its frames will be discarded. */
void h2_conn_remember_reset(struct h2_conn *conn, uint32_t stream_id);
bool h2_conn_forgive(const struct h2_conn *conn, uint32_t stream_id);
void h2_conn_forgive_no_more(struct h2_conn *conn, uint32_t stream_id);

/* h2_in.c */
void h2_in_run(struct h2_conn *conn, uint64_t now);

/* h2_out.c: write what fits; false when something is left for lack of room or memory. */
bool h2_out_run(struct h2_conn *conn, uint64_t now);
/* All or nothing. */
bool h2_out_send(struct h2_conn *conn, struct bytes bytes);
/* Whether the transport has taken every frame begun to its end. */
static inline bool h2_out_is_whole(const struct h2_conn *conn)
{
    return conn->out_block.block == NULL && conn->out_data.chunk.segment == NULL &&
           !conn->out_data.header_due;
}
void h2_out_release(struct h2_conn *conn);

/* h2_out_control.c: false when something is left. */
bool h2_out_control(struct h2_conn *conn);
/* GOAWAY with CODE at once, if it can be sent in good order. */
void h2_out_last_goaway(struct h2_conn *conn, enum h2_error code);

/* h2_stall.c: a stream waits for window; LENGTH of it was used; a window has become WINDOW. */
void h2_stall_begins(struct h2_stream *stream);
void h2_stall_sent(struct h2_stream *stream, uint32_t length);
void h2_stall_opened(struct h2_stall *stall, int32_t window);
/* After h2_out_run(): DONE or not. */
void h2_stall_look(struct h2_conn *conn, bool done);
/* H2_DEADLINE_STALL. */
void h2_stall_tick(struct h2_conn *conn, uint64_t now);

/* h2_goaway.c */
enum h2_violation h2_goaway_in(struct h2_conn *conn, uint32_t last_id, uint32_t code);
void h2_goaway_final(struct h2_conn *conn);

/* h2_ping.c */
enum h2_violation h2_ping_in(struct h2_conn *conn, uint64_t payload, bool ack, uint64_t now);
void h2_ping_late(struct h2_conn *conn, uint64_t now);
uint64_t h2_ping_payload(const struct h2_conn *conn, enum h2_ping ping);

/* h2_header_block.c: blocks, of which a connection holds one in each direction at most */
struct h2_header_block *h2_header_block_take(struct h2_conn *conn);
/* Sets *BLOCK to NULL; harmless when it is. */
void h2_header_block_give(struct h2_conn *conn, struct h2_header_block **block);
/* Whether h2_header_block_take() would succeed. */
bool h2_header_block_is_free(const struct h2_conn *conn);
enum h2_violation h2_header_block_continue(struct h2_conn *conn);
bool h2_header_block_add(struct h2_conn *conn, struct bytes fragment);
void h2_header_block_complete(struct h2_conn *conn, struct bytes whole, uint64_t now);
void h2_header_block_release(struct h2_conn *conn);
