/*
 * backend_tls: a backend's connections over TLS: how they begin, and what goes wrong in the midst
 * of records.
 */
#pragma once

#include "tests/support/backend.h"

/* TCP is taken over. The connection is the backend's when its handshake is done. */
void backend_tls_accept(struct backend *backend, struct tcp_conn *tcp, uint32_t events,
                        uint64_t now);

/* A part of a record goes out, and the next end of the connection is FIN without close_notify. */
void backend_tls_cut(struct backend_conn *conn);

/* Ask for another handshake (TLS 1.2). False: that version has none. */
bool backend_tls_renegotiate(struct backend_conn *conn);

/* Other keys, for both ways (RFC 8446 4.6.3), where there are such. */
void backend_tls_update_keys(struct backend_conn *conn);

/* ---- what backend.c does with a connection that is open ---- */

void backend_conn_open(struct backend *backend, struct transport transport,
                       struct tls_session *session, uint32_t events, uint64_t now);
/* A session of one that is open tells it here. */
extern const struct tls_app backend_tls_app;
void backend_conn_event(struct backend_conn *conn, uint32_t events, uint64_t now);
