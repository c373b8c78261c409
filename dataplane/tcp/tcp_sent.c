/* tcp_sent: the scoreboard: RFC 6675 4 (by sequence number), RFC 8985 6.1 (by time). */
#include "dataplane/tcp/tcp_sent.h"

#include "dataplane/tcp/tcp_internal.h"

bool tcp_sent_is_full(const struct tcp_conn *conn)
{
    return conn->sent_count >= conn->tcp->sent_limit;
}

struct tcp_sent *tcp_sent_new(struct tcp_conn *conn, uint32_t length, bool fin, uint64_t now)
{
    struct tcp *tcp = conn->tcp;
    struct tcp_sent *sent = tcp_sent_is_full(conn) ? NULL : pool_take(&tcp->sent);
    if (sent == NULL) {
        tcp_count(tcp, send_no_record);
        return NULL;
    }
    *sent = (struct tcp_sent){
        .sent_at_us = tcp_us(now),
        .first_sent_at_us = tcp_us(now),
        .seq = conn->snd_nxt,
        .length = (uint16_t)length,
        .flags = fin ? TCP_SENT_FIN : 0,
    };
    return sent;
}

void tcp_sent_discard(struct tcp_conn *conn, struct tcp_sent *sent)
{
    pool_give(&conn->tcp->sent, sent);
}

/* ---- the list by time ---- */

/* Behind OLDER, or first when that is none. */
static void time_insert(struct tcp_conn *conn, struct tcp_sent *sent, tcp_sent_link older)
{
    tcp_sent_link link = tcp_sent_link_of(conn, sent);
    struct tcp_sent *before = tcp_sent_at(conn, older);
    tcp_sent_link newer = before == NULL ? conn->oldest : before->newer;
    sent->older = older;
    sent->newer = newer;
    if (before == NULL)
        conn->oldest = link;
    else
        before->newer = link;
    if (newer == 0)
        conn->newest = link;
    else
        tcp_sent_at(conn, newer)->older = link;
}

static void time_remove(struct tcp_conn *conn, struct tcp_sent *sent)
{
    tcp_sent_link link = tcp_sent_link_of(conn, sent);
    if (conn->oldest == link)
        conn->oldest = sent->newer;
    else
        tcp_sent_at(conn, sent->older)->newer = sent->newer;
    if (conn->newest == link)
        conn->newest = conn->oldest == 0 ? 0 : sent->older;
    else
        tcp_sent_at(conn, sent->newer)->older = sent->older;
}

static bool is_newer(const struct tcp_sent *a, const struct tcp_sent *b)
{
    return tcp_sent_after(a->sent_at_us, tcp_sent_end(a), b->sent_at_us, tcp_sent_end(b));
}

/* Where SENT belongs, looked for from AT on (none: from the oldest on). */
static tcp_sent_link time_place(const struct tcp_conn *conn, const struct tcp_sent *sent,
                                tcp_sent_link at)
{
    if (at != 0 && is_newer(tcp_sent_at(conn, at), sent))
        at = 0;
    for (;;) {
        tcp_sent_link next = at == 0 ? conn->oldest : tcp_sent_at(conn, at)->newer;
        if (next == 0 || is_newer(tcp_sent_at(conn, next), sent))
            return at;
        at = next;
    }
}

/* ---- the list by sequence number ---- */

void tcp_sent_append(struct tcp_conn *conn, struct tcp_sent *sent)
{
    tcp_sent_link link = tcp_sent_link_of(conn, sent);
    if (conn->sent_last == 0)
        conn->sent_first = link;
    else
        tcp_sent_at(conn, conn->sent_last)->next = link;
    conn->sent_last = link;
    conn->sent_count++;
    time_insert(conn, sent, conn->newest);
}

/* No condition any more. */
static void uncount(struct tcp_conn *conn, struct tcp_sent *sent)
{
    if (sent->flags & TCP_SENT_SACKED) {
        conn->sacked_bytes -= tcp_sent_bytes(sent);
        conn->sacked_count--;
    } else if (sent->flags & TCP_SENT_LOST) {
        conn->lost_bytes -= tcp_sent_bytes(sent);
    } else {
        time_remove(conn, sent);
    }
}

void tcp_sent_remove_first(struct tcp_conn *conn)
{
    tcp_sent_link link = conn->sent_first;
    struct tcp_sent *sent = tcp_sent_at(conn, link);
    uncount(conn, sent);
    if (conn->lost_hint == link)
        conn->lost_hint = sent->next;
    if (conn->sack_hint == link)
        conn->sack_hint = 0;
    conn->sent_first = sent->next;
    if (conn->sent_first == 0)
        conn->sent_last = 0;
    conn->sent_count--;
    pool_give_at(&conn->tcp->sent, link - 1);
}

uint32_t tcp_sent_remove_ordinary(struct tcp_conn *conn, uint32_t ack, struct tcp_sent *first,
                                  struct tcp_sent *last)
{
    uint32_t count = 0;
    tcp_sent_link link = conn->sent_first;
    if (conn->lost_hint != 0)
        return 0;
    while (link != 0 && link == conn->oldest) {
        const struct tcp_sent *sent = tcp_sent_at(conn, link);
        if (seq_gt(tcp_sent_end(sent), ack) || sent->flags & (TCP_SENT_AGAIN | TCP_SENT_MTU_PROBE))
            break;
        if (count++ == 0)
            *first = *sent;
        *last = *sent;
        pool_give_at(&conn->tcp->sent, link - 1);
        link = last->next;
        conn->oldest = last->newer;
    }
    conn->sent_first = link;
    conn->sent_count = (uint16_t)(conn->sent_count - count);
    if (link == 0)
        conn->sent_last = 0;
    if (conn->oldest == 0)
        conn->newest = 0;
    return count;
}

