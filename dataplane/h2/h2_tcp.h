/* h2_tcp: what TCP's events mean to the HTTP/2 connection above it. */
#pragma once

#include "dataplane/h2/h2.h"
#include "dataplane/tcp/tcp.h"

/*
 * EVENTS (enum tcp_event) are for CONN, which may be gone afterwards: its owner was told by
 * closed(). What came before an end of stream is read first.
 */
static inline void h2_tcp_event(struct h2_conn *conn, uint32_t events, uint64_t now)
{
    if (events & TCP_WRITABLE)
        h2_writable(conn);
    if (events & (TCP_FAILED | TCP_EOF))
        h2_transport_ended(conn, (events & TCP_FAILED) != 0, now);
    else if (events & TCP_READABLE)
        h2_in(conn, now);
}
