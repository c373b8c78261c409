/*
 * tcp_prr: proportional rate reduction, RFC 6937 3: fast recovery sends in proportion to what is
 * delivered, and ends with cwnd at ssthresh. Below ssthresh it goes by the slow start bound while
 * nothing more is lost (SSRB), by the conservative bound otherwise (CRB).
 */
#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"

void tcp_prr_begin(struct tcp_conn *conn, uint32_t in_flight)
{
    conn->prr_delivered = 0;
    conn->prr_out = 0;
    conn->recover_fs = in_flight > conn->mss ? in_flight : conn->mss;
}

/* CEIL(prr_delivered * ssthresh / RecoverFS) - prr_out */
static uint32_t proportional(const struct tcp_conn *conn)
{
    uint64_t product = (uint64_t)conn->prr_delivered * conn->ssthresh;
    uint64_t allowed = (product + conn->recover_fs - 1) / conn->recover_fs;
    return allowed > conn->prr_out ? (uint32_t)(allowed - conn->prr_out) : 0;
}

static uint32_t bounded(const struct tcp_conn *conn, uint32_t pipe, uint32_t delivered, bool safe)
{
    uint32_t limit = conn->prr_delivered > conn->prr_out ? conn->prr_delivered - conn->prr_out : 0;
    if (safe)
        limit = (limit > delivered ? limit : delivered) + conn->mss;
    uint32_t missing = conn->ssthresh - pipe;
    return missing < limit ? missing : limit;
}

void tcp_prr_ack_in(struct tcp_conn *conn, const struct tcp_ack *ack, bool another_lost)
{
    uint32_t pipe = tcp_pipe(conn);
    conn->prr_delivered += ack->delivered;
    uint32_t count = pipe > conn->ssthresh
                         ? proportional(conn)
                         : bounded(conn, pipe, ack->delivered, ack->acked > 0 && !another_lost);
    if (conn->prr_out == 0 && count < conn->mss)
        count = conn->mss; /* the fast retransmit itself */
    conn->cwnd = pipe + count;
}

void tcp_prr_sent(struct tcp_conn *conn, uint32_t length)
{
    conn->prr_out += length;
}
