/*
 * tcp: the stack of one worker: creation, a connection's life as an object, events to the layer
 * above, and the calls of that layer that move bytes: RFC 9293 3.10.2 (SEND), 3.10.3 (RECEIVE).
 */
#include "dataplane/tcp/tcp.h"

#include "dataplane/base/memory.h"
#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_ecn.h"
#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"

#define COPY_SHARE        8u  /* of free blocks, for one connection */
#define COPY_LEAST        16u /* blocks: a record of TLS, and the one before it */
#define COPY_ROOM         9u  /* blocks: a record of TLS, which may be wanted in one piece */
#define ROOM_SHARE        4u  /* TCP_WRITABLE: a quarter of the send queue is free again */
#define WAKE_PER_TURN     32u /* connections that starved, told to try again */
#define SENT_LIMIT_BYTES  512u
#define RECEIVE_SHIFT_MAX 6u

/* The smallest scale with which the whole window can be announced (RFC 7323 2.3). */
static uint8_t window_scale_for(uint32_t window)
{
    uint8_t scale = 0;
    while (window >> scale > UINT16_MAX && scale < TCP_WINDOW_SCALE_MAX)
        scale++;
    return scale;
}

/* Records of one connection: bounded, since SACKs are looked up by walking them. */
static uint32_t sent_limit_for(uint32_t send_queue_bytes)
{
    uint32_t limit = 2 * (send_queue_bytes / SENT_LIMIT_BYTES) + 64;
    return limit < UINT16_MAX ? limit : UINT16_MAX;
}

static bool pools_init(struct tcp *tcp)
{
    const struct tcp_config *c = &tcp->config;
    uint32_t records = 2 * c->spans_max + 64; /* a span gives rise to some two segments */
    return pool_init(&tcp->conns, "tcp connections", POOL_RESTING, c->connections_max,
                     sizeof(struct tcp_conn), c->socket_id) &&
           pool_init(&tcp->sent, "tcp segments in flight", POOL_LIFO, records,
                     sizeof(struct tcp_sent), c->socket_id) &&
           pool_init(&tcp->time_waits, "tcp TIME_WAIT", POOL_LIFO, c->time_wait_max,
                     sizeof(struct tcp_time_wait), c->socket_id) &&
           tcp_span_pools_init(&tcp->spans, c->spans_max, c->blocks_max, c->socket_id);
}

static bool table_init(struct tcp *tcp, const struct siphash_key *secret)
{
    struct siphash_key key = {
        siphash(secret, bytes_text("connection table 0")),
        siphash(secret, bytes_text("connection table 1")),
    };
    uint32_t entries = tcp->config.connections_max + tcp->config.time_wait_max;
    if (!tcp_table_init(&tcp->table, entries, &key, tcp->config.socket_id))
        return false;
    tcp_table_objects(&tcp->table, 0, tcp->conns.objects, tcp->conns.object_bytes);
    tcp_table_objects(&tcp->table, 1, tcp->time_waits.objects, tcp->time_waits.object_bytes);
    return true;
}

static struct siphash_key secret_of(const struct tcp_config *config)
{
    struct siphash_key secret = config->secret;
    if (secret.k0 == 0 && secret.k1 == 0) {
        secret.k0 = random_u64(config->random);
        secret.k1 = random_u64(config->random);
    }
    return secret;
}

static const struct tcp_cc_ops *const algorithms[] = {
    [TCP_CONGESTION_CUBIC] = &tcp_cc_cubic,
    [TCP_CONGESTION_NEWRENO] = &tcp_cc_newreno,
};

