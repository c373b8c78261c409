/*
 * tcp_sack: the peer's SACK blocks: RFC 2018 5, RFC 6675 (Update()), and D-SACK, RFC 2883 4.
 *
 * Records are looked up by walking them. Two things keep that short: a run of SACKED records is
 * passed in one step (run_last), and the walk begins at the run where the last one ended when the
 * block lies behind it. What is left are the holes before a block.
 */
#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"

/* RFC 2018: only what is in flight can be SACKed. */
static bool block_is_valid(const struct tcp_conn *conn, const struct tcp_range *block)
{
    return seq_lt(block->start, block->end) && seq_geq(block->start, conn->snd_una) &&
           seq_leq(block->end, conn->snd_nxt);
}

/* RFC 2883 4: the first block lies below the acknowledgement, or within the second block. */
static bool first_is_dsack(const struct tcp_segment *seg)
{
    const struct tcp_options *options = &seg->options;
    const struct tcp_range *first = &options->sack[0];
    if (seq_lt(first->start, seg->ack))
        return seq_leq(first->end, seg->ack);
    return options->sack_count > 1 && seq_geq(first->start, options->sack[1].start) &&
           seq_leq(first->end, options->sack[1].end);
}

static void note_dsack(const struct tcp_conn *conn, struct tcp_ack *ack)
{
    const struct tcp_range *first = &ack->seg->options.sack[0];
    if (!first_is_dsack(ack->seg) || !seq_lt(first->start, first->end) ||
        seq_gt(first->end, conn->snd_nxt))
        return;
    ack->has_dsack = true;
    ack->dsack = *first;
    tcp_count(conn->tcp, dsacks_in);
}

/* The valid blocks, in order of sequence numbers. */
static uint32_t sort_blocks(const struct tcp_conn *conn, const struct tcp_options *options,
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

/* The next record, or the one behind a whole run of SACKED ones. */
static struct tcp_sent *step(const struct tcp_conn *conn, const struct tcp_sent *sent)
{
    while (sent->flags & TCP_SENT_SACKED && sent->run_last != tcp_sent_link_of(conn, sent))
        sent = tcp_sent_at(conn, sent->run_last);
    return tcp_sent_at(conn, sent->next);
}

/* The first record at or behind START, looked for from AT on; the hint may save the way. */
static struct tcp_sent *seek(const struct tcp_conn *conn, struct tcp_sent *at, uint32_t start)
{
    struct tcp_sent *hint = tcp_sent_at(conn, conn->sack_hint);
    if (at != NULL && hint != NULL && seq_gt(hint->seq, at->seq) && seq_leq(hint->seq, start))
        at = hint;
    while (at != NULL && seq_lt(at->seq, start))
        at = step(conn, at);
    return at;
}

/* Mark what BLOCK covers whole; the rest of a record is simply sent again. Returns where it ends.
 */
static struct tcp_sent *block_in(struct tcp_conn *conn, struct tcp_sent *at,
                                 const struct tcp_range *block, struct tcp_ack *ack)
{
    at = seek(conn, at, block->start);
    struct tcp_sent *run = at;
    struct tcp_sent *last = NULL;
    while (at != NULL && seq_leq(tcp_sent_end(at), block->end)) {
        if ((at->flags & TCP_SENT_SACKED) == 0) {
            tcp_rack_delivered(conn, at, ack);
            if (at->flags & TCP_SENT_MTU_PROBE)
                tcp_path_mtu_probe_arrived(conn);
            tcp_sent_mark_sacked(conn, at);
            ack->sacked++;
        }
        while (at->run_last != tcp_sent_link_of(conn, at))
            at = tcp_sent_at(conn, at->run_last);
        last = at;
        at = tcp_sent_at(conn, at->next);
    }
    if (last != NULL) {
        run->run_last = tcp_sent_link_of(conn, last);
        conn->sack_hint = tcp_sent_link_of(conn, run);
    }
    return last != NULL ? run : at;
}

void tcp_sack_in(struct tcp_conn *conn, struct tcp_ack *ack)
{
    struct tcp_range blocks[TCP_SACK_BLOCKS_MAX];
    note_dsack(conn, ack);
    uint32_t count = sort_blocks(conn, &ack->seg->options, blocks);
    struct tcp_sent *at = tcp_sent_at(conn, conn->sent_first);
    for (uint32_t i = 0; i < count && at != NULL; i++)
        at = block_in(conn, at, &blocks[i], ack);
}
