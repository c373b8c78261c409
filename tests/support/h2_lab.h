/*
 * h2_lab: one connection under test, with a scripted peer (h2_script) and an owner that records.
 *
 * The owner answers requests only when told to. Client role: requests are a GET each, complete on
 * every other stream. There is one lab at a time.
 */
#pragma once

#include "dataplane/h2/h2_conn.h"
#include "tests/support/h2_script.h"
#include "tests/support/pipe.h"

#define LAB_STREAMS 128

/* Client role: which requests are complete with their headers. */
enum lab_requests {
    LAB_EVERY_OTHER, /* the first, the third ... */
    LAB_WHOLE,
    LAB_OPEN,
};

/* What the owner of the streams has seen. */
struct lab_owner {
    struct h2_conn *conn;                   /* NULL once closed() was told */
    struct h2_stream *streams[LAB_STREAMS]; /* NULL: free, or over */
    bool sent_headers[LAB_STREAMS];
    uint32_t sent_bytes[LAB_STREAMS];
    uint32_t body_bytes;        /* of every answer */
    bool answer;                /* with headers, and a body if there is one */
    const char *const *uploads; /* client role: requests have that body, and such `priority` */
    bool resets_at_once;        /* in headers() */
    bool closes_at_once;        /* in headers() */
    enum lab_requests requests;
    bool connects;     /* client role: requests are extended CONNECT; answers open tunnels */
    bool changes_mind; /* client role: supply() of a body ends the request and asks anew, once */
    uint32_t headers;
    uint32_t overflows;
    uint32_t overflows_named; /* of them: with a name that others have, too */
    uint32_t trailers;
    uint32_t resets;
    uint32_t unprocessed; /* of resets */
    struct h2_reset last_reset;
    uint32_t finished;
    uint32_t available;
    uint32_t closed;
    uint64_t data_bytes;
};

struct h2_lab {
    struct random random;
    struct timer_wheel wheel;
    struct h2 *h2;
    struct h2_config config;
    struct pipe pipe;       /* ends[0]: the connection's */
    struct segment segment; /* all bodies are made of it */
    struct lab_owner owner;
    uint64_t now;
    uint32_t sent_bytes;
    uint8_t segment_bytes[16384];
    uint8_t sent[1 << 18]; /* by the connection, since lab_forget_sent() */
};

extern struct h2_lab lab;
extern const struct h2_handler lab_handler;

/* What lab_create() starts from; a test changes what it is about. */
struct h2_config lab_config(void);

/* A worker without connections. */
void lab_create(const struct h2_config *config);

/* The connection, nothing exchanged yet. */
void lab_open(enum h2_role role);

/* Both sides' preface and SETTINGS, acknowledged. */
void lab_handshake(void);

/* How many more streams the owner has places for. */
uint32_t lab_room(void);

/* Client role: COUNT requests, sent. */
void lab_request(uint32_t count);

/* Play a script, STEP bytes at a time, at most LIMIT in all. `!reset`: the owner resets its first
 * stream. `!answer`: it answers all and ends them. `!shutdown`: graceful, its PING is answered.
 * Other words: only a flush. */
void lab_play(const char *text, size_t step, size_t limit);
void lab_script(const char *text);
void lab_feed(struct bytes bytes, size_t step);
void lab_flush(void);

/* Time goes by; timers fire. */
void lab_wait(uint64_t for_ns);

void lab_answer(void);
void lab_reset_first(void);

/* By its identifier; NULL: there is none. */
struct h2_stream *lab_stream(uint32_t id);
/* The owner resets it. */
void lab_reset(struct h2_stream *stream, enum h2_error code);

/* How many frames of TYPE were sent, on STREAM_ID if not UINT32_MAX; the last one's first numbers.
 */
struct lab_seen {
    uint32_t count;
    uint32_t numbers[2];
    uint8_t flags;
};
/* Sum of the payloads of DATA frames sent on STREAM_ID. */
uint64_t lab_data_sent(uint32_t stream_id);
struct lab_seen lab_seen(enum h2_frame_type type, uint32_t stream_id);
void lab_forget_sent(void);

/* End it if it is open, and check that everything was given back. */
void lab_close(void);

uint64_t lab_counter(size_t index);