struct tcp *tcp_create(const struct tcp_config *config)
{
    check(config->workers > 0 && config->self < config->workers);
    check(config->user_timeout_ns > 0 && config->connect_timeout_ns > 0);
    struct tcp *tcp = memory_take("tcp", sizeof(*tcp), config->socket_id);
    if (tcp == NULL)
        return NULL;
    tcp->config = *config;
    struct siphash_key secret = secret_of(config);
    tcp->cc = algorithms[config->congestion];
    tcp->window_scale = window_scale_for(config->receive_window_bytes);
    tcp->sent_limit = sent_limit_for(config->send_queue_bytes);
    if (!pools_init(tcp) || !table_init(tcp, &secret) || !tcp_listen_init(tcp))
        return NULL;
    tcp_lists_init(&tcp->lists, tcp->conns.objects + offsetof(struct tcp_conn, links),
                   tcp->conns.count);
    tcp_isn_init(tcp, &secret);
    tcp_connect_init(tcp);
    tcp_time_wait_init(tcp);
    return tcp;
}

struct tcp_counters *tcp_counters(struct tcp *tcp)
{
    return &tcp->counters;
}

bool tcp_limiter_take(struct tcp_limiter *limiter, uint32_t rate, uint64_t now)
{
    uint64_t interval = CLOCK_S / rate;
    uint64_t gained = (now - limiter->refilled_at_ns) / interval;
    if (gained > 0) {
        uint32_t most = rate / 10 + 1;
        limiter->tokens =
            gained < most - limiter->tokens ? limiter->tokens + (uint32_t)gained : most;
        limiter->refilled_at_ns += gained * interval;
    }
    if (limiter->tokens == 0)
        return false;
    limiter->tokens--;
    return true;
}

/* ---- a connection as an object ---- */

struct tcp_conn *tcp_conn_new(struct tcp *tcp, const struct flow_tuple *tuple, uint32_t hash,
                              const struct net_path *path, uint32_t iss, uint64_t now)
{
    struct tcp_conn *conn = pool_take(&tcp->conns);
    if (conn == NULL) {
        tcp_count(tcp, connection_pool_empty);
        return NULL;
    }
    memset(conn, 0, sizeof(*conn));
    conn->tcp = tcp;
    conn->tuple = *tuple;
    conn->path = *path;
    conn->snd_una = iss;
    conn->snd_nxt = iss + 1;
    conn->ts_offset = tcp_timestamp_offset(tcp, tuple);
    conn->heard_at_ms = tcp_ms(now);
    conn->progress_at_ms = tcp_ms(now);
    conn->challenge_at_ms = tcp_ms(now) - TCP_CHALLENGE_INTERVAL_MS;
    conn->last_sent_at_ms = tcp_ms(now);
    conn->rack_xmit_us = tcp_us(now);
    conn->rcv_mss = TCP_MSS_DEFAULT_V4;
    tcp_send_queue_init(&conn->queue, iss + 1);
    tcp_rto_init(conn);
    tcp_timers_init(conn);
    bool added =
        tcp_table_add(&tcp->table, hash, tcp_reference_conn(pool_index(&tcp->conns, conn)));
    check(added); /* the table has room for all of both pools */
    return conn;
}

static void half_open_leave(struct tcp_conn *conn)
{
    if (conn->flags & TCP_CONN_HALF_OPEN) {
        conn->flags &= ~(uint32_t)TCP_CONN_HALF_OPEN;
        conn->tcp->half_open_count--;
    }
    tcp_conn_unlink(conn, TCP_LINK_EXTRA);
}

/* Out of the table and all lists, timers off, sends and out-of-order segments released. */
static void retire(struct tcp_conn *conn)
{
    struct tcp *tcp = conn->tcp;
    if (conn->flags & TCP_CONN_RETIRED)
        return;
    conn->flags |= TCP_CONN_RETIRED;
    tcp_table_remove(&tcp->table, tcp_table_hash(&tcp->table, &conn->tuple),
                     tcp_reference_conn(pool_index(&tcp->conns, conn)));
    tcp_timers_stop(conn);
    half_open_leave(conn);
    tcp_conn_unlink(conn, TCP_LINK_OUT);
    tcp_conn_unlink(conn, TCP_LINK_AHEAD);
    tcp_sent_clear(conn);
    tcp_send_queue_clear(&conn->queue, &tcp->spans);
    (void)tcp_rx_drop_ahead(&conn->rx, &tcp->held);
}

