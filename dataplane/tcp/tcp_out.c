/*
 * tcp_out: from a connection to packets: RFC 9293 3.7 and 3.8: segments, acknowledgements, the
 * window we announce (3.8.6.2.2), when small segments go (3.8.6.2.1, without Nagle: the layer above
 * writes what it wants to be sent), RST, probes. Each segment is one linear mbuf.
 *
 * The order in a turn: SYN, then what is lost, then new data and FIN, then an ACK if none of these
 * carried it.
 */
#include "dataplane/base/copy.h"
#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_ecn.h"
#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"

/* A segment to be sent for a connection. */
struct departure {
    uint32_t seq;
    uint32_t length;
    uint8_t flags;
    enum tcp_cursor cursor; /* of data in the queue */
    uint8_t ecn;            /* of the IP header, with such data */
};

/* A connection's turn to send data, and what all segments of it have in common, made once. */
struct turn {
    uint64_t now;
    uint32_t room;         /* packets that the port takes */
    uint32_t limit;        /* bytes of payload that fit beside the options; 0: not chosen yet */
    uint32_t header_bytes; /* 0: no header has been made yet */
    struct tcp_options options;
    uint8_t header[TCP_HEADER_MAX_BYTES];
    struct net_train train;
};

/* Room in the reassembly budget is short: nothing is announced that is not due. */
static uint32_t receive_room(const struct tcp_conn *conn)
{
    const struct tcp *tcp = conn->tcp;
    uint32_t whole = tcp->config.receive_window_bytes >> conn->receive_shift;
    uint32_t room = conn->rx.bytes < whole ? whole - conn->rx.bytes : 0;
    if (!tcp_data_pressure(tcp))
        return room;
    uint32_t least = conn->rx.bytes == 0 ? 2u * conn->rcv_mss : 0;
    return room < least ? room : least;
}

/*
 * The window to announce, in units of our scale, and the promise in rcv_adv. The right edge moves
 * only by a worthwhile step (RFC 9293 3.8.6.2.2) and is never taken back; rounding down to the
 * scale's unit may announce a little less than promised, which is still accepted (RFC 7323 2.4).
 */
uint32_t tcp_out_window(struct tcp_conn *conn)
{
    uint32_t promised = seq_gt(conn->rcv_adv, conn->rcv_nxt) ? conn->rcv_adv - conn->rcv_nxt : 0;
    uint32_t room = receive_room(conn);
    uint32_t half = conn->tcp->config.receive_window_bytes / 2;
    uint32_t step = conn->rcv_mss < half ? conn->rcv_mss : half;
    if (room >= promised + step)
        promised = room;
    uint32_t most = (uint32_t)UINT16_MAX << conn->rcv_wscale;
    uint32_t field = (promised < most ? promised : most) >> conn->rcv_wscale;
    conn->rcv_adv = seq_max(conn->rcv_adv, conn->rcv_nxt + (field << conn->rcv_wscale));
    return field;
}

static void syn_options(struct tcp_conn *conn, struct tcp_options *options)
{
    struct tcp *tcp = conn->tcp;
    bool first = conn->state == TCP_STATE_SYN_SENT;
    uint32_t headers = ip_address_is_v4(&conn->tuple.remote) ? 40 : 60;
    options->present = TCP_OPTION_MSS;
    options->mss = (uint16_t)(conn->path.mtu - headers);
    if (first || conn->flags & TCP_CONN_SACK)
        options->present |= TCP_OPTION_SACK_PERMITTED;
    if (first || conn->flags & TCP_CONN_TIMESTAMPS)
        options->present |= TCP_OPTION_TIMESTAMP;
    if (first || conn->flags & TCP_CONN_SCALES)
        options->present |= TCP_OPTION_WINDOW_SCALE;
    options->window_scale = tcp->window_scale;
}

/* RFC 2018 4, RFC 2883 4: a D-SACK first, then the most recent block, then older ones. */
static void sack_options(const struct tcp_conn *conn, struct tcp_options *options)
{
    uint32_t room = options->present & TCP_OPTION_TIMESTAMP ? 3 : 4;
    options->sack_count = 0;
    if (conn->flags & TCP_CONN_DSACK)
        options->sack[options->sack_count++] = conn->sack[TCP_SACK_REPORTED];
    for (uint32_t i = 0; i < conn->sack_count && options->sack_count < room; i++)
        options->sack[options->sack_count++] = conn->sack[i];
    if (options->sack_count > 0)
        options->present |= TCP_OPTION_SACK;
}

