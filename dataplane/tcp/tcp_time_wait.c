/*
 * tcp_time_wait: connections whose story is over, in 64 bytes each: RFC 9293 3.6.1 and 3.10.7.4,
 * RFC 6191 (a new connection may take over), RFC 1337 (RST does not end it).
 *
 * The entries are a list in order of their time; each stays time_wait_ns after the last FIN. A full
 * pool takes the oldest one's place.
 */
#include "dataplane/tcp/tcp_internal.h"

#define REUSE_AFTER_MS    1000u  /* our own new connections (as Linux): timestamps have moved on */
#define SEQUENCE_DISTANCE 65536u /* a new connection's numbers begin that much above */
#define EXPIRE_PER_FIRE   1024u

static struct tcp_time_wait *entry_at(const struct tcp *tcp, uint32_t link)
{
    return link == 0 ? NULL : pool_at(&tcp->time_waits, link - 1);
}

static void link_newest(struct tcp *tcp, struct tcp_time_wait *entry)
{
    uint32_t link = pool_index(&tcp->time_waits, entry) + 1;
    struct tcp_time_wait *newest = entry_at(tcp, tcp->time_wait_newest);
    entry->older = tcp->time_wait_newest;
    entry->newer = 0;
    if (newest != NULL)
        newest->newer = link;
    else
        tcp->time_wait_oldest = link;
    tcp->time_wait_newest = link;
}

static void unlink_entry(struct tcp *tcp, struct tcp_time_wait *entry)
{
    struct tcp_time_wait *older = entry_at(tcp, entry->older);
    struct tcp_time_wait *newer = entry_at(tcp, entry->newer);
    if (older != NULL)
        older->newer = entry->newer;
    else
        tcp->time_wait_oldest = entry->newer;
    if (newer != NULL)
        newer->older = entry->older;
    else
        tcp->time_wait_newest = entry->older;
}

static void end(struct tcp *tcp, struct tcp_time_wait *entry)
{
    uint32_t hash = tcp_table_hash(&tcp->table, &entry->tuple);
    tcp_table_remove(&tcp->table, hash,
                     tcp_reference_time_wait(pool_index(&tcp->time_waits, entry)));
    unlink_entry(tcp, entry);
    pool_give(&tcp->time_waits, entry);
}

static uint32_t duration_ms(const struct tcp *tcp)
{
    return (uint32_t)(tcp->config.time_wait_ns / CLOCK_MS);
}

static void arm_for_oldest(struct tcp *tcp, uint64_t now)
{
    const struct tcp_time_wait *oldest = entry_at(tcp, tcp->time_wait_oldest);
    if (oldest == NULL)
        return;
    uint32_t age = tcp_ms(now) - oldest->entered_ms;
    uint32_t left = age < duration_ms(tcp) ? duration_ms(tcp) - age : 0;
    timer_arm(tcp->config.wheel, &tcp->time_wait_timer, now + (left + 1) * CLOCK_MS);
}

static void expire(struct timer *timer, void *context, uint64_t now)
{
    struct tcp *tcp = context;
    for (uint32_t i = 0; i < EXPIRE_PER_FIRE && tcp->time_wait_oldest != 0; i++) {
        struct tcp_time_wait *oldest = entry_at(tcp, tcp->time_wait_oldest);
        if (tcp_ms(now) - oldest->entered_ms < duration_ms(tcp))
            break;
        end(tcp, oldest);
    }
    arm_for_oldest(tcp, now);
}

void tcp_time_wait_init(struct tcp *tcp)
{
    tcp->time_wait_oldest = 0;
    tcp->time_wait_newest = 0;
    timer_init(&tcp->time_wait_timer, expire, tcp);
}

static struct tcp_time_wait *take(struct tcp *tcp)
{
    struct tcp_time_wait *entry = pool_take(&tcp->time_waits);
    if (entry != NULL || tcp->time_wait_oldest == 0)
        return entry;
    tcp_count(tcp, time_wait_evicted);
    end(tcp, entry_at(tcp, tcp->time_wait_oldest));
    return pool_take(&tcp->time_waits);
}

static void begin(struct tcp *tcp, struct tcp_time_wait *entry, uint64_t now)
{
    entry->entered_ms = tcp_ms(now);
    link_newest(tcp, entry);
    if (!timer_is_armed(&tcp->time_wait_timer))
        arm_for_oldest(tcp, now);
}

