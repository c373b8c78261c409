/*
 * client: a host with HTTP/2 clients on it: connections, and requests with a simple script. What a
 * request was told is held against the rules: it ends exactly once, nothing comes after the end,
 * its body is that of one answer of one backend, byte for byte (pattern.h).
 *
 * A backend's answer names itself: x-serial (a number of its own) and x-backend. One without is
 * Weir's own, and its text is kept.
 */
#pragma once

#include "tests/support/h2_host.h"
#include "tests/support/pattern.h"

#define CLIENT_CONNS_MAX    128
#define CLIENT_REQUESTS_MAX 2048
#define CLIENT_FIELDS_MAX   4
#define CLIENT_TEXT_BYTES   128

struct client_script {
    const char *method;    /* NULL: GET */
    const char *authority; /* NULL: test.example; empty: none */
    const char *path;
    const char *names[CLIENT_FIELDS_MAX]; /* further fields */
    const char *values[CLIENT_FIELDS_MAX];
    uint64_t body_bytes;
    uint64_t stops_after;  /* sends no more than so much of it; 0: all */
    bool trailers;         /* behind the request's body */
    const char *trailer;   /* their value; NULL: "whole" */
    bool holds_credit;     /* reads nothing until client_resume() */
    uint64_t leaves_after; /* resets after so many bytes of the answer's body; 0: never */
};

enum client_outcome {
    CLIENT_OPEN,
    CLIENT_FINISHED,  /* both sides ended well */
    CLIENT_RESET,     /* h2 said so: by the peer, or the connection was lost */
    CLIENT_ABANDONED, /* by ourselves */
    CLIENT_UNSENT,    /* the connection ended, or took no more, before it was sent */
};

struct client_request {
    struct client_conn *conn;
    struct list link; /* among its connection's unsent, or requests under way */
    struct client_script script;
    char path[CLIENT_TEXT_BYTES];
    struct h2_stream *stream; /* NULL: not sent yet, or over */
    struct pattern_source source;
    bool head_sent;
    bool request_ended;
    uint32_t unconsumed;
    /* what was told */
    enum client_outcome outcome;
    struct h2_reset reset; /* CLIENT_RESET */
    uint16_t status;       /* 0: no final head came */
    uint64_t serial;       /* of the backend's answer; 0: none */
    char backend[16];
    char cache_status[64];
    char text[CLIENT_TEXT_BYTES]; /* of an answer without serial */
    bool has_retry_after;
    bool has_length;
    uint64_t length;   /* content-length */
    uint64_t received; /* body bytes */
    bool corrupt;      /* other bytes than the backend's */
    bool trailers;
    bool complete; /* END_STREAM came */
    uint32_t interims;
    uint64_t sent_at_ns;
    uint64_t ended_at_ns;
};

struct client_conn {
    struct client *client;
    struct tcp_conn *tcp;        /* until it is open, or */
    struct tls_session *session; /* until its handshake is done; then */
    struct h2_conn *h2;          /* NULL: not open yet, or over */
    struct list unsent;
    struct list sent;
    struct flow_tuple tuple; /* as the server sees it; valid once opened */
    bool opened;
    bool over;
    bool leaving; /* we end it ourselves */
    enum tcp_failure failure;
};

struct client {
    struct h2_host host;
    const struct tls_target *target; /* it speaks TLS, as its host does; NULL: clear text */
    bool tls12;                      /* none later */
    struct client_conn conns[CLIENT_CONNS_MAX];
    uint32_t conn_count;
    struct client_request *requests; /* CLIENT_REQUESTS_MAX */
    uint32_t request_count;
};

void client_prepare(struct client *client, struct wire *wire, uint16_t end, const char *v4,
                    const char *v6);
void client_open(struct client *client);
void client_destroy(struct client *client);

/* Forget all requests and connections; all are over. */
void client_forget(struct client *client);

void client_turn(struct client *client, uint64_t now);

struct client_conn *client_connect(struct client *client, const char *address, uint16_t port,
                                   uint64_t now);

/* Send when the connection has room. The script is copied, its texts are not, but the path. */
struct client_request *client_send(struct client_conn *conn, const struct client_script *script,
                                   uint64_t now);
struct client_request *client_get(struct client_conn *conn, const char *path, uint64_t now);

/* RST_STREAM(CANCEL). */
void client_leave(struct client_request *request, uint64_t now);

/* Give credit for what is held back, and go on reading. */
void client_resume(struct client_request *request);

/* End the connection: TCP reset; or GOAWAY and close at once. Harmless when it is over. */
void client_conn_abort(struct client_conn *conn, uint64_t now);
void client_conn_close(struct client_conn *conn, uint64_t now);

/* Requests without an outcome. */
uint32_t client_open_count(const struct client *client);

/* The answer of a backend, whole: END_STREAM, STATUS, BYTES of body (as the pattern says). */
bool client_is_whole(const struct client_request *request, uint16_t status, uint64_t bytes);

/* An answer of Weir's own, whole, with STATUS. */
bool client_is_local(const struct client_request *request, uint16_t status);