static void choose_options(struct tcp_conn *conn, uint8_t flags, uint64_t now,
                           struct tcp_options *options)
{
    options->present = 0;
    if (flags & TCP_SYN)
        syn_options(conn, options);
    else if (conn->flags & TCP_CONN_TIMESTAMPS)
        options->present = TCP_OPTION_TIMESTAMP;
    options->ts_value = tcp_ms(now) + conn->ts_offset;
    options->ts_echo = flags & TCP_ACK ? conn->ts_recent : 0;
    if (conn->flags & TCP_CONN_SACK && (flags & (TCP_SYN | TCP_RST)) == 0)
        sack_options(conn, options);
}

/* The fixed header and the options; the checksum is net's. Returns the header's length. */
static uint32_t write_header(uint8_t at[TCP_HEADER_MAX_BYTES], const struct flow_tuple *tuple,
                             const struct departure *departure, uint32_t ack, uint16_t window,
                             const struct tcp_options *options)
{
    struct writer w = writer_over(at + TCP_HEADER_BYTES, TCP_HEADER_MAX_BYTES - TCP_HEADER_BYTES);
    tcp_options_write(&w, options);
    check(!w.failed);
    uint32_t length = TCP_HEADER_BYTES + (uint32_t)writer_length(&w);
    *(struct rte_tcp_hdr *)at = (struct rte_tcp_hdr){
        .src_port = htons(tuple->local_port),
        .dst_port = htons(tuple->remote_port),
        .sent_seq = htonl(departure->seq),
        .recv_ack = htonl(ack),
        .data_off = (uint8_t)(length / 4 << 4),
        .tcp_flags = departure->flags,
        .rx_win = htons(window),
    };
    return length;
}

static void to_net(struct tcp *tcp, const struct flow_tuple *tuple, const struct net_path *path,
                   uint8_t ecn, struct rte_mbuf *packet, uint64_t now)
{
    struct net_send how = {
        .path = path,
        .local = &tuple->local,
        .remote = &tuple->remote,
        .protocol = IPPROTO_TCP,
        .traffic_class = ecn,
    };
    tcp_count(tcp, segments_out);
    net_send(tcp->config.net, &how, packet, now);
}

/* What an acknowledgement on its way settles. */
static void ack_was_sent(struct tcp_conn *conn)
{
    conn->flags &= ~(uint32_t)(TCP_CONN_ACK_NOW | TCP_CONN_ACK_LATER | TCP_CONN_DSACK);
    conn->last_ack_sent = conn->rcv_nxt;
    tcp_timer_clear(conn, TCP_DEADLINE_ACK);
}

/* The windows of SYNs are not scaled (RFC 7323 2.2). */
static uint16_t window_field(struct tcp_conn *conn, uint8_t flags)
{
    if ((flags & TCP_SYN) == 0)
        return (uint16_t)tcp_out_window(conn);
    uint32_t window = conn->tcp->config.receive_window_bytes;
    return (uint16_t)(window < UINT16_MAX ? window : UINT16_MAX);
}

/* An empty mbuf; NULL: none was left. */
static struct rte_mbuf *packet_take(struct tcp *tcp, const struct net_path *path)
{
    struct rte_mbuf *packet = net_packet_take(tcp->config.net, path);
    if (packet == NULL)
        tcp_count(tcp, send_no_mbuf);
    return packet;
}

/* Header and payload are written in their place: a copy would wait for its bytes to be stored. */
static void extend(struct rte_mbuf *packet, uint32_t length)
{
    const char *at = rte_pktmbuf_append(packet, (uint16_t)length);
    check(at != NULL); /* an mbuf holds a whole packet of the path's MTU */
}

/* Without data of the queue. False: no mbuf was left, nothing happened. */
static bool emit(struct tcp_conn *conn, const struct departure *departure,
                 const struct tcp_options *options, uint64_t now)
{
    struct tcp *tcp = conn->tcp;
    struct rte_mbuf *packet = packet_take(tcp, &conn->path);
    if (packet == NULL)
        return false;
    uint8_t *at = rte_pktmbuf_mtod(packet, uint8_t *);
    bool acks = (departure->flags & TCP_ACK) != 0;
    uint32_t header_bytes = write_header(at, &conn->tuple, departure, acks ? conn->rcv_nxt : 0,
                                         window_field(conn, departure->flags), options);
    extend(packet, header_bytes + departure->length);
    if (departure->length > 0) /* what the peer has had: any bytes will do */
        memset(at + header_bytes, 0, departure->length);
    if (acks)
        ack_was_sent(conn);
    to_net(tcp, &conn->tuple, &conn->path, TCP_ECN_NOT_ECT, packet, now);
    return true;
}