/* False also when they continue another node's cookie: an entry could not go on with them. */
static bool has_own_timestamps(const struct tcp_conn *conn)
{
    return (conn->flags & TCP_CONN_TIMESTAMPS) != 0 &&
           conn->ts_offset == tcp_timestamp_offset(conn->tcp, &conn->tuple);
}

void tcp_time_wait_enter(struct tcp_conn *conn, uint64_t now)
{
    struct tcp *tcp = conn->tcp;
    struct tcp_time_wait *entry = take(tcp);
    uint32_t hash = tcp_table_hash(&tcp->table, &conn->tuple);
    tcp_count(tcp, connections_closed);
    if (entry == NULL) {
        tcp_count(tcp, time_wait_evicted);
        tcp_conn_free(conn);
        return;
    }
    *entry = (struct tcp_time_wait){
        .tuple = conn->tuple,
        .snd_nxt = conn->snd_nxt,
        .rcv_nxt = conn->rcv_nxt,
        .ts_recent = conn->ts_recent,
        .window = (uint16_t)tcp_out_window(conn),
        .timestamps = has_own_timestamps(conn),
    };
    tcp_conn_free(conn);
    bool added = tcp_table_add(&tcp->table, hash,
                               tcp_reference_time_wait(pool_index(&tcp->time_waits, entry)));
    check(added); /* the table has room for all of both pools */
    begin(tcp, entry, now);
}

static void acknowledge(struct tcp *tcp, const struct tcp_time_wait *entry, uint64_t now)
{
    struct tcp_bare bare = {
        .tuple = &entry->tuple,
        .seq = entry->snd_nxt,
        .ack = entry->rcv_nxt,
        .window = entry->window,
        .flags = TCP_ACK,
    };
    if (entry->timestamps) {
        bare.options.present = TCP_OPTION_TIMESTAMP;
        bare.options.ts_value = tcp_ms(now) + tcp_timestamp_offset(tcp, &entry->tuple);
        bare.options.ts_echo = entry->ts_recent;
    }
    tcp_count(tcp, acks_out);
    tcp_out_bare(tcp, &bare, now);
}

/* RFC 6191 2: the SYN is newer than everything of the old connection. */
static bool syn_is_newer(const struct tcp_time_wait *entry, const struct tcp_segment *seg)
{
    if (entry->timestamps && seg->options.present & TCP_OPTION_TIMESTAMP) {
        int32_t newer = (int32_t)(seg->options.ts_value - entry->ts_recent);
        if (newer != 0)
            return newer > 0;
    }
    return seq_gt(seg->seq, entry->rcv_nxt);
}

static void give_way(struct tcp *tcp, struct tcp_time_wait *entry, uint32_t *least_iss)
{
    *least_iss = entry->snd_nxt + SEQUENCE_DISTANCE;
    tcp_count(tcp, time_wait_reused);
    end(tcp, entry);
}

bool tcp_time_wait_in(struct tcp *tcp, uint32_t index, const struct tcp_segment *seg,
                      uint32_t *least_iss, uint64_t now)
{
    struct tcp_time_wait *entry = pool_at(&tcp->time_waits, index);
    if (seg->flags & TCP_RST)
        return false;
    if ((seg->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && syn_is_newer(entry, seg)) {
        if (!tcp_listen_has_room(tcp)) { /* it keeps its place until there is */
            tcp_count(tcp, half_open_full);
            return false;
        }
        give_way(tcp, entry, least_iss);
        return true;
    }
    if ((seg->flags & (TCP_SYN | TCP_ACK)) == 0) {
        tcp_count(tcp, segment_bad_flags); /* RFC 9293 3.10.7.4 fifth: ACK is off, drop */
        return false;
    }
    bool last_fin_again =
        (seg->flags & TCP_FIN) != 0 && seg->seq + tcp_segment_span(seg) == entry->rcv_nxt;
    if (last_fin_again) {
        unlink_entry(tcp, entry);
        begin(tcp, entry, now);
    }
    if (tcp_segment_span(seg) > 0 || seg->seq != entry->rcv_nxt)
        acknowledge(tcp, entry, now);
    return false;
}

bool tcp_time_wait_yield(struct tcp *tcp, uint32_t index, uint32_t *least_iss, uint64_t now)
{
    struct tcp_time_wait *entry = pool_at(&tcp->time_waits, index);
    if (!entry->timestamps || tcp_ms(now) - entry->entered_ms < REUSE_AFTER_MS)
        return false;
    give_way(tcp, entry, least_iss);
    return true;
}

uint32_t tcp_time_wait_count(const struct tcp *tcp)
{
    return pool_used(&tcp->time_waits);
}
