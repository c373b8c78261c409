/*
 * tls_pair: a client with OpenSSL of its own on one host, and sessions of dataplane/tls on the
 * other, over our TCP on a wire (tcp_pair.h). Both send a pattern of bytes and verify the other's.
 */
#pragma once

#include "dataplane/tls/tls.h"
#include "tests/support/tcp_pair.h"

#include <openssl/ssl.h>

#define TLS_PAIR_PORT     8443
#define TLS_PAIR_SESSIONS 16

/* The server's end of a connection. */
struct tls_end {
    struct transport transport;
    struct segment *segment; /* what is sent lies here */
    bool open;
    bool eof;
    bool over; /* let go */
    bool corrupt;
    uint64_t to_send;
    uint64_t sent;
    uint32_t pieces;
    uint64_t received;
    uint32_t read_max;  /* of one view; the rest is left in it */
    uint32_t views_max; /* a turn */
    bool close_when_sent;
    bool waits; /* there was too little room: until it is told that there is more */
};

struct tls_pair {
    struct tcp_pair tcp;
    struct tls *tls;
    struct tls_config config;
    struct tls_contexts *contexts;
    struct tls_end ends[TLS_PAIR_SESSIONS];
    uint32_t end_count;
    /* The client. */
    SSL_CTX *client_context;
    SSL *client;
    BIO *from_server;
    BIO *to_server;
    struct tcp_conn *conn; /* NULL: over */
    bool client_reads;
    bool connected;
    bool client_closed; /* close_notify */
    bool client_corrupt;
    uint64_t client_to_send;
    uint64_t client_sent;
    uint64_t client_received;
    /* Set: the byte at this place of what the client sends is changed. */
    int64_t flip_at;
    uint64_t client_bytes;
};

/* Configurations may be changed before tls_pair_open(). */
void tls_pair_prepare(struct tls_pair *pair, uint64_t seed);
void tls_pair_open(struct tls_pair *pair);

/* A new client connection; versions of TLS from LEAST to MOST, 0: any. */
void tls_pair_connect(struct tls_pair *pair, int least, int most);

void tls_pair_turn(struct tls_pair *pair);
void tls_pair_run_for(struct tls_pair *pair, uint64_t for_ns);

/* True as soon as CONDITION holds; false: not within FOR_NS. */
bool tls_pair_run_until(struct tls_pair *pair, bool (*condition)(const struct tls_pair *pair),
                        uint64_t for_ns);

/* The client goes without a word: RST. */
void tls_pair_abort(struct tls_pair *pair);

/* Everything ends; no session and no object of TCP may be left. */
void tls_pair_close(struct tls_pair *pair);