/* RFC 3168 6.1.3: on every segment, until the peer says that it has heard. */
static uint8_t ecn_echo(const struct tcp_conn *conn, uint8_t flags)
{
    return conn->flags & TCP_CONN_ECN_ECHO && (flags & (TCP_SYN | TCP_RST)) == 0 ? TCP_ECE : 0;
}

/* A segment without data. */
static bool emit_control(struct tcp_conn *conn, uint32_t seq, uint8_t flags, uint64_t now)
{
    struct departure departure = {.seq = seq, .flags = flags | ecn_echo(conn, flags)};
    struct tcp_options options;
    choose_options(conn, flags, now, &options);
    return emit(conn, &departure, &options, now);
}

bool tcp_out_ack(struct tcp_conn *conn, uint64_t now)
{
    if (!emit_control(conn, conn->snd_nxt, TCP_ACK, now))
        return false;
    tcp_count(conn->tcp, acks_out);
    return true;
}

/* RFC 5961 7: limited for each connection, so that nobody learns about others from a shared one. */
void tcp_out_challenge(struct tcp_conn *conn, uint64_t now)
{
    uint32_t ms = tcp_ms(now);
    if (ms - conn->challenge_at_ms < TCP_CHALLENGE_INTERVAL_MS) {
        tcp_count(conn->tcp, challenge_acks_limited);
        return;
    }
    conn->challenge_at_ms = ms;
    tcp_count(conn->tcp, challenge_acks);
    (void)tcp_out_ack(conn, now);
}

/* In the peer's window, so that it is believed (RFC 5961 3); half open it expects SND.NXT. */
void tcp_out_reset(struct tcp_conn *conn, uint64_t now)
{
    if (conn->state == TCP_STATE_SYN_SENT || conn->state == TCP_STATE_CLOSED)
        return;
    uint32_t edge = conn->snd_una + conn->snd_wnd;
    uint32_t seq = conn->snd_nxt;
    if (conn->state != TCP_STATE_SYN_RECEIVED && seq_gt(seq, edge))
        seq = seq_max(edge, conn->snd_una);
    if (emit_control(conn, seq, TCP_RST | TCP_ACK, now))
        tcp_count(conn->tcp, resets_out);
}

/* An old sequence number makes the peer answer; zero-window probes and keepalive. */
void tcp_out_probe(struct tcp_conn *conn, uint64_t now)
{
    (void)emit_control(conn, conn->snd_una - 1, TCP_ACK, now);
}

/*
 * Likewise with an old byte, RFC 9293 3.8.4: answers to segments without data are limited in number
 * (RFC 5961 7; half a second in Linux), those to old data are not.
 */
void tcp_out_ask(struct tcp_conn *conn, uint64_t now)
{
    struct departure departure = {.seq = conn->snd_una - 1, .length = 1, .flags = TCP_ACK};
    struct tcp_options options;
    choose_options(conn, departure.flags, now, &options);
    (void)emit(conn, &departure, &options, now);
}

void tcp_out_bare(struct tcp *tcp, const struct tcp_bare *bare, uint64_t now)
{
    struct net_path path;
    if (!net_route(tcp->config.net, &bare->tuple->remote, &path))
        return;
    struct rte_mbuf *packet = packet_take(tcp, &path);
    if (packet == NULL)
        return;
    struct departure departure = {.seq = bare->seq, .flags = bare->flags};
    extend(packet, write_header(rte_pktmbuf_mtod(packet, uint8_t *), bare->tuple, &departure,
                                bare->ack, bare->window, &bare->options));
    to_net(tcp, bare->tuple, &path, TCP_ECN_NOT_ECT, packet, now);
}

