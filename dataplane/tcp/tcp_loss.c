/*
 * tcp_loss: what is lost and when to send it again: the SACK scoreboard over the records of what is
 * in flight (RFC 2018, RFC 6675), fast retransmit and NewReno without SACK (RFC 5681, RFC 6582),
 * and the timeout's share (RFC 6298 5.4, RFC 2018 8).
 *
 * Every record is in exactly one of these conditions:
 *
 *     in the network      no SACKED, no LOST: counted in the pipe
 *     arrived             SACKED: in sacked_bytes and sacked_count, not in the pipe
 *     thought lost        LOST: in lost_bytes, not in the pipe until it is sent again (AGAIN)
 *
 * Without SACK nothing is marked SACKED; sacked_bytes then says how many bytes the duplicate ACKs
 * told us have left the network, which makes limited transmit (RFC 3042) and NewReno's window
 * inflation the same rule as with SACK: send while the pipe is smaller than cwnd.
 */
#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_internal.h"

static bool has_sack(const struct tcp_conn *conn)
{
    return (conn->flags & TCP_CONN_SACK) != 0;
}

static uint32_t record_bytes(const struct tcp_sent *sent)
{
    return tcp_sent_end(sent) - sent->seq;
}

void tcp_loss_mark(struct tcp_conn *conn, struct tcp_sent *sent)
{
    if (sent->flags & (TCP_SENT_LOST | TCP_SENT_SACKED))
        return;
    sent->flags |= TCP_SENT_LOST;
    conn->lost_bytes += record_bytes(sent);
    if (conn->lost_hint == NULL || seq_lt(sent->seq, conn->lost_hint->seq))
        conn->lost_hint = sent;
}

static void unmark(struct tcp_conn *conn, struct tcp_sent *sent)
{
    if ((sent->flags & TCP_SENT_LOST) == 0)
        return;
    sent->flags &= (uint8_t)~TCP_SENT_LOST;
    conn->lost_bytes -= record_bytes(sent);
}

void tcp_loss_resent(struct tcp_conn *conn, struct tcp_sent *sent)
{
    unmark(conn, sent);
    sent->flags |= TCP_SENT_AGAIN;
}

struct tcp_sent *tcp_loss_next(struct tcp_conn *conn)
{
    if (conn->lost_bytes == 0)
        conn->lost_hint = NULL;
    while (conn->lost_hint != NULL && (conn->lost_hint->flags & TCP_SENT_LOST) == 0)
        conn->lost_hint = conn->lost_hint->next;
    return conn->lost_hint;
}

static void mark_sacked(struct tcp_conn *conn, struct tcp_sent *sent)
{
    unmark(conn, sent);
    sent->flags |= TCP_SENT_SACKED;
    conn->sacked_bytes += record_bytes(sent);
    conn->sacked_count++;
}

void tcp_loss_removed(struct tcp_conn *conn, struct tcp_sent *sent)
{
    unmark(conn, sent);
    if (sent->flags & TCP_SENT_SACKED) {
        conn->sacked_bytes -= record_bytes(sent);
        conn->sacked_count--;
    }
    if (conn->lost_hint == sent)
        conn->lost_hint = sent->next;
}

/* RFC 2018: only what is in flight can be SACKed. Below snd_una it is a D-SACK (RFC 2883). */
static bool block_is_valid(const struct tcp_conn *conn, const struct tcp_range *block)
{
    return seq_lt(block->start, block->end) && seq_geq(block->start, conn->snd_una) &&
           seq_leq(block->end, conn->snd_nxt);
}