void tcp_conn_free(struct tcp_conn *conn)
{
    struct tcp *tcp = conn->tcp;
    retire(conn);
    tcp_conn_unlink(conn, TCP_LINK_READY);
    tcp_rx_drop_queue(&conn->rx, &tcp->held);
    pool_give(&tcp->conns, conn);
}

static void count_failure(struct tcp *tcp, enum tcp_failure failure, bool connecting)
{
    switch (failure) {
    case TCP_FAILURE_REFUSED:
        tcp_count(tcp, connect_refused);
        break;
    case TCP_FAILURE_RESET:
        tcp_count(tcp, connections_reset);
        break;
    case TCP_FAILURE_TIMEOUT:
        if (connecting)
            tcp_count(tcp, connect_timed_out);
        else
            tcp_count(tcp, connections_timed_out);
        break;
    case TCP_FAILURE_UNREACHABLE:
        tcp_count(tcp, connect_unreachable);
        break;
    case TCP_FAILURE_NONE:
    case TCP_FAILURES:
        break;
    }
}

/*
 * A server that answers before it has read all of a request ends with RST right behind the answer
 * (RFC 9112 9.6). What was received before is still told. Of clients who leave nothing is.
 */
static uint32_t last_words(const struct tcp_conn *conn)
{
    if ((conn->flags & TCP_CONN_OPENED_BY_US) == 0 || (conn->events & TCP_OPENED) != 0)
        return 0;
    return conn->events & (TCP_READABLE | TCP_EOF);
}

void tcp_conn_fail(struct tcp_conn *conn, enum tcp_failure failure, enum tcp_cause cause)
{
    bool connecting = conn->state == TCP_STATE_SYN_SENT;
    bool half_open = (conn->flags & TCP_CONN_HALF_OPEN) != 0;
    bool announced = (conn->flags & TCP_CONN_OPENED_BY_US) != 0 || (conn->events & TCP_OPENED) == 0;
    bool owned = (conn->flags & TCP_CONN_OWNED) != 0;
    if (!half_open)
        count_failure(conn->tcp, failure, connecting);
    tcp_state_change(conn, TCP_STATE_CLOSED, cause);
    if (!owned || !announced) {
        tcp_conn_free(conn);
        return;
    }
    retire(conn);
    conn->failure = (uint8_t)failure;
    conn->events = last_words(conn);
    tcp_conn_event(conn, TCP_FAILED);
}

void tcp_conn_negotiate(struct tcp_conn *conn, const struct tcp_segment *syn)
{
    const struct tcp_options *peer = &syn->options;
    bool v4 = ip_address_is_v4(&conn->tuple.remote);
    conn->peer_mss = v4 ? TCP_MSS_DEFAULT_V4 : TCP_MSS_DEFAULT_V6;
    if (peer->present & TCP_OPTION_MSS)
        conn->peer_mss = peer->mss > TCP_MSS_MIN ? peer->mss : TCP_MSS_MIN;
    if (peer->present & TCP_OPTION_SACK_PERMITTED)
        conn->flags |= TCP_CONN_SACK;
    if (peer->present & TCP_OPTION_TIMESTAMP) {
        conn->flags |= TCP_CONN_TIMESTAMPS;
        conn->ts_recent = peer->ts_value;
    }
    if (peer->present & TCP_OPTION_WINDOW_SCALE) {
        conn->flags |= TCP_CONN_SCALES;
        conn->rcv_wscale = conn->tcp->window_scale;
        conn->snd_wscale =
            peer->window_scale < TCP_WINDOW_SCALE_MAX ? peer->window_scale : TCP_WINDOW_SCALE_MAX;
    }
    tcp_ecn_negotiate(conn, syn);
    tcp_path_mtu_init(conn);
}

/* The SYN's round trip; a lost SYN says: be careful (RFC 5681 3.1). */
static void established_rtt(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now)
{
    tcp_rto_syn_acked(conn, seg, now);
    tcp_rack_open(conn, now);
    if (conn->backoff > 1)
        conn->cwnd = conn->mss;
    conn->backoff = 0;
}