void tcp_out_back(struct tcp *tcp, const struct tcp_bare *bare, struct tcp_segment *seg)
{
    uint8_t header[TCP_HEADER_MAX_BYTES];
    struct departure departure = {.seq = bare->seq, .flags = bare->flags};
    uint32_t header_bytes =
        write_header(header, bare->tuple, &departure, bare->ack, bare->window, &bare->options);
    check(header_bytes <= sizeof(header));
    struct rte_mbuf *packet = seg->packet;
    seg->packet = NULL;
    (void)rte_pktmbuf_prepend(packet,
                              (uint16_t)(packet->l2_len + packet->l3_len + seg->header_bytes));
    tcp_count(tcp, segments_out);
    net_send_back(tcp->config.net, &bare->tuple->local, &bare->tuple->remote,
                  bytes_of(header, header_bytes), packet);
}

bool tcp_out_fin_due(const struct tcp_conn *conn)
{
    return (conn->flags & TCP_CONN_SEND_SHUT) != 0 &&
           conn->snd_nxt == tcp_send_queue_end(&conn->queue);
}

/* False: try again in the next turn. */
static bool send_syn(struct tcp_conn *conn, uint64_t now)
{
    uint8_t flags = conn->state == TCP_STATE_SYN_SENT ? TCP_SYN : TCP_SYN | TCP_ACK;
    if (!emit_control(conn, conn->snd_una, flags | tcp_ecn_syn_flags(conn), now))
        return false;
    conn->flags &= ~(uint32_t)TCP_CONN_SYN_DUE;
    if (conn->backoff == 0)
        conn->rack_xmit_us = tcp_us(now);
    tcp_timer_set(conn, TCP_DEADLINE_RETRANSMIT, now + tcp_rto_ns(conn));
    return true;
}

static void timer_for_flight(struct tcp_conn *conn, uint64_t now)
{
    if (conn->flags & TCP_CONN_PERSIST) {
        conn->flags &= ~(uint32_t)TCP_CONN_PERSIST;
        conn->backoff = 0;
        tcp_timer_clear(conn, TCP_DEADLINE_RETRANSMIT);
    }
    if (!tcp_timer_is_set(conn, TCP_DEADLINE_RETRANSMIT))
        tcp_timer_set(conn, TCP_DEADLINE_RETRANSMIT, now + tcp_rto_ns(conn));
}

/* The options of the next segment, and what fits beside them. */
static uint32_t payload_limit(struct tcp_conn *conn, struct turn *turn)
{
    if (turn->limit > 0)
        return turn->limit;
    choose_options(conn, TCP_ACK, turn->now, &turn->options);
    bool sacks = (turn->options.present & TCP_OPTION_SACK) != 0;
    uint32_t sack_bytes = sacks ? TCP_SACK_BYTES(turn->options.sack_count) : 0;
    turn->limit = conn->mss > sack_bytes ? conn->mss - sack_bytes : 1;
    return turn->limit;
}

/* The header of the turn's segments: number and flags are each one's own. */
static void make_header(struct tcp_conn *conn, struct turn *turn)
{
    struct departure departure = {0};
    (void)payload_limit(conn, turn);
    turn->header_bytes = write_header(turn->header, &conn->tuple, &departure, conn->rcv_nxt,
                                      window_field(conn, TCP_ACK), &turn->options);
    ack_was_sent(conn);
    struct net_send how = {
        .path = &conn->path,
        .local = &conn->tuple.local,
        .remote = &conn->tuple.remote,
        .protocol = IPPROTO_TCP,
    };
    net_train_begin(conn->tcp->config.net, &how, turn->now, &turn->train);
}

/* A segment with data of the queue, or FIN. False: no mbuf was left, nothing happened. */
static bool emit_data(struct tcp_conn *conn, const struct departure *departure, struct turn *turn)
{
    struct tcp *tcp = conn->tcp;
    struct rte_mbuf *packet = packet_take(tcp, &conn->path);
    if (packet == NULL)
        return false;
    if (turn->header_bytes == 0)
        make_header(conn, turn);
    uint8_t *at = rte_pktmbuf_mtod(packet, uint8_t *);
    struct rte_tcp_hdr *header = (struct rte_tcp_hdr *)at;
    copy_short(at, turn->header, turn->header_bytes);
    header->sent_seq = htonl(departure->seq);
    header->tcp_flags = departure->flags;
    extend(packet, turn->header_bytes + departure->length);
    if (departure->length > 0)
        tcp_send_queue_read(&conn->queue, &tcp->spans, departure->cursor, departure->seq,
                            at + turn->header_bytes, departure->length);
    if (turn->options.present & TCP_OPTION_SACK)
        turn->limit = turn->header_bytes = 0; /* a D-SACK is told once: choose again */
    tcp_count(tcp, segments_out);
    net_train_send(tcp->config.net, &turn->train, departure->ecn, packet);
    return true;
}

