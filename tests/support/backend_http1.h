/*
 * backend_http1: a backend's connection that speaks HTTP/1.1, written apart from dataplane/h1. It
 * reads strictly what Weir writes: anything else stops the test. What an exchange does is decided
 * by backend.c, as for HTTP/2; here requests become fields, and pieces of answers become text.
 *
 * An answer has its content-length or chunks, or over TLS the connection's end if the plan says so.
 * RST_STREAM and GOAWAY with an error are a reset and the end of the connection; GOAWAY in good
 * order is connection: close.
 */
#pragma once

#include "tests/support/backend.h"

struct backend_http1;

/* CONN is its owner. Never NULL. */
struct backend_http1 *backend_http1_open(struct backend_conn *conn, struct transport transport);

/* EVENTS (enum tcp_event) are for the connection; noted, and acted upon in its next turn. */
void backend_http1_event(struct backend_http1 *http1, uint32_t events);

/* Read requests and write answers, as far as both go. May end the connection. */
void backend_http1_turn(struct backend_http1 *http1, uint64_t now);

/* The connection ends, by FIN or reset, and the exchange with it. HTTP1 is dead after the call. */
void backend_http1_end(struct backend_http1 *http1, bool reset, uint64_t now);

/* ---- what backend.c does with an exchange, whatever its connection speaks ---- */

struct backend_exchange *backend_exchange_begin(struct backend_conn *conn, struct h2_stream *stream,
                                                const struct fields *fields, bool end,
                                                uint64_t now);
void backend_exchange_data(struct backend_exchange *exchange, struct bytes bytes, bool end,
                           uint64_t now);
void backend_exchange_trailers(struct backend_exchange *exchange, uint64_t now);
struct h2_supply backend_exchange_supply(struct backend_exchange *exchange, uint32_t max,
                                         uint64_t now);
void backend_exchange_give(struct backend_exchange *exchange, uint64_t now);
