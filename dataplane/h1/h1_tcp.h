/* h1_tcp: what TCP's events mean to the HTTP/1.1 connection above it. */
#pragma once

#include "dataplane/h1/h1.h"
#include "dataplane/tcp/tcp.h"

/*
 * EVENTS (enum tcp_event) are for CONN, which may be gone afterwards: its owner was told by
 * closed(). What came before an end of stream is read first.
 */
static inline void h1_tcp_event(struct h1_conn *conn, uint32_t events, uint64_t now)
{
    if (events & TCP_WRITABLE)
        h1_writable(conn);
    if (events & (TCP_FAILED | TCP_EOF))
        h1_transport_ended(conn, (events & TCP_FAILED) != 0, now);
    else if (events & TCP_READABLE)
        h1_in(conn, now);
}