void tcp_sent_cut_first(struct tcp_conn *conn, uint32_t ack)
{
    struct tcp_sent *sent = tcp_sent_at(conn, conn->sent_first);
    uint32_t cut = ack - sent->seq;
    if (sent->flags & TCP_SENT_LOST)
        conn->lost_bytes -= cut;
    if (sent->flags & TCP_SENT_SACKED)
        conn->sacked_bytes -= cut;
    sent->seq = ack;
    sent->length = (uint16_t)(sent->length - cut);
}

bool tcp_sent_split(struct tcp_conn *conn, struct tcp_sent *sent, uint32_t length)
{
    struct tcp_sent *rest = pool_take(&conn->tcp->sent);
    if (rest == NULL) {
        tcp_count(conn->tcp, send_no_record);
        return false;
    }
    sent->flags &= (uint8_t)~TCP_SENT_MTU_PROBE;
    *rest = *sent;
    rest->seq += length;
    rest->length = (uint16_t)(sent->length - length);
    sent->length = (uint16_t)length;
    sent->flags &= (uint8_t)~TCP_SENT_FIN;
    sent->next = tcp_sent_link_of(conn, rest);
    if (conn->sent_last == tcp_sent_link_of(conn, sent))
        conn->sent_last = sent->next;
    conn->sent_count++;
    if (tcp_sent_is_in_network(sent))
        time_insert(conn, rest, tcp_sent_link_of(conn, sent));
    return true;
}

void tcp_sent_clear(struct tcp_conn *conn)
{
    while (conn->sent_first != 0)
        tcp_sent_remove_first(conn);
    conn->lost_hint = 0;
}

/* ---- conditions ---- */

void tcp_sent_mark_sacked(struct tcp_conn *conn, struct tcp_sent *sent)
{
    uncount(conn, sent);
    sent->flags &= (uint8_t)~TCP_SENT_LOST;
    sent->flags |= TCP_SENT_SACKED;
    sent->run_last = tcp_sent_link_of(conn, sent);
    conn->sacked_bytes += tcp_sent_bytes(sent);
    conn->sacked_count++;
}

void tcp_sent_mark_lost(struct tcp_conn *conn, struct tcp_sent *sent)
{
    if (!tcp_sent_is_in_network(sent))
        return;
    time_remove(conn, sent);
    sent->flags |= TCP_SENT_LOST;
    conn->lost_bytes += tcp_sent_bytes(sent);
    if (conn->lost_hint == 0 || seq_lt(sent->seq, tcp_sent_at(conn, conn->lost_hint)->seq))
        conn->lost_hint = tcp_sent_link_of(conn, sent);
}

void tcp_sent_mark_again(struct tcp_conn *conn, struct tcp_sent *sent, uint64_t now)
{
    uncount(conn, sent);
    sent->flags &= (uint8_t) ~(TCP_SENT_LOST | TCP_SENT_MTU_PROBE);
    sent->flags |= TCP_SENT_AGAIN;
    sent->sent_at_us = tcp_us(now);
    time_insert(conn, sent, conn->newest);
}

void tcp_sent_unmark_lost(struct tcp_conn *conn)
{
    tcp_sent_link at = 0;
    for (tcp_sent_link link = conn->sent_first; link != 0 && conn->lost_bytes > 0;) {
        struct tcp_sent *sent = tcp_sent_at(conn, link);
        if (sent->flags & TCP_SENT_LOST) {
            conn->lost_bytes -= tcp_sent_bytes(sent);
            sent->flags &= (uint8_t)~TCP_SENT_LOST;
            at = time_place(conn, sent, at);
            time_insert(conn, sent, at);
            at = link;
        }
        link = sent->next;
    }
    conn->lost_hint = 0;
}

void tcp_sent_unmark_sacked(struct tcp_conn *conn)
{
    for (tcp_sent_link link = conn->sent_first; link != 0;) {
        struct tcp_sent *sent = tcp_sent_at(conn, link);
        if (sent->flags & TCP_SENT_SACKED) {
            sent->flags &= (uint8_t)~TCP_SENT_SACKED;
            time_insert(conn, sent, conn->newest);
            tcp_sent_mark_lost(conn, sent);
        }
        link = sent->next;
    }
    conn->sacked_bytes = 0;
    conn->sacked_count = 0;
    conn->sack_hint = 0;
}

struct tcp_sent *tcp_sent_next_lost(struct tcp_conn *conn)
{
    if (conn->lost_bytes == 0)
        conn->lost_hint = 0;
    struct tcp_sent *sent = tcp_sent_at(conn, conn->lost_hint);
    while (sent != NULL && (sent->flags & TCP_SENT_LOST) == 0)
        sent = tcp_sent_at(conn, conn->lost_hint = sent->next);
    return sent;
}