void tcp_conn_established(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now)
{
    struct tcp *tcp = conn->tcp;
    tcp_state_change(conn, TCP_STATE_ESTABLISHED, TCP_CAUSE_SYN_ACKED);
    half_open_leave(conn);
    if (conn->flags & TCP_CONN_OPENED_BY_US)
        tcp_count(tcp, connections_opened);
    else
        tcp_count(tcp, connections_accepted);
    bool scaled = (seg->flags & TCP_SYN) == 0;
    conn->snd_una++; /* over our SYN */
    conn->snd_wnd = (uint32_t)seg->window << (scaled ? conn->snd_wscale : 0);
    conn->snd_wnd_max = conn->snd_wnd;
    conn->snd_wl1 = seg->seq;
    conn->flags &= ~(uint32_t)TCP_CONN_SYN_DUE;
    conn->flags |= TCP_CONN_OWNED;
    conn->quick_acks = TCP_QUICK_ACKS;
    tcp->cc->open(conn, now);
    established_rtt(conn, seg, now);
    conn->heard_at_ms = tcp_ms(now);
    tcp_timer_clear(conn, TCP_DEADLINE_RETRANSMIT);
    tcp_timer_clear(conn, TCP_DEADLINE_IDLE);
    if (tcp->config.keepalive_idle_ns > 0)
        tcp_timer_set(conn, TCP_DEADLINE_IDLE, now + tcp->config.keepalive_idle_ns);
    tcp_conn_event(conn, TCP_OPENED);
    tcp_conn_want_out(conn);
}

/* ---- events ---- */

/* Nothing is told before TCP_OPENED: what happened while connecting comes together with it. */
void tcp_conn_event(struct tcp_conn *conn, uint32_t events)
{
    if ((conn->flags & TCP_CONN_OWNED) == 0)
        return;
    conn->events |= (uint8_t)events;
    bool connecting = conn->state == TCP_STATE_SYN_SENT || conn->state == TCP_STATE_SYN_RECEIVED;
    if (!connecting)
        tcp_conn_link(conn, TCP_LIST_READY);
}

void tcp_conn_want_out(struct tcp_conn *conn)
{
    tcp_conn_link(conn, TCP_LIST_OUT);
}

static uint32_t room_within(const struct tcp_conn *conn, uint32_t whole)
{
    return conn->queue.bytes < whole ? whole - conn->queue.bytes : 0;
}

static uint32_t free_room(const struct tcp_conn *conn)
{
    return room_within(conn, conn->tcp->config.send_queue_bytes);
}

/* What the queue should hold. Of copies: its share of the blocks that are free, but COPY_LEAST. */
static uint32_t whole_room(const struct tcp_conn *conn)
{
    uint32_t whole = conn->tcp->config.send_queue_bytes;
    if ((conn->flags & TCP_CONN_COPIES) == 0)
        return whole;
    uint32_t share = conn->tcp->spans.blocks.free_count / COPY_SHARE;
    uint64_t bytes = (uint64_t)(share > COPY_LEAST ? share : COPY_LEAST) * TCP_BLOCK_BYTES;
    return bytes < whole ? (uint32_t)bytes : whole;
}

static bool is_short_of_room(const struct tcp_conn *conn)
{
    uint32_t whole = whole_room(conn);
    uint32_t enough = whole / ROOM_SHARE;
    if ((conn->flags & TCP_CONN_COPIES) != 0 && enough < COPY_ROOM * TCP_BLOCK_BYTES)
        enough = whole < COPY_ROOM * TCP_BLOCK_BYTES ? whole : COPY_ROOM * TCP_BLOCK_BYTES;
    return room_within(conn, whole) < enough;
}

void tcp_conn_check_room(struct tcp_conn *conn)
{
    if ((conn->flags & TCP_CONN_WANT_ROOM) == 0 || is_short_of_room(conn))
        return;
    conn->flags &= ~(uint32_t)TCP_CONN_WANT_ROOM;
    tcp_conn_event(conn, TCP_WRITABLE);
}