static uint8_t data_flags(const struct tcp_conn *conn, uint32_t end, bool fin)
{
    uint8_t flags = TCP_ACK | ecn_echo(conn, TCP_ACK);
    if (end == tcp_send_queue_end(&conn->queue))
        flags |= TCP_PSH;
    return fin ? flags | TCP_FIN : flags;
}

/* Send one lost record again. False: mbufs or records are short. */
static bool resend(struct tcp_conn *conn, struct tcp_sent *sent, struct turn *turn)
{
    uint32_t limit = payload_limit(conn, turn);
    if (sent->length > limit && !tcp_sent_split(conn, sent, limit))
        return false;
    bool fin = (sent->flags & TCP_SENT_FIN) != 0;
    struct departure departure = {
        .seq = sent->seq,
        .length = sent->length,
        .flags = data_flags(conn, sent->seq + sent->length, fin),
        .cursor = TCP_CURSOR_AGAIN,
    };
    if (!emit_data(conn, &departure, turn))
        return false;
    tcp_count(conn->tcp, segments_retransmitted);
    tcp_recovery_resent(conn, sent, turn->now);
    conn->last_sent_at_ms = tcp_ms(turn->now);
    timer_for_flight(conn, turn->now);
    return true;
}

/* The last segment once more; its end, if it is too large for today's. */
static bool resend_last(struct tcp_conn *conn, struct turn *turn)
{
    struct tcp_sent *last = tcp_sent_at(conn, conn->sent_last);
    if (last->length > conn->mss && !tcp_sent_split(conn, last, conn->mss))
        return false;
    return resend(conn, tcp_sent_at(conn, conn->sent_last), turn);
}

/* Whether LENGTH more bytes may be in the network. FORCE_ONE is used up by asking. */
static bool cwnd_allows(struct tcp_conn *conn, uint32_t length)
{
    if (conn->flags & TCP_CONN_FORCE_ONE) {
        conn->flags &= ~(uint32_t)TCP_CONN_FORCE_ONE;
        return true;
    }
    return tcp_pipe(conn) == 0 || tcp_pipe(conn) + length <= conn->cwnd;
}

/* False: something is missing that only the next turn may bring. */
static bool send_lost(struct tcp_conn *conn, struct turn *turn)
{
    struct tcp_sent *sent;
    while ((sent = tcp_sent_next_lost(conn)) != NULL) {
        if (turn->room == 0)
            return false;
        if (!cwnd_allows(conn, sent->length < conn->mss ? sent->length : conn->mss))
            return true;
        if (!resend(conn, sent, turn)) {
            conn->flags |= TCP_CONN_FORCE_ONE;
            return false;
        }
        turn->room--;
    }
    return true;
}

/*
 * How much new data may go in one segment by window and size; 0: none now. A small one goes when it
 * is all there is, or at least half of the largest window (RFC 9293 3.8.6.2.1), or by force.
 */
static uint32_t sendable(const struct tcp_conn *conn, uint32_t limit)
{
    uint32_t unsent = tcp_send_queue_end(&conn->queue) - conn->snd_nxt;
    uint32_t used = tcp_flight(conn);
    uint32_t window = conn->snd_wnd > used ? conn->snd_wnd - used : 0;
    uint32_t length = unsent < limit ? unsent : limit;
    if (length <= window)
        return length;
    bool worthwhile = window > 0 && window >= conn->snd_wnd_max / 2;
    return worthwhile || conn->flags & TCP_CONN_FORCE_ONE ? window : 0;
}

/* Before the first byte after a pause: RFC 5681 4.1. */
static void restart_if_idle(struct tcp_conn *conn, uint64_t now)
{
    if (tcp_flight(conn) == 0 && tcp_since_ns(conn->last_sent_at_ms, now) > tcp_rto_ns(conn))
        conn->tcp->cc->idle(conn, now);
}