/* The valid blocks, in order of sequence numbers. */
static uint32_t sort_blocks(struct tcp_conn *conn, const struct tcp_options *options,
                            struct tcp_range sorted[TCP_SACK_BLOCKS_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < options->sack_count; i++) {
        const struct tcp_range *block = &options->sack[i];
        if (!block_is_valid(conn, block)) {
            if (seq_gt(block->end, conn->snd_una))
                tcp_count(conn->tcp, sack_blocks_invalid);
            continue;
        }
        uint32_t at = count++;
        for (; at > 0 && seq_lt(block->start, sorted[at - 1].start); at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = *block;
    }
    return count;
}

/* Only records that a block covers whole are marked; the rest of one is simply sent again. */
uint32_t tcp_loss_sack_in(struct tcp_conn *conn, const struct tcp_options *options)
{
    struct tcp_range blocks[TCP_SACK_BLOCKS_MAX];
    uint32_t count = sort_blocks(conn, options, blocks);
    uint32_t fresh = 0;
    struct tcp_sent *sent = conn->sent_first;
    for (uint32_t i = 0; i < count; i++) {
        for (; sent != NULL && seq_lt(sent->seq, blocks[i].end); sent = sent->next) {
            if (sent->flags & TCP_SENT_SACKED || seq_lt(sent->seq, blocks[i].start) ||
                seq_gt(tcp_sent_end(sent), blocks[i].end))
                continue;
            mark_sacked(conn, sent);
            fresh++;
        }
    }
    return fresh;
}

/*
 * RFC 6675 IsLost(), counted in records: three that were sent later arrived. What was sent again is
 * left to the timeout (RACK would know better). Returns whether anything was marked.
 */
static bool mark_by_sacks(struct tcp_conn *conn)
{
    bool marked = false;
    uint32_t above = conn->sacked_count;
    for (struct tcp_sent *sent = conn->sent_first; sent != NULL && above >= TCP_DUPLICATES;
         sent = sent->next) {
        if (sent->flags & TCP_SENT_SACKED) {
            above--;
        } else if ((sent->flags & (TCP_SENT_LOST | TCP_SENT_AGAIN)) == 0) {
            tcp_loss_mark(conn, sent);
            marked = true;
        }
    }
    return marked;
}

static void enter_fast(struct tcp_conn *conn, uint64_t now)
{
    tcp_count(conn->tcp, recoveries);
    conn->recovery = TCP_RECOVERY_FAST;
    conn->recover = conn->snd_nxt;
    conn->tcp->cc->lost(conn, now);
    conn->flags |= TCP_CONN_FORCE_ONE; /* RFC 6675 5, step 4.3: the first goes at once */
}

static void leave(struct tcp_conn *conn, uint64_t now)
{
    if (conn->recovery == TCP_RECOVERY_FAST)
        conn->tcp->cc->recovered(conn, now);
    conn->recovery = TCP_RECOVERY_OPEN;
    conn->duplicates = 0;
    if (!has_sack(conn))
        conn->sacked_bytes = 0;
}

/* Without SACK each duplicate ACK tells that one segment behind the first has arrived. */
static void count_duplicate(struct tcp_conn *conn)
{
    if (conn->duplicates < UINT8_MAX)
        conn->duplicates++;
    if (has_sack(conn) || conn->sent_first == NULL)
        return;
    uint32_t most = tcp_flight(conn) - record_bytes(conn->sent_first);
    uint32_t gone = conn->sacked_bytes + conn->mss;
    conn->sacked_bytes = gone < most ? gone : most;
}

/*
 * Without SACK, new data was acknowledged: of these bytes one segment was the one sent again, the
 * others had been counted by duplicate ACKs.
 */
static void uncount_duplicates(struct tcp_conn *conn, uint32_t acked)
{
    uint32_t counted = acked > conn->mss ? acked - conn->mss : 0;
    conn->sacked_bytes = conn->sacked_bytes > counted ? conn->sacked_bytes - counted : 0;
    if (conn->recovery == TCP_RECOVERY_OPEN)
        conn->sacked_bytes = 0;
    if (conn->sacked_bytes > tcp_flight(conn))
        conn->sacked_bytes = tcp_flight(conn);
}

/* RFC 6582 3.2 step 3, partial acknowledgment: the first that is left is lost, too. */
static void partial_without_sack(struct tcp_conn *conn)
{
    struct tcp_sent *first = conn->sent_first;
    if (first == NULL || conn->recovery != TCP_RECOVERY_FAST)
        return;
    if (first->flags & TCP_SENT_AGAIN)
        return;
    tcp_loss_mark(conn, first);
    conn->flags |= TCP_CONN_FORCE_ONE;
}

/* RFC 6582 4.1: after a timeout, duplicates for what was sent before it start nothing. */
static bool may_enter(const struct tcp_conn *conn)
{
    return conn->recovery == TCP_RECOVERY_OPEN && conn->sent_first != NULL;
}

void tcp_loss_ack_in(struct tcp_conn *conn, uint32_t acked, bool duplicate, uint64_t now)
{
    if (conn->recovery != TCP_RECOVERY_OPEN && seq_geq(conn->snd_una, conn->recover))
        leave(conn, now);
    if (acked > 0) {
        conn->duplicates = 0;
        if (!has_sack(conn)) {
            uncount_duplicates(conn, acked);
            partial_without_sack(conn);
        }
    }
    if (duplicate)
        count_duplicate(conn);

    bool lost = has_sack(conn) && mark_by_sacks(conn);
    if (!may_enter(conn))
        return;
    if (conn->duplicates >= TCP_DUPLICATES && conn->sent_first->flags == 0) {
        tcp_loss_mark(conn, conn->sent_first);
        lost = true;
    }
    if (lost)
        enter_fast(conn, now);
}

/* The peer may take back what it SACKed (RFC 2018 8); it did when the first in flight is SACKed. */
static void forget_sacks(struct tcp_conn *conn)
{
    for (struct tcp_sent *sent = conn->sent_first; sent != NULL; sent = sent->next)
        sent->flags &= (uint8_t)~TCP_SENT_SACKED;
    conn->sacked_bytes = 0;
    conn->sacked_count = 0;
}

void tcp_loss_timeout(struct tcp_conn *conn, uint64_t now)
{
    if (!has_sack(conn)) {
        conn->sacked_bytes = 0;
    } else if (conn->sent_first->flags & TCP_SENT_SACKED) {
        tcp_count(conn->tcp, sack_reneged);
        forget_sacks(conn);
    }
    conn->tcp->cc->timed_out(conn, conn->backoff == 0, now);
    conn->recovery = TCP_RECOVERY_RTO;
    conn->recover = conn->snd_nxt;
    conn->duplicates = 0;
    for (struct tcp_sent *sent = conn->sent_first; sent != NULL; sent = sent->next)
        tcp_loss_mark(conn, sent);
    conn->flags |= TCP_CONN_FORCE_ONE;
}

void tcp_loss_too_large(struct tcp_conn *conn)
{
    for (struct tcp_sent *sent = conn->sent_first; sent != NULL; sent = sent->next) {
        if (sent->length > conn->mss)
            tcp_loss_mark(conn, sent);
    }
}