/* Sends failed for want of spans or blocks: when there are some again, the first in line try. */
static void wake_starving(struct tcp *tcp)
{
    uint32_t spans = tcp->spans.spans.free_count;
    uint32_t blocks = tcp->spans.blocks.free_count;
    uint32_t wake = spans < blocks ? spans : blocks;
    if (wake > WAKE_PER_TURN)
        wake = WAKE_PER_TURN;
    struct tcp_conn *conn;
    for (; wake > 0 && (conn = tcp_conn_pop(tcp, TCP_LIST_STARVING)) != NULL; wake--)
        tcp_conn_event(conn, TCP_WRITABLE);
}

/* The end is told by itself, after what came before it. */
static uint32_t take_events(struct tcp_conn *conn)
{
    uint32_t events = conn->events;
    conn->events = 0;
    if ((events & TCP_FAILED) == 0 || events == TCP_FAILED)
        return events;
    tcp_conn_event(conn, TCP_FAILED);
    return events & ~(uint32_t)TCP_FAILED;
}

uint32_t tcp_dispatch(struct tcp *tcp, uint32_t max, uint64_t now)
{
    tcp->now = now;
    if (!tcp_list_is_empty(&tcp->lists, TCP_LIST_STARVING))
        wake_starving(tcp);
    uint32_t done = 0;
    struct tcp_conn *conn;
    while (done < max && (conn = tcp_conn_pop(tcp, TCP_LIST_READY)) != NULL) {
        uint32_t events = take_events(conn);
        done++;
        conn->app->event(conn->context, conn, events, now);
        /* the connection may be gone now */
    }
    return done;
}

/* ---- the layer above ---- */

void tcp_set_app(struct tcp_conn *conn, const struct tcp_app *app, void *context)
{
    conn->app = app;
    conn->context = context;
}

struct bytes tcp_read(struct tcp_conn *conn)
{
    return tcp_rx_peek(&conn->rx);
}

void tcp_limit_receive(struct tcp_conn *conn, uint32_t bytes)
{
    uint32_t whole = conn->tcp->config.receive_window_bytes;
    uint8_t shift = 0;
    while (whole >> shift > bytes && shift < RECEIVE_SHIFT_MAX)
        shift++;
    conn->receive_shift = shift & 0xf;
}

/* A window that was nearly shut and is worth announcing again goes out by itself. */
static void reopen_window(struct tcp_conn *conn)
{
    if (conn->flags & TCP_CONN_ACK_NOW)
        return; /* what goes then says it */
    uint32_t whole = conn->tcp->config.receive_window_bytes >> conn->receive_shift;
    uint32_t step = 2u * conn->rcv_mss < whole / 2 ? 2u * conn->rcv_mss : whole / 2;
    uint32_t promised = seq_gt(conn->rcv_adv, conn->rcv_nxt) ? conn->rcv_adv - conn->rcv_nxt : 0;
    uint32_t room = conn->rx.bytes < whole ? whole - conn->rx.bytes : 0;
    uint32_t most = (uint32_t)UINT16_MAX << conn->rcv_wscale; /* that can be said */
    if (room > most)
        room = most;
    if (conn->state != TCP_STATE_ESTABLISHED || room < promised + step ||
        tcp_data_pressure(conn->tcp))
        return;
    conn->flags |= TCP_CONN_ACK_NOW;
    tcp_conn_want_out(conn);
}

void tcp_read_done(struct tcp_conn *conn, uint32_t count)
{
    tcp_rx_consume(&conn->rx, count, &conn->tcp->held);
    reopen_window(conn);
}

uint32_t tcp_send_room(struct tcp_conn *conn)
{
    if (conn->state == TCP_STATE_CLOSED)
        return 0;
    if (is_short_of_room(conn))
        conn->flags |= TCP_CONN_WANT_ROOM;
    return free_room(conn);
}