/* RFC 3168 6.1.2 and 6.1.4: new data may be marked on its way, and says that cwnd was reduced. */
static void mark_new_data(struct tcp_conn *conn, struct departure *departure)
{
    if (departure->length == 0)
        return;
    departure->ecn = TCP_ECN_ECT_0;
    if (conn->flags & TCP_CONN_ECN_CWR)
        departure->flags |= TCP_CWR;
    conn->flags &= ~(uint32_t)TCP_CONN_ECN_CWR;
}

/* One new segment, perhaps with FIN, perhaps only FIN. False: mbufs or records are short. */
static bool send_one(struct tcp_conn *conn, uint32_t length, struct turn *turn)
{
    uint64_t now = turn->now;
    uint32_t end = conn->snd_nxt + length;
    bool fin = (conn->flags & TCP_CONN_SEND_SHUT) != 0 && end == tcp_send_queue_end(&conn->queue);
    struct tcp_sent *sent = tcp_sent_new(conn, length, fin, now);
    if (sent == NULL)
        return false;
    struct departure departure = {
        .seq = conn->snd_nxt,
        .length = length,
        .flags = data_flags(conn, end, fin),
        .cursor = TCP_CURSOR_NEW,
    };
    if (conn->flags & TCP_CONN_ECN)
        mark_new_data(conn, &departure);
    if (!emit_data(conn, &departure, turn)) {
        tcp_sent_discard(conn, sent);
        return false;
    }
    if (tcp_flight(conn) == 0) {
        conn->progress_at_ms = tcp_ms(now);
        tcp_rack_restart(conn, now);
    }
    tcp_sent_append(conn, sent);
    if (conn->recovery == TCP_RECOVERY_FAST)
        tcp_prr_sent(conn, length + fin);
    counter_add(&conn->tcp->counters.bytes_out, length);
    conn->snd_nxt = end + fin;
    conn->last_sent_at_ms = tcp_ms(now);
    timer_for_flight(conn, now);
    return true;
}

/* Data waits and the window is shut: ask from time to time (RFC 9293 3.8.6.1). */
static void persist_if_stuck(struct tcp_conn *conn, uint64_t now)
{
    bool waiting = tcp_send_queue_end(&conn->queue) != conn->snd_nxt;
    if (!waiting || tcp_flight(conn) > 0 || conn->flags & TCP_CONN_PERSIST)
        return;
    conn->flags |= TCP_CONN_PERSIST;
    conn->progress_at_ms = tcp_ms(now);
    tcp_timer_set(conn, TCP_DEADLINE_RETRANSMIT, now + tcp_rto_ns(conn));
}

/* False: something is missing that only the next turn may bring. */
static bool send_new(struct tcp_conn *conn, struct turn *turn)
{
    uint32_t end = tcp_send_queue_end(&conn->queue);
    while (seq_lt(conn->snd_nxt, end) || tcp_out_fin_due(conn)) {
        if (turn->room == 0)
            return false;
        restart_if_idle(conn, turn->now);
        uint32_t length = sendable(conn, payload_limit(conn, turn));
        if (length == 0 && !tcp_out_fin_due(conn)) {
            conn->flags &= ~(uint32_t)(TCP_CONN_CWND_LIMITED | TCP_CONN_FORCE_ONE);
            persist_if_stuck(conn, turn->now);
            return true;
        }
        if (!cwnd_allows(conn, length)) {
            conn->flags |= TCP_CONN_CWND_LIMITED;
            return true;
        }
        if (!send_one(conn, length, turn))
            return tcp_sent_is_full(conn); /* then an ACK brings us back */
        turn->room--;
    }
    conn->flags &= ~(uint32_t)(TCP_CONN_CWND_LIMITED | TCP_CONN_FORCE_ONE);
    return true;
}

static bool may_send_data(const struct tcp_conn *conn)
{
    switch ((enum tcp_state)conn->state) {
    case TCP_STATE_ESTABLISHED:
    case TCP_STATE_FIN_WAIT_1:
    case TCP_STATE_CLOSE_WAIT:
    case TCP_STATE_CLOSING:
    case TCP_STATE_LAST_ACK:
        return true;
    case TCP_STATE_CLOSED:
    case TCP_STATE_SYN_SENT:
    case TCP_STATE_SYN_RECEIVED:
    case TCP_STATE_FIN_WAIT_2:
    case TCP_STATE_TIME_WAIT:
    case TCP_STATES:
        return false;
    }
    return false;
}

