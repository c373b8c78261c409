/*
 * tcp_newreno: losses seen without SACK: duplicate ACKs (RFC 5681 3.2), partial acknowledgements
 * (RFC 6582 3.2).
 *
 * sacked_bytes says how many bytes the duplicate ACKs told us have left the network, which makes
 * limited transmit (RFC 3042) and the window's inflation the same rule as with SACK: send while the
 * pipe is smaller than cwnd.
 */
#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"

/* Each duplicate ACK tells that one segment behind the first has arrived. */
static void count_duplicate(struct tcp_conn *conn)
{
    const struct tcp_sent *first = tcp_sent_at(conn, conn->sent_first);
    if (conn->duplicates < UINT8_MAX)
        conn->duplicates++;
    uint32_t most = tcp_flight(conn) - tcp_sent_bytes(first);
    uint32_t gone = conn->sacked_bytes + conn->mss;
    conn->sacked_bytes = gone < most ? gone : most;
}

/*
 * New data was acknowledged: of these bytes one segment was the one sent again, the others had been
 * counted by duplicate ACKs.
 */
static void uncount_duplicates(struct tcp_conn *conn, uint32_t acked)
{
    uint32_t counted = acked > conn->mss ? acked - conn->mss : 0;
    conn->duplicates = 0;
    conn->sacked_bytes = conn->sacked_bytes > counted ? conn->sacked_bytes - counted : 0;
    if (conn->recovery == TCP_RECOVERY_OPEN)
        conn->sacked_bytes = 0;
    if (conn->sacked_bytes > tcp_flight(conn))
        conn->sacked_bytes = tcp_flight(conn);
}

/* The first that is left is lost. False: it was sent again, or is thought lost already. */
static bool mark_first(struct tcp_conn *conn)
{
    struct tcp_sent *first = tcp_sent_at(conn, conn->sent_first);
    if (first == NULL || first->flags & (TCP_SENT_AGAIN | TCP_SENT_LOST))
        return false;
    tcp_sent_mark_lost(conn, first);
    return true;
}

bool tcp_newreno_ack_in(struct tcp_conn *conn, const struct tcp_ack *ack)
{
    if (ack->acked > 0)
        uncount_duplicates(conn, ack->acked);
    if (ack->acked > 0 && conn->recovery == TCP_RECOVERY_FAST && mark_first(conn)) {
        conn->flags |= TCP_CONN_FORCE_ONE; /* RFC 6582 3.2 step 3, partial acknowledgment */
        return true;
    }
    if (ack->duplicate)
        count_duplicate(conn);
    /* RFC 6582 4.1: after a timeout, duplicates for what was sent before it start nothing. */
    return conn->recovery == TCP_RECOVERY_OPEN && conn->duplicates >= TCP_DUPLICATES &&
           mark_first(conn);
}

void tcp_newreno_recovered(struct tcp_conn *conn)
{
    conn->duplicates = 0;
    conn->sacked_bytes = 0;
}

/* Nobody knows what arrived: from here on all of it again (RFC 6298 5.4). */
void tcp_newreno_timeout(struct tcp_conn *conn)
{
    tcp_newreno_recovered(conn);
    for (tcp_sent_link link = conn->sent_first; link != 0;) {
        struct tcp_sent *sent = tcp_sent_at(conn, link);
        tcp_sent_mark_lost(conn, sent);
        link = sent->next;
    }
}