uint32_t tcp_copy_room(struct tcp_conn *conn)
{
    conn->flags |= TCP_CONN_COPIES;
    return tcp_send_room(conn) > 0 ? room_within(conn, whole_room(conn)) : 0;
}

static bool sent(struct tcp_conn *conn, bool queued)
{
    if (queued) {
        tcp_conn_want_out(conn);
        return true;
    }
    tcp_count(conn->tcp, send_pool_empty);
    tcp_conn_link(conn, TCP_LIST_STARVING);
    return false;
}

bool tcp_send_copy(struct tcp_conn *conn, struct bytes bytes)
{
    if (conn->state == TCP_STATE_CLOSED)
        return false;
    check(bytes.length <= free_room(conn));
    return sent(conn, tcp_send_queue_copy(&conn->queue, &conn->tcp->spans, bytes));
}

uint8_t *tcp_send_place(struct tcp_conn *conn, uint32_t least, uint32_t *out_bytes)
{
    uint32_t room = tcp_send_room(conn);
    if (room < least || least > TCP_BLOCK_BYTES)
        return NULL;
    uint8_t *place = tcp_send_queue_place(&conn->queue, &conn->tcp->spans, least, out_bytes);
    if (place != NULL && *out_bytes > room)
        *out_bytes = room;
    return place;
}

void tcp_send_placed(struct tcp_conn *conn, uint32_t count)
{
    if (conn->state == TCP_STATE_CLOSED)
        return;
    tcp_send_queue_placed(&conn->queue, &conn->tcp->spans, count);
    tcp_conn_want_out(conn);
}

bool tcp_send_segment(struct tcp_conn *conn, struct segment *segment, uint32_t offset,
                      uint32_t length)
{
    if (conn->state == TCP_STATE_CLOSED)
        return false;
    check(length <= free_room(conn));
    return sent(conn,
                tcp_send_queue_segment(&conn->queue, &conn->tcp->spans, segment, offset, length));
}

static uint64_t unacked_for_ns(const struct tcp_conn *conn, uint64_t now)
{
    if (conn->state == TCP_STATE_SYN_SENT || conn->state == TCP_STATE_SYN_RECEIVED)
        return tcp_since_ns(conn->progress_at_ms, now); /* our SYN is all there is */
    const struct tcp_sent *first = tcp_sent_at(conn, conn->sent_first);
    return first == NULL ? 0 : (uint64_t)(tcp_us(now) - first->first_sent_at_us) * CLOCK_US;
}

void tcp_info(const struct tcp_conn *conn, uint64_t now, struct tcp_info *out)
{
    *out = (struct tcp_info){
        .tuple = conn->tuple,
        .failure = conn->failure,
        .opened_by_us = (conn->flags & TCP_CONN_OPENED_BY_US) != 0,
        .smoothed_rtt_ns = conn->srtt_us / 8 * CLOCK_US,
        .queued_bytes = conn->queue.bytes,
    };
    if (conn->srtt_us > 0 && out->smoothed_rtt_ns == 0)
        out->smoothed_rtt_ns = CLOCK_US;
    out->unacked_for_ns = unacked_for_ns(conn, now);
    out->silent_for_ns = tcp_since_ns(conn->heard_at_ms, now);
}

void tcp_ask(struct tcp_conn *conn, uint64_t now)
{
    bool answers = conn->state == TCP_STATE_ESTABLISHED || conn->state == TCP_STATE_CLOSE_WAIT;
    if (!answers || net_send_room(conn->tcp->config.net, &conn->path) == 0)
        return;
    tcp_count(conn->tcp, asked);
    tcp_out_ask(conn, now);
}

uint32_t tcp_connection_count(const struct tcp *tcp)
{
    return pool_used(&tcp->conns);
}

uint32_t tcp_objects_used(const struct tcp *tcp)
{
    return pool_used(&tcp->conns) + pool_used(&tcp->spans.spans) + pool_used(&tcp->spans.blocks) +
           pool_used(&tcp->sent) + tcp->held + tcp->half_open_count +
           (tcp->table.count - pool_used(&tcp->time_waits));
}