/*
 * RFC 9293 3.8.6.3: at least every second full segment, at most 40 ms late. What a burst brought is
 * acknowledged once. While the peer's window is young it should grow without waiting for us.
 */
static bool ack_is_due(struct tcp_conn *conn, uint64_t now)
{
    if (conn->flags & TCP_CONN_ACK_NOW)
        return true;
    if ((conn->flags & TCP_CONN_ACK_LATER) == 0)
        return false;
    if (conn->rcv_nxt - conn->last_ack_sent >= 2u * conn->rcv_mss)
        return true;
    if (conn->quick_acks > 0) {
        conn->quick_acks--;
        return true;
    }
    if (!tcp_timer_is_set(conn, TCP_DEADLINE_ACK))
        tcp_timer_set(conn, TCP_DEADLINE_ACK, now + TCP_DELAYED_ACK_NS);
    return false;
}

/* RFC 8985 7.3: new data if there is some, else the last segment once more, whatever cwnd says. */
static bool send_probe(struct tcp_conn *conn, struct turn *turn)
{
    if ((conn->flags & TCP_CONN_PROBE_DUE) == 0)
        return true;
    if (turn->room == 0)
        return false;
    conn->flags &= ~(uint32_t)TCP_CONN_PROBE_DUE;
    if (conn->sent_first == 0 || conn->sacked_count > 0)
        return true; /* an answer came meanwhile */
    bool unsent = seq_lt(conn->snd_nxt, tcp_send_queue_end(&conn->queue));
    uint32_t length = unsent ? sendable(conn, payload_limit(conn, turn)) : 0;
    bool again = length == 0 || tcp_sent_is_full(conn);
    bool sent = again ? resend_last(conn, turn) : send_one(conn, length, turn);
    if (!sent) {
        conn->flags |= TCP_CONN_PROBE_DUE;
        return false;
    }
    turn->room--;
    tcp_tlp_sent(conn, again, turn->now);
    return true;
}

/* RFC 4821 7: whether larger segments arrive again. SACK blocks would need its room. */
static bool send_mtu_probe(struct tcp_conn *conn, struct turn *turn)
{
    restart_if_idle(conn, turn->now);
    uint32_t length = turn->room > 0 ? tcp_path_mtu_probe(conn, turn->now) : 0;
    (void)payload_limit(conn, turn);
    if (length == 0 || turn->options.present & TCP_OPTION_SACK)
        return true;
    if (!send_one(conn, length, turn))
        return false;
    turn->room--;
    tcp_path_mtu_probe_sent(conn, turn->now);
    return true;
}

/*
 * What is lost, then new data and FIN, which wait as long as cwnd holds the former back. False:
 * look again in the next turn.
 */
static bool send_data(struct tcp_conn *conn, struct turn *turn)
{
    uint32_t before = conn->snd_nxt;
    bool done = send_probe(conn, turn) && send_lost(conn, turn);
    if (done && conn->flags & TCP_CONN_MTU_LOWERED)
        done = send_mtu_probe(conn, turn);
    if (done && conn->lost_bytes > 0)
        conn->flags |= TCP_CONN_CWND_LIMITED;
    else
        done = done && send_new(conn, turn);
    if (conn->snd_nxt != before)
        tcp_tlp_schedule(conn, turn->now);
    return done;
}

/* Everything one connection may send now. False: look again in the next turn. */
static bool conn_out(struct tcp_conn *conn, uint64_t now)
{
    struct turn turn;
    turn.now = now;
    turn.room = net_send_room(conn->tcp->config.net, &conn->path);
    turn.limit = 0;
    turn.header_bytes = 0;
    if (conn->flags & TCP_CONN_SYN_DUE)
        return turn.room > 0 && send_syn(conn, now);
    if (may_send_data(conn) && !send_data(conn, &turn))
        return false;
    if (!ack_is_due(conn, now))
        return true;
    return turn.room > 0 && tcp_out_ack(conn, now);
}

void tcp_out(struct tcp *tcp, uint64_t now)
{
    tcp->now = now;
    struct tcp_conn *conn;
    while ((conn = tcp_conn_pop(tcp, TCP_LIST_OUT)) != NULL) {
        if (!conn_out(conn, now))
            tcp_conn_link(conn, TCP_LIST_AGAIN);
    }
    tcp_list_move_all(&tcp->lists, TCP_LIST_AGAIN, TCP_LIST_OUT);
}
